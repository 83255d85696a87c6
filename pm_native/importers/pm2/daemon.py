"""A PM2 that runs: its processes as a project, and the calls that stop and start them."""

from __future__ import annotations

import json
import os
import pwd
import signal
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from pm_native.errors import Source
from pm_native.importers.pm2.axon import call
from pm_native.importers.pm2.cron import restart_tasks
from pm_native.importers.pm2.dump import apps_of, project_place
from pm_native.importers.running import Member, Running, RunningManagerError, disable_unit
from pm_native.model.project import Project

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pm_native.errors import Diagnostics
    from pm_native.importers.base import ImportOptions
    from pm_native.model.project import Process
    from pm_native.syntax.node import Node

_ONLINE = frozenset({"online", "launching", "waiting restart"})
_STOP_TIMEOUT_SEC = 150.0  # PM2 answers when the program has ended: after its kill_timeout at the latest


@dataclass(slots=True)
class Pm2Daemon:
    """The daemon whose files are in `home`."""

    home: Path
    title: str = "PM2"

    @classmethod
    def find(cls, environ: Mapping[str, str]) -> Pm2Daemon:
        """The daemon of PM2_HOME, of the caller, or of who called sudo; RunningManagerError where none runs."""
        places = [Path(environ["PM2_HOME"])] if environ.get("PM2_HOME") else _usual_homes(environ)
        for place in places:
            if (place / "rpc.sock").is_socket():
                return cls(place)
        listed = ", ".join(map(str, places))
        hint = "`pm2 ls` as its user starts it with the processes saved by `pm2 save`; PM2_HOME says where else it is"
        raise RunningManagerError(f"no PM2 runs: there is no rpc.sock in {listed}", hint=hint)

    @property
    def place(self) -> str:
        """Its socket."""
        return str(self.home / "rpc.sock")

    def load(self, options: ImportOptions, problems: Diagnostics) -> Running | None:
        """What it runs; None after adding an error."""
        from pm_native.importers.pm2.importer import ConfigReader  # noqa: PLC0415 - to load only
        from pm_native.syntax import parse_json  # noqa: PLC0415 - the parsers load on first use

        # As text again, so that every value has a place to point at.
        source = Source("PM2", json.dumps(self._processes(), indent=2))
        root = parse_json(source, problems)
        if root is None:
            return None
        reader = ConfigReader(source, self.home, options, problems)
        processes: list[Process] = []
        members: dict[str, tuple[Member, ...]] = {}
        for app, entries in apps_of(root, self._shell(options.environ), str(self.home), problems):
            process = reader.process(app, set())
            if process is None:
                continue
            if process.name in members:
                hint = "rename one: pm2 delete, then pm2 start with another --name"
                message = f"two apps of the name {process.name!r}, in namespaces of their own"
                problems.error(app.span, message, code="duplicate-name", hint=hint)
                continue
            processes.append(self._of_user(process, entries[0]))
            members[process.name] = tuple(_member(entry) for entry in entries)
        if not processes:
            if not problems.has_errors:
                hint = "pm2 start FILE, or pm2 resurrect after `pm2 save`"
                problems.error(
                    source.whole(), f"PM2 runs nothing ({self.place})", code="pm2-no-apps", hint=hint
                )
            return None
        reader.tell_all(processes, set())
        folder, name = project_place(processes)
        name = options.project_name or name
        project = Project(
            name=name,
            source_path=self.place,
            directory=folder,
            processes=(*processes, *restart_tasks(processes, reader.timed, name)),
            span=source.whole(),
        )
        return Running(project=project, members=members)

    def stop(self, handles: Sequence[str]) -> None:
        """Stop processes by their pm_id, and wait until they have ended."""
        for handle in handles:
            call(self.place, "stopProcessId", int(handle), timeout_sec=_STOP_TIMEOUT_SEC)

    def start(self, handles: Sequence[str]) -> None:
        """Start processes that were stopped, by their pm_id."""
        for handle in handles:
            call(self.place, "startProcessId", int(handle))

    def running(self) -> frozenset[str]:
        """The pm_id of all that run now."""
        return frozenset(
            str(item.get("pm_id"))
            for item in self._processes()
            if isinstance(item, dict) and _status(item) in _ONLINE
        )

    @property
    def config(self) -> Path | None:
        """None: what it runs is in its memory."""
        return None

    def farewell(self) -> tuple[str, ...]:
        """The commands that end it and take it out of the boot."""
        owner = _owner(self.home) or "root"
        as_owner = f"sudo -u {owner} " if owner != "root" else ""
        return (
            f"{as_owner}pm2 delete all && {as_owner}pm2 save --force && {as_owner}pm2 kill",
            f"systemctl disable pm2-{owner}.service    (where `pm2 startup` made one)",
            "npm uninstall --global pm2",
        )

    def retire(self) -> tuple[str, ...]:
        """Delete its processes, save the empty list, end the daemon, and disable its unit."""
        for item in self._processes():
            if isinstance(item, dict):
                call(self.place, "deleteProcessId", item.get("pm_id"), timeout_sec=_STOP_TIMEOUT_SEC)
        done = [f"deleted all processes of {self.place}"]
        dump = self.home / "dump.pm2"
        if dump.exists():
            # As `pm2 save --force` does it: the list it starts at boot, and the one it falls back to.
            for path in (dump, self.home / "dump.pm2.bak"):
                if path.exists():
                    path.write_text("[]\n", encoding="utf-8")
            done.append(f"emptied {dump}")
        pid = self._pid()
        unit = f"pm2-{_owner(self.home) or 'root'}.service"
        if line := disable_unit(unit):
            done.append(line)
        if pid is not None:
            with suppress(ProcessLookupError):  # its unit has ended it
                os.kill(pid, signal.SIGTERM)
            done.append(f"ended the daemon, process {pid}")
        return tuple(done)

    def _pid(self) -> int | None:
        try:
            return int((self.home / "pm2.pid").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None

    def _processes(self) -> list[object]:
        found = call(self.place, "getMonitorData", {})
        if not isinstance(found, list):
            raise RunningManagerError("PM2 answers to getMonitorData with no list of processes")
        return found

    def _shell(self, environ: Mapping[str, str]) -> dict[str, str]:
        """What the daemon itself was started with, and the caller's own environment: not the programs' own."""
        try:
            data = Path(f"/proc/{self._pid()}/environ").read_bytes()
        except OSError:
            return dict(environ)  # not ours to read: what the owner set is then told by the names alone
        pairs = (item.partition("=") for item in data.decode("utf-8", "replace").split("\0"))
        return {**environ, **{name: value for name, equals, value in pairs if equals}}

    def _of_user(self, process: Process, entry: Node) -> Process:
        """The process as the user of the daemon, where root's systemd is to run it: it can be nobody else's."""
        owner = _owner(self.home)
        if owner in {None, "root"} or os.geteuid() != 0:
            return process
        return replace(process, user=owner, origins={**process.origins, "user": entry.span})


def _usual_homes(environ: Mapping[str, str]) -> list[Path]:
    homes = [Path(environ.get("HOME", "/root")) / ".pm2"]
    if user := environ.get("SUDO_USER"):
        try:
            homes.append(Path(pwd.getpwnam(user).pw_dir) / ".pm2")
        except KeyError:
            return homes  # who called sudo has no account here: then no home either
    return homes


def _owner(home: Path) -> str | None:
    """Who the daemon of this folder belongs to."""
    try:
        return pwd.getpwuid((home / "rpc.sock").stat().st_uid).pw_name
    except (OSError, KeyError):
        return None


def _status(item: dict[str, object]) -> object:
    env = item.get("pm2_env")
    return env.get("status") if isinstance(env, dict) else None


def _member(entry: Node) -> Member:
    plain = entry.plain()
    item = plain if isinstance(plain, dict) else {}
    return Member(handle=str(item.get("pm_id")), is_running=_status(item) in _ONLINE)
