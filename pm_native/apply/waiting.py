"""Jobs run with a word, every now and then, of what is waited for: which unit, since when, and for how long at most."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Protocol

from pm_native.bus.scheduler import run_jobs
from pm_native.errors import PmNativeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pm_native.bus.manager import JobType, Manager, UnitDetails
    from pm_native.bus.scheduler import JobEvent, JobOutcome, JobSpec

EVERY_SEC = 1.0
DETAILED = 8  # waits that are told with their times: each is a call of its own
_AT_WORK = frozenset({"activating", "deactivating", "reloading", "refreshing"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """A job whose end is waited for.

    `seconds` since when its unit is at it, `limit_sec` after how many systemd gives up (None: never); `state` is the
    unit's own, "" where the job waits for its turn behind others: then there are no times.
    """

    unit: str
    job: JobType
    state: str = ""
    seconds: float = 0.0
    limit_sec: float | None = None

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


async def run_watched(
    manager: Manager,
    jobs: Sequence[JobSpec],
    progress: JobProgress,
    *,
    stop: asyncio.Event | None = None,
    every_sec: float = EVERY_SEC,
) -> list[JobOutcome]:
    """Run the jobs as `run_jobs` does, and tell `progress` of each and, from time to time, of what is waited for."""
    pending: dict[int, JobSpec] = {}

    def heard(event: JobEvent) -> None:
        if event.outcome is None:
            pending[event.index] = event.spec
        else:
            pending.pop(event.index, None)
        progress.job(event)

    ticker = asyncio.create_task(_tick(manager, pending, progress, every_sec))
    try:
        return await run_jobs(manager, jobs, on_event=heard, stop=stop)
    finally:
        ticker.cancel()
        await asyncio.gather(ticker, return_exceptions=True)


async def _tick(
    manager: Manager, pending: Mapping[int, JobSpec], progress: JobProgress, every_sec: float
) -> None:
    while True:
        await asyncio.sleep(every_sec)
        try:
            waits = await waits_of(manager, {spec.unit: spec.type for spec in pending.values()})
        except PmNativeError:
            return  # the jobs meet the same, and it is they that tell it
        if waits:
            progress.waiting(waits)


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
    )
