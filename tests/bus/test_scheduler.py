"""The window of jobs: order, bounds, and an outcome for each job whatever happens."""

from __future__ import annotations

import asyncio

import pytest

from pm_native.bus.fake import Behaviour, FakeManager, FakeUnit
from pm_native.bus.manager import BusTimeoutError, JobMode, JobResult, JobType
from pm_native.bus.scheduler import JobSpec, JobStage, run_jobs, submission_order
from pm_native.errors import AccessError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pm_native.bus.scheduler import JobEvent, JobOutcome

HANGS = Behaviour.HANGS


def fake_of(**behaviours: Behaviour) -> FakeManager:
    fake = FakeManager()
    fake.add(*(FakeUnit(name=f"{name}.service", behaviour=kind) for name, kind in behaviours.items()))
    return fake


def starts(*names: str) -> list[JobSpec]:
    return [JobSpec(unit=f"{name}.service", type=JobType.START) for name in names]


def after(*seconds: float) -> Callable[[int], asyncio.Future[float]]:
    """A patience that is over after so long for each job in turn, and never for those behind them."""

    def over(index: int) -> asyncio.Future[float]:
        future: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        if index < len(seconds):
            asyncio.get_running_loop().call_later(seconds[index], future.set_result, seconds[index])
        return future

    return over


def numbered(count: int) -> tuple[FakeManager, list[JobSpec]]:
    names = [f"u{number}" for number in range(count)]
    return fake_of(**dict.fromkeys(names, Behaviour.RUNS)), starts(*names)


def stages(outcomes: list[JobOutcome]) -> list[str]:
    return [outcome.stage.value for outcome in outcomes]


def test_each_job_has_its_outcome_in_the_order_given() -> None:
    fake = fake_of(a=Behaviour.RUNS, b=Behaviour.FAILS, c=Behaviour.ASSERTS)
    outcomes = asyncio.run(run_jobs(fake, starts("a", "b", "missing", "c")))
    assert [(one.spec.unit, one.stage, one.result, one.words("exit-code")) for one in outcomes] == [
        ("a.service", JobStage.ENDED, JobResult.DONE, "its job is done"),
        (
            "b.service",
            JobStage.ENDED,
            JobResult.FAILED,
            "its job failed because the control process exited with error code",
        ),
        ("missing.service", JobStage.REFUSED, None, "unit missing.service not found"),
        ("c.service", JobStage.ENDED, JobResult.ASSERT, "an assertion of its unit file failed"),
    ]
    assert [one.is_success for one in outcomes] == [True, False, False, False]


def test_no_jobs_are_no_trouble() -> None:
    assert asyncio.run(run_jobs(FakeManager(), [])) == []


@pytest.mark.parametrize("window", [1, 2, 7, 32])
def test_never_more_jobs_are_queued_than_the_window_holds(window: int) -> None:
    fake, specs = numbered(50)
    outcomes = asyncio.run(run_jobs(fake, specs, window=window))
    assert stages(outcomes) == ["ended"] * 50
    assert fake.most_queued == window


@pytest.mark.parametrize("window", [1, 32])
def test_job_that_another_one_brought_is_watched_and_not_asked_for_again(window: int) -> None:
    fake = fake_of(ends=Behaviour.ENDS, runs=Behaviour.RUNS, apart=Behaviour.RUNS)
    fake.add(FakeUnit(name="all.target", wants=("ends.service", "runs.service")))
    members = [
        JobSpec(unit=f"{name}.service", type=JobType.START, within=(0,))
        for name in ("ends", "runs", "apart")
    ]
    specs = [JobSpec(unit="all.target", type=JobType.RESTART), *members]
    outcomes = asyncio.run(run_jobs(fake, specs, window=window))
    assert [outcome.result for outcome in outcomes] == [JobResult.DONE] * 4
    assert fake.calls == ["restart all.target", "start apart.service"]
    assert {name: unit.starts for name, unit in fake.units.items()} == dict.fromkeys(fake.units, 1)


def test_job_that_came_with_one_that_came_with_another_is_found() -> None:
    fake = fake_of(base=Behaviour.RUNS)
    fake.add(
        FakeUnit(name="mid.service", requires=("base.service",)),
        FakeUnit(name="top.service", requires=("mid.service",)),
    )
    names = ("base", "mid", "top")

    async def go() -> list[JobOutcome]:
        await run_jobs(fake, starts(*names))
        fake.calls.clear()
        specs = [
            JobSpec(unit=f"{name}.service", type=JobType.RESTART, within=within)
            for name, within in zip(names, ((), (0,), (1,)), strict=True)
        ]
        return await run_jobs(fake, specs, window=1)

    assert stages(asyncio.run(go())) == ["ended"] * 3
    assert fake.calls == ["restart base.service"]
    assert [fake.units[f"{name}.service"].starts for name in names] == [2, 2, 2]


def test_job_within_one_that_was_refused_is_asked_for_by_itself() -> None:
    fake = fake_of(a=Behaviour.RUNS)
    fake.add(FakeUnit(name="all.target", masked=True, wants=("a.service",)))
    specs = [
        JobSpec(unit="all.target", type=JobType.RESTART),
        JobSpec(unit="a.service", type=JobType.START, within=(0,)),
    ]
    assert stages(asyncio.run(run_jobs(fake, specs))) == ["refused", "ended"]
    assert fake.units["a.service"].starts == 1


def test_jobs_are_submitted_behind_what_they_come_after() -> None:
    fake = fake_of(a=Behaviour.RUNS, b=Behaviour.RUNS, c=Behaviour.RUNS, d=Behaviour.RUNS)
    a, b, c, d = starts("a", "b", "c", "d")
    specs = [
        JobSpec(unit=a.unit, type=a.type, after=(3,)),
        b,
        JobSpec(unit=c.unit, type=c.type, after=(0, 1)),
        d,
    ]
    outcomes = asyncio.run(run_jobs(fake, specs, window=2))
    assert fake.calls == ["start b.service", "start d.service", "start a.service", "start c.service"]
    assert [outcome.spec for outcome in outcomes] == specs


def test_the_order_is_the_one_given_where_nothing_asks_for_another() -> None:
    _, specs = numbered(20)
    assert submission_order(specs) == list(range(20))


def test_a_circle_is_named() -> None:
    specs = [
        JobSpec(unit="a.service", type=JobType.START, after=(1,)),
        JobSpec(unit="b.service", type=JobType.START, after=(0,)),
    ]
    with pytest.raises(ValueError, match=r"come after each other: [ab]\.service -> [ab]\.service"):
        submission_order(specs)


def test_after_a_job_that_is_not_there_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"a\.service comes after a job that is not there: 1"):
        submission_order([JobSpec(unit="a.service", type=JobType.START, after=(1,))])


def test_a_window_without_room_is_an_error() -> None:
    with pytest.raises(ValueError, match="the window must hold a job: 0"):
        asyncio.run(run_jobs(FakeManager(), [], window=0))


def test_what_a_unit_pulls_in_needs_no_room_of_its_own() -> None:
    """The first job waits for units whose own jobs come last, and the window holds one: no deadlock."""
    fake, specs = numbered(5)
    fake.units["u0.service"].requires = ("u3.service", "u4.service")
    assert [one.raw for one in asyncio.run(run_jobs(fake, specs, window=1))] == ["done"] * 5


def test_an_overdue_job_is_left_running_and_the_others_go_on() -> None:
    fake = fake_of(a=HANGS, b=Behaviour.RUNS)
    outcomes = asyncio.run(run_jobs(fake, starts("a", "b"), window=2, patience=after(0.01)))
    assert stages(outcomes) == ["left", "ended"]
    assert outcomes[0].words() == "its job did not end within 0.01 s, and goes on in systemd"
    assert outcomes[0].job_id == 1
    assert 0.01 <= outcomes[0].duration_sec < 5
    assert fake.queued == ["a.service"]


def test_overdue_jobs_keep_their_place_and_the_rest_is_not_sent_when_they_fill_the_window() -> None:
    fake = fake_of(a=HANGS, b=HANGS, c=Behaviour.RUNS)
    outcomes = asyncio.run(run_jobs(fake, starts("a", "b", "c"), window=2, patience=after(0.01, 0.01)))
    assert stages(outcomes) == ["left", "left", "unsent"]
    assert outcomes[2].words() == "2 jobs before it do not end: a.service, b.service, ..."
    assert (fake.most_queued, fake.calls) == (2, ["start a.service", "start b.service"])


def test_an_overdue_job_that_ends_after_all_makes_room() -> None:
    fake = fake_of(a=HANGS, b=HANGS, c=Behaviour.RUNS)

    def on_event(event: JobEvent) -> None:
        if event.index == 0 and event.outcome is not None:
            fake.finish("a.service", "done")

    specs = starts("a", "b", "c")
    outcomes = asyncio.run(run_jobs(fake, specs, window=2, on_event=on_event, patience=after(0.01, 0.5)))
    assert stages(outcomes) == ["left", "left", "ended"]
    assert fake.most_queued == 2


def test_a_job_that_somebody_else_cancels_says_so() -> None:
    fake = fake_of(a=HANGS)

    def on_event(event: JobEvent) -> None:
        if event.outcome is None:
            asyncio.get_running_loop().call_soon(fake.finish, event.spec.unit, "canceled")

    (outcome,) = asyncio.run(run_jobs(fake, starts("a"), on_event=on_event))
    assert (outcome.result, outcome.words()) == (JobResult.CANCELED, "its job was canceled")


def test_an_unknown_result_keeps_its_word() -> None:
    fake = fake_of(a=HANGS)

    def on_event(event: JobEvent) -> None:
        if event.outcome is None:
            asyncio.get_running_loop().call_soon(fake.finish, event.spec.unit, "melted")

    (outcome,) = asyncio.run(run_jobs(fake, starts("a"), on_event=on_event))
    assert (outcome.result, outcome.raw) == (JobResult.UNKNOWN, "melted")
    assert outcome.words() == "its job ended in a way that this pm-native does not know (melted)"


def test_events_tell_what_was_submitted_and_what_became_of_it() -> None:
    fake = fake_of(a=Behaviour.RUNS, b=Behaviour.FAILS)
    seen: list[tuple[int, str]] = []

    def on_event(event: JobEvent) -> None:
        seen.append((event.index, event.outcome.raw if event.outcome else "submitted"))

    asyncio.run(run_jobs(fake, starts("a", "b"), window=1, on_event=on_event))
    assert seen == [(0, "submitted"), (0, "done"), (1, "submitted"), (1, "failed")]


def test_losing_the_bus_leaves_no_job_without_an_outcome() -> None:
    fake = fake_of(a=Behaviour.RUNS, b=HANGS, c=HANGS, d=Behaviour.RUNS)

    def on_event(event: JobEvent) -> None:
        if event.index == 2 and event.outcome is None:
            fake.lose("the bus is gone")

    outcomes = asyncio.run(run_jobs(fake, starts("a", "b", "c", "d"), window=2, on_event=on_event))
    assert stages(outcomes) == ["ended", "left", "left", "unsent"]
    assert [str(one.error) for one in outcomes] == ["None", *["the bus is gone"] * 3]


@pytest.mark.parametrize(
    ("error", "stage"), [(AccessError("not allowed"), "refused"), (BusTimeoutError("no answer"), "left")]
)
def test_what_every_job_would_meet_stops_the_run(error: AccessError | BusTimeoutError, stage: str) -> None:
    fake, specs = numbered(5)
    fake.refuse["start u1.service"] = error
    outcomes = asyncio.run(run_jobs(fake, specs, window=1))
    assert stages(outcomes) == ["ended", stage, "unsent", "unsent", "unsent"]
    assert [one.error for one in outcomes[1:]] == [error] * 4
    assert fake.calls == ["start u0.service", "start u1.service"]


def test_stop_tells_at_once_what_is_done_queued_and_not_sent() -> None:
    fake = fake_of(a=Behaviour.RUNS, b=HANGS, c=Behaviour.RUNS)

    async def go() -> list[JobOutcome]:
        stop = asyncio.Event()

        def on_event(event: JobEvent) -> None:
            if event.index == 1:
                stop.set()

        return await run_jobs(fake, starts("a", "b", "c"), window=1, on_event=on_event, stop=stop)

    outcomes = asyncio.run(go())
    assert stages(outcomes) == ["ended", "left", "unsent"]
    assert [one.reason for one in outcomes] == ["", "the run was stopped", "the run was stopped"]
    assert fake.queued == ["b.service"]


def test_a_cancelled_run_tells_the_outcomes_and_goes_on_being_cancelled() -> None:
    fake = fake_of(a=Behaviour.RUNS, b=HANGS, c=Behaviour.RUNS)
    told: dict[int, str] = {}

    async def go() -> None:
        waiting = asyncio.Event()

        def on_event(event: JobEvent) -> None:
            if event.outcome is not None:
                told[event.index] = event.outcome.stage.value
            elif event.index == 1:
                waiting.set()

        task = asyncio.create_task(run_jobs(fake, starts("a", "b", "c"), window=1, on_event=on_event))
        await waiting.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(go())
    assert told == {0: "ended", 1: "left", 2: "unsent"}
    assert fake.queued == ["b.service"]


def test_an_error_in_the_listener_is_not_swallowed() -> None:
    fake, specs = numbered(3)

    def on_event(event: JobEvent) -> None:
        if event.outcome is None:
            raise RuntimeError("a bug in the listener")

    with pytest.raises(RuntimeError, match="a bug in the listener"):
        asyncio.run(run_jobs(fake, specs, on_event=on_event))


def test_the_mode_reaches_systemd() -> None:
    fake = fake_of(a=HANGS)
    specs = [*starts("a"), JobSpec(unit="a.service", type=JobType.STOP, mode=JobMode.FAIL)]
    outcomes = asyncio.run(run_jobs(fake, specs, patience=after(0.01)))
    assert outcomes[1].words().startswith("transaction for a.service/stop is destructive")
