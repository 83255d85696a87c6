"""Running a switch from the command line, and telling what came of it."""

from __future__ import annotations

import sys

from pm_native.apply.failures import failure_lines
from pm_native.apply.run import Runner
from pm_native.cli.plan_text import plan_data, plan_lines, summary
from pm_native.cli.progress import LineProgress, NoProgress
from pm_native.cli.report import Messages, Result, presentation
from pm_native.cli.style import Style
from pm_native.errors import ExitCode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pm_native.apply.failures import UnitFailure
    from pm_native.apply.run import Outcome
    from pm_native.bus.manager import Manager
    from pm_native.cli.switch import Switch
    from pm_native.errors import Diagnostic


async def run_switch(
    command: str,
    switch: Switch,
    manager: Manager | None,
    settle_sec: float,
    diagnostics: tuple[Diagnostic, ...] = (),
) -> Result:
    """Show the plan, run it, and report."""
    plan = switch.plan
    if not plan.is_empty:
        messages = Messages()
        for line in plan_lines(plan, messages.style):
            messages.show(line)
    jobs = sum(step.action.is_job for step in plan.steps) if manager else 0
    progress = NoProgress() if presentation().as_json else LineProgress(jobs)
    runner = Runner(
        plan,
        layout=switch.layout,
        store=switch.store,
        installed=switch.installed,
        manager=manager,
        progress=progress,
        settle_sec=settle_sec,
    )
    outcome = await runner.run()
    failed = bool(outcome.failures)
    return Result(
        command=command,
        text=_text(switch, outcome),
        data={
            **plan_data(plan),
            "done": outcome.done,
            "failures": [_failure_data(failure) for failure in outcome.failures],
        },
        exit_code=ExitCode.UNITS_FAILED if failed else ExitCode.OK,
        diagnostics=diagnostics,
        hints=_hints(command, switch, failed=failed),
    )


def _text(switch: Switch, outcome: Outcome) -> str:
    style = Style(sys.stdout)
    plan = switch.plan
    if plan.is_empty:
        drift = plan_lines(plan, style)[:-1]
        return "\n".join([*drift, summary(plan)])
    lines: list[str] = []
    for failure in outcome.failures:
        first, *rest = failure_lines(failure, switch.layout.scope)
        lines += [style(first, "red"), *rest]
    if outcome.failures:
        count = len(outcome.failures)
        lines.append(style(f"{plan.project}: {count} unit{'s' if count != 1 else ''} failed", "bold", "red"))
    else:
        lines.append(style(f"{plan.project}: done, {outcome.done} steps", "bold", "green"))
    return "\n".join(lines)


def _failure_data(failure: UnitFailure) -> dict[str, object]:
    return {
        "unit": failure.unit,
        "words": failure.words,
        "result": failure.result,
        "exit": failure.exit,
        "process": failure.process,
        "where": failure.where,
        "journal": list(failure.journal),
    }


def _hints(command: str, switch: Switch, *, failed: bool) -> tuple[str, ...]:
    if command == "remove" or failed:
        return ()
    option = "--user " if switch.layout.scope == "user" else ""
    if str(switch.layout.root) != "/":
        return (f"files only: systemd below {switch.layout.root} takes them up when it starts",)
    return (
        f"from here on: systemctl {option}status {switch.plan.project}.target, journalctl {option}-u UNIT",
    )
