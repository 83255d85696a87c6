"""`pm-native rollback`: back to a generation that was applied before."""

from __future__ import annotations

import asyncio

import click

from pm_native.cli.complete import complete_generations, complete_projects
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
  sudo pm-native rollback         to the last one before this that went well
  sudo pm-native rollback 3       to generation 3
  sudo pm-native rollback 3 --dry-run   what that would change
  sudo pm-native history          which there are

\b
The same without pm-native: put the old files back, systemctl daemon-reload, and restart what they are of."""
)
@click.argument("number", type=click.IntRange(1), required=False, shell_complete=complete_generations)
@click.option(
    "--project", help="Which project, where several are installed.", shell_complete=complete_projects
)
@with_dry_run
@with_run_options
@with_scope
@with_json
def rollback(  # noqa: PLR0913 - one per option
    *,
    number: int | None,
    project: str | None,
    dry_run: bool,
    flags: RunFlags,
    scope: Scope,
    root: Path | None,
) -> int:
    """Go back to a generation that was applied before.

    The files are those that were kept, and the way there is planned from what is now: only what differs is touched. It
    makes a new generation, so that a rollback can be rolled back.
    """
    from pm_native.cli.plan_text import preview  # noqa: PLC0415 - not for --help
    from pm_native.cli.run_text import run_switch  # noqa: PLC0415 - not for --help
    from pm_native.cli.switch import installed_project, manager_of, plan_switch  # noqa: PLC0415 - not for --help
    from pm_native.state.generations import Generations  # noqa: PLC0415 - not for --help

    found = installed_project(scope, root, project)
    layout, name = found.layout, found.installed.bundle.project

    async def go() -> Result:
        installed = installed_project(scope, root, name).installed  # another run may have been waited for
        generations = Generations(found.store.directory)
        target = number if number is not None else generations.last_good(before=installed.generation)
        bundle = generations.bundle(target)
        async with manager_of(scope, root) as manager:
            switch = await plan_switch(bundle, layout, manager)
            if dry_run:
                return preview("rollback", switch.plan)
            options = flags.options(f"rollback to {target}")
            return (await run_switch("rollback", switch, manager, options))[0]

    with flags.lock(layout, name, "rollback", dry_run=dry_run):
        return finish(asyncio.run(go()))
