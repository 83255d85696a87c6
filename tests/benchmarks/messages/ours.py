"""pm-native's own broker and clients."""

from __future__ import annotations

import asyncio
import os
from functools import partial

from pm_native.runtime.ipc import codec

if name := os.environ.get("STAGE_CODEC"):
    codec.use(name)

from pm_native.runtime import ipc
from pm_native.runtime.ipc.frames import Splitter, cut, fields_of, frame
from pm_native.runtime.ipc.serve import runner
from tests.benchmarks.messages import load

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pm_native.runtime.ipc.reader import Message

WINDOW = 1000


def answer(path: str, in_flight: int = 100) -> None:
    """Answer calls: each by itself, or as they come."""
    if in_flight == 1:
        with ipc.connect(path) as client:
            load.say(ready=True)
            client.serve({"": lambda message: message.body})
    else:
        runner()(_answer(path))


async def _answer(path: str) -> None:
    async with ipc.connect_async(path) as client:
        await client.serve({"": lambda message: message.body})
        load.say(ready=True)
        await asyncio.Event().wait()


def ask(path: str, in_flight: int) -> None:
    """Call one after the other, or many at the same time."""
    if in_flight == 1:
        with ipc.connect(path) as client:
            load.ask_in_turn(partial(client.call, "worker"))
    else:
        runner()(_ask(path, in_flight))


async def _ask(path: str, in_flight: int) -> None:
    async with ipc.connect_async(path) as client:
        await load.ask(partial(client.call, "worker"), in_flight)


def listen(path: str) -> None:
    """Subscribe, with so many connections."""
    runner()(_listen(path))


async def _listen(path: str) -> None:
    clients = [await ipc.connect_async(path).__aenter__() for _ in range(load.SUBSCRIBERS)]
    tasks: set[asyncio.Task[int]] = set()

    def acknowledge(count: int) -> None:
        task = asyncio.ensure_future(clients[0].publish("ack", count))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    seen = load.Seen(WINDOW, acknowledge)

    def sink(index: int) -> Callable[[Message], None]:
        take = seen.taker(index)
        return lambda message: take(message.body)  # type: ignore[arg-type]  # a string, as `take` asserts

    for index, client in enumerate(clients):
        await client.subscribe("bench.topic", sink(index))
    load.say(ready=True)
    await asyncio.Event().wait()


def publish(path: str) -> None:
    """Publish to them."""
    runner()(_publish(path))


async def _publish(path: str) -> None:
    async with ipc.connect_async(path) as client:
        counts = await client.subscribe("ack")

        async def next_count() -> int:
            return int(str((await anext(aiter(counts))).body))

        await load.publish(partial(client.publish, "bench.topic"), next_count, WINDOW)


class _Echo(asyncio.Protocol):
    """Answers each call by itself: what the clients reach where no broker and no worker take part."""

    def __init__(self) -> None:
        self._splitter = Splitter()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        answers = []
        for raw in self._splitter.feed(data):
            parts = cut(raw)
            if parts is None:
                answers.append(frame({"op": "hello", "id": fields_of(raw)["id"]}))
            else:
                answers.append(b'{"op":"reply","from":{},"id":%b,"body":%b}\n' % parts[1:])
        self._transport.write(b"".join(answers))  # type: ignore[attr-defined]  # a transport, but for its class


def echo(path: str) -> None:
    """The floor under the clients."""
    runner()(_echo(path))


async def _echo(path: str) -> None:
    server = await asyncio.get_running_loop().create_unix_server(_Echo, path)
    load.say(ready=True)
    await server.serve_forever()


def soak_listen(path: str) -> None:
    """Subscribe, and say when all has come: each once, in order, none missing."""
    runner()(_soak_listen(path))


async def _soak_listen(path: str) -> None:
    async with ipc.connect_async(path) as client:
        expected = 0
        tasks: set[asyncio.Task[int]] = set()

        def take(message: Message) -> None:
            nonlocal expected
            assert message.body == [expected, load.BODY], "a message is missing, or not in its place"
            expected += 1
            if not expected % (WINDOW // 10):
                task = asyncio.ensure_future(client.publish("ack", expected))
                tasks.add(task)
                task.add_done_callback(tasks.discard)

        await client.subscribe("soak", take)
        load.say(ready=True)
        await asyncio.Event().wait()


def soak_publish(path: str, count: int) -> None:
    """Publish so many, numbered, no more than a window ahead of who listens."""
    runner()(_soak_publish(path, count))


async def _soak_publish(path: str, count: int) -> None:
    async with ipc.connect_async(path) as client:
        acks = await client.subscribe("ack")
        acknowledged = 0
        for number in range(count):
            await client.publish("soak", [number, load.BODY])
            while number - acknowledged >= WINDOW - 1:
                acknowledged = int(str((await anext(aiter(acks))).body))
        while acknowledged < count:
            acknowledged = int(str((await anext(aiter(acks))).body))
        load.say(published=count)


def soak_ask(path: str, count: int) -> None:
    """So many calls, a hundred at a time."""
    runner()(_soak_ask(path, count))


async def _soak_ask(path: str, count: int) -> None:
    numbers = iter(range(count))

    async with ipc.connect_async(path) as client:

        async def one() -> None:
            for number in numbers:
                assert await client.call("worker", number) == number

        await asyncio.gather(*(one() for _ in range(100)))
    load.say(answered=count)
