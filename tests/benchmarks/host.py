"""One monitor for a hundred instances against a monitor beside each: the same project on the same booted machine."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass

from tests.benchmarks.measure import Figure
from tests.machine.harness import Machine, until

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

INSTANCES = 100
FIRST_PORT = 5001
COUNTS_PORT = 5000
SECONDS = 10.0
MIB = 1 << 20
# Answers on the port of each instance, and tells on one more how often each was asked.
SERVER = f"""
import json, select, socket
ports = {{socket.create_server(("127.0.0.1", port), backlog=256): port for port in range({COUNTS_PORT}, {FIRST_PORT + INSTANCES})}}
counts = {{port: 0 for port in ports.values() if port != {COUNTS_PORT}}}
poll = select.poll()
by_number = {{}}
for listener in ports:
    poll.register(listener, select.POLLIN)
    by_number[listener.fileno()] = listener
while True:
    for number, _ in poll.poll():
        channel, _ = by_number[number].accept()
        with channel:
            port = ports[by_number[number]]
            channel.recv(4096)
            body = b"ok"
            if port in counts:
                counts[port] += 1
            else:
                body = json.dumps(list(counts.values())).encode()
            channel.sendall(b"HTTP/1.0 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(body) + body)
"""
CONFIG = """\
[project]
name = "bench"
monitor = "{mode}"

[process.server]
command = ["/usr/bin/python3", "-I", "-S", "/srv/bench/server.py"]

[process.api]
command = "/bin/sleep infinity"
instances = {instances}
listen = {port}
health = {{ http = "/", interval = "1s" }}
"""
ASK = f"import urllib.request as r; print(r.urlopen('http://127.0.0.1:{COUNTS_PORT}/').read().decode())"


@dataclass(frozen=True, slots=True)
class Cost:
    """What the monitors of all instances cost together: private memory, and the CPU time of one probe."""

    mebibytes: float
    probe_seconds: float


def host_figures(_: Path) -> Iterator[Figure]:
    """Memory and CPU of `monitor = "host"`; AssertionError where an instance is not ready or is not asked."""
    with Machine.boot("host") as machine:
        machine.write("/srv/bench/server.py", SERVER)
        beside, host = (
            cost_of(machine, mode, monitors) for mode, monitors in (("instance", INSTANCES), ("host", 1))
        )
    yield Figure(
        f'`monitor = "host"`, private memory, {INSTANCES} instances with an http probe',
        f"{host.mebibytes:.1f} MiB",
        f"{beside.mebibytes:.1f} MiB (a monitor beside each)",
        f"{host.mebibytes / beside.mebibytes:.2f}",
        "12 MiB",
        host.mebibytes <= 12,
    )
    yield Figure(
        "CPU of one of its http probes at 1 Hz",
        f"{host.probe_seconds * 1000:.2f} ms",
        f"{beside.probe_seconds * 1000:.2f} ms (a monitor beside each)",
        f"{host.probe_seconds / beside.probe_seconds:.2f}",
        "-",
        None,
    )


def cost_of(machine: Machine, mode: str, monitors: int) -> Cost:
    """Applies the project, and measures its monitors when all instances are ready and each has been asked."""
    machine.write(
        "/srv/bench/pm-native.toml", CONFIG.format(mode=mode, instances=INSTANCES, port=FIRST_PORT)
    )
    machine.pm_native("apply", "-f", "/srv/bench/pm-native.toml", "--settle", "0", timeout=120)
    shown = machine.systemctl("show", "--property=ActiveState,NotifyAccess", "bench-api@*.service").stdout
    access = {"instance": "all", "host": "main"}[mode]
    assert shown.count("ActiveState=active\n") == shown.count(f"NotifyAccess={access}\n") == INSTANCES, shown
    before = counts(machine)
    until(
        lambda: all(now >= then + 2 for then, now in zip(before, counts(machine), strict=True)),
        what=lambda: "instances are not asked",
    )
    words = ["pgrep", "--full", "runtime/(run|monitor).py"]
    pids = machine.run(words).stdout.split()
    assert len(pids) == monitors, f"{len(pids)} monitors, not {monitors}"
    begin, used, asked = time.monotonic(), cpu_seconds(machine, pids), sum(counts(machine))
    time.sleep(SECONDS)
    used, asked = cpu_seconds(machine, pids) - used, sum(counts(machine)) - asked
    # Two checks ask each second: `ready` and `alive`.
    due = 2 * INSTANCES * (time.monotonic() - begin)
    assert 0.8 * due < asked < 1.3 * due, f"{asked} probes of {due:.0f}"
    return Cost(private_dirty(machine, pids), used / asked)


def counts(machine: Machine) -> list[int]:
    """How often each instance was asked up to now."""
    found: list[int] = json.loads(machine.run(["/usr/bin/python3", "-c", ASK]).stdout)
    return found


def private_dirty(machine: Machine, pids: list[str]) -> float:
    """The memory that would not be there without these processes, in MiB."""
    text = machine.run(["cat", *(f"/proc/{pid}/smaps_rollup" for pid in pids)]).stdout
    lines = [line for line in text.splitlines() if line.startswith("Private_Dirty:")]
    assert len(lines) == len(pids)
    return sum(int(line.split()[1]) * 1024 for line in lines) / MIB


def cpu_seconds(machine: Machine, pids: list[str]) -> float:
    """CPU time of processes, by the scheduler's own clock."""
    text = machine.run(["cat", *(f"/proc/{pid}/schedstat" for pid in pids)]).stdout
    return sum(int(line.split()[0]) for line in text.splitlines()) / 1e9
