"""Waiting for jobs: signals that come early, merged jobs, a bus that goes away."""

import asyncio
from collections.abc import Callable, Coroutine

import pytest

from pm_native.bus.jobs import JobTable
from pm_native.bus.manager import BusLostError, JobEnd, JobResult

DONE = JobEnd(result=JobResult.DONE, raw="done")


def run(test: Callable[[JobTable], Coroutine[None, None, None]]) -> None:
    asyncio.run(test(JobTable()))


def test_an_end_that_is_seen_before_the_reply_is_kept() -> None:
    async def go(table: JobTable) -> None:
        with table.asking():
            table.removed("/job/1", "done")
            assert await table.waiter("/job/1") == DONE

    run(go)


def test_an_end_is_kept_for_the_second_of_two_who_were_told_the_same_job() -> None:
    async def go(table: JobTable) -> None:
        with table.asking():
            with table.asking():
                first = table.waiter("/job/1")
            table.removed("/job/1", "done")
            assert [await first, await table.waiter("/job/1")] == [DONE, DONE]

    run(go)


def test_all_who_wait_for_a_job_hear_of_its_end() -> None:
    async def go(table: JobTable) -> None:
        with table.asking():
            waiters = [table.waiter("/job/1") for _ in range(3)]
        assert table.waiting == 1
        table.removed("/job/2", "failed")
        assert not any(waiter.done() for waiter in waiters)
        table.removed("/job/1", "melted")
        assert [await waiter for waiter in waiters] == [JobEnd(result=JobResult.UNKNOWN, raw="melted")] * 3
        assert table.waiting == 0

    run(go)


def test_nothing_is_kept_when_nobody_asks() -> None:
    async def go(table: JobTable) -> None:
        table.removed("/job/1", "done")
        with table.asking():
            table.removed("/job/2", "done")
        with table.asking():
            assert not table.waiter("/job/1").done()
            assert not table.waiter("/job/2").done()

    run(go)


def test_a_lost_bus_ends_the_waits_of_now_and_later() -> None:
    async def go(table: JobTable) -> None:
        with table.asking():
            now = table.waiter("/job/1")
            table.lose(BusLostError("gone"))
            later = table.waiter("/job/2")
        for waiter in (now, later):
            with pytest.raises(BusLostError, match="gone"):
                await waiter

    run(go)


def test_a_waiter_that_gave_up_is_no_trouble() -> None:
    async def go(table: JobTable) -> None:
        with table.asking():
            waiter, other = table.waiter("/job/1"), table.waiter("/job/1")
        waiter.cancel()
        table.removed("/job/1", "done")
        assert await other == DONE

    run(go)
