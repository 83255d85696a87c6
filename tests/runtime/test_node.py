"""What is loaded into programs of Node: the socket that systemd holds, and an end that cuts nobody off.

Each test starts Node as systemd would: the listener as file descriptor 3, LISTEN_PID its own process id.
"""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import socket
import ssl
import subprocess
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import pytest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

PRELOAD = Path(__file__).parents[2] / "pm_native/runtime/node.cjs"
PATIENCE = 60  # seconds that only what has failed takes
# Its slow answer takes until there is a file `go`.
SERVER = """
const fs = require('fs');
const http = require('http');
const app = (request, response) => {
  if (request.url === '/slow') {
    const wait = setInterval(() => fs.existsSync('go') && (clearInterval(wait), response.end('slow')), 10);
    return wait;
  }
  if (request.url === '/options') return response.end(JSON.stringify([process.env.NODE_OPTIONS ?? null]));
  response.end('hello');
};
http.createServer(app).listen(process.env.PORT, () => console.log('up'));
"""


@dataclass
class Node:
    """A program of Node under systemd's terms."""

    process: subprocess.Popen[str]
    address: tuple[str, int]
    notified: socket.socket
    clients: ExitStack

    def line(self) -> str:
        """The next line that it prints."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def connect(self) -> http.client.HTTPConnection:
        """A client that keeps its connection."""
        client = self.clients.enter_context(
            closing(http.client.HTTPConnection(*self.address, timeout=PATIENCE))
        )
        client.connect()
        return client

    def connect_raw(self) -> socket.socket:
        """A client that speaks for itself."""
        return self.clients.enter_context(socket.create_connection(self.address, timeout=PATIENCE))

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Send the stop signal."""
        self.process.send_signal(number)

    def ended(self) -> int:
        """Its exit status, once it has one."""
        return self.process.wait(timeout=PATIENCE)

    def told(self) -> list[str]:
        """The notifications so far."""
        found = []
        while True:
            try:
                found.append(self.notified.recv(4096).decode())
            except BlockingIOError:
                return found


class Nodes:
    """Starts programs of Node, and ends them with the test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.started: list[Node] = []
        self.listener = socket.create_server(("127.0.0.1", 0))

    def start(
        self, text: str, *, name: str = "server.cjs", port: object = None, stop: str = "SIGTERM"
    ) -> Node:
        """A program of this text; `port`: what PORT says, the listener's own where nothing is given."""
        (self.folder / name).write_text(text)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        ours.setblocking(False)
        address = self.listener.getsockname()
        script = 'exec 3<&"$1" 4<&"$2"; LISTEN_PID=$$ exec node "$3"'
        process = subprocess.Popen(
            ["bash", "-c", script, "sh", str(self.listener.fileno()), str(theirs.fileno()), name],
            cwd=self.folder,
            pass_fds=(self.listener.fileno(), theirs.fileno()),
            stdout=subprocess.PIPE,
            text=True,
            env={
                "PATH": os.environ["PATH"],
                "PORT": str(port or address[1]),
                "LISTEN_FDS": "1",
                "NODE_OPTIONS": f"--require {PRELOAD} --no-deprecation",
                "PM_NATIVE_NODE": f"stop={stop} timeout=4000 backlog=64 notify=4",
            },
        )
        theirs.close()
        node = Node(process, address, ours, ExitStack())
        self.started.append(node)
        return node

    def end(self) -> None:
        self.listener.close()
        for node in self.started:
            node.process.kill()
            node.process.wait()
            assert node.process.stdout is not None
            node.process.stdout.close()
            node.notified.close()
            node.clients.close()


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Nodes]:
    if shutil.which("node") is None:
        pytest.skip("there is no node on this host")
    made = Nodes(tmp_path)
    yield made
    made.end()


def get(client: http.client.HTTPConnection, path: str = "/") -> tuple[str, str | None]:
    """What is answered, and what the answer says of the connection."""
    client.request("GET", path)
    response = client.getresponse()
    return response.read().decode(), response.getheader("Connection")


def is_closed(client: http.client.HTTPConnection) -> bool:
    """Whether the server closes the connection, sooner or later."""
    assert client.sock is not None
    return client.sock.recv(1) == b""


def last_answer(client: http.client.HTTPConnection) -> str:
    """The answer of a program that was sent its signal, once that is there: the last one of this connection."""
    while (answer := get(client))[1] == "keep-alive":
        pass
    assert answer[1] == "close"
    return answer[0]


FORMS = {
    "port": "http.createServer(app).listen(process.env.PORT, up)",
    "number": "http.createServer(app).listen(Number(process.env.PORT), up)",
    "host": "http.createServer(app).listen(process.env.PORT, '0.0.0.0', 511, up)",
    "options": "http.createServer(app).listen({ port: process.env.PORT, host: 'localhost' }, up)",
    "descriptor": "http.createServer(app).listen({ fd: 3 }, up)",
    "no callback": "http.createServer(app).listen(process.env.PORT).on('listening', up)",
    "another port first": "http.createServer(app).listen(0, () =>"
    " http.createServer(app).listen(process.env.PORT, up))",
}


@pytest.mark.parametrize("form", FORMS)
def test_listen_takes_the_socket(nodes: Nodes, form: str) -> None:
    node = nodes.start(
        "const http = require('http'); const up = () => console.log('up');\n"
        f"const app = (request, response) => response.end('hello');\n{FORMS[form]};\n"
    )
    assert node.line() == "up"
    assert get(node.connect()) == ("hello", "keep-alive")
    expected = ["READY=1\nSTATUS=listening"]
    if form == "another port first":
        expected.insert(0, f"STATUS=listens on 0, waiting for it to listen on {node.address[1]}")
    assert node.told() == expected
    node.clients.close()
    node.stop()
    assert node.ended() == -signal.SIGTERM


def test_modules_of_the_newer_kind(nodes: Nodes) -> None:
    node = nodes.start(
        "import { createServer } from 'node:http';\n"
        "await new Promise((done) => createServer((_, r) => r.end('esm')).listen(process.env.PORT, done));\n"
        "console.log('up');\n",
        name="server.mjs",
    )
    assert node.line() == "up"
    assert get(node.connect()) == ("esm", "keep-alive")


def test_what_the_program_starts_is_not_the_service(nodes: Nodes) -> None:
    node = nodes.start(
        "const { execFileSync } = require('child_process');\n"
        "const tell = 'console.log(process.env.NODE_OPTIONS, process.env.PM_NATIVE_NODE)';\n"
        "console.log(String(execFileSync(process.execPath, ['-e', tell])));\n"
    )
    assert node.line() == "--no-deprecation undefined"


def test_two_listen_at_the_same_time(nodes: Nodes) -> None:
    text = SERVER.replace("'hello'", "String(process.pid)")
    both = [nodes.start(text), nodes.start(text)]
    assert [node.line() for node in both] == ["up", "up"]
    pids = {str(node.process.pid) for node in both}
    seen: set[str] = set()
    while seen != pids:  # the kernel gives each connection to one of them
        seen.add(get(both[0].connect())[0])


def test_end_answers_what_is_under_way(nodes: Nodes) -> None:
    node = nodes.start(SERVER)
    assert node.line() == "up"
    slow, silent, busy = node.connect(), node.connect(), node.connect()
    assert get(silent) == ("hello", "keep-alive")
    assert get(busy) == ("hello", "keep-alive")
    slow.request("GET", "/slow")
    get(busy)  # the slow request is there by then
    node.stop()
    assert last_answer(busy) == "hello"
    assert is_closed(silent)
    (nodes.folder / "go").touch()
    # Answered in full, and told that it was the last one on this connection.
    response = slow.getresponse()
    assert (response.read(), response.getheader("Connection")) == (b"slow", "close")
    assert node.ended() == -signal.SIGTERM


def test_end_leaves_new_connections_to_others(nodes: Nodes) -> None:
    node, other = nodes.start(SERVER), nodes.start(SERVER.replace("hello", "other"))
    assert [node.line(), other.line()] == ["up", "up"]
    keeping = node.connect()
    slow = node.connect()
    answers = {get(keeping)[0]}
    slow.request("GET", "/slow")
    node.stop()
    (nodes.folder / "go").touch()
    slow.getresponse().read()
    keeping.close()
    assert node.ended() == -signal.SIGTERM
    assert {get(other.connect())[0] for _ in range(20)} == {"other"}
    assert answers <= {"hello", "other"}


def test_handler_of_the_program_decides_when_it_ends(nodes: Nodes) -> None:
    node = nodes.start(
        SERVER.replace("http.createServer(app)", "const server = http.createServer(app); server")
        + "process.once('SIGINT', () => { console.log('mine');"
        " server.close((error) => { console.log(error ?? 'closed'); process.exit(7); }); });\n",
        stop="SIGINT",
    )
    assert node.line() == "up"
    client, silent = node.connect(), node.connect()
    get(client)
    get(silent)
    node.stop(signal.SIGINT)
    assert node.line() == "mine"
    assert get(client) == ("hello", "close")  # its line is later than the signal
    assert is_closed(silent)
    assert node.line() == "closed"
    assert node.ended() == 7


def test_handlers_that_only_watch_do_not_keep_it(nodes: Nodes) -> None:
    """Those of the package signal-exit, which leave it to others to end when there are others."""
    node = nodes.start(
        "process.__signal_exit_emitter__ = { count: 1 };\n"
        "process.on('SIGTERM', () => { if (process.listenerCount('SIGTERM') === 1) console.log('watched'); });\n"
        + SERVER
    )
    assert node.line() == "up"
    node.stop()
    assert node.line() == "watched"
    node.process.kill()


def test_upgraded_connection_does_not_keep_it(nodes: Nodes) -> None:
    node = nodes.start(
        SERVER.replace("http.createServer(app)", "const server = http.createServer(app); server")
        + "server.on('upgrade', (_, socket) =>"
        " socket.write('HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: x\\r\\nConnection: Upgrade\\r\\n\\r\\n'));\n"
    )
    assert node.line() == "up"
    client = node.connect_raw()
    client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n")
    assert client.recv(100).startswith(b"HTTP/1.1 101")
    node.stop()
    assert node.ended() == -signal.SIGTERM
    assert client.recv(100) == b""


def test_connection_of_no_http_may_end_by_itself(nodes: Nodes) -> None:
    node = nodes.start(
        "require('net').createServer((socket) => { socket.on('data', (data) => socket.end(data)); })"
        ".listen(process.env.PORT, () => console.log('up'));\n"
    )
    assert node.line() == "up"
    client = node.connect_raw()
    node.stop()
    client.sendall(b"echo")
    assert client.recv(100) == b"echo"
    client.close()
    assert node.ended() == -signal.SIGTERM


def test_https(nodes: Nodes, tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl on this host")
    make = "openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 1 -subj /CN=x"
    subprocess.run(make.split(), cwd=tmp_path, check=True, capture_output=True)
    node = nodes.start(
        SERVER.replace("require('http')", "require('https')").replace(
            "createServer(app)",
            "createServer({ key: fs.readFileSync('key.pem'), cert: fs.readFileSync('cert.pem') }, app)",
        )
    )
    assert node.line() == "up"
    context = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))
    context.check_hostname = False
    clients = [
        node.clients.enter_context(
            closing(http.client.HTTPSConnection(*node.address, timeout=PATIENCE, context=context))
        )
        for _ in range(2)
    ]
    assert [get(client) for client in clients] == [("hello", "keep-alive")] * 2
    node.stop()
    assert last_answer(clients[0]) == "hello"
    assert clients[1].sock.recv(1) == b""
    assert node.ended() == -signal.SIGTERM


def test_program_that_listens_elsewhere_says_so(nodes: Nodes) -> None:
    node = nodes.start("require('http').createServer().listen(0, () => console.log('up'));\n", port=3000)
    assert node.line() == "up"
    assert node.told() == ["STATUS=listens on 0, waiting for it to listen on 3000"]
    node.stop()
    assert node.ended() == -signal.SIGTERM
