"""The other end of a program's message channel, as Node's child processes have it: one JSON value a line, both ways.

The program finds its end in NODE_CHANNEL_FD. What it says is passed on to whoever is connected to the channel's
socket, and each line that they write is passed to the program. `"ready"` can be its word that it is ready for work.
"""

from __future__ import annotations

import _socket
import os

from pm_native.runtime.lines import Lines
from pm_native.runtime.loop import READ

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pm_native.runtime.loop import Loop

READY = b'"ready"'
CLIENTS_MAX = 32
_STREAM = _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK


class Channel:
    """The monitor's end: `descriptor` is the program's other half, `path` where others connect ("": nowhere).

    `broker` is the socket of the project's messages ("": it has none): the program takes part by its channel.
    """

    def __init__(
        self, descriptor: int, path: str, loop: Loop, on_ready: Callable[[], None], broker: str = ""
    ) -> None:
        self._loop = loop
        self._on_ready = on_ready
        self._path = path
        self._clients: list[Lines] = []
        self._program = Lines(_socket.socket(fileno=descriptor), loop, self._said, lambda _: None)
        self._listener = listen(path) if path else None
        if self._listener is not None:
            loop.watch(self._listener.fileno(), READ, self._accept)
        self._bridge = None
        if broker:
            from pm_native.runtime.bridge import Bridge  # noqa: PLC0415 - only where there is one

            self._bridge = Bridge(broker, loop, self._deliver)

    def close(self) -> None:
        """End all of it, after what the program has said to the last."""
        self._program.drain()
        if self._bridge is not None:
            self._bridge.close()
        for lines in (*self._clients, self._program):
            lines.close()
        if self._listener is not None:
            self._loop.forget(self._listener.fileno())
            self._listener.close()
            os.unlink(self._path)  # noqa: PTH108 - pathlib is heavy

    def _said(self, line: bytes) -> None:
        if line == READY:
            self._on_ready()
        elif self._bridge is not None:
            self._bridge.publish(line)
        for client in [*self._clients]:
            client.send(line)

    def _deliver(self, line: bytes) -> bool:
        """Send the program a line; False where it has left too much unread."""
        if self._program.has_room:
            self._program.send(line)
            return True
        return False

    def _accept(self) -> None:
        if self._listener is None:
            return
        descriptor, _ = self._listener._accept()  # type: ignore[attr-defined]  # noqa: SLF001 - of `_socket`
        client = _socket.socket(fileno=descriptor)
        if len(self._clients) >= CLIENTS_MAX:
            client.close()
            return
        self._clients.append(Lines(client, self._loop, self._program.send, self._clients.remove))


def listen(path: str) -> _socket.socket:
    """A Unix socket at `path`, in place of what a monitor that was killed left there; for the unit's user alone."""
    if os.path.exists(path):  # noqa: PTH110 - pathlib is heavy
        os.unlink(path)  # noqa: PTH108 - as above
    listener = _socket.socket(_socket.AF_UNIX, _STREAM)
    old = os.umask(0o177)
    try:
        listener.bind(path)
    finally:
        os.umask(old)
    listener.listen(CLIENTS_MAX)
    return listener
