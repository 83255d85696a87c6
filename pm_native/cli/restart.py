"""`pm-native restart`: stopped and started."""

from __future__ import annotations

import click

from pm_native.cli.complete import complete_words
from pm_native.cli.options import layout_of, with_json
from pm_native.cli.run_options import with_settle
from pm_native.cli.target import scope_of, with_manager


@click.command(
    epilog="""\b
Examples:
  pm-native restart                 the whole project: stopped in reverse order, then started
  pm-native restart api             one process, or all instances of a pool at once
  pm-native restart api@3           one instance

\b
What was stopped is started.
Exit code 4: a unit failed.

\b
The same without pm-native: systemctl restart shop.target, systemctl restart shop-api@1.service"""
)
@click.argument("words", nargs=-1, metavar="[PROJECT|PROCESS|INSTANCE]...", shell_complete=complete_words)
@with_settle(0.5)
@with_manager
@with_json
def restart(*, words: tuple[str, ...], settle: float, user: bool) -> int:
    """Restart processes.

    Waits until they are up and for a while longer, and tells why if one is not: half a second, since what is restarted
    has run before; --settle watches programs that take longer to fail. Failures of before are forgotten.
    """
    from pm_native.bus.manager import JobType  # noqa: PLC0415 - not for --help
    from pm_native.cli.jobs import run_command  # noqa: PLC0415 - not for --help

    return run_command(JobType.RESTART, layout_of(scope_of(user), None), words, settle)
