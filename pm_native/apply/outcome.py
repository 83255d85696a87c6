"""How a run goes about it, who is told how far it is, and what it comes to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from pm_native.apply.settle import SETTLE_SEC
from pm_native.bus.manager import NoSuchUnitError
from pm_native.bus.scheduler import JobStage
from pm_native.state.generations import KEPT

TYPE_CHECKING = False
if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

    from pm_native.apply.failures import UnitFailure
    from pm_native.apply.waiting import Wait
    from pm_native.bus.scheduler import JobEvent, JobOutcome
    from pm_native.plan.model import Step


class Progress(Protocol):
    """Who wants to know how far a run is."""

    def done(self, step: Step) -> None:
        """A step that is not a job was done."""

    def job(self, event: JobEvent) -> None:
        """A job was submitted, or has ended."""

    def waiting(self, waits: Sequence[Wait]) -> None:
        """Jobs are under way for a while: see `JobProgress`."""

    def settling(self, seconds: float) -> None:
        """All jobs are through; the units are watched for so long."""


@dataclass(slots=True)
class Outcome:
    """What a run came to: how many steps were done, the jobs' outcomes, the units that failed.

    Of a run that was interrupted, or whose time was over (`is_late`), and of jobs whose own time was: what was waited for
    at that moment, and which units' jobs were taken back. `has_failed_roll`: an instance of a pool did not come back, and the others were let be;
    `held_back` are those that wait for the word that the canary lives.
    """

    done: int = 0
    jobs: list[JobOutcome] = field(default_factory=list)
    failures: list[UnitFailure] = field(default_factory=list)
    is_interrupted: bool = False
    is_late: bool = False
    waits: list[Wait] = field(default_factory=list)
    canceled: list[str] = field(default_factory=list)
    has_failed_roll: bool = False
    held_back: list[str] = field(default_factory=list)

    @property
    def word(self) -> str:
        """What the history says of it."""
        if self.is_interrupted:
            return "interrupted"
        return "timed out" if self.is_late else "failed" if self.failures else "done"

    def units(self, stage: JobStage) -> list[str]:
        """The units whose job came so far and no further."""
        return [job.spec.unit for job in self.jobs if job.stage is stage]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """How a run goes about it. `stop`, once set, ends it at the next safe point, and so does the end of `timeout_sec`.

    What is queued then goes on in systemd, unless `cancel_queued` takes it back. `command` is what the history says was
    run, `keep` how many generations are kept. `is_canary` restarts the first of each pool that is rolled; the next run goes on from there.
    """

    settle_sec: float = SETTLE_SEC
    allow_missing: bool = False
    command: str = "apply"
    keep: int = KEPT
    stop: asyncio.Event | None = None
    timeout_sec: float | None = None
    cancel_queued: bool = False
    is_canary: bool = False


def has_stopped(job: JobOutcome) -> bool:
    """Whether a job has stopped its unit, or found that it is gone."""
    return job.is_success or isinstance(job.error, NoSuchUnitError)


def goes_on(job: JobOutcome) -> bool:
    """Whether systemd goes on with the job without us."""
    return job.stage is JobStage.LEFT and job.job_id != 0
