"""A check: which result of its probes is that of a round, when the next one is due, what is told."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from pm_native.runtime import checker as module
from pm_native.runtime.arguments import parse_units
from pm_native.runtime.checker import Checker
from pm_native.runtime.loop import Timer

if TYPE_CHECKING:
    from collections.abc import Callable

    from pm_native.runtime.arguments import Check, Probe
    from pm_native.runtime.attempt import Done
    from pm_native.runtime.loop import Loop
    from pm_native.runtime.target import Target

Told = tuple[bool | None, str, int]


class Desk:
    """A clock that is set, and probes whose results are told by hand."""

    def __init__(self) -> None:
        self.now = 100.0
        self.timers: list[Timer] = []
        self.begun: list[str] = []
        self.cancelled: list[str] = []
        self.done: dict[str, Done] = {}
        self.at_once: dict[str, tuple[bool, str]] = {}
        self.told: list[Told] = []

    def later(self, delay: float, call: Callable[[], None]) -> Timer:
        """As the loop has it."""
        return self.at(self.now + delay, call)

    def at(self, when: float, call: Callable[[], None]) -> Timer:
        """As the loop has it."""
        self.timers.append(Timer((when, len(self.timers), call)))
        return self.timers[-1]

    def run_to(self, when: float) -> None:
        """Let the time go by."""
        while due := [timer for timer in self.timers if timer[2] is not None and timer[0] <= when]:
            first = min(due)
            self.now, call = first[0], first[2]
            first.cancel()
            call()
        self.now = when

    def prober(self, probe: Probe, _target: Target, _loop: Loop, done: Done) -> object:
        """A probe that is named by its kind."""
        self.done[probe.kind] = done

        def begin() -> None:
            self.begun.append(probe.kind)
            if probe.kind in self.at_once:
                done(*self.at_once[probe.kind])

        return SimpleNamespace(begin=begin, cancel=lambda: self.cancelled.append(probe.kind))

    def take_told(self) -> list[Told]:
        """What was told since the last time."""
        told, self.told = self.told, []
        return told


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Desk:
    desk = Desk()
    monkeypatch.setattr(module, "monotonic", lambda: desk.now)
    monkeypatch.setattr(module, "prober", desk.prober)
    return desk


def start(desk: Desk, *options: str) -> Checker:
    """Begin a check that is made every ten seconds, and every second before it has passed."""
    (unit,) = parse_units(["--unit=a.service", "--port=80", "--alive", "--jitter=0%", *options])
    check: Check = unit.phases["alive"]
    checker = Checker(
        check,
        cast("Any", None),
        cast("Any", desk),
        lambda checker: desk.told.append((checker.is_healthy, checker.words, checker.failures)),
    )
    checker.start()
    return checker


def test_what_goes_on_as_it_was_is_told_once(desk: Desk) -> None:
    desk.at_once["tcp"] = (True, "tcp 80")
    start(desk, "--tcp")
    desk.run_to(145)
    assert desk.begun == ["tcp"] * 5
    assert desk.take_told() == [(True, "tcp 80", 0)]
    desk.at_once["tcp"] = (False, "tcp 80 refused")
    desk.run_to(185)
    assert desk.take_told() == [
        (True, "tcp 80 refused", 1),
        (True, "tcp 80 refused", 2),
        (False, "tcp 80 refused", 3),
        (False, "tcp 80 refused", 4),
    ]
    desk.at_once["tcp"] = (True, "tcp 80")
    desk.run_to(225)
    assert desk.take_told() == [(True, "tcp 80", 0)]


def test_every_round_is_told_until_there_were_as_many_passes_as_are_asked_for(desk: Desk) -> None:
    desk.at_once["tcp"] = (True, "tcp 80")
    start(desk, "--tcp", "--success=3")
    desk.run_to(110)
    assert desk.take_told() == [(None, "tcp 80", 0), (None, "tcp 80", 0), (True, "tcp 80", 0)]


def test_the_next_round_is_counted_from_the_beginning_of_the_last(desk: Desk) -> None:
    start(desk, "--tcp")
    desk.now = 102
    desk.done["tcp"](True, "tcp 80")
    desk.run_to(109.9)
    assert desk.begun == ["tcp"]
    desk.run_to(110)
    assert desk.begun == ["tcp"] * 2


def test_what_does_not_answer_is_cancelled_and_its_round_has_failed(desk: Desk) -> None:
    start(desk, "--tcp", "--timeout=3s")
    desk.run_to(102.9)
    assert (desk.cancelled, desk.take_told()) == ([], [])
    desk.run_to(103)
    assert desk.cancelled == ["tcp"]
    assert desk.take_told() == [(None, "tcp: no answer within 3 s", 1)]


@pytest.mark.parametrize(
    ("options", "results", "told"),
    [
        (["--tcp", "--file=/a"], [("file", True), ("tcp", True)], (True, "tcp says, file says", 0)),
        (["--tcp", "--file=/a"], [("file", False)], (None, "file says", 1)),
        (["--tcp", "--file=/a"], [("tcp", True)], (None, "file: no answer within 3 s", 1)),
        (["--tcp", "--file=/a"], [], (None, "tcp: no answer within 3 s, file: no answer within 3 s", 1)),
        (["--any", "--tcp", "--file=/a"], [("file", True)], (True, "file says", 0)),
        (
            ["--any", "--tcp", "--file=/a"],
            [("file", False), ("tcp", False)],
            (None, "tcp says, file says", 1),
        ),
        (
            ["--any", "--tcp", "--file=/a"],
            [("file", False)],
            (None, "tcp: no answer within 3 s, file says", 1),
        ),
    ],
)
def test_several_probes_are_one_result(
    desk: Desk, options: list[str], results: list[tuple[str, bool]], told: Told
) -> None:
    start(desk, *options)
    for kind, passed in results:
        desk.done[kind](passed, f"{kind} says")
    desk.run_to(desk.now + 3)
    assert desk.take_told()[0] == told


def test_what_has_decided_at_once_spares_the_rest(desk: Desk) -> None:
    desk.at_once["tcp"] = (True, "tcp 80")
    start(desk, "--any", "--tcp", "--file=/a")
    assert desk.begun == ["tcp"]
    assert desk.take_told() == [(True, "tcp 80", 0)]


def test_once_stopped_it_makes_no_round_and_leaves_nothing(desk: Desk) -> None:
    checker = start(desk, "--tcp", "--file=/a")
    checker.stop()
    desk.run_to(200)
    assert desk.begun == ["tcp", "file"]
    assert desk.cancelled == ["tcp", "file"]
    assert desk.take_told() == []


def test_intervals_are_shortened_by_chance_and_not_in_step(desk: Desk) -> None:
    desk.at_once["tcp"] = (True, "tcp 80")
    delays = []
    for _ in range(2):
        start(desk, "--tcp", "--jitter=10%")
        delays.append([round(desk.timers[-1][0] - desk.now, 6)])
        for _ in range(20):
            desk.run_to(desk.timers[-1][0])
            delays[-1].append(round(desk.timers[-1][0] - desk.now, 6))
        desk.timers.clear()
    assert all(9 <= delay <= 10 for row in delays for delay in row)
    assert len({*delays[0], *delays[1]}) > 35


def test_until_it_has_passed_it_is_made_at_once_and_then_less_and_less_often(desk: Desk) -> None:
    desk.at_once["tcp"] = (False, "tcp 80 refused")
    start(desk, "--tcp", "--start-interval=1s", "--start-period=60s")
    times = [desk.now]
    for _ in range(8):
        desk.run_to(desk.timers[-1][0])
        times.append(desk.now)
    delays = [round(after - before, 3) for before, after in pairwise(times)]
    assert delays == [0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0, 1.0]
