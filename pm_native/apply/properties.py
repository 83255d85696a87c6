"""One property of many units, all asked for at once."""

from __future__ import annotations

import asyncio

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pm_native.bus.manager import Manager, Property


async def one_property(
    manager: Manager, names: Sequence[str], interface: str, key: str
) -> dict[str, Property]:
    """What systemd says of `key` (systemctl(1), `show`) for each unit, by its name, in their order."""
    found = await asyncio.gather(*(manager.properties(name, interface, [key]) for name in names))
    return {name: values[key] for name, values in zip(names, found, strict=True)}
