"""One check of one program: makes its probes in turn, and counts."""

from __future__ import annotations

import os
from time import monotonic

from pm_native.runtime.probes import prober

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pm_native.runtime.arguments import Check
    from pm_native.runtime.attempt import Done, Program
    from pm_native.runtime.loop import Loop, Timer

FIRST_DELAY = 0.05


class Checker:
    """Probes until `stop`. `told` is called after each round that tells something else than the last, or that failed.

    `is_healthy` is None until the check has passed or failed for the first time. Before it ever passed it is made
    often, and fails when its start period and then the time of so many intervals are over; later it fails after so
    many failures in a row.
    """

    def __init__(self, check: Check, program: Program, loop: Loop, told: Callable[[Checker], None]) -> None:
        self.check = check
        self.is_healthy: bool | None = None
        self.words = ""
        self.failures = 0
        self._loop = loop
        self._told = told
        is_only = len(check.probes) == 1
        self._probers = [
            prober(probe, program, loop, self._finish if is_only else self._taker(number))
            for number, probe in enumerate(check.probes)
        ]
        self._said: dict[int, str] = {}
        self._has_passed = False
        self._passes = 0
        self._begun = self._round_begun = monotonic()
        self._delay = FIRST_DELAY
        self._chance = int.from_bytes(os.urandom(4), "big")
        self._is_open = False
        self._timer: Timer | None = None

    def start(self, age: float = 0.0) -> None:
        """Make the first round now, counted as begun so many seconds ago."""
        self._begun = monotonic() - age
        self._round()

    def stop(self) -> None:
        """Make no more rounds, and end the one under way."""
        if self._timer is not None:
            self._timer.cancel()
        self._is_open = False
        self._said.clear()
        self._cancel()

    def _round(self) -> None:
        self._round_begun = monotonic()
        self._is_open = True
        for one in self._probers:
            one.begin()
            if not self._is_open:  # decided, or stopped
                return
        self._timer = self._loop.later(self.check.timeout, self._timed_out)

    def _taker(self, number: int) -> Done:
        """What takes the result of one probe of several: the first that fails decides, or with `any` that passes."""

        def done(passed: bool, words: str) -> None:  # noqa: FBT001 - as `Done` has it
            self._said[number] = words
            if passed is self.check.any:
                self._cancel()
                self._finish(passed, words)
            elif len(self._said) == len(self._probers):
                self._finish(passed, in_order(self._said))

        return done

    def _timed_out(self) -> None:
        self._cancel()
        silent = {
            number: f"{probe.kind}: no answer within {self.check.timeout:g} s"
            for number, probe in enumerate(self.check.probes)
            if number not in self._said
        }
        self._finish(False, in_order(self._said | silent if self.check.any else silent))

    def _cancel(self) -> None:
        """End what is under way."""
        for one in self._probers:
            one.cancel()

    def _finish(self, passed: bool, words: str) -> None:  # noqa: FBT001 - as `Done` has it
        """End the round with its result."""
        self._is_open = False
        self._said.clear()
        if self._timer is not None:
            self._timer.cancel()
        is_news = not (passed and self.is_healthy and not self.failures and words == self.words)
        self._count(passed=passed)
        self.words = words
        self._timer = self._loop.at(self._round_begun + self._next_delay(), self._round)
        if is_news:
            self._told(self)

    def _count(self, *, passed: bool) -> None:
        check = self.check
        if passed:
            self.failures = 0
            self._passes += 1
            if self._passes >= check.success:
                self.is_healthy = self._has_passed = True
            return
        self._passes = 0
        self.failures += 1
        if self._has_passed:
            if self.failures >= check.retries:
                self.is_healthy = False
        elif monotonic() - self._begun >= check.start_period + check.retries * check.interval:
            self.is_healthy = False

    def _next_delay(self) -> float:
        """Seconds from the beginning of the last round to that of the next."""
        if self._has_passed:
            # Any numbers will do that are not those of the neighbours: no system call is made for them.
            self._chance = (self._chance * 1664525 + 1013904223) & 0xFFFFFFFF
            return self.check.interval * (1 - self.check.jitter * self._chance / (1 << 32))
        delay = self._delay
        self._delay = min(self._delay * 2, self.check.start_interval)
        return delay

    @property
    def is_starting(self) -> bool:
        """Whether it has not passed yet, and there is time left."""
        return not self._has_passed and self.is_healthy is not False

    @property
    def age(self) -> float:
        """Seconds since it was begun."""
        return monotonic() - self._begun


def in_order(said: dict[int, str]) -> str:
    """What several probes have said, in the order of the probes."""
    return ", ".join(said[number] for number in sorted(said))
