"""The broker as its unit runs it: its memory when nothing happens, and when clients do their worst."""

from __future__ import annotations

import compileall

from tests.benchmarks.measure import CHECKOUT, Figure
from tests.machine.harness import Machine, until

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BROKER, SOCKET = "pm-native-ipc@bench.service", "/run/pm-native/ipc/bench.sock"
CONFIG = f"""
[project]
name = "bench"
ipc = true

[process.worker]
command = ["/usr/bin/python3", "-m", "tests.runtime.ipc.hostile", "{SOCKET}"]
environment = {{ PYTHONPATH = "{CHECKOUT}" }}
directory = "{CHECKOUT}"
restart = "no"
autostart = false
"""
IDLE_MIB, WORST_MIB = 16, 512
ATTACKS = 10
PING = (
    "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]);"
    's.sendall(b\'{"op":"ping","id":1}\\n\'); print(s.recv(100))'
)


def broker_figures(_: Path) -> Iterator[Figure]:
    """Resident memory after the first message, and the peak of its cgroup, the kernel's buffers included."""
    # As an installation has it: the broker may not write byte code itself.
    assert compileall.compile_dir(CHECKOUT / "pm_native", quiet=1)
    with Machine.boot("host") as machine:
        machine.write("/srv/bench/pm-native.toml", CONFIG)
        machine.pm_native("apply", "-f", "/srv/bench/pm-native.toml", "--settle", "0", timeout=120)
        machine.run(["/usr/bin/python3", "-c", PING, SOCKET])
        pid = machine.show(BROKER, "MainPID")["MainPID"]
        idle = status_mib(machine, pid, "VmRSS")
        machine.systemctl("start", "bench-worker.service")
        until(
            lambda: machine.show("bench-worker.service", "SubState")["SubState"] not in {"running", "start"},
            timeout=200,
            what=lambda: "\n".join(machine.journal("bench-worker.service")),
        )
        said = machine.journal("bench-worker.service")
        ended = machine.show("bench-worker.service", "Result")["Result"]
        assert (ended, sum('"attack"' in line for line in said)) == ("success", ATTACKS), said
        assert machine.show(BROKER, "MainPID")["MainPID"] == pid, "the broker did not live"
        worst = status_mib(machine, pid, "VmHWM")
    yield Figure(
        "the broker of messages, resident memory when idle",
        f"{idle:.1f} MiB",
        "-",
        "-",
        f"{IDLE_MIB} MiB",
        idle < IDLE_MIB,
    )
    yield Figure(
        "the broker of messages, at its peak under clients that do their worst",
        f"{worst:.0f} MiB",
        f"{idle:.1f} MiB (idle)",
        f"{worst / idle:.1f}",
        f"{WORST_MIB} MiB (MemoryMax=)",
        worst < WORST_MIB,
    )


def status_mib(machine: Machine, pid: str, name: str) -> float:
    """A size of /proc/PID/status, in MiB."""
    return int(machine.read(f"/proc/{pid}/status").partition(f"{name}:")[2].split()[0]) / 1024
