"""`pm-native start`: what should run, runs."""

from __future__ import annotations

import click

from pm_native.cli.complete import complete_words
from pm_native.cli.options import layout_of, with_json
from pm_native.cli.run_options import with_settle
from pm_native.cli.target import scope_of, with_manager


@click.command(
    epilog="""\b
Examples:
  pm-native start                   the whole project
  pm-native start api               one process, or all instances of a pool
  pm-native start api@2             one instance
  pm-native start shop-backup.service   a scheduled task, now

\b
A scheduled task is started by its timer: its name starts the timer.
Exit code 4: a unit failed.

\b
The same without pm-native: systemctl start shop.target, systemctl start shop-api@1.service"""
)
@click.argument("words", nargs=-1, metavar="[PROJECT|PROCESS|INSTANCE]...", shell_complete=complete_words)
@with_settle(1.0)
@with_manager
@with_json
def start(*, words: tuple[str, ...], settle: float, user: bool) -> int:
    """Start processes.

    Waits until they are up and for a while longer, and tells why if one is not. Failures of before are forgotten.
    """
    from pm_native.bus.manager import JobType  # noqa: PLC0415 - not for --help
    from pm_native.cli.jobs import run_command  # noqa: PLC0415 - not for --help

    return run_command(JobType.START, layout_of(scope_of(user), None), words, settle)
