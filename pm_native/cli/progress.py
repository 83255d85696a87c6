"""A run as it goes on: a line for each step that matters, to stderr."""

from __future__ import annotations

import sys

import click

from pm_native.bus.scheduler import JobStage
from pm_native.cli.style import Style
from pm_native.plan.model import Action

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pm_native.bus.scheduler import JobEvent
    from pm_native.plan.model import Step

_MANY = 60
_FAILED_SHOWN = 20
_SEEN_THROUGH = {JobStage.ENDED, JobStage.REFUSED}


class LineProgress:
    """Plain lines, one for each job that ended; files are told in one number, many jobs in steps."""

    def __init__(self, jobs: int) -> None:
        self._style = Style(sys.stderr)
        self._jobs = jobs
        self._ended = 0
        self._written = 0
        self._removed = 0
        self._failed = 0

    def done(self, step: Step) -> None:
        """Count a file, or tell of the reload."""
        if step.action is Action.RELOAD_MANAGER:
            counts = {"written": self._written, "removed": self._removed}
            told = [f"{count} {what}" for what, count in counts.items() if count]
            click.echo(self._style(", ".join([*told, "manager reloaded"]), "dim"), err=True)
        elif step.action in {Action.DELETE, Action.UNLINK}:
            self._removed += 1
        elif step.action is not Action.RESET_FAILED:
            self._written += 1

    def job(self, event: JobEvent) -> None:
        """Tell how a job ended; what was left or not sent is told at the end, as a number."""
        outcome = event.outcome
        if outcome is None or outcome.stage not in _SEEN_THROUGH:
            return
        self._ended += 1
        self._failed += not outcome.is_success
        if self._failed > _FAILED_SHOWN and not outcome.is_success:
            return
        if outcome.is_success and self._jobs > _MANY:
            if self._ended % 100 == 0 or self._ended == self._jobs:
                click.echo(self._style(f"{self._ended} of {self._jobs} jobs done", "dim"), err=True)
            return
        sign = self._style("✓", "green") if outcome.is_success else self._style("✗", "red")
        took = self._style(f"{outcome.duration_sec * 1000:.0f} ms", "dim")
        words = "" if outcome.is_success else f": {outcome.words()}"
        click.echo(f"{sign} {outcome.spec.type} {outcome.spec.unit}{words}  {took}", err=True)

    def settling(self, seconds: float) -> None:
        """Say what the wait is for."""
        click.echo(Style(sys.stderr)(f"watching what was started for {seconds:g} s", "dim"), err=True)


class NoProgress:
    """Says nothing: for --json."""

    def done(self, step: Step) -> None:
        """Say nothing of a step."""

    def job(self, event: JobEvent) -> None:
        """Say nothing of a job."""

    def settling(self, seconds: float) -> None:
        """Say nothing of the wait."""
