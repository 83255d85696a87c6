"""`pm-native reload`: on new settings or new code, without an interruption."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import click

from pm_native.apply.roll import batches, watch_sec
from pm_native.bus.manager import RUNNING, JobType
from pm_native.bus.scheduler import JobSpec
from pm_native.cli.complete import complete_words
from pm_native.cli.jobs import Batch, connected, result_of, run_batches
from pm_native.cli.options import layout_of, with_json
from pm_native.cli.report import finish
from pm_native.cli.run_options import with_settle
from pm_native.cli.target import manager_words, scope_of, select, with_manager
from pm_native.errors import ExitCode
from pm_native.state.files import read_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pm_native.bus.manager import Manager
    from pm_native.cli.jobs import Report
    from pm_native.cli.target import Selection
    from pm_native.compile.bundle import BundleUnit
    from pm_native.state.layout import Layout


@click.command(
    epilog="""\b
Examples:
  pm-native reload api              a pool, one instance after the other
  pm-native reload                  every process of the project
  pm-native reload api --canary     the first instance alone
  pm-native reload api --max-unavailable 2

\b
An instance that has been stopped stays so.
Exit code 4: an instance did not come back, and the others were left as they were.

\b
The same without pm-native: systemctl restart shop-api@1.service, and when it is up, shop-api@2.service"""
)
@click.argument("words", nargs=-1, metavar="[PROJECT|PROCESS|INSTANCE]...", shell_complete=complete_words)
@click.option(
    "--canary", is_flag=True, help="Restart the first instances alone, to see how they do; then stop."
)
@click.option(
    "--max-unavailable",
    "at_once",
    type=click.IntRange(1),
    metavar="N",
    help="How many instances restart at a time.  [default: what the config says, else 1]",
)
@with_settle(1.0, "How long an instance is watched that does not say when it is ready.")
@with_manager
@with_json
def reload(*, words: tuple[str, ...], canary: bool, at_once: int | None, settle: float, user: bool) -> int:
    """Restart processes without an interruption.

    Of a pool, one instance at a time: the next when the one before is ready again. Stops at the first that does not
    come back. A process with an ExecReload= reloads by that; a single one without it restarts.
    """
    layout = layout_of(scope_of(user), None)
    selections = select(layout, words, need_one=True)

    async def go() -> list[Report]:
        async with connected(layout.scope) as manager:
            reports = []
            for selection in selections:
                services = await to_reload(selection, manager)
                batches = batches_of(services, selection.layout, at_once, settle, is_canary=canary)
                report = await run_batches(batches, selection, manager)
                reached = {item.spec.unit for item in report.outcomes}
                report.left = [unit.name for unit in services if unit.name not in reached]
                reports.append(report)
            return reports

    result = result_of("reload", selections, asyncio.run(go()), layout)
    option = manager_words(layout.scope)
    rest = " ".join(["for the rest: pm-native reload", *option.split(), *words])
    has_rest = canary and result.exit_code == ExitCode.OK
    return finish(replace(result, hints=(rest,) if has_rest else ()))


async def to_reload(selection: Selection, manager: Manager) -> list[BundleUnit]:
    """The services of the selection that are to run, with the instances that somebody started beyond the pool.

    Of a whole project without its tasks, which would run once more.
    """
    chosen = [
        unit
        for unit in selection.services
        if not unit.helper
        and not (selection.is_whole and "\nType=oneshot" in _text(selection.layout, unit.file))
    ]
    known = {unit.name for unit in selection.bundle.units}
    for template, units in _by_file(chosen):
        everyone = [unit for unit in selection.bundle.units if unit.file == template]
        if "@." in template and len(units) == len(everyone):
            instances = await manager.list_units([template.replace("@.", "@*.")])
            chosen += [replace(units[0], name=item.name) for item in instances if item.name not in known]
    states = await manager.states([unit.name for unit in chosen])
    wanted = {name for name, state in states.items() if state.active_state in RUNNING | {"failed"}}
    return [unit for unit in chosen if unit.name in wanted]


def batches_of(
    services: Sequence[BundleUnit],
    layout: Layout,
    at_once: int | None,
    settle_sec: float,
    *,
    is_canary: bool,
) -> list[Batch]:
    """What restarts together: so many instances of one pool; the first ones of each alone for a canary."""
    found: list[Batch] = []
    for file, units in _by_file(services):
        text = _text(layout, file)
        job = JobType.RELOAD if "\nExecReload=" in text else JobType.RESTART
        size = len(units) if job is JobType.RELOAD else at_once or units[0].at_once
        of_process = [
            Batch([JobSpec(unit=unit.name, type=job) for unit in batch], watch_sec(text, settle_sec))
            for batch in batches(units, size)
        ]
        found += of_process[:1] if is_canary else of_process
    return found


def _by_file(services: Sequence[BundleUnit]) -> list[tuple[str, list[BundleUnit]]]:
    files = dict.fromkeys(unit.file for unit in services)
    return [(file, [unit for unit in services if unit.file == file]) for file in files]


def _text(layout: Layout, file: str) -> str:
    return read_text(layout.units / file) or ""
