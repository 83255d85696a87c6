"""From another process manager to systemd, one process at a time: stop it there, start its units, look, or go back.

What is between the two is written down before it is stopped: a run that was killed there is gone on with by the next.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from pm_native.apply.failures import FailureReport, Moment, journal_of
from pm_native.apply.settle import SETTLE_SEC, settle
from pm_native.apply.targets import alone
from pm_native.apply.waiting import run_watched
from pm_native.bus.manager import JobMode, JobType
from pm_native.bus.scheduler import JobSpec
from pm_native.errors import PmNativeError
from pm_native.plan.order import dependencies_first
from pm_native.state.files import read_text, write_atomic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from pm_native.apply.failures import UnitFailure
    from pm_native.apply.waiting import JobProgress
    from pm_native.bus.manager import Manager
    from pm_native.compile.bundle import Bundle, BundleUnit
    from pm_native.state.layout import Layout

_BACK_LOOK_SEC = 0.2


class OldManager(Protocol):
    """The process manager that things are moved away from. Each call blocks, and may raise PmNativeError."""

    def stop(self, handles: Sequence[str]) -> None:
        """Stop processes, and wait until they have ended; also those that somebody else has asked to stop."""

    def start(self, handles: Sequence[str]) -> None:
        """Start processes that were stopped."""

    def running(self) -> frozenset[str]:
        """The handles of all processes that run now."""


class Step(StrEnum):
    """What became of one process."""

    MOVED = "moved"
    ALREADY = "already moved"
    NOT_RUNNING = "not running"  # there: so its units are installed and not started
    STARTED = "started"  # the old manager did not have it
    BACK = "went back"
    STUCK = "neither runs"  # its units failed, and so did the way back
    BOTH = "runs in both"
    UNTOUCHED = "not touched"

    @property
    def is_done(self) -> bool:
        """Whether the old manager is needed for it no more."""
        return self in {Step.MOVED, Step.ALREADY, Step.NOT_RUNNING, Step.STARTED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """One process to move: its handles in the old manager, those of them that ran when the plan was made."""

    process: str
    handles: tuple[str, ...]
    running: tuple[str, ...]


@dataclass(slots=True, kw_only=True)
class Moved:
    """What became of one process, and why it is not where it should be."""

    process: str
    step: Step
    why: str = ""
    failures: list[UnitFailure] = field(default_factory=list)


class MigrationProgress(Protocol):
    """Who wants to know how far a migration is."""

    @property
    def jobs(self) -> JobProgress:
        """Who wants to know of the jobs."""

    def moving(self, move: Move) -> None:
        """The process is stopped in the old manager now."""

    def moved(self, result: Moved) -> None:
        """This became of a process."""


@dataclass(slots=True, kw_only=True)
class Migration:
    """Moves processes whose unit files are in place. `journal` is where what is between the two is written down."""

    manager: Manager
    old: OldManager
    bundle: Bundle
    layout: Layout
    journal: Path
    progress: MigrationProgress
    settle_sec: float = SETTLE_SEC
    keep_going: bool = False
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    _between: set[str] = field(default_factory=set)

    async def run(self, moves: Sequence[Move]) -> list[Moved]:
        """Move each process, dependencies first; after one that does not come up the rest is left untouched.

        With `keep_going` the others are moved all the same, but for those that depend on one that went back.
        """
        by_name = {move.process: move for move in moves}
        depends = self._dependencies()
        results: dict[str, Moved] = {}
        self._between = self._interrupted()
        for name in dependencies_first(by_name, depends):
            move = by_name[name]
            lost = [
                other
                for other in depends.get(name, ())
                if other in results and not results[other].step.is_done
            ]
            failed = any(not result.step.is_done for result in results.values())
            if lost or self.stop.is_set() or (failed and not self.keep_going):
                why = f"it depends on {lost[0]}" if lost and self.keep_going else ""
                results[name] = Moved(process=name, step=Step.UNTOUCHED, why=why)
            else:
                results[name] = await self._move(move)
            self.progress.moved(results[name])
        return [results[move.process] for move in moves]

    async def _move(self, move: Move) -> Moved:
        units = [unit for unit in self.bundle.units if unit.process == move.process and unit.start]
        names = [unit.name for unit in units]
        is_up = await self._any_up(names)
        running = await asyncio.to_thread(self.old.running)
        there = [handle for handle in move.handles if handle in running]
        # What a killed run had stopped is as good as running: it was, and nobody else meant to stop it. Nor did that
        # run come to see whether its units stay up.
        cut_short = [handle for handle in move.handles if handle in self._between]
        was_running = there or cut_short
        if is_up and there:
            why = f"{', '.join(names)} and {', '.join(there)} run at the same time: stop one of them"
            return Moved(process=move.process, step=Step.BOTH, why=why)
        if is_up and not cut_short:
            return Moved(process=move.process, step=Step.ALREADY)
        if move.handles and not was_running:
            return Moved(process=move.process, step=Step.NOT_RUNNING)
        if not units:
            return Moved(process=move.process, step=Step.NOT_RUNNING, why="it is not started by itself")
        self.progress.moving(move)
        self._remember(was_running)
        failures: list[UnitFailure] = []
        try:
            await asyncio.to_thread(self.old.stop, was_running)
            failures = await self._start(units)
            error = ""
        except PmNativeError as problem:
            error = problem.message
        if not failures and not error:
            self._forget(move.handles)
            return Moved(process=move.process, step=Step.MOVED if move.handles else Step.STARTED)
        return await self._go_back(move, units, was_running, failures, error)

    async def _start(self, units: Sequence[BundleUnit]) -> list[UnitFailure]:
        """Start the units of a process and watch them; why they are not up."""
        began = Moment()
        place = {unit.name: index for index, unit in enumerate(units)}
        specs = [
            JobSpec(
                unit=unit.name,
                type=JobType.START,
                after=tuple(place[name] for name in unit.after if name in place and place[name] != index),
            )
            for index, unit in enumerate(units)
        ]
        services = [unit.name for unit in units if unit.name.endswith(".service")]
        await asyncio.gather(*(self.manager.reset_failed(name) for name in services))
        report = FailureReport(
            manager=self.manager,
            bundle=self.bundle,
            scope=self.layout.scope,
            read_journal=journal_of(self.layout.scope, began),
            read_unit_file=lambda name: read_text(self.layout.units / name) or "",
        )
        specs = await alone(self.manager, specs, {unit.name for unit in self.bundle.units})
        outcomes = await run_watched(self.manager, specs, self.progress.jobs, stop=self.stop)
        for outcome in outcomes:
            if not outcome.is_success:
                await report.add(outcome.spec.unit, job=outcome)
        if not report.failures and services and self.settle_sec:
            await settle(
                self.manager,
                services,
                self.settle_sec,
                lambda name, words: report.add(name, words=words),
                None,
            )
        return report.failures

    async def _go_back(
        self,
        move: Move,
        units: Sequence[BundleUnit],
        handles: Sequence[str],
        failures: list[UnitFailure],
        error: str,
    ) -> Moved:
        """Stop the units, and start the process in the old manager again."""
        why = error or f"{failures[0].unit}: {failures[0].words}"
        specs = [JobSpec(unit=unit.name, type=JobType.STOP) for unit in reversed(units)]
        await run_watched(self.manager, specs, self.progress.jobs)
        for unit in units:
            if unit.name.endswith(".service"):
                await self.manager.reset_failed(unit.name)
        result = Moved(process=move.process, step=Step.BACK, why=why, failures=failures)
        try:
            await asyncio.to_thread(self.old.start, handles)
            await asyncio.sleep(_BACK_LOOK_SEC)
            running = await asyncio.to_thread(self.old.running)
            if lost := [handle for handle in handles if handle not in running]:
                result.step = Step.STUCK
                result.why = f"{why}; and {', '.join(lost)} did not come up again either"
        except PmNativeError as problem:
            result.step = Step.STUCK
            result.why = f"{why}; and the way back: {problem.message}"
        self._forget(handles)
        return result

    async def finish(self) -> None:
        """Start the target of the project without what it wants: that runs, or was left stopped on purpose."""
        spec = JobSpec(
            unit=f"{self.bundle.project}.target", type=JobType.START, mode=JobMode.IGNORE_DEPENDENCIES
        )
        await run_watched(self.manager, [spec], self.progress.jobs)

    async def _any_up(self, names: Sequence[str]) -> bool:
        states = await self.manager.states(names)
        return any(state.active_state in {"active", "activating", "reloading"} for state in states.values())

    def _dependencies(self) -> Mapping[str, tuple[str, ...]]:
        """Per process the processes that it comes after."""
        owner = {unit.name: unit.process for unit in self.bundle.units if unit.process}
        found: dict[str, dict[str, None]] = {}
        for unit in self.bundle.units:
            for name in (*unit.after, *unit.requires):
                other = owner.get(name, "")
                if unit.process and other and other != unit.process:
                    found.setdefault(unit.process, {})[other] = None
        return {name: tuple(others) for name, others in found.items()}

    def _remember(self, handles: Sequence[str]) -> None:
        """Write down what is stopped now, for the next run should this one be killed."""
        self._between |= {*handles}
        self._write()

    def _forget(self, handles: Sequence[str]) -> None:
        if self._between & {*handles}:
            self._between -= {*handles}
            self._write()

    def _write(self) -> None:
        if self._between:
            write_atomic(self.journal, json.dumps({"stopped": sorted(self._between)}).encode(), 0o600)
        else:
            self.journal.unlink(missing_ok=True)

    def _interrupted(self) -> set[str]:
        """What a killed run had stopped and not started."""
        text = read_text(self.journal)
        return {*json.loads(text)["stopped"]} if text else set()
