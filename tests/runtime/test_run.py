"""`pm-native-run` as systemd runs it, with the test as systemd: what the program gets, and what systemd hears."""

from __future__ import annotations

import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RUN = Path(__file__).parents[2] / "pm_native/runtime/run.py"
PYTHON = [sys.executable, "-I", "-S"]
SLEEP = ["/bin/sleep", "1000"]
FAST = ["--interval=0.1s", "--start-interval=0.1s", "--timeout=30s", "--retries=2"]
PATIENCE = 60  # seconds that only what has failed takes
# The modules of Python's that a monitor may load beside what `python3 -I -S` has loaded by itself.
OS = {"__future__", "_collections_abc", "_stat", "genericpath", "os", "os.path", "posixpath", "stat"}
SMALL = OS | {"_heapq", "_socket", "errno", "heapq", "select"}


class Systemd:
    """systemd's end of the notification socket, and a `systemctl` that tells the state in a file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.unit = f"{folder.name}-{os.getpid()}.service"  # of this test, among all processes of the host
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(folder / "notify"))
        self.socket.settimeout(PATIENCE)
        self.state = folder / "state"
        self.state.write_text("active\n")
        tool = folder / "systemctl"
        tool.write_text(f'#!/bin/sh\necho "$@" >>{folder}/asked\ncat {self.state}\n')
        tool.chmod(0o755)
        self.environment = {"PATH": f"{folder}:/usr/bin:/bin", "NOTIFY_SOCKET": str(folder / "notify")}
        self.running: list[subprocess.Popen[bytes]] = []

    def start(
        self, *options: str, command: list[str] = SLEEP, **environment: str
    ) -> subprocess.Popen[bytes]:
        words = [*PYTHON, str(RUN), f"--unit={self.unit}", *options, "--", *command]
        # The group is the program's own, as a unit's is.
        process = subprocess.Popen(
            words,
            env=self.environment | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self.running.append(process)
        return process

    def heard(self, word: str = "") -> str:
        """The next message that holds the word."""
        while True:
            message = self.socket.recv(5000).decode()
            if word in message and not message.startswith("EXTEND_TIMEOUT_USEC="):
                return message

    def told(self) -> list[str]:
        """What has been said and was not read."""
        found = []
        while select.select([self.socket], [], [], 0)[0]:
            found.append(self.socket.recv(5000).decode())
        return found

    def monitor(self, process: subprocess.Popen[bytes]) -> int:
        """The process that stays beside the program; the one that made it is on its way out."""
        until(lambda: len(self.monitors()) == 1 and process.pid not in self.monitors())
        (found,) = self.monitors()
        return found

    def monitors(self) -> list[int]:
        """The processes of monitors, and of programs that are about to be executed."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with suppress(OSError):
                    words = (entry / "cmdline").read_bytes().split(b"\0")
                    if f"--unit={self.unit}".encode() in words and is_running(int(entry.name)):
                        found.append(int(entry.name))
        return found

    def close(self) -> None:
        for process in self.running:
            process.kill()
            process.communicate()
        until(lambda: self.monitors() == [])
        self.socket.close()


def until(is_so: Callable[[], bool]) -> None:
    """Wait until it is so."""
    deadline = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < deadline
        os.sched_yield()


def wait_for_end(pid: int) -> None:
    """Wait until a process that is nobody's child here has ended: a signal that was sent is not yet an end."""
    with suppress(ProcessLookupError):
        process = os.pidfd_open(pid)
        try:
            assert select.select([process], [], [], PATIENCE)[0]
        finally:
            os.close(process)


def is_running(pid: int) -> bool:
    """Whether there is such a process, and it has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def fill(channel: socket.socket) -> None:
    """Send until there is no room."""
    with suppress(BlockingIOError):
        while True:
            channel.send(b"flood")


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Systemd]:
    made = Systemd(tmp_path)
    yield made
    made.close()


def ignored_signals(status: bytes) -> int:
    """The mask of SigIgn: in /proc/self/status, without the real-time signals: the C library keeps some, as does who tests."""
    (mask,) = re.findall(rb"(?m)^SigIgn:\s*([0-9a-f]+)$", status)
    return int(mask, 16) & ((1 << 31) - 1)


def test_the_program_gets_what_systemd_gave(systemd: Systemd) -> None:
    show = 'env; echo "pid $$"; cat /proc/self/status; ls -l /proc/self/fd'
    options = ("--alive", "--file=/", "--strict")
    given = {"WATCHDOG_PID": "1", "WATCHDOG_USEC": "9", "LISTEN_FDS": "0", "A": "b c\udcff"}
    process = systemd.start(*options, command=["/bin/sh", "-c", show], **given)
    output, errors = process.communicate(timeout=PATIENCE)
    lines = output.decode(errors="surrogateescape").splitlines()
    shell = ("PWD=", "OLDPWD=", "SHLVL=", "_=")  # what a shell adds
    told = {line for line in lines if "=" in line and not line.startswith(shell)}
    assert told == {f"PATH={systemd.environment['PATH']}", "LISTEN_FDS=0", "A=b c\udcff"}
    assert f"pid {process.pid}" in lines  # the very process that systemd started
    assert ignored_signals(output) == 1 << (
        signal.SIGPIPE - 1
    )  # as systemd leaves it; not SIGXFSZ, which Python ignores
    blocked = next(int(line.split()[1], 16) for line in lines if line.startswith("SigBlk:"))
    assert blocked == 0
    assert len([line for line in lines if "->" in line]) == 4  # 0, 1, 2 and that of ls
    assert (process.returncode, errors) == (0, b"")


def test_sigpipe_is_as_the_unit_says(systemd: Systemd) -> None:
    process = systemd.start("--default-sigpipe", command=["/bin/cat", "/proc/self/status"])
    output, _ = process.communicate(timeout=PATIENCE)
    assert ignored_signals(output) == 0


def test_a_program_that_speaks_keeps_its_socket(systemd: Systemd) -> None:
    process = systemd.start("--notify", "--alive", "--file=/", command=["/usr/bin/env"], WATCHDOG_USEC="9")
    output, _ = process.communicate(timeout=PATIENCE)
    assert f"NOTIFY_SOCKET={systemd.environment['NOTIFY_SOCKET']}".encode() in output
    assert b"WATCHDOG_USEC=9" in output


def test_exit_status_and_signals_are_the_programs_own(systemd: Systemd) -> None:
    assert systemd.start("--alive", "--file=/", command=["/bin/sh", "-c", "exit 7"]).wait(PATIENCE) == 7
    assert (
        systemd.start("--alive", "--file=/", command=["/bin/sh", "-c", "kill -ABRT $$"]).wait(PATIENCE) == -6
    )


def test_a_program_that_cannot_be_run(systemd: Systemd) -> None:
    process = systemd.start("--ready", "--file=/", command=["/no/such/program"])
    _, errors = process.communicate(timeout=PATIENCE)
    assert errors == b"pm-native-run: cannot run /no/such/program: No such file or directory\n"
    assert process.returncode == 203
    until(lambda: systemd.monitors() == [])
    assert systemd.told() == []  # not even READY=1 of a check that would pass


def test_options_that_make_no_sense(systemd: Systemd) -> None:
    process = systemd.start("--what")
    assert process.communicate(timeout=PATIENCE)[1] == b"pm-native-run: unknown option --what\n"
    assert process.returncode == 2


def test_without_checks_nothing_stays_behind(systemd: Systemd) -> None:
    process = systemd.start(command=["/bin/cat"])
    process.wait(PATIENCE)
    assert systemd.monitors() == []


def test_ready_by_tcp_after_refusals(systemd: Systemd) -> None:
    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as first:
        address = first.getsockname()
        keeper = socket.socket()  # of the port, also while nobody listens
        keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        keeper.bind(address)
    with keeper:
        port = address[1]
        systemd.start(f"--port={port}", "--ready", "--tcp", *FAST)
        assert systemd.heard() == f"STATUS=waiting for ready: tcp {port} refused (attempt 1)"
        with socket.create_server(address, reuse_port=True):
            assert systemd.heard("READY") == f"READY=1\nSTATUS=ready (tcp {port})"
        # Later it is told, and restarts nothing.
        assert systemd.heard() == f"STATUS=ready so far, tcp {port} refused (1 of 2)"
        assert systemd.heard() == f"STATUS=not ready: tcp {port} refused"
        with socket.create_server(address, reuse_port=True):
            assert systemd.heard() == f"STATUS=ready (tcp {port})"


def test_more_time_is_asked_for_while_it_starts(systemd: Systemd) -> None:
    systemd.start("--start-timeout=2s", "--ready", "--file=/no/such", *FAST)
    waiting = "STATUS=waiting for ready: file such: no such file or directory (attempt {})"
    more = f"EXTEND_TIMEOUT_USEC={int((0.1 + 30 + 5) * 1e6)}"
    heard = [systemd.socket.recv(5000).decode() for _ in range(2)]
    assert heard == [waiting.format(1), more]
    while not all(message.startswith("STATUS=") for message in heard[-2:]):
        heard.append(systemd.socket.recv(5000).decode())
    # Its time is over: systemd decides. Until then it was asked with each attempt.
    attempts = len(heard) // 2
    words = [word for number in range(1, attempts + 1) for word in (waiting.format(number), more)]
    assert heard == [*words[:-1], waiting.format(attempts + 1)]


def test_no_ping_before_it_is_ready(systemd: Systemd) -> None:
    """The first one arms systemd's timer, be the program ready or not."""
    beat = systemd.folder / "beat"
    options = ("--ready", f"--file={beat}", *FAST, "--alive", "--file=/", *FAST, "--strict")
    systemd.start(*options, WATCHDOG_USEC="300000")
    heard: list[str] = []
    while not heard or "attempt 5" not in heard[-1]:  # later than the first ping would be due
        heard.append(systemd.heard())
    beat.touch()
    while "READY=1" not in heard[-1]:
        heard.append(systemd.heard())
    assert not [message for message in heard if "WATCHDOG" in message]
    assert systemd.heard("WATCHDOG") == "WATCHDOG=1"


def test_program_has_no_child_that_it_does_not_know(systemd: Systemd) -> None:
    """One that waits for any child, as process masters do, finds none."""
    ask = "import os\ntry:\n os.waitpid(-1, 0)\nexcept ChildProcessError:\n print('none')"
    command = [sys.executable, "-I", "-c", ask]
    process = systemd.start("--alive", "--file=/", *FAST, command=command)
    assert process.communicate(timeout=PATIENCE) == (b"none\n", b"")


def test_phases_come_one_after_the_other(systemd: Systemd) -> None:
    folder = systemd.folder
    words = [f"--startup --file={folder}/a", f"--ready --file={folder}/b", f"--alive --file={folder}/c"]
    systemd.start(*(word for line in words for word in [*line.split(), *FAST]))
    assert systemd.heard().startswith("STATUS=waiting for startup: file a: ")
    (folder / "a").touch()
    assert systemd.heard("ready").startswith("STATUS=waiting for ready: file b: ")
    (folder / "c").touch()
    (folder / "b").touch()
    assert systemd.heard("READY") == "READY=1\nSTATUS=ready (file b)"
    assert systemd.heard() == "STATUS=ready (file b); alive (file c)"


def test_what_is_not_alive_is_restarted_by_systemd(systemd: Systemd) -> None:
    beat = systemd.folder / "beat"
    beat.touch()
    systemd.start("--alive", f"--file={beat}", *FAST)
    assert systemd.heard() == "READY=1\nSTATUS=started"
    assert systemd.heard() == "STATUS=alive (file beat)"
    beat.unlink()
    why = "file beat: no such file or directory"
    assert systemd.heard() == f"STATUS=alive so far, {why} (1 of 2)"
    assert systemd.heard() == f"STATUS=unhealthy: {why}"
    assert systemd.heard() == f"STATUS=unhealthy: {why}, 2 times\nWATCHDOG=trigger"
    assert (systemd.folder / "asked").read_text() == f"show --property=ActiveState --value {systemd.unit}\n"


@pytest.mark.parametrize("state", ["deactivating", "activating", "reloading", "failed"])
def test_nothing_is_done_to_a_unit_in_another_state(systemd: Systemd, state: str) -> None:
    """A trigger while a program drains would kill it: systemd itself does not look at the state."""
    systemd.state.write_text(f"{state}\n")
    beat = systemd.folder / "beat"
    beat.touch()
    systemd.start("--alive", f"--file={beat}", *FAST)
    systemd.heard("alive")
    beat.unlink()
    asked = systemd.folder / "asked"
    until(lambda: asked.exists() and asked.read_text().count("\n") >= 2)
    # It asks the second time when it has taken in the first answer.
    assert not [message for message in systemd.told() if "WATCHDOG" in message]
    systemd.state.write_text("active\n")
    assert systemd.heard("WATCHDOG").startswith("STATUS=unhealthy: file beat: no such file or directory, ")


def test_a_start_that_fails_is_ended(systemd: Systemd) -> None:
    systemd.state.write_text("activating\n")
    systemd.start("--startup", "--exec=/bin/sh", "--arg=-c", "--arg=echo one; echo two; exit 3", *FAST)
    assert systemd.heard() == "STATUS=waiting for startup: sh exited with 3: two (attempt 1)"
    assert systemd.heard("WATCHDOG") == "STATUS=did not start: sh exited with 3: two\nWATCHDOG=trigger"


def test_other_actions(systemd: Systemd) -> None:
    page = systemd.folder / "page"
    script = f'echo "$PM_NATIVE_HEALTH $MAINPID $1" >{page}.new; mv {page}.new {page}'
    process = systemd.start(
        "--ready", "--file=/", *FAST, "--alive", "--file=/no", "--start-period=0s", *FAST,
        "--on-failure-run=/bin/sh", "--arg=-c", f"--arg={script}", "--arg=sh", "--arg=you",
    )  # fmt: skip
    until(page.exists)
    assert page.read_text().startswith("unhealthy: file no: no such file or directory")
    assert page.read_text().endswith(f" {process.pid} you\n")

    trap = "trap 'echo got it; exit 5' USR1; while :; do sleep 0.05; done"
    process = systemd.start(
        "--alive", "--file=/no", *FAST, "--on-failure=signal:SIGUSR1", command=["/bin/sh", "-c", trap]
    )
    assert process.communicate(timeout=PATIENCE)[0] == b"got it\n"
    assert process.returncode == 5


@pytest.mark.parametrize("option", ["--oom-score={own}:{raised}", "--oom-score=-999:{raised}"])
def test_the_program_and_its_checks_take_their_oom_score_and_the_monitor_keeps_the_units(
    systemd: Systemd, option: str
) -> None:
    own = int(Path("/proc/self/oom_score_adj").read_text())
    raised = min(own + 7, 1000)
    takes = raised if "{own}" in option else own  # where the unit has another one, that is for all
    note = systemd.folder / "command"
    process = systemd.start(
        option.format(own=own, raised=raised),
        *("--ready", "--exec=/bin/sh", "--arg=-c", f"--arg=echo $$ >{note}; exec sleep 1000", *FAST),
        f"--timeout={PATIENCE}s",
    )
    until(lambda: note.exists() and note.read_text().endswith("\n"))

    def score_of(pid: int) -> int:
        return int(Path(f"/proc/{pid}/oom_score_adj").read_text())

    until(lambda: score_of(int(note.read_text())) == takes)  # it runs already when it gets its score
    assert [score_of(process.pid), score_of(systemd.monitor(process))] == [takes, own]


def test_probes_do_not_outlive_their_timeout_nor_leave_anything(systemd: Systemd) -> None:
    pids = systemd.folder / "pids"
    script = f"sleep 1000 & echo $! >>{pids}; echo $$ >>{pids}; sleep 1000"
    tight = [*FAST, "--timeout=0.3s"]
    systemd.start("--ready", "--exec=/bin/sh", "--arg=-c", f"--arg={script}", *tight)
    attempt = 0
    while not pids.exists() or pids.read_text().count("\n") < 2:  # the shell came as far as to write both
        attempt += 1
        words = f"STATUS=waiting for ready: exec: no answer within 0.3 s (attempt {attempt})"
        assert systemd.heard() == words
    for pid in pids.read_text().split()[:2]:
        wait_for_end(int(pid))


def test_output_in_a_log_file_of_this_run_alone(systemd: Systemd) -> None:
    log = systemd.folder / "log"
    log.write_text("ready of the last run\n")
    go = systemd.folder / "go"
    script = f"until test -e {go}; do sleep 0.05; done; echo not yet >>{log}; echo ready 1 >>{log}; exec sleep 1000"
    systemd.start("--ready", "--output=^ready", f"--log={log}", *FAST, command=["/bin/sh", "-c", script])
    assert systemd.heard() == "STATUS=waiting for ready: output without '^ready' so far (attempt 1)"
    go.touch()
    assert systemd.heard("READY") == "READY=1\nSTATUS=ready (output 'ready 1')"


def test_a_monitor_goes_with_its_program_and_not_with_signals_for_it(systemd: Systemd) -> None:
    beat = systemd.folder / "beat"
    beat.touch()
    process = systemd.start("--alive", f"--file={beat}", *FAST)
    systemd.heard("alive")
    monitor = systemd.monitor(process)
    for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGQUIT, signal.SIGWINCH):
        os.kill(monitor, number)
    beat.unlink()
    systemd.heard("alive so far")
    assert systemd.monitors() == [monitor]
    process.kill()
    process.wait(PATIENCE)
    wait_for_end(monitor)


def test_it_survives_a_systemd_that_does_not_listen(systemd: Systemd) -> None:
    """READY=1 waits until there is room for it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as flood:
        flood.connect(str(systemd.folder / "notify"))
        fill(flood)
        systemd.start("--ready", "--file=/", *FAST)
        fill(flood)
    assert systemd.heard("READY") == "READY=1\nSTATUS=ready (file )"


def loaded(modules: str) -> set[str]:
    """What `python3 -I -S` loads more when these are imported."""
    code = (
        f"import sys; old = set(sys.modules); sys.path.insert(0, {str(RUN.parents[2])!r}); import {modules}"
    )
    code += "; print(*sorted(set(sys.modules) - old))"
    return set(subprocess.check_output([*PYTHON, "-c", code], text=True).split())


def test_what_stands_before_the_program_loads_next_to_nothing() -> None:
    assert loaded("pm_native.runtime.launch") - OS == {
        "pm_native",
        "pm_native.runtime",
        "pm_native.runtime.arguments",
        "pm_native.runtime.launch",
    }


def test_a_monitor_loads_little() -> None:
    parts = (
        "instance",
        "target",
        "checker",
        "probes",
        "attempt",
        "connect",
        "http",
        "loop",
        "tell",
        "place",
        "spawn",
        "memory",
        "arguments",
    )
    own = {"pm_native", "pm_native.runtime", *(f"pm_native.runtime.{part}" for part in parts)}
    modules = loaded(", ".join(f"pm_native.runtime.{part}" for part in parts))
    assert modules - own == SMALL


def test_the_monitor_of_a_project_loads_little_more() -> None:
    ours = {name for name in loaded("pm_native.runtime.host") if not name.startswith("pm_native")}
    assert ours | {"errno"} == SMALL | {"_struct", "grp", "math", "pwd", "resource"}
