"""What is loaded into programs of Node: the socket that systemd holds, and an end that cuts nobody off."""

from __future__ import annotations

import http.client
import shutil
import signal
import ssl
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from tests.runtime.served import PATIENCE, Programs, get, is_closed, last_answer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.runtime.served import Program

PRELOAD = Path(__file__).parents[2] / "pm_native/runtime/node.cjs"
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


class Nodes(Programs):
    """Starts programs of Node."""

    def start(
        self,
        text: str,
        *,
        name: str = "server.cjs",
        port: object = None,
        stop: str = "SIGTERM",
        idle: int = 1000 * PATIENCE,
    ) -> Program:
        """A program of this text; `port`: what PORT says, the listener's own where nothing is given."""
        (self.folder / name).write_text(text)
        elsewhere = {"PORT": str(port)} if port else {}
        options = f"--require {PRELOAD} --no-deprecation"
        return self.run(
            "node", name, stop=stop, idle=idle, timeout=1000 * PATIENCE, NODE_OPTIONS=options, **elsewhere
        )


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Nodes]:
    if shutil.which("node") is None:
        pytest.skip("there is no node on this host")
    made = Nodes(tmp_path)
    yield made
    made.end()


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
        "const tell = 'console.log(process.env.NODE_OPTIONS, process.env.PM_NATIVE_LISTEN)';\n"
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
    slow, busy = node.connect(), node.connect()
    slow.request("GET", "/slow")
    get(busy)  # the slow request is there by then
    node.stop()
    assert last_answer(busy) == "hello"
    (nodes.folder / "go").touch()
    # Answered in full, and told that it was the last one on this connection.
    response = slow.getresponse()
    assert (response.read(), response.getheader("Connection")) == (b"slow", "close")
    assert node.ended() == -signal.SIGTERM


def test_end_closes_what_is_silent(nodes: Nodes) -> None:
    node = nodes.start(SERVER, idle=200)
    assert node.line() == "up"
    silent, slow = node.connect(), node.connect()
    slow.request("GET", "/slow")
    assert get(silent) == ("hello", "keep-alive")
    node.stop()
    assert is_closed(silent)
    (nodes.folder / "go").touch()
    assert slow.getresponse().read() == b"slow"
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
        idle=2000,
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
        ),
        idle=2000,
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
