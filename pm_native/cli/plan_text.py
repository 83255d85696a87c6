"""A plan for people, and for programs."""

from __future__ import annotations

import sys

from pm_native.cli.plan_options import option_words
from pm_native.cli.report import Result
from pm_native.cli.style import Style
from pm_native.errors import ExitCode
from pm_native.plan.model import Action

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pm_native.errors import Diagnostic
    from pm_native.plan.model import Plan, Step

_SIGNS = {
    Action.STOP: ("-", "red"),
    Action.MAKE_DIRECTORY: ("+", "green"),
    Action.DELETE: ("-", "red"),
    Action.REVERT: ("-", "red"),
    Action.LINK: ("+", "green"),
    Action.UNLINK: ("-", "red"),
    Action.RELOAD_MANAGER: ("⟳", "cyan"),
    Action.RESET_FAILED: ("⟳", "cyan"),
    Action.RELOAD: ("⟳", "yellow"),
    Action.RESTART: ("↻", "yellow"),
    Action.ROLL: ("↻", "yellow"),
    Action.START: ("▶", "green"),
    Action.WATCH: ("?", "yellow"),
}
_WORDS = {
    Action.MAKE_DIRECTORY: "make folder",
    Action.LINK: "enable",
    Action.UNLINK: "disable",
    Action.RELOAD_MANAGER: "reload unit files",
    Action.RESET_FAILED: "reset-failed",
}
_VALUE_MAX = 100
_CONTEXT = 20  # of what long values begin with alike
_SHOWN = 200
_DRIFT_SHOWN = 20


def preview(command: str, plan: Plan, diagnostics: tuple[Diagnostic, ...] = ()) -> Result:
    """What a command would do: the plan as a result, with the exit code that tells whether there is anything."""
    return Result(
        command=command,
        text="\n".join(plan_lines(plan, Style(sys.stdout))),
        data=plan_data(plan),
        exit_code=ExitCode.OK if plan.is_empty else ExitCode.CHANGES,
        diagnostics=diagnostics,
    )


def plan_lines(plan: Plan, style: Style) -> list[str]:
    """Every step with its sign and its reason, then drift, then the count."""
    lines = [line for step in plan.steps[:_SHOWN] for line in _step_lines(step, style)]
    if len(plan.steps) > _SHOWN:
        lines.append(f"  and {len(plan.steps) - _SHOWN} more steps (--json has them all)")
    for item in plan.drift[:_DRIFT_SHOWN]:
        hint = f" ({item.hint})" if item.hint else ""
        lines.append(f"{style('!', 'yellow')} {item.subject} {item.what}{style(hint, 'dim')}")
    if len(plan.drift) > _DRIFT_SHOWN:
        lines.append(
            f"{style('!', 'yellow')} and {len(plan.drift) - _DRIFT_SHOWN} more (--json has them all)"
        )
    lines.append(summary(plan))
    return lines


def _step_lines(step: Step, style: Style) -> Iterator[str]:
    sign, colour = _SIGNS.get(step.action, ("+", "green") if step.is_new else ("~", "yellow"))
    word = _WORDS.get(
        step.action, "" if step.action in {Action.WRITE, Action.DELETE, Action.REVERT} else step.action.value
    )
    what = f"{word} {step.subject}".strip() if step.action is not Action.RELOAD_MANAGER else word
    yield f"{style(sign, colour)} {what}  {style(step.reason, 'dim')}"
    for change in step.changes:
        name = change.directive.partition(".")[2]
        yield f"    {name}: {_difference(change.old, change.new, style('->', 'dim'))}"


def _difference(old: str, new: str, arrow: str) -> str:
    """What differs, in one short line: without the values of a list and the beginning that both have."""
    before, after = old.splitlines(), new.splitlines()
    gone = [line for line in before if line not in after]
    come = [line for line in after if line not in before]
    if before and after and gone + come and not (gone and come):
        return f"- {_short(', '.join(gone))}" if gone else f"+ {_short(', '.join(come))}"
    was, is_ = ", ".join(gone or before), ", ".join(come or after)
    alike = next((at for at, (one, other) in enumerate(zip(was, is_, strict=False)) if one != other), 0)
    skipped = max(0, alike - _CONTEXT) if max(len(was), len(is_)) > _VALUE_MAX else 0
    return f"{_short(was, skipped)} {arrow} {_short(is_, skipped)}"


def _short(text: str, skipped: int = 0) -> str:
    rest = ("..." if skipped else "") + text[skipped:]
    return (rest if len(rest) <= _VALUE_MAX else rest[:_VALUE_MAX] + "...") or "(none)"


def summary(plan: Plan) -> str:
    """One line: what there is to do, in numbers."""
    writes = plan.of(Action.WRITE)
    numbers = {
        "to add": sum(step.is_new for step in writes),
        "to change": sum(not step.is_new for step in writes),
        "to remove": len(plan.of(Action.DELETE, Action.REVERT)),
        "to start": len(plan.of(Action.START)),
        "to watch": len(plan.of(Action.WATCH)),
        "to restart": len(plan.of(Action.RESTART)),
        "to roll": len(plan.of(Action.ROLL)),
        "to reload": len(plan.of(Action.RELOAD)),
        "to stop": len(plan.of(Action.STOP)),
    }
    told = [f"{number} {what}" for what, number in numbers.items() if number]
    if not told and plan.is_empty:
        return f"{plan.project}: nothing to do, {plan.unchanged} files unchanged"
    steps = "1 step" if len(plan.steps) == 1 else f"{len(plan.steps)} steps"
    return f"{plan.project}: {', '.join(told) or steps}, {plan.unchanged} unchanged"


def plan_data(plan: Plan) -> dict[str, object]:
    """The plan for programs: no text of any file, so that no secret is in it."""
    return {
        "project": plan.project,
        "plan": plan.digest,
        "steps": [
            {
                "action": step.action.value,
                "subject": step.subject,
                "reason": step.reason,
                "new": step.is_new,
                "saved_as": step.saved_as,
                "changes": [
                    {"directive": change.directive, "old": change.old, "new": change.new}
                    for change in step.changes
                ],
            }
            for step in plan.steps
        ],
        "drift": [{"subject": item.subject, "what": item.what, "hint": item.hint} for item in plan.drift],
        "unchanged": plan.unchanged,
        "options": option_words(plan.options),
    }
