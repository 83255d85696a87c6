"""A manager that outlives its bus: dbus-daemon started anew, systemd executed again. No job is asked for twice.

Jobs go on in systemd whatever becomes of the bus. So once it is back each is looked for: in the queue by its number,
else in what its unit has done since it was asked for. Only what systemd has never taken is asked for again.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field, replace

from pm_native.bus.manager import BusLostError, JobEnd, JobMode, JobResult, JobType
from pm_native.errors import PmNativeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
    from typing import TypeVar

    from pm_native.bus.manager import JobHandle, LinkChange, Manager, Property, UnitDetails, UnitState

    T = TypeVar("T")

PATIENCE_SEC = 30.0
_EVERY_SEC = 0.1
_LEAST_SEC = 1.0  # what one loss costs of the patience: a bus that comes and goes is given up, too
_UP = frozenset({"active", "reloading", "refreshing"})
_DOWN = frozenset({"inactive", "failed"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What was asked of systemd, and when, by the clock of its own timestamps."""

    job: JobType
    unit: str
    mode: JobMode
    at_usec: int


class LastingManager:
    """`Manager` over one connection after the other; see there for what each method promises.

    `reopen` gives a new connection, or raises. `on_loss` hears why one was lost. After `patience_sec` of waiting in
    all, the loss is raised as a single connection would.
    """

    def __init__(
        self,
        manager: Manager,
        reopen: Callable[[], Awaitable[Manager]],
        *,
        patience_sec: float = PATIENCE_SEC,
        on_loss: Callable[[BusLostError], None] = lambda _: None,
    ) -> None:
        self._manager = manager
        self._reopen = reopen
        self._patience = patience_sec
        self._on_loss = on_loss
        self._renewing = asyncio.Lock()
        self._in_order = asyncio.Lock()  # what is looked for again, in the order in which it was asked
        self._is_closed = False

    @property
    def closed(self) -> bool:
        """See `Manager`."""
        return self._manager.closed

    async def version(self) -> int:
        """See `Manager`."""
        return await self._ask(lambda manager: manager.version())

    async def unit_path(self) -> tuple[str, ...]:
        """See `Manager`."""
        return await self._ask(lambda manager: manager.unit_path())

    async def states(self, names: Sequence[str]) -> dict[str, UnitState]:
        """See `Manager`."""
        return await self._ask(lambda manager: manager.states(names))

    async def list_units(self, patterns: Sequence[str]) -> list[UnitState]:
        """See `Manager`."""
        return await self._ask(lambda manager: manager.list_units(patterns))

    async def details(self, names: Sequence[str]) -> dict[str, UnitDetails]:
        """See `Manager`."""
        return await self._ask(lambda manager: manager.details(names))

    async def properties(self, name: str, interface: str, names: Iterable[str]) -> Mapping[str, Property]:
        """See `Manager`."""
        keys = [*names]
        return await self._ask(lambda manager: manager.properties(name, interface, keys))

    async def unit_file_states(self, names: Sequence[str]) -> dict[str, str]:
        """See `Manager`."""
        return await self._ask(lambda manager: manager.unit_file_states(names))

    async def enable(
        self, names: Sequence[str], *, runtime: bool = False, force: bool = False
    ) -> tuple[LinkChange, ...]:
        """See `Manager`."""
        return await self._ask(lambda manager: manager.enable(names, runtime=runtime, force=force))

    async def disable(self, names: Sequence[str], *, runtime: bool = False) -> tuple[LinkChange, ...]:
        """See `Manager`."""
        return await self._ask(lambda manager: manager.disable(names, runtime=runtime))

    async def reload(self) -> None:
        """See `Manager`; where the bus is lost meanwhile, the unit files are read once more."""
        await self._ask(lambda manager: manager.reload())

    async def reset_failed(self, name: str) -> None:
        """See `Manager`."""
        await self._ask(lambda manager: manager.reset_failed(name))

    async def submit(
        self, job: JobType, unit: str, mode: JobMode = JobMode.REPLACE, *, along: Collection[str] = ()
    ) -> JobHandle:
        """See `Manager`; the jobs that come of it are followed over all connections."""
        asked = _Asked(job=job, unit=unit, mode=mode, at_usec=time.monotonic_ns() // 1000)
        manager = self._manager
        try:
            handle = await manager.submit(job, unit, mode, along=along)
        except BusLostError as lost:
            await self.renew(manager, lost)
            manager, handle = await self.follow(asked, 0)
        return _LastingJob(self, asked, manager, handle)

    async def attend(self, unit: str, job_id: int) -> JobHandle:
        """See `Manager`."""
        return await self._ask(lambda manager: manager.attend(unit, job_id))

    async def cancel_job(self, job_id: int) -> None:
        """See `Manager`."""
        await self._ask(lambda manager: manager.cancel_job(job_id))

    async def aclose(self) -> None:
        """See `Manager`."""
        self._is_closed = True
        await self._manager.aclose()

    async def _ask(self, call: Callable[[Manager], Awaitable[T]]) -> T:
        """Ask what can be asked again without harm."""
        while True:
            manager = self._manager
            try:
                return await call(manager)
            except BusLostError as lost:
                await self.renew(manager, lost)

    async def renew(self, manager: Manager, lost: BusLostError) -> None:
        """Have another connection than `manager`, whose loss is raised where there is none in time."""
        async with self._renewing:
            if self._manager is not manager:
                return  # somebody else was here before
            if self._is_closed or self._patience <= 0:
                raise lost
            self._on_loss(lost)
            began = time.monotonic()
            while True:
                spent = time.monotonic() - began
                if spent > self._patience:
                    self._patience = 0.0
                    raise lost
                try:
                    self._manager = await self._reopen()
                    break
                except PmNativeError:
                    await asyncio.sleep(_EVERY_SEC)  # not there yet; `lost` is raised in the end
            self._patience -= max(_LEAST_SEC, spent)
            await manager.aclose()

    async def follow(self, asked: _Asked, job_id: int) -> tuple[Manager, JobHandle]:
        """What has become of a job (0: it is not known whether systemd took it), and by which connection."""
        async with self._in_order:
            while True:
                manager = self._manager
                try:
                    return manager, await _follow(manager, asked, job_id)
                except BusLostError as lost:
                    await self.renew(manager, lost)


class _LastingJob:
    """`JobHandle`, over one connection after the other."""

    def __init__(self, lasting: LastingManager, asked: _Asked, manager: Manager, handle: JobHandle) -> None:
        self._lasting = lasting
        self._asked = asked
        self._manager = manager
        self._handle = handle
        self.others: Mapping[str, JobHandle] = {
            name: _LastingJob(lasting, replace(asked, unit=name), manager, other)
            for name, other in handle.others.items()
        }

    @property
    def unit(self) -> str:
        """See `JobHandle`."""
        return self._asked.unit

    @property
    def job_id(self) -> int:
        """See `JobHandle`."""
        return self._handle.job_id

    async def result(self) -> JobEnd:
        """See `JobHandle`."""
        while True:
            try:
                return await self._handle.result()
            except BusLostError as lost:
                await self._lasting.renew(self._manager, lost)
                self._manager, self._handle = await self._lasting.follow(self._asked, self.job_id)

    async def cancel(self) -> None:
        """See `JobHandle`."""
        await self._lasting.cancel_job(self.job_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class _EndedJob:
    """`JobHandle` of a job whose end nobody heard, but which can be told."""

    unit: str
    job_id: int
    end: JobEnd
    others: Mapping[str, JobHandle] = field(default_factory=dict)

    async def result(self) -> JobEnd:
        """See `JobHandle`."""
        return self.end

    async def cancel(self) -> None:
        """See `JobHandle`."""


async def _follow(manager: Manager, asked: _Asked, job_id: int) -> JobHandle:
    state = (await manager.states([asked.unit]))[asked.unit]
    is_it = state.job_id == job_id if job_id else _is_such(state.job_type, asked.job)
    if state.job_id and is_it:
        handle = await manager.attend(asked.unit, state.job_id)
        # It is heard of from here on, unless it has ended before.
        if (await manager.states([asked.unit]))[asked.unit].job_id == state.job_id:
            return handle
        job_id = state.job_id
    details = (await manager.details([asked.unit]))[asked.unit]
    result = _result_by_state(asked, details)
    if result is None and job_id:
        result = JobResult.CANCELED  # it left the queue, and the unit has not moved
    if result is None:
        return await manager.submit(asked.job, asked.unit, asked.mode)
    return _EndedJob(unit=asked.unit, job_id=job_id, end=JobEnd(result=result, raw=result.value))


def _is_such(queued: str, job: JobType) -> bool:
    """Whether a job in the queue can be the one that was asked for: nobody else's business is to stop what starts."""
    return bool(queued) and (queued == "stop") == (job is JobType.STOP)


def _result_by_state(asked: _Asked, details: UnitDetails) -> JobResult | None:
    """How a job must have ended that is in no queue; None where the unit shows no sign of it."""
    state, has_moved = details.active_state, details.state_change_usec >= asked.at_usec
    if asked.job is JobType.STOP:
        return JobResult.DONE if state in _DOWN else None
    if state in _UP and (has_moved or asked.job is JobType.START):
        return JobResult.DONE
    if not has_moved:
        return None
    if state == "inactive" and details.result in {"", "success"}:
        return JobResult.DONE  # a task that is through
    return JobResult.FAILED
