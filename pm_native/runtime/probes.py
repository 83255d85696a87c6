"""Probes, one attempt of each: none waits, each tells its result once, in words, or is cancelled.

An attempt is made with the loop and `done(passed, words)`, which it may call at once.
"""

from __future__ import annotations

import _socket
import os
import time
from errno import EAGAIN, EINPROGRESS

from pm_native.runtime.loop import READ, WRITE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol, Self

    from pm_native.runtime.arguments import Probe
    from pm_native.runtime.loop import Loop
    from pm_native.runtime.place import Place
    from pm_native.runtime.spawn import Command
    from pm_native.runtime.target import Target

    Done = Callable[[bool, str], None]
    Address = str | tuple[Any, ...]

    class Attempt(Protocol):
        """One attempt of a probe, under way."""

        def cancel(self) -> None:
            """End it without a result; nothing is left open or running."""


LOCALHOST = "127.0.0.1"
LOCAL_NAME = "localhost"  # of a file: it is there at once


def begin(probe: Probe, target: Target, loop: Loop, done: Done) -> Attempt | None:
    """Begin an attempt; None where it told its result at once."""
    match probe.kind:
        case "tcp":
            return Connection(tcp_address(probe.target, target), target, loop, done, "tcp").begin()
        case "unix":
            return Connection(probe.target, target, loop, done, "unix").begin()
        case "http":
            from pm_native.runtime.http import HttpAttempt  # noqa: PLC0415 - only where it is asked for

            return HttpAttempt(probe, target, loop, done).begin()
        case "exec":
            from pm_native.runtime.spawn import Command  # noqa: PLC0415 - as above

            return Command([probe.target, *probe.arguments], target.place.run, loop, done)
        case "output":
            from pm_native.runtime.output import look  # noqa: PLC0415 - as above

            done(*look(probe, target))
        case "memory":
            from pm_native.runtime.arguments import size  # noqa: PLC0415 - as above
            from pm_native.runtime.memory import judge  # noqa: PLC0415 - as above

            done(*judge(size(probe.target), target.pid))
        case _:
            with target.place as place:
                found = look_at_file(place.path(probe.target), probe.max_age)
            done(*found)
    return None


def look_at_file(path: str, max_age: float) -> tuple[bool, str]:
    """Whether the file is there and young enough."""
    name = path.rpartition("/")[2]
    try:
        changed = os.stat(path).st_mtime  # noqa: PTH116 - pathlib is heavy
    except OSError as error:
        return False, f"file {name}: {strerror(error)}"
    age = time.time() - changed
    if max_age and age > max_age:
        return False, f"file {name}: changed {age:.0f} s ago"
    return True, f"file {name}"


def tcp_address(text: str, target: Target) -> tuple[str, int]:
    """The host and port of `HOST:PORT` or `[HOST]:PORT`; "" is the program's own port."""
    if not text:
        return LOCALHOST, target.port
    host, _, port = text.rpartition(":")
    return host.strip("[]") or LOCALHOST, int(port)


def family_of(host: str) -> int:
    """The family of a literal address; 0: it is a name."""
    for family in (_socket.AF_INET, _socket.AF_INET6):
        try:
            _socket.inet_pton(family, host)
        except OSError:
            continue
        return family
    return 0


def is_looked_up(host: str) -> bool:
    """Whether to find the address of a host may take its time."""
    return host != LOCAL_NAME and not family_of(host)


def resolved(address: tuple[str, int]) -> tuple[int, Address]:
    """The family and address of a host; a literal one is not looked up, which would load half a MiB of libraries."""
    host, port = address
    if family := family_of(host):
        return family, address
    found = _socket.getaddrinfo(host, port, 0, _socket.SOCK_STREAM)
    return found[0][0], found[0][4]


class Connection:
    """Connects to `address`, a host and port or a path of the program's (`@name` is abstract), and says how that went.

    `keep` gets the socket instead.
    """

    __slots__ = ("_address", "_done", "_lookup", "_loop", "_place", "_what", "keep", "socket")

    def __init__(  # noqa: PLR0913 - as an attempt is made, and two of its own
        self,
        address: tuple[str, int] | str,
        target: Target,
        loop: Loop,
        done: Done,
        what: str,
        *,
        keep: Callable[[], None] | None = None,
    ) -> None:
        self._address = address
        self._place = target.place
        self._done = done
        self._loop = loop
        self.keep = keep
        self._what = f"{what} {address if isinstance(address, str) else address[1]}"
        self.socket: _socket.socket | None = None
        self._lookup: Command | None = None

    def begin(self) -> Self:
        """Begin to connect; it may be done at once."""
        given = self._address
        if self._place.is_shared and not isinstance(given, str) and is_looked_up(given[0]):
            self._look_up(*given)
        else:
            self._open()
        return self

    def _look_up(self, host: str, port: int) -> None:
        """Have another process ask for the address of a name, since that may take its time."""
        from pm_native.runtime.spawn import Command  # noqa: PLC0415 - only where it is asked for

        def told(passed: bool, said: str) -> None:  # noqa: FBT001 - as `Done` has it
            self._lookup = None
            if passed and said:
                self._address = (said.split(maxsplit=1)[0], port)
                self._open()
            else:
                self._end(f"{host}: name or service not known")

        lookup = Command(["getent", "ahosts", host], self._place.ask, self._loop, told, whole=True)
        if lookup.is_running:
            self._lookup = lookup

    def _open(self) -> None:
        try:
            with self._place as place:
                code = self._connect(place)
            self._go_on(code)
        except OSError as error:
            self._end(connect_error(error))

    def _connect(self, place: Place) -> int:
        given = self._address
        family: int = _socket.AF_UNIX
        address: Address
        if isinstance(given, str):
            address = f"\0{given[1:]}" if given.startswith("@") else place.path(given)
        else:
            family, address = resolved(given)
        self.socket = _socket.socket(
            family, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK
        )
        return self.socket.connect_ex(address)

    def _go_on(self, code: int) -> None:
        if self.socket is None:
            return
        if code == EINPROGRESS:
            self._loop.watch(self.socket.fileno(), WRITE, self._connected)
        elif code:
            # A Unix socket has no half-open connections: a full queue shows at once.
            raise OSError(code, "the queue is full" if code == EAGAIN else os.strerror(code))
        else:
            self._connected()

    def _connected(self) -> None:
        if self.socket is None:
            return
        code = self.socket.getsockopt(_socket.SOL_SOCKET, _socket.SO_ERROR)
        if code:
            self._end(connect_error(OSError(code, os.strerror(code))))
        elif self.keep is not None:
            self.keep()
        else:
            self._end("")

    def _end(self, problem: str) -> None:
        self.cancel()
        self._done(not problem, f"{self._what} {problem}".rstrip())

    def cancel(self) -> None:
        """End it without a result."""
        if self._lookup is not None:
            self._lookup.cancel()
            self._lookup = None
        if self.socket is not None:
            self._loop.forget(self.socket.fileno())
            self.socket.close()
            self.socket = None

    def watch_read(self, call: Callable[[], None]) -> None:
        """Call when there is something to read."""
        if self.socket is not None:
            self._loop.watch(self.socket.fileno(), READ, call)

    def watch_write(self, call: Callable[[], None]) -> None:
        """Call when there is room to write."""
        if self.socket is not None:
            self._loop.watch(self.socket.fileno(), WRITE, call)


def connect_error(error: OSError) -> str:
    """Why there is no connection, in few words."""
    return "refused" if isinstance(error, ConnectionRefusedError) else strerror(error)


def strerror(error: OSError) -> str:
    """What the system says, begun with a small letter."""
    text = error.strerror or str(error)
    return text[:1].lower() + text[1:]
