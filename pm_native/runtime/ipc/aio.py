"""A client for asyncio: one connection, any number of calls at the same time."""

from __future__ import annotations

import asyncio
import logging
from typing import cast

from pm_native.runtime.ipc.errors import Disconnected, IpcError, NoResponders, Timeout
from pm_native.runtime.ipc.frames import Splitter, frame, read_little
from pm_native.runtime.ipc.outbox import DROP_OLDEST
from pm_native.runtime.ipc.reader import Frames, Message, Reader, delays, error_of, socket_path
from pm_native.runtime.ipc.subscription import Subscription
from pm_native.runtime.ipc.topics import Topics

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from types import TracebackType
    from typing import Self

    from pm_native.runtime.ipc.reader import Head

    Handler = Callable[[Message], object]

log = logging.getLogger(__name__)
QUEUE_MAX = 1000
# So many frames are sent on at once, though more may come: the broker works while this program does.
BATCH = 32
GRACE_SEC = 1.0


class AsyncClient:
    """A connection to the broker, kept up in the background: use it as `async with`.

    When the connection breaks, what is under way raises Disconnected and is never repeated; subscriptions and handlers
    are told to the next broker, and what is asked for meanwhile waits for it, as long as its timeout lets it.
    """

    def __init__(self, path: str = "") -> None:
        self.path = socket_path(path)
        self.info: Mapping[str, object] = {}
        self._frames = Frames()
        self._reader = Reader()
        self._link: _Link | None = None
        self._is_up = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self._waiting: dict[bytes, tuple[asyncio.Future[object], float]] = {}
        self._gathering: dict[bytes, list[tuple[Mapping[str, object], object]]] = {}
        self._topics: Topics[Subscription] = Topics()
        self._patterns: dict[str, list[Subscription]] = {}
        self._handlers: dict[str, Handler] = {}
        self._is_serving = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._serial = 0
        self._out: list[bytes] = []
        self._wake = float("inf")
        self._failure: BaseException | None = None

    async def __aenter__(self) -> Self:
        self._keeper = asyncio.create_task(self._keep_connected())
        await self._up(None)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End the connection, after what was written so far."""
        for task in (self._keeper, *self._tasks):
            if task is not None:
                task.cancel()
        await asyncio.gather(
            *(task for task in (self._keeper, *self._tasks) if task), return_exceptions=True
        )
        if (link := self._link) is not None:
            self._flush()
            link.transport.close()
            await link.lost.wait()
        for subscriptions in self._patterns.values():
            for subscription in subscriptions:
                subscription.end()

    async def call(self, to: str, body: object = None, *, method: str = "", timeout: float = 30.0) -> object:  # noqa: ASYNC109 - it is the protocol's, too
        """The answer of one process of the name `to` (`worker`, `worker@3`); raises IpcError by what went wrong."""
        link = self._link
        if link is None:
            timeout = await self._up(timeout)
        elif link.is_paused:
            await link.resumed.wait()
        self._serial = number = self._serial + 1
        self._put(self._frames.call(to, method, timeout, number, body))
        return await self._expect(b"%d" % number, timeout)

    async def gather(
        self,
        to: str,
        body: object = None,
        *,
        method: str = "",
        timeout: float = 30.0,  # noqa: ASYNC109 - as above
    ) -> list[tuple[Mapping[str, object], object]]:
        """The answers of all instances of `to` (a process), each with its sender; an IpcError in place of an answer."""
        timeout = await self._up(timeout)
        self._serial = number = self._serial + 1
        key = b"%d" % number
        answers = self._gathering[key] = []
        try:
            self._put(self._frames.call(f"{to}@*", method, timeout, number, body))
            await self._expect(key, timeout)
        finally:
            del self._gathering[key]
        return answers

    async def send(self, to: str, body: object = None, *, method: str = "") -> int:
        """Send to one process of the name `to`, or to all with `@*` after it; to how many it went."""
        await self._up(GRACE_SEC * 10)
        self._serial = number = self._serial + 1
        self._put(self._frames.send(to, method, body, number))
        return await self._counted(number)

    async def publish(self, topic: str, body: object = None, *, confirm: bool = False) -> int:
        """Publish on a topic; with `confirm`, wait to hear to how many it went."""
        link = self._link
        if link is None:
            await self._up(GRACE_SEC * 10)
        elif link.is_paused:
            await link.resumed.wait()
        if not confirm:
            self._put(self._frames.publish(topic, body))
            return 0
        self._serial = number = self._serial + 1
        self._put(self._frames.publish(topic, body, number))
        return await self._counted(number)

    async def subscribe(
        self,
        pattern: str,
        callback: Callable[[Message], None] | None = None,
        *,
        policy: str = DROP_OLDEST,
        queue: int = QUEUE_MAX,
    ) -> Subscription:
        """Subscribe to the topics of a pattern: iterate over what is returned, or give a callback."""
        subscription = Subscription(pattern, policy, queue, callback, self.unsubscribe)
        # Known here before it is known there: the first message may come right after the answer.
        self._topics.add(pattern, subscription)
        self._patterns.setdefault(pattern, []).append(subscription)
        try:
            await self._request({"op": "sub", "topic": pattern, "policy": policy})
        except IpcError:
            self._forget(subscription)
            raise
        return subscription

    async def unsubscribe(self, subscription: Subscription) -> None:
        """Undo a `subscribe`; the broker hears of it when no other one has the pattern."""
        self._forget(subscription)
        if subscription.pattern not in self._patterns:
            await self._request({"op": "unsub", "topic": subscription.pattern})

    async def serve(self, handlers: Mapping[str, Handler]) -> None:
        """Answer calls from now on, by method; the handler "" takes all others. What is sent is handled alike.

        A handler may be a function or a coroutine function of the message; what it returns is the answer. An IpcError
        with a dot in its name goes to the caller by that name, any other exception as Failed.
        """
        self._handlers.update(handlers)
        self._is_serving = True
        await self._request({"op": "serve"})

    async def peers(self) -> object:
        """Who is connected, and the broker's own figures."""
        return await self._request({"op": "peers"})

    # Out.

    async def _up(self, timeout: float | None) -> float:  # noqa: ASYNC109 - what is left of it is returned
        """Wait for a connection that can be written to; what is left of the timeout."""
        link = self._link
        if link is not None and not link.is_paused:
            return timeout or 0.0
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            async with asyncio.timeout(timeout):
                while self._link is None or self._link.is_paused:
                    if self._failure is not None:
                        raise self._failure
                    await (self._is_up if self._link is None else self._link.resumed).wait()
        except TimeoutError as error:
            raise Timeout("no connection to the broker in time") from error
        return max((timeout or 0.0) - (loop.time() - began), 0.001)

    def _put(self, data: bytes) -> None:
        out = self._out
        if not out:
            asyncio.get_running_loop().call_soon(self._flush)
        out.append(data)
        if len(out) >= BATCH:
            self._flush()

    def _flush(self) -> None:
        out, self._out = self._out, []
        if out and self._link is not None:
            self._link.transport.write(b"".join(out) if len(out) > 1 else out[0])

    def _expect(self, key: bytes, timeout: float) -> asyncio.Future[object]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[object] = loop.create_future()
        deadline = loop.time() + timeout + GRACE_SEC
        self._waiting[key] = (future, deadline)
        if deadline < self._wake:
            self._wake = deadline
            loop.call_at(deadline, self._expire)
        return future

    def _expire(self) -> None:
        """The broker says when a deadline has passed; where it does not, this does, a little later."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        for key in [key for key, (_, deadline) in self._waiting.items() if deadline <= now]:
            future, _ = self._waiting.pop(key)
            if not future.done():
                future.set_exception(Timeout("no answer in time, nor a word of the broker"))
        self._wake = min((deadline for _, deadline in self._waiting.values()), default=float("inf"))
        if self._waiting:
            loop.call_at(self._wake, self._expire)

    async def _counted(self, number: int) -> int:
        count = await self._expect(b"%d" % number, GRACE_SEC * 10)
        return count if isinstance(count, int) else 0

    async def _request(self, fields: Mapping[str, object]) -> object:
        await self._up(GRACE_SEC * 10)
        self._serial = number = self._serial + 1
        self._put(frame({**fields, "id": number}))
        return await self._expect(b"%d" % number, GRACE_SEC * 10)

    # In.

    def take(self, raw: bytes) -> None:  # noqa: C901 - one branch for each kind of frame
        """A frame has come."""
        head, number, body = self._reader.read(raw)
        op = head.op
        if op == "pub":
            if head.version != self._topics.version:
                head.version = self._topics.version
                head.sinks = self._topics.match(head.topic)
            for sink in head.sinks:
                sink.put(Message(head, number, body))
        elif op == "reply" or op == "ok" or op == "end":  # noqa: PLR1714 - in the order of how many there are
            if head.is_more:
                if (answers := self._gathering.get(number)) is not None:
                    answers.append((head.sender, body))
                return
            found = self._waiting.pop(number, None)
            if found is not None and not found[0].done():
                found[0].set_result(head.fields.get("count") if op == "ok" else body)
        elif op in {"call", "send"}:
            self._handle(Message(head, number, body))
        elif op == "error":
            self._take_error(head, number)
        elif op == "gap":
            count = head.fields.get("count")
            for subscription in self._patterns.get(head.topic, ()):
                subscription.missed += count if isinstance(count, int) else 0

    def _take_error(self, head: Head, number: bytes) -> None:
        error = error_of(head)
        if head.is_more:
            if (answers := self._gathering.get(number)) is not None:
                answers.append((head.sender, error))
            return
        found = self._waiting.pop(number, None)
        if found is None:
            log.warning("the broker says %s", error)
        elif not found[0].done():
            found[0].set_exception(error)

    def _handle(self, message: Message) -> None:
        handler = self._handlers.get(message.method) or self._handlers.get("")
        try:
            if handler is None:
                raise NoResponders(f"there is no method {message.method!r}")  # noqa: TRY301 - answered like all errors
            result = handler(message)
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller hears of it
            self._refuse(message, error)
            return
        if asyncio.iscoroutine(result):
            task = asyncio.create_task(self._finish(message, result))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        elif message.kind == "call":
            self._answer(message, result)

    async def _finish(self, message: Message, running: Awaitable[object]) -> None:
        try:
            result = await running
        except Exception as error:  # noqa: BLE001 - as above
            self._refuse(message, error)
            return
        if message.kind == "call":
            self._answer(message, result)

    def _answer(self, message: Message, result: object) -> None:
        try:
            self._put(self._frames.reply(message.id, result))
        except (IpcError, TypeError, ValueError) as error:  # too big, or not JSON
            self._refuse(message, error)

    def _refuse(self, message: Message, error: Exception) -> None:
        if not isinstance(error, IpcError):
            log.error("the handler of %r failed", message.method, exc_info=error)
        if message.kind == "call":
            self._put(self._frames.failure(message.id, error))

    # The connection.

    async def _keep_connected(self) -> None:
        while True:
            link = await self._connect()
            if link is None:
                return
            await link.lost.wait()
            self._link = None
            self._is_up.clear()
            self._out.clear()
            waiting, self._waiting = self._waiting, {}
            for future, _ in waiting.values():
                if not future.done():
                    future.set_exception(Disconnected("the connection to the broker was lost"))

    async def _connect(self) -> _Link | None:
        """The next connection, greeted; None where the broker or the kernel does not let this program in."""
        loop = asyncio.get_running_loop()
        for delay in delays():
            await asyncio.sleep(delay)
            try:
                _, link = await loop.create_unix_connection(lambda: _Link(self), self.path)
                self._greet(link)
                self.info = await link.greeted
            except PermissionError as error:
                self._failure = error
                self._is_up.set()
                return None
            except (OSError, Disconnected):
                continue
            limits = self.info.get("limits")
            if isinstance(limits, dict):
                self._frames.limit = int(limits.get("frame", self._frames.limit))
            self._link = link
            self._is_up.set()
            return link
        raise AssertionError("delays do not end")

    def _greet(self, link: _Link) -> None:
        frames = [frame({"op": "hello", "version": 1, "serve": self._is_serving, "id": 0})]
        frames += [
            frame({"op": "sub", "topic": pattern, "policy": subscriptions[0].policy})
            for pattern, subscriptions in self._patterns.items()
        ]
        link.transport.write(b"".join(frames))

    def _forget(self, subscription: Subscription) -> None:
        self._topics.remove(subscription.pattern, subscription)
        same = self._patterns[subscription.pattern]
        same.remove(subscription)
        if not same:
            del self._patterns[subscription.pattern]


class _Link(asyncio.Protocol):
    """One connection of a client."""

    transport: asyncio.Transport

    def __init__(self, client: AsyncClient) -> None:
        self._client = client
        self._splitter = Splitter(float("inf"))  # type: ignore[arg-type]  # the broker has its own limit
        self.lost = asyncio.Event()
        self.resumed = asyncio.Event()
        self.is_paused = False
        self.greeted: asyncio.Future[Mapping[str, object]] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is one without being of the class
        read_little(transport)

    def data_received(self, data: bytes) -> None:
        take = self._client.take if self.greeted.done() else self._take_greeting
        for raw in self._splitter.feed(data):
            take(raw)

    def _take_greeting(self, raw: bytes) -> None:
        if self.greeted.done():
            self._client.take(raw)
            return
        head, number, _ = self._client._reader.read(raw)  # noqa: SLF001 - of this file
        if head.op == "hello" and number == b"0":
            self.greeted.set_result(head.fields)
        elif head.op == "error":
            self.greeted.set_exception(error_of(head))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self.lost.set()
        self.is_paused = False
        self.resumed.set()
        if not self.greeted.done():
            self.greeted.set_exception(Disconnected("the broker has closed the connection"))

    def pause_writing(self) -> None:
        self.is_paused = True
        self.resumed.clear()

    def resume_writing(self) -> None:
        self.is_paused = False
        self.resumed.set()
