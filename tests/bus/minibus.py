"""A bus of a few lines: it authenticates, answers what it was told to answer, and fails where it was told to fail."""

from __future__ import annotations

import asyncio
import io
from contextlib import asynccontextmanager

from dbus_next._private.marshaller import Marshaller
from dbus_next._private.unmarshaller import Unmarshaller
from dbus_next.constants import MessageFlag, MessageType
from dbus_next.message import Message
from dbus_next.signature import Variant

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    Answer = Callable[["MiniBus", Message], list[Message]]

SYSTEMD_NAME = ":1.1"
MANAGER = "org.freedesktop.systemd1.Manager"


class MiniBus:
    """`answers` has what is said to each member; a member it does not have is never answered."""

    def __init__(
        self, path: Path, answers: dict[str, Answer] | None = None, *, auth: bytes = b"OK 12\r\n"
    ) -> None:
        self.path = path
        self.auth = auth
        self.answers: dict[str, Answer] = {
            "Hello": lambda _, call: [reply(call, "s", [":1.7"])],
            "AddMatch": lambda _, call: [reply(call)],
            "GetNameOwner": lambda _, call: [reply(call, "s", [SYSTEMD_NAME])],
            "Subscribe": lambda _, call: [reply(call)],
            **(answers or {}),
        }
        self.seen: list[tuple[str, bool]] = []  # member, and whether an agent may ask a person
        self.writer: asyncio.StreamWriter | None = None
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def environ(self) -> dict[str, str]:
        return {"DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={self.path}"}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[MiniBus]:
        server = await asyncio.start_unix_server(self._connected, self.path)
        try:
            yield self
        finally:
            server.close()
            self.hang_up()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def hang_up(self) -> None:
        if self.writer is not None:
            self.writer.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.append(task)
        self.writer = writer
        try:
            await self._serve(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client is gone, as many a test wants it
        finally:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n")  # NUL, AUTH EXTERNAL uid
        writer.write(self.auth)
        if not self.auth.startswith(b"OK"):
            await writer.drain()
            return
        await reader.readuntil(b"BEGIN\r\n")
        while True:
            call = await read_message(reader)
            asks = bool(call.flags & MessageFlag.ALLOW_INTERACTIVE_AUTHORIZATION)
            self.seen.append((call.member, asks))
            if call.member in self.answers:
                self.send(*self.answers[call.member](self, call))

    def send(self, *messages: Message) -> None:
        assert self.writer is not None
        for message in messages:
            message.serial = message.serial or 1
            self.writer.write(marshalled(message))


def marshalled(message: Message) -> bytes:
    """The message on the wire with its sender, which a daemon writes and dbus-next therefore leaves out."""
    body = Marshaller(message.signature, message.body)  # type: ignore[no-untyped-call]
    body.marshall()  # type: ignore[no-untyped-call]
    texts = [(1, "o", message.path), (2, "s", message.interface), (3, "s", message.member)]
    texts += [(4, "s", message.error_name), (6, "s", message.destination), (7, "s", message.sender)]
    texts += [(8, "g", message.signature)]
    fields = [[number, Variant(kind, text)] for number, kind, text in texts if text]
    if message.reply_serial:
        fields.append([5, Variant("u", message.reply_serial)])
    head = Marshaller(  # type: ignore[no-untyped-call]
        "yyyyuua(yv)",
        [ord("l"), message.message_type.value, 0, 1, len(body.buffer), message.serial, fields],
    )
    head.marshall()  # type: ignore[no-untyped-call]
    head.align(8)  # type: ignore[no-untyped-call]
    return bytes(head.buffer + body.buffer)


async def read_message(reader: asyncio.StreamReader) -> Message:
    head = await reader.readexactly(16)
    fields = int.from_bytes(head[12:16], "little")
    rest = await reader.readexactly((fields + 7) // 8 * 8 + int.from_bytes(head[4:8], "little"))
    message = Unmarshaller(io.BytesIO(head + rest)).unmarshall()  # type: ignore[no-untyped-call]
    assert isinstance(message, Message)
    return message


def reply(call: Message, signature: str = "", body: list[object] | None = None) -> Message:
    return Message(
        message_type=MessageType.METHOD_RETURN,
        reply_serial=call.serial,
        destination=":1.7",
        sender=SYSTEMD_NAME,
        signature=signature,
        body=body or [],
    )


def refusal(call: Message, name: str, text: str) -> Message:
    return Message(
        message_type=MessageType.ERROR,
        reply_serial=call.serial,
        destination=":1.7",
        error_name=name,
        signature="s",
        body=[text],
    )


def signal(member: str, signature: str, body: list[object], *, sender: str = SYSTEMD_NAME) -> Message:
    return Message(
        message_type=MessageType.SIGNAL,
        path="/org/freedesktop/systemd1",
        interface=MANAGER,
        member=member,
        sender=sender,
        signature=signature,
        body=body,
    )


def job_removed(number: int, result: str, *, sender: str = SYSTEMD_NAME) -> Message:
    path = f"/org/freedesktop/systemd1/job/{number}"
    return signal("JobRemoved", "uoss", [number, path, "a.service", result], sender=sender)


def takes_job(number: int) -> Answer:
    return lambda _, call: [reply(call, "o", [f"/org/freedesktop/systemd1/job/{number}"])]


def hangs_up(bus: MiniBus, _: Message) -> list[Message]:
    bus.hang_up()
    return []
