"""Connecting to a program: to a host and port, or to a Unix socket, from where the program is."""

from __future__ import annotations

import _socket
import os
from errno import EAGAIN, EALREADY, EINPROGRESS

from pm_native.runtime.attempt import strerror
from pm_native.runtime.loop import READ, WRITE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pm_native.runtime.attempt import Done, Place
    from pm_native.runtime.loop import Loop
    from pm_native.runtime.spawn import Command

    Address = str | tuple[Any, ...]

LOCALHOST = "127.0.0.1"
LOCAL_NAME = "localhost"  # of a file: it is there at once
_STREAM = _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK


def tcp_address(text: str, port: int) -> tuple[str, int]:
    """The host and port of `HOST:PORT` or `[HOST]:PORT`; "" is this port of the program's own."""
    if not text:
        return LOCALHOST, port
    host, _, number = text.rpartition(":")
    return host.strip("[]") or LOCALHOST, int(number)


def family_of(host: str) -> int:
    """The family of a literal address; 0: it is a name."""
    for family in (_socket.AF_INET, _socket.AF_INET6):
        try:
            _socket.inet_pton(family, host)
        except OSError:
            continue
        return family
    return 0


def known(address: tuple[str, int] | str) -> tuple[int, Address] | None:
    """The family and address of what is always the same: a literal host, an abstract socket."""
    if isinstance(address, str):
        return (_socket.AF_UNIX, f"\0{address[1:]}") if address.startswith("@") else None
    family = family_of(address[0])
    return (family, address) if family else None


def resolved(address: tuple[str, int] | str, place: Place) -> tuple[int, Address]:
    """The family and address by now of what is not: a path, a host's name. Names load half a MiB of libraries."""
    if isinstance(address, str):
        return _socket.AF_UNIX, place.path(address)
    found = _socket.getaddrinfo(*address, 0, _socket.SOCK_STREAM)
    return found[0][0], found[0][4]


class Connection:
    """Connects to `address`, a host and port or a path of the program's (`@name` is abstract), and says how that went.

    `keep` gets the socket instead.
    """

    __slots__ = (
        "_address",
        "_done",
        "_known",
        "_lookup",
        "_loop",
        "_name",
        "_place",
        "_there",
        "_what",
        "keep",
        "socket",
    )

    def __init__(  # noqa: PLR0913 - as a prober is made, and two of its own
        self,
        address: tuple[str, int] | str,
        place: Place,
        loop: Loop,
        done: Done,
        what: str,
        *,
        keep: Callable[[], None] | None = None,
    ) -> None:
        self._address = address
        self._known = known(address)
        self._place = place
        is_name = self._known is None and not isinstance(address, str) and address[0] != LOCAL_NAME
        self._name = address if is_name and place.is_shared else None
        self._done = done
        self._loop = loop
        self.keep = keep
        self._what = f"{what} {address if isinstance(address, str) else address[1]}"
        self.socket: _socket.socket | None = None
        self._there: Address = ""
        self._lookup: Command | None = None

    def begin(self) -> None:
        """Begin to connect; it may be done at once."""
        if self._name is not None:
            self._look_up(*self._name)
        else:
            self._open(self._known)

    def _look_up(self, host: str, port: int) -> None:
        """Have another process ask for the address of a name, since that may take its time."""
        from pm_native.runtime.spawn import Command  # noqa: PLC0415 - only where it is asked for

        def told(passed: bool, said: str) -> None:  # noqa: FBT001 - as `Done` has it
            self._lookup = None
            if passed and said:
                self._open(known((said.split(maxsplit=1)[0], port)))
            else:
                self._end(f"{host}: name or service not known")

        lookup = Command(["getent", "ahosts", host], self._place.ask, self._loop, told, whole=True)
        if lookup.is_running:
            self._lookup = lookup

    def _open(self, there: tuple[int, Address] | None) -> None:
        try:
            if there is not None and not self._place.is_shared:
                code = self._connect(*there)  # nothing to find out, and nowhere to go for it
            else:
                with self._place as place:
                    code = self._connect(*(there or resolved(self._address, place)))
        except OSError as error:
            self._end(connect_error(error))
        else:
            self._went(code)

    def _connect(self, family: int, address: Address) -> int:
        self.socket = channel = _socket.socket(family, _STREAM)
        self._there = address
        code = channel.connect_ex(address)
        # On this host the answer is there by now, and need not be waited for.
        return channel.connect_ex(address) if code == EINPROGRESS else code

    def _look_again(self) -> None:
        if self.socket is not None:
            self._loop.forget(self.socket.fileno())
            self._went(self.socket.connect_ex(self._there))

    def _went(self, code: int) -> None:
        """Go on by what connect(2) says."""
        if self.socket is None:
            return
        if code == EALREADY:
            self._loop.watch(self.socket.fileno(), WRITE, self._look_again)
        elif code == EAGAIN:  # a Unix socket has no half-open connections: a full queue shows at once
            self._end("the queue is full")
        elif code:
            self._end(connect_error(OSError(code, os.strerror(code))))
        elif self.keep is not None:
            self.keep()
        else:
            self.socket.close()
            self.socket = None
            self._done(True, self._what)

    def _end(self, problem: str) -> None:
        self.cancel()
        self._done(not problem, f"{self._what} {problem}" if problem else self._what)

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
