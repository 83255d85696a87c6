"""A subscription of the client for asyncio: where messages wait for who reads them."""

from __future__ import annotations

import asyncio
from collections import deque

from pm_native.runtime.ipc.outbox import DROP_NEWEST

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from pm_native.runtime.ipc.reader import Message


class Subscription:
    """What is published on the topics of a pattern: `async for message in subscription`.

    Messages wait here for who reads them, `queue` of them at most; `missed` counts those that were dropped, here or by
    the broker. With a callback, nothing waits: it is called as each message comes.
    """

    def __init__(
        self,
        pattern: str,
        policy: str,
        queue: int,
        callback: Callable[[Message], None] | None,
        unsubscribe: Callable[[Subscription], Awaitable[None]],
    ) -> None:
        self.pattern = pattern
        self.policy = policy
        self.missed = 0
        self.callback = callback
        self._unsubscribe = unsubscribe
        self._queue = queue
        self._waiting: deque[Message] = deque()
        self._reader: asyncio.Future[None] | None = None
        self.is_closed = False

    def __aiter__(self) -> AsyncIterator[Message]:
        return self

    async def __anext__(self) -> Message:
        while not self._waiting:
            if self.is_closed:
                raise StopAsyncIteration
            if self._reader is not None:
                raise RuntimeError("one task reads a subscription")
            self._reader = asyncio.get_running_loop().create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        return self._waiting.popleft()

    async def close(self) -> None:
        """Unsubscribe; who iterates comes to an end."""
        self.end()
        await self._unsubscribe(self)

    def end(self) -> None:
        """Let who iterates come to an end."""
        self.is_closed = True
        self._wake()

    def put(self, message: Message) -> None:
        """A message has come."""
        if self.callback is not None:
            self.callback(message)
            return
        if len(self._waiting) >= self._queue:
            self.missed += 1
            if self.policy == DROP_NEWEST:
                return
            self._waiting.popleft()
        self._waiting.append(message)
        self._wake()

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)
