"""dbus-daemon with dbus-next: method calls, and signals."""

from __future__ import annotations

import asyncio
from functools import partial

from dbus_next.aio.message_bus import MessageBus
from dbus_next.constants import MessageType
from dbus_next.message import Message

from tests.benchmarks.messages import load

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

# dbus-next takes a full socket for a lost connection: no more may be under way than a socket holds.
WINDOW = 100
NAME, PATH = "bench.Messages", "/bench"
CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><listen>unix:path={path}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*"/><allow eavesdrop="true"/><allow own="*"/></policy>
</busconfig>
"""


async def _connect(path: str) -> MessageBus:
    return await MessageBus(bus_address=f"unix:path={path}").connect()


async def _subscribe(bus: MessageBus, member: str) -> None:
    rule = f"type='signal',interface='{NAME}',member='{member}'"
    await bus.call(
        Message(
            destination="org.freedesktop.DBus",
            path="/org/freedesktop/DBus",
            interface="org.freedesktop.DBus",
            member="AddMatch",
            signature="s",
            body=[rule],
        )
    )


def _signal(member: str, signature: str, value: object) -> Message:
    return Message.new_signal(PATH, NAME, member, signature, [value])


def answer(path: str) -> None:
    """Answer calls."""
    asyncio.run(_answer(path))


async def _answer(path: str) -> None:
    bus = await _connect(path)

    def reply(message: Message) -> Message | None:
        if message.message_type is not MessageType.METHOD_CALL:
            return None
        return Message.new_method_return(message, "s", message.body)

    bus.add_message_handler(reply)
    await bus.request_name(NAME)
    load.say(ready=True)
    await asyncio.Event().wait()


def ask(path: str, in_flight: int) -> None:
    """Call one after the other, or many at the same time."""
    asyncio.run(_ask(path, in_flight))


async def _ask(path: str, in_flight: int) -> None:
    bus = await _connect(path)

    async def call(body: str) -> object:
        message = Message(
            destination=NAME, path=PATH, interface=NAME, member="Echo", signature="s", body=[body]
        )
        found = await bus.call(message)
        return None if found is None else found.body[0]

    await load.ask(call, in_flight)


def listen(path: str) -> None:
    """Subscribe, with so many connections."""
    asyncio.run(_listen(path))


async def _listen(path: str) -> None:
    buses = [await _connect(path) for _ in range(load.SUBSCRIBERS)]
    seen = load.Seen(WINDOW, lambda count: buses[0].send(_signal("Ack", "u", count)))

    def take(taker: Callable[[str], None], message: Message) -> None:
        if message.member == "Message":
            taker(message.body[0])

    for index, bus in enumerate(buses):
        bus.add_message_handler(partial(take, seen.taker(index)))
        await _subscribe(bus, "Message")
    load.say(ready=True)
    await asyncio.Event().wait()


def publish(path: str) -> None:
    """Publish to them."""
    asyncio.run(_publish(path))


async def _publish(path: str) -> None:
    bus = await _connect(path)
    counts: asyncio.Queue[int] = asyncio.Queue()

    def take(message: Message) -> None:
        if message.member == "Ack":
            counts.put_nowait(message.body[0])

    bus.add_message_handler(take)
    await _subscribe(bus, "Ack")

    async def send(body: str) -> None:
        bus.send(_signal("Message", "s", body))

    await load.publish(send, counts.get, WINDOW)
