"""What `migrate` says: what it would do, how far it is, what came of it, and how to part with the old manager."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from pm_native.apply.failures import failure_lines
from pm_native.apply.migrate import Step
from pm_native.cli.plan_text import plan_data, plan_lines
from pm_native.cli.progress import progress_for
from pm_native.cli.report import Messages, Result, presentation
from pm_native.cli.run_text import failure_data
from pm_native.cli.style import Style
from pm_native.cli.target import manager_words
from pm_native.errors import ExitCode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pm_native.apply.migrate import Move, Moved
    from pm_native.compile.bundle import Bundle
    from pm_native.errors import Diagnostic
    from pm_native.importers.running import RunningManager
    from pm_native.plan.model import Plan
    from pm_native.unit.name import Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What is to be moved: the units, and per process the old manager's handles; `left` is what has no units."""

    bundle: Bundle
    problems: tuple[Diagnostic, ...]
    moves: tuple[Move, ...]
    left: tuple[str, ...]


class Progress:
    """Tells of each process as it is moved, and of the jobs in between."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.jobs = progress_for(0)
        self.messages = Messages()

    def moving(self, move: Move) -> None:
        """The process is stopped in the old manager now."""
        what = f"stopped in {self.title}, started here" if move.handles else "started"
        self.messages.say(f"{move.process}: {what}")

    def moved(self, result: Moved) -> None:
        """This became of a process."""
        if result.step is not Step.UNTOUCHED:
            self.messages.show(_line(result, self.messages.style))


def preview(old: RunningManager, work: Work, plan: Plan) -> Result:
    """What would be done, and nothing is."""
    style = Style(sys.stdout)
    lines = [f"{old.title} at {old.place}:"]
    width = max(len(move.process) for move in work.moves)
    lines += [f"  {move.process:{width}}  {_intent(move, work.bundle, old.title)}" for move in work.moves]
    lines += [f"  {name}: stays in {old.title}, there are no units for it" for name in work.left]
    lines += plan_lines(plan, style) if not plan.is_empty else ["all unit files are in place"]
    lines.append("nothing was changed: --dry-run")
    data = {
        **plan_data(plan),
        "moves": [
            {"process": move.process, "handles": list(move.handles), "running": list(move.running)}
            for move in work.moves
        ],
        "left": list(work.left),
    }
    return Result(command="migrate", text="\n".join(lines), data=data, diagnostics=work.problems)


def _intent(move: Move, bundle: Bundle, title: str) -> str:
    units = [unit.name for unit in bundle.units if unit.process == move.process and unit.start]
    services = [name for name in units if not name.endswith(".target")] or units
    shown = ", ".join(services[:3]) + (f" and {len(services) - 3} more" if len(services) > 3 else "")
    if not move.handles:
        return f"{title} does not have it: start {shown or 'nothing'}"
    if not move.running:
        return f"does not run in {title}: its units are installed and not started"
    return f"stop {', '.join(move.running)}, start {shown or 'nothing'}"


def result_of(  # noqa: PLR0913 - all that came of it
    old: RunningManager,
    work: Work,
    results: Sequence[Moved],
    retired: tuple[str, ...] | None,
    scope: Scope,
    *,
    is_interrupted: bool,
) -> Result:
    """What came of it. `retired` is what was done to end the old manager; None: nothing."""
    style = Style(sys.stdout)
    lines: list[str] = []
    for result in results:
        for failure in result.failures:
            first, *rest = failure_lines(failure, scope)
            lines += [style(first, "red"), *rest]
    lines += [_line(result, style) for result in results]
    lines += [f"{name}: stays in {old.title}, there are no units for it" for name in work.left]
    done = sum(result.step.is_done for result in results)
    is_complete = done == len(results)
    colour = "green" if is_complete else "red"
    summary = f"{work.bundle.project}: {done} of {len(results)} moved from {old.title}"
    lines.append(style(summary, "bold", colour))
    lines += _farewell(old, work, retired, is_complete=is_complete)
    code = ExitCode.OK if is_complete else ExitCode.INTERRUPTED if is_interrupted else ExitCode.UNITS_FAILED
    return Result(
        command="migrate",
        text="\n".join(lines),
        data={
            "project": work.bundle.project,
            "manager": old.title,
            "moves": [
                {
                    "process": result.process,
                    "step": result.step.value,
                    "why": result.why,
                    "failures": [failure_data(failure) for failure in result.failures],
                }
                for result in results
            ],
            "left": list(work.left),
            "retired": list(retired) if retired is not None else None,
        },
        exit_code=code,
        diagnostics=work.problems if presentation().as_json else (),
        hints=_hints(work, scope, is_complete=is_complete),
    )


def _line(result: Moved, style: Style) -> str:
    sign, colour = {
        Step.UNTOUCHED: ("-", "dim"),
        Step.NOT_RUNNING: ("-", "dim"),
        Step.BACK: ("✗", "red"),
        Step.STUCK: ("✗", "red"),
        Step.BOTH: ("✗", "red"),
    }.get(result.step, ("✓", "green"))
    why = f" ({result.why})" if result.why else ""
    return style(f"{sign} {result.process}: {result.step}{why}", colour)


def _farewell(
    old: RunningManager, work: Work, retired: tuple[str, ...] | None, *, is_complete: bool
) -> Iterator[str]:
    """How to part with the old manager, once it is needed no more."""
    if retired is not None:
        yield f"{old.title} has been ended:"
        yield from (f"  {line}" for line in retired)
    elif is_complete and not work.left:
        yield f"{old.title} still runs, and starts at boot what it has: when all is well, take it away"
        yield from (f"  {line}" for line in old.farewell())
    elif not is_complete:
        yield f"nothing of this starts at boot here before all is moved: until then {old.title} starts what it has"


def _hints(work: Work, scope: Scope, *, is_complete: bool) -> tuple[str, ...]:
    if not is_complete:
        return ("mend what went back and run it again: it goes on from there",)
    option = manager_words(scope)
    return (
        f"from here on: systemctl {option}status {work.bundle.project}.target, journalctl {option}-u UNIT",
    )
