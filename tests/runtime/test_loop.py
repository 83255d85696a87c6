"""The event loop of monitors."""

from __future__ import annotations

import os
import time

from pm_native.runtime.loop import READ, Loop


def test_an_answer_that_has_come_is_not_late_for_a_slow_call() -> None:
    loop = Loop()
    slow, answer = os.pipe(), os.pipe()
    told: list[str] = []
    timeout = loop.later(0.05, lambda: told.append("late"))

    def take_time() -> None:
        loop.forget(slow[0])
        time.sleep(0.1)
        os.write(answer[1], b"x")

    def take_answer() -> None:
        told.append("in time")
        timeout.cancel()
        loop.stop()

    loop.watch(slow[0], READ, take_time)
    loop.watch(answer[0], READ, take_answer)
    os.write(slow[1], b"x")
    loop.run()
    assert told == ["in time"]
    for descriptor in (*slow, *answer):
        os.close(descriptor)
