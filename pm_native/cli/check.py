"""`pm-native check`: every problem of a config, nothing written."""

from __future__ import annotations

import click

from pm_native.cli.options import with_format, with_json, with_scope, with_source
from pm_native.cli.report import Messages, Result, finish

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

    from pm_native.cli.options import SourceOptions
    from pm_native.unit.name import Scope


@click.command(
    epilog="""\b
Examples:
  pm-native check                      the config in this folder
  pm-native check -f Procfile --strict
  pm-native check --format github      annotations in a workflow

\b
Of generated units, the same without pm-native: systemd-analyze verify build/systemd/*.service"""
)
@with_source
@with_scope
@with_format
@with_json
def check(*, source: SourceOptions, scope: Scope, root: Path | None) -> int:
    """Check a config and show every problem in it.

    Compiles as `generate` does and writes nothing. Exit code 78 when there is an error.
    """
    from pm_native.cli.source import compile_options, load_source  # noqa: PLC0415 - not for --help
    from pm_native.compile.project import compile_project  # noqa: PLC0415 - not for --help
    from pm_native.errors import Diagnostics  # noqa: PLC0415 - not for --help

    problems = Diagnostics(strict=source.strict)
    project = load_source(source, Messages(), problems)
    bundle = compile_project(project, compile_options(source, scope, root), problems)
    count = len(project.processes)
    processes = f"{count} process{'es' if count != 1 else ''}"
    text = f"{project.name}: {processes}, {len(bundle.files)} files for systemd {bundle.systemd_version}: no errors"
    data = {"project": project.name, "processes": count, "files": len(bundle.files)}
    return finish(Result(command="check", text=text, data=data, diagnostics=tuple(problems)))
