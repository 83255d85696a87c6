"""`pm-native plan`: what apply would do, and why."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import click

from pm_native.cli.options import with_format, with_json, with_runtime, with_scope, with_source
from pm_native.cli.plan_options import with_plan_options
from pm_native.cli.report import finish

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pm_native.cli.options import SourceOptions
    from pm_native.cli.report import Result
    from pm_native.plan.model import PlanOptions
    from pm_native.unit.name import Scope


@click.command(
    epilog="""\b
Examples:
  pm-native plan                   the generated set in build/systemd
  pm-native plan -f pm-native.toml compiled now
  pm-native plan -o shop.plan      for `pm-native apply shop.plan`: that and nothing else
  pm-native plan --force           what was edited by hand, and what would become of it
  pm-native plan --root /mnt/host  files only, of a host that is not running

\b
The same by hand: diff -ru /etc/systemd/system build/systemd"""
)
@with_source
@click.option(
    "--from", "generated", type=click.Path(path_type=Path), help="The directory of a generated set."
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Save the plan to a file."
)
@with_plan_options
@with_runtime
@with_scope
@with_format
@with_json
def plan(  # noqa: PLR0913 - one per option
    *,
    source: SourceOptions,
    generated: Path | None,
    output: Path | None,
    plan_options: PlanOptions,
    scope: Scope,
    root: Path | None,
    runtime: bool,
) -> int:
    """Show what apply would do, and why.

    Changes nothing, and needs no rights but for environment files, which root alone may read: without, they are taken
    as unchanged. Exit code 0: nothing to do; 2: there are changes.
    """
    from pm_native.cli.options import target_of  # noqa: PLC0415 - not for --help
    from pm_native.cli.plan_text import preview  # noqa: PLC0415 - not for --help
    from pm_native.cli.saved_plan import save_plan  # noqa: PLC0415 - not for --help
    from pm_native.cli.switch import manager_of, plan_switch, wanted_bundle  # noqa: PLC0415 - not for --help

    layout = target_of(scope, root, runtime=runtime)
    wanted = wanted_bundle(source, generated, scope, root)

    async def go() -> Result:
        async with manager_of(scope, root) as manager:
            options = replace(plan_options, needs_directories=not source.allow_missing)
            switch = await plan_switch(wanted.bundle, layout, manager, options, only_look=True)
        if output is not None:
            save_plan(switch, wanted.bundle, output)
        option = "--runtime " if runtime else ""
        result = preview("plan", switch.plan, tuple(wanted.problems))
        return (
            replace(result, hints=(f"next: pm-native apply {option}{output}",))
            if output is not None
            else result
        )

    return finish(asyncio.run(go()))
