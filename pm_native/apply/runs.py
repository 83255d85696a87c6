"""The runs that units are in, by what systemd tells journald in the file system: no call over the bus for each of them."""

from __future__ import annotations

import os
import time

from pm_native.apply.failures import failed_lately
from pm_native.apply.properties import one_property
from pm_native.bus.manager import RUNNING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pm_native.bus.manager import Manager, UnitState
    from pm_native.state.layout import Layout

_YOUNG_SEC = 60.0
_MOST = 50  # each is asked about, and after a reboot all are young


def runs_now(layout: Layout, units: Iterable[str]) -> dict[str, str]:
    """The id of the run that each service is in, or was in last."""
    services = (name for name in units if name.endswith(".service"))
    found = ((name, _run(_link(layout, name))) for name in services)
    return {name: run for name, run in found if run}


async def relapsed(
    manager: Manager, layout: Layout, states: Iterable[UnitState], before: Mapping[str, str]
) -> list[str]:
    """Those that are up, or on their way, in another run than `before`, which began just now after failure upon failure.

    Who ends well and is started again is at work. What has been up for a minute is taken to be well, and to have
    failed once makes no crash loop. One that has ended since `states` were looked at is in no run at all.
    """
    up = (state.name for state in states if state.active_state in RUNNING and not state.is_between_runs)
    young = [
        (_age_sec(_link(layout, name)), name)
        for name in before.keys() & up
        if _run(_link(layout, name)) != before[name]
    ]
    suspects = [name for age, name in sorted(young) if age < _YOUNG_SEC][:_MOST]
    counts = await one_property(manager, suspects, "Service", "NRestarts")
    restarted = [name for name, count in counts.items() if count]
    return failed_lately(restarted, layout.scope, times=2) if restarted else []


def _link(layout: Layout, unit: str) -> str:
    return f"{layout.runtime}/systemd/units/invocation:{unit}"


def _run(link: str) -> str:
    try:
        return os.readlink(link)  # noqa: PTH115 - for each of a thousand units
    except OSError:
        return ""  # it does not run at this moment, or is of a manager that tells nothing


def _age_sec(link: str) -> float:
    """How long ago the run began; below 0 where the clock was set back since."""
    try:
        return time.time() - os.lstat(link).st_mtime
    except OSError:
        return 0.0  # it has ended meanwhile
