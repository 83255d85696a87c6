"""What is recorded of one run, before anything changes, on its way and at its end: all that the next one goes by."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime

from pm_native.apply.outcome import goes_on, has_stopped
from pm_native.apply.runs import runs_now
from pm_native.bus.manager import JobType
from pm_native.compile.bundle import Installed, recorded
from pm_native.plan.model import Action
from pm_native.state.generations import Generation, Generations, who_runs_this

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pm_native.apply.outcome import Outcome, RunOptions
    from pm_native.compile.bundle import Bundle, BundleUnit
    from pm_native.plan.model import Plan
    from pm_native.state.layout import Layout
    from pm_native.state.store import Store


class Ledger:
    """The records of a project, as a run of `plan` writes them. `outcome` fills while it goes on."""

    def __init__(
        self, plan: Plan, store: Store, installed: Installed | None, outcome: Outcome, options: RunOptions
    ) -> None:
        self.held: dict[str, str] = {}  # the units that are left on old settings, and the runs that are
        self.proven: set[str] = set()  # what was watched and stayed up
        self._plan = plan
        self._store = store
        self._installed = installed
        self._outcome = outcome
        self._options = options
        self._generations = Generations(store.directory)
        self._generation: Generation | None = None

    def sweep(self) -> None:
        """Remove what killed runs left among the records."""
        self._store.sweep()
        self._generations.sweep()

    def begin(self) -> None:
        """Keep what is about to be installed, and record who owns what, before anything else changes."""
        self._begin_generation()
        self.record(is_complete=False)
        # By now it is recorded which units are owed a restart: a kill loses none of what has changed.
        self._store.save_contents(self._plan.contents)

    def end(self, *, is_complete: bool, runs: Layout | None) -> None:
        """Record what came of it, and with a layout, which run each service is in."""
        if runs is not None:
            self._record_runs(runs)
        self.record(is_complete=is_complete)
        self._end_generation()

    def forget(self) -> None:
        """Remove the records of a project that is gone."""
        self._generations.forget()
        self._store.forget()

    def keep_true(self, bundle: Bundle, installed: Installed) -> None:
        """Keep the records true where nothing needs a step: the bundle's sources, the end of a killed run."""
        if (killed := self._generations.pending(installed.generation)) is not None:
            self._generations.finish(replace(killed, result="done"), keep=self._options.keep)
        wanted = replace(installed, bundle=recorded(bundle), held=self.held)
        if installed != wanted:
            self._store.save(wanted)
        self._store.save_contents(self._plan.contents)

    @property
    def _number(self) -> int:
        """The number of the generation that this run makes."""
        before = self._installed.generation if self._installed else self._generations.newest_ended()
        return before + 1

    def _begin_generation(self) -> None:
        """Keep what is about to be installed, before anything else changes."""
        if self._plan.bundle is not None:
            self._generation = Generation(
                number=self._number,
                when=datetime.now(UTC).isoformat(timespec="seconds"),
                who=who_runs_this(os.environ),
                command=self._options.command,
                plan=self._plan.digest,
                steps=tuple(f"{step.action} {step.subject}: {step.reason}" for step in self._plan.steps),
            )
            self._generations.begin(self._generation, self._plan.bundle)

    def _end_generation(self) -> None:
        """Record what came of it."""
        if self._generation is None:
            return
        failures = {failure.unit: failure.words for failure in self._outcome.failures}
        ended = replace(self._generation, result=self._outcome.word, failures=failures)
        self._generations.finish(ended, keep=self._options.keep)

    def record(self, *, is_complete: bool) -> None:
        """Record who owns what, and what is owed: of a run that is not through, old files and new ones."""
        generation = self._number
        bundle = self._plan.bundle
        if not is_complete and self._installed is not None:
            bundle = _union(self._installed.bundle, bundle)
        elif bundle is not None and self._installed is not None:
            # What runs yet stays ours until it has stopped: the next run stops it.
            unstopped = self.unstopped()
            left = tuple(unit for unit in self._installed.bundle.units if unit.name in unstopped)
            bundle = replace(bundle, units=(*bundle.units, *left))
        if bundle is not None:
            self._store.save(
                Installed(
                    generation=generation,
                    bundle=bundle,
                    complete=is_complete,
                    to_restart=self._owed(Action.RESTART, Action.RELOAD, Action.ROLL),
                    to_start=self._owed(Action.START),
                    held=self.held,
                    failed=self._failed(),
                )
            )

    def _owed(self, *actions: Action) -> tuple[str, ...]:
        """The units whose job did not succeed and is not in systemd's queue either, where it goes on without us."""
        settled = {job.spec.unit for job in self._outcome.jobs if job.is_success or goes_on(job)}
        settled -= {*self._outcome.canceled}
        return tuple(step.subject for step in self._plan.of(*actions) if step.subject not in settled)

    def _failed(self) -> tuple[str, ...]:
        """The services that did not stay up, and those of before that nobody has seen do so since."""
        names = {failure.unit for failure in self._outcome.failures if failure.unit.endswith(".service")}
        names |= {*(self._installed.failed if self._installed else ())} - self.proven
        return tuple(unit.name for unit in self.wanted_units() if unit.name in names)

    def wanted_units(self) -> tuple[BundleUnit, ...]:
        """What the plan leaves; nothing where the project is removed."""
        return self._plan.bundle.units if self._plan.bundle is not None else ()

    def unstopped(self) -> set[str]:
        """The removed units whose stop failed: somebody cancelled it, for one."""
        wanted = {unit.name for unit in self.wanted_units()}
        return {
            job.spec.unit
            for job in self._outcome.jobs
            if job.spec.type is JobType.STOP and not has_stopped(job) and job.spec.unit not in wanted
        }

    def _record_runs(self, layout: Layout) -> None:
        """Record which run each service is in, by which the next plan knows those that have failed since."""
        before = self._store.load_runs()
        unproven = {step.subject for step in self._plan.of(Action.WATCH)} - self.proven
        runs = runs_now(layout, (unit.name for unit in self.wanted_units()))
        self._store.save_runs(runs | {name: before[name] for name in unproven if name in before})


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
