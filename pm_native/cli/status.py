"""`pm-native status`: what runs, since when, and what it uses."""

from __future__ import annotations

import gc
import os
import sys
import time

import click

from pm_native.cli.complete import complete_words
from pm_native.cli.options import layout_of, with_json
from pm_native.cli.report import Result, finish, presentation
from pm_native.cli.target import manager_words, scope_of, select, with_manager
from pm_native.errors import ExitCode, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pm_native.bus.manager import Manager, UnitDetails
    from pm_native.cli.target import Selection
    from pm_native.monitor.table import TableReader, UnitStatus
    from pm_native.unit.name import Scope

_FIRST_LOOK_SEC = 0.25  # --watch: how long the first figures are measured, so that something shows at once


@click.command(
    epilog="""\b
Examples:
  pm-native status                  the project of this folder, or all
  pm-native status api              one process, or all instances of a pool
  pm-native status --watch
  pm-native status --json | jq '.data.projects[].processes[].memory_bytes'

\b
AVG CPU is the CPU time since the start over the time since the start: 100% is one whole CPU. With --watch,
CPU is the share over the interval. MEM is what the kernel counts for the unit, page cache included; ~ marks
the sum over its processes, where the kernel does not count the unit. "-" is not known.
Exit code 4: something failed, or waits for its restart after a failure. What was stopped is no failure.

\b
The same without pm-native: systemctl status 'shop-*', systemd-cgtop"""
)
@click.argument("words", nargs=-1, metavar="[PROJECT|PROCESS]...", shell_complete=complete_words)
@click.option("-w", "--watch", is_flag=True, help="Show it again and again, until Ctrl-C.")
@click.option("--interval", default="2s", show_default=True, metavar="TIME", help="How often, with --watch.")
@click.option("--tree", is_flag=True, help="Show the processes of each unit, too.")
@with_manager
@with_json
def status(*, words: tuple[str, ...], watch: bool, interval: str, tree: bool, user: bool) -> int:
    """Show state, memory and CPU of each process.

    Instances of a pool are told one by one, as PROCESS@N.
    """
    _import_asyncio()
    import asyncio  # noqa: PLC0415 - not for --help

    scope = scope_of(user)
    seconds = _interval_sec(interval)
    selections = select(layout_of(scope, None), words, need_one=False)
    if not watch:
        return finish(asyncio.run(_once(selections, scope, tree=tree)))
    gc.enable()  # off for commands that end soon
    try:
        asyncio.run(_watch(selections, scope, seconds, tree=tree))
    except KeyboardInterrupt:
        click.echo()
    return ExitCode.OK


def _import_asyncio() -> None:
    """Import asyncio as on a Python that was built without TLS, which none of our sockets speaks: it costs a quarter."""
    if "asyncio" in sys.modules or "ssl" in sys.modules:
        return
    sys.modules["ssl"] = None  # type: ignore[assignment]  # importlib's word for "not to be found"
    try:
        import asyncio  # noqa: F401, PLC0415 - kept in sys.modules
    finally:
        del sys.modules["ssl"]


def _interval_sec(text: str) -> float:
    from pm_native.model.quantity import QuantityError, parse_duration  # noqa: PLC0415 - not for --help

    try:
        usec = parse_duration(text)
    except QuantityError as error:
        raise UsageError(f"--interval: {error}", hint="such as 2s or 500ms") from error
    if not 100_000 <= usec <= 3_600_000_000:
        raise UsageError(f"--interval: from 100ms to 1h, not {text}")
    return usec / 1e6


async def _once(selections: Sequence[Selection], scope: Scope, *, tree: bool) -> Result:
    from pm_native.bus.dbus import connect  # noqa: PLC0415 - not for --help

    async with connect(scope, command=sys.argv) as manager:
        tables = await _read(selections, readers_of(selections, manager, scope))
    return result_of(selections, tables, scope, tree=tree)


async def _watch(selections: Sequence[Selection], scope: Scope, seconds: float, *, tree: bool) -> None:
    import asyncio  # noqa: PLC0415 - not for --help

    from pm_native.bus.dbus import connect  # noqa: PLC0415 - not for --help
    from pm_native.cli.status_text import Screen  # noqa: PLC0415 - not for --help
    from pm_native.monitor.table import cpu_share_between  # noqa: PLC0415 - not for --help

    screen = Screen(sys.stdout)
    async with connect(scope, command=sys.argv) as manager:
        readers = readers_of(selections, manager, scope)
        before, taken = await _read(selections, readers), time.monotonic()
        await asyncio.sleep(min(seconds, _FIRST_LOOK_SEC))
        while True:
            tables, now = await _read(selections, readers), time.monotonic()
            last = {row.unit: row for rows in before.values() for row in rows}
            shares = {
                row.unit: cpu_share_between(last.get(row.unit), row, now - taken)
                for rows in tables.values()
                for row in rows
            }
            result = result_of(selections, tables, scope, tree=tree, shares=shares)
            if presentation().as_json:
                finish(result)
            else:
                screen.show(result.text)
            before, taken = tables, now
            await asyncio.sleep(max(0.0, seconds - (time.monotonic() - now)))


def readers_of(selections: Sequence[Selection], manager: Manager, scope: Scope) -> dict[str, TableReader]:
    """A reader of the table of each project."""
    from pm_native.monitor.cgroup import Cgroups, manager_group, user_manager_group  # noqa: PLC0415 - not for --help
    from pm_native.monitor.procfs import Processes  # noqa: PLC0415 - not for --help
    from pm_native.monitor.table import Sources, TableReader  # noqa: PLC0415 - not for --help

    cgroups, processes = Cgroups(), Processes()
    top = manager_group() + (user_manager_group(os.getuid()) if scope == "user" else "")
    return {
        item.bundle.project: TableReader(
            manager,
            item.bundle,
            Sources(
                cgroups=cgroups,
                processes=processes,
                top=top,
                directory=str(item.layout.units),
                exit_words=_exit_words,
            ),
        )
        for item in selections
    }


def _exit_words(details: UnitDetails) -> str:
    from pm_native.apply.failures import exit_words  # noqa: PLC0415 - for what failed only

    return exit_words(details)


async def _read(
    selections: Sequence[Selection], readers: Mapping[str, TableReader]
) -> dict[str, list[UnitStatus]]:
    return {item.bundle.project: await readers[item.bundle.project].read(item.units) for item in selections}


def result_of(
    selections: Sequence[Selection],
    tables: Mapping[str, Sequence[UnitStatus]],
    scope: Scope,
    *,
    tree: bool = False,
    shares: Mapping[str, float | None] | None = None,
) -> Result:
    """The tables as text and as data. `shares`: of a CPU by unit, over the last interval; None: since the start."""
    from pm_native.cli.status_text import row_data, table_text  # noqa: PLC0415 - not for --help
    from pm_native.monitor.tree import process_tree  # noqa: PLC0415 - not for --help

    rows = [row for table in tables.values() for row in table]
    trees = {row.unit: process_tree(row.pids) for row in rows if row.pids} if tree else {}
    failed = [row for row in rows if row.is_failed]
    data = {
        "projects": [
            {
                "project": project,
                "scope": scope.value,
                "runtime": any(
                    item.layout.is_runtime for item in selections if item.bundle.project == project
                ),
                "processes": [row_data(row, trees.get(row.unit), shares) for row in table],
            }
            for project, table in tables.items()
        ]
    }
    first = selections[0]
    option = manager_words(scope)
    hints = [f"the same: systemctl {option}status {first.target} '{first.bundle.project}-*'"]
    if failed:
        row = failed[0]
        hints.insert(
            0, f"why: pm-native logs {option}{row.label}" + (f" (from {row.where})" if row.where else "")
        )
    return Result(
        command="status",
        text=table_text(tables, trees, shares),
        data=data,
        exit_code=ExitCode.UNITS_FAILED if failed else ExitCode.OK,
        hints=tuple(hints),
    )
