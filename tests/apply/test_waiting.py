"""What a run says of the jobs that it waits for, and that saying it changes nothing."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import pytest

from pm_native.apply.waiting import Wait, run_watched, waits_of
from pm_native.bus.fake import Behaviour, FakeManager, FakeUnit
from pm_native.bus.manager import JobType
from pm_native.bus.scheduler import JobSpec
from tests.apply.hosts import Told

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pm_native.bus.manager import UnitDetails, UnitState

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


class Limits(FakeManager):
    """A manager whose units may take a hundredth of a second to start, and are of a type."""

    service_type = "exec"

    db_state = "inactive"

    async def states(self, names: Sequence[str]) -> dict[str, UnitState]:
        """See `Manager`."""
        found = await super().states(names)
        at_work = {"db.service": self.db_state}
        return {
            name: replace(state, active_state=at_work.get(name, "inactive"), sub_state="start")
            for name, state in found.items()
        }

    async def details(self, names: Sequence[str]) -> dict[str, UnitDetails]:
        """See `Manager`."""
        found = await super().details(names)
        limited = {"timeout_start_usec": 10_000, "service_type": self.service_type}
        return {name: replace(details, **limited) for name, details in found.items()}  # type: ignore[arg-type]  # those two


@pytest.mark.parametrize(
    ("db_state", "service_type", "reasons"),
    [
        # Nobody of ours is at work: both wait behind a job of somebody else's.
        ("inactive", "exec", ["its job did not end within 0 s, and goes on in systemd"] * 2),
        # What systemd should have given up long ago, and what waits behind it.
        (
            "activating",
            "exec",
            [
                "its job did not end within 12 s, and goes on in systemd",
                "its job did not end within 0 s, and goes on in systemd",
            ],
        ),
        # It may have asked systemd for more time: that is systemd's to end, and the other waits rightly.
        ("activating", "notify", ["the run was stopped"] * 2),
    ],
)
def test_job_is_let_go_of_when_the_time_of_its_unit_is_over_and_nothing_of_ours_is_at_work(
    db_state: str, service_type: str, reasons: list[str]
) -> None:
    fake = Limits()
    fake.service_type, fake.db_state = service_type, db_state
    since = int(time.monotonic() * 1e6 - 12_000_000)
    fake.add(
        FakeUnit(name="db.service", behaviour=Behaviour.HANGS, state_change_usec=since),
        FakeUnit(name="web.service", behaviour=Behaviour.HANGS),
    )
    stop = asyncio.Event()
    looks = 0

    class Stops(Told):
        def waiting(self, waits: object) -> None:
            super().waiting(waits)  # type: ignore[arg-type]  # what the run told
            nonlocal looks
            looks += 1
            if looks > 100:
                stop.set()

    async def go() -> list[str]:
        jobs = [JobSpec(unit=name, type=START) for name in ("db.service", "web.service")]
        outcomes = await run_watched(fake, jobs, Stops(), stop=stop, every_sec=0.001, grace_sec=0.01)
        assert [outcome.is_overdue for outcome in outcomes] == ["goes on" in reason for reason in reasons]
        return [outcome.reason for outcome in outcomes]

    assert asyncio.run(go()) == reasons
    assert fake.queued == ["db.service", "web.service"]
