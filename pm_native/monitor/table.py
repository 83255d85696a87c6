"""The process table: what each unit of a project does now, from few questions to systemd and from cgroup files."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

from pm_native.monitor.cgroup import Usage, read_kernel_file, slice_group
from pm_native.unit.name import escape_slice_part

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pm_native.bus.manager import Manager, UnitDetails, UnitState
    from pm_native.compile.bundle import Bundle, BundleUnit
    from pm_native.monitor.cgroup import Cgroups
    from pm_native.monitor.procfs import Processes

_GROUPS = (".slice", ".target")  # stand for others: what they have is told by those
_BROKEN = {"not-found", "bad-setting", "error"}
_SETTLED = {("inactive", "dead"), ("active", "running"), ("active", "exited"), ("reloading", "reload")}


@dataclass(frozen=True, slots=True, kw_only=True)
class TimerStatus:
    """The timer of a process with a schedule; `next_elapse_sec` since the epoch, None: it waits for nothing."""

    unit: str
    active_state: str
    next_elapse_sec: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitStatus:
    """One row. None: not known, or there is none (the pid of what does not run).

    `label` is the process, with `@N` for an instance. `uptime_sec` counts from the start of the main process,
    `cpu_usec` from that of the unit. `memory_is_sum`: the kernel does not count the unit's memory here, and the
    figure is the sum of its processes. `wanted`: it is started with the project.
    """

    unit: str
    process: str
    label: str
    where: str = ""
    wanted: bool = True
    load_state: str
    active_state: str
    sub_state: str
    job: str = ""
    result: str = ""
    exit: str = ""
    status_text: str = ""
    pid: int | None = None
    pids: tuple[int, ...] = ()
    uptime_sec: float | None = None
    restarts: int | None = None
    memory_bytes: int | None = None
    memory_is_sum: bool = False
    cpu_usec: int | None = None
    timer: TimerStatus | None = None

    @property
    def is_failed(self) -> bool:
        """Whether it failed, waits for the restart after a failure, or cannot be loaded at all."""
        if self.sub_state.startswith("auto-restart"):
            return self.result not in {"", "success"}
        return self.active_state == "failed" or self.load_state in _BROKEN

    @property
    def is_running(self) -> bool:
        """Whether it does what it is there for: it runs, has run, or waits for its time."""
        return self.active_state in {"active", "reloading"} or (
            self.timer is not None and self.timer.active_state == "active" and not self.is_failed
        )

    @property
    def cpu_share(self) -> float | None:
        """The CPU time since its start over that time: 1.0 is one whole CPU."""
        if self.cpu_usec is None or not self.uptime_sec:
            return None
        return self.cpu_usec / 1e6 / self.uptime_sec


def cpu_share_between(before: UnitStatus | None, after: UnitStatus, seconds: float) -> float | None:
    """The share of a CPU in the `seconds` between two rows of a unit; None where it began anew in between."""
    if before is None or before.pid != after.pid or before.cpu_usec is None or after.cpu_usec is None:
        return None
    if seconds <= 0 or after.cpu_usec < before.cpu_usec:
        return None
    return (after.cpu_usec - before.cpu_usec) / 1e6 / seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where a table comes from beside the bus. `top` is the cgroup that the manager's units are below.

    `directory` is the one of the unit files, `exit_words` tells how the main process of a service ended.
    """

    cgroups: Cgroups
    processes: Processes
    top: str
    directory: str
    exit_words: Callable[[UnitDetails], str]


class TableReader:
    """Reads the table of one project from one manager."""

    def __init__(self, manager: Manager, bundle: Bundle, sources: Sources) -> None:
        self._manager = manager
        self._project = bundle.project
        self._pools = pool_members(bundle)
        self._speaks: dict[str, bool] = {}  # by unit file
        self._cgroups = sources.cgroups
        self._processes = sources.processes
        self._top = sources.top
        self._directory = sources.directory
        self._exit_words = sources.exit_words
        self._boot_age_sec: float | None = None

    async def read(self, units: Sequence[BundleUnit]) -> list[UnitStatus]:
        """A row for each service in `units`, for each other instance that runs, and for what else has failed.

        The timer of a process is told with its service. Raises what `Manager` does.
        """
        units = [unit for unit in units if not unit.name.endswith(_GROUPS)]
        states, further = await self._states(units)
        units += further
        timers = {unit.process: unit.name for unit in units if unit.name.endswith(".timer")}
        rows = [
            self._row(unit, states[unit.name], timers.get(unit.process), states)
            for unit in units
            if unit.name in states
            and (unit.name.endswith(".service") or states[unit.name].active_state == "failed")
        ]
        self._boot_age_sec = self._processes.boot_age_sec()
        order = {
            process: place for place, process in enumerate(dict.fromkeys(unit.process for unit in units))
        }
        found = await asyncio.gather(*rows)
        return sorted(found, key=lambda row: (order[row.process], not row.unit.endswith(".service")))

    async def _states(self, units: Sequence[BundleUnit]) -> tuple[Mapping[str, UnitState], list[BundleUnit]]:
        """The states, and the instances that run and are not in the config: somebody started them by hand."""
        states: dict[str, UnitState] = {}
        further: list[BundleUnit] = []
        names = {unit.name for unit in units}
        templates = {pool_pattern(unit.name): unit for unit in units if is_instance(unit)}
        whole = [pattern for pattern in sorted(templates) if self._pools.get(pattern, set()) <= names]
        if whole:  # a glob tells of all instances that are loaded, and nobody has to be asked for one by one
            for state in await self._manager.list_units(whole):
                if state.name in names:
                    states[state.name] = state
                elif state.active_state != "inactive":
                    states[state.name] = state
                    further.append(
                        replace(templates[pool_pattern(state.name)], name=state.name, start=False)
                    )
        if missing := [unit.name for unit in units if unit.name not in states]:
            states |= await self._manager.states(missing)
        return states, further

    async def _row(
        self, unit: BundleUnit, state: UnitState, timer: str | None, states: Mapping[str, UnitState]
    ) -> UnitStatus:
        is_service = unit.name.endswith(".service")
        row = UnitStatus(
            unit=unit.name,
            process=unit.process,
            label=label_of(unit) if is_service else unit.name,
            where=unit.where,
            wanted=unit.start,
            load_state=state.load_state,
            active_state=state.active_state,
            sub_state=state.sub_state,
            job=state.job_type,
        )
        if is_service and timer is not None and timer in states:
            row = replace(row, timer=await self._timer(states[timer]), wanted=True)
        if not is_service or state.load_state != "loaded":
            return row
        if (state.active_state, state.sub_state) not in _SETTLED:
            row = await self._with_details(row)
        elif state.active_state != "inactive":
            wanted = ["NRestarts", "StatusText"] if self._may_speak(unit.file) else ["NRestarts"]
            found = await self._manager.properties(unit.name, "Service", wanted)
            row = replace(
                row, restarts=int(str(found["NRestarts"])), status_text=str(found.get("StatusText", ""))
            )
        return await self._with_usage(row) if state.active_state != "inactive" else row

    def _may_speak(self, file: str) -> bool:
        """Whether a service may have a status text, by its unit file: a question less for most."""
        if file not in self._speaks:
            text = read_kernel_file(f"{self._directory}/{file}")
            self._speaks[file] = text is None or "Type=notify" in text or "NotifyAccess=" in text
        return self._speaks[file]

    async def _with_details(self, row: UnitStatus) -> UnitStatus:
        """The row of a unit on its way or failed, with how its last run ended: one large answer, for few units."""
        details = (await self._manager.details([row.unit]))[row.unit]
        return replace(
            row,
            restarts=details.n_restarts,
            status_text=details.status_text,
            result=details.result,
            exit=self._exit_words(details)
            if row.active_state == "failed" or row.sub_state == "auto-restart"
            else "",
            pid=details.main_pid or None,
        )

    async def _with_usage(self, row: UnitStatus) -> UnitStatus:
        process_slice = f"{escape_slice_part(self._project)}-{escape_slice_part(row.process)}.slice"
        usage = self._cgroups.usage(f"{self._top}{slice_group(process_slice)}/{row.unit}")
        running = row.sub_state in {"running", "reload"}
        if usage is None and running and self._cgroups.is_mounted:
            # The config put it into a slice of its own choice, or the slice has a name that systemd escapes.
            found = await self._manager.properties(row.unit, "Service", ["ControlGroup"])
            usage = self._cgroups.usage(str(found["ControlGroup"])) if found["ControlGroup"] else None
        usage = usage or Usage()
        pid = row.pid
        if pid is None and running:
            # The only process of a service that runs is its main process: that saves a question.
            pid = usage.pids[0] if len(usage.pids) == 1 else await self._main_pid(row.unit)
        pids = usage.pids or ((pid,) if pid is not None else ())
        summed = self._processes.memory_bytes(pids) if usage.memory_bytes is None else None
        return replace(
            row,
            pid=pid,
            pids=pids,
            uptime_sec=self._age_sec(pid),
            memory_bytes=usage.memory_bytes if summed is None else summed,
            memory_is_sum=summed is not None,
            cpu_usec=usage.cpu_usec,
        )

    def _age_sec(self, pid: int | None) -> float | None:
        began = self._processes.began_sec(pid) if pid is not None else None
        if began is None or self._boot_age_sec is None:
            return None
        return max(0.0, self._boot_age_sec - began)

    async def _main_pid(self, unit: str) -> int | None:
        found = await self._manager.properties(unit, "Service", ["MainPID"])
        return int(str(found["MainPID"])) or None

    async def _timer(self, state: UnitState) -> TimerStatus:
        elapse = 0
        if state.active_state == "active":
            found = await self._manager.properties(state.name, "Timer", ["NextElapseUSecRealtime"])
            elapse = int(str(found["NextElapseUSecRealtime"]))
        known = 0 < elapse < 2**63  # the maximum: never
        return TimerStatus(
            unit=state.name,
            active_state=state.active_state,
            next_elapse_sec=elapse / 1e6 if known else None,
        )


def label_of(unit: BundleUnit) -> str:
    """The short name of a service: its process, with `@N` where it is an instance; of a helper, what it is as well."""
    if unit.helper:
        return f"{unit.process}-{unit.helper}"
    prefix, at, instance = unit.name.removesuffix(".service").partition("@")
    return f"{unit.process}{at}{instance}" if unit.process else prefix


def is_instance(unit: BundleUnit) -> bool:
    """Whether a unit is one of a pool's: helpers of projects are instances by their names, each of another project."""
    return "@" in unit.name and unit.name.endswith(".service") and bool(unit.process)


def pool_members(bundle: Bundle) -> dict[str, set[str]]:
    """The instances of each pool in the bundle, by the glob of the pool."""
    found: dict[str, set[str]] = {}
    for unit in bundle.units:
        if is_instance(unit):
            found.setdefault(pool_pattern(unit.name), set()).add(unit.name)
    return found


def pool_pattern(instance: str) -> str:
    """The glob of all instances of the pool of which `instance` is one."""
    return f"{instance.partition('@')[0]}@*.service"
