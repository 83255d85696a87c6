"""The host as a plan needs to see it: files and links on disk, states of units from the manager."""

from __future__ import annotations

import os
import time

from pm_native.apply.contents import digests
from pm_native.apply.drop_ins import changed_ns, find_drop_ins
from pm_native.apply.failures import failed_lately
from pm_native.apply.ownership import Ownership, file_path
from pm_native.apply.properties import one_property
from pm_native.apply.runs import relapsed
from pm_native.compile.bundle import FileKind
from pm_native.plan.make import link_name
from pm_native.plan.model import Snapshot
from pm_native.state.files import read_text
from pm_native.state.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from pm_native.bus.manager import Manager, UnitState
    from pm_native.compile.bundle import Bundle, BundleFile, Installed
    from pm_native.plan.model import DropIn
    from pm_native.state.layout import Layout

_WORKING_DIRECTORY = "\nWorkingDirectory=/"
_OTHER_ROOTS = ("\nRootDirectory=", "\nRootImage=")


async def take_snapshot(
    layout: Layout, project: str, wanted: Bundle | None, installed: Installed | None, manager: Manager | None
) -> Snapshot:
    """The snapshot; `manager` None: offline, no states."""
    bundles = [bundle for bundle in (wanted, installed.bundle if installed else None) if bundle is not None]
    files = {item.name: item for bundle in reversed(bundles) for item in bundle.files}
    ownership = Ownership(layout, project, wanted, installed)
    masked = {
        name for name, item in files.items() if item.kind is FileKind.UNIT and ownership.is_masked(name)
    }
    files = {name: item for name, item in files.items() if name not in masked}
    texts: dict[str, str] = {}
    unreadable: set[str] = set()
    exposed: set[str] = set()
    for name, item in files.items():
        try:
            if (text := _text(layout, project, item)) is not None:
                texts[name] = text
                if item.kind is FileKind.ENVIRONMENT and _is_exposed(layout.environment(project) / name):
                    exposed.add(name)
        except PermissionError:
            if item.kind is not FileKind.ENVIRONMENT:
                raise
            unreadable.add(name)
    since_ns = _recorded_ns(layout, project)
    units = [unit for bundle in bundles for unit in bundle.units]
    names = {unit.name for unit in units}
    drop_ins = find_drop_ins(layout, names, since_ns)
    states = None
    outdated: list[str] = []
    crashing: list[str] = []
    relapses: list[str] = []
    runs: dict[str, str] = {}
    if manager is not None:
        templates = [name for name in files if "@." in name]
        states = await _states(manager, names, [name.replace("@.", "@*.") for name in templates])
        crashing = await _crashing(manager, layout, states.values())
        if installed is not None and installed.held:
            runs = await run_ids(manager, [*installed.held])
        if installed is not None and installed.complete:
            own = (states[name] for name in names if name in states)
            relapses = await relapsed(manager, layout, own, Store(layout, project).load_runs())
            changed = drop_ins.changed | set(_changed_units(layout, installed.bundle, since_ns))
            outdated = await _outdated(manager, names & changed, drop_ins.items)
    return Snapshot(
        installed=installed,
        files=texts,
        links=dict(_links(layout, bundles)),
        directories=frozenset(_directories(layout, wanted)),
        foreign=dict(ownership.foreign(files.values(), texts)),
        masked=frozenset(masked),
        unreadable=frozenset(unreadable),
        exposed=frozenset(exposed),
        drop_ins=drop_ins.items,
        missing=dict(_missing(layout, wanted)),
        outdated=tuple(outdated),
        contents=digests(layout.root, {path for unit in units for path in unit.contents}),
        contents_before=Store(layout, project).load_contents(),
        states=states,
        crashing=frozenset(crashing),
        relapsed=frozenset(relapses),
        runs=runs,
    )


async def _states(manager: Manager, names: set[str], patterns: list[str]) -> Mapping[str, UnitState]:
    states = await manager.states(sorted(names))
    if patterns:
        states |= {state.name: state for state in await manager.list_units(patterns)}
    return states


async def _crashing(manager: Manager, layout: Layout, states: Iterable[UnitState]) -> list[str]:
    """Those that wait for their next restart because they failed: who ends well and starts again is at work.

    One that was started again before it could be asked how it ended says that all is well: the journal knows.
    """
    names = [state.name for state in states if state.is_between_runs]
    results = await one_property(manager, names, "Service", "Result")
    unclear = [name for name in names if results[name] == "success"]
    return [*(results.keys() - {*unclear}), *(failed_lately(unclear, layout.scope) if unclear else ())]


async def run_ids(manager: Manager, names: Sequence[str]) -> dict[str, str]:
    """The id of the run that each unit is in; a restart gives it another one."""
    found = await manager.details(names)
    return {name: details.invocation_id for name, details in found.items()}


def _recorded_ns(layout: Layout, project: str) -> int:
    """When the last apply was recorded, by which time systemd had read all files; 0: never, or that cannot be told."""
    try:
        recorded_ns = (layout.records(project) / "current.json").stat().st_mtime_ns
        return recorded_ns if recorded_ns <= time.time_ns() else 0  # else the clock was set back since
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return 0


def _changed_units(layout: Layout, bundle: Bundle, since_ns: int) -> Iterator[str]:
    """The units whose files were written to since: others need not be asked about."""
    changed = set()
    for item in bundle.files:
        if item.kind is FileKind.UNIT and changed_ns(f"{layout.units}/{item.name}") > since_ns:
            changed.add(item.name)
    return (unit.name for unit in bundle.units if unit.file in changed)


async def _outdated(manager: Manager, names: set[str], drop_ins: Iterable[DropIn]) -> list[str]:
    """Those that systemd knows older files of than there are: by its own word, or because it has not read a drop-in.

    252 itself does not notice a new drop-in before it has looked for a unit that it does not know. Of drop-ins of one
    name systemd reads one, and none that is empty.
    """
    files: dict[str, set[str]] = {}
    for item in drop_ins:
        for name in names.intersection(item.units) if item.text else ():
            files.setdefault(name, set()).add(item.path.rpartition("/")[2])
    needy = await one_property(manager, sorted(names), "Unit", "NeedDaemonReload")
    paths = await one_property(manager, [name for name in needy if name in files], "Unit", "DropInPaths")
    read = {
        name: {str(path).rpartition("/")[2] for path in found}
        for name, found in paths.items()
        if isinstance(found, list)
    }
    return [name for name in needy if needy[name] or files.get(name, set()) - read.get(name, set())]


def _missing(layout: Layout, wanted: Bundle | None) -> Iterator[tuple[str, str]]:
    """The working directories that are not there, by unit file."""
    found: dict[str, bool] = {}
    for item in wanted.files if wanted else ():
        path = _working_directory(item.text) if item.kind is FileKind.UNIT else ""
        if path and path not in found:
            found[path] = _is_gone(layout.root / path.lstrip("/"))
        if path and found[path]:
            yield item.name, path


def _working_directory(text: str) -> str:
    """Where the unit runs; "" where a specifier, "~", "-" or another root leave that open."""
    start = text.find(_WORKING_DIRECTORY) + len(_WORKING_DIRECTORY) - 1
    if start < len(_WORKING_DIRECTORY) or any(key in text for key in _OTHER_ROOTS):
        return ""
    path = text[start:].partition("\n")[0].replace("%%", "\0")
    return "" if "%" in path else path.replace("\0", "%")


def _is_gone(path: Path) -> bool:
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except PermissionError:
        return False  # in a folder that the caller cannot look into: the unit's user may
    return False


def _text(layout: Layout, project: str, item: BundleFile) -> str | None:
    path = file_path(layout, project, item.kind, item.name)
    if path.is_symlink() or path.is_dir():
        return ""  # somebody's: differs from any text of ours, and `_foreign` names it
    return read_text(path)


def _is_exposed(path: Path) -> bool:
    """Whether others than its owner may read or write the file, or its owner is not who writes these files."""
    status = path.stat(follow_symlinks=False)
    return bool(status.st_mode & 0o077) or status.st_uid != os.geteuid()


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
