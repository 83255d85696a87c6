"""One check of one program: makes its probes in turn, and counts."""

from __future__ import annotations

import os
from time import monotonic

from pm_native.runtime.probes import begin

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pm_native.runtime.arguments import Check
    from pm_native.runtime.loop import Loop, Timer
    from pm_native.runtime.probes import Attempt
    from pm_native.runtime.target import Target

FIRST_DELAY = 0.05


class Checker:
    """Probes until `stop`. `told` is called after each round.

    `is_healthy` is None until the check has passed or failed for the first time. Before it ever passed it is made
    often, and fails when its start period and then the time of so many intervals are over; later it fails after so
    many failures in a row.
    """

    def __init__(self, check: Check, target: Target, loop: Loop, told: Callable[[Checker], None]) -> None:
        self.check = check
        self.is_healthy: bool | None = None
        self.words = ""
        self.failures = 0
        self._target = target
        self._loop = loop
        self._told = told
        self._has_passed = False
        self._passes = 0
        self._begun = self._round_begun = monotonic()
        self._delay = FIRST_DELAY
        self._attempts: dict[int, Attempt] = {}
        self._results: dict[int, tuple[bool, str]] = {}
        self._timer: Timer | None = None

    def start(self, age: float = 0.0) -> None:
        """Make the first round now, counted as begun so many seconds ago."""
        self._begun = monotonic() - age
        self._round()

    def stop(self) -> None:
        """Make no more rounds, and end the one under way."""
        if self._timer is not None:
            self._timer.cancel()
        for attempt in self._attempts.values():
            attempt.cancel()
        self._attempts.clear()
        self._round_begun = -1.0  # of no round: late results are nobody's

    def _round(self) -> None:
        self._round_begun = now = monotonic()
        self._results.clear()
        self._timer = self._loop.later(self.check.timeout, self._timed_out)
        for number, probe in enumerate(self.check.probes):

            def done(passed: bool, words: str, number: int = number, of: float = now) -> None:  # noqa: FBT001
                if of == self._round_begun:
                    self._attempts.pop(number, None)
                    self._results[number] = (passed, words)
                    self._look()

            attempt = begin(probe, self._target, self._loop, done)
            if self._round_begun != now:  # stopped, or all told at once
                if attempt is not None and number not in self._results:
                    attempt.cancel()
                return
            if attempt is not None and number not in self._results:
                self._attempts[number] = attempt

    def _timed_out(self) -> None:
        for number, attempt in [*self._attempts.items()]:
            attempt.cancel()
            kind = self.check.probes[number].kind
            self._results[number] = (False, f"{kind}: no answer within {self.check.timeout:g} s")
        self._attempts.clear()
        self._look()

    def _look(self) -> None:
        """End the round when all have told, or one that decides."""
        probes, results = self.check.probes, self._results
        decides = [words for passed, words in results.values() if passed is self.check.any]
        if not decides and len(results) < len(probes):
            return
        for attempt in self._attempts.values():
            attempt.cancel()
        self._attempts.clear()
        if self._timer is not None:
            self._timer.cancel()
        passed = bool(decides) is self.check.any
        words = decides[0] if decides else ", ".join(results[number][1] for number in sorted(results))
        begun, self._round_begun = self._round_begun, -1.0
        self._count(passed=passed)
        self.words = words
        self._timer = self._loop.later(self._next_delay(begun), self._round)
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

    def _next_delay(self, begun: float) -> float:
        """Seconds until the next round, counted from the beginning of the last."""
        if self._has_passed:
            part = int.from_bytes(os.urandom(2), "big") / 65536
            delay = self.check.interval * (1 - self.check.jitter * part)
        else:
            delay = self._delay
            self._delay = min(self._delay * 2, self.check.start_interval)
        return max(0.0, begun + delay - monotonic())

    @property
    def is_starting(self) -> bool:
        """Whether it has not passed yet, and there is time left."""
        return not self._has_passed and self.is_healthy is not False

    @property
    def age(self) -> float:
        """Seconds since it was begun."""
        return monotonic() - self._begun
