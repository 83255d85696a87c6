"""A client for programs that wait: one thread, one connection. Threads take a client each."""

from __future__ import annotations

import os
import socket
import struct
import time
from collections import deque

from pm_native.runtime.ipc.errors import Disconnected, IpcError, NoResponders, Timeout
from pm_native.runtime.ipc.frames import READ_SIZE, Splitter, frame
from pm_native.runtime.ipc.outbox import DROP_OLDEST
from pm_native.runtime.ipc.reader import Frames, Message, Reader, delays, error_of, socket_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import TracebackType
    from typing import Self

    from pm_native.runtime.ipc.reader import Head

    Handler = Callable[[Message], object]

# Messages that came while an answer was waited for; the oldest go first, and are counted.
INBOX_MAX = 10_000
# The broker says when a deadline has passed; without it, the client does, after so many seconds more.
GRACE_SEC = 1.0
# A deadline that is far off is looked at again after so long.
WAIT_SEC = 1.0


class Client:
    """A connection to the broker, made when it is first needed, and again when it was lost.

    What was subscribed to is subscribed to again then. A call that was under way when the connection broke raises
    Disconnected, and is never repeated: it may have arrived. `missed` counts messages that were dropped, by the broker
    or here, because they were not read in time.
    """

    def __init__(self, path: str = "", *, connect_timeout: float = 10.0) -> None:
        self.path = socket_path(path)
        self.connect_timeout = connect_timeout
        self.missed = 0
        self.info: Mapping[str, object] = {}  # what the broker said of itself, and of this client in `you`
        self._socket: socket.socket | None = None
        self._pid = 0
        self._patience = 0  # microseconds that a recv() waits at most; 0: for ever
        self._splitter = Splitter()
        self._reader = Reader()
        self._frames = Frames()
        self._arrived: deque[bytes] = deque()
        self._inbox: deque[Message] = deque()
        self._subscriptions: dict[str, str] = {}
        self._is_serving = False
        self._serial = 0

    def __enter__(self) -> Self:
        self._connected()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connection; a later use makes a new one, without the subscriptions."""
        self._subscriptions.clear()
        self._is_serving = False
        self._lose()

    def call(self, to: str, body: object = None, *, method: str = "", timeout: float = 30.0) -> object:
        """The answer of one process of the name `to` (`worker`, `worker@3`).

        Raises IpcError by what went wrong; Timeout after `timeout` seconds.
        """
        number = self._next()
        self._write(self._frames.call(to, method, timeout, number, body))
        return self._answer(b"%d" % number, time.monotonic() + timeout + GRACE_SEC)

    def gather(
        self, to: str, body: object = None, *, method: str = "", timeout: float = 30.0
    ) -> list[tuple[Mapping[str, object], object]]:
        """The answers of all instances of `to` (a process), each with its sender; an IpcError in place of an answer.

        Raises NoSuchTarget or NoResponders where there is nobody to ask.
        """
        number = self._next()
        self._write(self._frames.call(f"{to}@*", method, timeout, number, body))
        key, deadline = b"%d" % number, time.monotonic() + timeout + GRACE_SEC
        answers: list[tuple[Mapping[str, object], object]] = []
        while True:
            head, given, value = self._next_frame(deadline)
            if given != key:
                self._take(head, given, value)
            elif head.op == "end":
                return answers
            elif head.is_more:
                answers.append((head.sender, error_of(head) if head.op == "error" else value))
            else:
                raise error_of(head)

    def send(self, to: str, body: object = None, *, method: str = "") -> int:
        """Send to one process of the name `to`, or to all with `@*` after it; to how many it went, not what they did."""
        number = self._next()
        self._write(self._frames.send(to, method, body, number))
        return self._count(number)

    def publish(self, topic: str, body: object = None, *, confirm: bool = False) -> int:
        """Publish on a topic; with `confirm`, wait to hear to how many it went. What is wrong with it is only told then."""
        number = self._next() if confirm else 0
        self._write(self._frames.publish(topic, body, number))
        return self._count(number) if confirm else 0

    def subscribe(self, pattern: str, *, policy: str = DROP_OLDEST) -> None:
        """Have `messages` give what is published on the topics of the pattern, from now on."""
        self._request({"op": "sub", "topic": pattern, "policy": policy})
        self._subscriptions[pattern] = policy

    def unsubscribe(self, pattern: str) -> None:
        """Undo a `subscribe`."""
        self._request({"op": "unsub", "topic": pattern})
        self._subscriptions.pop(pattern, None)

    def messages(self, timeout: float | None = None) -> Iterator[Message]:
        """What was subscribed to, as it comes; ends when nothing came for `timeout` seconds (None: never)."""
        while (message := self._next_message(timeout)) is not None:
            yield message

    def serve(self, handlers: Mapping[str, Handler]) -> None:
        """Answer calls for ever, by method; the handler "" takes all others. What is sent is handled alike.

        What a handler returns is the answer. An IpcError that it raises is told to the caller by its name, if that
        has a dot in it; any other exception goes on to the caller as Failed, and up from here.
        """
        self._request({"op": "serve"})
        self._is_serving = True
        while True:
            message = self._next_message(None)
            if message is not None and message.kind != "pub":
                self.answer(message, handlers)

    def answer(self, message: Message, handlers: Mapping[str, Handler]) -> None:
        """Answer one call, or handle one message that was sent."""
        handler = handlers.get(message.method) or handlers.get("")
        try:
            if handler is None:
                raise NoResponders(f"there is no method {message.method!r}")  # noqa: TRY301 - answered like all errors
            result = handler(message)
        except IpcError as error:
            if message.kind == "call":
                self._write(self._frames.failure(message.id, error))
            return
        except Exception as error:
            if message.kind == "call":
                self._write(self._frames.failure(message.id, error))
            raise
        if message.kind == "call":
            self._write(self._frames.reply(message.id, result))

    def peers(self) -> object:
        """Who is connected, and the broker's own figures."""
        return self._request({"op": "peers"})

    def watch(self) -> Iterator[Mapping[str, object]]:
        """Every message of the project as it passes from now on, for who may see them: as `pm-native ipc monitor` shows."""
        self._request({"op": "monitor"})
        return self._seen()

    def _seen(self) -> Iterator[Mapping[str, object]]:
        while True:
            head, _, body = self._next_frame(None)
            if head.op == "seen":
                yield {**head.fields, "body": body}

    # One frame after the other.

    def _next(self) -> int:
        self._serial += 1
        return self._serial

    def _count(self, number: int) -> int:
        count = self._answer(b"%d" % number, time.monotonic() + self.connect_timeout)
        return count if isinstance(count, int) else 0

    def _request(self, fields: Mapping[str, object]) -> object:
        number = self._next()
        self._write(frame({**fields, "id": number}))
        return self._answer(b"%d" % number, time.monotonic() + self.connect_timeout)

    def _answer(self, key: bytes, deadline: float) -> object:
        while True:
            head, number, body = self._next_frame(deadline)
            if number != key or head.op in {"call", "send", "pub"}:
                self._take(head, number, body)
            elif head.op == "error":
                raise error_of(head)
            else:
                return head.fields.get("count") if head.op == "ok" else body

    def _next_message(self, timeout: float | None) -> Message | None:
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self._inbox:
            try:
                self._take(*self._next_frame(deadline))
            except Timeout:
                return None
            except Disconnected:
                self._connected()
        return self._inbox.popleft()

    def _take(self, head: Head, number: bytes, body: object) -> None:
        """Keep a frame that nobody waits for at the moment."""
        if head.op in {"pub", "call", "send"}:
            if len(self._inbox) >= INBOX_MAX:
                self._inbox.popleft()
                self.missed += 1
            self._inbox.append(Message(head, number, body))
        elif head.op == "gap":
            count = head.fields.get("count")
            self.missed += count if isinstance(count, int) else 0
        elif head.op == "error" and not number:
            raise error_of(head)

    def _next_frame(self, deadline: float | None) -> tuple[Head, bytes, object]:
        while not self._arrived:
            channel = self._socket
            if channel is None:
                raise Disconnected("the connection was lost")
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                raise Timeout("no answer in time, nor a word of the broker")
            self._be_patient(channel, left)
            try:
                data = channel.recv(READ_SIZE)
            except BlockingIOError:
                continue
            except OSError as error:
                self._lose()
                raise Disconnected(f"the connection was lost: {error.strerror}") from error
            if not data:
                self._lose()
                raise Disconnected("the broker has closed the connection")
            self._arrived.extend(self._splitter.feed(data))
        return self._reader.read(self._arrived.popleft())

    # The connection.

    def _be_patient(self, channel: socket.socket, seconds: float | None) -> None:
        """Have recv() wait for so long, or a part of it: told to the kernel when it changes, which is seldom.

        A timeout of Python's socket would be three more system calls for each message.
        """
        patience = 0 if seconds is None else max(int(min(seconds, WAIT_SEC) * 1_000_000), 1)
        if patience != self._patience:
            self._patience = patience
            value = struct.pack("ll", *divmod(patience, 1_000_000))
            channel.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, value)

    def _write(self, data: bytes) -> None:
        channel = self._connected()
        try:
            channel.sendall(data)
        except OSError:
            # The broker went away before all of the frame was there, so it cannot have read it: this is no repetition.
            self._lose()
            self._connected().sendall(data)

    def _connected(self) -> socket.socket:
        if self._socket is not None and self._pid == os.getpid():
            return self._socket
        self._lose()  # also that of a parent process, whose connection is not ours
        deadline = time.monotonic() + self.connect_timeout
        for delay in delays():
            time.sleep(delay)
            channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
            channel.settimeout(max(deadline - time.monotonic(), 0.01))
            try:
                channel.connect(self.path)
                channel.settimeout(None)
                self._patience = 0
                self._greet(channel, deadline)
            except (OSError, Disconnected) as error:
                self._lose()
                channel.close()
                if time.monotonic() >= deadline or isinstance(error, PermissionError):
                    raise
            else:
                return channel
        raise AssertionError("delays do not end")

    def _greet(self, channel: socket.socket, deadline: float) -> None:
        """Say hello, and ask anew for all that was asked for before."""
        self._socket, self._pid = channel, os.getpid()
        number = self._next()
        frames = [frame({"op": "hello", "version": 1, "serve": self._is_serving, "id": number})]
        frames += [
            frame({"op": "sub", "topic": pattern, "policy": policy})
            for pattern, policy in self._subscriptions.items()
        ]
        channel.sendall(b"".join(frames))
        while True:
            head, given, _ = self._next_frame(deadline)
            if head.op == "hello" and given == b"%d" % number:
                break
            self._take(head, given, None)
        self.info = head.fields
        limits = head.fields.get("limits")
        if isinstance(limits, dict):
            self._frames.limit = int(limits.get("frame", self._frames.limit))

    def _lose(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket = None
        self._splitter = Splitter()
        self._arrived.clear()
