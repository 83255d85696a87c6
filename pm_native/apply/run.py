"""Runs a plan: the files, one reload of the manager, the jobs, a look whether what started stays up."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import groupby
from typing import Protocol

from pm_native.apply.disk import Disk
from pm_native.apply.failures import FailureReport, Moment, journal_of
from pm_native.apply.roll import batches, watch_sec
from pm_native.apply.runs import runs_now
from pm_native.apply.settle import SETTLE_SEC, settle
from pm_native.apply.snapshot import run_ids
from pm_native.apply.targets import alone
from pm_native.apply.verify import verify_units
from pm_native.apply.waiting import run_watched, waits_of
from pm_native.bus.manager import BusLostError, BusTimeoutError, JobType, NoSuchUnitError
from pm_native.bus.scheduler import JobSpec, JobStage
from pm_native.compile.bundle import FileKind, Installed, recorded
from pm_native.errors import AccessError, UnavailableError
from pm_native.plan.model import Action
from pm_native.state.files import read_text
from pm_native.state.generations import KEPT, Generation, Generations, who_runs_this

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pm_native.apply.failures import UnitFailure
    from pm_native.apply.waiting import Wait
    from pm_native.bus.manager import Manager
    from pm_native.bus.scheduler import JobEvent, JobOutcome
    from pm_native.compile.bundle import Bundle, BundleUnit
    from pm_native.plan.model import Plan, Step
    from pm_native.state.layout import Layout
    from pm_native.state.store import Store

_JOBS = {
    Action.STOP: JobType.STOP,
    Action.START: JobType.START,
    Action.RESTART: JobType.RESTART,
    Action.RELOAD: JobType.RELOAD,
    Action.ROLL: JobType.RESTART,
}
# What one job met and the run as a whole ends with.
_FATAL = (BusLostError, BusTimeoutError, AccessError, UnavailableError)


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


class Runner:
    """Runs one plan on one host. `manager` None: offline, files only."""

    def __init__(  # noqa: PLR0913 - what a run needs
        self,
        plan: Plan,
        *,
        layout: Layout,
        store: Store,
        installed: Installed | None,
        manager: Manager | None,
        progress: Progress,
        options: RunOptions | None = None,
    ) -> None:
        self.plan = plan
        self.layout = layout
        self.store = store
        self.installed = installed
        self.manager = manager
        self.progress = progress
        self.options = options or RunOptions()
        self.outcome = Outcome()
        self._disk = Disk(plan, layout)
        self._report: FailureReport | None = None
        self._began = Moment()
        self._stop = self.options.stop or asyncio.Event()
        self._generations = Generations(store.directory)
        self._generation: Generation | None = None
        self._held: dict[str, str] = {}  # the units that are left on old settings, and the runs that are
        self._proven: set[str] = set()  # what was watched and stayed up
        self._is_written = False  # the files are in place,
        self._is_in_place = False  # and systemd has read them

    async def run(self) -> Outcome:
        """Run the plan's steps, phase by phase; failures of units are in the outcome, all else is raised.

        Raises AccessError and ConfigError before anything is changed, BusLostError and its kin at any time: then the
        record says what is still to do, and the next plan has it.
        """
        timer = None
        if self.options.timeout_sec is not None:
            timer = asyncio.get_running_loop().call_later(self.options.timeout_sec, self._expire)
        try:
            if self.plan.is_empty and self.installed is not None and self.plan.bundle is not None:
                self._sweep()
                await self._find_held()
                self._record_metadata(self.plan.bundle, self.installed)
            else:
                await self._switch()
        except PermissionError as error:
            hint = "use sudo for the system manager, or --user for your own"
            message = f"cannot write {error.filename}: permission denied"
            raise AccessError(message, hint=hint, needs_root=True) from error
        except OSError as error:
            raise UnavailableError(f"cannot write {error.filename}: {error.strerror}") from error
        finally:
            if timer is not None:
                timer.cancel()
        return self.outcome

    def _expire(self) -> None:
        if not self._stop.is_set():
            self.outcome.is_late = True
            self._stop.set()

    async def _switch(self) -> None:
        self._disk.check_access()
        await self._verify()
        await self._find_held()
        started = self.plan.of(Action.RELOAD, Action.RESTART, Action.START)
        self._sweep()
        self._begin_generation()
        self._record(complete=False)
        # By now it is recorded which units are owed a restart: a kill loses none of what has changed.
        self.store.save_contents(self.plan.contents)
        await self._run_jobs(self.plan.of(Action.STOP))
        if not self._is_stopped():
            self._disk.run(self._done)
            self._is_written = True
            await self._reload_manager()
            self._is_in_place = self.manager is not None
        if not self._is_stopped():
            await self._run_jobs(started)
        if not self._is_stopped():
            await self._settle(self.plan.of(Action.RESTART, Action.START, Action.WATCH))
        if not self._is_stopped():
            await self._roll()
            self._is_stopped()
        self._finish()

    def _sweep(self) -> None:
        """Remove what a killed run left; its record is always incomplete when it left something among the units."""
        self.store.sweep()
        self._generations.sweep()
        if self.installed is not None and not self.installed.complete:
            self._disk.sweep(self.installed.bundle)

    def _is_stopped(self) -> bool:
        self.outcome.is_interrupted = self._stop.is_set() and not self.outcome.is_late
        return self._stop.is_set()

    async def _verify(self) -> None:
        """Hear systemd on the unit files that differ, while nothing has changed yet."""
        written = {step.subject for step in self.plan.of(Action.WRITE) if step.kind is FileKind.UNIT}
        if self.manager is None or self.plan.bundle is None or not written:
            return
        await verify_units(
            self.plan.bundle,
            [item for item in self.plan.bundle.files if item.name in written],
            systemd_version=await self.manager.version(),
            allow_missing=self.options.allow_missing,
        )

    def _record_metadata(self, bundle: Bundle, installed: Installed) -> None:
        """Keep the records true where nothing needs a step: the bundle's sources, the end of a killed run."""
        if (killed := self._generations.pending(installed.generation)) is not None:
            self._generations.finish(replace(killed, result="done"), keep=self.options.keep)
        wanted = replace(installed, bundle=recorded(bundle), held=self._held)
        if installed != wanted:
            self.store.save(wanted)
        self.store.save_contents(self.plan.contents)

    @property
    def _number(self) -> int:
        """The number of the generation that this run makes."""
        before = self.installed.generation if self.installed else self._generations.newest_ended()
        return before + 1

    def _begin_generation(self) -> None:
        """Keep what is about to be installed, before anything else changes."""
        if self.plan.bundle is not None:
            self._generation = Generation(
                number=self._number,
                when=datetime.now(UTC).isoformat(timespec="seconds"),
                who=who_runs_this(os.environ),
                command=self.options.command,
                plan=self.plan.digest,
                steps=tuple(f"{step.action} {step.subject}: {step.reason}" for step in self.plan.steps),
            )
            self._generations.begin(self._generation, self.plan.bundle)

    def _end_generation(self) -> None:
        """Record what came of it."""
        if self._generation is None:
            return
        failures = {failure.unit: failure.words for failure in self.outcome.failures}
        ended = replace(self._generation, result=self.outcome.word, failures=failures)
        self._generations.finish(ended, keep=self.options.keep)

    def _record(self, *, complete: bool) -> None:
        """Record who owns what, and what is owed: of a run that is not through, old files and new ones."""
        generation = self._number
        bundle = self.plan.bundle
        if not complete and self.installed is not None:
            bundle = _union(self.installed.bundle, bundle)
        elif bundle is not None and self.installed is not None:
            # What runs yet stays ours until it has stopped: the next run stops it.
            unstopped = self._unstopped()
            left = tuple(unit for unit in self.installed.bundle.units if unit.name in unstopped)
            bundle = replace(bundle, units=(*bundle.units, *left))
        if bundle is not None:
            self.store.save(
                Installed(
                    generation=generation,
                    bundle=bundle,
                    complete=complete,
                    to_restart=self._owed(Action.RESTART, Action.RELOAD, Action.ROLL),
                    to_start=self._owed(Action.START),
                    held=self._held,
                    failed=self._failed(),
                )
            )

    def _owed(self, *actions: Action) -> tuple[str, ...]:
        """The units whose job did not succeed and is not in systemd's queue either, where it goes on without us."""
        settled = {job.spec.unit for job in self.outcome.jobs if job.is_success or _goes_on(job)}
        settled -= {*self.outcome.canceled}
        return tuple(step.subject for step in self.plan.of(*actions) if step.subject not in settled)

    def _failed(self) -> tuple[str, ...]:
        """The services that did not stay up, and those of before that nobody has seen do so since."""
        names = {failure.unit for failure in self.outcome.failures if failure.unit.endswith(".service")}
        names |= {*(self.installed.failed if self.installed else ())} - self._proven
        return tuple(unit.name for unit in self._wanted_units() if unit.name in names)

    def _wanted_units(self) -> tuple[BundleUnit, ...]:
        return self.plan.bundle.units if self.plan.bundle is not None else ()

    async def _find_held(self) -> None:
        """Which runs are left on old settings: a later one of the same unit is not."""
        if self.plan.held and self.manager is not None:
            self._held = await run_ids(self.manager, self.plan.held)

    def _unstopped(self) -> set[str]:
        """The removed units whose stop failed: somebody cancelled it, for one."""
        wanted = {unit.name for unit in self._wanted_units()}
        return {
            job.spec.unit
            for job in self.outcome.jobs
            if job.spec.type is JobType.STOP and not _has_stopped(job) and job.spec.unit not in wanted
        }

    def _finish(self) -> None:
        if self.plan.bundle is None and self._is_written and not self._unstopped():
            self._disk.forget()
            self._generations.forget()
            self.store.forget()
            return
        self._record_runs()
        # Offline nobody has read the files yet, and which units run is not known.
        self._record(complete=self._is_in_place and self.plan.bundle is not None)
        self._end_generation()

    def _record_runs(self) -> None:
        """Record which run each service is in, by which the next plan knows those that have failed since."""
        if self.manager is None:
            return
        before = self.store.load_runs()
        unproven = {step.subject for step in self.plan.of(Action.WATCH)} - self._proven
        runs = runs_now(self.layout, (unit.name for unit in self._wanted_units()))
        self.store.save_runs(runs | {name: before[name] for name in unproven if name in before})

    async def _reload_manager(self) -> None:
        if self.manager is None:
            return
        for step in self.plan.of(Action.RELOAD_MANAGER):
            await self.manager.reload()
            self._done(step)
        for step in self.plan.of(Action.RESET_FAILED):
            await self.manager.reset_failed(step.subject)
            self._done(step)
        await self._forget_stopped(self.manager)

    async def _forget_stopped(self, manager: Manager) -> None:
        """A removed unit that did not end well when it was stopped would stay in sight as failed."""
        wanted = {unit.name for unit in self._wanted_units()}
        names = [step.subject for step in self.plan.of(Action.STOP) if step.subject not in wanted]
        for state in (await manager.states(names)).values() if names else ():
            if state.active_state == "failed":
                await manager.reset_failed(state.name)

    def _done(self, step: Step) -> None:
        self.outcome.done += 1
        self.progress.done(step)

    async def _run_jobs(self, steps: Sequence[Step]) -> None:
        place = {step.subject: index for index, step in enumerate(steps)}
        specs = [
            JobSpec(
                unit=step.subject,
                type=_JOBS[step.action],
                within=(place[step.along_with],) if step.along_with in place else (),
            )
            for step in steps
        ]
        if self.manager is None or not specs:
            return
        specs = await alone(self.manager, specs, {unit.name for unit in self._wanted_units()})
        outcomes = await run_watched(self.manager, specs, self.progress, stop=self._stop)
        self.outcome.jobs += outcomes
        for job in outcomes:
            if isinstance(job.error, _FATAL):
                self._record(complete=self._is_in_place)
                raise job.error
        for job in outcomes:
            if job.is_success or (job.spec.type is JobType.STOP and _has_stopped(job)):
                self.outcome.done += 1
            elif job.stage in {JobStage.ENDED, JobStage.REFUSED} or job.is_overdue:
                await self._reported(self.manager).add(job.spec.unit, job=job)
        await self._leave(self.manager, [job for job in outcomes if _goes_on(job)])

    async def _leave(self, manager: Manager, jobs: list[JobOutcome]) -> None:
        """Say what systemd goes on with when we do not, or take it back."""
        if jobs:
            self.outcome.waits += await waits_of(manager, {job.spec.unit: job.spec.type for job in jobs})
        if self.options.cancel_queued:
            # Backwards: the end of a job, of whatever kind, sets those free that wait behind it.
            for job in reversed(jobs):
                await manager.cancel_job(job.job_id)
            self.outcome.canceled += [job.spec.unit for job in jobs]

    def _reported(self, manager: Manager) -> FailureReport:
        if self._report is None:
            self._report = FailureReport(
                manager=manager,
                bundle=self.plan.bundle or (self.installed.bundle if self.installed else None),
                scope=self.layout.scope,
                read_journal=journal_of(self.layout.scope, self._began),
                read_unit_file=lambda name: read_text(self.layout.units / name) or "",
                failures=self.outcome.failures,
            )
        return self._report

    async def _roll(self) -> None:
        """Restart pools by and by; not after a failure, and no further than to the first one."""
        steps = self.plan.of(Action.ROLL)
        if self.manager is None or not steps or self.outcome.failures or self.plan.bundle is None:
            return
        units = {unit.name: unit for unit in self.plan.bundle.units}
        texts = {item.name: item.text for item in self.plan.bundle.files}
        for file, group in groupby(steps, key=lambda step: units[step.subject].file):
            pool = [*group]
            first, *others = batches(pool, units[pool[0].subject].at_once)
            for batch in [first] if self.options.is_canary else [first, *others]:
                await self._run_jobs(batch)
                await self._settle(batch, watch_sec(texts[file], self.options.settle_sec))
                if self.outcome.failures:
                    self.outcome.has_failed_roll = True
                if self.outcome.failures or self._is_stopped():
                    return
            if self.options.is_canary:
                self.outcome.held_back += [step.subject for batch in others for step in batch]

    async def _settle(self, steps: Iterable[Step], seconds: float | None = None) -> None:
        failed = {failure.unit for failure in self.outcome.failures}
        names = [
            step.subject
            for step in steps
            if step.subject.endswith(".service") and step.subject not in failed
        ]
        if seconds is None:
            seconds = self.options.settle_sec
        if self.manager is None or not names or not self.options.settle_sec:
            return
        report = self._reported(self.manager)
        if seconds:
            self.progress.settling(seconds)
        ran_before = {step.subject for step in self.plan.of(Action.WATCH)}
        await settle(
            self.manager,
            names,
            seconds,
            lambda name, words: report.add(name, words=words),
            self._stop,
            ran_before=ran_before,
        )
        if not self._stop.is_set():
            self._proven |= {*names} - {failure.unit for failure in self.outcome.failures}
            self.outcome.done += len(self._proven & ran_before & {*names})


def _has_stopped(job: JobOutcome) -> bool:
    return job.is_success or isinstance(job.error, NoSuchUnitError)


def _goes_on(job: JobOutcome) -> bool:
    return job.stage is JobStage.LEFT and job.job_id != 0


def _union(old: Bundle, new: Bundle | None) -> Bundle:
    """Everything that either bundle owns, the new one's word first."""
    if new is None:
        return old
    files = {item.name: item for item in (*old.files, *new.files)}
    units = {item.name: item for item in (*old.units, *new.units)}
    return replace(
        new,
        files=tuple(files.values()),
        units=tuple(units.values()),
        wanted_by={**old.wanted_by, **new.wanted_by},
    )
