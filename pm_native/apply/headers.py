"""What is installed, by the unit files alone: their headers say whose they are. For a record that cannot be read."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from pm_native.apply.ownership import project_of
from pm_native.compile.bundle import Bundle, BundleUnit, FileKind, Installed, bundle_file, recorded
from pm_native.errors import AccessError
from pm_native.model.record import SourceFile
from pm_native.state.files import read_text
from pm_native.state.store import Store
from pm_native.unit.directive import OLDEST_SYSTEMD
from pm_native.unit.escape import rendered
from pm_native.unit.parse import UnitSyntaxError, parse_unit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pm_native.compile.bundle import BundleFile
    from pm_native.state.layout import Layout

_SOURCE = re.compile(r" source=(.*?)(?::\d+)? sha256=")


def installed_as_seen(layout: Layout, project: str) -> tuple[Installed | None, bool]:
    """What is installed of a project, and whether its record says so: who may not read that sees the unit files alone."""
    try:
        return Store(layout, project).load(), True
    except AccessError:
        files = list(installed_files(layout, project))
        bundle = bundle_by_headers(layout, project, files, {})
        return Installed(generation=0, bundle=recorded(bundle)) if files else None, False


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


def bundle_by_headers(
    layout: Layout, project: str, files: Sequence[BundleFile], known: Mapping[str, BundleUnit]
) -> Bundle:
    """The bundle that these files of a project amount to; `known` are units of which more is known than they say.

    Else nothing is known of their order, and what no target wants does not start by itself.
    """
    names = {item.name for item in files}
    wanted = {name for item in files if item.kind is FileKind.UNIT for name in _wanted(item.text)}
    units = {
        name: known.get(
            name, BundleUnit(name, file, _process_of(name, project), start=_starts(name, wanted))
        )
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
    return Bundle(
        project=project,
        scope=layout.scope,
        systemd_version=OLDEST_SYSTEMD,
        sources=tuple(SourceFile(path=path, sha256="") for path in dict.fromkeys(_sources(files))),
        files=tuple(files),
        units=found,
        wanted_by=links,
    )


def _starts(name: str, wanted: set[str]) -> bool:
    return name in wanted or not name.endswith(".service")


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
