"""A program's message channel as a member of its project: what is sent to it comes there, what it says is published.

This is the protocol of messages (docs/messages-protocol.md) with bodies that pass as the bytes that they are: what is no
JSON the broker refuses.
"""

from __future__ import annotations

import _socket
import os

from pm_native.runtime import tell
from pm_native.runtime.ipc.topics import is_topic
from pm_native.runtime.lines import PENDING_MAX, Lines

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pm_native.runtime.loop import Loop, Timer

# The topic of what names none, as it is called on PM2's bus.
UNNAMED = "process:msg"
HELLO = b'{"op":"hello","version":1,"serve":true,"calls":false,"id":0}'
BODY = b',"body":'
# What Node's own programs say to each other on the channel.
OF_NODE = b'{"cmd":"NODE_'
FIRST_DELAY_SEC, LAST_DELAY_SEC = 0.05, 5.0


class Bridge:
    """The connection to the broker at `path`. `deliver` hands a line to the program; False: it has no room."""

    def __init__(self, path: str, loop: Loop, deliver: Callable[[bytes], bool]) -> None:
        self._path = path
        self._loop = loop
        self._deliver = deliver
        self._lines: Lines | None = None
        self._is_closed = False
        self._delay = FIRST_DELAY_SEC
        self._lost = 0
        self._has_dropped = False
        self._told = b""
        self._retry: Timer | None = None
        self._connect()

    def publish(self, line: bytes) -> None:
        """Publish what the program has said; a broker that only begins reads it later. Without one it is lost, and counted."""
        if line.startswith(OF_NODE):
            return
        if self._lines is None:
            self._lost += 1
            return
        self._lines.send(b'{"op":"pub","topic":"%b"%b%b}' % (topic_of(line).encode(), BODY, line))

    def close(self) -> None:
        """End it; what was published is sent."""
        self._is_closed = True
        if self._retry is not None:
            self._retry.cancel()
        if self._lines is not None:
            self._lines.close()

    def _connect(self) -> None:
        channel = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
        channel.setblocking(False)
        try:
            channel.connect(self._path)
        except OSError:
            channel.close()
            self._again()
            return
        # A frame has at most as much as a line of the program, and then who sent it.
        self._lines = Lines(channel, self._loop, self._take, self._ended, limit=2 * PENDING_MAX)
        self._lines.send(HELLO)

    def _ended(self, _: Lines) -> None:
        self._lines = None
        if not self._is_closed:
            self._again()

    def _again(self) -> None:
        """Try later, each time twice as late, and not in step with others."""
        delay = self._delay * (0.5 + os.urandom(1)[0] / 510)
        self._delay = min(self._delay * 2, LAST_DELAY_SEC)
        self._retry = self._loop.later(delay, self._connect)

    def _take(self, frame: bytes) -> None:
        """A frame of the broker, whose keys come in an order that is known."""
        if frame.startswith(b'{"op":"send"'):
            is_delivered = self._deliver(frame[frame.index(BODY) + len(BODY) : -1])
            if not is_delivered and not self._has_dropped:
                self._has_dropped = True
                tell.log("messages are dropped: the program does not read its channel", tell.WARNING)
        elif frame.startswith(b'{"op":"hello"'):
            self._delay = FIRST_DELAY_SEC
            if self._lost:
                tell.log(f"{self._lost} messages of the program were lost: no broker", tell.WARNING)
                self._lost = 0
        elif frame.startswith(b'{"op":"error"') and frame != self._told:
            self._told = frame
            tell.log(f"messages: {frame.decode(errors='replace')}", tell.WARNING)


def topic_of(line: bytes) -> str:
    """The topic of a message, as PM2's bus has it: its `type`, where it has one with `data`."""
    if not line.startswith(b"{") or b'"type"' not in line or b'"data"' not in line:
        return UNNAMED
    import json  # noqa: PLC0415 - 1 MiB, for those who name their messages

    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        return UNNAMED
    if not isinstance(message, dict) or not message.get("data"):
        return UNNAMED
    name = message.get("type")
    if (
        not isinstance(name, str)
        or not is_topic(name)
        or name.startswith("$")
        or '"' in name
        or "\\" in name
    ):
        return UNNAMED
    return name
