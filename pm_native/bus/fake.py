"""A manager in memory, for tests and rehearsals: units whose behaviour is written down, and a journal of calls.

It answers as systemd does, and `tests/bus/contract.py` holds both to that. Jobs end at the next turn of the event
loop, in the order in which they were submitted; a unit that hangs keeps its job until it is cancelled or `finish`ed.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase

from pm_native.bus.fake_unit import Behaviour, FakeUnit, become, fail, start
from pm_native.bus.jobs import JobTable, QueuedJob
from pm_native.bus.manager import (
    BusLostError,
    JobMode,
    JobResult,
    JobType,
    LinkChange,
    UnitDetails,
    UnitState,
)
from pm_native.bus.replies import decode_error, is_askable, nothing_to_enable, unit_object_path

__all__ = ["Behaviour", "FakeManager", "FakeUnit"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from pm_native.bus.manager import JobHandle, Property
    from pm_native.errors import PmNativeError


_JOB_PATH = "/org/freedesktop/systemd1/job/"


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeJob:
    """A job in the fake's queue."""

    job_id: int
    unit: FakeUnit
    type: JobType

    @property
    def path(self) -> str:
        """Its D-Bus object."""
        return f"{_JOB_PATH}{self.job_id}"


@dataclass(slots=True)
class FakeManager:
    """`Manager` in memory. `calls` is the journal: one line per call that changes something."""

    units: dict[str, FakeUnit] = field(default_factory=dict)
    systemd_version: int = 257
    calls: list[str] = field(default_factory=list)
    refuse: dict[str, PmNativeError] = field(default_factory=dict)  # "start x.service" -> what to raise
    most_queued: int = 0
    _table: JobTable = field(default_factory=JobTable)
    _queue: dict[str, FakeJob] = field(default_factory=dict)
    _next_id: int = 1
    _lost: BusLostError | None = None

    def add(self, *units: FakeUnit) -> None:
        """Put units into the system, as if their files were there and the manager had been reloaded."""
        self.units |= {unit.name: unit for unit in units}

    def lose(self, why: str = "the connection to the bus is gone") -> None:
        """Lose the bus: everybody who waits hears of it."""
        self._lost = self._lost or BusLostError(why)
        self._table.lose(self._lost)

    def reconnected(self) -> FakeManager:
        """The same systemd over another connection: its units, its queue, and the jobs that go on."""
        other = replace(self, _table=JobTable(), _lost=None)
        for job in self._queue.values():
            asyncio.get_running_loop().call_soon(other._advance, job)  # noqa: SLF001 - of the same class
        return other

    def finish(self, name: str, result: str) -> None:
        """End the job that is queued for a unit, with a result that systemd would tell."""
        job = self._queue.pop(name)
        if result == JobResult.DONE:
            become(job.unit, job.type)
        elif result == JobResult.FAILED:
            fail(job.unit, "timeout")
        # Else the unit stays as it is: taking a job away does not touch what the job had begun.
        self._table.removed(job.path, result)

    @property
    def queued(self) -> list[str]:
        """The units that a job is queued for, the oldest first."""
        return list(self._queue)

    @property
    def closed(self) -> bool:
        """See `Manager`."""
        return self._lost is not None

    async def version(self) -> int:
        """See `Manager`."""
        await self._round_trip()
        return self.systemd_version

    async def unit_path(self) -> tuple[str, ...]:
        """See `Manager`."""
        await self._round_trip()
        return ("/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system")

    async def states(self, names: Sequence[str]) -> dict[str, UnitState]:
        """See `Manager`."""
        await self._round_trip()
        return {name: self._state(name) for name in filter(is_askable, names)}

    async def list_units(self, patterns: Sequence[str]) -> list[UnitState]:
        """See `Manager`."""
        await self._round_trip()
        return [
            self._state(name)
            for name in sorted(self.units)
            if any(fnmatchcase(name, pattern) for pattern in patterns)
        ]

    async def details(self, names: Sequence[str]) -> dict[str, UnitDetails]:
        """See `Manager`."""
        await self._round_trip()
        return {name: self._details(name) for name in filter(is_askable, names)}

    async def properties(self, name: str, interface: str, names: Iterable[str]) -> Mapping[str, Property]:
        """See `Manager`; of each interface, the properties that `UnitDetails` has are known."""
        details = (await self.details([name]))[name]
        known: dict[str, Property] = {
            "Unit.LoadState": details.load_state,
            "Unit.ActiveState": details.active_state,
            "Unit.SubState": details.sub_state,
            "Unit.UnitFileState": details.unit_file_state,
            "Unit.NeedDaemonReload": details.need_daemon_reload,
            "Unit.DropInPaths": [*details.drop_in_paths],
            "Unit.InvocationID": bytes.fromhex(details.invocation_id),
            "Unit.Wants": [*self.units[name].wants] if name in self.units else [],
            "Unit.Requires": [*self.units[name].requires] if name in self.units else [],
            "Unit.BindsTo": [],
            "Unit.Upholds": [],
            "Service.NRestarts": details.n_restarts,
            "Service.MainPID": details.main_pid,
            "Service.Result": details.result,
            "Service.ExecMainStatus": details.exec_main_status,
            "Service.StatusText": details.status_text,
        }
        missing = [key for key in names if f"{interface}.{key}" not in known]
        if missing:
            raise decode_error(
                "org.freedesktop.DBus.Error.UnknownProperty", f"Unknown property {missing[0]}.", unit=name
            )
        return {key: known[f"{interface}.{key}"] for key in names}

    async def unit_file_states(self, names: Sequence[str]) -> dict[str, str]:
        """See `Manager`."""
        await self._round_trip()
        return {name: unit.file_state if (unit := self.units.get(name)) else "" for name in names}

    async def enable(
        self, names: Sequence[str], *, runtime: bool = False, force: bool = False
    ) -> tuple[LinkChange, ...]:
        """See `Manager`."""
        await self._round_trip(f"enable{' --runtime' * runtime}{' --force' * force} {' '.join(names)}")
        return self._link(names, "symlink", "enabled-runtime" if runtime else "enabled")

    async def disable(self, names: Sequence[str], *, runtime: bool = False) -> tuple[LinkChange, ...]:
        """See `Manager`."""
        await self._round_trip(f"disable{' --runtime' * runtime} {' '.join(names)}")
        return self._link(names, "unlink", "disabled")

    async def reload(self) -> None:
        """See `Manager`."""
        await self._round_trip("daemon-reload")
        for unit in self.units.values():
            unit.need_daemon_reload = False

    async def reset_failed(self, name: str) -> None:
        """See `Manager`."""
        await self._round_trip(f"reset-failed {name}")
        unit = self.units.get(name)
        if unit is not None and unit.active_state == "failed":
            unit.active_state, unit.sub_state, unit.result = "inactive", "dead", "success"

    async def submit(
        self, job: JobType, unit: str, mode: JobMode = JobMode.REPLACE, *, along: Collection[str] = ()
    ) -> JobHandle:
        """See `Manager`."""
        self.calls.append(f"{job} {unit}")
        with self._table.asking():
            await self._round_trip()
            if (refusal := self.refuse.get(f"{job} {unit}")) is not None:
                raise refusal
            self._checked(job, unit)
            others = [] if mode in _ALONE else self._bring(job, unit)
            queued = self._enqueue(job, unit, mode)
            brought: dict[str, JobHandle] = {
                other.unit.name: self._handle(other) for other in others if other.unit.name in along
            }
            return self._handle(queued, brought)

    def _handle(self, job: FakeJob, others: Mapping[str, JobHandle] | None = None) -> QueuedJob:
        end = self._table.waiter(job.path)
        return QueuedJob(job.unit.name, job.job_id, end, self.cancel_job, others)

    def _bring(self, job: JobType, name: str) -> list[FakeJob]:
        """The jobs that come with one: what a target wants, and on a restart what requires the unit."""
        if job not in {JobType.START, JobType.RESTART}:
            return []
        found = []
        for wanted in self.units[name].wants:
            unit = self.units.get(wanted)
            if unit is None or unit.masked or (unit.active_state == "active" and job is JobType.START):
                continue
            kind = job if unit.active_state == "active" else JobType.START
            found += [*self._bring(kind, wanted), self._enqueue(kind, wanted, JobMode.REPLACE)]
        if job is JobType.RESTART and self.units[name].active_state == "active":
            for unit in [*self.units.values()]:
                if name in unit.requires and unit.active_state == "active":
                    found += [
                        *self._bring(job, unit.name),
                        self._enqueue(job, unit.name, JobMode.REPLACE),
                    ]
        return found

    async def attend(self, unit: str, job_id: int) -> JobHandle:
        """See `Manager`."""
        await self._round_trip()
        end = self._table.waiter(f"{_JOB_PATH}{job_id}")
        return QueuedJob(unit, job_id, end, self.cancel_job)

    async def cancel_job(self, job_id: int) -> None:
        """See `Manager`."""
        await self._round_trip(f"cancel {job_id}")
        for job in list(self._queue.values()):
            if job.job_id == job_id:
                self.finish(job.unit.name, JobResult.CANCELED)

    async def aclose(self) -> None:
        """See `Manager`."""
        self.lose("the connection to the bus was closed")

    async def _round_trip(self, line: str = "") -> None:
        """Let everybody else run, as a call over the bus does; fails as one does when the bus is gone."""
        if line:
            self.calls.append(line)
        if self._lost is None:
            await asyncio.sleep(0)
        if self._lost is not None:
            raise BusLostError(self._lost.message)

    def _enqueue(self, job: JobType, name: str, mode: JobMode) -> FakeJob:
        unit = self._checked(job, name)
        kind = _effective(job, unit)
        if (queued := self._queue.get(name)) is not None:
            if (queued.type is JobType.STOP) == (kind is JobType.STOP):
                return queued  # merged
            if mode is JobMode.FAIL:
                raise _refusal(
                    "TransactionIsDestructive", f"Transaction for {name}/{kind} is destructive.", name
                )
            self.finish(name, JobResult.CANCELED)
        fake_job = FakeJob(job_id=self._next_id, unit=unit, type=kind)
        self._next_id += 1
        self._queue[name] = fake_job
        self.most_queued = max(self.most_queued, len(self._queue))
        asyncio.get_running_loop().call_soon(self._advance, fake_job)
        return fake_job

    def _checked(self, job: JobType, name: str) -> FakeUnit:
        if not is_askable(name):
            raise decode_error(
                "org.freedesktop.DBus.Error.InvalidArgs", f"Unit name {name} is not valid.", unit=name
            )
        unit = self.units.get(name)
        if unit is None:
            raise _refusal(
                "NoSuchUnit", f"Unit {name} not {'loaded' if job is JobType.STOP else 'found'}.", name
            )
        if unit.masked and job is not JobType.STOP:
            raise _refusal("UnitMasked", f"Unit {name} is masked.", name)
        if job is JobType.RELOAD and not unit.can_reload:
            text = f"Job type reload is not applicable for unit {name}."
            raise _refusal("JobTypeNotApplicable", text, name)
        if job is not JobType.STOP:
            for required in unit.requires:
                self._checked(JobType.START, required)
        return unit

    def _advance(self, job: FakeJob) -> None:
        """Run a job, unless something took it out of the queue first."""
        if self._queue.get(job.unit.name) is not job or self._lost is not None:
            return
        result = self._run(job.unit, job.type)
        if result is not None:
            del self._queue[job.unit.name]
            self._table.removed(job.path, result)

    def _run(self, unit: FakeUnit, job: JobType) -> JobResult | None:
        """Do what the job does to the unit; None where it does not end."""
        if job is JobType.STOP and unit.stop_hangs and unit.active_state == "active":
            unit.active_state, unit.sub_state = "deactivating", "stop"
            return None
        if job is JobType.RELOAD:
            return JobResult.DONE if unit.active_state == "active" else JobResult.INVALID
        if job is JobType.STOP or (job is JobType.START and unit.active_state == "active"):
            become(unit, job)
            return JobResult.DONE
        if job in _TRY and unit.active_state != "active":
            return JobResult.DONE
        for required in unit.requires:
            if self._run(self.units[required], JobType.START) is not JobResult.DONE:
                return JobResult.DEPENDENCY
        if unit.active_state == "active":
            become(unit, JobType.STOP)
        return start(unit)

    def _state(self, name: str) -> UnitState:
        unit = self.units.get(name)
        job = self._queue.get(name)
        return UnitState(
            name=name,
            description=name,
            load_state=unit.load_state if unit else "not-found",
            active_state=unit.active_state if unit else "inactive",
            sub_state=unit.sub_state if unit else "dead",
            job_id=job.job_id if job else 0,
            job_type=job.type.value if job else "",
            object_path=unit_object_path(name),
        )

    def _details(self, name: str) -> UnitDetails:
        unit = self.units.get(name)
        if unit is None:
            return UnitDetails(name=name, load_state="not-found", active_state="inactive", sub_state="dead")
        return UnitDetails(
            name=name,
            load_state=unit.load_state,
            active_state=unit.active_state,
            sub_state=unit.sub_state,
            unit_file_state=unit.file_state,
            fragment_path=unit.fragment_path,
            drop_in_paths=unit.drop_in_paths,
            need_daemon_reload=unit.need_daemon_reload,
            invocation_id=unit.invocation_id,
            timeout_start_usec=90_000_000,
            timeout_stop_usec=90_000_000,
            restart_usec=100_000,
            result=unit.result,
            main_pid=unit.main_pid,
            n_restarts=unit.n_restarts,
            exec_main_status=unit.exec_main_status,
            status_text=unit.status_text,
            state_change_usec=unit.state_change_usec,
        )

    def _link(self, names: Sequence[str], kind: str, state: str) -> tuple[LinkChange, ...]:
        changes: list[LinkChange] = []
        for name in names:
            unit = self.units.get(name)
            if unit is None:
                raise _refusal("NoSuchUnit", f"Unit file {name} does not exist.", name)
            if unit.masked:
                raise _refusal("UnitMasked", f"Unit file {name} is masked.", name)
            if unit.unit_file_state == "static":
                if kind == "symlink":
                    raise nothing_to_enable(names)
            elif unit.unit_file_state != state:
                unit.unit_file_state = state
                link = f"/etc/systemd/system/multi-user.target.wants/{name}"
                changes.append(
                    LinkChange(kind=kind, path=link, target=unit.fragment_path * (kind == "symlink"))
                )
        return tuple(changes)


_ALONE = {JobMode.IGNORE_DEPENDENCIES, JobMode.IGNORE_REQUIREMENTS}
_TRY = {JobType.TRY_RESTART, JobType.RELOAD_OR_TRY_RESTART}


def _refusal(error: str, text: str, unit: str) -> PmNativeError:
    return decode_error(f"org.freedesktop.systemd1.{error}", text, unit=unit)


def _effective(job: JobType, unit: FakeUnit) -> JobType:
    """The job that systemd makes of a request, where the request leaves it the choice."""
    if unit.can_reload and unit.active_state == "active":
        if job in {JobType.RELOAD_OR_RESTART, JobType.RELOAD_OR_TRY_RESTART}:
            return JobType.RELOAD
    elif job is JobType.RELOAD_OR_RESTART:
        return JobType.RESTART
    return job
