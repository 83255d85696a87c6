"""`pm-native scale`: another number of instances, until it is changed again."""

from __future__ import annotations

import asyncio
import re

import click

from pm_native.cli.complete import complete_pools
from pm_native.cli.options import layout_of, with_json
from pm_native.cli.report import Result, finish
from pm_native.cli.run_options import with_run_options
from pm_native.cli.target import manager_words, scope_of, select, with_manager
from pm_native.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pm_native.cli.run_options import RunFlags
    from pm_native.compile.bundle import Bundle
    from pm_native.state.layout import Layout

_WORD = re.compile(r"(?P<process>[^=]+)=(?P<count>[+-]?[0-9]{1,5}|config)")
_MAX = 10_000


@click.command(
    epilog="""\b
Examples:
  sudo pm-native scale api=6             six instances
  sudo pm-native scale api=+2 worker=1   two more, and one
  sudo pm-native scale api=config        what the config says, from the next apply on

\b
`plan` and `apply` keep to the number, and say so.

\b
The same until the next start of the pool: systemctl start shop-api@5.service shop-api@6.service"""
)
@click.argument("words", nargs=-1, required=True, metavar="PROCESS=NUMBER...", shell_complete=complete_pools)
@with_run_options
@with_manager
@with_json
def scale(*, words: tuple[str, ...], flags: RunFlags, user: bool) -> int:
    """Change how many instances a pool has.

    Starts those that are missing, or stops the highest ones; the others run on. The number is kept over applies and
    reboots until it is changed again.
    """
    from pm_native.cli.run_text import run_switch  # noqa: PLC0415 - not for --help
    from pm_native.cli.switch import manager_of, plan_switch  # noqa: PLC0415 - not for --help
    from pm_native.state.generations import Generations  # noqa: PLC0415 - not for --help
    from pm_native.state.scale import load_scale, save_scale  # noqa: PLC0415 - not for --help
    from pm_native.state.store import Store  # noqa: PLC0415 - not for --help

    scope = scope_of(user)
    layout, project, asked = what_is_asked(layout_of(scope, None), words)
    store = Store(layout, project)

    async def go() -> Result:
        installed = store.load()
        if installed is None:
            raise UsageError(f"{project!r} is not installed", hint="apply it first")
        bundle = Generations(store.directory).bundle(installed.generation)
        counts = new_counts(load_scale(store.directory), bundle, asked)
        async with manager_of(scope, None) as manager:
            switch = await plan_switch(bundle, layout, manager, counts=counts)
            save_scale(store.directory, counts)
            options = flags.options(f"scale {' '.join(words)}")
            return (await run_switch("scale", switch, manager, options))[0]

    with flags.lock(layout, project, "scale"):
        result = asyncio.run(go())
    if "config" in asked.values():
        option = manager_words(layout.scope)
        hints = (
            f"the number of the config holds from the next apply on: pm-native apply {option}".rstrip(),
        )
        result = Result(
            command=result.command,
            text=result.text,
            data=result.data,
            exit_code=result.exit_code,
            hints=hints,
        )
    return finish(result)


def what_is_asked(layout: Layout, words: Sequence[str]) -> tuple[Layout, str, dict[str, str]]:
    """The project, where it is, and what is asked of each of its processes; UsageError for what cannot be read or is no process."""
    asked: dict[str, str] = {}
    projects: dict[str, Layout] = {}
    for word in words:
        match = _WORD.fullmatch(word)
        if match is None:
            raise UsageError(f"not PROCESS=NUMBER: {word!r}", hint="api=6, api=+2, api=-1 or api=config")
        (selection,) = select(layout, [match["process"]], need_one=True)
        projects[selection.bundle.project] = selection.layout
        asked[selection.units[-1].process] = match["count"]
    if len(projects) > 1:
        raise UsageError(f"several projects: {', '.join(sorted(projects))}", hint="one at a time")
    ((project, place),) = projects.items()
    return place, project, asked


def new_counts(old: Mapping[str, int], bundle: Bundle, asked: Mapping[str, str]) -> dict[str, int]:
    """The numbers to keep; UsageError for what is no pool, and for a number that no pool has."""
    from pm_native.compile.scale import pool_sizes  # noqa: PLC0415 - not for --help

    sizes = pool_sizes(bundle)
    counts = dict(old)
    for process, text in asked.items():
        if process not in sizes:
            hint = f"the pools are: {', '.join(sizes) or 'none'}; `instances` in the config makes one"
            raise UsageError(f"{process or 'the project'!r} is no pool", hint=hint)
        if text == "config":
            counts.pop(process, None)
            continue
        count = int(text) + (sizes[process] if text[0] in "+-" else 0)
        if not 0 <= count <= _MAX:
            raise UsageError(f"{process} cannot have {count} instances", hint=f"from 0 to {_MAX}")
        counts[process] = count
    return counts
