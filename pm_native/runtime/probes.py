"""Probes of one program, made again and again: none waits, each attempt tells its result once, in words, or is cancelled.

What is the same for every attempt is found out once, and little is left to do for each: a monitor wakes up for it, and
all that it touches has gone from the caches of the CPU by then.
"""

from __future__ import annotations

import _socket
import os
import time
from errno import EAGAIN, EALREADY, EINPROGRESS

from pm_native.runtime.loop import READ, WRITE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    from pm_native.runtime.arguments import Probe
    from pm_native.runtime.loop import Loop
    from pm_native.runtime.place import Place
    from pm_native.runtime.spawn import Command
    from pm_native.runtime.target import Target

    Done = Callable[[bool, str], None]
    Address = str | tuple[Any, ...]

    class Prober(Protocol):
        """One probe of one program."""

        def begin(self) -> None:
            """Make an attempt: its result is told, at once or later, unless it is cancelled. One at a time."""

        def cancel(self) -> None:
            """End the attempt, if one is under way, without a result; nothing is left open or running."""


LOCALHOST = "127.0.0.1"
LOCAL_NAME = "localhost"  # of a file: it is there at once
_STREAM = _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK


def prober(probe: Probe, target: Target, loop: Loop, done: Done) -> Prober:
    """What makes the attempts of a probe; `done(passed, words)` gets the result of each."""
    match probe.kind:
        case "tcp":
            return Connection(tcp_address(probe.target, target), target, loop, done, "tcp")
        case "unix":
            return Connection(probe.target, target, loop, done, "unix")
        case "http":
            from pm_native.runtime.http import HttpProber  # noqa: PLC0415 - only where it is asked for

            return HttpProber(probe, target, loop, done)
        case "exec":
            from pm_native.runtime.spawn import CommandProber  # noqa: PLC0415 - as above

            return CommandProber([probe.target, *probe.arguments], target.place.run, loop, done)
        case "output":
            from pm_native.runtime.output import look  # noqa: PLC0415 - as above

            return Look(lambda: look(probe, target), done)
        case "memory":
            from pm_native.runtime.arguments import size  # noqa: PLC0415 - as above
            from pm_native.runtime.memory import judge  # noqa: PLC0415 - as above

            limit = size(probe.target)
            return Look(lambda: judge(limit, target.pid), done)
        case _:
            return Look(lambda: file_in_place(probe, target), done)


class Look:
    """A probe that knows at once."""

    __slots__ = ("_done", "_look")

    def __init__(self, look: Callable[[], tuple[bool, str]], done: Done) -> None:
        self._look = look
        self._done = done

    def begin(self) -> None:
        """Look, and tell."""
        self._done(*self._look())

    def cancel(self) -> None:
        """Nothing is under way."""


def file_in_place(probe: Probe, target: Target) -> tuple[bool, str]:
    """Whether the program sees the file, and it is young enough."""
    with target.place as place:
        return look_at_file(place.path(probe.target), probe.max_age)


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
        target: Target,
        loop: Loop,
        done: Done,
        what: str,
        *,
        keep: Callable[[], None] | None = None,
    ) -> None:
        self._address = address
        self._known = known(address)
        self._place = place = target.place
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


def strerror(error: OSError) -> str:
    """What the system says, begun with a small letter."""
    text = error.strerror or str(error)
    return text[:1].lower() + text[1:]
