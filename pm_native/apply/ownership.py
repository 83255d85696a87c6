"""Whose the files are that are in the way: ours by record and header, else somebody's, whom no plan writes over."""

from __future__ import annotations

import os
import re
from hashlib import sha256
from pathlib import Path

from pm_native.compile.bundle import FileKind
from pm_native.compile.unit_file import MADE_BY
from pm_native.plan.model import Foreign, TakenBy
from pm_native.state.files import read_text
from pm_native.state.generations import Generations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pm_native.compile.bundle import Bundle, BundleFile, Installed
    from pm_native.state.layout import Layout

_PROJECT = re.compile(rf"# {MADE_BY}: project=(\S+) ")
_IN_PLACE_OF_OURS = "systemd would take it in place of ours"


def file_path(layout: Layout, project: str, kind: FileKind | None, name: str) -> Path:
    """Where a file of a bundle lives."""
    return (layout.environment(project) if kind is FileKind.ENVIRONMENT else layout.units) / name


class Ownership:
    """What of the names of a project's files is somebody else's on this host, as it is when this is made."""

    def __init__(
        self, layout: Layout, project: str, wanted: Bundle | None, installed: Installed | None
    ) -> None:
        self._layout = layout
        self._project = project
        self._installed = installed
        self._owned = {item.name for item in installed.bundle.files} if installed else set()
        self._wanted = {item.name for item in wanted.files} if wanted else set()
        self._units = {unit.name for unit in wanted.units} if wanted else set()
        # Each folder is listed once: to look for each of a thousand files in all of them takes longer.
        self._above = _names(layout.above)
        self._here = _names([layout.units])
        self._below = _names(layout.below)

    def is_masked(self, name: str) -> bool:
        """Whether the administrator masked the unit (systemd.unit(5)): a decision, kept as it is."""
        return any(_is_mask(names[name]) for names in (self._above, self._here) if name in names)

    def foreign(
        self, files: Iterable[BundleFile], texts: Mapping[str, str]
    ) -> Iterator[tuple[str, Foreign]]:
        """Files in the way that are not ours, by manifest and header; `texts` are those that are there."""
        for item in files:
            found = (
                self._edited_environment(item, texts.get(item.name))
                if item.kind is FileKind.ENVIRONMENT
                else self._foreign_unit(item, texts.get(item.name))
            )
            if found is not None:
                yield item.name, found
        yield from self._foreign_instances()

    def _foreign_instances(self) -> Iterator[tuple[str, Foreign]]:
        """Unit files of single instances: systemd takes them in place of our template, wherever they are."""
        for name in self._units - self._wanted:
            for names in (self._above, self._here, self._below):
                if "@" in name and name in names and not _is_mask(names[name]):
                    yield name, Foreign(path=names[name].path, why=_IN_PLACE_OF_OURS)
                    break

    def _foreign_unit(self, item: BundleFile, text: str | None) -> Foreign | None:
        name = item.name
        if name in self._wanted and name in self._above:
            return Foreign(path=self._above[name].path, why=_IN_PLACE_OF_OURS)
        is_owned = name in self._owned
        if name in self._below and not is_owned:
            hidden = Path(self._below[name].path)
            whose = "made at run time" if self._layout.runtime in hidden.parents else "of a package"
            return Foreign(path=str(hidden), why=f"{whose}: ours would hide it")
        if text is None or is_pristine(text, self._project):
            return None
        path = file_path(self._layout, self._project, item.kind, name)
        return _in_the_way(path, text, self._project, is_owned=is_owned)

    def _edited_environment(self, item: BundleFile, text: str | None) -> Foreign | None:
        """An environment file with other variables than were applied: the generation has those, the record no hash."""
        installed = self._installed
        if text is None or text == item.text or installed is None or not installed.complete:
            return None  # of a run that was cut short nobody knows whether it had written the file
        before = Generations(self._layout.records(self._project)).file(installed.generation, item.name)
        if before is None or before == text.encode(errors="surrogateescape"):
            return None
        return _edited(file_path(self._layout, self._project, item.kind, item.name), text)


def _names(folders: Iterable[Path]) -> dict[str, os.DirEntry[str]]:
    """Every name in the folders, as it is in the first that has it."""
    found: dict[str, os.DirEntry[str]] = {}
    for folder in folders:
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    found.setdefault(entry.name, entry)
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            continue  # there are none, or none that the caller may know of
    return found


def _is_mask(entry: os.DirEntry[str]) -> bool:
    return entry.is_symlink() and os.readlink(entry.path) == "/dev/null"  # noqa: PTH115 - the path is a string


def _in_the_way(path: Path, text: str, project: str, *, is_owned: bool) -> Foreign:
    """Whose a unit file is that we did not write, and which option takes it."""
    if path.is_symlink() or path.is_dir():
        return Foreign(path=str(path), why="a link" if path.is_symlink() else "a folder")
    header = text.partition("\n")[0]
    if is_owned or header.startswith(_begin(project)):
        return _edited(path, text)
    if other := project_of(header):
        return Foreign(path=str(path), why=f"of project {other}")
    return Foreign(path=str(path), why="not ours", taken_by=TakenBy.ADOPT, save_as=_save_as(path, text))


def _edited(path: Path, text: str) -> Foreign:
    return Foreign(
        path=str(path), why="edited by hand", taken_by=TakenBy.FORCE, save_as=_save_as(path, text)
    )


def _save_as(path: Path, text: str) -> str:
    """A name beside the file that systemd does not read, and that nothing else was saved under."""
    number = 1
    while True:
        name = f"{path.name}.pm-native-orig{f'.{number}' if number > 1 else ''}"
        place = path.with_name(name)
        if not place.is_symlink() and read_text(place) in {None, text}:
            return name
        number += 1


def _begin(project: str) -> str:
    return f"# {MADE_BY}: project={project} "


def project_of(text: str) -> str:
    """The project that the header of a unit file names; "" where it is not one of ours."""
    match = _PROJECT.match(text)
    return match[1] if match is not None else ""


def is_pristine(text: str, project: str) -> bool:
    """Whether a unit file is what pm-native wrote for this project: its header says so, and its hash agrees."""
    header, _, rest = text.partition("\n")
    _, _, digest = header.rpartition(" sha256=")
    body = rest.partition("\n")[2]
    return (
        header.startswith(_begin(project))
        and sha256(body.encode(errors="surrogateescape")).hexdigest() == digest
    )
