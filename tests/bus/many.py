"""Starts and stops many units through the job scheduler and by systemctl, in turn, and prints the seconds as JSON.

python -m tests.bus.many COUNT ROUNDS WINDOW... : meant for a throw-away machine. systemctl's seconds are those of its
process, ours those of connecting, running and hanging up; importing dbus-next costs some 0.1 s more, once a command.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

from pm_native.bus.dbus import connect
from pm_native.bus.manager import JobType
from pm_native.bus.scheduler import JobSpec, run_jobs
from pm_native.unit.name import Scope

UNIT = "[Service]\nType=exec\nExecStart=/bin/sleep infinity\n"


async def ours(job: JobType, names: list[str], window: int) -> float:
    began = time.monotonic()
    async with connect(Scope.SYSTEM) as manager:
        outcomes = await run_jobs(manager, [JobSpec(unit=name, type=job) for name in names], window=window)
    took = time.monotonic() - began
    assert all(outcome.is_success for outcome in outcomes), [one for one in outcomes if not one.is_success][
        :3
    ]
    return took


def systemctl(job: JobType, names: list[str]) -> float:
    began = time.monotonic()
    subprocess.run(["systemctl", job.value, *names], check=True)
    return time.monotonic() - began


def check(names: list[str], state: str) -> None:
    found = subprocess.run(
        ["systemctl", "is-active", *names], capture_output=True, text=True, check=False
    ).stdout.split()
    assert set(found) == {state}, f"not {state}: {[*zip(names, found, strict=True)][:3]}"


def main(count: int, rounds: int, windows: list[int]) -> dict[str, float]:
    names = [f"many-{number:04}.service" for number in range(count)]
    for name in names:
        Path("/run/systemd/system", name).write_text(UNIT, encoding="utf-8")
    subprocess.run(["systemctl", "daemon-reload"], check=True)
    seconds: dict[str, list[float]] = {}
    for _ in range(rounds):
        for way in (0, *windows):
            for job, state in ((JobType.START, "active"), (JobType.STOP, "inactive")):
                took = asyncio.run(ours(job, names, way)) if way else systemctl(job, names)
                check(names, state)
                seconds.setdefault(f"{job} {way or 'systemctl'}", []).append(took)
    return {key: round(statistics.median(values), 3) for key, values in seconds.items()}


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1]), int(sys.argv[2]), [int(word) for word in sys.argv[3:]])))  # noqa: T201
