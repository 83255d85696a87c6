"""Jobs run with a word, every now and then, of what is waited for: which unit, since when, and for how long at most.

What lasts longer than its unit's own limits allow is let go of, and goes on in systemd.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Protocol

from pm_native.bus.manager import JobType
from pm_native.bus.scheduler import run_jobs
from pm_native.errors import PmNativeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pm_native.bus.manager import Manager, UnitDetails
    from pm_native.bus.scheduler import JobEvent, JobOutcome, JobSpec

EVERY_SEC = 1.0
DETAILED = 8  # waits that are told with their times: each is a call of its own
GRACE_SEC = 5.0  # beyond the limits of a unit, by which time systemd has given it up
_USUAL_SEC = 90.0  # for what has no limit of its own, as a target: systemd's default for services
_MAY_EXTEND = frozenset({"notify", "notify-reload"})  # by EXTEND_TIMEOUT_USEC=, which no property tells
_AT_WORK = frozenset({"activating", "deactivating", "reloading", "refreshing"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """A job whose end is waited for.

    `seconds` since when its unit is at it, `limit_sec` after how many systemd gives up (None: never); `state` is the
    unit's own, "" where the job waits for its turn behind others: then there are no times. A program that `may_extend`
    its time can ask systemd for more than the limit.
    """

    unit: str
    job: JobType
    state: str = ""
    seconds: float = 0.0
    limit_sec: float | None = None
    may_extend: bool = False

    def __str__(self) -> str:
        """`shop-db.service start, 12 s of 90 s`."""
        if not self.state:
            return f"{self.unit} {self.job}, behind others"
        of = f" of {self.limit_sec:.0f} s" if self.limit_sec is not None else ", without limit"
        return f"{self.unit} {self.job}, {self.seconds:.0f} s{of}"


class JobProgress(Protocol):
    """Who wants to know how far jobs are."""

    def job(self, event: JobEvent) -> None:
        """A job was submitted, or has ended."""

    def waiting(self, waits: Sequence[Wait]) -> None:
        """Jobs are under way: those at work first, the longest first."""


async def run_watched(  # noqa: PLR0913 - the jobs, and how they are watched
    manager: Manager,
    jobs: Sequence[JobSpec],
    progress: JobProgress,
    *,
    stop: asyncio.Event | None = None,
    every_sec: float = EVERY_SEC,
    grace_sec: float = GRACE_SEC,
) -> list[JobOutcome]:
    """Run the jobs as `run_jobs` does, and tell `progress` of each and, from time to time, of what is waited for.

    A job is overdue when it lasts longer than its unit's own limits and `grace_sec` together.
    """
    patience = _Patience(manager, grace_sec)

    def heard(event: JobEvent) -> None:
        patience.heard(event)
        progress.job(event)

    ticker = asyncio.create_task(_tick(manager, patience, progress, every_sec))
    try:
        return await run_jobs(manager, jobs, on_event=heard, stop=stop, patience=patience.over)
    finally:
        ticker.cancel()
        await asyncio.gather(ticker, return_exceptions=True)


async def _tick(manager: Manager, patience: _Patience, progress: JobProgress, every_sec: float) -> None:
    while True:
        await asyncio.sleep(every_sec)
        try:
            waits = await waits_of(manager, {spec.unit: spec.type for spec in patience.pending.values()})
            if waits:
                progress.waiting(waits)
            await patience.look(waits)
        except PmNativeError:
            return  # the jobs meet the same, and it is they that tell it


class _Patience:
    """How long each job may take: as long as the limits of its unit say, and a little more.

    systemd gives up a unit that is at work for too long, so that ours comes after. But for a job that waits behind one
    of somebody else it has no limit. Behind one of ours that is at work the others wait rightly.
    """

    def __init__(self, manager: Manager, grace_sec: float) -> None:
        self.pending: dict[int, JobSpec] = {}
        self._manager = manager
        self._grace_sec = grace_sec
        self._over: dict[int, asyncio.Future[float]] = {}
        self._since = 0.0  # when one of our jobs began, ended or was at work for the last time

    def heard(self, event: JobEvent) -> None:
        """A job was submitted, or has ended."""
        self._since = time.monotonic()
        if event.outcome is None:
            self.pending[event.index] = event.spec
        else:
            self.pending.pop(event.index, None)

    def over(self, index: int) -> asyncio.Future[float]:
        """Done when the time of this job is over, with how many seconds that was."""
        return self._over.setdefault(index, asyncio.get_running_loop().create_future())

    async def look(self, waits: Sequence[Wait]) -> None:
        """Let go of the jobs whose time is over."""
        now = time.monotonic()
        at_work = [wait for wait in waits if wait.state]
        late = {wait.unit: wait.seconds for wait in at_work if self._is_late(wait)}
        if len(late) < len(at_work):
            self._since = now
        elif now - self._since > self._grace_sec:
            queued = [wait.unit for wait in waits if not wait.state][:DETAILED]
            jobs = {spec.unit: spec.type for spec in self.pending.values()}
            for name, details in (await self._manager.details(queued)).items():
                # A target has no limit of its own, and waits for those that have been let go of.
                usual = _USUAL_SEC if not any(over.done() for over in self._over.values()) else 0.0
                allowed = _allowed_sec(details, jobs[name], usual) if name in jobs else None
                if allowed is not None and now - self._since > allowed + self._grace_sec:
                    late[name] = now - self._since
        for index, spec in [*self.pending.items()]:
            if spec.unit in late and not (over := self.over(index)).done():
                over.set_result(round(late[spec.unit]))

    def _is_late(self, wait: Wait) -> bool:
        return (
            wait.limit_sec is not None
            and not wait.may_extend
            and wait.seconds > wait.limit_sec + self._grace_sec
        )


def _allowed_sec(details: UnitDetails, job: JobType, usual: float) -> float | None:
    """How long a job may take once it is its turn, by the limits of its unit; None: as long as it likes.

    `usual` is for units that have none.
    """
    if details.job_timeout_usec:
        return details.job_timeout_usec / 1e6
    limits = [details.timeout_stop_usec if job is JobType.STOP else details.timeout_start_usec]
    if job is JobType.RESTART:
        limits.append(details.timeout_stop_usec)
    known = [limit for limit in limits if limit is not None]
    return (sum(known) / 1e6 or usual) if len(known) == len(limits) else None


async def waits_of(manager: Manager, jobs: Mapping[str, JobType]) -> list[Wait]:
    """What is waited for where these units have such jobs."""
    states = await manager.states(list(jobs))
    at_work = [name for name in jobs if name in states and states[name].active_state in _AT_WORK]
    details = await manager.details(at_work[:DETAILED])
    now = time.monotonic()
    waits = [_wait(details[name], jobs[name], now) for name in at_work if name in details]
    waits.sort(key=lambda wait: -wait.seconds)
    told = {wait.unit for wait in waits}
    return [*waits, *(Wait(unit=name, job=job) for name, job in jobs.items() if name not in told)]


def _wait(details: UnitDetails, job: JobType, now: float) -> Wait:
    # Each of a unit's states on the way (start-pre, start, ...) has the whole of the time for itself.
    since = details.state_change_usec
    is_stopping = details.active_state == "deactivating"
    limit = details.timeout_stop_usec if is_stopping else details.timeout_start_usec
    return Wait(
        unit=details.name,
        job=job,
        state=details.sub_state,
        seconds=max(0.0, now - since / 1e6) if since else 0.0,
        limit_sec=limit / 1e6 if limit is not None else None,
        may_extend=details.service_type in _MAY_EXTEND,
    )
