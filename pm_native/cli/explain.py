"""`pm-native explain`: each setting of the compiled units, with the line of the config that made it."""

from __future__ import annotations

import sys

import click

from pm_native.cli.complete import complete_processes
from pm_native.cli.options import with_json, with_scope, with_source
from pm_native.cli.report import Messages, Result, finish
from pm_native.cli.style import Style
from pm_native.errors import NOWHERE, Diagnostics, UsageError, did_you_mean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pm_native.cli.options import SourceOptions
    from pm_native.compile.project import CompiledProcess
    from pm_native.model.project import Project
    from pm_native.unit.file import Setting
    from pm_native.unit.name import Scope


@click.command(
    epilog="""\b
Examples:
  pm-native explain api        the units of one process
  pm-native explain            all of them

\b
What systemd has loaded: systemctl cat shop-api.service"""
)
@click.argument("processes", nargs=-1, metavar="[PROCESS]...", shell_complete=complete_processes)
@with_source
@with_scope
@with_json
def explain(*, processes: tuple[str, ...], source: SourceOptions, scope: Scope, root: Path | None) -> int:
    """Show each setting with the config line it came from.

    A setting that no line asked for shows the rule that made it.
    """
    from pm_native.cli.source import compile_options, load_source  # noqa: PLC0415 - not for --help
    from pm_native.compile.project import Compiler  # noqa: PLC0415 - not for --help

    problems = Diagnostics(strict=source.strict)
    project = load_source(source, Messages(), problems)
    _check_names(processes, project)
    compiled = [
        item
        for item in Compiler(project, compile_options(source, scope, root), problems).compile()
        if not processes or (item.process is not None and item.process.name in processes)
    ]
    problems.raise_if_errors()
    rows = [row for item in compiled for row in _rows(item)]
    result = Result(command="explain", text=_text(rows), data=rows, diagnostics=tuple(problems))
    return finish(result)


def _check_names(processes: tuple[str, ...], project: Project) -> None:
    known = [process.name for process in project.processes]
    for name in processes:
        if name not in known:
            hint = did_you_mean(name, known) or f"there are: {', '.join(known)}"
            raise UsageError(f"{project.name} has no process {name!r}", hint=hint)


def _rows(compiled: CompiledProcess) -> Iterator[dict[str, str | int]]:
    from pm_native.unit.escape import rendered  # noqa: PLC0415 - not for --help

    for unit in compiled.units:
        for section, settings in unit.sections:
            for setting in settings:
                yield {
                    "unit": str(unit.name),
                    "section": section,
                    "setting": f"{setting.directive.name}={rendered(setting)}",
                    "file": setting.origin.source.name if setting.origin is not NOWHERE else "",
                    "line": setting.origin.line,
                    "because": _because(setting),
                }


def _because(setting: Setting) -> str:
    if setting.origin is NOWHERE:
        return setting.why or "the default"
    return setting.origin.where


def _text(rows: list[dict[str, str | int]]) -> str:
    style = Style(sys.stdout)
    lines: list[str] = []
    unit = section = ""
    width = min(60, max((len(str(row["setting"])) for row in rows), default=0))
    for row in rows:
        if row["unit"] != unit:
            unit, section = str(row["unit"]), ""
            lines += ["", style(f"# {unit}", "bold")] if lines else [style(f"# {unit}", "bold")]
        if row["section"] != section:
            section = str(row["section"])
            lines.append(style(f"[{section}]", "cyan"))
        text = str(row["setting"])
        padding = " " * max(2, width + 2 - len(text))
        lines.append(f"{text}{padding}{style(str(row['because']), 'dim')}")
    return "\n".join(lines)
