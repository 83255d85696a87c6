"""Runs inside a booted machine: the jobs of a thousand units, ours against systemctl's, in turn. Prints JSON."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path

from pm_native.bus.dbus import connect
from pm_native.bus.manager import JobType
from pm_native.bus.scheduler import JobSpec, run_jobs
from pm_native.unit.name import Scope

COUNT = 1000
ROUNDS = 5
UNITS = [f"bench-{number}.service" for number in range(COUNT)]


def install() -> None:
    """A thousand units that start at once and stay."""
    for unit in UNITS:
        text = "[Unit]\nDescription=bench\n[Service]\nType=exec\nExecStart=/bin/sleep infinity\n"
        Path("/etc/systemd/system", unit).write_text(text, encoding="utf-8")
    subprocess.run(["systemctl", "daemon-reload"], check=True)


def assert_states(expected: str) -> None:
    """All units are in this state, or the figure is worth nothing."""
    run = subprocess.run(["systemctl", "is-active", *UNITS], capture_output=True, text=True, check=False)
    states = run.stdout.split()
    assert states == [expected] * COUNT, f"{states.count(expected)} of {COUNT} units are {expected}"


def systemctl(verb: str) -> float:
    """Seconds that systemctl takes for the verb."""
    begin = time.perf_counter()
    subprocess.run(["systemctl", verb, *UNITS], check=True)
    return time.perf_counter() - begin


def ours(job: JobType) -> float:
    """Seconds that the scheduler takes for the jobs, the connection included."""

    async def go() -> None:
        async with connect(Scope.SYSTEM) as manager:
            outcomes = await run_jobs(manager, [JobSpec(unit=unit, type=job) for unit in UNITS])
        assert all(outcome.is_success for outcome in outcomes), "a job failed"

    begin = time.perf_counter()
    asyncio.run(go())
    return time.perf_counter() - begin


def main() -> None:
    """All rounds, the first of each kind thrown away."""
    install()
    figures: dict[str, list[float]] = {"start": [], "stop": [], "systemctl start": [], "systemctl stop": []}
    for _ in range(ROUNDS + 1):
        for job in (JobType.START, JobType.STOP):
            assert_states("inactive" if job is JobType.START else "active")
            figures[job.value].append(ours(job))
        for verb in ("start", "stop"):
            assert_states("inactive" if verb == "start" else "active")
            figures[f"systemctl {verb}"].append(systemctl(verb))
    assert_states("inactive")
    json.dump({name: seconds[1:] for name, seconds in figures.items()}, sys.stdout)


if __name__ == "__main__":
    main()
