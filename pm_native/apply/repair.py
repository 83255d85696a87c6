"""A record that cannot be read, made anew: from the last generation where it is what is installed, else from headers."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pm_native.apply.snapshot import project_of
from pm_native.compile.bundle import Bundle, BundleUnit, FileKind, Installed, bundle_file, recorded
from pm_native.compile.options import OLDEST_SYSTEMD
from pm_native.errors import StateError, TooNewError, UsageError
from pm_native.model.record import SourceFile
from pm_native.state.files import read_text
from pm_native.state.generations import Generations
from pm_native.unit.escape import rendered
from pm_native.unit.parse import UnitSyntaxError, parse_unit

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pm_native.compile.bundle import BundleFile
    from pm_native.state.layout import Layout
    from pm_native.state.store import Store

_ENDED = frozenset({"done", "failed"})
_SOURCE = re.compile(r" source=(.*?)(?::\d+)? sha256=")


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """What a repair came to; `installed` None: the record is fine, and nothing was done.

    `generation` is the one that the record was made from; 0: from the headers of unit files. `saved_as` is where the
    damaged one is now, "" where there was none.
    """

    installed: Installed | None = None
    generation: int = 0
    saved_as: str = ""


def repair(layout: Layout, store: Store, project: str) -> Repair:
    """Make the record of a project anew where it is damaged or gone. The caller holds the lock.

    TooNewError where it is of a newer version, UsageError where nothing of such a project is installed.
    """
    try:
        if store.load() is not None:
            return Repair()
    except TooNewError:
        raise
    except StateError:
        pass  # what this is for
    generations = Generations(store.directory)
    files = list(installed_files(layout, project))
    if not files:
        raise UsageError(
            f"no file of a project {project!r} is installed in the {layout.scope} manager",
            hint="see the headers of the unit files: # Made by pm-native: project=NAME",
        )
    installed, generation = _of_generation(generations, files), 0
    if installed is not None:
        generation = installed.generation
    else:
        installed = _of_headers(layout, project, files, generations)
    return Repair(installed=installed, generation=generation, saved_as=store.replace_damaged(installed))


def installed_files(layout: Layout, project: str) -> Iterator[BundleFile]:
    """The files on disk that are the project's: unit files by their header, environment files by their folder."""
    for path in sorted(layout.units.glob("*.*")):
        if path.is_symlink() or not path.is_file():
            continue
        text = read_text(path) or ""
        if project_of(text) == project:
            yield bundle_file(FileKind.UNIT, path.name, text.encode(errors="replace").decode())
    for path in sorted(layout.environment(project).glob(f"{project}-*.env")):
        if not path.is_symlink():
            text = read_text(path) or ""
            yield bundle_file(FileKind.ENVIRONMENT, path.name, text.encode(errors="replace").decode())


def _of_generation(generations: Generations, files: Sequence[BundleFile]) -> Installed | None:
    """The last generation, where its run came to its end and these are its files, of the same text but for edits."""
    numbers = generations.numbers()
    try:
        if not numbers or generations.record(numbers[-1]).result not in _ENDED:
            return None
        bundle = generations.bundle(numbers[-1])
    except TooNewError:
        raise
    except StateError:
        return None  # damaged, too
    if {item.name for item in bundle.files} != {item.name for item in files}:
        return None
    return Installed(generation=numbers[-1], bundle=recorded(bundle))


def _of_headers(
    layout: Layout, project: str, files: Sequence[BundleFile], generations: Generations
) -> Installed:
    """What the files themselves say, with what generations know of the units; the next apply sees to all of it."""
    known: dict[str, BundleUnit] = {}
    for number in generations.numbers():
        try:
            known |= {unit.name: unit for unit in generations.bundle(number).units}
        except StateError:
            continue  # an older or a newer one may tell
    names = {item.name for item in files}
    units = {
        name: known.get(name, BundleUnit(name, file, _process_of(name, project)))
        for name, file in _units(files)
    }
    # What they come after and need may have gone with its file.
    found = tuple(
        replace(
            unit,
            after=tuple(name for name in unit.after if name in units),
            requires=tuple(name for name in unit.requires if name in units),
            files=tuple(name for name in unit.files if name in names),
        )
        for unit in units.values()
    )
    links = {
        link.name: link.parent.name.removesuffix(".wants")
        for link in sorted(layout.units.glob("*.wants/*"))
        if link.name in names and link.is_symlink()
    }
    bundle = Bundle(
        project=project,
        scope=layout.scope,
        systemd_version=OLDEST_SYSTEMD,
        sources=tuple(SourceFile(path=path, sha256="") for path in dict.fromkeys(_sources(files))),
        files=tuple(files),
        units=found,
        wanted_by=links,
    )
    numbers = generations.numbers()
    last = max([*numbers, *(item.number for item in generations.history())], default=0)
    return Installed(generation=last, bundle=recorded(bundle), complete=False)


def _units(files: Sequence[BundleFile]) -> Iterator[tuple[str, str]]:
    """Each unit with its file: of a template the instances that another unit file wants."""
    templates = {item.name for item in files if "@." in item.name}
    for item in files:
        if item.kind is FileKind.UNIT and item.name not in templates:
            yield item.name, item.name
            for name in _wanted(item.text):
                prefix, at, rest = name.partition("@")
                template = f"{prefix}@.{rest.rpartition('.')[2]}"
                if at and template in templates:
                    yield name, template


def _wanted(text: str) -> list[str]:
    try:
        unit = parse_unit(text)
    except UnitSyntaxError:
        return []  # somebody's broken edit
    lists = (setting for setting in unit.settings() if setting.directive.name in {"Wants", "Requires"})
    return [name for setting in lists for name in rendered(setting).split()]


def _process_of(name: str, project: str) -> str:
    stem = name.rpartition(".")[0].partition("@")[0]
    return stem.removeprefix(f"{project}-") if stem.startswith(f"{project}-") else ""


def _sources(files: Sequence[BundleFile]) -> Iterator[str]:
    for item in files:
        match = _SOURCE.search(item.text.partition("\n")[0]) if item.kind is FileKind.UNIT else None
        if match is not None:
            yield match[1]
