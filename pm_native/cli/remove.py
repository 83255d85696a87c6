"""`pm-native remove`: a project stopped and gone."""

from __future__ import annotations

import asyncio

import click

from pm_native.cli.complete import complete_projects
from pm_native.cli.options import with_json, with_scope
from pm_native.cli.report import finish
from pm_native.cli.run_options import with_dry_run, with_run_options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

    from pm_native.cli.report import Result
    from pm_native.cli.run_options import RunFlags
    from pm_native.unit.name import Scope


@click.command(
    epilog="""\b
Examples:
  sudo pm-native remove shop
  pm-native remove shop --user
  sudo pm-native remove shop --dry-run   what would go

\b
The same by hand: systemctl disable --now shop.target && rm /etc/systemd/system/shop*
  && systemctl daemon-reload"""
)
@click.argument("project", shell_complete=complete_projects)
@click.option(
    "--force", is_flag=True, help="Take away what is protected, and what was edited by hand (it is saved)."
)
@with_dry_run
@with_run_options
@with_scope
@with_json
def remove(  # noqa: PLR0913 - one per option
    *, project: str, force: bool, dry_run: bool, flags: RunFlags, scope: Scope, root: Path | None
) -> int:
    """Stop a project and take its units away.

    Removes what apply wrote: units, links, environment files, records. Your config and your logs stay, and so do
    processes with `protect = true`.
    """
    from pm_native.cli.plan_text import preview  # noqa: PLC0415 - not for --help
    from pm_native.cli.run_text import run_switch  # noqa: PLC0415 - not for --help
    from pm_native.cli.switch import manager_of, plan_removal  # noqa: PLC0415 - not for --help
    from pm_native.cli.target import place_of  # noqa: PLC0415 - not for --help
    from pm_native.errors import UsageError  # noqa: PLC0415 - not for --help
    from pm_native.model.names import NAME_RULE, is_name  # noqa: PLC0415 - not for --help
    from pm_native.plan.model import PlanOptions  # noqa: PLC0415 - not for --help

    if not is_name(project):
        raise UsageError(f"not a project's name: {project!r}", hint=NAME_RULE)

    async def go() -> Result:
        async with manager_of(scope, root) as manager:
            switch = await plan_removal(project, scope, root, manager, PlanOptions(force=force))
            if dry_run:
                return preview("remove", switch.plan)
            return (await run_switch("remove", switch, manager, flags.options("remove")))[0]

    with flags.lock(place_of(scope, root, project), project, "remove", dry_run=dry_run):
        return finish(asyncio.run(go()))
