"""Rolling reloads and kills under load: no request may be lost, and a reload is to be quicker than pm2's."""

from __future__ import annotations

import json
import random
import re
import shutil
import statistics
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from tests.benchmarks.booted import PM2_VERSION, install_pm2
from tests.benchmarks.measure import CHECKOUT, Figure, milliseconds
from tests.machine.harness import Machine
from tests.machine.sites import processes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

RELOADS = 20
KILLS = 500
INSTANCES = 4
CONNECTIONS = 64
SERVERS = ("gunicorn", "uvicorn")
PYTHON_SERVERS = CHECKOUT / ".cache" / "servers"
PORT = 3600
NODE = """
const http = require("node:http");
http.createServer((request, response) => response.end("hello")).listen(process.env.PORT);
"""
WSGI = """
def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "5")])
    return [b"hello"]
"""
ASGI = """
async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
        await send({"type": "http.response.body", "body": b"hello"})
"""


@dataclass(frozen=True, slots=True)
class Load:
    """What wrk saw: answers, and how many requests had none, or another than 200."""

    answered: int
    lost: int


def commands(python: Path) -> dict[str, str]:
    """The processes of the config, by server."""
    path = f'environment = {{ PYTHONPATH = "{PYTHON_SERVERS}:/srv/load" }}\n'
    return {
        "Node": 'command = "node server.cjs"\n',
        "gunicorn": f'command = "{python} -m gunicorn --worker-class gthread wsgi:app"\nnotify = true\n{path}',
        "uvicorn": f'command = "{python} -m uvicorn --port {PORT} --log-level warning asgi:app"\n{path}',
    }


def rolling_figures(_: Path) -> Iterator[Figure]:
    """Twenty reloads in a row of each server under load, pm2's of the same program, and five hundred kills."""
    if shutil.which("wrk") is None:
        yield Figure("rolling reload", "wrk is not installed here", "-", "-", "-", None)
        return
    install_servers()
    pm2 = install_pm2()
    with Machine.boot("host") as machine:
        for name, text in (("server.cjs", NODE), ("wsgi.py", WSGI), ("asgi.py", ASGI)):
            machine.write(f"/srv/load/{name}", text)
        seconds: dict[str, float] = {}
        for server, command in commands(machine.python).items():
            with applied(machine, command):
                loads, seconds[server] = under_load(machine, partial(reload, machine))
                yield lost_figure(f"{RELOADS} reloads of {INSTANCES} of {server}", loads)
        if pm2 is not None:
            yield from pm2_figures(machine, pm2, seconds["Node"])


def install_servers() -> None:
    """The servers from PyPI, kept in .cache/."""
    if not PYTHON_SERVERS.exists():
        words = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--target",
            str(PYTHON_SERVERS),
            *SERVERS,
        ]
        subprocess.run(words, check=True)


@contextmanager
def applied(machine: Machine, command: str) -> Iterator[None]:
    """A pool of the server, applied, and taken away afterwards."""
    listen = f"instances = {INSTANCES}\nlisten = {{ port = {PORT}, share = true }}\n"
    restart = 'restart = { delay = "100ms" }\n'
    config = f'[project]\nname = "load"\n[process.api]\n{command}{listen}{restart}'
    machine.write("/srv/load/pm-native.toml", config)
    machine.pm_native("apply", "-f", "/srv/load/pm-native.toml", timeout=120)
    try:
        yield
    finally:
        machine.pm_native("remove", "load", timeout=120)


def reload(machine: Machine) -> None:
    """One reload; AssertionError where not every instance is another one afterwards."""
    before = runs(machine)
    machine.pm_native("reload", "api", timeout=120, cwd="/srv/load")  # each says when it is ready
    after = runs(machine)
    assert len(after) == INSTANCES
    assert not set(before) & set(after), "an instance was not restarted"


def runs(machine: Machine) -> list[str]:
    """The id of the run of each instance that is up."""
    shown = machine.systemctl("show", "--property=InvocationID,ActiveState", "load-api@*.service").stdout
    blocks = (dict(line.split("=", 1) for line in block.splitlines()) for block in shown.split("\n\n"))
    return [block["InvocationID"] for block in blocks if block.get("ActiveState") == "active"]


def under_load(machine: Machine, act: Callable[[], None], times: int = RELOADS) -> tuple[list[Load], float]:
    """Do it so often under both kinds of load: what those saw, and the median of the times that it took."""
    url = f"http://127.0.0.1:{PORT}/"
    words = ["wrk", "-t1", f"-c{CONNECTIONS}", "-d600s", "--timeout", "10s", url]
    took = []
    loads = []
    # In sessions of their own, as those who ask are never in that of who reloads: the scheduler shares a CPU by sessions.
    started = [
        subprocess.Popen(machine.command(argv), stdout=subprocess.PIPE, text=True, start_new_session=True)
        for argv in ([*words, "-H", "Connection: close"], words)
    ]
    try:
        time.sleep(1)  # load of a second, before anything is done to it
        for _ in range(times):
            begin = time.perf_counter()
            act()
            took.append(time.perf_counter() - begin)
        time.sleep(1)
    finally:
        machine.run(["pkill", "-INT", "wrk"])  # as Ctrl-C: it reports what it saw
        loads = [seen(process.communicate(timeout=60)[0]) for process in started]
    return loads, statistics.median(took)


def seen(report: str) -> Load:
    """The numbers of wrk's report; AssertionError where there was no load."""
    requests = re.search(r"(\d+) requests in", report)
    assert requests is not None, report
    answered = int(requests[1])
    errors = sum(
        int(number)
        for line in re.findall(r"Socket errors: (.*)", report)
        for number in re.findall(r"\d+", line)
    )
    errors += sum(int(number) for number in re.findall(r"Non-2xx or 3xx responses: (\d+)", report))
    assert answered > 1000, report
    return Load(answered, errors)


def lost_figure(what: str, loads: list[Load]) -> Figure:
    """Lost requests, of connections that are new each time and of kept ones."""
    new, kept = loads
    answered = f"{new.answered:,} and {kept.answered:,} answered"
    return Figure(
        f"{what}: requests lost, new and kept connections",
        f"{new.lost} and {kept.lost}",
        answered,
        "-",
        "0 and 0",
        new.lost == kept.lost == 0,
    )


def kill_figures(_: Path) -> Iterator[Figure]:
    """Instances killed at random under load: each comes back, and nothing of them is left."""
    if shutil.which("wrk") is None:
        yield Figure("kills under load", "wrk is not installed here", "-", "-", "-", None)
        return
    chance = random.Random(500)  # noqa: S311 - the same kills each time
    kills = dict.fromkeys((f"load-api@{number}.service" for number in range(1, INSTANCES + 1)), 0)
    with Machine.boot("host") as machine:
        machine.write("/srv/load/server.cjs", NODE)

        def kill() -> None:
            unit = chance.choice([*kills])
            kills[unit] += 1
            machine.systemctl("kill", "--signal=KILL", "--kill-who=all", unit)
            machine.wait_until(
                unit, ActiveState="active", SubState="running", NRestarts=str(kills[unit]), timeout=20
            )

        with applied(machine, commands(machine.python)["Node"]):
            under_load(machine, kill, KILLS)
            zombies = machine.run(["sh", "-c", "ps -eo stat= | grep -c ^Z"], check=False).stdout.strip()
            left = len(processes(machine, "server.cjs")) - INSTANCES
            socket = machine.show("load-api.socket", "ActiveState")["ActiveState"]
    yield Figure(
        f"{KILLS} kills at random under load: zombies, processes left over",
        f"{zombies} and {left}",
        f"{sum(kills.values())} came back, socket {socket}",
        "-",
        "0 and 0",
        (zombies, left, socket) == ("0", 0, "active"),
    )


def pm2_figures(machine: Machine, pm2: Path, ours: float) -> Iterator[Figure]:
    """The same load and the same program on pm2's cluster."""
    environment = {"PM2_HOME": "/root/pm2-load", "PM2_DISCRETE_MODE": "1", "PORT": str(PORT)}
    machine.run(
        [str(pm2), "start", "/srv/load/server.cjs", "-i", str(INSTANCES)], env=environment, timeout=120
    )
    listed = json.loads(machine.run([str(pm2), "jlist"], env=environment).stdout)
    assert [item["pm2_env"]["status"] for item in listed] == ["online"] * INSTANCES
    loads, seconds = under_load(machine, lambda: reload_pm2(machine, pm2, environment))
    machine.run([str(pm2), "kill"], env=environment, timeout=120)
    new, kept = loads
    answered = f"{new.answered:,} and {kept.answered:,} answered"
    what = f"{RELOADS} reloads of {INSTANCES} of Node by pm2 {PM2_VERSION}: requests lost, new and kept connections"
    yield Figure(what, "-", f"{new.lost} and {kept.lost}; {answered}", "-", "-", None)
    yield Figure(
        f"`reload` of {INSTANCES} of Node under load",
        milliseconds(ours),
        f"{milliseconds(seconds)} (pm2 {PM2_VERSION} reload)",
        f"{ours / seconds:.2f}",
        "1.00",
        ours < seconds,
    )


def reload_pm2(machine: Machine, pm2: Path, environment: dict[str, str]) -> None:
    """One reload by pm2."""
    machine.run([str(pm2), "reload", "all"], env=environment, timeout=120)
