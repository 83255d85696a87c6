"""`pm-native init`: a commented config to start from."""

from __future__ import annotations

from pathlib import Path

import click

from pm_native.cli.options import with_json
from pm_native.cli.report import Result, finish
from pm_native.errors import AccessError, UsageError


@click.command(
    epilog="""\b
Examples:
  pm-native init           writes pm-native.toml in this folder
  pm-native init --print   shows it only"""
)
@click.option("--project", "project_name", help="The name of the project; else the folder's.")
@click.option("--print", "print_only", is_flag=True, help="Print it, write nothing.")
@with_json
def init(*, project_name: str | None, print_only: bool) -> int:
    """Write a commented pm-native.toml to start from."""
    from pm_native.model.names import NAME_RULE, is_name, nearest_name  # noqa: PLC0415 - not for --help
    from pm_native.resources import data_directory  # noqa: PLC0415 - not for --help

    if project_name is not None and not is_name(project_name):
        raise UsageError(f"--project: not a valid name: {project_name!r}", hint=NAME_RULE)
    name = project_name or nearest_name(Path.cwd().name)
    text = (data_directory("templates") / "starter.toml").read_text(encoding="utf-8").replace("@NAME@", name)
    if print_only:
        return finish(Result(command="init", text=text.rstrip("\n"), data={"text": text}))
    path = Path("pm-native.toml")
    try:
        with path.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError:
        raise UsageError(f"{path} is there already", hint="--print shows the starter") from None
    except PermissionError:
        raise AccessError(f"cannot write {path} here: permission denied") from None
    hints = ("next: edit it, then pm-native check",)
    return finish(Result(command="init", text=f"wrote {path}", data={"path": str(path)}, hints=hints))
