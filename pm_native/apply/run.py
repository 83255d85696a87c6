"""Runs a plan: the files, one reload of the manager, the jobs, a look whether what started stays up."""

from __future__ import annotations

import asyncio
import os
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from pm_native.apply.failures import describe_failure
from pm_native.apply.snapshot import file_path
from pm_native.bus.manager import JobType
from pm_native.bus.scheduler import JobSpec, run_jobs
from pm_native.compile.bundle import FileKind, Installed
from pm_native.errors import AccessError, UnavailableError
from pm_native.plan.model import Action
from pm_native.state.files import link_atomic, remove, write_atomic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from pm_native.apply.failures import UnitFailure
    from pm_native.bus.manager import Manager
    from pm_native.bus.scheduler import JobEvent, JobOutcome
    from pm_native.compile.bundle import Bundle, LogDirectory
    from pm_native.plan.model import Plan, Step
    from pm_native.state.layout import Layout
    from pm_native.state.store import Store

SETTLE_SEC = 1.0
_JOBS = {
    Action.STOP: JobType.STOP,
    Action.START: JobType.START,
    Action.RESTART: JobType.RESTART,
    Action.RELOAD: JobType.RELOAD,
}


class Progress(Protocol):
    """Who wants to know how far a run is."""

    def done(self, step: Step) -> None:
        """A step that is not a job was done."""

    def job(self, event: JobEvent) -> None:
        """A job was submitted, or has ended."""

    def settling(self, seconds: float) -> None:
        """All jobs are through; the units are watched for so long."""


@dataclass(slots=True)
class Outcome:
    """What a run came to: how many steps were done, the jobs' outcomes, the units that failed."""

    done: int = 0
    jobs: list[JobOutcome] = field(default_factory=list)
    failures: list[UnitFailure] = field(default_factory=list)


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
        settle_sec: float = SETTLE_SEC,
    ) -> None:
        self.plan = plan
        self.layout = layout
        self.store = store
        self.installed = installed
        self.manager = manager
        self.progress = progress
        self.settle_sec = settle_sec
        self.outcome = Outcome()

    async def run(self) -> Outcome:
        """Run the plan's steps, phase by phase; failures of units are in the outcome, all else is raised."""
        if self.plan.is_empty and self.installed is not None and self.plan.bundle is not None:
            self._record_metadata(self.plan.bundle, self.installed)
            return self.outcome
        try:
            self._record(complete=False)
            await self._run_jobs(self.plan.of(Action.STOP))
            self._run_files()
            await self._reload_manager()
            started = self.plan.of(Action.RELOAD, Action.RESTART, Action.START)
            await self._run_jobs(started)
            await self._settle(step for step in started if step.action is not Action.RELOAD)
            self._finish()
        except PermissionError as error:
            raise AccessError(
                f"cannot write {error.filename}: permission denied",
                hint="use sudo for the system manager, or --user for your own",
            ) from error
        except OSError as error:
            raise UnavailableError(f"cannot write {error.filename}: {error.strerror}") from error
        return self.outcome

    def _record_metadata(self, bundle: Bundle, installed: Installed) -> None:
        """Keep the record true where a bundle differs only in what needs no step: its sources, for one."""
        wanted = Installed(generation=installed.generation, bundle=bundle)
        if self.store.load() != replace(wanted, bundle=without_texts(bundle)):
            self.store.save(wanted)

    def _record(self, *, complete: bool) -> None:
        """Record who owns what before anything changes: old files and new ones, should the run end half-way."""
        generation = (self.installed.generation if self.installed else 0) + 1
        bundle = self.plan.bundle
        if not complete and self.installed is not None:
            bundle = _union(self.installed.bundle, bundle)
        if bundle is not None:
            self.store.save(Installed(generation=generation, bundle=bundle, complete=complete))

    def _finish(self) -> None:
        if self.plan.bundle is None:
            environment = self.layout.environment(self.plan.project)
            if environment.is_dir():
                environment.rmdir()
            self.store.forget()
        else:
            self._record(
                complete=all(job.is_success for job in self.outcome.jobs) and not self.outcome.failures
            )

    def _run_files(self) -> None:
        """The steps that touch the disk, in the order of the plan."""
        texts = {item.name: item for item in self.plan.bundle.files} if self.plan.bundle else {}
        directories = {item.path: item for item in self.plan.bundle.directories} if self.plan.bundle else {}
        for step in self.plan.steps:
            path = file_path(self.layout, self.plan.project, step.kind, step.subject)
            match step.action:
                case Action.MAKE_DIRECTORY:
                    self._make_directory(directories[step.subject])
                case Action.WRITE:
                    item = texts[step.subject]
                    mode = 0o700 if step.kind is FileKind.ENVIRONMENT else 0o755
                    path.parent.mkdir(parents=True, exist_ok=True, mode=mode)
                    write_atomic(path, item.text.encode(), item.mode)
                case Action.DELETE | Action.UNLINK:
                    remove(path)
                case Action.LINK:
                    path.parent.mkdir(parents=True, exist_ok=True)
                    link_atomic(path, str(self._installed_path(path.name)))
                case _:
                    continue
            self._done(step)

    def _installed_path(self, unit: str) -> Path:
        """The path of a unit file as the host itself sees it, whatever our root."""
        return Path("/") / self.layout.units.relative_to(self.layout.root) / unit

    def _make_directory(self, item: LogDirectory) -> None:
        path = self.layout.root / item.path.lstrip("/")
        path.mkdir(parents=True, exist_ok=True)
        if item.user and os.geteuid() == 0 and self.manager is not None:
            shutil.chown(path, item.user, item.group or None)

    async def _reload_manager(self) -> None:
        if self.manager is None:
            return
        for step in self.plan.of(Action.RELOAD_MANAGER):
            await self.manager.reload()
            self._done(step)
        for step in self.plan.of(Action.RESET_FAILED):
            await self.manager.reset_failed(step.subject)
            self._done(step)

    def _done(self, step: Step) -> None:
        self.outcome.done += 1
        self.progress.done(step)

    async def _run_jobs(self, steps: Iterable[Step]) -> None:
        if self.manager is None:
            return
        specs = [JobSpec(unit=step.subject, type=_JOBS[step.action]) for step in steps]
        outcomes = await run_jobs(self.manager, specs, on_event=self.progress.job)
        self.outcome.jobs += outcomes
        self.outcome.done += len(outcomes)
        for job in outcomes:
            if not job.is_success:
                await self._failed(job.spec.unit, job)

    async def _failed(self, unit: str, job: JobOutcome) -> None:
        if self.manager is None:
            raise TypeError("a job needs a manager")
        details = (await self.manager.details([unit])).get(unit)
        await self._add_failure(unit, job.words(details.result if details else ""))

    async def _add_failure(self, unit: str, words: str) -> None:
        if self.manager is not None:
            bundle = self.plan.bundle or (self.installed.bundle if self.installed else None)
            failure = await describe_failure(
                self.manager, unit, words, bundle=bundle, scope=self.layout.scope
            )
            self.outcome.failures.append(failure)

    async def _settle(self, steps: Iterable[Step]) -> None:
        """Watch what was started for a while: `done` is said of a program that dies at once, too."""
        failed = {failure.unit for failure in self.outcome.failures}
        names = [
            step.subject
            for step in steps
            if step.subject.endswith(".service") and step.subject not in failed
        ]
        if self.manager is None or not names:
            return
        self.progress.settling(self.settle_sec)
        await asyncio.sleep(self.settle_sec)
        states = await self.manager.states(names)
        restarts = await _restart_counts(self.manager, names)
        for name in names:
            state = states.get(name)
            if state is not None and state.active_state == "failed":
                await self._add_failure(name, f"it ended within {self.settle_sec:g} s of its start")
            elif state is not None and state.sub_state == "auto-restart":
                await self._add_failure(name, "it ended and waits for its next restart")
            elif restarts[name]:
                times = "once" if restarts[name] == 1 else f"{restarts[name]} times"
                await self._add_failure(
                    name, f"it was restarted {times} within {self.settle_sec:g} s of its start"
                )


async def _restart_counts(manager: Manager, names: list[str]) -> dict[str, int]:
    found = await asyncio.gather(*(manager.properties(name, "Service", ["NRestarts"]) for name in names))
    return {name: int(str(values.get("NRestarts", 0))) for name, values in zip(names, found, strict=True)}


def without_texts(bundle: Bundle) -> Bundle:
    """The bundle as a record gives it back."""
    return replace(bundle, files=tuple(replace(item, text="") for item in bundle.files))


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
