"""Stream sockets by lines, both ways, for a loop: nothing waits, and what waits to be read is bounded."""

from __future__ import annotations

from pm_native.runtime.loop import READ, WRITE

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket
    from collections.abc import Callable

    from pm_native.runtime.loop import Loop

# What may wait for somebody who does not read. A longer line is nobody's message.
PENDING_MAX = 1 << 20
_CHUNK = 1 << 16


class Lines:
    """A stream socket by lines of at most `limit`. `told` gets each without its end; `ended` is called when it is over."""

    def __init__(
        self,
        channel: _socket.socket,
        loop: Loop,
        told: Callable[[bytes], None],
        ended: Callable[[Lines], None],
        limit: int = PENDING_MAX,
    ) -> None:
        self._limit = limit
        self._channel = channel
        self._loop = loop
        self._told = told
        self._ended = ended
        self._read = b""
        self._pending = b""
        self._is_open = True
        channel.setblocking(False)
        loop.watch(channel.fileno(), READ, self._ready)

    def send(self, line: bytes) -> None:
        """Write a line now or later; whoever leaves too much unread has it no more, and the connection ends."""
        if self._is_open:
            self._pending += line + b"\n"
            self._write()

    @property
    def has_room(self) -> bool:
        """Whether one more line may wait to be read."""
        return self._is_open and len(self._pending) < self._limit // 2

    def drain(self) -> None:
        """Take what has come and was not taken yet, up to the end or to where nothing is."""
        while self._is_open and self._take():
            pass

    def close(self) -> None:
        """End it."""
        if self._is_open:
            self._is_open = False
            self._loop.forget(self._channel.fileno())
            self._channel.close()
            self._ended(self)

    def _ready(self) -> None:
        if self._pending:
            self._write()
        if self._is_open:
            self._take()

    def _write(self) -> None:
        try:
            while self._pending:
                self._pending = self._pending[self._channel.send(self._pending) :]
        except BlockingIOError:
            pass  # the rest when there is room
        except OSError:
            self.close()
            return
        if len(self._pending) > self._limit:
            self.close()
            return
        self._loop.watch(self._channel.fileno(), READ | WRITE if self._pending else READ, self._ready)

    def _take(self) -> bool:
        """Take what has come; False where nothing has."""
        try:
            data = self._channel.recv(_CHUNK)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            self.close()
            return False
        *lines, self._read = (self._read + data).split(b"\n")
        if len(self._read) > self._limit:
            self.close()
            return False
        for line in lines:
            if line and self._is_open:
                self._told(line)
        return True
