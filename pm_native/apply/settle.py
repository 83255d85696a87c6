"""A look whether what was started stays up: systemd says `done` of a program that dies at once, too."""

from __future__ import annotations

import asyncio

from pm_native.apply.failures import why_down

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from pm_native.bus.manager import Manager

# Between two restarts at the usual delays (100 ms, 500 ms, 1 s), so that a crash loop is not looked at in mid-start.
SETTLE_SEC = 1.3
FIRST_LOOK_SEC = 0.4


async def settle(
    manager: Manager,
    services: Sequence[str],
    seconds: float,
    tell: Callable[[str, str], Awaitable[None]],
    stop: asyncio.Event | None = None,
) -> None:
    """Watch services for so long, and `tell` of each that does not stay up: its name, and why in words.

    It is told when it is seen, since how a program ended is known only until its next start. `stop`, once set, ends
    the watch early.
    """
    # Twice: at the first look a program that died at once waits for its restart, and how it ended can be told.
    first = min(seconds, FIRST_LOOK_SEC)
    await _pause(first, stop)
    up = await _look(manager, services, first, tell)
    if up and seconds > first:
        await _pause(seconds - first, stop)
        up = await _look(manager, up, seconds, tell)
    restarts = await asyncio.gather(*(manager.properties(name, "Service", ["NRestarts"]) for name in up))
    for name, found in zip(up, restarts, strict=True):
        if count := int(str(found["NRestarts"])):
            times = "once" if count == 1 else f"{count} times"
            await tell(name, f"it was restarted {times} within {seconds:g} s of its start")


async def _look(
    manager: Manager, names: Sequence[str], seconds: float, tell: Callable[[str, str], Awaitable[None]]
) -> list[str]:
    """Tell of those that are down `seconds` after their start; the others are given back."""
    up: list[str] = []
    states = await manager.states(names)
    for name in names:
        state = states.get(name)
        if state is not None and (words := why_down(state, seconds)):
            await tell(name, words)
        else:
            up.append(name)
    return up


async def _pause(seconds: float, stop: asyncio.Event | None) -> None:
    if stop is None:
        await asyncio.sleep(seconds)
        return
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return  # nobody asked to stop
