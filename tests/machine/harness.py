"""A throwaway machine: a real systemd in a container, on a root it can write to and nobody has to clean.

    with Machine.boot("trixie") as machine:
        machine.write("/etc/systemd/system/hello.service", "[Service]\\nExecStart=echo hello\\n")
        machine.systemctl("daemon-reload")

The checkout is at its own place inside, read-only, and importable by `machine.python`; `pm-native` is on PATH.
Writes of the machine go to a directory below `.machine/` that is removed with it.
"""

from __future__ import annotations

import os
import secrets
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

from tests.machine import layers, nspawn, roots
from tests.machine.roots import CHECKOUT, MachineUnavailableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType
    from typing import Self

    from tests.machine.roots import Root

__all__ = ["CHECKOUT", "Machine", "MachineUnavailableError", "until"]

POLL_SEC = 0.02
# How long a test waits for what comes at once on an idle host: only a failure takes as long, a busy host does not.
PATIENCE_SEC = 60.0
# Joins the machine's cgroups ($1, one a line), so that /proc/self/cgroup reads inside as it would there.
ENTER = 'for group in $1; do echo 0 >"$group/cgroup.procs"; done; shift; exec "$@"'


def until(probe: Callable[[], bool], *, timeout: float = PATIENCE_SEC, what: Callable[[], str]) -> None:
    """Ask `probe` every 20 ms until it says yes; TimeoutError with `what()` after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not probe():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not so after {timeout:g} s: {what()}")
        time.sleep(POLL_SEC)


class Machine:
    """A booted machine; `Machine.boot` makes one, `stop` or the end of its `with` block ends it."""

    def __init__(self, root: Root, machines: Path, *, clean: bool, limits: bool = False) -> None:
        self.root = root
        self.version = root.systemd
        self.name = f"pm-native-{os.getpid()}-{secrets.token_hex(3)}"
        self.python = own_python() if root.name == "host" else Path("/usr/bin/python3")
        self.workdir, self._lock = nspawn.make_workdir(machines, self.name)
        self.boot_sec = 0.0
        self._container = nspawn.Container(
            root,
            name=self.name,
            workdir=self.workdir,
            binds=() if clean else needed_binds(root, self.python),
            limits=limits,
        )

    @classmethod
    def boot(
        cls, root: str = "host", workdir: Path | None = None, *, clean: bool = False, limits: bool = False
    ) -> Self:
        """A machine on `root` ("host", "trixie" or "bookworm"), booted: systemd is `running` or `degraded`.

        A `clean` one has neither the checkout nor a pm-native: to install one in. One with `limits` has them in the
        kernel, as far as this host has cgroups for that which can be given away.

        `workdir` holds the directories of machines, `.machine/` of the checkout by default; it has to be on a
        real file system, and what dead owners left in it is removed first. MachineUnavailableError says why
        this host cannot boot one.
        """
        if reason := nspawn.why_not():
            raise MachineUnavailableError(reason)
        machines = workdir or CHECKOUT / ".machine"
        nspawn.mop_up(machines)
        machine = cls(roots.open_root(root), machines, clean=clean, limits=limits)
        try:
            python = None if clean else machine.python
            layers.prepare(machine.workdir / "upper", machine.root, name=machine.name, python=python)
            machine._start()
            if limits:
                machine._find_controllers()
        except BaseException:
            machine.stop()
            raise
        return machine

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<Machine {self.name} systemd {self.version}>"

    def _start(self) -> None:
        began = time.monotonic()
        self._container.start()
        self.boot_sec = time.monotonic() - began
        self._groups = [
            (group.parent if group.name == "init.scope" else group) / "harness"
            for group in nspawn.cgroup_paths(self.leader)
        ]
        for group in self._groups:
            group.mkdir(exist_ok=True)

    def _find_controllers(self) -> None:
        """Have systemd look again which cgroups it may write to: when it booted they were read-only."""
        self.systemctl("daemon-reexec", check=False)  # it hangs up
        states = {"running", "degraded"}
        until(
            lambda: self.systemctl("is-system-running", check=False).stdout.strip() in states,
            timeout=60,
            what=lambda: self.systemctl("is-system-running", check=False).stdout,
        )

    def stop(self) -> None:
        """End the machine at once and remove all of it; more than once is fine."""
        if self._lock < 0:
            return
        self._container.kill()
        layers.discard(self.workdir)
        os.close(self._lock)
        self._lock = -1

    def reboot(self) -> None:
        """Shut down in order and boot again with the same disk: what is enabled starts, /run and /tmp are new."""
        self._container.power_off()
        self._start()

    @property
    def leader(self) -> int:
        """The machine's PID 1, as the host counts."""
        return self._container.leader

    def command(
        self,
        argv: Sequence[str | Path],
        *,
        env: Mapping[str, str] | None = None,
        user: str | None = None,
        cwd: str | Path | None = None,
    ) -> list[str]:
        """The words that, run on the host, run `argv` inside: for Popen; `run` is the usual way.

        The environment is clean but for `env`. As `user`, with the bus and runtime directory of that user.
        """
        account = self._account(user or "root")
        groups = "\n".join(str(group) for group in self._groups)
        identity = ["--reuid", account[0], "--regid", account[3], "--init-groups"] if user else []
        environment = {**self._environment(account), **(env or {})}
        return [
            *("sh", "-euc", ENTER, "sh", groups, "nsenter", "-t", str(self.leader), "-a", "--"),
            *(("setpriv", *identity, "--") if identity else ()),
            # nsenter stays behind as the parent; when it is killed, so is what it started.
            *("setpriv", "--pdeathsig", "KILL", "--"),
            *("env", "--ignore-environment", f"--chdir={cwd or account[5]}"),
            *(f"{key}={value}" for key, value in environment.items()),
            *(str(word) for word in argv),
        ]

    def run(
        self,
        argv: Sequence[str | Path],
        *,
        check: bool = True,
        input: str | None = None,  # noqa: A002  # as subprocess.run calls it
        env: Mapping[str, str] | None = None,
        user: str | None = None,
        cwd: str | Path | None = None,
        timeout: float = PATIENCE_SEC,
    ) -> subprocess.CompletedProcess[str]:
        """Run `argv` inside, as root or `user`; with `check`, a failure is an AssertionError that tells all."""
        done = subprocess.run(
            self.command(argv, env=env, user=user, cwd=cwd),
            env={"PATH": nspawn.SANE_PATH},
            input=input or "",
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=timeout,
            check=False,
        )
        done.args = [str(word) for word in argv]
        if check and done.returncode:
            raise AssertionError(
                f"{shlex.join(done.args)}: exit status {done.returncode}\n{done.stdout}{done.stderr}"
            )
        return done

    def pm_native(
        self,
        *args: str | Path,
        check: bool = True,
        input: str | None = None,  # noqa: A002  # as subprocess.run calls it
        env: Mapping[str, str] | None = None,
        user: str | None = None,
        cwd: str | Path | None = None,
        timeout: float = PATIENCE_SEC,
    ) -> subprocess.CompletedProcess[str]:
        """Run `pm-native ARGS` inside; the rest as `run`."""
        argv = [self.python, "-m", "pm_native", *args]
        return self.run(argv, check=check, input=input, env=env, user=user, cwd=cwd, timeout=timeout)

    def systemctl(
        self, *args: str, check: bool = True, user: str | None = None, timeout: float = PATIENCE_SEC
    ) -> subprocess.CompletedProcess[str]:
        """Run `systemctl ARGS` inside; with `user`, that user's own manager."""
        scope = ["--user"] if user else []
        return self.run(["systemctl", *scope, *args], check=check, user=user, timeout=timeout)

    def show(self, unit: str, *properties: str, user: str | None = None) -> dict[str, str]:
        """The properties of `unit` as `systemctl show` prints them; all of them if none is named."""
        wanted = [f"--property={','.join(properties)}"] if properties else []
        lines = self.systemctl("show", unit, *wanted, user=user).stdout.splitlines()
        return {key: value for key, _, value in (line.partition("=") for line in lines)}

    def journal(self, unit: str, *, user: str | None = None) -> list[str]:
        """The messages that `unit` and systemd about it have logged, oldest first."""
        self.run(["journalctl", "--sync"])
        which = f"--{'user-' if user else ''}unit={unit}"
        words = ["journalctl", *(["--user"] if user else []), which, "--output=cat", "--no-pager", "--quiet"]
        return self.run(words, user=user).stdout.splitlines()

    def wait_until(
        self, unit: str, *, timeout: float = PATIENCE_SEC, user: str | None = None, **properties: str
    ) -> dict[str, str]:
        """Wait until `unit` has these `properties` (ActiveState="active"); their values at that moment.

        TimeoutError, after `timeout` seconds, tells what they were instead and the end of the unit's journal.
        """
        seen: dict[str, str] = {}

        def reached() -> bool:
            seen.update(self.show(unit, *properties, user=user))
            return seen == properties

        def instead() -> str:
            return "\n".join([f"{unit} has {seen}, not {properties}", *self.journal(unit, user=user)[-10:]])

        until(reached, timeout=timeout, what=instead)
        return seen

    def path(self, inside: str | Path) -> Path:
        """Where the host sees the machine's absolute path `inside`; links are followed inside the machine.

        Also right for what is mounted there (/tmp, /run). Not valid after a reboot.
        """
        top = Path(f"/proc/{self.leader}/root")
        todo = list(reversed(Path(inside).relative_to("/").parts))
        place = Path()
        for _ in range(1000):
            if not todo:
                return top / place
            part = todo.pop()
            if part == "..":
                place = place.parent
                continue
            if not (top / place / part).is_symlink():
                place /= part
                continue
            target = (top / place / part).readlink()
            if target.is_absolute():  # of the machine's root, not of the host's
                place, target = Path(), target.relative_to("/")
            todo.extend(reversed(target.parts))
        raise OSError(f"{inside}: too many levels of symbolic links in {self.name}")

    def write(self, inside: str | Path, text: str, *, mode: int = 0o644) -> None:
        """Write the file `inside`, and the directories above it where there are none."""
        file = self.path(inside)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        file.chmod(mode)

    def read(self, inside: str | Path) -> str:
        """The text of the file `inside`."""
        return self.path(inside).read_text(encoding="utf-8")

    def user_session(self, name: str) -> str:
        """Make the user `name` if there is none, with a manager that runs from now on (linger); `name`."""
        if self.run(["id", name], check=False).returncode:
            self.run(["useradd", "--create-home", "--shell", "/bin/sh", name])
        uid = self._account(name)[2]
        self.run(["loginctl", "enable-linger", name])
        self.systemctl("start", f"user@{uid}.service")  # of Type=notify: up when this returns
        return name

    def _account(self, name: str) -> list[str]:
        """The fields of passwd(5): name, password, uid, gid, full name, home, shell."""
        for line in self.read("/etc/passwd").splitlines():
            if (fields := line.split(":"))[0] == name:
                return fields
        raise LookupError(f"{self.name} has no user {name!r}: user_session makes one")

    @staticmethod
    def _environment(account: list[str]) -> dict[str, str]:
        name, _, uid, _, _, home, shell = account
        environment = {
            "PATH": nspawn.SANE_PATH,
            "HOME": home,
            "USER": name,
            "LOGNAME": name,
            "SHELL": shell,
            "LANG": "C.UTF-8",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        if uid != "0":
            environment["XDG_RUNTIME_DIR"] = f"/run/user/{uid}"
            environment["DBUS_SESSION_BUS_ADDRESS"] = f"unix:path=/run/user/{uid}/bus"
        return environment


def own_python() -> Path:
    """The interpreter that can import pm_native: this one if it runs in a virtualenv, else the checkout's."""
    own = CHECKOUT / ".venv/bin/python"
    return own if sys.prefix == sys.base_prefix and own.exists() else Path(sys.executable)


def needed_binds(root: Root, python: Path) -> list[Path]:
    """What has to be mounted into the machine to be there: the checkout, and an interpreter it would not see.

    PM2, which Debian does not have, is the host's on every root: its folder, and no `pm2` on PATH but where it is the host.
    """
    wanted = [CHECKOUT]
    if root.name != "host" and (folder := pm2_folder()) is not None:
        wanted.append(folder)
    if root.name == "host":
        wanted += [
            place
            for place in (python.parent.parent, python.resolve().parent.parent)
            if is_hidden(place) and not place.is_relative_to(CHECKOUT)
        ]
    return list(dict.fromkeys(wanted))


def pm2_folder() -> Path | None:
    """Where npm has installed PM2 on this host."""
    program = shutil.which("pm2")
    return Path(program).resolve().parent.parent if program else None


def is_hidden(path: Path) -> bool:
    """Whether an overlay over / does not show `path`: it is on another file system, or below one made anew."""
    anew = any(path.is_relative_to(top) for top in ("/tmp", "/run", "/dev", "/proc", "/sys"))
    return anew or path.stat().st_dev != Path("/").stat().st_dev
