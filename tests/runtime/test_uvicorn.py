"""What is loaded into programs of Python: uvicorn takes the socket that systemd holds, and cuts nobody off at its end."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import signal
import socket
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.runtime.served import PATIENCE, Programs, get, is_closed, last_answer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from tests.runtime.served import Program

PRELOAD = Path(__file__).parents[2] / "pm_native/runtime/python/sitecustomize.py"
LONG = 1000 * PATIENCE
LISTENS = "READY=1\nSTATUS=listening"
# `/slow` takes until there is a file `go`, and so does the end of `/stream`; `/environment` tells of a child.
APP = """
import asyncio, os, subprocess, sys
TEXT = [(b"content-type", b"text/plain")]
async def go():
    while not os.path.exists("go"):
        await asyncio.sleep(0.01)
async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    path, body = scope["path"], b"hello"
    if path == "/slow":
        await go()
    if path == "/environment":
        show = "import os, sys; print(*(os.environ.get(n) for n in ('PYTHONPATH', 'PM_NATIVE_LISTEN')), *sys.path)"
        body = subprocess.check_output([sys.executable, "-c", show])
    length = [] if path == "/stream" else [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": TEXT + length})
    if path == "/stream":
        await send({"type": "http.response.body", "body": b"first ", "more_body": True})
        await go()
    await send({"type": "http.response.body", "body": body})
"""


class Uvicorns(Programs):
    """Starts uvicorn."""

    def start(
        self, *words: str, timeout: int = 4000, idle: int = LONG, path: str = "", **environment: str
    ) -> Program:
        """One with these options; `path`: what the program's own PYTHONPATH has."""
        (self.folder / "app.py").write_text(APP)
        own = os.pathsep.join([str(PRELOAD.parent), *([path] if path else [])])
        command = (sys.executable, "-m", "uvicorn", "--log-level", "warning", *words, "app:app")
        return self.run(*command, timeout=timeout, idle=idle, PYTHONPATH=own, **environment)

    def started_on_port(self, *, timeout: int = LONG, idle: int = LONG) -> Program:
        """One that has been told the port alone, and listens."""
        port = str(self.listener.getsockname()[1])
        program = self.start("--port", port, timeout=timeout, idle=idle)
        assert program.hears() == LISTENS
        return program


@pytest.fixture
def uvicorns(tmp_path: Path) -> Iterator[Uvicorns]:
    made = Uvicorns(tmp_path)
    yield made
    made.end()


@pytest.mark.parametrize("words", [("--port", "PORT"), ("--fd", "3"), ("--port", "PORT", "--workers", "2")])
def test_it_takes_the_socket(uvicorns: Uvicorns, words: tuple[str, ...]) -> None:
    port = str(uvicorns.listener.getsockname()[1])
    program = uvicorns.start(*(word.replace("PORT", port) for word in words))
    assert program.hears() == LISTENS
    assert get(program.connect()) == ("hello", None)
    nodelay = uvicorns.listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert nodelay == 1  # else the kernel holds answers back that come in two parts
    program.clients.close()
    program.stop()
    assert program.ended() in {0, -signal.SIGTERM}


def test_unix_socket(uvicorns: Uvicorns, tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    program = uvicorns.start("--uds", path, PORT=path)
    assert (
        program.hears() == LISTENS
    )  # on the descriptor, whatever that is: it has made no socket of its own
    assert not (tmp_path / "socket").exists()


def test_one_that_listens_elsewhere_says_so(uvicorns: Uvicorns) -> None:
    program = uvicorns.start("--port", "0")
    port = program.address[1]
    assert program.hears() == f"STATUS=listens on 0, waiting for it to listen on {port}"


def test_program_and_what_it_starts_see_no_trace(uvicorns: Uvicorns, tmp_path: Path) -> None:
    """Its own path stays, and so does a sitecustomize that would be found without this one."""
    own = tmp_path / "own"
    own.mkdir()
    (own / "sitecustomize.py").write_text(
        "import os; os.environ['PM_NATIVE_TEST'] = 'x'; print('mine', flush=True)\n"
    )
    program = uvicorns.start("--fd", "3", path=str(own))
    assert program.line() == "mine"
    assert program.hears() == LISTENS
    body, _ = get(program.connect(), "/environment")
    said = body.splitlines()
    assert said[0] == "mine"
    assert said[1].split()[:2] == [str(own), "None"]
    assert str(PRELOAD.parent) not in said[1].split()


def test_what_is_not_the_service_itself_is_left_alone(uvicorns: Uvicorns, tmp_path: Path) -> None:
    (tmp_path / "child.py").write_text(
        "import sys, os; print(*(type(f).__name__ for f in sys.meta_path if type(f).__name__ == 'Finder'), 'end')\n"
    )
    program = uvicorns.run("sh", "-c", f"{sys.executable} child.py; true", PYTHONPATH=str(PRELOAD.parent))
    assert program.line() == "end"


def test_end_answers_what_is_under_way_and_what_comes_in_that_moment(uvicorns: Uvicorns) -> None:
    program = uvicorns.started_on_port()
    busy, slow, stream = (program.connect() for _ in range(3))
    slow.request("GET", "/slow")
    stream.request("GET", "/stream")
    begun = stream.getresponse()
    assert begun.read(6) == b"first "
    new = program.connect_raw()  # open, and its request is on its way
    get(busy)  # what the others have sent is there by then
    program.stop()
    assert last_answer(busy, kept=None) == "hello"
    new.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b"connection: close" in new.recv(4096).lower()
    (uvicorns.folder / "go").touch()
    response = slow.getresponse()
    assert (response.read(), response.getheader("Connection")) == (b"hello", "close")
    # One whose head had gone out before does not know that it was the last: its connection has one more.
    assert begun.read() == b"hello"
    assert get(stream) == ("hello", "close")
    assert program.ended() == -signal.SIGTERM


def test_end_closes_what_is_silent(uvicorns: Uvicorns) -> None:
    program = uvicorns.started_on_port(idle=200)
    silent, slow = program.connect(), program.connect()
    slow.request("GET", "/slow")
    get(silent)
    program.stop()
    assert is_closed(silent)
    (uvicorns.folder / "go").touch()
    assert slow.getresponse().read() == b"hello"
    assert program.ended() == -signal.SIGTERM


def test_new_connections_are_left_to_others(uvicorns: Uvicorns) -> None:
    ending = uvicorns.started_on_port()
    busy, slow = ending.connect(), ending.connect()
    slow.request("GET", "/slow")
    get(busy)
    ending.stop()
    last_answer(busy, kept=None)
    other = uvicorns.started_on_port()
    assert [get(other.connect()) for _ in range(20)] == [("hello", None)] * 20
    (uvicorns.folder / "go").touch()
    assert slow.getresponse().read() == b"hello"
    assert ending.ended() == -signal.SIGTERM


def test_request_that_never_ends_does_not_keep_it(uvicorns: Uvicorns) -> None:
    program = uvicorns.started_on_port(timeout=300)
    slow = program.connect()
    slow.request("GET", "/slow")
    get(program.connect())  # the other one's request is there by then
    program.stop()
    assert program.ended() == -signal.SIGTERM


def load() -> Any:
    """The file as a module; nothing happens to this process, which is no service."""
    spec = importlib.util.spec_from_file_location("preload", PRELOAD)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class WebSocket:
    """A connection of another protocol, which is told once."""

    def __init__(self) -> None:
        self.told = 0

    def shutdown(self) -> None:
        self.told += 1


def test_connection_of_websocket_is_told_at_once() -> None:
    connection = WebSocket()
    state = SimpleNamespace(connections={connection}, default_headers=[])
    config = SimpleNamespace(timeout_graceful_shutdown=None)
    server = SimpleNamespace(server_state=state, config=config, servers=[], force_exit=False)
    asyncio.run(load().drain(server, PATIENCE, 1))
    assert connection.told == 1
    assert 0 < config.timeout_graceful_shutdown < PATIENCE
