"""Runs a plan: the files, one reload of the manager, the jobs, a look whether what started stays up."""

from __future__ import annotations

import asyncio
from itertools import groupby

from pm_native.apply.disk import Disk
from pm_native.apply.failures import FailureReport, Moment, journal_of
from pm_native.apply.ledger import Ledger
from pm_native.apply.outcome import Outcome, RunOptions, goes_on, has_stopped
from pm_native.apply.roll import batches, watch_sec
from pm_native.apply.settle import settle
from pm_native.apply.snapshot import run_ids
from pm_native.apply.targets import alone
from pm_native.apply.verify import verify_units
from pm_native.apply.waiting import run_watched, waits_of
from pm_native.bus.manager import BusLostError, BusTimeoutError, JobMode, JobType
from pm_native.bus.scheduler import JobSpec, JobStage
from pm_native.compile.bundle import FileKind
from pm_native.errors import AccessError, UnavailableError
from pm_native.plan.model import Action
from pm_native.state.files import read_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pm_native.apply.outcome import Progress
    from pm_native.bus.manager import Manager
    from pm_native.bus.scheduler import JobOutcome
    from pm_native.compile.bundle import Installed
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
        self.installed = installed
        self.manager = manager
        self.progress = progress
        self.options = options or RunOptions()
        self.outcome = Outcome()
        self._disk = Disk(plan, layout)
        self._report: FailureReport | None = None
        self._began = Moment()
        self._stop = self.options.stop or asyncio.Event()
        self._ledger = Ledger(plan, store, installed, self.outcome, self.options)
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
                self._ledger.keep_true(self.plan.bundle, self.installed)
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
        self._ledger.begin()
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
        self._ledger.sweep()
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

    async def _find_held(self) -> None:
        """Which runs are left on old settings: a later one of the same unit is not."""
        if self.plan.held and self.manager is not None:
            self._ledger.held = await run_ids(self.manager, self.plan.held)

    def _finish(self) -> None:
        if self.plan.bundle is None and self._is_written and not self._ledger.unstopped():
            self._disk.forget()
            self._ledger.forget()
            return
        # Offline nobody has read the files yet, and which units run is not known.
        self._ledger.end(
            is_complete=self._is_in_place and self.plan.bundle is not None,
            runs=self.layout if self.manager is not None else None,
        )

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
        wanted = {unit.name for unit in self._ledger.wanted_units()}
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
                mode=JobMode.IGNORE_REQUIREMENTS if step.is_alone else JobMode.REPLACE,
                within=(place[step.along_with],) if step.along_with in place else (),
            )
            for step in steps
        ]
        if self.manager is None or not specs:
            return
        specs = await alone(self.manager, specs, {unit.name for unit in self._ledger.wanted_units()})
        outcomes = await run_watched(self.manager, specs, self.progress, stop=self._stop)
        self.outcome.jobs += outcomes
        for job in outcomes:
            if isinstance(job.error, _FATAL):
                self._ledger.record(is_complete=self._is_in_place)
                raise job.error
        for job in outcomes:
            if job.is_success or (job.spec.type is JobType.STOP and has_stopped(job)):
                self.outcome.done += 1
            elif job.stage in {JobStage.ENDED, JobStage.REFUSED} or job.is_overdue:
                await self._reported(self.manager).add(job.spec.unit, job=job)
        await self._leave(self.manager, [job for job in outcomes if goes_on(job)])

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
            self._ledger.proven |= {*names} - {failure.unit for failure in self.outcome.failures}
            self.outcome.done += len(self._ledger.proven & ran_before & {*names})
