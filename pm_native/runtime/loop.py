"""An event loop for monitors: descriptors and timers, and nothing else."""

from __future__ import annotations

import select
from heapq import heappop, heappush
from time import monotonic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

READ = select.POLLIN
WRITE = select.POLLOUT


class Timer(list):  # type: ignore[type-arg]  # a heap of it is in order without a call of Python
    """Something to be called later; `cancel` makes it forgotten. The time, a number that is its own, and what to call."""

    __slots__ = ()

    def cancel(self) -> None:
        """Never call it."""
        self[2] = None


class Loop:
    """Calls back when descriptors are ready and when times have come, until `stop`."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self._watched: dict[int, Callable[[], None]] = {}
        self._timers: list[Timer] = []
        self._count = 0
        self._is_running = False

    def watch(self, descriptor: int, events: int, call: Callable[[], None]) -> None:
        """Call whenever the descriptor is ready, in place of what was called before."""
        self._poll.register(descriptor, events)
        self._watched[descriptor] = call

    def forget(self, descriptor: int) -> None:
        """Watch the descriptor no more; before it is closed."""
        if self._watched.pop(descriptor, None) is not None:
            self._poll.unregister(descriptor)

    def later(self, delay: float, call: Callable[[], None]) -> Timer:
        """Call once after so many seconds."""
        return self.at(monotonic() + delay, call)

    def at(self, when: float, call: Callable[[], None]) -> Timer:
        """Call once at a time of the monotonic clock, or at once where that is over."""
        self._count += 1
        timer = Timer((when, self._count, call))
        heappush(self._timers, timer)
        return timer

    def run(self) -> None:
        """Go on until `stop` is called."""
        self._is_running = True
        while self._is_running:
            self.step()

    def step(self) -> None:
        """Wait for the next event or timer, and make the calls that are due."""
        timers = self._timers
        while timers and timers[0][2] is None:
            heappop(timers)
        # Milliseconds, rounded up by poll; None: for ever.
        ready = self._poll.poll(max(0.0, (timers[0][0] - monotonic()) * 1000) if timers else None)
        if ready:
            self._call(ready)
            if timers and timers[0][0] <= monotonic():
                self._call(self._poll.poll(0))  # what has come in the meantime is not late
        while timers and timers[0][0] <= monotonic():
            timer = heappop(timers)
            call, timer[2] = timer[2], None
            if call is not None:
                call()

    def _call(self, ready: list[tuple[int, int]]) -> None:
        """Make the calls of the descriptors that are ready."""
        for descriptor, _ in ready:
            call = self._watched.get(descriptor)  # an earlier call may have taken it out
            if call is not None:
                call()

    def stop(self) -> None:
        """Leave `run` after the calls that are due."""
        self._is_running = False
