"""The place of a program for a monitor that is apart from it, and root: it goes there for each look, and comes back.

What a program's user could lead root to (a link in place of a socket or a log) is opened as that user. Commands run as
the unit's processes do, as far as that can be had from outside: user and groups, cgroup, namespaces, environment,
limits, capabilities and "no new privileges"; not the filter of system calls.
"""

from __future__ import annotations

import _signal
import grp
import math
import os
import pwd
import resource

from pm_native.runtime.memory import CGROUPS, cgroup_paths
from pm_native.runtime.spawn import IGNORED, spawn

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ctypes
    from typing import NoReturn, Self

EXIT_EXEC = 203
_CLONE_NEWNS, _CLONE_NEWUTS, _CLONE_NEWIPC, _CLONE_NEWNET = 0x20000, 0x4000000, 0x8000000, 0x40000000
_PR_SET_PDEATHSIG, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 1, 24, 38
_PATH = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# By these a command would think that it speaks for the unit.
_NOT_FOR_COMMANDS = (b"NOTIFY_SOCKET", b"WATCHDOG_PID", b"WATCHDOG_USEC")


class Here:
    """What the monitor itself is, and comes back to."""

    def __init__(self) -> None:
        self.environment = {b"PATH": os.environb.get(b"PATH", _PATH)}
        self.groups = os.getgroups()
        self.network = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self.network_id = _namespace(os.getpid(), "net")
        self.mounts_id = _namespace(os.getpid(), "mnt")
        self._libc: ctypes.CDLL | None = None

    @property
    def libc(self) -> ctypes.CDLL:
        """The C library, for calls that Python 3.11 does not have."""
        if self._libc is None:
            import ctypes  # noqa: PLC0415 - where a program has namespaces of its own, or a command is run

            self._libc = ctypes.CDLL(None, use_errno=True)
        return self._libc

    def call(self, name: str, *arguments: int) -> None:
        """Call a function of the C library; OSError where it fails."""
        import ctypes  # noqa: PLC0415 - as above

        if getattr(self.libc, name)(*arguments):
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))

    def set_network(self, descriptor: int) -> None:
        """Go into a network namespace."""
        self.call("setns", descriptor, _CLONE_NEWNET)


class Owner:
    """As whom the processes of a unit run, as systemd has it, and in which folder."""

    __slots__ = ("directory", "gid", "groups", "uid")

    def __init__(self, uid: int, gid: int, groups: list[int], directory: str) -> None:
        self.uid = uid
        self.gid = gid
        self.groups = groups
        self.directory = directory


def owner_of(shown: dict[str, str]) -> Owner | None:
    """The owner of a unit by what `systemctl show` tells of it; None where systemd does not know its user yet."""
    uid, gid = shown.get("UID", ""), shown.get("GID", "")
    if not uid.isdigit() and (shown.get("User", "") or shown.get("DynamicUser") == "yes"):
        return None
    number = int(uid) if uid.isdigit() else 0
    try:
        account = pwd.getpwuid(number)
        name, home, own_group = account.pw_name, account.pw_dir, account.pw_gid
    except KeyError:
        name, home, own_group = "", "/", number
    group = int(gid) if gid.isdigit() else own_group
    groups = set(os.getgrouplist(name, group)) if name else {group}
    for word in shown.get("SupplementaryGroups", "").split():
        try:
            groups.add(int(word) if word.isdigit() else grp.getgrnam(word).gr_gid)
        except KeyError:
            continue  # systemd would not have started the unit
    directory = shown.get("WorkingDirectory", "").lstrip("!-")
    return Owner(number, group, sorted(groups), home if directory == "~" else directory or "/")


class Outside:
    """The place of one program: its process `pid`, which is known to be there, and its pidfd `process`.

    `runs_commands`: whether `run` will ever be called, for which its environment is read.
    """

    is_shared = True

    def __init__(self, pid: int, process: int, owner: Owner, here: Here, *, runs_commands: bool) -> None:
        self._pid = pid
        self._runs_commands = runs_commands
        self._process = process
        self._owner = owner
        self._here = here
        self._environment: dict[bytes, bytes] = {}
        self._network = self._root = -1
        try:
            if _namespace(pid, "net") != here.network_id:
                self._network = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            if _namespace(pid, "mnt") != here.mounts_id:
                self._root = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            self.close()
            raise

    def has_begun(self) -> bool:
        """Whether the program itself runs by now, not what announced it; its environment is read then."""
        with open(f"/proc/{self._pid}/cmdline", "rb") as file:  # noqa: PTH123 - pathlib is heavy
            words = file.read().split(b"\0")
        end = words.index(b"--") if b"--" in words else 0
        if any(word.startswith(b"--announce=") for word in words[:end]):
            return False
        if self._runs_commands:
            self._read_environment()
        return True

    def _read_environment(self) -> None:
        with open(f"/proc/{self._pid}/environ", "rb") as file:  # noqa: PTH123 - as above
            pairs = [entry.partition(b"=") for entry in file.read().split(b"\0") if b"=" in entry]
        self._environment = {name: value for name, _, value in pairs if name not in _NOT_FOR_COMMANDS}
        self._environment.setdefault(b"PATH", _PATH)

    def close(self) -> None:
        """Go there no more."""
        for descriptor in (self._network, self._root):
            if descriptor >= 0:
                os.close(descriptor)

    def __enter__(self) -> Self:
        """Open and connect as the program's user, in its network, from the root of its file system."""
        try:
            if self._network >= 0:
                self._here.set_network(self._network)
            if self._root >= 0:
                os.fchdir(self._root)
            owner = self._owner
            if owner.uid or owner.gid:
                os.setgroups(owner.groups)
                os.setegid(owner.gid)
                os.seteuid(owner.uid)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Be root again, and here. An error ends the monitor: it must not go on as anything else."""
        if self._owner.uid or self._owner.gid:
            os.seteuid(0)
            os.setegid(0)
            os.setgroups(self._here.groups)
        if self._root >= 0:
            os.chdir("/")
        if self._network >= 0:
            self._here.set_network(self._here.network)

    def path(self, path: str) -> str:
        """A path of the program's, from the root of its file system on."""
        return f".{path}" if self._root >= 0 else path

    def ask(self, words: list[str], output: int) -> int:
        """Start a command of systemd's, as root, with nothing of the program's in its environment."""
        return spawn(words, self._here.environment, output)

    def run(self, words: list[str], output: int, more: dict[bytes, bytes] | None = None) -> int:
        """Start a command as a process of the unit; why it cannot be run is its output."""
        environment = self._environment | (more or {})
        self._here.libc  # noqa: B018 - loaded once, and not in each child
        pid = os.fork()
        if not pid:
            self._become(words, environment, output)
        try:
            os.setpgid(pid, pid)  # the child does so, too: whoever is first
        except (PermissionError, ProcessLookupError):
            return pid
        return pid

    def _become(self, words: list[str], environment: dict[bytes, bytes], output: int) -> NoReturn:
        """In the child: become a process of the unit. Nothing is imported from here on: the file system is another."""
        try:
            os.setpgid(0, 0)
            null = os.open("/dev/null", os.O_RDWR)
            for descriptor, source in ((0, null), (1, output), (2, output)):
                os.dup2(source, descriptor)
            for number in (*IGNORED, _signal.SIGINT, _signal.SIGXFSZ):
                _signal.signal(number, _signal.SIG_DFL)
            status, own = process_status(self._pid), process_status(0)
            self._join()
            self._here.call(
                "setns", self._process, _CLONE_NEWNS | _CLONE_NEWNET | _CLONE_NEWIPC | _CLONE_NEWUTS
            )
            self._drop(status, int(own["CapBnd"], 16))
            os.chdir(self._owner.directory)
            os.execvpe(words[0], words, environment)  # noqa: S606 - what was asked for, as its user
        except (OSError, KeyError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else repr(error)
            os.write(2, f"cannot be run: {why}".encode())
        finally:
            os._exit(EXIT_EXEC)

    def _join(self) -> None:
        """Be where the program is charged and ended: its cgroup, its place in line."""
        for file in _cgroup_files(self._pid):
            _write(file, "0")
        with open(f"/proc/{self._pid}/oom_score_adj", encoding="ascii") as adjusted:  # noqa: PTH123 - pathlib is heavy
            _write("/proc/self/oom_score_adj", adjusted.read())
        os.setpriority(os.PRIO_PROCESS, 0, os.getpriority(os.PRIO_PROCESS, self._pid))

    def _drop(self, status: dict[str, str], bounds: int) -> None:
        """Give up what the program does not have, of the capabilities within `bounds` among others."""
        excess = bounds & ~int(status["CapBnd"], 16)
        for number in range(excess.bit_length()):
            if excess >> number & 1:
                self._here.call("prctl", _PR_CAPBSET_DROP, number, 0, 0, 0)
        if status.get("NoNewPrivs") == "1":
            self._here.call("prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        os.umask(int(status["Umask"], 8))
        os.setgroups(self._owner.groups)
        os.setresgid(self._owner.gid, self._owner.gid, self._owner.gid)
        os.setresuid(self._owner.uid, self._owner.uid, self._owner.uid)
        self._here.call("prctl", _PR_SET_PDEATHSIG, int(_signal.SIGKILL), 0, 0, 0)
        self._lower_limits()

    def _lower_limits(self) -> None:
        """Take over the program's resource limits, as its user: in a container root may lack the right to ask."""
        for name in dir(resource):
            if name.startswith("RLIMIT_"):
                number = getattr(resource, name)
                try:
                    soft, hard = resource.prlimit(self._pid, number)
                except PermissionError:  # it has become another user's since: the limits of the monitor hold
                    return
                hard = _lower(hard, resource.getrlimit(number)[1])
                resource.setrlimit(number, (_lower(soft, hard), hard))


def _namespace(pid: int, kind: str) -> int:
    return os.stat(f"/proc/{pid}/ns/{kind}").st_ino  # noqa: PTH116 - pathlib is heavy


def process_status(pid: int) -> dict[str, str]:
    """What the kernel tells of a process (0: this one) in its `status`."""
    with open(f"/proc/{pid or 'self'}/status", encoding="utf-8", errors="replace") as file:  # noqa: PTH123
        pairs = [line.partition(":") for line in file]
    return {name: value.strip() for name, _, value in pairs}


def _cgroup_files(pid: int) -> list[str]:
    """What is written to for being in the cgroup of a process, in each hierarchy in which it has another."""
    found = []
    own = cgroup_paths(os.getpid())
    for name, path in cgroup_paths(pid).items():
        if own.get(name) == path:
            continue
        tops = ("/unified", "") if not name else (f"/{name.removeprefix('name=')}",)
        files = [f"{CGROUPS}{top}{path}/cgroup.procs" for top in tops]
        found += [file for file in files if os.path.exists(file)][:1]  # noqa: PTH110 - pathlib is heavy
    return found


def _lower(limit: int, other: int) -> int:
    """The lower one of two resource limits."""
    return min((limit, other), key=lambda value: math.inf if value == resource.RLIM_INFINITY else value)


def _write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)
