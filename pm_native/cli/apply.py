"""`pm-native apply`: switch the running system to a generated set."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import click

from pm_native.cli.options import with_format, with_json, with_runtime, with_scope, with_source
from pm_native.cli.plan_options import option_words, options_of, with_plan_options
from pm_native.cli.report import finish
from pm_native.cli.run_options import with_dry_run, with_run_options
from pm_native.errors import ExitCode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pm_native.cli.options import SourceOptions
    from pm_native.cli.report import Result
    from pm_native.cli.run_options import RunFlags
    from pm_native.plan.model import PlanOptions
    from pm_native.unit.name import Scope


@click.command(
    epilog="""\b
Examples:
  pm-native generate && sudo pm-native apply
  sudo pm-native apply --atomic      back by itself when a unit fails
  pm-native apply --user             for your own service manager
  pm-native apply -f Procfile        compiled now
  pm-native apply --dry-run          what it would do: as `plan`
  sudo pm-native apply saved.plan    what `plan -o saved.plan` showed, or nothing
  sudo pm-native apply --runtime     until the next boot, to try it
  pm-native apply --root /mnt/host   files only, of a host that is not running

\b
The same by hand: cp build/systemd/* /etc/systemd/system && systemctl daemon-reload
  && systemctl enable --now PROJECT.target"""
)
@click.argument("saved", required=False, type=click.Path(path_type=Path, dir_okay=False), metavar="[PLAN]")
@with_source
@click.option(
    "--from", "generated", type=click.Path(path_type=Path), help="The directory of a generated set."
)
@click.option("--atomic", is_flag=True, help="Go back to the generation before when a unit fails.")
@click.option(
    "--canary",
    is_flag=True,
    help="Of pools with on_change = reload, restart the first instances alone; the next apply goes on.",
)
@click.option(
    "--keep",
    type=click.IntRange(1),
    default=5,
    show_default=True,
    metavar="N",
    help="How many generations are kept.",
)
@with_dry_run
@with_run_options
@with_plan_options
@with_runtime
@with_scope
@with_format
@with_json
def apply(  # noqa: PLR0913 - one per option
    *,
    saved: Path | None,
    source: SourceOptions,
    generated: Path | None,
    atomic: bool,
    canary: bool,
    keep: int,
    dry_run: bool,
    flags: RunFlags,
    plan_options: PlanOptions,
    scope: Scope,
    root: Path | None,
    runtime: bool,
) -> int:
    """Switch the running system to the generated units.

    Runs what `plan` shows: has systemd verify what differs, stops what is gone, writes what differs, reloads the
    manager once, restarts what runs on old settings, starts what is new, and watches it. Pools with on_change = reload restart one
    instance after the other, and go back when one fails. A second apply does nothing.
    Exit code 4: units failed; 3: they failed, and it went back; 130: interrupted, the next apply goes on.
    """
    from pm_native.cli.options import target_of  # noqa: PLC0415 - not for --help
    from pm_native.cli.plan_text import preview  # noqa: PLC0415 - not for --help
    from pm_native.cli.run_text import run_switch  # noqa: PLC0415 - not for --help
    from pm_native.cli.saved_plan import check_saved, wanted_by_plan  # noqa: PLC0415 - not for --help
    from pm_native.cli.switch import manager_of, plan_switch, wanted_bundle  # noqa: PLC0415 - not for --help

    _check_options(saved, plan_options, atomic=atomic)
    layout = target_of(scope, root, runtime=runtime)
    plan = wanted_by_plan(saved, source, generated, layout) if saved is not None else None
    follow = options_of(plan.shown) if plan is not None else plan_options
    follow = replace(follow, needs_directories=not source.allow_missing)
    wanted = plan.wanted if plan is not None else wanted_bundle(source, generated, scope, root)

    async def go() -> Result:
        async with manager_of(scope, root) as manager:
            switch = await plan_switch(wanted.bundle, layout, manager, follow, only_look=dry_run)
            if plan is not None:
                check_saved(plan, switch)
            if dry_run:
                return preview("apply", switch.plan, tuple(wanted.problems))
            options = flags.options("apply", allow_missing=source.allow_missing)
            options = replace(options, keep=keep, is_canary=canary)
            result, outcome = await run_switch("apply", switch, manager, options, tuple(wanted.problems))
            if result.exit_code != ExitCode.UNITS_FAILED or not (atomic or outcome.has_failed_roll):
                return result
            if not switch.plan.changes_files:
                return replace(
                    result, hints=("the files are those of before: there is nothing to go back to",)
                )
            from pm_native.cli.go_back import go_back  # noqa: PLC0415 - for the few that fail

            return await go_back(result, outcome, switch, manager, options)

    with flags.lock(layout, wanted.bundle.project, "apply", dry_run=dry_run):
        return finish(asyncio.run(go()))


def _check_options(saved: Path | None, given: PlanOptions, *, atomic: bool) -> None:
    from pm_native.errors import UsageError  # noqa: PLC0415 - not for --help

    if saved is not None and (words := option_words(given)):
        options = ", ".join(f"--{word}" for word in words)
        raise UsageError("a saved plan says what to apply", hint=f"leave {options} out, or plan with it")
    if given.adopt and atomic:
        # Going back leads to our last generation, in which the file that was taken over is not.
        raise UsageError(
            "--adopt and --atomic exclude each other", hint="adopt first; what follows can be atomic"
        )
