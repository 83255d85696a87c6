"""Loaded into programs of Python before their own code (PYTHONPATH): what runs in uvicorn needs no change.

- The server that listens on the port (or path) in PORT takes file descriptor 3 instead, of LISTEN_FDS.
- Once it listens, READY=1 goes to systemd, if PM_NATIVE_LISTEN says that it waits for that.
- At its end uvicorn closes each connection that has no request under way, also one whose request comes in this very
  moment. Here it first accepts no more, has further answers say `Connection: close`, and closes only what is silent
  for a second.

PM_NATIVE_LISTEN holds words, as for Node: `stop=SIGTERM timeout=10000 backlog=4096 notify=4`, and `idle=1000`. The program and whatever it starts see
no trace of this file. It runs in any Python that uvicorn runs in, and loads nothing until uvicorn is there.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

DESCRIPTOR = 3
CLOSE = (b"connection", b"close")
SETTLE_SEC = 0.1  # what was accepted is a connection by then
LOOK_SEC = 0.02


def leave_no_trace() -> None:
    """Take this folder out of the program's path, and load the `sitecustomize` that would have been found without it."""
    from importlib.machinery import PathFinder  # noqa: PLC0415 - loaded by then
    from importlib.util import module_from_spec  # noqa: PLC0415 - as above

    folder = __file__.rpartition("/")[0]
    sys.path[:] = [entry for entry in sys.path if entry != folder]
    entries = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry != folder]
    if entries:
        os.environ["PYTHONPATH"] = os.pathsep.join(entries)
    else:
        os.environ.pop("PYTHONPATH", None)
    spec = PathFinder.find_spec("sitecustomize")
    if spec is not None and spec.loader is not None:
        sys.modules["sitecustomize"] = module_from_spec(spec)
        spec.loader.exec_module(sys.modules["sitecustomize"])


class Finder:
    """Has modules of uvicorn changed as soon as they are loaded."""

    def __init__(self, service: Service) -> None:
        self._changes = {"uvicorn.config": service.change_config, "uvicorn.server": service.change_server}

    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        """The module as anybody else finds it, with the change to come after it."""
        change = self._changes.pop(name, None)
        if change is None:
            return None
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(name, path, target)
            if spec is not None and spec.loader is not None:
                spec.loader.exec_module = followed(spec.loader.exec_module, change)  # type: ignore[method-assign]
                return spec
        return None


def followed(load: Callable[[ModuleType], None], change: Callable[[ModuleType], None]) -> Any:
    """Loads a module, and changes it."""

    def exec_module(module: ModuleType) -> None:
        load(module)
        change(module)

    return exec_module


class Service:
    """What systemd has said of the socket, and what is done about it in uvicorn."""

    def __init__(self, words: str, address: str) -> None:
        options = dict(word.split("=", 1) for word in words.split())
        self._address = address
        self._timeout = int(options["timeout"]) / 1000
        self._idle = int(options.get("idle", "1000")) / 1000  # what a silent connection has, at the end
        self._notify = int(options.get("notify", "-1"))

    def change_config(self, module: ModuleType) -> None:
        """The address of the socket becomes its descriptor."""
        config = module.Config
        original, bind = config.__init__, config.bind_socket

        def init(this: Any, *args: Any, **options: Any) -> None:
            original(this, *args, **options)
            if this.fd is None and self._address == str(this.port if this.uds is None else this.uds):
                this.fd, this.uds = DESCRIPTOR, None
            if this.fd == DESCRIPTOR:
                hasten(DESCRIPTOR)

        def bind_socket(this: Any) -> Any:  # the one that its workers share: they are the ones that listen
            listener = bind(this)
            self._tell(this)
            return listener

        config.__init__, config.bind_socket = init, bind_socket

    def change_server(self, module: ModuleType) -> None:
        """A server tells when it listens, and drains before it shuts down."""
        server = module.Server
        startup, shutdown = server.startup, server.shutdown

        async def start(this: Any, *args: Any, **options: Any) -> None:
            await startup(this, *args, **options)
            if this.started:
                self._tell(this.config)

        async def shut_down(this: Any, *args: Any, **options: Any) -> None:
            await drain(this, self._timeout, self._idle)
            await shutdown(this, *args, **options)

        server.startup, server.shutdown = start, shut_down

    def _tell(self, config: Any) -> None:
        if self._notify < 0:
            return
        message = "READY=1\nSTATUS=listening"
        if config.fd != DESCRIPTOR:
            where = config.uds or config.port
            message = f"STATUS=listens on {where}, waiting for it to listen on {self._address}"
        os.write(self._notify, message.encode())


async def drain(server: Any, patience: float, idle: float) -> None:
    """Let requests that are under way, or may be on their way, be answered: a connection may be silent for `idle` seconds.

    What is left is the server's to end. It has its own way for that, within `timeout_graceful_shutdown`, and gets what is left of that, or of `patience`
    (seconds) where it is not set.
    """
    import asyncio  # noqa: PLC0415 - loaded by then

    loop = asyncio.get_running_loop()
    state, config = server.server_state, server.config
    own = getattr(config, "timeout_graceful_shutdown", None)
    end = loop.time() + (patience if own is None else own)
    settled = loop.time() + SETTLE_SEC
    for listener in server.servers:
        stop_accepting(loop, listener)
    say_close(state)
    silent_since: dict[Any, float] = {}
    told: set[Any] = set()
    while not server.force_exit and (now := loop.time()) < end:
        for connection in [*state.connections]:
            if not hasattr(connection, "cycle"):  # of WebSocket, which has a word for the end
                if connection not in told:
                    told.add(connection)
                    connection.shutdown()
            elif is_silent(connection):
                if now - silent_since.setdefault(connection, now) >= idle:
                    connection.shutdown()
            else:
                silent_since.pop(connection, None)
        if now >= settled and not any(hasattr(connection, "cycle") for connection in state.connections):
            break
        await asyncio.sleep(LOOK_SEC)
    config.timeout_graceful_shutdown = max(0.0, end - loop.time())


def hasten(descriptor: int) -> None:
    """Have each connection send at once: uvicorn takes any descriptor for a Unix socket, where that needs no word.

    Else the kernel holds back the body of an answer until its head is acknowledged, up to 40 ms.
    """
    import socket  # noqa: PLC0415 - loaded by then

    with socket.socket(fileno=os.dup(descriptor)) as listener:
        if listener.family != socket.AF_UNIX:
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def stop_accepting(loop: Any, listener: Any) -> None:
    """Leave new connections to others. The server of asyncio must not be closed yet: it would drop what it has accepted."""
    for one in listener.sockets:
        try:
            has_stopped = loop.remove_reader(one.fileno())
        except RuntimeError:
            has_stopped = False
        if not has_stopped:  # uvloop
            listener.close()
            return


def is_silent(connection: Any) -> bool:
    """Whether no request is under way; the next answer says that it is the last, if it has not begun."""
    cycle = connection.cycle
    if hasattr(connection, "default_headers"):  # of uvicorn before 0.18
        say_close(connection)
    if cycle is None or cycle.response_complete:
        return True
    if not cycle.response_started:
        say_close(cycle)
    return False


def say_close(sender: Any) -> None:
    """Have it send `Connection: close` from now on."""
    if CLOSE not in sender.default_headers:
        sender.default_headers = [*sender.default_headers, CLOSE]


if __name__ == "sitecustomize":
    words = os.environ.pop("PM_NATIVE_LISTEN", "")
    leave_no_trace()
    if words and os.environ.get("LISTEN_PID") == str(os.getpid()):
        sys.meta_path.insert(0, Finder(Service(words, os.environ.get("PORT", ""))))
