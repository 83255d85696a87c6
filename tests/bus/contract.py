"""What every `Manager` does: run against the fake by test_fake.py, and by this file itself against a booted systemd.

python -m tests.bus.contract [USER]: installs its units in the manager of the system or of USER, runs each case and
prints a JSON object of name -> "" or what went wrong. It is meant for a throw-away machine alone.
"""

from __future__ import annotations

import asyncio
import json
import sys
import traceback
from pathlib import Path

from pm_native.bus.fake import Behaviour, FakeUnit
from pm_native.bus.manager import (
    BusError,
    BusLostError,
    JobMode,
    JobRefusedError,
    JobResult,
    JobType,
    NoSuchUnitError,
    UnitMaskedError,
)
from pm_native.bus.scheduler import JobSpec, JobStage, run_jobs
from pm_native.unit.name import Scope
from tests.bus.labs import RealLab, become

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from pm_native.bus.manager import JobEnd, UnitState
    from tests.bus.labs import Lab

    Case = Callable[[Lab], Coroutine[None, None, None]]


async def job(lab: Lab, kind: JobType, unit: str, mode: JobMode = JobMode.REPLACE) -> JobEnd:
    async with asyncio.timeout(20):
        return await (await lab.manager.submit(kind, unit, mode)).result()


async def state(lab: Lab, unit: str) -> tuple[str, str, str]:
    found = await look(lab, unit)
    return found.load_state, found.active_state, found.sub_state


async def look(lab: Lab, unit: str) -> UnitState:
    return (await lab.manager.states([unit]))[unit]


async def becomes(lab: Lab, unit: str, active_state: str) -> None:
    async with asyncio.timeout(10):
        while (await look(lab, unit)).active_state != active_state:
            continue  # each look is a round trip, in which the unit goes on


async def refused(call: Awaitable[object]) -> BusError:
    try:
        got = await call
    except BusError as error:
        return error
    raise AssertionError(f"not refused: {got!r}")


async def case_a_unit_starts_and_stops(lab: Lab) -> None:
    await lab.install(FakeUnit(name="c-run.service"))
    assert await state(lab, "c-run.service") == ("loaded", "inactive", "dead")
    end = await job(lab, JobType.START, "c-run.service")
    assert (end.result, end.raw) == (JobResult.DONE, "done")
    found = await look(lab, "c-run.service")
    assert (found.active_state, found.sub_state, found.job_id, found.exists) == (
        "active",
        "running",
        0,
        True,
    )
    details = (await lab.manager.details(["c-run.service"]))["c-run.service"]
    assert (details.result, details.n_restarts, details.unit_file_state) == ("success", 0, "static")
    assert details.main_pid > 1
    assert len(details.invocation_id) == 32
    assert (await job(lab, JobType.START, "c-run.service")).result is JobResult.DONE
    again = (await lab.manager.details(["c-run.service"]))["c-run.service"]
    assert again.invocation_id == details.invocation_id
    assert (await job(lab, JobType.STOP, "c-run.service")).result is JobResult.DONE
    assert await state(lab, "c-run.service") == ("loaded", "inactive", "dead")
    assert (await job(lab, JobType.STOP, "c-run.service")).result is JobResult.DONE


async def case_a_restart_is_a_new_invocation(lab: Lab) -> None:
    name = "c-restart.service"
    await lab.install(FakeUnit(name=name))
    assert (await job(lab, JobType.TRY_RESTART, name)).result is JobResult.DONE
    assert await state(lab, name) == ("loaded", "inactive", "dead")
    assert (await job(lab, JobType.RESTART, name)).result is JobResult.DONE
    first = await lab.manager.properties(name, "Unit", ["InvocationID", "ActiveState"])
    assert first["ActiveState"] == "active"
    for kind in (JobType.RESTART, JobType.TRY_RESTART, JobType.RELOAD_OR_RESTART):
        assert (await job(lab, kind, name)).result is JobResult.DONE
        after = await lab.manager.properties(name, "Unit", ["InvocationID"])
        assert after["InvocationID"] != first["InvocationID"]
        first = after
    assert (await lab.manager.properties(name, "Service", ["NRestarts"])) == {"NRestarts": 0}
    await job(lab, JobType.STOP, name)


async def case_a_reload_needs_a_command_and_a_running_unit(lab: Lab) -> None:
    await lab.install(FakeUnit(name="c-reload.service", can_reload=True), FakeUnit(name="c-deaf.service"))
    assert (await job(lab, JobType.RELOAD, "c-reload.service")).result is JobResult.INVALID
    assert (await job(lab, JobType.RELOAD_OR_TRY_RESTART, "c-reload.service")).result is JobResult.DONE
    assert await state(lab, "c-reload.service") == ("loaded", "inactive", "dead")
    await job(lab, JobType.START, "c-reload.service")
    before = await lab.manager.details(["c-reload.service"])
    assert (await job(lab, JobType.RELOAD, "c-reload.service")).result is JobResult.DONE
    assert (await job(lab, JobType.RELOAD_OR_RESTART, "c-reload.service")).result is JobResult.DONE
    after = await lab.manager.details(["c-reload.service"])
    assert after["c-reload.service"].invocation_id == before["c-reload.service"].invocation_id
    await job(lab, JobType.STOP, "c-reload.service")
    error = await refused(lab.manager.submit(JobType.RELOAD, "c-deaf.service"))
    assert isinstance(error, JobRefusedError)
    assert error.name == "org.freedesktop.systemd1.JobTypeNotApplicable"


async def case_a_start_that_fails_and_is_forgotten(lab: Lab) -> None:
    name = "c-fail.service"
    await lab.install(FakeUnit(name=name, behaviour=Behaviour.FAILS))
    end = await job(lab, JobType.START, name)
    assert (end.result, end.raw) == (JobResult.FAILED, "failed")
    assert await state(lab, name) == ("loaded", "failed", "failed")
    details = (await lab.manager.details([name]))[name]
    assert (details.result, details.exec_main_status, details.main_pid) == ("exit-code", 1, 0)
    await lab.manager.reset_failed(name)
    assert await state(lab, name) == ("loaded", "inactive", "dead")


async def case_a_start_that_takes_too_long_is_a_failed_job(lab: Lab) -> None:
    name = "c-late.service"
    await lab.install(FakeUnit(name=name, behaviour=Behaviour.TIMES_OUT))
    assert (await job(lab, JobType.START, name)).result is JobResult.FAILED
    assert (await lab.manager.properties(name, "Service", ["Result"])) == {"Result": "timeout"}
    await lab.manager.reset_failed(name)


async def case_done_is_not_health(lab: Lab) -> None:
    name = "c-crash.service"
    await lab.install(FakeUnit(name=name, behaviour=Behaviour.CRASHES))
    assert (await job(lab, JobType.START, name)).result is JobResult.DONE
    await becomes(lab, name, "failed")
    details = (await lab.manager.details([name]))[name]
    assert (details.active_state, details.result, details.exec_main_status) == ("failed", "exit-code", 3)
    await lab.manager.reset_failed(name)


async def case_a_false_condition_is_done_and_a_false_assertion_is_not(lab: Lab) -> None:
    await lab.install(
        FakeUnit(name="c-skip.service", behaviour=Behaviour.SKIPS),
        FakeUnit(name="c-assert.service", behaviour=Behaviour.ASSERTS),
    )
    assert (await job(lab, JobType.START, "c-skip.service")).result is JobResult.DONE
    assert (await job(lab, JobType.START, "c-assert.service")).result is JobResult.ASSERT
    assert await state(lab, "c-skip.service") == ("loaded", "inactive", "dead")
    assert await state(lab, "c-assert.service") == ("loaded", "inactive", "dead")


async def case_a_job_fails_with_what_it_requires(lab: Lab) -> None:
    await lab.install(
        FakeUnit(name="c-base.service", behaviour=Behaviour.FAILS),
        FakeUnit(name="c-top.service", requires=("c-base.service",)),
        FakeUnit(name="c-lost.service", requires=("c-nowhere.service",)),
    )
    assert (await job(lab, JobType.START, "c-top.service")).result is JobResult.DEPENDENCY
    assert await state(lab, "c-top.service") == ("loaded", "inactive", "dead")
    assert isinstance(await refused(lab.manager.submit(JobType.START, "c-lost.service")), NoSuchUnitError)
    await lab.manager.reset_failed("c-base.service")


async def case_a_missing_unit(lab: Lab) -> None:
    for kind in JobType:
        error = await refused(lab.manager.submit(kind, "c-missing.service"))
        assert isinstance(error, NoSuchUnitError)
        assert (error.name, error.unit) == ("org.freedesktop.systemd1.NoSuchUnit", "c-missing.service")
        assert error.message == f"unit c-missing.service not {'loaded' if kind is JobType.STOP else 'found'}"
    found = await look(lab, "c-missing.service")
    assert (found.load_state, found.active_state, found.exists) == ("not-found", "inactive", False)
    assert await lab.manager.unit_file_states(["c-missing.service"]) == {"c-missing.service": ""}
    await lab.manager.reset_failed("c-missing.service")


async def case_a_masked_unit_can_be_stopped_and_no_more(lab: Lab) -> None:
    name = "c-masked.service"
    await lab.install(FakeUnit(name=name, masked=True))
    for kind in set(JobType) - {JobType.STOP}:
        error = await refused(lab.manager.submit(kind, name))
        assert isinstance(error, UnitMaskedError)
        assert error.message == "unit c-masked.service is masked"
    assert (await job(lab, JobType.STOP, name)).result is JobResult.DONE
    assert await state(lab, name) == ("masked", "inactive", "dead")
    assert await lab.manager.unit_file_states([name]) == {name: "masked"}
    assert isinstance(await refused(lab.manager.enable([name])), UnitMaskedError)


async def case_a_job_that_somebody_cancels(lab: Lab) -> None:
    name = "c-cancel.service"
    await lab.install(FakeUnit(name=name, behaviour=Behaviour.HANGS))
    handle = await lab.manager.submit(JobType.START, name)
    found = await look(lab, name)
    assert (found.job_id, found.job_type) == (handle.job_id, "start")
    await becomes(lab, name, "activating")  # a job that is taken away before it ran has begun nothing
    await handle.cancel()
    assert (await handle.result()).result is JobResult.CANCELED
    assert (await handle.result()).raw == "canceled"
    # The job is gone, and what it had begun goes on.
    assert await state(lab, name) == ("loaded", "activating", "start")
    await handle.cancel()
    assert (await job(lab, JobType.STOP, name)).result is JobResult.DONE


async def case_merged_jobs_end_for_all_who_asked(lab: Lab) -> None:
    name = "c-merge.service"
    await lab.install(FakeUnit(name=name, behaviour=Behaviour.HANGS))
    handles = await asyncio.gather(*(lab.manager.submit(JobType.START, name) for _ in range(5)))
    assert len({handle.job_id for handle in handles}) == 1
    assert (await job(lab, JobType.STOP, name)).result is JobResult.DONE
    ends = await asyncio.gather(*(handle.result() for handle in handles))
    assert [end.result for end in ends] == [JobResult.CANCELED] * 5


async def case_a_job_tells_of_those_that_it_brings(lab: Lab) -> None:
    top, runs, ends = "c-brings.service", "c-brought.service", "c-ended.service"
    await lab.install(
        FakeUnit(name=top, wants=(runs, ends)),
        FakeUnit(name=runs),
        FakeUnit(name=ends, behaviour=Behaviour.ENDS),
    )
    run = None
    for kind in (JobType.START, JobType.RESTART):
        await becomes(lab, ends, "inactive")
        handle = await lab.manager.submit(kind, top, along=[runs, ends, "c-nowhere.service"])
        assert handle.others.keys() == {runs, ends}
        assert len({handle.job_id, *(other.job_id for other in handle.others.values())}) == 3
        async with asyncio.timeout(20):
            found = [(other.unit, (await other.result()).result) for other in handle.others.values()]
            assert (await handle.result()).result is JobResult.DONE
        assert sorted(found) == [(runs, JobResult.DONE), (ends, JobResult.DONE)]
        now = (await lab.manager.properties(runs, "Unit", ["InvocationID"]))["InvocationID"]
        assert now != run
        run = now
    # Whoever does not ask hears of none; who starts it alone brings none.
    assert (await lab.manager.submit(JobType.RESTART, top)).others == {}
    for name in (runs, ends, top):
        await job(lab, JobType.STOP, name)
    assert (await job(lab, JobType.START, top, JobMode.IGNORE_REQUIREMENTS)).result is JobResult.DONE
    assert await state(lab, runs) == ("loaded", "inactive", "dead")
    wants = await lab.manager.properties(top, "Unit", ["Wants", "BindsTo", "Upholds"])
    assert isinstance(wants["Wants"], list)
    assert ({*wants["Wants"]}, wants["BindsTo"], wants["Upholds"]) == ({runs, ends}, [], [])
    await job(lab, JobType.STOP, top)


async def case_a_restart_tells_of_what_requires_the_unit(lab: Lab) -> None:
    base, top = "c-basis.service", "c-onit.service"
    await lab.install(FakeUnit(name=base), FakeUnit(name=top, requires=(base,)))
    await job(lab, JobType.START, top)
    handle = await lab.manager.submit(JobType.RESTART, base, along=[top])
    async with asyncio.timeout(20):
        assert (await handle.others[top].result()).result is JobResult.DONE
    # Nothing that requires it runs: nothing is taken along.
    await job(lab, JobType.STOP, top)
    assert (await lab.manager.submit(JobType.RESTART, base, along=[top])).others == {}
    await job(lab, JobType.STOP, base)


async def case_a_job_of_before_is_attended(lab: Lab) -> None:
    name = "c-attend.service"
    await lab.install(FakeUnit(name=name, behaviour=Behaviour.HANGS))
    first = await lab.manager.submit(JobType.START, name)
    handle = await lab.manager.attend(name, first.job_id)
    assert (handle.unit, handle.job_id) == (name, first.job_id)
    assert (await job(lab, JobType.STOP, name)).result is JobResult.DONE
    assert (await handle.result()).result is JobResult.CANCELED


async def case_a_job_mode_decides_between_two_jobs(lab: Lab) -> None:
    name = "c-mode.service"
    await lab.install(FakeUnit(name=name, behaviour=Behaviour.HANGS))
    first = await lab.manager.submit(JobType.START, name)
    error = await refused(lab.manager.submit(JobType.STOP, name, JobMode.FAIL))
    assert isinstance(error, JobRefusedError)
    assert error.name == "org.freedesktop.systemd1.TransactionIsDestructive"
    assert (await job(lab, JobType.STOP, name, JobMode.REPLACE)).result is JobResult.DONE
    assert (await first.result()).result is JobResult.CANCELED
    assert await state(lab, name) == ("loaded", "inactive", "dead")


async def case_states_leave_out_what_is_no_unit(lab: Lab) -> None:
    await lab.install(FakeUnit(name="c-real.service"))
    names = [
        "c-real.service",
        "c-t@.service",
        "no unit",
        "",
        "c-absent@1.service",
        "c-real.service",
        "x" * 300,
    ]
    found = await lab.manager.states(names)
    assert {name: one.load_state for name, one in found.items()} == {
        "c-real.service": "loaded",
        "c-absent@1.service": "not-found",
    }
    assert sorted(await lab.manager.details(names)) == ["c-absent@1.service", "c-real.service"]
    assert await lab.manager.unit_file_states(["no unit", "c-real.service"]) == {
        "no unit": "",
        "c-real.service": "static",
    }


async def case_list_units_knows_globs(lab: Lab) -> None:
    names = ["c-list-a.service", "c-list-b.service"]
    await lab.install(*(FakeUnit(name=name) for name in names))
    for name in names:
        await job(lab, JobType.START, name)
    assert [one.name for one in await lab.manager.list_units(["c-list-*.service"])] == names
    assert [one.name for one in await lab.manager.list_units(["c-list-b*", "c-none*"])] == names[1:]
    for name in names:
        await job(lab, JobType.STOP, name)


async def case_enable_and_disable_make_links_once(lab: Lab) -> None:
    name = "c-enable.service"
    await lab.install(FakeUnit(name=name, unit_file_state="disabled"), FakeUnit(name="c-static.service"))
    assert await lab.manager.unit_file_states([name]) == {name: "disabled"}
    changes = await lab.manager.enable([name])
    assert [(change.kind, Path(change.path).name) for change in changes] == [("symlink", name)]
    assert await lab.manager.enable([name]) == ()
    assert await lab.manager.unit_file_states([name]) == {name: "enabled"}
    assert [change.kind for change in await lab.manager.disable([name])] == ["unlink"]
    assert await lab.manager.disable([name]) == ()
    error = await refused(lab.manager.enable(["c-static.service"]))
    assert error.message == "nothing to enable in c-static.service"
    assert isinstance(await refused(lab.manager.enable(["c-missing.service"])), NoSuchUnitError)


async def case_many_jobs_through_a_small_window(lab: Lab) -> None:
    names = [f"c-many-{number}.service" for number in range(40)]
    await lab.install(*(FakeUnit(name=name) for name in names))
    missing = JobSpec(unit="c-missing.service", type=JobType.START)
    specs = [*(JobSpec(unit=name, type=JobType.START) for name in names), missing]
    outcomes = await run_jobs(lab.manager, specs, window=4)
    assert [outcome.stage for outcome in outcomes] == [JobStage.ENDED] * 40 + [JobStage.REFUSED]
    assert all(one.active_state == "active" for one in (await lab.manager.states(names)).values())
    outcomes = await run_jobs(
        lab.manager, [JobSpec(unit=name, type=JobType.STOP) for name in names], window=32
    )
    assert [outcome.raw for outcome in outcomes] == ["done"] * 40


async def case_the_version_and_the_unit_path(lab: Lab) -> None:
    assert 239 <= await lab.manager.version() < 1000
    assert any(
        path.endswith("systemd/system") or "systemd/user" in path for path in await lab.manager.unit_path()
    )


async def case_zz_closed_is_lost(lab: Lab) -> None:
    await lab.install(FakeUnit(name="c-last.service", behaviour=Behaviour.HANGS))
    handle = await lab.manager.submit(JobType.START, "c-last.service")
    before = lab.manager.closed
    await lab.manager.aclose()
    await lab.manager.aclose()
    assert (before, lab.manager.closed) == (False, True)
    ended = await asyncio.gather(
        handle.result(),
        lab.manager.version(),
        lab.manager.submit(JobType.STOP, "c-last.service"),
        return_exceptions=True,
    )
    assert [(type(error), str(error)) for error in ended] == [
        (BusLostError, "the connection to the bus was closed")
    ] * 3


CASES: dict[str, Case] = {
    name.removeprefix("case_"): case for name, case in sorted(globals().items()) if name.startswith("case_")
}


async def _main(scope: Scope, directory: Path) -> dict[str, str]:
    from pm_native.bus.dbus import connect

    problems: dict[str, str] = {}
    for name, case in CASES.items():
        async with connect(scope) as manager:
            try:
                async with asyncio.timeout(60):
                    await case(RealLab(manager, directory))
            except Exception:  # noqa: BLE001 -- told to the test, case by case
                problems[name] = traceback.format_exc()
            else:
                problems[name] = ""
    return problems


def _run(words: list[str]) -> dict[str, str]:
    if not words:
        return asyncio.run(_main(Scope.SYSTEM, Path("/etc/systemd/system")))
    return asyncio.run(_main(Scope.USER, become(words[0]) / ".config/systemd/user"))


if __name__ == "__main__":
    print(json.dumps(_run(sys.argv[1:])))  # noqa: T201
