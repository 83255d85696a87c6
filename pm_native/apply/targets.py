"""Targets in a run of jobs: what a target wants has a job of its own there, and must not be started once more by it."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from pm_native.bus.manager import JobMode, JobType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from pm_native.bus.manager import Manager
    from pm_native.bus.scheduler import JobSpec

_PULLS_IN = ("Wants", "Requires", "BindsTo", "Upholds")


async def alone(manager: Manager, specs: Sequence[JobSpec], own: Collection[str]) -> list[JobSpec]:
    """The jobs, with those that start a target such that it pulls nothing in: whatever is to start has its own job.

    A program that has ended by the time of its target's job would run a second time, and one that somebody stopped
    would run again. Targets that want units beside the `own` ones, by a drop-in or a link of the administrator's,
    pull in all that they want, as ever.
    """
    targets = [spec for spec in specs if spec.type is JobType.START and spec.unit.endswith(".target")]
    found = await asyncio.gather(*(manager.properties(spec.unit, "Unit", _PULLS_IN) for spec in targets))
    own_alone = {
        spec.unit
        for spec, values in zip(targets, found, strict=True)
        if {str(name) for names in values.values() if isinstance(names, list) for name in names} <= {*own}
    }
    return [
        replace(spec, mode=JobMode.IGNORE_REQUIREMENTS) if spec.unit in own_alone else spec for spec in specs
    ]
