"""A look whether what was started stays up: systemd says `done` of a program that dies at once, too."""

from __future__ import annotations

import asyncio

from pm_native.apply.failures import why_down
from pm_native.apply.properties import one_property

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Sequence

    from pm_native.bus.manager import Manager

# Between two restarts at the usual delays (100 ms, 500 ms, 1 s), so that a crash loop is not looked at in mid-start.
SETTLE_SEC = 1.3
FIRST_LOOK_SEC = 0.4


async def settle(  # noqa: PLR0913 - what a watch needs
    manager: Manager,
    services: Sequence[str],
    seconds: float,
    tell: Callable[[str, str], Awaitable[None]],
    stop: asyncio.Event | None = None,
    *,
    ran_before: Collection[str] = (),
) -> None:
    """Watch services for so long, and `tell` of each that does not stay up: its name, and why in words.

    It is told when it is seen, since how a program ended is known only until its next start. `stop`, once set, ends
    the watch early. Those that `ran_before` were not started just now.
    """
    before = await _restarts(manager, [name for name in services if name in ran_before])

    async def look(names: Sequence[str], so_far: float) -> list[str]:
        up: list[str] = []
        states = await manager.states(names)
        for name in names:
            state = states.get(name)
            if state is not None and (words := why_down(state, _within(so_far, is_new=name not in before))):
                await tell(name, words)
            else:
                up.append(name)
        return up

    # Twice: at the first look a program that died at once waits for its restart, and how it ended can be told.
    first = min(seconds, FIRST_LOOK_SEC)
    await _pause(first, stop)
    up = await look(services, first)
    if up and seconds > first:
        await _pause(seconds - first, stop)
        up = await look(up, seconds)
    ill = await _unhealthy(manager, [name for name in up if name not in before])
    for name, words in ill.items():
        await tell(name, f"it says that it is {words}")
    for name, count in (await _restarts(manager, [name for name in up if name not in ill])).items():
        if (more := count - before.get(name, 0)) > 0:
            times = "once" if more == 1 else f"{more} times"
            await tell(name, f"it was restarted {times} {_within(seconds, is_new=name not in before)}")


def _within(seconds: float, *, is_new: bool) -> str:
    return f"within {seconds:g} s of its start" if is_new else f"within {seconds:g} s of being watched"


async def _restarts(manager: Manager, names: Sequence[str]) -> dict[str, int]:
    """How often systemd has restarted each by itself since somebody started it."""
    found = await one_property(manager, names, "Service", "NRestarts")
    return {name: int(str(count)) for name, count in found.items()}


async def _unhealthy(manager: Manager, names: Sequence[str]) -> dict[str, str]:
    """What those say in their status line of which a health check finds that they are not well."""
    found = await one_property(manager, names, "Service", "StatusText")
    said = {
        name: [part for part in str(text).split("; ") if part.startswith("unhealthy")]
        for name, text in found.items()
    }
    return {name: parts[0] for name, parts in said.items() if parts}


async def _pause(seconds: float, stop: asyncio.Event | None) -> None:
    if stop is None:
        await asyncio.sleep(seconds)
        return
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return  # nobody asked to stop
