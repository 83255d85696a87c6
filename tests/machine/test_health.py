"""Health checks on a real systemd: what is not well is restarted and says why, and nothing else is touched."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.machine.harness import until
from tests.machine.sites import Site, new_site, processes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.machine.harness import Machine

# Answers on PORT. What it does is told by a word in a file, which each start sets back.
SERVER = """\
import http.server, os, pathlib, signal, sys, threading, time
mode = pathlib.Path(sys.argv[1])
mode.write_text("fine")
leak = []
def end(*_):
    if mode.read_text() == "drain":
        time.sleep(10)
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
ALIVE = 'interval = "200ms", timeout = "2s", retries = 2'


@pytest.fixture
def site(machine: Machine) -> Iterator[Site]:
    yield from new_site(machine)


@pytest.fixture(params=["instance", "host"])
def monitor(request: pytest.FixtureRequest) -> str:
    """The first line of a config: who makes the checks."""
    return f'monitor = "{request.param}"\n'


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


def says(site: Site, unit: str, words: str) -> None:
    """Wait until the journal of the unit has these words."""
    until(
        lambda: any(words in line for line in site.machine.journal(unit)),
        what=lambda: "\n".join(site.machine.journal(unit)),
    )


def restarted(site: Site, name: str, pid: str) -> dict[str, str]:
    """Wait until the unit runs anew; what it says of its last end."""
    unit = f"{site.name}-{name}.service"

    def is_new() -> bool:
        shown = site.machine.show(unit, "MainPID", "ActiveState")
        return shown["ActiveState"] == "active" and shown["MainPID"] not in {"0", pid}

    until(is_new, what=lambda: "\n".join(site.machine.journal(unit)[-20:]))
    return site.machine.show(unit, "NRestarts", "StatusText", "MainPID", "NotifyAccess")


def test_what_is_not_well_is_restarted_and_says_why(site: Site, monitor: str) -> None:
    machine = site.machine
    names = ("hung", "ill", "leaky", "deaf")
    serve(site, *names)
    site.config(
        monitor
        + server("hung", 4001, f'health = {{ http = "/", {ALIVE} }}')
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
        "hung": "unhealthy: http: no answer within 2 s, 2 times",
        "ill": "unhealthy: http 500, 2 times",
        "leaky": "MiB, above 200.0 MiB, 2 times",
        "deaf": "unhealthy: tcp 4004 refused, 2 times",
    }
    for name, unit in units.items():
        says(site, unit, why[name])
        assert restarted(site, name, pids[name])["NRestarts"] == "1"
        journal = machine.journal(unit)
        assert [line for line in journal if "Watchdog request" in line and why[name] in line]
        assert "drained" in journal  # SIGTERM, not SIGABRT: also the stopped one, which systemd wakes


HTTP = 'command = ["/usr/bin/python3", "-u", "-m", "http.server", "--bind", "127.0.0.1", "{port}"]'
BOX = """
[process.boxed.systemd.Service]
DynamicUser = true
ProtectSystem = "strict"
ProtectHome = "read-only"
ProtectProc = "invisible"
PrivateTmp = true
PrivateDevices = true
NoNewPrivileges = true
MemoryDenyWriteExecute = true
RestrictAddressFamilies = "AF_UNIX AF_INET"
SystemCallFilter = "@system-service"
"""


def monitor_of(machine: Machine, unit: str, user: str | None = None) -> list[str]:
    """The processes of a unit that are not its main one."""
    shown = machine.show(unit, "MainPID", "ControlGroup", user=user)
    tops = ("/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified", "/sys/fs/cgroup")
    files = [f"{top}{shown['ControlGroup']}/cgroup.procs" for top in tops]
    listed = machine.run(["cat", *files], check=False).stdout.split()
    return sorted(set(listed) - {shown["MainPID"]})


def test_programs_run_as_if_nothing_stood_before_them(site: Site) -> None:
    machine = site.machine
    serve(site, "plain", "strict", "drain")
    site.config(
        server("plain", 4101, f'health = {{ http = {{ url = "/", body = "^none$" }}, {ALIVE} }}')
        + server("strict", 4102, f'health = {{ strict = true, alive = {{ http = "/", {ALIVE} }} }}')
        + server(
            "drain",
            4103,
            f'health = {{ http = "/", {ALIVE} }}',
            'stop = { mode = "mixed", timeout = "1min" }',
        )
        + f'[process.told]\n{HTTP.format(port=4104)}\nuser = "daemon"\nhealth.output = "^Serving HTTP on"\n'
        + f"[process.boxed]\n{HTTP.format(port=4105)}\nhealth.tcp = 4105\n{BOX}"
        + '[process.pool]\ncommand = "exec python3 -m http.server $PORT"\nshell = true\ninstances = 2\nlisten = 4110\n'
        + 'health = "/"\n'
        + '[process.after]\ncommand = "sleep 1000"\ndepends_on = { pool = "ready" }\n'
        + "[process.own]\ncommand = \"/bin/sh -c 'systemd-notify --ready --status=mine; exec sleep 1000'\"\n"
        + "health = { ready.notify = true, alive = { file = '/', interval = '100ms' } }\n"
    )
    site.apply()
    # As far as a systemd may lower it at all, which one in a container may not.
    lowered = ["systemd-run", "--quiet", "--wait", "--pipe", "--property=OOMScoreAdjust=-200"]
    low = machine.run([*lowered, "cat", "/proc/self/oom_score_adj"]).stdout.strip()
    assert low in {"-200", "0"}
    units = {
        name: f"{site.name}-{name}.service" for name in ("plain", "strict", "drain", "told", "boxed", "own")
    }
    units |= {f"pool@{number}": f"{site.name}-pool@{number}.service" for number in (1, 2)}
    for unit in units.values():
        shown = machine.show(unit, "ActiveState", "StatusText", "MainPID")
        assert shown["ActiveState"] == "active"
        (monitor,) = monitor_of(machine, unit)
        parent, group = machine.run(["ps", "-o", "ppid=,pgid=", "-p", monitor]).stdout.split()
        assert (parent, group) == ("1", machine.run(["ps", "-o", "sid=", "-p", monitor]).stdout.strip())
        assert machine.read(f"/proc/{shown['MainPID']}/cmdline").split("\0")[0] != "/usr/bin/python3 -I"
        assert "run.py" not in machine.read(f"/proc/{shown['MainPID']}/cmdline")
        scores = [machine.read(f"/proc/{pid}/oom_score_adj").strip() for pid in (shown["MainPID"], monitor)]
        assert scores == ["0", low]  # the kernel ends the program first, and as soon as any other
    assert "'Serving HTTP on" in machine.show(units["told"], "StatusText")["StatusText"]
    assert "tcp 4105" in machine.show(units["boxed"], "StatusText")["StatusText"]
    told = site.environment(units["plain"])
    assert not {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LC_CTYPE"} & told.keys()
    assert {"NOTIFY_SOCKET"} < site.environment(units["own"]).keys()

    pids = {name: machine.show(unit, "MainPID")["MainPID"] for name, unit in units.items()}
    for name in ("plain", "strict"):
        machine.run(["kill", "-KILL", *monitor_of(machine, units[name])])
    # systemd misses the pings of the strict one; the other goes on alone.
    assert restarted(site, "strict", pids["strict"])["NRestarts"] == "1"
    assert machine.show(units["plain"], "MainPID", "NRestarts") == {
        "MainPID": pids["plain"],
        "NRestarts": "0",
    }

    (drain,) = monitor_of(machine, units["drain"])
    mode(site, "drain", "drain")
    machine.systemctl("stop", units["drain"])
    journal = machine.journal(units["drain"])
    assert "drained" in journal
    assert not [line for line in journal if "Watchdog" in line]
    shown = machine.show(units["drain"], "ActiveState", "Result", "StatusText")
    assert (shown["ActiveState"], shown["Result"]) == ("inactive", "success")
    assert not machine.run(["ps", "-p", drain], check=False).stdout.count(drain)
    site.remove()
    assert processes(machine, "runtime/run.py") == []


USERS = """\
[process.told]
command = ["/bin/sh", "-c", "echo now serving; exec sleep 1000"]
health = { ready.output = "serving", alive = { exec = ["/bin/sh", "-c", "id -un"], interval = "200ms" } }
"""


def test_a_users_own_manager_looks_after_programs_as_the_systems_does(machine: Machine) -> None:
    site = Site(machine, "mine", machine.user_session("ada"))
    serve(site, "web")
    site.config(server("web", 4601, f'health = {{ http = "/", {ALIVE} }}') + USERS)
    machine.run(["chown", "-R", "ada:", site.folder])
    site.apply()
    site.shows("mine-web.service", r"ready \(http 200 .*; alive \(http 200 .*")
    site.shows("mine-told.service", r".*alive \(sh: ada\)")
    assert len(monitor_of(machine, "mine-web.service", "ada")) == 1
    before = machine.show("mine-web.service", "MainPID", user="ada")["MainPID"]
    mode(site, "web", "500")

    def is_new() -> bool:
        now = machine.show("mine-web.service", "MainPID", "ActiveState", "NRestarts", user="ada")
        return (
            now["ActiveState"] == "active"
            and now["NRestarts"] != "0"
            and now["MainPID"] not in {"0", before}
        )

    until(is_new, what=lambda: machine.run(["journalctl", "--lines=50"], check=False).stdout)
    site.remove()
    until(lambda: processes(machine, "runtime/run.py") == [], what=lambda: "a monitor is left")


def test_a_monitor_within_the_strict_sandbox_and_one_of_a_channel_beside_that_of_the_project(
    site: Site,
) -> None:
    machine = site.machine
    serve(site, "low")
    site.config(
        'monitor = "host"\n'
        + server(
            "low",
            81,
            f'health = {{ http = "/", {ALIVE} }}',
            'channel = {}\nsandbox = "strict"\nwritable = "."',
        )
        + f'[process.apart]\ncommand = "/bin/sleep 1000"\nhealth = {{ file = "/", {ALIVE} }}\n'
    )
    site.apply()
    low, apart = (f"{site.name}-{name}.service" for name in ("low", "apart"))
    site.shows(low, r"ready \(http 200 .*; alive \(http 200 .*")
    site.shows(apart, r"ready \(file \); alive \(file \)")
    site.shows(f"pm-native-monitor@{site.name}.service", "monitors 1 program")
    assert (len(monitor_of(machine, low)), len(monitor_of(machine, apart))) == (1, 0)
    before = machine.show(low, "MainPID")["MainPID"]
    mode(site, "low", "500")
    assert restarted(site, "low", before)["NotifyAccess"] == "all"
    says(site, low, "Watchdog request (last status: unhealthy: http 500, 2 times)")


TLS_SERVER = """\
import http.server, os, ssl
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("cert.pem", "key.pem")
with http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), http.server.SimpleHTTPRequestHandler) as server:
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()
"""


def test_https_trusts_whom_it_is_told_to(site: Site, tmp_path: Path) -> None:
    words = (
        "openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=localhost"
    )
    words += " -addext subjectAltName=IP:127.0.0.1"
    subprocess.run(words.split(), cwd=tmp_path, check=True, capture_output=True)
    for name in ("key.pem", "cert.pem"):
        site.write(name, (tmp_path / name).read_text())
    site.write("tls.py", TLS_SERVER)
    asked = {
        "known": (4501, 'url = "https://127.0.0.1:4501/", ca = "cert.pem"'),
        "open": (4502, 'url = "https://127.0.0.1:4502/", verify = false'),
        "stranger": (4503, 'url = "https://127.0.0.1:4503/"'),
    }
    site.config(
        "".join(
            f'[process.{name}]\ncommand = "/usr/bin/python3 tls.py"\nlisten = {port}\nrestart = "no"\n'
            f'health.ready = {{ http = {{ {http} }}, start_interval = "100ms" }}\n'
            for name, (port, http) in asked.items()
        )
    )
    stranger = f"{site.name}-stranger.service"
    with site.in_background("apply", "-f", "pm-native.toml", "--json") as run:
        for name in ("known", "open"):
            site.shows(f"{site.name}-{name}.service", r"ready \(http 200 in .*")
        site.shows(stranger, ".*certificate verify failed.*")
        site.machine.systemctl("stop", stranger)
        envelope = json.loads(run.communicate(timeout=60)[0].splitlines()[-1])
    assert [item["unit"] for item in envelope["data"]["failures"]] == [stranger]


def test_a_start_that_fails_says_why(site: Site, monitor: str) -> None:
    machine = site.machine
    site.config(
        monitor + '[process.never]\ncommand = "sleep 1000"\nrestart = { limit = 2, delay = "100ms" }\n'
        'health.startup = { tcp = 4201, interval = "200ms", retries = 2 }\n'
        '[process.late]\ncommand = "sleep 1000"\nrestart = "no"\nstart_timeout = "1s"\n'
        'health.ready = { exec = ["sh", "-c", "echo no database; exit 3"], start_interval = "100ms" }\n'
        '[process.gone]\ncommand = "/srv/gone/program"\nhealth.alive = { file = "/" }\nrestart = "no"\n'
        '[process.halted]\ncommand = "sleep 1000"\nuser = "daemon"\n'
        f'health.alive = {{ file = "/run/{site.name}", action = "stop", interval = "100ms", retries = 2 }}\n'
    )
    machine.run(["touch", f"/run/{site.name}"])
    failures = site.applied("--allow-missing", code=4).failures
    never, late, gone, halted = (
        f"{site.name}-{name}.service" for name in ("never", "late", "gone", "halted")
    )
    assert sorted(failures) == sorted([gone, late, never])
    assert "did not start: tcp 4201 refused: restart" in str(failures[never])
    assert machine.show(late, "StatusText")["StatusText"].startswith(
        "waiting for ready: sh exited with 3: no database (attempt "
    )
    assert machine.show(gone, "ExecMainStatus", "Result") == {"ExecMainStatus": "203", "Result": "exit-code"}
    assert "pm-native-run: cannot run /srv/gone/program: No such file or directory" in machine.journal(gone)
    # The limit counts starts that fail slowly, too.
    machine.wait_until(never, ActiveState="failed", NRestarts="3")

    machine.run(["rm", f"/run/{site.name}"])
    machine.wait_until(halted, ActiveState="failed", Result="watchdog", NRestarts="0")
    assert machine.show(halted, "StatusText")["StatusText"].startswith("unhealthy: file ")


CHAIN = """
[process.migrate]
command = "{migrate}"
kind = "task"

[process.db]
command = ["sh", "-c", "test -e migrated && sleep 1; touch up; exec sleep 1000"]
depends_on = {{ migrate = "completed" }}
health.ready = {{ file = "up", start_interval = "100ms" }}

[process.api]
command = ["sh", "-c", "test -e up && touch api; exec sleep 1000"]
depends_on = {{ db = "ready" }}
health.ready = {{ file = "api", start_interval = "100ms" }}

[process.web]
command = ["sh", "-c", "touch web; test -e api && exec sleep 1000"]
depends_on = {{ api = "ready" }}
restart = {{ delay = "1h" }}
"""


def test_a_chain_waits_until_each_link_is_ready(site: Site, monitor: str) -> None:
    machine = site.machine
    site.config(monitor + CHAIN.format(migrate="touch migrated"))
    site.apply()
    names = ("migrate", "db", "api", "web")
    units = [f"{site.name}-{name}.service" for name in names]
    begin, reached = "ExecMainStartTimestampMonotonic", "ActiveEnterTimestampMonotonic"
    shown = [machine.show(unit, begin, reached) for unit in units]
    begun, ready = ([int(item[key]) for item in shown] for key in (begin, reached))
    assert all(earlier <= later for earlier, later in zip(ready, begun[1:], strict=False))
    assert ready[1] - begun[1] > 1_000_000

    site.remove()
    machine.run(["sh", "-c", "rm -f migrated up api web"], cwd=site.folder)
    site.config(monitor + CHAIN.format(migrate="sh -c 'echo no such table; exit 7'"))
    said = site.apply(code=4).stdout
    assert f"{units[0]}: its job failed because the control process exited with error code" in said
    assert "| no such table" in said
    assert f"{units[1]}: a job it depends on failed" in said
    assert f"| {units[1]} is not ready" in said
    assert f"| {units[2]} is not ready" in said
    assert machine.run(["ls"], cwd=site.folder).stdout.split() == ["pm-native.toml"]
