"""What a health check costs: the delay before the program, the memory of monitors, the CPU of a probe."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.benchmarks.measure import CHECKOUT, Command, Figure, interleave

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

PYTHON = shutil.which("python3", path="/usr/bin") or "python3"
RUN = [PYTHON, "-I", "-S", str(CHECKOUT / "pm_native/runtime/run.py"), "--unit=bench.service"]
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
# The least that Python can do for a tcp probe a second.
FLOOR = """
import _socket, sys, time
address = "127.0.0.1", int(sys.argv[1])
kind = _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK
while True:
    channel = _socket.socket(_socket.AF_INET, kind)
    channel.connect_ex(address)
    channel.close()
    time.sleep(1)
"""
ROUNDS = 60
INSTANCES = 100
SECONDS = 10.0
MIB = 1 << 20


def health_figures(scratch: Path) -> Iterator[Figure]:
    """All of them; AssertionError where a monitor is not there, or does not probe."""
    with systemd(scratch) as environment, server() as port:
        yield delay_figure(environment)
        with instances(1, port, environment) as monitors:
            alone = private_dirty(monitors)
        yield memory_figure("a monitor with an http probe, private memory", alone, 3.5)
        with instances(INSTANCES, port, environment) as monitors:
            yield memory_figure(f"{INSTANCES} of them together", private_dirty(monitors), 350)
        yield cpu_figure(port, environment)


@contextmanager
def systemd(scratch: Path) -> Iterator[dict[str, str]]:
    """A notification socket that takes all that comes; the environment that names it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(scratch / "notify"))
        drain = threading.Thread(target=take_all, args=(listener,), daemon=True)
        drain.start()
        yield {"PATH": "/usr/bin:/bin", "NOTIFY_SOCKET": str(scratch / "notify")}
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
            end.sendto(b"end", str(scratch / "notify"))
        drain.join()


def take_all(listener: socket.socket) -> None:
    """Read until the word that ends it."""
    while listener.recv(8192) != b"end":
        pass


@contextmanager
def server() -> Iterator[int]:
    """A server that answers 200 to whatever it is asked."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:

        def serve() -> None:
            while True:
                try:
                    channel, _ = listener.accept()
                except OSError:
                    return
                with channel:
                    if channel.recv(4096):
                        channel.sendall(ANSWER)

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


@contextmanager
def instances(
    count: int, port: int, environment: dict[str, str], probe: str = "--http=/", interval: str = "1s"
) -> Iterator[list[int]]:
    """So many programs with a monitor each, all of them ready; the process ids of the monitors."""
    until(lambda: not monitors_of())
    options = [f"--port={port}", "--ready", "--file=/", "--alive", probe, f"--interval={interval}", "--"]
    programs = [
        subprocess.Popen([*RUN, *options, "/bin/sleep", "600"], env=environment) for _ in range(count)
    ]
    try:
        until(lambda: len(monitors_of()) == count and not (monitors_of() & {p.pid for p in programs}))
        time.sleep(2.5)  # each has probed: what a first probe loads is loaded
        yield sorted(monitors_of())
    finally:
        for program in programs:
            program.kill()
            program.wait()
    until(lambda: not monitors_of())


def monitors_of() -> set[int]:
    """Every process of a monitor."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if b"runtime/run.py\0--unit=bench.service" in words:
                found.add(int(entry.name))
    return found


def until(probe: object, timeout: float = 60) -> None:
    """Wait for a condition; AssertionError where it does not come."""
    assert callable(probe)
    deadline = time.monotonic() + timeout
    while not probe():
        assert time.monotonic() < deadline, "the monitors are not there, or do not go"
        time.sleep(0.05)


def delay_figure(environment: dict[str, str]) -> Figure:
    """How much later a program runs with pm-native-run before it: medians of 60 rounds in turn."""
    true = ["/bin/true"]
    direct = Command("direct", true, environment=environment)
    floor = Command("python", [PYTHON, "-I", "-S", "-c", "pass"], environment=environment)
    ours = Command("run", [*RUN, "--alive", "--tcp=127.0.0.1:9", "--", *true], environment=environment)
    interleave([direct, floor, ours], ROUNDS, warm_ups=3)
    delay = ours.median - direct.median
    return Figure(
        "`pm-native-run`, delay before the program",
        f"{delay * 1000:.1f} ms",
        f"{(floor.median - direct.median) * 1000:.1f} ms (python3 -I -S -c pass)",
        f"{delay / (floor.median - direct.median):.2f}",
        "12 ms",
        delay <= 0.012,
    )


def private_dirty(monitors: list[int]) -> float:
    """The memory that would not be there without these processes, in MiB."""
    total = 0
    for pid in monitors:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
            if line.startswith("Private_Dirty:"):
                total += int(line.split()[1]) * 1024
    return total / MIB


def memory_figure(what: str, mebibytes: float, bar: float) -> Figure:
    """A figure of memory against its bar."""
    return Figure(what, f"{mebibytes:.1f} MiB", "-", "-", f"{bar:g} MiB", mebibytes <= bar)


def cpu_figure(port: int, environment: dict[str, str]) -> Figure:
    """CPU time of a tcp probe at 1 Hz, of ten monitors over ten seconds, and of ten bare loops at the same time."""
    count = 10
    probe = f"--tcp=127.0.0.1:{port}"
    with instances(count, port, environment, probe=probe) as monitors, floors(count, port) as loops:
        begin, ours, floor = time.monotonic(), cpu_seconds(monitors), cpu_seconds(loops)
        time.sleep(SECONDS)
        ours, floor = cpu_seconds(monitors) - ours, cpu_seconds(loops) - floor
        rounds = count * (time.monotonic() - begin)
    each, least = ours / rounds * 0.95, floor / rounds  # jitter shortens each interval by 5 % on average
    return Figure(
        "CPU of a tcp probe at 1 Hz",
        f"{each * 1000:.2f} ms",
        f"{least * 1000:.2f} ms (a bare loop of Python that connects)",
        f"{each / least:.2f}",
        "0.30 ms",
        each < 0.0003,
    )


@contextmanager
def floors(count: int, port: int) -> Iterator[list[int]]:
    """So many processes that do nothing but connect once a second; their process ids."""
    words = [PYTHON, "-I", "-S", "-c", FLOOR, str(port)]
    with ExitStack() as stack:
        loops = [stack.enter_context(subprocess.Popen(words)) for _ in range(count)]
        for loop in loops:
            stack.callback(loop.kill)
        time.sleep(2.5)
        assert all(loop.poll() is None for loop in loops), "a bare loop has ended"
        yield [loop.pid for loop in loops]


def cpu_seconds(pids: list[int]) -> float:
    """CPU time of processes, by the scheduler's own clock."""
    return (
        sum(int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[0]) for pid in pids) / 1e9
    )
