"""The programs that take part in the benchmarks of messages: `python -m tests.benchmarks.ipc_actors ROLE ...`.

Each end of every stack encodes and decodes a body of 200 bytes, and each answer is checked.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time

from pm_native.runtime.ipc import codec

if name := os.environ.get("STAGE_CODEC"):
    codec.use(name)

from pm_native.runtime import ipc
from pm_native.runtime.ipc.serve import runner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from pm_native.runtime.ipc.reader import Message

BODY = "x" * 200
SECONDS = float(os.environ.get("BENCH_SECONDS", "1"))
WARM_UP = 0.2


def say(**fields: object) -> None:
    """One line for the process that started this one."""
    print(json.dumps(fields), flush=True)


def spread(times: list[float]) -> dict[str, float]:
    """Median and 99th percentile in microseconds."""
    times.sort()
    return {"p50": times[len(times) // 2] * 1e6, "p99": times[len(times) * 99 // 100] * 1e6}


def echo(message: Message) -> object:
    return message.body


def worker_sync() -> None:
    """Answer calls, waiting for each."""
    with ipc.connect() as client:
        say(ready=True)
        client.serve({"": echo})


async def worker() -> None:
    """Answer calls, by asyncio."""
    async with ipc.connect_async() as client:
        await client.serve({"": echo})
        say(ready=True)
        await asyncio.Event().wait()


def caller_sync() -> None:
    """Calls one after the other."""
    with ipc.connect() as client:
        times: list[float] = []
        begin = time.perf_counter()
        while (now := time.perf_counter()) - begin < SECONDS + WARM_UP:
            assert client.call("worker", BODY) == BODY
            if now - begin > WARM_UP:
                times.append(time.perf_counter() - now)
        say(rate=len(times) / SECONDS, **spread(times))


async def caller(in_flight: int) -> None:
    """So many calls at the same time."""
    async with ipc.connect_async() as client:
        times: list[float] = []
        begin = time.perf_counter()

        async def one() -> None:
            while (now := time.perf_counter()) - begin < SECONDS + WARM_UP:
                assert await client.call("worker", BODY) == BODY
                if now - begin > WARM_UP:
                    times.append(time.perf_counter() - now)

        await asyncio.gather(*(one() for _ in range(in_flight)))
        say(rate=len(times) / SECONDS, **spread(times))


async def subscriber(count: int, ack_every: int) -> None:
    """`count` connections in one process; the last one acknowledges every so many messages."""
    clients = [await ipc.connect_async().__aenter__() for _ in range(count)]
    seen = [0] * count
    acks = clients[-1]
    pending: set[asyncio.Task[int]] = set()

    def sink(index: int) -> object:
        def take(message: Message) -> None:
            assert message.body[25:] == BODY[25:]  # type: ignore[index]
            seen[index] += 1
            if seen[index] % ack_every == 0 and (least := min(seen)) % ack_every == 0:
                task = asyncio.ensure_future(acks.publish("ack", least))
                pending.add(task)
                task.add_done_callback(pending.discard)

        return take

    for index, client in enumerate(clients):
        await client.subscribe("bench.topic", sink(index))  # type: ignore[arg-type]
    say(ready=True)
    await asyncio.Event().wait()


async def publisher(window: int) -> None:
    """Publish as fast as acknowledgements of all subscribers let it."""
    async with ipc.connect_async() as client:
        acked = 0
        more = asyncio.Event()

        def take(message: Message) -> None:
            nonlocal acked
            acked = int(message.body)  # type: ignore[call-overload]
            more.set()

        await client.subscribe("ack", take)
        sent = 0
        begin = time.perf_counter()
        start_sent, start = 0, 0.0
        while (now := time.perf_counter()) - begin < SECONDS + WARM_UP:
            if not start and now - begin > WARM_UP:
                start_sent, start = acked, now
            while sent - acked < window:
                await client.publish("bench.topic", f"{time.perf_counter():025.9f}" + BODY[25:])
                sent += 1
                if sent % 50 == 0:
                    await asyncio.sleep(0)
            more.clear()
            await more.wait()
        say(rate=(acked - start_sent) / (time.perf_counter() - start))


def main() -> None:
    """Run the role that the arguments name."""
    role, *rest = sys.argv[1:]
    if role == "worker_sync":
        worker_sync()
    elif role == "caller_sync":
        caller_sync()
    else:
        roles: dict[str, Callable[..., Coroutine[object, object, None]]] = {
            "worker": worker,
            "caller": caller,
            "subscriber": subscriber,
            "publisher": publisher,
        }
        runner()(roles[role](*map(int, rest)))


if __name__ == "__main__":
    main()
