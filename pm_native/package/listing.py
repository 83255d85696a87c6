"""What a package says of its units, so that the next version of it knows what has changed: one line a unit.

    DIGEST MODE START UNIT

DIGEST is of all that the unit is made of: its files, the environment files, the installed files of its process. MODE is
what an upgrade does when it differs: restart, roll (one instance after the other), keep; or, differing or not, pause: it
stops while the files are replaced. START is `start` where it runs from the first installation on, else `no`. The lines are in the order in which the units start.
"""

from __future__ import annotations

from dataclasses import dataclass
from graphlib import TopologicalSorter
from hashlib import sha256
from pathlib import PurePosixPath

from pm_native.model.record import OnChange

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from pm_native.compile.bundle import Bundle, BundleUnit
    from pm_native.model.project import Project
    from pm_native.package.tree import Staged

_MODES = {
    OnChange.RESTART: "restart",
    OnChange.RELOAD: "roll",
    OnChange.STOP_START: "restart",
    OnChange.KEEP: "keep",
}


@dataclass(frozen=True, slots=True)
class ListedUnit:
    """One unit of the package."""

    digest: str
    mode: str
    is_started: bool
    name: str

    def __str__(self) -> str:
        return f"{self.digest} {self.mode} {'start' if self.is_started else 'no'} {self.name}"


def list_units(project: Project, bundle: Bundle, staged: Staged) -> tuple[ListedUnit, ...]:
    """The units, dependencies first."""
    texts = {item.name: item.text for item in bundle.files}
    content = {process.name: _content(process.directory, staged) for process in project.processes}
    found: list[ListedUnit] = []
    for unit in in_order(bundle.units):
        digest = sha256()
        for name in (unit.file, *unit.files):
            digest.update(f"{name}\n{texts.get(name, '')}\n".encode())
        if unit.name.endswith(".service"):
            digest.update(content.get(unit.process, "").encode())
        found.append(ListedUnit(digest.hexdigest()[:32], _mode(unit), unit.start, unit.name))
    return tuple(found)


def _mode(unit: BundleUnit) -> str:
    # Targets and slices have nothing to restart but their members, which are listed themselves.
    if unit.name.endswith((".target", ".slice")):
        return "keep"
    # A watcher would restart its process while half of the new files are there.
    return "pause" if unit.helper == "watch" else _MODES[unit.on_change]


def _content(directory: PurePosixPath, staged: Staged) -> str:
    """A digest of the installed files below the folder that the process runs in: what it may be made of."""
    digest = sha256()
    for target in staged.files:
        if PurePosixPath(target).is_relative_to(directory):
            path = staged.root / target.lstrip("/")
            digest.update(f"{target}\n".encode())
            digest.update(_bytes(path))
    return digest.hexdigest()


def _bytes(path: Path) -> bytes:
    return str(path.readlink()).encode() if path.is_symlink() else sha256(path.read_bytes()).digest()


def in_order(units: Iterable[BundleUnit]) -> list[BundleUnit]:
    """The units, each behind those that must be started before it, else in the order of the config."""
    by_name = {unit.name: unit for unit in units}
    sorter = TopologicalSorter(
        {name: [other for other in unit.after if other in by_name] for name, unit in by_name.items()}
    )
    return [by_name[name] for name in sorter.static_order()]
