"""What start, stop and restart share: which jobs a selection means, running them, telling what came of them."""

from __future__ import annotations

import asyncio
import sys
from contextlib import asynccontextmanager, closing
from dataclasses import asdict, dataclass, field

from pm_native.bus.manager import JobType
from pm_native.bus.scheduler import JobSpec
from pm_native.cli.report import Messages, Result, finish, presentation
from pm_native.cli.style import Style
from pm_native.cli.target import manager_words, select
from pm_native.errors import ExitCode
from pm_native.state.files import read_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from pm_native.apply.failures import UnitFailure
    from pm_native.bus.manager import BusLostError, Manager
    from pm_native.bus.scheduler import JobOutcome
    from pm_native.cli.target import Selection
    from pm_native.compile.bundle import BundleUnit
    from pm_native.state.layout import Layout
    from pm_native.unit.name import Scope

_DONE = {"start": "started", "stop": "stopped", "restart": "restarted", "reload": "reloaded"}


@dataclass(slots=True)
class Report:
    """What a run of jobs came to; `left` are the units that it did not get to, or was not to."""

    outcomes: list[JobOutcome] = field(default_factory=list)
    failures: list[UnitFailure] = field(default_factory=list)
    left: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Batch:
    """Jobs that run together, and how long what they start is watched before the next ones."""

    specs: list[JobSpec]
    settle_sec: float


@asynccontextmanager
async def connected(scope: Scope) -> AsyncIterator[Manager]:
    """The manager of `scope`, over another connection where one is lost on the way: a run of jobs goes on then."""
    from pm_native.bus.dbus import connect  # noqa: PLC0415 - not for --help

    def tell(lost: BusLostError) -> None:
        Messages().say(f"{lost.message}: waiting for it to come back; no job is asked for twice")

    async with connect(scope, command=sys.argv, on_loss=tell) as manager:
        yield manager


def run_command(job: JobType, layout: Layout, words: Sequence[str], settle_sec: float) -> int:
    """Run a job for what the words name, in one project or several, and give the exit code."""
    selections = select(layout, words, need_one=True)

    async def go() -> list[Report]:
        async with connected(layout.scope) as manager:
            return [
                await run_batches([Batch(job_specs(job, item), settle_sec)], item, manager)
                for item in selections
            ]

    return finish(result_of(job.value, selections, asyncio.run(go()), layout))


def job_specs(job: JobType, selection: Selection) -> list[JobSpec]:
    """The jobs, in the order in which they are to be submitted.

    A whole project is stopped and restarted through its target: the one transaction that this makes has all of its
    units, so that systemd stops them in the reverse order. The jobs behind it are those that systemd has queued by
    then, which is how their results are learned.
    """
    # A slice comes and goes with what is in it, and its stop job would stop that.
    units = [unit for unit in selection.units if not unit.name.endswith(".slice")]
    if selection.is_whole:
        members = [unit for unit in units if unit.name != selection.target]
        if job is JobType.STOP:
            return [
                JobSpec(unit=selection.target, type=job),
                *(JobSpec(unit=unit.name, type=job, after=(0,)) for unit in reversed(members)),
            ]
        wanted = [unit for unit in members if unit.start]
        if job is JobType.RESTART:
            return [
                JobSpec(unit=selection.target, type=job),
                *(JobSpec(unit=unit.name, type=JobType.START, within=(0,)) for unit in wanted),
            ]
        return _in_order(
            JobType.START, [*wanted, *(unit for unit in units if unit.name == selection.target)]
        )
    if job is JobType.STOP:
        return [JobSpec(unit=unit.name, type=job) for unit in reversed(units)]
    scheduled = {unit.process for unit in units if unit.name.endswith(".timer")}
    # A schedule is started by its timer; its service is started by name only, and by then it has been asked for.
    asked = [unit for unit in units if unit.process not in scheduled or unit.name.endswith(".timer")]
    return _in_order(job, asked)


def _in_order(job: JobType, units: Sequence[BundleUnit]) -> list[JobSpec]:
    place = {unit.name: index for index, unit in enumerate(units)}
    return [
        JobSpec(
            unit=unit.name,
            # The target of a pool stands for no program; restarting it would restart what it has again. A socket
            # whose programs hold it cannot be opened a second time.
            type=JobType.START if unit.name.endswith((".target", ".socket")) else job,
            after=tuple(place[name] for name in unit.after if name in place and place[name] != index),
        )
        for index, unit in enumerate(units)
    ]


async def run_batches(batches: Sequence[Batch], selection: Selection, manager: Manager) -> Report:
    """Run one batch of jobs after the other, each once what the one before started stays up; to the first failure."""
    from pm_native.apply.failures import FailureReport, Moment, journal_of  # noqa: PLC0415 - not for --help
    from pm_native.apply.settle import settle  # noqa: PLC0415 - not for --help
    from pm_native.apply.targets import alone  # noqa: PLC0415 - not for --help
    from pm_native.apply.waiting import run_watched  # noqa: PLC0415 - not for --help
    from pm_native.cli.progress import NoProgress, text_progress  # noqa: PLC0415 - not for --help

    layout = selection.layout
    report = FailureReport(
        manager=manager,
        bundle=selection.bundle,
        scope=layout.scope,
        read_journal=journal_of(layout.scope, Moment()),
        read_unit_file=lambda name: read_text(layout.units / name) or "",
    )
    result = Report(failures=report.failures)
    own = {unit.name for unit in selection.bundle.units}
    asked = [spec for batch in batches for spec in batch.specs]
    progress = NoProgress() if presentation().as_json else text_progress(len(asked))
    with closing(progress):
        for batch in batches:
            services = [spec for spec in batch.specs if spec.unit.endswith(".service")]
            started = [spec.unit for spec in services if spec.type is not JobType.STOP]
            # A person asks: what failed before, and how often it was started, counts no more.
            await asyncio.gather(*(manager.reset_failed(name) for name in started))
            specs = await alone(manager, batch.specs, own)
            outcomes = await run_watched(manager, specs, progress)
            result.outcomes += outcomes
            failed = {item.spec.unit: item for item in outcomes if not item.is_success}
            for unit, outcome in failed.items():
                await report.add(unit, job=outcome)
            watched = [name for name in started if name not in failed]
            if watched and batch.settle_sec:
                progress.settling(batch.settle_sec)
                await settle(
                    manager, watched, batch.settle_sec, lambda name, words: report.add(name, words=words)
                )
            if report.failures:
                break
    reached = {item.spec.unit for item in result.outcomes}
    result.left = [spec.unit for spec in asked if spec.unit not in reached]
    return result


def result_of(
    command: str, selections: Sequence[Selection], reports: Sequence[Report], layout: Layout
) -> Result:
    """What the runs came to, as text and as data."""
    from pm_native.apply.failures import failure_lines  # noqa: PLC0415 - not for --help

    style = Style(sys.stdout)
    lines: list[str] = []
    for selection, report in zip(selections, reports, strict=True):
        for failure in report.failures:
            first, *rest = failure_lines(failure, layout.scope)
            lines += [style(first, "red"), *rest]
        lines.append(_summary(command, selection, report, style))
    failed = any(report.failures for report in reports)
    names = " ".join(_systemctl_names(item) for item in selections)
    return Result(
        command=command,
        text="\n".join(lines),
        data={
            "projects": [
                _report_data(selection, report)
                for selection, report in zip(selections, reports, strict=True)
            ]
        },
        exit_code=ExitCode.UNITS_FAILED if failed else ExitCode.OK,
        hints=(f"the same: systemctl {manager_words(layout.scope)}{command} {names}",),
    )


def _summary(command: str, selection: Selection, report: Report, style: Style) -> str:
    services = [item for item in report.outcomes if item.spec.unit.endswith((".service", ".timer"))]
    done = sum(item.is_success for item in services)
    project = selection.bundle.project
    left = f", {len(report.left)} left as they were" if report.left else ""
    if report.failures:
        count = len(report.failures)
        words = f"{project}: {count} unit{'s' if count != 1 else ''} failed"
        return style(words + left, "bold", "red")
    return style(f"{project}: {done} {_DONE[command]}{left}", "bold", "green")


def _systemctl_names(selection: Selection) -> str:
    if selection.is_whole:
        return selection.target
    units = [unit for unit in selection.units if not unit.name.endswith(".slice")]
    pools = {unit.process: unit.name for unit in units if unit.name.endswith(".target")}
    timers = {unit.process for unit in units if unit.name.endswith(".timer")}
    return " ".join(
        dict.fromkeys(
            pools.get(unit.process, unit.name)
            for unit in units
            if unit.process not in timers or unit.name.endswith(".timer")
        )
    )


def _report_data(selection: Selection, report: Report) -> dict[str, object]:
    return {
        "project": selection.bundle.project,
        "jobs": [
            {
                "unit": item.spec.unit,
                "job": item.spec.type.value,
                "stage": item.stage.value,
                "result": item.result.value if item.result is not None else None,
                "seconds": round(item.duration_sec, 6),
            }
            for item in report.outcomes
        ],
        "failures": [asdict(failure) for failure in report.failures],
        "left": report.left,
    }
