"""Health checks on a real systemd: what is not well is restarted and says why, and nothing else is touched."""

from __future__ import annotations

import pytest

from tests.machine.harness import until
from tests.machine.sites import Site, new_site, processes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.machine.harness import Machine

# Answers on PORT. What it does is told by a word in a file, which each start sets back.
SERVER = """\
import http.server, os, pathlib, signal, sys, threading, time
mode = pathlib.Path(sys.argv[1])
mode.write_text("fine")
leak = []
def end(*_):
    if mode.read_text() == "drain":
        time.sleep(4)
    print("drained", flush=True)
    os._exit(0)
signal.signal(signal.SIGTERM, end)
class Server(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        word = mode.read_text()
        if word == "leak":
            leak.append(b"x" * (64 << 20))
        if word == "close":
            threading.Thread(target=self.server.shutdown).start()
        body = os.environ.get("NOTIFY_SOCKET", "none").encode()
        self.send_response(500 if word in ("500", "drain") else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
with http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Server) as server:
    server.serve_forever()
time.sleep(1000)
"""
ALIVE = 'interval = "200ms", timeout = "500ms", retries = 2'


@pytest.fixture
def site(machine: Machine) -> Iterator[Site]:
    yield from new_site(machine)


def serve(site: Site, *names: str) -> None:
    """The server, and a file for each process that says what it does."""
    site.write("server.py", SERVER)
    for name in names:
        mode(site, name, "fine")


def mode(site: Site, name: str, word: str) -> None:
    site.write(f"{name}.mode", word)


def server(name: str, port: int, *lines: str) -> str:
    command = f'command = ["/usr/bin/python3", "server.py", "{name}.mode"]'
    return "\n".join([f"[process.{name}]", command, f"listen = {port}", *lines, ""])


def restarted(site: Site, name: str, pid: str) -> dict[str, str]:
    """Wait until the unit runs anew; what it says of its last end."""
    unit = f"{site.name}-{name}.service"

    def is_new() -> bool:
        shown = site.machine.show(unit, "MainPID", "ActiveState")
        return shown["ActiveState"] == "active" and shown["MainPID"] not in {"0", pid}

    until(is_new, timeout=15, what=lambda: "\n".join(site.machine.journal(unit)[-20:]))
    return site.machine.show(unit, "NRestarts", "StatusText", "MainPID", "NotifyAccess")


def test_what_is_not_well_is_restarted_and_says_why(site: Site) -> None:
    machine = site.machine
    names = ("hung", "ill", "leaky", "deaf")
    serve(site, *names)
    site.config(
        server("hung", 4001, f'health = {{ http = "/", {ALIVE} }}')
        + server("ill", 4002, f'health = {{ http = "/", {ALIVE} }}')
        + server("leaky", 4003, f'health = {{ http = "/", memory = "200M", {ALIVE} }}')
        + server("deaf", 4004, f"health = {{ tcp = true, {ALIVE} }}")
    )
    site.apply()
    units = {name: f"{site.name}-{name}.service" for name in names}
    pids = {name: machine.show(unit, "MainPID")["MainPID"] for name, unit in units.items()}
    machine.run(["kill", "-STOP", pids["hung"]])
    mode(site, "ill", "500")
    mode(site, "leaky", "leak")
    mode(site, "deaf", "close")
    machine.run(["python3", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:4004/')"])
    why = {
        "hung": "unhealthy: http: no answer within 0.5 s, 2 times",
        "ill": "unhealthy: http 500, 2 times",
        "leaky": "MiB, above 200.0 MiB, 2 times",
        "deaf": "unhealthy: tcp 4004 refused, 2 times",
    }
    for name, unit in units.items():
        until(
            lambda unit=unit, name=name: any(why[name] in line for line in machine.journal(unit)),
            timeout=15,
            what=lambda unit=unit: "\n".join(machine.journal(unit)),
        )
        assert restarted(site, name, pids[name])["NRestarts"] == "1"
        journal = machine.journal(unit)
        assert [line for line in journal if "Watchdog request" in line and why[name] in line]
        assert "drained" in journal  # SIGTERM, not SIGABRT: also the stopped one, which systemd wakes
