"""The connection to the bus: the one place that knows dbus-next, and guards against what is wrong with it.

dbus-next 0.2.3 takes a full socket for a dead one, waits for ever for replies of a dead bus, and spins for ever when
the bus hangs up during authentication. `_Bus` and `_PatientSocket` mend the first and the last, `Connection` the rest.
"""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import asynccontextmanager, suppress

from dbus_next.aio.message_bus import MessageBus
from dbus_next.constants import MessageFlag, MessageType
from dbus_next.errors import AuthError
from dbus_next.message import Message
from dbus_next.signature import Variant

from pm_native.bus.address import bus_endpoints, no_bus_error
from pm_native.bus.jobs import JobTable
from pm_native.bus.lasting import LastingManager
from pm_native.bus.manager import BusError, BusLostError, BusTimeoutError
from pm_native.bus.replies import REREAD, decode_error
from pm_native.bus.systemd import SYSTEMD, Call, SystemdManager
from pm_native.errors import AccessError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from pm_native.bus.address import Endpoint
    from pm_native.bus.manager import Manager, Property
    from pm_native.unit.name import Scope

MAX_IN_FLIGHT = 32  # dbus-daemon allows 128 replies in waiting per connection
CONNECT_SEC = 5.0
HELLO_SEC = 25.0
CLOSE_SEC = 1.0
_DAEMON = "org.freedesktop.DBus"
_DAEMON_PATH = "/org/freedesktop/DBus"
_MATCH_JOBS = (
    f"type='signal',sender='{SYSTEMD}',path='/org/freedesktop/systemd1',"
    f"interface='{SYSTEMD}.Manager',member='JobRemoved'"
)
_MATCH_OWNER = (
    f"type='signal',sender='{_DAEMON}',path='{_DAEMON_PATH}',interface='{_DAEMON}',"
    f"member='NameOwnerChanged',arg0='{SYSTEMD}'"
)


@asynccontextmanager
async def connect(
    scope: Scope,
    *,
    environ: Mapping[str, str] | None = None,
    command: Sequence[str] = (),
    on_loss: Callable[[BusLostError], None] | None = None,
) -> AsyncIterator[Manager]:
    """Connect to the manager of `scope`; the connection ends with the block.

    With `on_loss` a connection that is lost is replaced by another one, as `LastingManager` says. `command` is the command line that the hint of an `AccessError` repeats behind `sudo`. Raises
    `UnavailableError` where there is no systemd or no bus, and `AccessError` where the bus turns us away.
    """
    env = os.environ if environ is None else environ

    async def opened() -> SystemdManager:
        return SystemdManager(await _open(scope, bus_endpoints(scope, env, os.getuid()), command))

    async def reopened() -> SystemdManager:
        manager = await opened()
        try:
            await manager.version()  # the bus may be back before systemd is on it
        except BaseException:
            await manager.aclose()
            raise
        return manager

    first = await opened()
    manager: Manager = first if on_loss is None else LastingManager(first, reopened, on_loss=on_loss)
    try:
        yield manager
    finally:
        await manager.aclose()


async def _open(scope: Scope, endpoints: Sequence[Endpoint], command: Sequence[str]) -> Connection:
    tried: list[tuple[Endpoint, str]] = []
    for endpoint in endpoints:
        bus: _Bus | None = None
        try:
            bus = _Bus(endpoint)
            async with asyncio.timeout(HELLO_SEC):
                await bus.connect()
        except BaseException as error:
            if bus is not None:
                bus.close()
            if isinstance(error, (AuthError, PermissionError)):
                raise AccessError(
                    f"the bus at {endpoint} turned us away: {error}", hint="is it the bus of another user?"
                ) from error
            if not isinstance(error, (OSError, EOFError)):  # TimeoutError is an OSError
                raise
            tried.append((endpoint, _why(error)))
        else:
            return Connection(bus, command)
    raise no_bus_error(scope, tried)


def _why(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "no answer"
    return (error.strerror if isinstance(error, OSError) else "") or str(error) or "it hung up"


class _PatientSocket:
    """A socket for dbus-next's writer, which gives up the connection when the socket is full (its issue 153)."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def send(self, data: bytes) -> int:
        try:
            return self._sock.send(data)
        except BlockingIOError:
            return 0  # the writer comes back for the rest when the socket is writable


class _Bus(MessageBus):
    """dbus-next's connection, to a socket that we chose and opened."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        super().__init__("unix:path=/")  # not looked at: _setup_socket is ours
        self._writer.sock = _PatientSocket(self._sock)

    def _setup_socket(self) -> None:
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._sock.settimeout(CONNECT_SEC)
            self._sock.connect(self._endpoint.path)
            self._sock.setblocking(False)
        except OSError:
            self._sock.close()
            raise
        self._stream = self._sock.makefile("rwb")
        self._fd = self._sock.fileno()

    async def _auth_readline(self) -> str:
        line = b""
        while not line.endswith(b"\r\n"):
            # One byte at a time: what follows the line belongs to the message reader.
            try:
                byte = self._sock.recv(1)  # the rest of a line is there when its first byte is
            except BlockingIOError:
                byte = await self._loop.sock_recv(self._sock, 1)
            if not byte:
                raise EOFError("the bus hung up during authentication")
            line += byte
        return line[:-2].decode("ascii", "replace")

    def close(self) -> None:
        """Give the descriptors back; dbus-next leaves them to the garbage collector."""
        self._loop.remove_reader(self._fd)
        self._loop.remove_writer(self._fd)
        with suppress(OSError):  # what was still to be sent, to a peer that is gone
            self._stream.close()
        self._sock.close()


class Connection:
    """Calls with a limit in time and in number, and one typed error for all who wait when the bus goes away."""

    def __init__(self, bus: _Bus, command: Sequence[str] = ()) -> None:
        self.jobs = JobTable()
        self._bus = bus
        self._command = tuple(command)
        self._in_flight = asyncio.Semaphore(MAX_IN_FLIGHT)
        self._listening = asyncio.Lock()
        self._owner = ""  # the unique name of systemd, once we listen
        self._left: set[str] = set()  # the unique names under which it was here before
        self._lost: BusLostError | None = None
        self._closed = False
        bus.add_message_handler(self._on_message)
        self._watch = asyncio.create_task(self._watch_bus())

    @property
    def closed(self) -> bool:
        """Whether nothing more can be asked."""
        return self._lost is not None or not self._bus.connected

    async def call(self, call: Call) -> list[Property]:
        """Ask, and return the body of the reply. Raises what `Manager` says."""
        try:
            async with asyncio.timeout(call.timeout_sec), self._in_flight:
                reply = await self._send(call)
        except TimeoutError:
            raise BusTimeoutError(
                f"systemd did not answer {call.member} {call.unit}".rstrip()
                + f" within {call.timeout_sec:g} s",
                hint="it may be busy or stopped, and may still act on it; see `systemctl list-jobs`",
            ) from None
        if reply.message_type is MessageType.ERROR:
            text = reply.body[0] if reply.body and isinstance(reply.body[0], str) else ""
            raise decode_error(reply.error_name, text, unit=call.unit, command=self._command)
        body = _opened(reply.body)
        return body if isinstance(body, list) else [body]

    async def _send(self, call: Call) -> Message:
        # No await between this check and the call: dbus-next waits for ever on a bus that died before.
        if self.closed:
            raise self._lost_error()
        flags = MessageFlag.ALLOW_INTERACTIVE_AUTHORIZATION if call.changes else MessageFlag.NONE
        message = Message(
            destination=call.destination,
            path=call.path,
            interface=call.interface,
            member=call.member,
            signature=call.signature,
            body=list(call.body),
            flags=flags,
        )
        try:
            reply = await self._bus.call(message)
        except (OSError, EOFError) as error:
            self._lose(f"the connection to the bus broke: {_why(error)}")
            raise self._lost_error() from error
        if reply is None:  # how dbus-next reports an end without a reason
            self._lose("the connection to the bus was closed")
            raise self._lost_error()
        return reply

    async def listen(self) -> None:
        """Hear of the end of jobs from now on."""
        async with self._listening:
            if self._owner:
                return
            daemon = [
                *(("AddMatch", rule) for rule in (_MATCH_JOBS, _MATCH_OWNER)),
                ("GetNameOwner", SYSTEMD),
            ]
            calls = [
                Call(member, "s", (word,), destination=_DAEMON, path=_DAEMON_PATH, interface=_DAEMON)
                for member, word in daemon
            ]
            # At once: each answer that is waited for is a turn of the daemon's, on a busy host.
            (*_, owner), _ = await asyncio.gather(asyncio.gather(*map(self.call, calls)), self._subscribe())
            self._owner = str(owner[0])
            self._check_owner()

    async def _subscribe(self) -> None:
        try:
            await self.call(Call("Subscribe"))
        except BusError as error:
            # A bus that was started again gives unique names anew: ours may be that of a subscriber of before.
            if error.name != f"{SYSTEMD}.AlreadySubscribed":
                raise

    def _on_message(self, message: Message) -> None:
        if message.message_type is not MessageType.SIGNAL:
            return
        # Any client may send us a signal of that name; the daemon vouches for the sender.
        if message.member == "JobRemoved" and message.sender == self._owner and message.signature == "uoss":
            self.jobs.removed(message.body[1], message.body[3])
        elif (
            message.member == "NameOwnerChanged" and message.sender == _DAEMON and message.body[0] == SYSTEMD
        ):
            self._left.add(message.body[1])
            self._check_owner()

    def _check_owner(self) -> None:
        if self._owner and self._owner in self._left:  # it may come, too: after the bus itself started again
            self._lose("systemd left the bus (it was executed again, or dropped off)")

    async def _watch_bus(self) -> None:
        why = "it was closed"
        try:
            await self._bus.wait_for_disconnect()  # type: ignore[no-untyped-call]
        except Exception as error:  # noqa: BLE001 -- dbus-next hands over whatever its reader met
            why = _why(error)
        self._lose(f"the connection to the bus is gone: {why}")

    def _lose(self, why: str) -> None:
        if self._lost is None:
            self._lost = BusLostError(why, hint=REREAD)
            self.jobs.lose(self._lost)

    def _lost_error(self) -> BusLostError:
        self._lose("the connection to the bus is gone")
        lost = self._lost or BusLostError("the connection to the bus is gone")
        return BusLostError(lost.message, hint=lost.hint)

    async def aclose(self) -> None:
        """Hang up. Calls in flight and waits for jobs end in `BusLostError`."""
        if self._closed:
            return
        self._closed = True
        self._lose("the connection to the bus was closed")
        if self._bus.connected:
            self._bus.disconnect()  # type: ignore[no-untyped-call]
        try:
            async with asyncio.timeout(CLOSE_SEC):
                await asyncio.wait([self._watch])
        except TimeoutError:
            self._watch.cancel()
        finally:
            self._bus.close()


def _opened(value: object) -> Property:
    """A value with its variants taken out."""
    if isinstance(value, Variant):
        return _opened(value.value)
    if isinstance(value, list):
        return [_opened(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _opened(item) for key, item in value.items()}
    if isinstance(value, (bool, int, float, str, bytes)):
        return value
    raise TypeError(f"no D-Bus value of ours: {value!r}")
