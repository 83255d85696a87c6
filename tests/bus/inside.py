"""What tests/machine/test_bus.py runs inside a throw-away machine: each function acts, and tells as JSON what it saw.

python -m tests.bus.inside FUNCTION
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from pm_native.bus.dbus import connect
from pm_native.bus.manager import BusLostError, JobType
from pm_native.bus.scheduler import WINDOW, JobSpec, run_jobs
from pm_native.errors import PmNativeError, UnavailableError
from pm_native.unit.name import Scope
from tests.bus.labs import become

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pm_native.bus.manager import Manager
    from pm_native.bus.scheduler import JobEvent

    Told = dict[str, object]

GATE = "/run/held.go"
HANG = "[Service]\nType=notify\nTimeoutStartSec=infinity\nExecStart=/bin/sleep infinity\n"
SHORT = "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/sleep 0.02\n"


async def install(manager: Manager, units: dict[str, str]) -> None:
    write(units)
    await manager.reload()


def write(units: dict[str, str]) -> None:
    for name, text in units.items():
        Path("/run/systemd/system", name).write_text(text, encoding="utf-8")


async def on_the_bus(manager: Manager) -> None:
    """Wait for systemd: a bus that was started again is there before systemd has come back to it."""
    async with asyncio.timeout(60):
        while True:
            try:
                await manager.version()
            except UnavailableError:
                await asyncio.sleep(0.02)
            else:
                return


def starts(*names: str) -> list[JobSpec]:
    return [JobSpec(unit=name, type=JobType.START) for name in names]


async def kill_dbus() -> Told:
    """Start 300 units and kill the bus under the way; then connect again and do the rest."""
    names = [f"kill-{number}.service" for number in range(300)]

    def on_event(event: JobEvent) -> None:
        if event.index == 100 and event.outcome is None:
            (pid,) = subprocess.run(["pidof", "dbus-daemon"], capture_output=True, check=True).stdout.split()
            os.kill(int(pid), signal.SIGKILL)

    async with connect(Scope.SYSTEM) as manager:
        await install(manager, dict.fromkeys(names, SHORT))
        began = time.monotonic()
        outcomes = await run_jobs(manager, starts(*names), window=16, on_event=on_event)
        took = time.monotonic() - began
        closed = manager.closed
    async with connect(Scope.SYSTEM) as manager:
        await on_the_bus(manager)
        rest = [outcome.spec for outcome in outcomes if not outcome.is_success]
        again = await run_jobs(manager, rest)
        active = Counter(state.active_state for state in (await manager.states(names)).values())
    return {
        "stages": sorted({outcome.stage.value for outcome in outcomes}),
        "errors": sorted({type(outcome.error).__name__ for outcome in outcomes if not outcome.is_success}),
        "in time": took < 60,  # not the minutes that a call without an answer takes
        "closed": closed,
        "again": sorted({outcome.raw for outcome in again}),
        "active": dict(active),
    }


async def reexec() -> Told:
    """Wait for a job while systemd is executed again."""
    async with connect(Scope.SYSTEM) as manager:
        await install(manager, {"reexec.service": HANG})
        handle = await manager.submit(JobType.START, "reexec.service")
        process = await asyncio.create_subprocess_exec("systemctl", "daemon-reexec")
        try:
            async with asyncio.timeout(30):
                told = (await handle.result()).raw
        except BusLostError as error:
            told = str(error)
        await process.wait()
    async with connect(Scope.SYSTEM) as manager:
        state = (await manager.states(["reexec.service"]))["reexec.service"]
        (stopped,) = await run_jobs(manager, [JobSpec(unit="reexec.service", type=JobType.STOP)])
    return {"told": told, "same job": state.job_id == handle.job_id, "stopped": stopped.raw}


async def order() -> Told:
    """Units that come one after the other, submitted in that order through a small window."""
    names = [f"order-{number}.service" for number in range(20)]
    units = {names[0]: SHORT}
    for before, name in itertools.pairwise(names):
        units[name] = f"[Unit]\nAfter={before}\n{SHORT}"
    async with connect(Scope.SYSTEM) as manager:
        await install(manager, units)
        specs = [
            JobSpec(unit=name, type=JobType.START, after=(index - 1,) if index else ())
            for index, name in enumerate(names)
        ]
        outcomes = await run_jobs(manager, specs, window=4)
        began, ended = "InactiveExitTimestampMonotonic", "ActiveEnterTimestampMonotonic"
        times = [await manager.properties(name, "Unit", [began, ended]) for name in names]
    overlaps = [
        name
        for name, (before, after) in zip(names[1:], itertools.pairwise(times), strict=True)
        if int(str(after[began])) < int(str(before[ended]))
    ]
    return {"results": dict(Counter(outcome.raw for outcome in outcomes)), "overlaps": overlaps}


def open_gate() -> None:
    Path(GATE).touch()


async def held() -> Told:
    """600 units wait for one that ends when it is let: so many of their jobs are in the queue until then, and all are done."""
    names = [f"held-{number}.service" for number in range(600)]
    gate = f"[Service]\nType=oneshot\nExecStart=/bin/sh -c 'until [ -e {GATE} ]; do sleep 0.02; done'\n"
    submitted: set[int] = set()
    is_full = asyncio.Event()

    def on_event(event: JobEvent) -> None:
        submitted.add(event.index)
        if len(submitted) == WINDOW:
            is_full.set()

    async with connect(Scope.SYSTEM) as manager:
        unit = f"[Unit]\nAfter=held-gate.service\n{SHORT}".replace("/bin/sleep 0.02", "/bin/true")
        await install(manager, {**dict.fromkeys(names, unit), "held-gate.service": gate})
        run = asyncio.create_task(run_jobs(manager, starts("held-gate.service", *names), on_event=on_event))
        async with asyncio.timeout(60):
            await is_full.wait()
        await asyncio.sleep(0.5)  # for more of them to be queued, if they are
        queued = len(submitted)
        open_gate()
        outcomes = await run
    return {"queued": queued, "results": dict(Counter(outcome.raw for outcome in outcomes))}


async def pulled_in() -> Told:
    """The first job waits for 60 units that it wants, whose own jobs come last, through a window of one."""
    names = [f"pulled-{number}.service" for number in range(60)]
    top = f"[Unit]\nWants={' '.join(names)}\nAfter={' '.join(names)}\n{SHORT}"
    async with connect(Scope.SYSTEM) as manager:
        await install(manager, {**dict.fromkeys(names, SHORT), "pulled-top.service": top})
        async with asyncio.timeout(60):
            outcomes = await run_jobs(manager, starts("pulled-top.service", *names), window=1)
    return {"results": dict(Counter(outcome.raw for outcome in outcomes))}


async def access() -> Told:
    """Somebody who is not root asks PID 1 for jobs."""
    become("nobody")
    events: list[str] = []
    async with connect(Scope.SYSTEM, command=["pm-native", "apply"]) as manager:
        version = await manager.version()
        outcomes = await run_jobs(
            manager,
            starts("dbus.service", "dbus.socket"),
            window=1,
            on_event=lambda event: events.append(event.spec.unit),
        )
        try:
            await manager.reload()
        except PmNativeError as error:
            reload = [type(error).__name__, error.hint]
    return {
        "may read": version > 200,
        "stages": [outcome.stage.value for outcome in outcomes],
        "errors": [type(outcome.error).__name__ for outcome in outcomes],
        "reload": reload,
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(globals()[sys.argv[1]]())))  # noqa: T201
