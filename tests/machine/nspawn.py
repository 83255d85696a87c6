"""Booting a container with systemd-nspawn so that nothing outlives whoever booted it.

Three things make that so. The overlay is mounted in a mount namespace of its own, never on the host. All
processes are in a PID namespace whose first one the kernel kills when the process that booted the machine dies,
however it dies. (systemd-nspawn itself is not enough: the container's PID 1 survives it.) And each machine has
cgroups of its own: two that share one would see each other's processes in their units.
"""

from __future__ import annotations

import fcntl
import os
import select
import shutil
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

from tests.machine.layers import discard
from tests.machine.roots import MachineUnavailableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.machine.roots import Root

TOOLS = ("systemd-nspawn", "nsenter", "unshare", "setpriv", "mount")
SANE_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
BOOT_TIMEOUT_SEC = 60
STOP_TIMEOUT_SEC = 30
POWER_OFF = signal.SIGRTMIN + 4  # systemd(1)
# $1: cgroup directories, one a line; $2: mount options; $3: where to mount; the rest: the command.
LAUNCH = """
for group in $1; do echo 0 >"$group/cgroup.procs"; done
mkdir -p /run/systemd/nspawn
mount -t tmpfs tmpfs /run/systemd/nspawn  # nspawn leaves locks there when it is killed
mount -t overlay overlay -o "$2" "$3"
shift 3
exec "$@"
"""


def why_not() -> str:
    """Why no machine can be booted here, and what would help; "" where one can."""
    if os.geteuid():
        return "booting a machine takes root"
    if missing := [tool for tool in TOOLS if not shutil.which(tool)]:
        return f"{', '.join(missing)} missing: install systemd-container, util-linux and mount"
    probe = subprocess.run(["unshare", "--mount", "true"], capture_output=True, text=True, check=False)
    if probe.returncode:
        return f"no mount namespaces here: {probe.stderr.strip()}"
    return ""


def cgroup_paths(pid: int | str) -> Iterator[Path]:
    """The cgroups of process `pid` that systemd keeps units in: v2's, and on v1 the one named systemd."""
    mounted = Path("/sys/fs/cgroup")
    for line in Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8").splitlines():
        number, controllers, path = line.split(":", 2)
        if controllers == "name=systemd":
            yield mounted / "systemd" / path.lstrip("/")
        elif number == "0":
            hybrid = mounted / "unified"
            top = hybrid if hybrid.is_dir() else mounted
            if (top / "cgroup.procs").exists():
                yield top / path.lstrip("/")


def host_runs_systemd() -> bool:
    """Whether this host's PID 1 is systemd, which then owns the cgroups and has to be asked for one."""
    return Path("/run/systemd/system").is_dir()


def own_cgroups(name: str) -> list[Path]:
    """The cgroups made for the machine `name`, whether they exist or not."""
    return [] if host_runs_systemd() else [path / name for path in cgroup_paths("self")]


def limit_cgroups(name: str) -> list[Path]:
    """The cgroups of a machine that is to limit memory and processes, where this host has v1's; there or not."""
    if host_runs_systemd():
        return []
    found = []
    for line in Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines():
        _, controllers, path = line.split(":", 2)
        top = Path("/sys/fs/cgroup") / controllers
        if controllers in {"memory", "pids"} and (top / "cgroup.procs").exists():
            found.append(top / path.lstrip("/") / name)
    return found


def overlay_option(key: str, path: Path) -> str:
    """`key=path` for overlayfs, whose separators are colon and comma."""
    text = str(path).replace("\\", r"\\").replace(":", r"\:").replace(",", r"\,")
    return f"{key}={text}"


class Container:
    """One boot of the machine kept in `workdir` (upper/, work/, merged/), by the name `name`."""

    def __init__(
        self, root: Root, *, name: str, workdir: Path, binds: Iterable[Path] = (), limits: bool = False
    ) -> None:
        self.root = root
        self.name = name
        self.workdir = workdir
        self.binds = tuple(binds)
        self.limits = tuple(limit_cgroups(name)) if limits else ()
        self.leader = 0  # the container's PID 1, as the host counts
        self.process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        """The words that boot it: a shell that joins cgroups and mounts, then systemd-nspawn in its place."""
        layers = {"lowerdir": self.root.path, "upperdir": self.workdir / "upper"}
        options = [overlay_option(key, path) for key, path in layers.items()]
        options.append(overlay_option("workdir", self.workdir / "work"))
        merged = str(self.workdir / "merged")
        groups = "\n".join(str(path) for path in (*own_cgroups(self.name), *self.limits))
        scope = ["systemd-run", "--scope", "--quiet", "--collect", "-p", "Delegate=yes"]
        # The kernel's death notice is that of the starting thread, so it serves in the main thread only.
        tied = threading.current_thread() is threading.main_thread()
        return [
            *([*scope, f"--unit={self.name}", "--"] if host_runs_systemd() else []),
            *(["setpriv", "--pdeathsig", "KILL", "--"] if tied else []),
            *(
                "unshare",
                "--mount",
                "--propagation",
                "private",
                "--pid",
                "--fork",
                "--kill-child",
                "--mount-proc",
            ),
            *("--", "sh", "-euc", LAUNCH, "sh", groups, ",".join(options), merged),
            *("systemd-nspawn", "--quiet", "--boot", "--register=no", "--keep-unit", "--notify-ready=yes"),
            *(f"--directory={merged}", f"--machine={self.name}", "--console=pipe", "--private-network"),
            *("--link-journal=no", "--resolv-conf=off", "--timezone=off"),
            *(f"--bind-ro={escape_bind(path)}:{escape_bind(path)}:norbind" for path in self.binds),
        ]

    def start(self) -> None:
        """Boot and wait until systemd says that it is done; MachineUnavailableError tells the console's end."""
        for group in (*own_cgroups(self.name), *self.limits):
            group.mkdir(exist_ok=True)
        for part in ("upper", "work", "merged"):
            (self.workdir / part).mkdir(exist_ok=True)
        environment = {"PATH": SANE_PATH, "NOTIFY_SOCKET": f"@{self.name}"}
        if self.root.unified:
            environment["SYSTEMD_NSPAWN_UNIFIED_HIERARCHY"] = "1"
        with (
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notices,
            (self.workdir / "console").open("ab") as console,
        ):
            notices.bind(f"\0{self.name}")
            self.process = subprocess.Popen(
                self.command(),
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                start_new_session=True,  # Ctrl-C at a shell inside is not meant for the machine
            )
            try:
                self._await_ready(notices, self.process)
                for group in self.limits:
                    self._open(group.parts[4])
            except BaseException:
                self.kill()
                raise

    def _await_ready(self, notices: socket.socket, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + BOOT_TIMEOUT_SEC
        ended = os.pidfd_open(process.pid)
        try:
            while (left := deadline - time.monotonic()) > 0:
                readable, _, _ = select.select([notices.fileno(), ended], [], [], left)
                if notices.fileno() in readable:
                    if b"READY=1" in notices.recv(4096).splitlines():
                        # What it says of X_NSPAWN_LEADER_PID= is counted in the namespace between.
                        self.leader = only_child(only_child(process.pid))
                        return
                elif ended in readable:
                    raise MachineUnavailableError(f"systemd-nspawn gave up:\n{self.console()}")
        finally:
            os.close(ended)
        raise MachineUnavailableError(f"not booted after {BOOT_TIMEOUT_SEC} s:\n{self.console()}")

    def _open(self, controller: str) -> None:
        """Let the machine's systemd write to a controller that nspawn has mounted read-only."""
        mount = ["mount", "-o", "remount,bind,rw", f"/sys/fs/cgroup/{controller}"]
        subprocess.run(["nsenter", "-t", str(self.leader), "-m", "--", *mount], check=True)

    def console(self) -> str:
        """The last lines on the machine's console."""
        text = (self.workdir / "console").read_text(encoding="utf-8", errors="replace")
        return "\n".join(text.splitlines()[-15:])

    def power_off(self) -> None:
        """Shut down in order, as a machine does that will boot again."""
        if self.process:
            os.kill(self.leader, POWER_OFF)
            self.process.wait(STOP_TIMEOUT_SEC)
        self.kill()

    def kill(self) -> None:
        """End it at once: without its PID 1 the kernel ends every other process of a container."""
        if self.process:
            if self.process.poll() is None:
                os.kill(self.leader or self.process.pid, signal.SIGKILL)
            self.process.wait(STOP_TIMEOUT_SEC)
        self.process, self.leader = None, 0
        sweep(self.name)


def only_child(pid: int) -> int:
    """The one child of `pid`."""
    (child,) = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split()
    return int(child)


def escape_bind(path: Path) -> str:
    """`path` as --bind-ro= wants it."""
    return str(path).replace("\\", r"\\").replace(":", r"\:")


def sweep(name: str) -> None:
    """Remove what a machine leaves on the host: its cgroups, and any process still in them."""
    for group in (*own_cgroups(name), *limit_cgroups(name)):
        if group.is_dir():
            sweep_cgroup(group)


def sweep_cgroup(top: Path) -> None:
    """Kill what is in `top` and below, and remove it, the deepest first."""
    groups = [Path(where) for where, _, _ in os.walk(top, topdown=False)]
    deadline = time.monotonic() + STOP_TIMEOUT_SEC
    for group in groups:
        while pids := (group / "cgroup.procs").read_text(encoding="utf-8").split():
            if time.monotonic() > deadline:
                raise TimeoutError(f"processes {pids} of {group} cannot be killed")
            for pid in pids:
                kill_and_wait(int(pid))
        group.rmdir()


def kill_and_wait(pid: int) -> None:
    """Kill one process and wait until it has left its cgroup."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        signal.pidfd_send_signal(handle, signal.SIGKILL)
        select.select([handle], [], [], 1)
    except ProcessLookupError:
        return
    finally:
        os.close(handle)


def make_workdir(machines: Path, name: str) -> tuple[Path, int]:
    """A new directory for the machine `name`, and the lock on it: it is never seen without being locked."""
    scratch = machines / f".{name}"
    scratch.mkdir(parents=True, mode=0o755)
    (scratch / "lock").touch()
    if (handle := claim(scratch)) is None:
        raise FileExistsError(f"somebody else holds {scratch}")
    return scratch.rename(machines / name), handle


def claim(workdir: Path) -> int | None:
    """Mark `workdir` as in use for as long as this process lives; the descriptor of its lock, None if it is taken.

    A directory without a lock is one that is being removed.
    """
    try:
        handle = os.open(workdir / "lock", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    if not os.fstat(handle).st_nlink:  # removed between the two calls
        os.close(handle)
        return None
    return handle


def mop_up(machines: Path) -> list[str]:
    """Remove the machines below `machines` whose owner is dead; their names."""
    gone = []
    for workdir in sorted(machines.glob("pm-native-*")):
        if (handle := claim(workdir)) is None:
            continue
        try:
            sweep(workdir.name)
            discard(workdir)
            gone.append(workdir.name)
        finally:
            os.close(handle)
    return gone
