"""The broker of one project: the connections around the router, on a socket that systemd holds."""

from __future__ import annotations

import asyncio
import logging
import socket
from contextlib import suppress
from typing import cast

from pm_native.runtime.ipc.errors import AccessDenied, Busy, IpcError, TooBig
from pm_native.runtime.ipc.frames import Splitter, frame, read_little
from pm_native.runtime.ipc.identity import Unidentified
from pm_native.runtime.ipc.peers import Peer
from pm_native.runtime.ipc.routing import Router

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pm_native.runtime.ipc.access import Access, Rights
    from pm_native.runtime.ipc.identity import Identifier, Identity
    from pm_native.runtime.ipc.limits import Limits

log = logging.getLogger(__name__)

# What is given to a socket at once: the kernel takes some 200 KiB, and the rest of it stays in memory, uncounted
# until then.
WRITE_SIZE = 64 * 1024
# Deadlines and unfinished frames are looked at no more often than this.
TICK_SEC = 0.005
# Of many frames at once, so many are sent on before the next are read: receivers work while the broker does.
BATCH = 32
# So many connections have the kernel's usual buffer (208 KiB), all others this one, which the kernel doubles.
ROOMY, NARROW_SIZE = 256, 16 * 1024
DRAIN_SEC = 1.0
REFUSED_SEC, REFUSED_MAX = 1.0, 64


class Connection(asyncio.Protocol, Peer):
    """One client."""

    __slots__ = (
        "_broker",
        "_held",
        "_is_ending",
        "_partial_since",
        "_splitter",
        "_transport",
        "is_gone",
        "router",
    )

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self.router = broker.router
        self._splitter = Splitter(broker.limits.frame)
        self._held = 0  # bytes that the outbox counts for the transport and the unfinished frame
        self._partial_since = 0.0
        self._is_ending = False  # it sends no more, and waits for answers
        self.is_gone = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Find out who it is; who may not connect is told so, and is let go."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one without being of the class
        self._transport.set_write_buffer_limits(high=0)
        read_little(self._transport)
        try:
            admitted = self._broker.admit(transport.get_extra_info("socket"))
        except (IpcError, Unidentified) as error:
            log.warning("%s", error)
            name = error.name if isinstance(error, IpcError) else AccessDenied.name
            message = error.args[0] if error.args else ""
            self._transport.write(frame({"op": "error", "error": name, "message": message}))
            self._broker.refuse(self._transport)
            return
        identity, rights = admitted
        Peer.__init__(self, self.router, self._broker.next_number(), identity, rights)
        self.is_gone = False
        self._broker.add(self)

    def narrow(self) -> None:
        """Have the kernel hold less that it does not read: it counts as the broker's own memory."""
        peer = self._transport.get_extra_info("socket")
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, NARROW_SIZE)

    def data_received(self, data: bytes) -> None:
        """Route each frame that is whole, then send what came of all of them."""
        if self.is_gone:
            return
        receive = self.router.receive
        try:
            frames = self._splitter.feed(data)
        except TooBig as error:
            self.push(frame({"op": "error", "error": error.name, "message": error.args[0]}))
            self._broker.flush()
            self.drop("it sent a frame that is too big")
            return
        for number, raw in enumerate(frames, 1):
            if raw:
                receive(self, raw)
            if self.is_gone:
                break  # type: ignore[unreachable]  # what it sent may have ended it
            if not number % BATCH or self.router.is_hurried:
                self._broker.flush()
        if self._splitter.waiting or self._held:
            self._count_partial(is_new=bool(frames))
        self._broker.flush()

    def eof_received(self) -> bool:
        """It sends no more: it gets the answers that it waits for, and then the connection ends."""
        if self.is_gone or not self.in_flight:
            return False
        self.router.stop_serving(self)
        self._is_ending = True
        return True

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """The other end is gone."""
        if not self.is_gone:
            self._leave()
            self._broker.flush()

    def pause_writing(self) -> None:
        """The socket takes no more: what comes now is queued, or dropped."""
        self.is_paused = True

    def resume_writing(self) -> None:
        """The socket is empty again."""
        if not self.is_gone:
            self.is_paused = False
            self._count_held()
            self.send_queued()
            if self._is_ending:
                self._end_if_answered()

    def send_queued(self) -> None:
        """Send of the queue what the socket takes."""
        while not self.is_paused and (frames := self.outbox.take(WRITE_SIZE)):
            self._write(frames)

    def send(self) -> None:
        """Send what the router has put out; the part that the socket does not take at once is queued."""
        frames, self.out = self.out, []
        if self.is_gone:
            return
        size = sum(map(len, frames))
        if size <= WRITE_SIZE:
            self._write(frames)
            if self._is_ending:
                self._end_if_answered()
            return
        for number, data in enumerate(frames):
            if self.is_paused:
                for left in frames[number:]:
                    self.push(left)
                return
            self._write([data])

    def _end_if_answered(self) -> None:
        if not self.in_flight and not self.outbox.size:
            self._transport.close()

    def drop(self, reason: str) -> None:
        """End the connection at once, without what is queued for it."""
        if not self.is_gone:
            log.warning("%s (pid %d) is disconnected: %s", self.identity.unit, self.identity.pid, reason)
            self._leave()
            self._transport.close() if not self.is_paused else self._transport.abort()

    def _leave(self) -> None:
        self.is_gone = True
        self.out = []
        self.outbox.close()
        self._broker.remove(self)

    def _write(self, frames: list[bytes]) -> None:
        data = b"".join(frames) if len(frames) > 1 else frames[0]
        if self._splitter.terminator == b"\0":
            # No frame has a newline but at its end: JSON writes it as \n within strings.
            data = data.replace(b"\n", b"\0")
        self._transport.write(data)
        if self.is_paused:
            self._count_held()

    def _count_partial(self, *, is_new: bool) -> None:
        now = self.router.clock()
        if not self._splitter.waiting:
            self._partial_since = 0.0
        elif is_new or not self._partial_since:
            self._partial_since = now
            self._broker.look_at(now + self.router.limits.partial_timeout)
        self._count_held()

    def _count_held(self) -> None:
        held = self._splitter.waiting
        if self.is_paused:
            held += self._transport.get_write_buffer_size()
        self.outbox.hold(held - self._held)
        self._held = held
        if self.router.pool.is_over:
            self._broker.relieve()

    def is_late(self, now: float) -> bool:
        """Whether it has begun a frame too long ago."""
        return bool(self._partial_since) and now >= self._partial_since + self.router.limits.partial_timeout


class Broker:
    """All connections of one project. `identifier` tells who they are, `access` what they may do."""

    def __init__(self, access: Access, identifier: Identifier, limits: Limits, version: str = "") -> None:
        self.access = access
        self.identifier = identifier
        self.limits = limits
        self.router = Router(limits, version=version)
        self.connections: dict[Connection, None] = {}
        self._units: dict[str, int] = {}
        self._serial = 0
        self._refused = 0
        self._server: asyncio.AbstractServer | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._wake = float("inf")
        self._emptied: asyncio.Event | None = None

    async def listen(self, listener: socket.socket) -> None:
        """Accept connections of a listening socket."""
        serve: Callable[..., Awaitable[asyncio.Server]] = asyncio.get_running_loop().create_unix_server
        # A loop that can take away the path of the socket that it closes does, if not told; this path is systemd's.
        parameters = getattr(serve, "__code__", None)  # inspect would say it, and is large
        can_take_path = parameters is not None and "cleanup_socket" in parameters.co_varnames
        keep_path = {"cleanup_socket": False} if can_take_path else {}
        self._server = await serve(
            lambda: Connection(self), sock=listener, backlog=self.limits.connections, **keep_path
        )

    async def close(self) -> None:
        """Take no more connections, answer what is pending, and wait a moment for clients to read it.

        The listening socket itself stays open in systemd: who connects meanwhile is served by the next broker.
        """
        if self._server is not None:
            self._server.close()
        self.router.close()
        self.flush()
        for connection in list(self.connections):
            connection._transport.close()  # noqa: SLF001 - of this file  # sends what it still holds
        self._emptied = asyncio.Event()
        if not self.connections:
            return
        with suppress(TimeoutError):
            await asyncio.wait_for(self._emptied.wait(), DRAIN_SEC)
        for connection in list(self.connections):
            connection.drop("the broker goes down")

    def admit(self, peer: socket.socket) -> tuple[Identity, Rights]:
        """Who a new peer is, and what it may do; AccessDenied, Busy or Unidentified where it may not connect."""
        if len(self.connections) >= self.limits.connections:
            raise Busy(f"there are {self.limits.connections} connections, and no more are taken")
        identity = self.identifier.identify(peer)
        rights = self.access.rights(identity)
        who = f"pid {identity.pid} (uid {identity.uid}, {identity.unit or 'no unit'})"
        if rights is None:
            raise AccessDenied(f"{who} is not of this project, and no rule names its user")
        if self._units.get(identity.unit, 0) >= self.limits.unit_connections:
            raise Busy(f"{who}: its unit has {self.limits.unit_connections} connections already")
        return identity, rights

    def refuse(self, transport: asyncio.Transport) -> None:
        """End a connection that was not admitted: at once, or when the peer has had the time to read why.

        Closed with something unread, a socket takes what it was told from the peer.
        """
        if self._refused >= REFUSED_MAX:
            transport.close()
            return
        self._refused += 1
        transport.write_eof()
        asyncio.get_running_loop().call_later(REFUSED_SEC, self._let_go, transport)

    def _let_go(self, transport: asyncio.Transport) -> None:
        self._refused -= 1
        transport.abort()

    def next_number(self) -> int:
        """A number for a connection, never used before."""
        self._serial += 1
        return self._serial

    def add(self, connection: Connection) -> None:
        """A connection was admitted."""
        unit = connection.identity.unit
        if len(self.connections) >= ROOMY:
            connection.narrow()
        self.connections[connection] = None
        self._units[unit] = self._units.get(unit, 0) + 1
        self.router.join(connection)
        self.flush()

    def remove(self, connection: Connection) -> None:
        """A connection has gone."""
        unit = connection.identity.unit
        del self.connections[connection]
        if self._emptied is not None and not self.connections:
            self._emptied.set()
        self._units[unit] -= 1
        if not self._units[unit]:
            del self._units[unit]
        self.router.leave(connection)

    def flush(self) -> None:
        """Send all that the router has put out, one write for each connection."""
        router = self.router
        router.is_hurried = False
        while router.dirty:
            dirty, router.dirty = router.dirty, []
            for connection in dirty:
                connection.send()  # type: ignore[attr-defined]  # a broker's peers are connections
        if router.deadline < self._wake:
            self.look_at(router.deadline)
        if router.pool.is_over:
            self.relieve()

    def relieve(self) -> None:
        """Disconnect those who hold the most, until all together hold what they may."""
        pool = self.router.pool
        while pool.is_over and self.connections:
            largest = max(self.connections, key=lambda item: item.outbox.size)
            if not largest.outbox.size:
                return
            largest.drop("it holds the most of the memory for queues, and there is no more")

    def look_at(self, when: float) -> None:
        """Look at deadlines and unfinished frames at this time of the router's clock, or earlier."""
        if when >= self._wake:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._wake = when
        delay = max(when - self.router.clock(), TICK_SEC)
        self._timer = asyncio.get_running_loop().call_later(delay, self._tick)

    def _tick(self) -> None:
        self._wake = float("inf")
        self._timer = None
        now = self.router.clock()
        self.router.expire()
        next_partial = float("inf")
        for connection in [item for item in self.connections if item._partial_since]:  # noqa: SLF001 - of this file
            if connection.is_late(now):
                connection.drop("a frame that it began does not end")
            else:
                next_partial = min(next_partial, connection._partial_since + self.limits.partial_timeout)  # noqa: SLF001
        self.flush()
        self.look_at(min(next_partial, self.router.deadline))
