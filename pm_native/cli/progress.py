"""A run as it goes on, to stderr: a line for each step that matters, on a terminal with a table of what is waited for.

With --json, events go to stdout instead, one JSON object a line.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from datetime import UTC, datetime

from pm_native.bus.scheduler import JobStage
from pm_native.cli.report import ENVELOPE_VERSION, echo, presentation
from pm_native.cli.style import Style, is_terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pm_native.apply.waiting import Wait
    from pm_native.bus.scheduler import JobEvent
    from pm_native.plan.model import Step

_MANY = 60
_FAILED_SHOWN = 20
_ROWS = 8
_FIRST_WORD_SEC, _NEXT_WORD_SEC = 5.0, 15.0  # when lines say what is waited for
_SEEN_THROUGH = {JobStage.ENDED, JobStage.REFUSED}


class LineProgress:
    """Plain lines, one for each job that ended; files are told in one number, many jobs in steps."""

    def __init__(self, jobs: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._style = Style(sys.stderr)
        self._clock = clock
        self._jobs = jobs
        self._ended = 0
        self._written = 0
        self._removed = 0
        self._failed = 0
        self._next_word = clock() + _FIRST_WORD_SEC

    def done(self, step: Step) -> None:
        """Count a file, or tell of the reload."""
        from pm_native.plan.model import Action  # noqa: PLC0415 - not where there are only jobs

        if step.action is Action.RELOAD_MANAGER:
            counts = {"written": self._written, "removed": self._removed}
            told = [f"{count} {what}" for what, count in counts.items() if count]
            self.say(", ".join([*told, "manager reloaded"]))
        elif step.action in {Action.DELETE, Action.REVERT, Action.UNLINK}:
            self._removed += 1
        elif step.action is not Action.RESET_FAILED:
            self._written += 1

    def job(self, event: JobEvent) -> None:
        """Tell how a job ended; what was left or not sent is told at the end, as a number."""
        self._next_word = self._clock() + _FIRST_WORD_SEC
        outcome = event.outcome
        if outcome is None or outcome.stage not in _SEEN_THROUGH:
            return
        self._ended += 1
        self._failed += not outcome.is_success
        if self._failed > _FAILED_SHOWN and not outcome.is_success:
            return
        if outcome.is_success and self._jobs > _MANY:
            if self._ended % 100 == 0 or self._ended == self._jobs:
                self.say(f"{self._ended} of {self._jobs} jobs done")
            return
        sign = self._style("✓", "green") if outcome.is_success else self._style("✗", "red")
        took = self._style(f"{outcome.duration_sec * 1000:.0f} ms", "dim")
        words = "" if outcome.is_success else f": {outcome.words()}"
        self._show(f"{sign} {outcome.spec.type} {outcome.spec.unit}{words}  {took}")

    def waiting(self, waits: Sequence[Wait]) -> None:
        """Say what is waited for, when nothing has been heard for a while."""
        if self._clock() < self._next_word:
            return
        self._next_word = self._clock() + _NEXT_WORD_SEC
        more = f" (and {len(waits) - 1} more)" if len(waits) > 1 else ""
        self.say(f"waiting for {waits[0]}{more}")

    def settling(self, seconds: float) -> None:
        """Say what the wait is for."""
        self.say(f"watching what was started for {seconds:g} s")

    def stopping(self) -> None:
        """Say what the first Ctrl-C does."""
        self.say("stopping: nothing more is asked of systemd (again to stop at once)")

    def close(self) -> None:
        """The run is over."""

    def say(self, text: str) -> None:
        """Show a line of less weight."""
        self._show(self._style(text, "dim"))

    def _show(self, line: str) -> None:
        echo(line, err=True)


class LiveProgress(LineProgress):
    """The same lines, and below them a table of the jobs under way, which is drawn anew in its place."""

    def __init__(self, jobs: int, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(jobs, clock)
        self._rows: list[str] = []
        self._drawn = 0

    def job(self, event: JobEvent) -> None:
        """Tell how a job ended, and take it out of the table."""
        if event.outcome is not None:
            self._rows = [row for row in self._rows if not row.startswith(f"  {event.spec.unit} ")]
        super().job(event)

    def waiting(self, waits: Sequence[Wait]) -> None:
        """Draw what is waited for."""
        self._rows = table_rows(waits[:_ROWS])
        if len(waits) > _ROWS:
            self._rows.append(f"  and {len(waits) - _ROWS} more")
        self._rows.append(f"  {self._ended} of {self._jobs} jobs done")
        self._erase()
        self._draw()

    def settling(self, seconds: float) -> None:
        """All jobs are through: the table goes."""
        self._rows = []
        super().settling(seconds)

    def close(self) -> None:
        """Leave the lines alone on the screen."""
        self._rows = []
        self._erase()

    def _show(self, line: str) -> None:
        self._erase()
        super()._show(line)
        self._draw()

    def _erase(self) -> None:
        if self._drawn:
            echo(f"\r\x1b[{self._drawn}A\x1b[J", nl=False, err=True)
            self._drawn = 0

    def _draw(self) -> None:
        size = shutil.get_terminal_size()
        rows = self._rows[-(size.lines - 1) :] if size.lines > 1 else []
        for row in rows:
            # A line that is broken by the terminal would be two, and one of them left behind.
            echo(self._style(row[: size.columns - 1], "dim"), err=True)
        self._drawn = len(rows)


def table_rows(waits: Sequence[Wait]) -> list[str]:
    """Unit, job, state and time of each wait, in columns."""
    cells = [(wait.unit, str(wait.job), wait.state or "queued", _time(wait)) for wait in waits]
    widths = [max((len(row[column]) for row in cells), default=0) for column in range(3)]
    return [
        f"  {'  '.join(cell.ljust(width) for cell, width in zip(row, widths, strict=False))}  {row[3]}".rstrip()
        for row in cells
    ]


def _time(wait: Wait) -> str:
    return str(wait).partition(", ")[2]


class EventProgress:
    """Events for programs: one JSON object a line on stdout, the envelope of the result behind the last of them."""

    def __init__(self, jobs: int) -> None:
        self._tell("begin", jobs=jobs)

    def done(self, step: Step) -> None:
        """A step that is not a job was done."""
        self._tell("step", action=step.action.value, subject=step.subject)

    def job(self, event: JobEvent) -> None:
        """A job was queued, or its end is known."""
        named = {"unit": event.spec.unit, "job": event.spec.type.value}
        outcome = event.outcome
        if outcome is None:
            self._tell("job-queued", **named)
            return
        self._tell(
            "job-ended",
            **named,
            stage=outcome.stage.value,
            result=outcome.result.value if outcome.result is not None else None,
            seconds=round(outcome.duration_sec, 6),
        )

    def waiting(self, waits: Sequence[Wait]) -> None:
        """What is waited for."""
        self._tell("waiting", jobs=[wait_data(wait) for wait in waits])

    def settling(self, seconds: float) -> None:
        """All jobs are through."""
        self._tell("settling", seconds=seconds)

    def stopping(self) -> None:
        """Somebody asked to stop."""
        self._tell("stopping")

    def close(self) -> None:
        """The envelope says the rest."""

    def _tell(self, event: str, **fields: object) -> None:
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        data = {"version": ENVELOPE_VERSION, "event": event, "time": now, **fields}
        echo(json.dumps(data, ensure_ascii=False))


class NoProgress:
    """Says nothing: where --json is one envelope."""

    def job(self, event: JobEvent) -> None:
        """Say nothing of a job."""

    def waiting(self, waits: Sequence[Wait]) -> None:
        """Say nothing of a wait."""

    def settling(self, seconds: float) -> None:
        """Say nothing of the watch."""

    def close(self) -> None:
        """Say nothing in the end."""


def wait_data(wait: Wait) -> dict[str, object]:
    """A wait for programs."""
    return {
        "unit": wait.unit,
        "job": wait.job.value,
        "state": wait.state,
        "seconds": round(wait.seconds, 3),
        "limit_seconds": wait.limit_sec,
    }


def progress_for(jobs: int) -> LineProgress | EventProgress:
    """How this run tells of itself."""
    return EventProgress(jobs) if presentation().as_json else text_progress(jobs)


def text_progress(jobs: int) -> LineProgress:
    """How a run tells people of itself."""
    return LiveProgress(jobs) if is_terminal(sys.stderr) else LineProgress(jobs)
