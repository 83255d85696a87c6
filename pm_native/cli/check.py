"""`pm-native check`: every problem of a config, nothing written."""

from __future__ import annotations

import click

from pm_native.cli.options import with_format, with_json, with_scope, with_source
from pm_native.cli.report import Messages, Result, finish
from pm_native.errors import Diagnostics, ExitCode

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
  pm-native check --security           how far each service is kept from the host
  pm-native check --max-exposure 4     fail where one is not kept as far

\b
Of generated units, the same without pm-native: systemd-analyze verify build/systemd/*.service"""
)
@with_source
@with_scope
@click.option(
    "--security", is_flag=True, help="Show the exposure of each service (systemd-analyze security)."
)
@click.option(
    "--max-exposure",
    type=click.FloatRange(0, 10),
    metavar="N",
    help="With the same table, fail where a service is above N (0 to 10).",
)
@with_format
@with_json
def check(
    *, source: SourceOptions, scope: Scope, root: Path | None, security: bool, max_exposure: float | None
) -> int:
    """Check a config and show every problem in it.

    Compiles as `generate` does and writes nothing. Exit code 78 when there is an error, 1 when a service is above
    --max-exposure.
    """
    from pm_native.cli.source import compile_options, load_source  # noqa: PLC0415 - not for --help
    from pm_native.compile.project import compile_project  # noqa: PLC0415 - not for --help

    problems = Diagnostics(strict=source.strict)
    project = load_source(source, Messages(), problems)
    options = compile_options(source, scope, root)
    bundle = compile_project(project, options, problems)
    count = len(project.processes)
    processes = f"{count} process{'es' if count != 1 else ''}"
    text = f"{project.name}: {processes}, {len(bundle.files)} files for systemd {bundle.systemd_version}: no errors"
    data: dict[str, object] = {"project": project.name, "processes": count, "files": len(bundle.files)}
    exit_code = ExitCode.OK
    hints: tuple[str, ...] = ()
    if security or max_exposure is not None:
        from pm_native.cli.security import (  # noqa: PLC0415 - only where it is asked for
            security_data,
            security_rows,
            security_text,
            too_exposed,
        )

        rows = security_rows(project, bundle, options)
        data["security"] = security_data(rows)
        text = f"{security_text(rows, scope)}\n{text}"
        if exposed := [row.unit for row in too_exposed(rows, max_exposure)]:
            exit_code = ExitCode.FAILURE
            hints = (f"above {max_exposure:g}: {', '.join(exposed)}",)
    return finish(
        Result(
            command="check",
            text=text,
            data=data,
            diagnostics=tuple(problems),
            exit_code=exit_code,
            hints=hints,
        )
    )
