"""What a watcher costs: its memory, its CPU while nothing changes, the time from a saved file to the restart."""

from __future__ import annotations

import os
import socket
import statistics
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

from tests.benchmarks.health import PYTHON, SECONDS, cpu_seconds, private_dirty
from tests.benchmarks.measure import CHECKOUT, Figure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO

MAIN = CHECKOUT / "pm_native/runtime/watch/__main__.py"
FOLDERS = 1000
SAVES = 6  # more in a row are taken for the program's own
# Tells of a service that runs, and that it has been restarted.
SYSTEMCTL = "#!/bin/sh\nprintf 'Id=bench.service\\nLoadState=loaded\\nActiveState=active\\n'\n"


def watch_figures(scratch: Path) -> Iterator[Figure]:
    """All of them; AssertionError where a watcher does not watch, or restarts without a reason."""
    for number in range(FOLDERS):
        (scratch / f"shop/src/{number // 50}/{number}").mkdir(parents=True)
    with watcher(scratch) as (pid, lines), bare_python() as floor:
        ours, least = private_dirty([pid]), private_dirty([floor])
        yield Figure(
            f"a watcher of {FOLDERS} folders, private memory",
            f"{ours:.1f} MiB",
            f"{least:.1f} MiB (python3 -I, asleep)",
            f"{ours / least:.2f}",
            "12 MiB",
            ours <= 12,
        )
        used = cpu_seconds([pid])
        time.sleep(SECONDS)
        used = cpu_seconds([pid]) - used
        what = f"CPU of a watcher in {SECONDS:g} s without a change"
        yield Figure(what, f"{used * 1000:.2f} ms", "-", "-", "0.00 ms", used < 0.000005)
        saves = [seconds_to_restart(scratch / "shop/src/7/350", number, lines) for number in range(SAVES)]
        median = statistics.median(saves)
        what = "from a saved file to its restart, beyond `delay`"
        yield Figure(what, f"{median * 1000:.1f} ms", "-", "-", "25 ms", median <= 0.025)


@contextmanager
def watcher(scratch: Path) -> Iterator[tuple[int, IO[str]]]:
    """A watcher that watches; its process id, and what it says."""
    import inotify

    program = scratch / "bin/systemctl"
    program.parent.mkdir()
    program.write_text(SYSTEMCTL, encoding="ascii")
    program.chmod(0o755)
    words = ["--unit=bench.service", f"--directory={scratch}/shop", "--watch=src/**", "--delay=0s"]
    library = f"--library={Path(inotify.__path__[0]).parent}"
    environment = {"PATH": f"{scratch}/bin:/usr/bin:/bin", "NOTIFY_SOCKET": f"{scratch}/ready"}
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready:
        ready.bind(f"{scratch}/ready")
        ready.settimeout(60)
        process = subprocess.Popen(
            [PYTHON, "-I", MAIN, library, *words], env=environment, stderr=subprocess.PIPE, text=True
        )
        try:
            said = ready.recv(4096).decode()
            assert said.startswith(f"READY=1\nSTATUS=watching {FOLDERS + 22} folders"), said
            assert process.stderr is not None
            yield process.pid, process.stderr
        finally:
            process.kill()
            process.wait()


@contextmanager
def bare_python() -> Iterator[int]:
    """An interpreter that does nothing."""
    code = "import os; os.write(1, b'.'); os.read(0, 1)"
    with subprocess.Popen(
        [PYTHON, "-I", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.read(1) == b"."
        yield process.pid
        process.kill()


def seconds_to_restart(folder: Path, number: int, lines: IO[str]) -> float:
    """Save a file, and wait until its restart is said."""
    descriptor = os.open(folder / f"{number}.js", os.O_WRONLY | os.O_CREAT)
    os.write(descriptor, b"x")
    begin = time.perf_counter()
    os.close(descriptor)
    said = lines.readline()
    took = time.perf_counter() - begin
    assert said == f"<5>src/7/350/{number}.js changed: restarting bench.service\n", said
    return took
