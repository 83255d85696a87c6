"""`pm-native diff`: what has changed since a generation, file by file."""

from __future__ import annotations

import difflib
import sys

import click

from pm_native.cli.complete import complete_generations, complete_projects
from pm_native.cli.options import with_json, with_scope
from pm_native.cli.report import Result, finish
from pm_native.cli.style import Style

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

    from pm_native.compile.bundle import Bundle
    from pm_native.unit.name import Scope

_COLOURS = {"+": "green", "-": "red", "@": "cyan"}


@click.command(
    epilog="""\b
Examples:
  sudo pm-native diff             from the generation before this one to the present one
  sudo pm-native diff 3           from generation 3 to the present one
  sudo pm-native diff 3 5

\b
The same without pm-native: diff -u of two copies of the unit files."""
)
@click.argument("old", type=click.IntRange(1), required=False, shell_complete=complete_generations)
@click.argument("new", type=click.IntRange(1), required=False, shell_complete=complete_generations)
@click.option(
    "--project", help="Which project, where several are installed.", shell_complete=complete_projects
)
@with_scope
@with_json
def diff(*, old: int | None, new: int | None, project: str | None, scope: Scope, root: Path | None) -> int:
    """Show what differs between two generations.

    Unit files line by line; of environment files, which may hold secrets, only that they differ.
    """
    from pm_native.cli.switch import installed_project  # noqa: PLC0415 - not for --help
    from pm_native.errors import UsageError  # noqa: PLC0415 - not for --help
    from pm_native.state.generations import Generations  # noqa: PLC0415 - not for --help

    found = installed_project(scope, root, project)
    installed, generations = found.installed, Generations(found.store.directory)
    last = new if new is not None else installed.generation
    earlier = [number for number in generations.numbers() if number < last]
    if old is None and not earlier:
        raise UsageError(f"no generation before {last} is kept", hint="pm-native history shows which are")
    first = old if old is not None else earlier[-1]
    files = _differences(generations.bundle(first), generations.bundle(last), first, last)
    text = "\n".join(line for lines in files.values() for line in lines)
    nothing = f"generations {first} and {last} have the same files"
    return finish(
        Result(
            command="diff",
            text=_coloured(text) if files else nothing,
            data={"old": first, "new": last, "files": files},
        )
    )


def _differences(old: Bundle, new: Bundle, first: int, last: int) -> dict[str, list[str]]:
    from pm_native.compile.bundle import FileKind  # noqa: PLC0415 - not for --help

    before = {item.name: item for item in old.files}
    after = {item.name: item for item in new.files}
    found: dict[str, list[str]] = {}
    for name in sorted(before.keys() | after.keys()):
        texts = [item.text if (item := side.get(name)) else "" for side in (before, after)]
        if texts[0] == texts[1]:
            continue
        if (after.get(name) or before[name]).kind is FileKind.ENVIRONMENT:
            verb = (
                "differs" if name in before and name in after else "is new" if name in after else "is gone"
            )
            found[name] = [f"{name} {verb} (its variables are not shown)"]
        else:
            old_lines, new_lines = (text.splitlines() for text in texts)
            lines = difflib.unified_diff(
                old_lines, new_lines, f"{first}/{name}", f"{last}/{name}", lineterm=""
            )
            found[name] = list(lines)
    return found


def _coloured(text: str) -> str:
    style = Style(sys.stdout)
    return "\n".join(
        style(line, colour) if (colour := _COLOURS.get(line[:1])) else line for line in text.split("\n")
    )
