"""The host as a plan needs to see it: files and links on disk, states of units from the manager."""

from __future__ import annotations

from hashlib import sha256

from pm_native.compile.bundle import FileKind
from pm_native.compile.project import MADE_BY
from pm_native.plan.make import link_name
from pm_native.plan.model import Snapshot
from pm_native.state.files import read_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from pm_native.bus.manager import Manager, UnitState
    from pm_native.compile.bundle import Bundle, BundleFile, Installed
    from pm_native.state.layout import Layout

# Where units of packages live; one of ours must not hide one of theirs (systemd.unit(5), UNIT FILE LOAD PATH).
_VENDOR_DIRECTORIES = {
    "system": ("usr/local/lib/systemd/system", "usr/lib/systemd/system", "lib/systemd/system"),
    "user": ("etc/systemd/user", "usr/local/lib/systemd/user", "usr/lib/systemd/user"),
}


def file_path(layout: Layout, project: str, kind: FileKind | None, name: str) -> Path:
    """Where a file of a bundle lives."""
    return (layout.environment(project) if kind is FileKind.ENVIRONMENT else layout.units) / name


async def take_snapshot(
    layout: Layout, project: str, wanted: Bundle | None, installed: Installed | None, manager: Manager | None
) -> Snapshot:
    """The snapshot; `manager` None: offline, no states."""
    bundles = [bundle for bundle in (wanted, installed.bundle if installed else None) if bundle is not None]
    files = {item.name: item for bundle in reversed(bundles) for item in bundle.files}
    masked = {name for name, item in files.items() if _is_mask(file_path(layout, project, item.kind, name))}
    files = {name: item for name, item in files.items() if name not in masked}
    texts: dict[str, str] = {}
    unreadable: set[str] = set()
    for name, item in files.items():
        try:
            if (text := _text(layout, project, item)) is not None:
                texts[name] = text
        except PermissionError:
            if item.kind is not FileKind.ENVIRONMENT:
                raise
            unreadable.add(name)
    states = None
    if manager is not None:
        names = {unit.name for bundle in bundles for unit in bundle.units}
        templates = [name for name in files if "@." in name]
        states = await _states(manager, names, [name.replace("@.", "@*.") for name in templates])
    return Snapshot(
        installed=installed,
        files=texts,
        links=dict(_links(layout, bundles)),
        directories=frozenset(_directories(layout, wanted)),
        foreign=dict(_foreign(layout, project, files.values(), texts, installed)),
        masked=frozenset(masked),
        unreadable=frozenset(unreadable),
        states=states,
    )


async def _states(manager: Manager, names: set[str], patterns: list[str]) -> Mapping[str, UnitState]:
    states = await manager.states(sorted(names))
    if patterns:
        states |= {state.name: state for state in await manager.list_units(patterns)}
    return states


def _text(layout: Layout, project: str, item: BundleFile) -> str | None:
    path = file_path(layout, project, item.kind, item.name)
    if path.is_symlink() or path.is_dir():
        return ""  # somebody's: differs from any text of ours, and `_foreign` names it
    return read_text(path)


def _is_mask(path: Path) -> bool:
    """Whether the administrator masked the unit (systemd.unit(5)): a decision, kept as it is."""
    return path.is_symlink() and str(path.readlink()) == "/dev/null"


def _links(layout: Layout, bundles: list[Bundle]) -> Iterator[tuple[str, str]]:
    for bundle in bundles:
        for unit, target in bundle.wanted_by.items():
            path = layout.units / link_name(unit, target)
            if path.is_symlink():
                yield link_name(unit, target), str(path.readlink())


def _directories(layout: Layout, wanted: Bundle | None) -> Iterator[str]:
    for item in wanted.directories if wanted else ():
        if (layout.root / item.path.lstrip("/")).is_dir():
            yield item.path


def _foreign(
    layout: Layout,
    project: str,
    files: Iterable[BundleFile],
    texts: Mapping[str, str],
    installed: Installed | None,
) -> Iterator[tuple[str, str]]:
    """Files in the way that are not ours, by manifest and header."""
    owned = {item.name for item in installed.bundle.files} if installed else set()
    vendor = [layout.root / directory for directory in _VENDOR_DIRECTORIES[layout.scope.value]]
    for item in files:
        if item.kind is FileKind.ENVIRONMENT:
            continue  # in a directory of the project's own
        path = file_path(layout, project, item.kind, item.name)
        if item.name in texts and not is_pristine(texts[item.name], project):
            why = "a link" if path.is_symlink() else "edited by hand" if item.name in owned else "not ours"
            yield item.name, f"{path} ({why})"
        elif item.name not in owned:
            hidden = next(
                (directory / item.name for directory in vendor if (directory / item.name).exists()), None
            )
            if hidden is not None:
                yield item.name, f"{hidden} (of a package: ours would hide it)"


def is_pristine(text: str, project: str) -> bool:
    """Whether a unit file is what pm-native wrote for this project: its header says so, and its hash agrees."""
    header, _, rest = text.partition("\n")
    begin = f"# {MADE_BY}: project={project} "
    _, _, digest = header.rpartition(" sha256=")
    body = rest.partition("\n")[2]
    return header.startswith(begin) and sha256(body.encode(errors="surrogateescape")).hexdigest() == digest
