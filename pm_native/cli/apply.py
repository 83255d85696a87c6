"""`pm-native apply`: switch the running system to a generated set."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from pm_native.cli.options import with_format, with_json, with_scope, with_source
from pm_native.cli.report import finish

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pm_native.cli.options import SourceOptions
    from pm_native.cli.report import Result
    from pm_native.unit.name import Scope


@click.command(
    epilog="""\b
Examples:
  pm-native generate && sudo pm-native apply
  pm-native apply --user             for your own service manager
  pm-native apply -f Procfile        compiled now
  pm-native apply --root /mnt/host   files only, of a host that is not running

\b
The same by hand: cp build/systemd/* /etc/systemd/system && systemctl daemon-reload
  && systemctl enable --now PROJECT.target"""
)
@with_source
@click.option(
    "--from", "generated", type=click.Path(path_type=Path), help="The directory of a generated set."
)
@click.option(
    "--settle",
    type=click.FloatRange(0, 600),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="How long what was started is watched.",
)
@with_scope
@with_format
@with_json
def apply(
    *, source: SourceOptions, generated: Path | None, settle: float, scope: Scope, root: Path | None
) -> int:
    """Switch the running system to the generated units.

    Runs what `plan` shows: has systemd verify what differs, stops what is gone, writes what differs, reloads the
    manager once, restarts what runs on old settings, starts what is new, and watches it. A second apply does nothing.
    Exit code 4: units failed; 130: interrupted, the next apply goes on.
    """
    from pm_native.apply.run import RunOptions  # noqa: PLC0415 - not for --help
    from pm_native.cli.options import layout_of  # noqa: PLC0415 - not for --help
    from pm_native.cli.run_text import run_switch  # noqa: PLC0415 - not for --help
    from pm_native.cli.switch import manager_of, plan_switch, wanted_bundle  # noqa: PLC0415 - not for --help
    from pm_native.state.lock import locked  # noqa: PLC0415 - not for --help

    wanted = wanted_bundle(source, generated, scope, root)

    async def go() -> Result:
        async with manager_of(scope, root) as manager:
            switch = await plan_switch(wanted.bundle, scope, root, manager)
            options = RunOptions(settle_sec=settle, allow_missing=source.allow_missing)
            return await run_switch("apply", switch, manager, options, tuple(wanted.problems))

    with locked(layout_of(scope, root).lock(wanted.bundle.project)):
        return finish(asyncio.run(go()))
