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


class Timer:
    """Something to be called later; `cancel` makes it forgotten."""

    __slots__ = ("call",)

    def __init__(self, call: Callable[[], None]) -> None:
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        """Never call it."""
        self.call = None


class Loop:
    """Calls back when descriptors are ready and when times have come, until `stop`."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self._watched: dict[int, Callable[[], None]] = {}
        self._timers: list[tuple[float, int, Timer]] = []
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
        self._count += 1
        timer = Timer(call)
        heappush(self._timers, (monotonic() + delay, self._count, timer))
        return timer

    def run(self) -> None:
        """Go on until `stop` is called."""
        self._is_running = True
        while self._is_running:
            self.step()

    def step(self) -> None:
        """Wait for the next event or timer, and make the calls that are due."""
        took_time = self._call_ready(self._wait())
        if took_time and self._timers and self._timers[0][0] <= monotonic():
            self._call_ready(0.0)  # what has come in the meantime is not late
        while self._timers and self._timers[0][0] <= monotonic():
            timer = heappop(self._timers)[2]
            if timer.call is not None:
                call, timer.call = timer.call, None
                call()

    def _call_ready(self, wait: float | None) -> bool:
        """Make the calls of what is ready within so many milliseconds; whether there was something."""
        ready = self._poll.poll(wait)
        for descriptor, _ in ready:
            call = self._watched.get(descriptor)  # an earlier call may have taken it out
            if call is not None:
                call()
        return bool(ready)

    def _wait(self) -> float | None:
        """Milliseconds until the next timer, rounded up by poll; None: for ever."""
        while self._timers and self._timers[0][2].call is None:
            heappop(self._timers)
        if not self._timers:
            return None
        return max(0.0, (self._timers[0][0] - monotonic()) * 1000)

    def stop(self) -> None:
        """Leave `run` after the calls that are due."""
        self._is_running = False
