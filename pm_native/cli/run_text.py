"""Running a switch from the command line, and telling what came of it."""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import closing, contextmanager
from dataclasses import replace

from pm_native.apply.failures import DETAILED, failure_lines
from pm_native.apply.run import Runner
from pm_native.bus.scheduler import JobStage
from pm_native.cli.plan_text import plan_data, plan_lines, summary
from pm_native.cli.progress import progress_for, wait_data
from pm_native.cli.report import Messages, Result, presentation, print_diagnostics
from pm_native.cli.style import Style
from pm_native.errors import ExitCode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pm_native.apply.failures import UnitFailure
    from pm_native.apply.outcome import Outcome, RunOptions
    from pm_native.bus.manager import Manager
    from pm_native.cli.switch import Switch
    from pm_native.errors import Diagnostic

_NAMES_SHOWN = 5
_ASK_TO_STOP = (signal.SIGINT, signal.SIGTERM)


async def run_switch(
    command: str,
    switch: Switch,
    manager: Manager | None,
    options: RunOptions,
    diagnostics: tuple[Diagnostic, ...] = (),
) -> tuple[Result, Outcome]:
    """Show the plan, run it, and report: for the caller's user, and for the caller. Ctrl-C ends the run at the next safe point, twice: at once."""
    plan = switch.plan
    shown = presentation()
    messages = Messages()
    if not shown.as_json:
        print_diagnostics(diagnostics, shown.diagnostic_format)
    if not plan.is_empty:
        for line in plan_lines(plan, messages.style):
            messages.show(line)
    jobs = sum(step.action.is_job for step in plan.steps) if manager else 0
    progress = progress_for(jobs)
    with interruptible(progress.stopping) as stop, closing(progress):
        runner = Runner(
            plan,
            layout=switch.layout,
            store=switch.store,
            installed=switch.installed,
            manager=manager,
            progress=progress,
            options=replace(options, stop=stop),
        )
        outcome = await runner.run()
    result = Result(
        command=command,
        text=_text(switch, outcome),
        data={
            **plan_data(plan),
            "done": outcome.done,
            "failures": [failure_data(failure) for failure in outcome.failures],
            "interrupted": outcome.is_interrupted,
            "queued": outcome.units(JobStage.LEFT),
            "not_sent": outcome.units(JobStage.UNSENT),
            "timed_out": outcome.is_late,
            "canceled": outcome.canceled,
            "waiting": [wait_data(wait) for wait in outcome.waits],
            "failed_roll": outcome.has_failed_roll,
            "held_back": outcome.held_back,
        },
        exit_code=_exit_code(outcome),
        diagnostics=diagnostics if shown.as_json else (),
        hints=_hints(command, switch, outcome, is_offline=manager is None),
    )
    return result, outcome


@contextmanager
def interruptible(tell: Callable[[], None]) -> Iterator[asyncio.Event]:
    """An event that the first Ctrl-C or SIGTERM sets; the second ends the run as it ends any program.

    SIGHUP does not count: half a switch is no help to whoever lost the terminal.
    """
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def listen_no_more() -> None:
        for number in _ASK_TO_STOP:
            loop.remove_signal_handler(number)

    def interrupted() -> None:
        stop.set()
        listen_no_more()
        tell()

    for number in _ASK_TO_STOP:
        loop.add_signal_handler(number, interrupted)
    hangup = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        yield stop
    finally:
        listen_no_more()
        signal.signal(signal.SIGHUP, hangup)


def _exit_code(outcome: Outcome) -> ExitCode:
    if outcome.is_interrupted:
        return ExitCode.INTERRUPTED
    return ExitCode.UNITS_FAILED if outcome.failures or outcome.is_late else ExitCode.OK


def _text(switch: Switch, outcome: Outcome) -> str:
    style = Style(sys.stdout)
    plan = switch.plan
    if plan.is_empty:
        drift = plan_lines(plan, style)[:-1]
        return "\n".join([*drift, summary(plan)])
    lines: list[str] = []
    for failure in outcome.failures[:DETAILED]:
        first, *rest = failure_lines(failure, switch.layout.scope)
        lines += [style(first, "red"), *rest]
    if more := [failure.unit for failure in outcome.failures[DETAILED:]]:
        lines.append(style(f"and {len(more)} more: {_some(more)} (--json has them all)", "red"))
    if outcome.failures:
        lines += [f"  waited for {wait}" for wait in outcome.waits[:DETAILED] if not outcome.is_late]
        count = len(outcome.failures)
        lines.append(style(f"{plan.project}: {count} unit{'s' if count != 1 else ''} failed", "bold", "red"))
    if outcome.is_interrupted:
        lines.append(style(f"{plan.project}: {_cut_short(outcome, 'interrupted')}", "bold", "yellow"))
    elif outcome.is_late:
        lines += [f"  {wait}" for wait in outcome.waits[:DETAILED]]
        lines.append(style(f"{plan.project}: {_cut_short(outcome, 'out of time')}", "bold", "red"))
    elif not outcome.failures:
        count = outcome.done
        if outcome.held_back:
            lines.append(f"canary: {_some(outcome.held_back)} wait on their old settings")
        lines.append(
            style(f"{plan.project}: done, {count} step{'s' if count != 1 else ''}", "bold", "green")
        )
    return "\n".join(lines)


def _cut_short(outcome: Outcome, why: str) -> str:
    queued = [unit for unit in outcome.units(JobStage.LEFT) if unit not in outcome.canceled]
    unsent = outcome.units(JobStage.UNSENT)
    parts = [why]
    if outcome.canceled:
        parts.append(f"{len(outcome.canceled)} taken back ({_some(outcome.canceled)})")
    if queued:
        parts.append(f"{len(queued)} queued in systemd go on ({_some(queued)})")
    if unsent:
        parts.append(f"{len(unsent)} not asked for ({_some(unsent)})")
    return ", ".join(parts)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMES_SHOWN]) + (", ..." if len(names) > _NAMES_SHOWN else "")


def failure_data(failure: UnitFailure) -> dict[str, object]:
    """A failure for programs."""
    return {
        "unit": failure.unit,
        "words": failure.words,
        "result": failure.result,
        "exit": failure.exit,
        "process": failure.process,
        "where": failure.where,
        "journal": list(failure.journal),
    }


def _hints(command: str, switch: Switch, outcome: Outcome, *, is_offline: bool) -> tuple[str, ...]:
    option = "--user " if switch.layout.scope == "user" else ""
    if outcome.held_back:
        return ("once it is known to be well: apply again, for the rest; or pm-native rollback",)
    if outcome.is_interrupted or outcome.is_late:
        return (f"the next {command} goes on from here",)
    if any(job.is_overdue for job in outcome.jobs):
        return (
            f"systemctl {option}list-jobs shows what waits for what; the next {command} goes on from here",
        )
    if command == "remove" or outcome.failures or switch.plan.is_empty:
        return ()
    if is_offline:
        return (f"files only: systemd below {switch.layout.root} takes them up when it starts",)
    until = ""
    if switch.layout.is_runtime:
        until = f"; all of it is gone at the {'end of your last session' if option else 'next boot'}"
    return (
        f"from here on: systemctl {option}status {switch.plan.project}.target, journalctl {option}-u UNIT{until}",
    )
