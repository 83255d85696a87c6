"""Runs inside a booted machine: a thousand applied processes, and what nothing and one change cost. Prints JSON.

    python -m tests.benchmarks.unchanged PM_NATIVE COUNT

The floor of a command is Python that imports the modules the command imported, beside `systemctl list-units`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

PM_NATIVE, COUNT = sys.argv[1], int(sys.argv[2])
ROUNDS = 9
FOLDER = Path("/srv/bench")
MODULES = """
import gc, sys
gc.disable()
before = set(sys.modules)
from pm_native.cli.main import run
code = run(["apply"])
sys.stderr.write("".join(f"import {name}\\n" for name in sys.modules if name not in before))
sys.exit(code)
"""


def config(changed: int) -> None:
    """All processes, the first one with another command each time; generated as a user does."""
    parts = ['[project]\nname = "bench"\n']
    parts += [
        f'[process.p{number}]\ncommand = "sleep {1_000_000 + (changed if number == 0 else 0)}"\n'
        for number in range(COUNT)
    ]
    (FOLDER / "pm-native.toml").write_text("".join(parts), encoding="utf-8")
    subprocess.run([PM_NATIVE, "generate", "-f", "pm-native.toml"], check=True, capture_output=True)


def timed(argv: list[str]) -> tuple[float, int, str]:
    """Seconds of wall time, peak of memory in bytes, and what it said."""
    begin = time.perf_counter()
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    said = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, f"{argv}: {process.returncode}"
    return seconds, usage.ru_maxrss * 1024, said


def systemds_own(said: str) -> tuple[float, float]:
    """Seconds of the manager's reload and of the one job within an `apply --json`, by its events."""
    events = [json.loads(line) for line in said.splitlines()]
    reload = next(n for n, event in enumerate(events) if event.get("action") == "reload-manager")
    before, after = (datetime.fromisoformat(events[n]["time"]) for n in (reload - 1, reload))
    (job,) = (event["seconds"] for event in events if event.get("event") == "job-ended")
    return (after - before).total_seconds(), job


def stamps() -> list[tuple[str, int, int]]:
    """What a write of any kind would change."""
    places = (Path("/etc/systemd/system"), Path("/etc/pm-native"), Path("/var/lib/pm-native"))
    paths = [path for place in places for path in (place, *place.rglob("*"))]
    found = [
        (str(path), path.stat(follow_symlinks=False)) for path in paths if path.is_symlink() or path.exists()
    ]
    return [(name, status.st_mtime_ns, status.st_ino) for name, status in found]


def runs() -> set[str]:
    """The invocations of all of the units: a job would make others."""
    shown = subprocess.run(
        ["systemctl", "show", "--property=InvocationID", "bench-*.service"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(shown.stdout.split())


def main() -> None:
    """Measure in turn."""
    FOLDER.mkdir(parents=True)
    os.chdir(FOLDER)
    config(0)
    timed([PM_NATIVE, "apply", "--settle", "0"])
    assert len(runs()) == COUNT
    imports = subprocess.run([sys.executable, "-c", MODULES], capture_output=True, text=True, check=True)
    floor = FOLDER / "floor.py"
    lines = [line for line in imports.stderr.splitlines(keepends=True) if line.startswith("import ")]
    floor.write_text(
        "".join(["import gc\ngc.disable()\n", *lines, "import os\nos._exit(0)\n"]), encoding="utf-8"
    )
    figures: dict[str, list[float]] = {
        key: [] for key in ("unchanged", "imports", "list-units", "changed", "reload", "job", "plan bytes")
    }
    for number in range(ROUNDS):
        before = stamps(), runs()
        seconds, _, said = timed([PM_NATIVE, "apply"])
        assert (stamps(), runs()) == before, "an apply of what is there has changed something"
        assert "nothing to do" in said, said
        figures["unchanged"].append(seconds)
        figures["imports"].append(timed([sys.executable, str(floor)])[0])
        figures["list-units"].append(timed(["systemctl", "list-units", "--no-pager"])[0])
        figures["plan bytes"].append(timed([PM_NATIVE, "plan"])[1])
        config(number + 1)
        seconds, _, said = timed([PM_NATIVE, "apply", "--settle", "0", "--json"])
        assert len(runs() - before[1]) == 1, "one was to restart, and no other"
        reload, job = systemds_own(said)
        figures["changed"].append(seconds - reload - job)
        figures["reload"].append(reload)
        figures["job"].append(job)
    json.dump(figures, sys.stdout)


if __name__ == "__main__":
    main()
