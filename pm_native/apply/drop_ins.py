"""The administrator's drop-ins of units: which there are, and which have come or changed since a point in time."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from pm_native.errors import AccessError
from pm_native.plan.model import DropIn
from pm_native.state.files import read_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from pm_native.state.layout import Layout

_TRANSIENT = frozenset({"transient", "generator.early"})


@dataclass(frozen=True, slots=True, kw_only=True)
class DropIns:
    """The drop-ins, and the units of those that changed."""

    items: tuple[DropIn, ...]
    changed: frozenset[str]


def find_drop_ins(layout: Layout, units: Collection[str], since_ns: int) -> DropIns:
    """The drop-ins of these units, and whose have changed since `since_ns` (of the clock of files).

    A folder that has gone cannot say whose it was: then it may have been anybody's.
    """
    bases = [*_bases(layout)]
    folders = [folder for base in bases for folder in _folders(base)]
    by_name: dict[str, list[str]] = {}
    for unit in units if folders else ():
        for name in _names(unit):
            by_name.setdefault(name, []).append(unit)
    items: list[DropIn] = []
    changed = set(units) if any(changed_ns(base) > since_ns for base in bases) else set[str]()
    for folder in folders:
        names = by_name.get(folder.name.removesuffix(".d"))
        if names is None:
            continue
        if changed_ns(folder) > since_ns:
            changed.update(names)
        for path in sorted(folder.glob("*.conf")):
            if changed_ns(path) > since_ns:
                changed.update(names)
            items.append(DropIn(path=str(path), units=tuple(names), text=_text(path)))
    return DropIns(items=tuple(items), changed=frozenset(changed))


def _bases(layout: Layout) -> Iterator[Path]:
    """Where administrators' drop-ins are, those of `systemctl set-property` too, the first to count first.

    Not beside transient units, of which a session begins and ends all the time, and ours is none.
    """
    theirs = {
        layout.root / "etc/systemd/user",
        layout.units,
        layout.runtime / "systemd" / layout.scope.value,
    }
    return (
        folder
        for folder in layout.load_path
        if folder in theirs or (folder in layout.above and folder.name not in _TRANSIENT)
    )


def _folders(base: Path) -> list[Path]:
    try:
        with os.scandir(base) as entries:
            return sorted(
                Path(entry.path) for entry in entries if entry.name.endswith(".d") and entry.is_dir()
            )
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return []  # there are none, or none that the caller may know of


def _names(unit: str) -> Iterator[str]:
    """The names whose drop-ins a unit has: its own, its template's, those cut off at a dash, its type's."""
    stem, _, suffix = unit.rpartition(".")
    prefix, at, _ = stem.partition("@")
    yield unit
    if at:
        yield f"{prefix}@.{suffix}"
    for index, character in enumerate(prefix[:-1]):
        if character == "-":
            yield f"{prefix[: index + 1]}.{suffix}"
    yield suffix


def changed_ns(path: Path | str) -> int:
    """When a file or folder was last changed, in nanoseconds since the epoch; 0: there is none to be read."""
    try:
        return os.stat(path).st_mtime_ns  # noqa: PTH116 - for each of a thousand files
    except OSError:
        return 0  # a link to nothing: systemd has nothing to read either


def _text(path: Path) -> str | None:
    try:
        return read_text(path) or ""
    except AccessError:
        return None
