"""`pm-native history`: every apply of a project, who, when, and what came of it."""

from __future__ import annotations

import sys

import click

from pm_native.cli.complete import complete_projects
from pm_native.cli.options import with_json, with_scope
from pm_native.cli.report import Result, finish
from pm_native.cli.style import Style

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

    from pm_native.state.generations import Generation
    from pm_native.unit.name import Scope

_COLOURS = {"done": "green", "failed": "red"}


@click.command(
    epilog="""\b
Examples:
  sudo pm-native history
  sudo pm-native history shop --json
  pm-native history --user

\b
The same without pm-native: none. systemd keeps one state, the present one."""
)
@click.argument("project", required=False, shell_complete=complete_projects)
@with_scope
@with_json
def history(*, project: str | None, scope: Scope, root: Path | None) -> int:
    """Show every apply: who, when, what came of it.

    Each apply and each rollback that changed something is a generation. A "*" marks the present one, "+"
    those whose files are kept: `rollback` and `diff` take them.
    """
    from dataclasses import asdict  # noqa: PLC0415 - not for --help

    from pm_native.cli.switch import installed_project  # noqa: PLC0415 - not for --help
    from pm_native.state.generations import Generations  # noqa: PLC0415 - not for --help

    found = installed_project(scope, root, project)
    installed, generations = found.installed, Generations(found.store.directory)
    kept = generations.numbers()
    records = generations.history()
    ended = {record.number for record in records}
    records += [generations.record(number) for number in kept if number not in ended]
    records.sort(key=lambda record: record.number)
    data = [
        {**asdict(record), "kept": record.number in kept, "current": record.number == installed.generation}
        for record in records
    ]
    lines = [_line(record, kept=record.number in kept, current=installed.generation) for record in records]
    return finish(Result(command="history", text="\n".join(lines), data=data))


def _line(record: Generation, *, kept: bool, current: int) -> str:
    style = Style(sys.stdout)
    mark = "*" if record.number == current else "+" if kept else " "
    result = style(f"{record.result:11}", _COLOURS.get(record.result, "yellow"))
    steps = f"{len(record.steps)} step{'s' if len(record.steps) != 1 else ''}"
    failed = f", failed: {', '.join(record.failures)}" if record.failures else ""
    return f"{mark} {record.number:>3}  {record.when}  {result}  {record.command}, {record.who}: {steps}{failed}"
