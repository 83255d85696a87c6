"""`pm-native migrate`: from a process manager that runs to systemd, one process at a time."""

from __future__ import annotations

import asyncio
import os
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace

import click

from pm_native.cli.options import caller_trust, with_format, with_json, with_scope, with_source
from pm_native.cli.report import finish, presentation
from pm_native.cli.run_options import with_run_options
from pm_native.errors import ExitCode, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

    from pm_native.apply.migrate import Moved
    from pm_native.bus.manager import Manager
    from pm_native.cli.migrate_text import Work
    from pm_native.cli.options import SourceOptions
    from pm_native.cli.report import Result
    from pm_native.cli.run_options import RunFlags
    from pm_native.cli.switch import Switch
    from pm_native.compile.bundle import Bundle
    from pm_native.importers.running import RunningManager
    from pm_native.state.layout import Layout
    from pm_native.unit.name import Scope

MANAGERS = ("pm2", "supervisord")


@click.command(
    epilog="""\b
Examples:
  pm-native migrate pm2 --dry-run            what would be moved, and how
  sudo pm-native migrate supervisord
  sudo pm-native migrate pm2 -f pm-native.toml   the units by this config, not by what PM2 says
  sudo pm-native migrate pm2 --keep-going --disable

\b
Each process is stopped in the old manager, its units are started and watched, and it goes back at once when they do not
stay up. Run it again to go on. What has been moved starts at boot only when all has been moved.
Exit code 4: a process went back; 130: interrupted between two processes."""
)
@click.argument("manager_name", metavar="pm2|supervisord", type=click.Choice(MANAGERS))
@with_source
@click.option("--config", help="supervisord: its config, where several run.")
@click.option("--dry-run", is_flag=True, help="Show the plan and what would be moved; change nothing.")
@click.option("--keep-going", is_flag=True, help="Move the others after one that went back.")
@click.option(
    "--disable",
    is_flag=True,
    help="When all has been moved, end the old manager and take it out of the boot.",
)
@with_run_options
@with_scope
@with_format
@with_json
def migrate(  # noqa: PLR0913 - one per option
    *,
    manager_name: str,
    source: SourceOptions,
    config: str | None,
    dry_run: bool,
    keep_going: bool,
    disable: bool,
    flags: RunFlags,
    scope: Scope,
    root: Path | None,
) -> int:
    """Move what runs under PM2 or supervisord to systemd.

    Makes the units of what runs (or of -f FILE), has systemd verify them, and then moves one process at a time: stopped
    there, started here, watched; back there at once when it does not stay up. At the end it says how to remove the old
    manager.
    """
    from pm_native.cli.options import layout_of  # noqa: PLC0415 - not for --help
    from pm_native.importers.managers import running_manager  # noqa: PLC0415 - not for --help

    if root is not None:
        raise UsageError("--root: nothing runs below another root", hint="migrate on the host itself")
    old = running_manager(manager_name, os.environ, config)
    job = _load(old, source, scope)
    layout = layout_of(scope, None)
    choices = Choices(dry_run=dry_run, keep_going=keep_going, disable=disable)
    # What changes nothing waits for nobody.
    lock = nullcontext() if dry_run else flags.lock(layout, job.bundle.project, f"migrate {manager_name}")
    with lock:
        return finish(asyncio.run(_run(old, job, layout, choices, flags)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What the command line says about how to go about it."""

    dry_run: bool
    keep_going: bool
    disable: bool


def _load(old: RunningManager, source: SourceOptions, scope: Scope) -> Work:
    """The units of what runs, or of the config that is named, and which process of the old manager each stands for."""
    from pm_native.apply.migrate import Move  # noqa: PLC0415 - not for --help
    from pm_native.cli.migrate_text import Work  # noqa: PLC0415 - not for --help
    from pm_native.cli.report import Messages  # noqa: PLC0415 - not for --help
    from pm_native.cli.source import check_project_name, compile_options, import_options, load_source  # noqa: PLC0415 - not for --help
    from pm_native.compile.project import compile_project  # noqa: PLC0415 - not for --help
    from pm_native.errors import ConfigError, Diagnostics  # noqa: PLC0415 - not for --help
    from pm_native.state.output import check_sources  # noqa: PLC0415 - not for --help

    trust = caller_trust()
    if old.config is not None:
        trust.check(old.config)
    problems = Diagnostics(strict=source.strict)
    check_project_name(source)
    # With a config of its own, what the old one says is of interest for one thing: which process is which.
    heard = problems if source.file is None else Diagnostics()
    running = old.load(import_options(source), heard)
    if running is None:
        raise ConfigError(heard)
    project = running.project
    if source.file is not None:
        project = load_source(source, Messages(), problems, trust)
    bundle = compile_project(project, compile_options(source, scope, None), problems)
    check_sources(bundle, trust, "while it was read", "run the command again")
    moves = []
    for process in project.processes:
        members = running.members.get(process.name, ())
        handles = tuple(member.handle for member in members)
        up = tuple(member.handle for member in members if member.is_running)
        moves.append(Move(process=process.name, handles=handles, running=up))
    names = {process.name for process in project.processes}
    left = tuple(name for name in running.members if name not in names)
    return Work(bundle=bundle, problems=tuple(problems), moves=tuple(moves), left=left)


async def _run(old: RunningManager, work: Work, layout: Layout, choices: Choices, flags: RunFlags) -> Result:
    from pm_native.cli.migrate_text import preview, result_of  # noqa: PLC0415 - not for --help
    from pm_native.cli.report import print_diagnostics  # noqa: PLC0415 - not for --help
    from pm_native.cli.run_text import run_switch  # noqa: PLC0415 - not for --help
    from pm_native.cli.switch import manager_of  # noqa: PLC0415 - not for --help

    shown = presentation()
    async with manager_of(layout.scope, None) as manager:
        if manager is None:
            raise UsageError("there is no systemd to move to")
        # Nothing starts at boot, and nothing starts at all, until it is moved.
        switch = await _plan(replace(work.bundle, wanted_by={}), layout, manager)
        if choices.dry_run:
            return preview(old, work, switch.plan)
        if switch.plan.is_empty:
            if not shown.as_json:
                print_diagnostics(work.problems, shown.diagnostic_format)
        else:
            options = flags.options("migrate", allow_missing=False)
            written, _ = await run_switch("migrate", switch, manager, options, work.problems)
            if written.exit_code is not ExitCode.OK:
                return written
        results, is_interrupted = await _move(
            old, work, switch, manager, keep_going=choices.keep_going, settle_sec=flags.settle_sec
        )
        is_complete = all(result.step.is_done for result in results)
        if is_complete:
            linked = await _plan(work.bundle, layout, manager)
            await run_switch("migrate", linked, manager, flags.options("migrate"))
    retired: tuple[str, ...] | None = None
    if choices.disable and is_complete and not work.left:
        retired = await asyncio.to_thread(old.retire)
    return result_of(old, work, results, retired, layout.scope, is_interrupted=is_interrupted)


async def _plan(bundle: Bundle, layout: Layout, manager: Manager) -> Switch:
    """The plan to these units that starts none of them."""
    from pm_native.cli.switch import plan_switch  # noqa: PLC0415 - not for --help
    from pm_native.plan.model import Action, PlanOptions  # noqa: PLC0415 - not for --help

    switch = await plan_switch(bundle, layout, manager, PlanOptions(needs_directories=True, retry=False))
    steps = tuple(step for step in switch.plan.steps if step.action is not Action.START)
    return replace(switch, plan=replace(switch.plan, steps=steps))


async def _move(  # noqa: PLR0913 - what a migration needs
    old: RunningManager,
    work: Work,
    switch: Switch,
    manager: Manager,
    *,
    keep_going: bool,
    settle_sec: float,
) -> tuple[list[Moved], bool]:
    """Move all that can be moved; what became of each, and whether somebody interrupted it."""
    from pm_native.apply.migrate import Migration  # noqa: PLC0415 - not for --help
    from pm_native.cli.migrate_text import Progress  # noqa: PLC0415 - not for --help
    from pm_native.cli.run_text import interruptible  # noqa: PLC0415 - not for --help

    progress = Progress(old.title)
    with interruptible(progress.jobs.stopping) as stop, closing(progress.jobs):
        migration = Migration(
            manager=manager,
            old=old,
            bundle=work.bundle,
            layout=switch.layout,
            journal=switch.store.directory / "migration.json",
            progress=progress,
            settle_sec=settle_sec,
            keep_going=keep_going,
            stop=stop,
        )
        results = await migration.run(work.moves)
        if all(result.step.is_done for result in results):
            await migration.finish()
        return results, stop.is_set()
