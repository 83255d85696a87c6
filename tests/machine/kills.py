"""Run on a machine: kills apply, rollback and remove at points at which they change anything, and looks what is left.

    python kills.py PROJECT A.toml B.toml SICK FIRST STEP WHOLE_STEP [KIND]

A point is a call that changes the disk (a file made, filled, closed to others, renamed or removed, a link, a folder) or
a message that has systemd do something (a job, a reload, a reset). At the points FIRST, FIRST + STEP, ... the process is
killed before the call. `apply` leads from A to B, `rollback` from B to A; and, at each WHOLE_STEP, `remove` from A to
nothing, and the first `apply` from there to A; what follows a kill finishes it or undoes it, in turn. Before each run the process SICK has
failed. With the KIND of a file system, files and records are on a disk that has it, and its power is cut at each kill and
after each run that follows: what runs then is what systemd has started from the disk. Every run is a fork of this
process, which has all modules loaded, and goes the way of the command line.

Prints JSON: by the way the numbers of points and of steps, the kills that were made, and each thing that was not as it
must be.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from pathlib import Path

from pm_native.bus import dbus
from pm_native.cli.main import run
from pm_native.errors import ExitCode
from pm_native.state.generations import Generations
from pm_native.state.layout import system_layout
from pm_native.state.store import Store
from pm_native.unit.name import Scope
from tests.machine.power import Disk, call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PROJECT, A, B, SICK = sys.argv[1:5]
FIRST, STEP, WHOLE_STEP = map(int, sys.argv[5:8])
NOTHING = "nothing"
LAYOUT = system_layout()
DISK = (
    Disk(
        kind=sys.argv[8],
        image=Path("/run/disk.image"),
        place=Path("/run/disk"),
        folders=(LAYOUT.units, LAYOUT.environments, LAYOUT.projects),
    )
    if sys.argv[8:]
    else None
)
STORE = Store(LAYOUT, PROJECT)
KEPT = Generations(STORE.directory)
SCRATCH = re.compile(r"\.(.+)\.\d+\.new")
ON_DISK = ("chmod", "fchmod", "link", "mkdir", "open", "rename", "rmdir", "symlink", "unlink", "write")
ASKED = re.compile(rb"(?:Start|Stop|Restart|Reload|ResetFailed)Unit\0|Reload\0")
MARK = "KILLS_COLOUR="
Files = dict[str, str]
Expected = tuple[Files, dict[str, str], set[str]]  # files, processes, units that are up
OTHERS = (
    "/etc/systemd/system/other.service",
    "/etc/systemd/system/.other.service.77.new",
    "/etc/pm-native/notes",
)


class Faults(list[str]):
    """What was not as it must be, each with the point before it."""

    point = ""

    def add(self, words: str) -> None:
        """Tell of one."""
        self.append(f"{self.point}: {words}")


def forked(action: Callable[[], int], out: str) -> int:
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


def switch(to: str) -> int:
    """Go to a config the way that leads there: B by apply, A by rollback to the generation that has it, if there is."""
    if to == NOTHING:
        return run(["remove", PROJECT, "--force", "--settle", "0"])
    if to == A and (number := generation_of(A)):
        return run(["rollback", str(number), "--project", PROJECT, "--settle", "0"])
    return run(["apply", "-f", to, "--settle", "0", "--systemd-version", "252"])


def generation_of(config: str) -> int:
    """The newest generation with this config that went well; 0: none."""
    for number in reversed(KEPT.numbers()):
        if KEPT.record(number).result == "done" and KEPT.bundle(number).sources[0].path.endswith(config):
            return number
    return 0


def armed(to: str, at: int, counted: str = "") -> int:
    """Switch, and be killed at point `at`; 0: never, and what the points are is written to `counted`."""
    points: list[str] = []

    def reached(what: str) -> None:
        points.append(what)
        if len(points) == at:
            os.kill(os.getpid(), signal.SIGKILL)

    def on_disk(name: str, call: Callable[..., object], /, *args: object, **more: object) -> object:
        path = Path(str(args[0]))
        if (folder := more.get("dir_fd")) is not None:
            path = Path(f"/proc/self/fd/{folder}").readlink() / path
        if not str(path).startswith(("/tmp", "/dev")) and (name != "open" or int(str(args[1])) & os.O_CREAT):
            reached(f"{name} {path}")
        return call(*args, **more)

    def send(sock: dbus._PatientSocket, data: bytes) -> int:
        if asked := ASKED.search(data):
            reached(asked[0].decode().rstrip("\0"))
        return sent(sock, data)

    for name in ON_DISK:
        setattr(os, name, partial(on_disk, name, getattr(os, name)))
    sent = dbus._PatientSocket.send
    setattr(dbus._PatientSocket, "send", send)  # noqa: B010 - not for mypy to follow
    code = switch(to)
    if counted:
        Path(counted).write_text(json.dumps(points), encoding="utf-8")
    return code


def checked(to: str) -> int:
    """Switch, and see that nothing is left to do."""
    if to == NOTHING:
        is_there = STORE.directory.exists()
        return switch(to) if is_there else switch(to) - ExitCode.USAGE
    return switch(to) or run(["plan", "-f", to, "--systemd-version", "252"])


def files() -> Files:
    """The files and links of the project, scratch files too."""
    found = {}
    for place in (LAYOUT.units, LAYOUT.environment(PROJECT)):
        for folder, _, names in os.walk(place):
            for name in names:
                path = Path(folder, name)
                if PROJECT in str(path):
                    found[str(path)] = (
                        f"-> {path.readlink()}" if path.is_symlink() else path.read_text("utf-8")
                    )
    return found


def processes() -> dict[str, str]:
    """The processes that carry our mark: unit by the kernel's word, and on which settings each runs."""
    found = {}
    for pid in (path.name for path in Path("/proc").glob("[0-9]*")):
        try:
            words = Path(f"/proc/{pid}/environ").read_text("utf-8").split("\0")
            group = Path(f"/proc/{pid}/cgroup").read_text("utf-8")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if any(word.startswith(MARK) for word in words):
            unit = re.search(r"([^/\n]+\.service)$", group, re.MULTILINE)
            found[unit[1] if unit else f"process {pid}"] = " ".join(
                word for word in words if word.startswith((MARK, "API_KEY="))
            )
    return found


class Watcher:
    """Looks at systemd over one connection for all of the time."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.opened = dbus.connect(Scope.SYSTEM)
        self.manager = loop.run_until_complete(self.opened.__aenter__())
        self.others = self.other_things()

    def up(self) -> set[str]:
        """The units of the project that are up, or on their way."""
        states = self.loop.run_until_complete(self.manager.list_units([f"{PROJECT}*"]))
        return {
            state.name
            for state in states
            if state.active_state not in {"inactive", "failed"} and not state.name.endswith(".slice")
        }

    def fail_one(self) -> None:
        """Have SICK end as a program does that is killed, where it runs."""
        name = f"{PROJECT}-{SICK}.service"
        details = self.loop.run_until_complete(self.manager.details([name]))
        if name in details and (pid := details[name].main_pid):
            os.kill(pid, signal.SIGKILL)
            while self.loop.run_until_complete(self.manager.states([name]))[name].active_state != "failed":
                time.sleep(0.002)

    def other_things(self) -> object:
        """What is not ours: files by what a change of any kind would change, and the run of a unit."""
        details = self.loop.run_until_complete(self.manager.details(["other.service"]))
        return [(status.st_ino, status.st_ctime_ns) for status in map(os.stat, OTHERS)], details[
            "other.service"
        ].main_pid


def cut_power() -> None:
    """Cut it where there is a disk for that: what it has left is what the next boot finds."""
    if DISK is None:
        return
    call("systemctl", "stop", f"{PROJECT}*")
    DISK.cut()
    call("systemctl", "daemon-reload")
    call("systemctl", "reset-failed")
    call("systemctl", "start", "multi-user.target")


def check_left(faults: Faults, watcher: Watcher, known: list[Files]) -> None:
    """What must be so after a kill."""
    installed = STORE.load()
    owned = {item.name for item in installed.bundle.files} if installed else set()
    for path, text in files().items():
        name = Path(path).name
        if scratch := SCRATCH.fullmatch(name):
            name = scratch[1]
        elif text not in [tree.get(path) for tree in known]:
            faults.add(f"{path} is torn")
        if name not in owned:
            faults.add(f"{path} is outside of the record")
    units = {unit.name for unit in installed.bundle.units} if installed else set()
    for name in sorted((watcher.up() | processes().keys()) - units):
        faults.add(f"{name} runs and is outside of the record")
    for number in KEPT.numbers():
        KEPT.bundle(number)  # StateError where one is not whole


def check_end(faults: Faults, watcher: Watcher, to: str, expected: Expected) -> None:
    """What must be so after the run that follows."""
    for what, found, wanted in (("file", files(), expected[0]), ("process", processes(), expected[1])):
        for name in sorted(found.keys() | wanted.keys()):
            if found.get(name) != wanted.get(name):
                faults.add(f"{what} {name}: {found.get(name)!r}, not {wanted.get(name)!r}")
    for name in sorted(watcher.up() ^ expected[2]):
        faults.add(f"{name} is up, or should be")
    if watcher.other_things() != watcher.others:
        faults.add("what is not ours was touched")
    ours = (STORE.directory, LAYOUT.environment(PROJECT), LAYOUT.lock(PROJECT))
    left = [*STORE.directory.rglob(".*")] if to != NOTHING else [path for path in ours if path.exists()]
    # What is swept away may be back after a power cut: then the next run sweeps once more.
    if left and (to == NOTHING or DISK is None):
        faults.add(f"left: {left}")
    if to != NOTHING:
        check_record(faults)


def check_record(faults: Faults) -> None:
    """What must be so of the record when a run has come to its end."""
    installed = STORE.load()
    assert installed is not None
    if not installed.complete or installed.to_restart or installed.to_start:
        faults.add("the record is not complete")
    if KEPT.record(installed.generation).result != "done":
        faults.add("the generation has no end")


def sweep(faults: Faults, points: dict[str, list[str]], step: int) -> Iterator[tuple[str, int, str]]:
    """Where to, killed at which point, and where to then: until all points that are asked for have been.

    `points` has those of the way there for both ends; the last of them is where this begins.
    """
    todo = {to: list(range(FIRST, len(names) + 1, step)) for to, names in points.items()}
    end, begin = points
    here, turn = begin, 0
    while any(todo.values()):
        there = end if here == begin else begin
        if not todo[there]:
            faults.point = f"on the way to {there}"
            yield there, 0, there
            here = there
            continue
        at = todo[there].pop(0)
        turn += 1
        # Finished and undone in turn, each way twice in a row, so that points of both kinds come in both ways.
        then = there if turn // 2 % 2 else here
        faults.point = f"killed on the way from {here} to {there} at point {at} ({points[there][at - 1]}), then to {then}"
        yield there, at, then
        here = then


def warm_up() -> None:
    """Load what a switch loads, once for all forks, and make as many generations as are kept: each run lets go of one."""
    with (
        Path(os.devnull).open("w", encoding="utf-8") as nowhere,
        redirect_stdout(nowhere),
        redirect_stderr(nowhere),
    ):
        for config in (A, B) * 3:
            checked(config)


def way(faults: Faults, watcher: Watcher, begin: str, end: str, step: int) -> dict[str, object]:
    """Kill on the ways from `begin`, which is where this is, to `end` and back."""
    out = f"/run/{PROJECT}.out"
    expected: dict[str, Expected] = {}
    points: dict[str, list[str]] = {}
    steps = []
    for to in (end, begin):
        watcher.fail_one()
        counted = f"/run/{PROJECT}.points"
        if forked(partial(armed, to, 0, counted), out) or forked(partial(checked, to), out):
            faults.add(f"the way to {to}: {Path(out).read_text('utf-8')}")
            return {}
        points[to] = json.loads(Path(counted).read_text("utf-8"))
        expected[to] = files(), processes(), watcher.up()
        steps.append(0 if to == NOTHING else len(KEPT.record(KEPT.numbers()[-1]).steps))
    kills = 0
    for to, at, then in sweep(faults, points, step):
        if at:
            watcher.fail_one()
            if (code := forked(partial(armed, to, at), out)) != -signal.SIGKILL:
                faults.add(f"not killed: {code}")
            kills += 1
            cut_power()
            check_left(faults, watcher, [tree for tree, _, _ in expected.values()])
        if code := forked(partial(checked, then), out):
            faults.add(f"what follows ended with {code}: {Path(out).read_text('utf-8')}")
        cut_power()
        check_end(faults, watcher, then, expected[then])
    return {
        "kinds": sorted({name.split()[0] for names in points.values() for name in names}),
        "points": [len(names) for names in points.values()],
        "steps": steps,
        "kills": kills,
    }


def main() -> dict[str, object]:
    """All ways, and what was wrong on them."""
    faults = Faults()
    if DISK is not None:
        DISK.make()
    watcher = Watcher(asyncio.new_event_loop())
    warm_up()
    found = {}
    for name, begin, end, step in (("switch", A, B, STEP), ("whole", NOTHING, A, WHOLE_STEP)):
        forked(partial(switch, begin), f"/run/{PROJECT}.out")
        found[name] = way(faults, watcher, begin, end, step)
    return {"faults": faults, **found}


if __name__ == "__main__":
    # A killed process has what it wrote in the page cache: only a power cut tells synced from written.
    if DISK is None:
        setattr(os, "fsync", lambda _: None)  # noqa: B010 - as above
    json.dump(main(), sys.stdout)
