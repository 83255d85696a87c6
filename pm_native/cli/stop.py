"""`pm-native stop`: what runs, stops."""

from __future__ import annotations

import click

from pm_native.cli.complete import complete_words
from pm_native.cli.options import layout_of, with_json
from pm_native.cli.target import scope_of, with_manager


@click.command(
    epilog="""\b
Examples:
  pm-native stop                    the whole project, in reverse order
  pm-native stop api                one process, or all instances of a pool
  pm-native stop api@3              one instance

\b
What was stopped stays so, through apply too, until `pm-native start` or the next boot.
Exit code 4: a unit failed.

\b
The same without pm-native: systemctl stop shop.target, systemctl stop shop-api@1.service"""
)
@click.argument("words", nargs=-1, metavar="[PROJECT|PROCESS|INSTANCE]...", shell_complete=complete_words)
@with_manager
@with_json
def stop(*, words: tuple[str, ...], user: bool) -> int:
    """Stop processes.

    Waits until they have ended, by their stop signal and, after their stop timeout, by SIGKILL.
    """
    from pm_native.bus.manager import JobType  # noqa: PLC0415 - not for --help
    from pm_native.cli.jobs import run_command  # noqa: PLC0415 - not for --help

    return run_command(JobType.STOP, layout_of(scope_of(user), None), words, 0)
