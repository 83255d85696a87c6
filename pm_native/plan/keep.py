"""What of the last apply stays although the config has it no more: what is protected, all of it without pruning."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pm_native.compile.bundle import bundle_file
from pm_native.plan.model import Drift

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pm_native.compile.bundle import Bundle, BundleFile, BundleUnit
    from pm_native.plan.model import PlanOptions, Snapshot

_PROTECTED = "is protected: left alone"
_NOT_PRUNED = "is no longer in the config: left as it is, as --no-prune says"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """The bundle with what is kept in it (None: nothing at all is wanted), the names of what is kept, and the words."""

    bundle: Bundle | None
    units: frozenset[str] = frozenset()
    files: frozenset[str] = frozenset()
    drift: tuple[Drift, ...] = ()


def keep(wanted: Bundle | None, snapshot: Snapshot, options: PlanOptions) -> Kept:
    """`wanted` with the units and files of the last apply that stay: they are owned on, and not touched."""
    installed = snapshot.installed
    units = _kept_units(wanted, snapshot, options)
    if installed is None or not (units or (wanted is not None and not options.prune)):
        return Kept(bundle=wanted)
    old = installed.bundle
    named = {name for unit in units for name in (unit.file, *unit.files)}
    here = {item.name for item in wanted.files} if wanted else set()
    files = [
        _as_it_is(item, snapshot)
        for item in old.files
        if item.name not in here
        and (not options.prune or item.name in named)
        and (item.name in snapshot.files or item.name in snapshot.unreadable)
    ]
    if not units and not files:
        return Kept(bundle=wanted)
    names = frozenset(unit.name for unit in units)
    base = wanted or replace(old, files=(), units=(), directories=(), wanted_by={})
    links = {unit: target for unit, target in old.wanted_by.items() if unit in names}
    if wanted is not None:
        links |= _boot_links(wanted, units)
    what = _PROTECTED if options.prune else _NOT_PRUNED
    return Kept(
        bundle=replace(
            base,
            files=(*base.files, *files),
            units=(*base.units, *units),
            wanted_by={**links, **base.wanted_by},
        ),
        units=names,
        files=frozenset(item.name for item in files),
        drift=tuple(_drift(units, what)),
    )


def _kept_units(wanted: Bundle | None, snapshot: Snapshot, options: PlanOptions) -> list[BundleUnit]:
    old = snapshot.installed.bundle.units if snapshot.installed else ()
    names = {unit.name for unit in wanted.units} if wanted else set()
    gone = [unit for unit in old if unit.name not in names]
    if not options.prune:
        return gone
    here = {unit.process for unit in wanted.units} if wanted else set()
    processes = {unit.process for unit in old if unit.protect} - here
    if options.force or not processes:
        return []
    # systemd stops what requires a unit that is stopped, and all that is part of the target or in the slice.
    process_of = {unit.name: unit.process for unit in old}
    waiting = [*processes]
    while waiting:
        process = waiting.pop()
        required = {
            process_of[name]
            for unit in old
            if unit.process == process
            for name in unit.requires
            if name in process_of
        }
        waiting += required - processes
        processes |= required
    return [unit for unit in gone if unit.process in processes | {""}]


def _boot_links(wanted: Bundle, units: list[BundleUnit]) -> dict[str, str]:
    """Links by which what is kept starts at boot still, since the target itself names the config's processes alone.

    Instances that a smaller pool has left go without: a link would bring them back after each stop of the pool.
    """
    target = next(iter(wanted.wanted_by), "")
    started = [unit.name for unit in units if unit.start and unit.process and "@" not in unit.name]
    return dict.fromkeys(started, target) if target else {}


def _as_it_is(item: BundleFile, snapshot: Snapshot) -> BundleFile:
    """The file with the text that it has on the host: records hold none."""
    if item.name not in snapshot.files:
        return item
    text = snapshot.files[item.name].encode(errors="replace").decode()  # whatever somebody wrote into it
    return bundle_file(item.kind, item.name, text)


def _drift(units: list[BundleUnit], what: str) -> Iterator[Drift]:
    """One line for each process, named by its units that run; slices and the project's own go without saying."""
    groups: dict[str, list[str]] = {}
    for unit in units:
        if unit.process and not unit.name.endswith(".slice"):
            groups.setdefault(unit.process, []).append(unit.name)
    for first, *rest in groups.values():
        with_rest = f" (with {len(rest)} more unit{'s' if len(rest) != 1 else ''})" if rest else ""
        yield Drift(first, f"{what}{with_rest}")
