"""Runs many jobs through a bounded window, in the order of their dependencies, and loses no outcome.

Two limits make the window necessary: dbus-daemon allows 128 replies in waiting per connection, and systemd takes one
match rule per queued job, of 512; past that PID 1 drops off the bus. It costs nothing: PID 1 is the bound.
"""

from __future__ import annotations

import asyncio
import heapq
from dataclasses import dataclass
from enum import StrEnum
from graphlib import CycleError, TopologicalSorter

from pm_native.bus.manager import BusLostError, BusTimeoutError, JobMode, JobResult
from pm_native.errors import AccessError, PmNativeError, UnavailableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pm_native.bus.manager import JobEnd, JobHandle, JobType, Manager

WINDOW = 32
# What one job met and every further one would meet: a person is not asked for a password a thousand times.
_HOPELESS = (BusLostError, BusTimeoutError, AccessError, UnavailableError)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSpec:
    """A job to run. `after` has the indices of the jobs that must be submitted before this one.

    That is enough for After= and Before= to hold: systemd orders the jobs that it has in its queue by itself.
    `within` has the indices of jobs that may take this one along (a target those of what it wants, a restart those of
    what requires the unit). Then the job that they brought is the one that is watched, and no second one is asked for:
    it would run a program again that has ended by then.
    """

    unit: str
    type: JobType
    mode: JobMode = JobMode.REPLACE
    after: tuple[int, ...] = ()
    within: tuple[int, ...] = ()


class JobStage(StrEnum):
    """How far a job came, as far as we saw."""

    ENDED = "ended"  # `result` says how
    REFUSED = "refused"  # systemd did not take it: `error` says why
    LEFT = "left"  # submitted, and its end not seen: it goes on in systemd
    UNSENT = "unsent"  # never submitted


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOutcome:
    """What became of one job. `duration_sec` counts from its submission to the end of our watch."""

    spec: JobSpec
    stage: JobStage
    result: JobResult | None = None
    raw: str = ""  # the word that systemd said for `result`
    job_id: int = 0
    duration_sec: float = 0.0
    error: PmNativeError | None = None
    reason: str = ""  # why it was left or not sent
    is_overdue: bool = False  # it was left because its time was over

    @property
    def is_success(self) -> bool:
        """Whether systemd did what was asked."""
        return self.result is not None and self.result.is_success

    def words(self, service_result: str = "") -> str:
        """The outcome as the end of a sentence that begins with the unit's name."""
        if self.result is not None:
            known = self.result is not JobResult.UNKNOWN
            return self.result.words(service_result) + ("" if known else f" ({self.raw})")
        return str(self.error) if self.error is not None else self.reason


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEvent:
    """Something to show: a job was submitted (`outcome` None), or its outcome is known."""

    index: int
    spec: JobSpec
    outcome: JobOutcome | None = None


async def run_jobs(  # noqa: PLR0913 - the jobs, and how they are watched
    manager: Manager,
    jobs: Sequence[JobSpec],
    *,
    window: int = WINDOW,
    on_event: Callable[[JobEvent], None] | None = None,
    stop: asyncio.Event | None = None,
    patience: Callable[[int], asyncio.Future[float]] | None = None,
) -> list[JobOutcome]:
    """Run the jobs, at most `window` of them queued at any time, and tell the outcome of each, in the order given.

    A job is watched until it ends, or until the future that `patience` has for its index says after how many seconds
    its time is over; without one there is no such time. No failure of a job raises. When `stop` is set nothing more is submitted and the outcomes are told at once, with
    the jobs under way as LEFT. When the caller is cancelled the same outcomes go to `on_event` before the exception
    goes on. A job that is overdue keeps its place in the window until it ends; when such jobs fill the window the
    rest is UNSENT. ValueError where `after` or `within` is circular or leads outside of `jobs`.
    """
    if window < 1:
        raise ValueError(f"the window must hold a job: {window}")
    run = _Run(manager, jobs, window, on_event, patience)
    return await run.run(submission_order(jobs), stop)


def submission_order(jobs: Sequence[JobSpec]) -> list[int]:
    """The indices so that each comes behind its `after` and `within`, and else as given; ValueError for a circle."""
    sorter: TopologicalSorter[int] = TopologicalSorter()
    for index, spec in enumerate(jobs):
        before = (*spec.after, *spec.within)
        if outside := [other for other in before if not 0 <= other < len(jobs)]:
            raise ValueError(f"{spec.unit} comes after a job that is not there: {outside[0]}")
        sorter.add(index, *before)
    try:
        sorter.prepare()
    except CycleError as error:
        circle = " -> ".join(jobs[index].unit for index in error.args[1])
        raise ValueError(f"jobs that come after each other: {circle}") from error
    order: list[int] = []
    ready = list(sorter.get_ready())
    heapq.heapify(ready)
    while ready:
        index = heapq.heappop(ready)
        order.append(index)
        sorter.done(index)
        for freed in sorter.get_ready():
            heapq.heappush(ready, freed)
    return order


def _holders(jobs: Sequence[JobSpec]) -> list[tuple[int, ...]]:
    """For each job those that it is within, at any remove."""
    found: list[tuple[int, ...]] = [()] * len(jobs)
    for index in submission_order(jobs) if any(spec.within for spec in jobs) else ():
        within = jobs[index].within
        found[index] = tuple(dict.fromkeys((*within, *(far for near in within for far in found[near]))))
    return found


class _Run:
    """The state of one `run_jobs`."""

    def __init__(
        self,
        manager: Manager,
        jobs: Sequence[JobSpec],
        window: int,
        on_event: Callable[[JobEvent], None] | None,
        patience: Callable[[int], asyncio.Future[float]] | None,
    ) -> None:
        self._manager = manager
        self._patience = patience
        self._jobs = jobs
        self._window = window
        self._on_event = on_event
        self._loop = asyncio.get_running_loop()
        self._outcomes: dict[int, JobOutcome] = {}
        self._begun: dict[int, float] = {}
        self._handles: dict[int, JobHandle] = {}
        self._holders = _holders(jobs)
        self._along: dict[int, set[str]] = {}  # by holder, the units whose jobs it may take along,
        for index, spec in enumerate(jobs):
            for holder in self._holders[index]:
                self._along.setdefault(holder, set()).add(spec.unit)
        self._answered = {holder: asyncio.Event() for holder in self._along}  # and whether it can be told
        self._tasks: dict[asyncio.Task[None], int] = {}
        self._overdue: set[int] = set()
        self._changed = asyncio.Event()
        self._broken: PmNativeError | None = None  # why nothing more is submitted
        self._bug: BaseException | None = None

    async def run(self, order: Sequence[int], stop: asyncio.Event | None) -> list[JobOutcome]:
        stopper = asyncio.create_task(stop.wait()) if stop is not None else None
        if stopper is not None:
            stopper.add_done_callback(lambda _: self._changed.set())
        why = "the run was cancelled"
        try:
            why = await self._feed(order, stop)
        finally:
            await self._give_up(order, why, stopper)
        return [self._outcomes[index] for index in range(len(self._jobs))]

    async def _feed(self, order: Sequence[int], stop: asyncio.Event | None) -> str:
        """Submit one job after the other and wait for them; why it ended before all were through, or ""."""
        queue = list(reversed(order))
        while len(self._outcomes) < len(self._jobs):
            if self._bug is not None:
                raise self._bug
            if stop is not None and stop.is_set():
                return "the run was stopped"
            if self._broken is not None and len(self._tasks) == len(self._overdue):
                return self._broken.message
            if queue and len(self._overdue) >= self._window:
                names = ", ".join(self._jobs[index].unit for index in sorted(self._overdue)[:3])
                return f"{len(self._overdue)} jobs before it do not end: {names}, ..."
            while queue and self._broken is None and len(self._tasks) < self._window:
                index = queue.pop()
                # Tasks begin in the order in which they are made, and calls are written in that order.
                task = asyncio.create_task(self._watch(index))
                self._tasks[task] = index
                task.add_done_callback(self._ended)
            self._changed.clear()
            await self._changed.wait()
        return ""

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._overdue.discard(self._tasks.pop(task))
        self._changed.set()
        if not task.cancelled():
            bug = task.exception()  # always asked for, else asyncio complains that nobody did
            self._bug = self._bug or bug

    async def _watch(self, index: int) -> None:
        """Submit one job and see it through, and beyond its time: it takes room in the queue until it ends."""
        spec = self._jobs[index]
        self._begun[index] = self._loop.time()
        try:
            handle = await self._taken_along(index) or await self._manager.submit(
                spec.type, spec.unit, spec.mode, along=self._along.get(index, ())
            )
        except PmNativeError as error:
            self._failed(index, error)
            return
        finally:
            if index in self._answered:
                self._answered[index].set()
        self._handles[index] = handle
        self._tell(index, None)
        end = asyncio.ensure_future(handle.result())
        try:
            if self._patience is not None:
                over = self._patience(index)
                both: list[asyncio.Future[JobEnd] | asyncio.Future[float]] = [end, over]
                await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
                if not end.done():
                    self._overdue.add(index)
                    reason = f"its job did not end within {over.result():g} s, and goes on in systemd"
                    self._settle(index, JobStage.LEFT, reason=reason)
            if not end.done():
                await asyncio.wait([end])
            self._take_end(index, end)
        finally:
            end.cancel()

    async def _taken_along(self, index: int) -> JobHandle | None:
        """The job that another one has brought for this unit."""
        for holder in self._holders[index]:
            await self._answered[holder].wait()
            handle = self._handles.get(holder)
            if handle is not None and (brought := handle.others.get(self._jobs[index].unit)) is not None:
                return brought
        return None

    def _take_end(self, index: int, end: asyncio.Future[JobEnd]) -> None:
        if (error := end.exception()) is None:
            self._settle(index, JobStage.ENDED, end=end.result())
        elif isinstance(error, PmNativeError):
            self._failed(index, error)
        else:
            raise error

    def _failed(self, index: int, error: PmNativeError) -> None:
        """The job was refused, or nobody can tell what became of it."""
        if isinstance(error, _HOPELESS):
            self._broken = error
        unclear = isinstance(error, (BusLostError, BusTimeoutError))
        stage = JobStage.LEFT if unclear else JobStage.REFUSED
        self._settle(index, stage, error=error, reason=error.message if unclear else "")

    def _settle(
        self,
        index: int,
        stage: JobStage,
        *,
        end: JobEnd | None = None,
        error: PmNativeError | None = None,
        reason: str = "",
    ) -> None:
        if index in self._outcomes:  # it was told as overdue: what came later is not news for this run
            return
        handle = self._handles.get(index)
        outcome = JobOutcome(
            spec=self._jobs[index],
            stage=stage,
            result=end.result if end is not None else None,
            raw=end.raw if end is not None else "",
            job_id=handle.job_id if handle is not None else 0,
            duration_sec=self._since(index) if index in self._begun else 0.0,
            error=error,
            reason=reason,
            is_overdue=index in self._overdue,
        )
        self._outcomes[index] = outcome
        self._changed.set()
        self._tell(index, outcome)

    def _since(self, index: int) -> float:
        return self._loop.time() - self._begun[index]

    def _tell(self, index: int, outcome: JobOutcome | None) -> None:
        if self._on_event is not None:
            self._on_event(JobEvent(index=index, spec=self._jobs[index], outcome=outcome))

    async def _give_up(self, order: Sequence[int], why: str, stopper: asyncio.Task[bool] | None) -> None:
        """End our tasks, never the jobs, and settle what is open: begun jobs are LEFT, the others UNSENT."""
        tasks: list[asyncio.Task[None] | asyncio.Task[bool]] = list(self._tasks)
        if stopper is not None:
            tasks.append(stopper)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for index in order:
            stage = JobStage.LEFT if index in self._begun else JobStage.UNSENT
            self._settle(index, stage, error=self._broken, reason=why)
