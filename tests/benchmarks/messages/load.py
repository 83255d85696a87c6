"""The loads, the same for each stack: round trips, and one that publishes to ten.

A body has 200 bytes. Each end encodes and decodes it, and checks what comes.
"""

from __future__ import annotations

import asyncio
import json
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

BODY = "x" * 200
SECONDS, WARM_UP = 1.0, 0.2
SUBSCRIBERS = 10
# The last body that is published; then the subscriber says how long messages took.
TAIL = BODY[25:]
LAST = "0" * 25 + TAIL


def say(**fields: object) -> None:
    """One line for the process that started this one."""
    print(json.dumps(fields), flush=True)


def spread(times: list[float]) -> dict[str, float]:
    """Median and 99th percentile, in seconds."""
    times.sort()
    return {"p50": times[len(times) // 2], "p99": times[len(times) * 99 // 100]}


class Times:
    """How long each operation took, after the warm-up; `is_over` when it has been long enough."""

    def __init__(self) -> None:
        self.taken: list[float] = []
        self._begin = time.perf_counter()
        self.is_over = False

    def add(self, began: float) -> float:
        """An operation that began then has ended; what time it is."""
        now = time.perf_counter()
        passed = now - self._begin
        if passed > WARM_UP:
            self.taken.append(now - began)
            self.is_over = passed > WARM_UP + SECONDS
        return now

    def say(self) -> None:
        """The rate and the latencies."""
        say(rate=len(self.taken) / SECONDS, **spread(self.taken))


def ask_in_turn(call: Callable[[str], object]) -> None:
    """Round trips, one after the other."""
    times = Times()
    now = time.perf_counter()
    while not times.is_over:
        assert call(BODY) == BODY
        now = times.add(now)
    times.say()


async def ask(call: Callable[[str], Awaitable[object]], in_flight: int) -> None:
    """Round trips, so many at the same time, each awaited by a task of its own."""
    times = Times()

    async def one() -> None:
        while not times.is_over:
            began = time.perf_counter()
            assert await call(BODY) == BODY
            times.add(began)

    await asyncio.gather(*(one() for _ in range(in_flight)))
    times.say()


def ask_by_number(
    send: Callable[[Iterable[int]], None], receive: Callable[[], list[tuple[int, str]]], in_flight: int
) -> None:
    """Round trips, so many at the same time: what has come is what is asked anew."""
    times = Times()
    numbers = range(in_flight)
    began = dict.fromkeys(numbers, time.perf_counter())
    send(numbers)
    while not times.is_over:
        answers = receive()
        for number, body in answers:
            assert body == BODY
            began[number] = times.add(began[number])
        send([number for number, _ in answers])
    times.say()


def stamped() -> str:
    """A body that says when it was published; the clock is the same in all processes."""
    return f"{time.perf_counter():025.9f}" + TAIL


class Published:
    """What the publisher has sent and heard of: `room` is how many more it may publish now."""

    def __init__(self, window: int) -> None:
        self._window = window
        self._sent = self._acknowledged = self._first = 0
        self._begin = time.perf_counter()
        self._start = 0.0
        self.is_over = False

    def take(self) -> int:
        """How many to publish now; they count as sent."""
        room = self._window - (self._sent - self._acknowledged)
        self._sent += room
        return room

    def acknowledge(self, count: int) -> None:
        """All subscribers have so many."""
        self._acknowledged = count
        now = time.perf_counter()
        if not self._start and now - self._begin > WARM_UP:
            self._first, self._start = count, now
        if self._start and now - self._start > SECONDS:
            self.is_over = True
            say(rate=(count - self._first) / (now - self._start))


def publish_in_turn(
    publish: Callable[[list[str]], None], next_count: Callable[[], int], window: int
) -> None:
    """Publish as fast as the acknowledgements of all subscribers let it."""
    published = Published(window)
    while not published.is_over:
        publish([stamped() for _ in range(published.take())])
        published.acknowledge(next_count())
    publish([LAST])


async def publish(
    send: Callable[[str], Awaitable[object]], next_count: Callable[[], Awaitable[int]], window: int
) -> None:
    """The same by asyncio."""
    published = Published(window)
    while not published.is_over:
        for number in range(published.take()):
            await send(stamped())
            if not number % 50:
                await asyncio.sleep(0)
        published.acknowledge(await next_count())
    await send(LAST)
    await asyncio.sleep(SECONDS)  # until it is killed


class Seen:
    """What the subscribers of one process have got: `acknowledge` is told how many all of them have."""

    def __init__(self, window: int, acknowledge: Callable[[int], object]) -> None:
        self._counts = [0] * SUBSCRIBERS
        self._every = window // 10
        self._acknowledge = acknowledge
        self._times = Times()

    def taker(self, subscriber: int) -> Callable[[str], None]:
        """What is to be called with each message that one of them gets."""
        counts, every = self._counts, self._every
        is_last = subscriber == SUBSCRIBERS - 1

        def take(body: str) -> None:
            assert body.endswith(TAIL)
            count = counts[subscriber] = counts[subscriber] + 1
            # The latency is that of the last one, who has it after all others.
            if is_last and not self._has_timed(body):
                return
            if not count % every and min(counts) == count:
                self._acknowledge(count)

        return take

    def _has_timed(self, body: str) -> bool:
        """Note how long it took; False for the last of all messages."""
        if body == LAST:
            say(**spread(self._times.taken))
            return False
        self._times.add(float(body[:25]))
        return True
