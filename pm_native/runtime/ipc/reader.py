"""What clients make of the broker's frames, whichever way they wait for them."""

from __future__ import annotations

import os
import random

from pm_native.runtime.ipc import codec
from pm_native.runtime.ipc.errors import BadFrame, IpcError, TooBig, error_named
from pm_native.runtime.ipc.frames import BODY, BODY_SIZE, END, FRAME_MAX, ID, cut, fields_of, head_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Protocol

    class Sink(Protocol):
        """Who is told of messages."""

        def put(self, message: Message) -> None:
            """A message has come."""


VARIABLE = "PM_NATIVE_IPC"
FIRST_DELAY_SEC, LAST_DELAY_SEC = 0.05, 5.0
HEADS_MAX = 256


class Message:
    """A message that came."""

    __slots__ = ("_head", "body", "id")

    def __init__(self, head: Head, number: bytes, body: object) -> None:
        self._head = head
        self.id = number
        self.body = body

    @property
    def kind(self) -> str:
        """`pub`, `call` or `send`."""
        return self._head.op

    @property
    def topic(self) -> str:
        """The topic that it was published on."""
        return self._head.topic

    @property
    def method(self) -> str:
        """The method that was called; "" where none was named."""
        return self._head.method

    @property
    def sender(self) -> Mapping[str, object]:
        """Who sent it, by the broker's word: `unit`, `process`, `instance`, `pid`, `uid`, `peer`."""
        return self._head.sender

    def __repr__(self) -> str:
        what = self.topic or self.method or "-"
        return f"<{self.kind} {what} from {self.sender.get('unit', '?')}: {self.body!r}>"


class Head:
    """What frames with the same head have in common."""

    __slots__ = ("fields", "is_more", "method", "op", "sender", "sinks", "topic", "version")

    def __init__(self, fields: Mapping[str, object]) -> None:
        self.fields = fields
        self.op = str(fields.get("op"))
        self.topic = str(fields.get("topic", ""))
        self.method = str(fields.get("method", ""))
        self.is_more = bool(fields.get("more"))
        sender = fields.get("from")
        self.sender: Mapping[str, object] = sender if isinstance(sender, dict) else {}
        self.version = -1
        # Who is told of messages on the topic, as of that version of the subscriptions.
        self.sinks: Sequence[Sink] = []


class Reader:
    """Reads frames of the broker, and knows the heads that it has seen."""

    __slots__ = ("_heads",)

    def __init__(self) -> None:
        self._heads: dict[bytes, Head] = {}

    def read(self, raw: bytes) -> tuple[Head, bytes, object]:
        """Head, id and body of a frame; BadFrame where it is none."""
        # What is published has no id, and is the most.
        at = raw.find(BODY)
        known = self._heads.get(raw[:at])
        try:
            if known is not None and at > 0:
                return known, b"", codec.decode(raw[at + BODY_SIZE : -1])
            parts = cut(raw)
            if parts is None:
                head = Head(fields_of(raw))
                given = head.fields.get("id")
                return head, b"" if given is None else codec.encode(given), head.fields.get("body")
            text, number, body = parts
            known = self._heads.get(text)
            if known is None:
                known = Head(fields_of(text + b"}"))
                if len(self._heads) >= HEADS_MAX:
                    self._heads.clear()
                self._heads[text] = known
            return known, number, codec.decode(body)
        except ValueError as error:
            raise BadFrame(f"the broker sent what is no frame: {error}") from error


class Frames:
    """Makes frames for the broker: heads once, then the bodies after them."""

    __slots__ = ("_heads", "limit")

    def __init__(self) -> None:
        self._heads: dict[tuple[object, ...], bytes] = {}
        self.limit = FRAME_MAX

    def call(self, to: str, method: str, timeout: float, number: int, body: object) -> bytes:
        """A call."""
        head = self._heads.get(("call", to, method, timeout)) or self._keep("call", to, method, timeout)
        return self._sized(b"%b%b%d%b%b%b" % (head, ID, number, BODY, codec.encode(body), END))

    def send(self, to: str, method: str, body: object, number: int = 0) -> bytes:
        """A send; with a number, it is acknowledged."""
        head = self._heads.get(("send", to, method)) or self._keep("send", to, method)
        return self._body(head, number, body)

    def publish(self, topic: str, body: object, number: int = 0) -> bytes:
        """A message on a topic; with a number, it is acknowledged."""
        head = self._heads.get(("pub", topic)) or self._keep("pub", topic)
        return self._body(head, number, body)

    def reply(self, number: bytes, body: object) -> bytes:
        """The answer to a call."""
        return self._sized(b'{"op":"reply"%b%b%b%b%b' % (ID, number, BODY, codec.encode(body), END))

    def failure(self, number: bytes, error: BaseException) -> bytes:
        """The error that a call is answered with: an IpcError by its own name, anything else as Failed."""
        name = error.name if isinstance(error, IpcError) else "Failed"
        message = str(error.args[0]) if isinstance(error, IpcError) and error.args else f"{error}"
        tail = head_of({"error": name, "message": message[:1000]})[1:]
        return b'{"op":"error"%b%b,%b%b' % (ID, number, tail, END)

    def _body(self, head: bytes, number: int, body: object) -> bytes:
        middle = b"%b%d%b" % (ID, number, BODY) if number else BODY
        return self._sized(b"%b%b%b%b" % (head, middle, codec.encode(body), END))

    def _sized(self, data: bytes) -> bytes:
        if len(data) > self.limit:
            raise TooBig(f"the frame has {len(data)} bytes, the broker takes {self.limit}")
        return data

    def _keep(self, *key: object) -> bytes:
        op = key[0]
        if op == "pub":
            fields: dict[str, object] = {"op": op, "topic": key[1]}
        else:
            fields = {"op": op, "to": key[1]}
            if key[2]:
                fields["method"] = key[2]
            if op == "call":
                fields["timeout"] = key[3]
        if len(self._heads) >= HEADS_MAX:
            self._heads.clear()
        head = self._heads[key] = head_of(fields)
        return head


def error_of(head: Head) -> IpcError:
    """The exception of an error frame."""
    return error_named(str(head.fields.get("error")), str(head.fields.get("message", "")))


def socket_path(path: str = "") -> str:
    """The path of the socket: as given, else by PM_NATIVE_IPC. RuntimeError where that is not set."""
    found = path or os.environ.get(VARIABLE, "")
    if not found:
        raise RuntimeError(f"{VARIABLE} is not set: `ipc = true` in [project] of the config sets it")
    return found


def delays() -> Iterator[float]:
    """The seconds to wait before each try to connect again: twice as long each time, and nobody in step."""
    limit = FIRST_DELAY_SEC
    yield 0.0
    while True:
        yield random.uniform(limit / 2, limit)  # noqa: S311 - to spread clients, not to hide
        limit = min(limit * 2, LAST_DELAY_SEC)
