"""A bus that goes and comes back: every job is seen to its end, and none is run twice."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field

import pytest

from pm_native.bus.fake import Behaviour, FakeManager, FakeUnit
from pm_native.bus.fake_unit import fail
from pm_native.bus.lasting import PATIENCE_SEC, LastingManager
from pm_native.bus.manager import BusLostError, JobMode, JobResult, JobType, UnitMaskedError
from pm_native.bus.scheduler import JobSpec, JobStage, run_jobs
from pm_native.errors import UnavailableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Collection

    from pm_native.bus.manager import JobHandle, Manager

UNITS = [f"u{number}.service" for number in range(4)]


@dataclass(slots=True)
class Flaky(FakeManager):
    """A fake whose bus is lost at the n-th call, before systemd hears of it or before the reply; `runs` counts jobs."""

    losses: list[int] = field(default_factory=list)
    is_heard: bool = False
    asked: list[str] = field(default_factory=list)
    runs: Counter[str] = field(default_factory=Counter)

    async def _round_trip(self, line: str = "") -> None:
        self.asked.append(line)
        if not self.is_heard and len(self.asked) in self.losses:
            self.lose()
        await FakeManager._round_trip(self, line)

    async def submit(
        self, job: JobType, unit: str, mode: JobMode = JobMode.REPLACE, *, along: Collection[str] = ()
    ) -> JobHandle:
        """See `Manager`."""
        number = len(self.asked) + 1
        handle = await FakeManager.submit(self, job, unit, mode, along=along)
        if self.is_heard and number in self.losses:
            self.lose()
            raise BusLostError("no reply")
        return handle

    def _run(self, unit: FakeUnit, job: JobType) -> JobResult | None:
        self.runs[f"{job} {unit.name}"] += 1
        return FakeManager._run(self, unit, job)


def reopening(
    fake: FakeManager, managers: list[FakeManager] | None = None
) -> tuple[LastingManager, list[str]]:
    """A manager over the fake and the `managers` that follow it, and what it tells of losses."""
    managers = [fake] if managers is None else managers
    told: list[str] = []

    async def reopen() -> Manager:
        managers.append(managers[-1].reconnected())
        return managers[-1]

    return LastingManager(fake, reopen, on_loss=lambda lost: told.append(lost.message)), told


def fake_of(job: JobType, losses: list[int], *, is_heard: bool) -> Flaky:
    fake = Flaky(losses=losses, is_heard=is_heard)
    for name in UNITS:
        fake.add(FakeUnit(name=name, can_reload=True))
        if job is not JobType.START:
            fake.units[name].active_state, fake.units[name].sub_state = "active", "running"
    return fake


@pytest.mark.parametrize("job", [JobType.START, JobType.STOP, JobType.RESTART])
@pytest.mark.parametrize("is_heard", [False, True])
def test_bus_that_is_lost_at_any_call_costs_no_job_and_repeats_none(job: JobType, is_heard: bool) -> None:  # noqa: FBT001
    async def go(losses: list[int]) -> tuple[Flaky, list[str]]:
        fake = fake_of(job, losses, is_heard=is_heard)
        manager, told = reopening(fake)
        outcomes = await run_jobs(manager, [JobSpec(unit=name, type=job) for name in UNITS], window=3)
        assert [(item.stage, item.result) for item in outcomes] == [(JobStage.ENDED, JobResult.DONE)] * 4
        return fake, told

    whole, _ = asyncio.run(go([]))
    points = range(1, len(whole.asked) + 1)
    assert len(points) == len(UNITS)
    for losses in [[point] for point in points] + [[point, point + 2] for point in points]:
        fake, told = asyncio.run(go(losses))
        assert fake.runs == Counter({f"{job} {name}": 1 for name in UNITS}), losses
        assert len(told) in {1, 2}, losses


@pytest.mark.parametrize(
    ("end", "told"),
    [("done", JobResult.DONE), ("failed", JobResult.FAILED), ("canceled", JobResult.CANCELED)],
)
def test_end_that_nobody_heard_is_told_by_the_unit(end: str, told: JobResult) -> None:
    async def go() -> JobResult:
        fake = FakeManager()
        fake.add(FakeUnit(name="u0.service", behaviour=Behaviour.HANGS))
        lasting, _ = reopening(fake)
        handle = await lasting.submit(JobType.START, "u0.service")
        await turns()
        fake.lose()
        fake.finish("u0.service", end)
        return (await handle.result()).result

    assert asyncio.run(go()) is told


def test_job_that_goes_on_is_waited_for_over_the_next_connection() -> None:
    async def go() -> JobResult:
        fake = FakeManager()
        fake.add(FakeUnit(name="u0.service", behaviour=Behaviour.HANGS))
        managers: list[FakeManager] = [fake]
        lasting, _ = reopening(fake, managers)
        handle = await lasting.submit(JobType.START, "u0.service")
        end = asyncio.ensure_future(handle.result())
        await turns()
        fake.lose()
        await turns()
        assert (len(managers), end.done(), fake.calls) == (2, False, ["start u0.service"])
        managers[-1].finish("u0.service", "timeout")
        return (await end).result

    assert asyncio.run(go()) is JobResult.TIMEOUT


async def turns() -> None:
    """Let everybody who can go on do so."""
    for _ in range(100):
        await asyncio.sleep(0)


def test_bus_that_does_not_come_back_is_lost_in_the_end() -> None:
    async def go() -> None:
        fake = FakeManager()

        async def reopen() -> Manager:
            raise UnavailableError("nobody there")

        lasting = LastingManager(fake, reopen, patience_sec=0.2)
        fake.lose("gone")
        for ask in ask_all(lasting):
            with pytest.raises(BusLostError, match="gone"):
                await ask

    asyncio.run(go())


def ask_all(manager: LastingManager) -> list[Awaitable[object]]:
    return [
        manager.version(),
        manager.unit_path(),
        manager.states(["u0.service"]),
        manager.list_units(["u*"]),
        manager.details(["u0.service"]),
        manager.properties("u0.service", "Service", ["NRestarts"]),
        manager.unit_file_states(["u0.service"]),
        manager.reload(),
        manager.reset_failed("u0.service"),
        manager.submit(JobType.START, "u0.service"),
        manager.attend("u0.service", 7),
        manager.cancel_job(7),
    ]


def test_all_other_calls_are_asked_again_and_a_bus_that_flaps_is_given_up() -> None:
    async def go() -> list[str]:
        fake = FakeManager()
        fake.add(FakeUnit(name="u0.service"))
        managers = [fake]
        lasting, told = reopening(fake, managers)
        for ask in ask_all(lasting):
            managers[-1].lose()
            await ask
        while len(told) < PATIENCE_SEC:
            managers[-1].lose()
            await lasting.version()
        managers[-1].lose()
        with pytest.raises(BusLostError):
            await lasting.version()
        await lasting.aclose()
        assert lasting.closed
        return told

    assert len(asyncio.run(go())) == PATIENCE_SEC


def test_what_systemd_refuses_is_no_loss() -> None:
    async def go() -> None:
        fake = FakeManager()
        fake.add(FakeUnit(name="u0.service", masked=True))
        lasting, told = reopening(fake)
        with pytest.raises(UnitMaskedError):
            await lasting.submit(JobType.START, "u0.service")
        assert told == []

    asyncio.run(go())


def test_task_that_failed_while_the_bus_was_away_has_failed() -> None:
    async def go() -> JobResult:
        fake = FakeManager()
        fake.add(FakeUnit(name="u0.service", active_state="active", sub_state="running"))
        lasting, _ = reopening(fake)
        handle = await lasting.submit(JobType.RESTART, "u0.service")
        fake.lose()
        fake._queue.clear()
        fail(fake.units["u0.service"], "exit-code", status=1)
        return (await handle.result()).result

    assert asyncio.run(go()) is JobResult.FAILED
