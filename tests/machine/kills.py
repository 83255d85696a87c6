"""Run on a machine: kills `pm-native apply` at every third point at which it changes anything, and looks what is left.

    python kills.py PROJECT A.toml B.toml

The config leads from A to B and back, so that each kill meets a switch with adds, changes and removals. Prints JSON:
the number of points and of steps, the kills that were made, and each thing that was not as it must be.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

from pm_native.bus.systemd import SystemdManager
from pm_native.cli.main import run
from pm_native.state.generations import Generations
from pm_native.state.layout import system_layout
from pm_native.state.store import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

STEP = 3
PROJECT = sys.argv[1]
CONFIGS = sys.argv[2:4]
LAYOUT = system_layout()
STORE = Store(LAYOUT, PROJECT)
SCRATCH = re.compile(r"\..*\.\d+\.new")
Files = dict[str, str]


def in_child(action: Callable[[], int], out: str = os.devnull) -> int:
    """What a process of its own ends with; minus the signal that killed it."""
    if (pid := os.fork()) == 0:
        code = 99
        try:
            descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(descriptor, 1)
            os.dup2(descriptor, 2)
            code = action()
            sys.stdout.flush()
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


def apply(config: str) -> int:
    return run(["apply", "-f", config, "--settle", "0"])


def armed(config: str, at: int, counted: str = "") -> int:
    """Apply, and be killed at point `at`; 0: never, and the number of points is written to `counted`."""
    points = 0

    def guarded(call: Callable[..., object], /, *args: object, **more: object) -> object:
        nonlocal points
        if not str(args[0]).startswith("/tmp") and "dir_fd" not in more:
            points += 1
            if points == at:
                os.kill(os.getpid(), signal.SIGKILL)
        return call(*args, **more)

    def wrapped(call: Callable[..., object]) -> Callable[..., object]:
        return lambda *args, **more: guarded(call, *args, **more)

    for name in ("rename", "unlink", "symlink", "mkdir", "rmdir"):
        setattr(os, name, wrapped(getattr(os, name)))
    for name in ("submit", "reload", "reset_failed"):
        setattr(SystemdManager, name, wrapped(getattr(SystemdManager, name)))
    code = apply(config)
    if counted:
        Path(counted).write_text(str(points), encoding="utf-8")
    return code


def files() -> Files:
    """The files and links of the project, and scratch files."""
    found = {}
    for place in (LAYOUT.units, LAYOUT.environment(PROJECT)):
        for path in place.rglob("*"):
            if PROJECT in str(path) and (path.is_symlink() or path.is_file()):
                found[str(path)] = f"-> {path.readlink()}" if path.is_symlink() else path.read_text("utf-8")
    return found


def running() -> dict[str, str]:
    """Services and targets that are up, each with what tells on which settings it runs."""
    words = [
        "systemctl",
        "show",
        "--property=Id,ActiveState,MainPID",
        f"{PROJECT}*.service",
        f"{PROJECT}*.target",
    ]
    shown = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    found = {}
    for block in filter(None, shown.strip().split("\n\n")):
        values = dict(line.split("=", 1) for line in block.splitlines())
        if values["ActiveState"] in {"inactive", "failed"}:
            continue
        pid = values.get("MainPID", "0")
        environment = Path(f"/proc/{pid}/environ").read_text("utf-8").split("\0") if pid != "0" else []
        found[values["Id"]] = " ".join(
            word for word in environment if word.startswith(("COLOUR=", "API_KEY="))
        )
    return found


def faults_left(known: list[Files]) -> list[str]:
    """What is wrong after a kill."""
    installed = STORE.load()
    assert installed is not None
    bundle = installed.bundle
    owned = {item.name for item in bundle.files}
    units = {unit.name for unit in bundle.units}
    faults = []
    for path, text in files().items():
        name = Path(path).name
        if SCRATCH.fullmatch(name):
            continue
        if name not in owned:
            faults.append(f"{path} is outside of the record")
        if text not in [tree.get(path) for tree in known]:
            faults.append(f"{path} is torn")
    faults += [f"{name} runs and is outside of the record" for name in running().keys() - units]
    kept = Generations(STORE.directory)
    for number in kept.numbers():
        kept.bundle(number)
    return faults


def faults_after(expected: tuple[Files, dict[str, str]]) -> list[str]:
    """What is wrong after the next apply."""
    faults = []
    tree, up = files(), running()
    for what, found, wanted in (("file", tree, expected[0]), ("unit", up, expected[1])):
        faults += [
            f"{what} {name}: {found.get(name)!r}, not {wanted.get(name)!r}"
            for name in sorted(found.keys() | wanted.keys())
            if found.get(name) != wanted.get(name)
        ]
    faults += [f"left: {path}" for path in STORE.directory.rglob(".*")]
    installed = STORE.load()
    assert installed is not None
    if not installed.complete or installed.to_restart or installed.to_start:
        faults.append("the record is not complete")
    if Generations(STORE.directory).record(installed.generation).result != "done":
        faults.append("the generation has no end")
    return faults


def main() -> dict[str, object]:
    out = f"/run/{PROJECT}.out"
    faults: list[str] = []
    expected: list[tuple[Files, dict[str, str]]] = []
    for config in CONFIGS:
        if code := in_child(partial(apply, config), out):
            return {"faults": [f"apply of {config}: {code}", Path(out).read_text("utf-8")]}
        expected.append((files(), running()))
    known = [tree for tree, _ in expected]
    counted = f"/run/{PROJECT}.points"
    in_child(partial(armed, CONFIGS[0], 0, counted))
    points = int(Path(counted).read_text("utf-8"))
    installed = STORE.load()
    assert installed is not None
    steps = len(Generations(STORE.directory).record(installed.generation).steps)
    kills = []
    to = 1
    for at in range(1, points + 1, STEP):
        config = CONFIGS[to]
        if in_child(partial(armed, config, at)) != -signal.SIGKILL:
            break  # this direction has fewer points
        kills.append(at)
        found = faults_left(known)
        if code := in_child(partial(apply, config), out):
            found.append(f"the next apply ended with {code}: {Path(out).read_text('utf-8')}")
        found += faults_after(expected[to])
        if in_child(partial(run, ["plan", "-f", config]), out):
            found.append(f"the plan after it is not empty: {Path(out).read_text('utf-8')}")
        faults += [f"killed at point {at}: {fault}" for fault in found]
        to = 1 - to
    return {"points": points, "steps": steps, "kills": len(kills), "faults": faults}


if __name__ == "__main__":
    json.dump(main(), sys.stdout)
