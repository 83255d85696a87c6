"""What a run says of the jobs that it waits for, and that saying it changes nothing."""

from __future__ import annotations

import asyncio
import time

from pm_native.apply.waiting import Wait, run_watched, waits_of
from pm_native.bus.fake import Behaviour, FakeManager, FakeUnit
from pm_native.bus.manager import JobType
from pm_native.bus.scheduler import JobSpec
from tests.apply.hosts import Told

START = JobType.START


def manager() -> FakeManager:
    made = FakeManager()
    now = time.monotonic() * 1e6
    made.add(
        FakeUnit(name="db.service", behaviour=Behaviour.HANGS, state_change_usec=int(now - 12_400_000)),
        FakeUnit(name="web.service", behaviour=Behaviour.HANGS, state_change_usec=int(now - 80_000_000)),
        FakeUnit(name="late.service"),
    )
    return made


def test_those_at_work_come_first_the_longest_in_front_with_their_times() -> None:
    fake = manager()
    for name in ("db.service", "web.service"):
        fake.units[name].active_state, fake.units[name].sub_state = "activating", "start"
    waits = asyncio.run(waits_of(fake, dict.fromkeys(["late.service", "db.service", "web.service"], START)))
    assert [str(wait) for wait in waits] == [
        "web.service start, 80 s of 90 s",
        "db.service start, 12 s of 90 s",
        "late.service start, behind others",
    ]
    assert (waits[0].state, waits[2]) == ("start", Wait(unit="late.service", job=START))


def test_word_comes_while_jobs_are_under_way_and_none_after() -> None:
    fake = manager()
    heard = asyncio.Event()

    class Ends(Told):
        def waiting(self, waits: object) -> None:
            super().waiting(waits)  # type: ignore[arg-type]  # what the run told
            if fake.queued:
                fake.finish("db.service", "done")
            heard.set()

    async def go() -> list[str]:
        told = Ends()
        jobs = [JobSpec(unit=name, type=START) for name in ("late.service", "db.service")]
        outcomes = await run_watched(fake, jobs, told, every_sec=0.001)
        assert [str(outcome.result) for outcome in outcomes] == ["done", "done"]
        assert len(asyncio.all_tasks()) == 1
        return told.lines

    lines = asyncio.run(go())
    assert heard.is_set()
    assert lines[0] == "ended start late.service"
    assert lines[1].startswith("waiting for db.service start, 12 s of 90 s")
    assert lines[-1] == "ended start db.service"


def test_bus_that_goes_is_told_by_the_jobs_and_by_no_one_else() -> None:
    fake = manager()

    class Cuts(Told):
        def waiting(self, waits: object) -> None:
            super().waiting(waits)  # type: ignore[arg-type]  # what the run told
            fake.lose()

    async def go() -> list[str]:
        outcomes = await run_watched(fake, [JobSpec(unit="db.service", type=START)], Cuts(), every_sec=0.001)
        return [outcome.reason for outcome in outcomes]

    assert asyncio.run(go()) == ["the connection to the bus is gone"]
