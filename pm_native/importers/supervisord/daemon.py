"""A supervisord that runs: its config as a project, and the calls that stop and start its processes."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import time
import xmlrpc.client
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

from pm_native.errors import Diagnostics
from pm_native.importers.running import TIMEOUT_SEC, Member, Running, RunningManagerError, disable_unit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pm_native.importers.base import ImportOptions

_PROGRAM = "supervisord"
# Where supervisord looks, from its own folder and from the root.
_DEFAULTS = (
    "supervisord.conf",
    "etc/supervisord.conf",
    "/etc/supervisord.conf",
    "/etc/supervisor/supervisord.conf",
)
_UP = frozenset({"RUNNING", "STARTING", "BACKOFF"})
_NOT_RUNNING, _ALREADY_STARTED = 70, 60  # supervisor.xmlrpc.Faults
_POLL_SEC = 0.1
_STOP_TIMEOUT_SEC = 600.0  # it answers when the program has ended: after its stopwaitsecs at the latest


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One supervisord: what it reads, where it was started, and with which environment."""

    pid: int
    config: Path
    directory: Path
    environ: Mapping[str, str]


@dataclass(slots=True)
class SupervisordDaemon:
    """The supervisord that reads `found.config`."""

    found: Found
    url: str
    user: str = ""
    password: str = ""
    title: str = "supervisord"
    place: str = field(init=False)

    def __post_init__(self) -> None:
        self.place = self.url

    @classmethod
    def find(cls, environ: Mapping[str, str], config: str | None = None) -> SupervisordDaemon:
        """The one that runs, or of several the one that reads `config`; RunningManagerError where that is not clear."""
        running = _running(environ)
        wanted = [item for item in running if config is None or item.config == Path(config).absolute()]
        if len(wanted) != 1:
            several = ", ".join(str(item.config) for item in running)
            if not running:
                message, hint = "no supervisord runs here", "supervisord -c CONFIG, as root or as you"
            elif not wanted:
                message, hint = f"no supervisord runs with {config}", f"there is one with {several}"
            else:
                message, hint = f"several run, with {several}", "say which: -f CONFIG"
            raise RunningManagerError(message, hint=hint)
        return cls(wanted[0], *_access(wanted[0]))

    def load(self, options: ImportOptions, problems: Diagnostics) -> Running | None:
        """Its config as it would be read now, with what runs of it; None after adding an error."""
        from pm_native.importers.supervisord.importer import IMPORTER  # noqa: PLC0415 - to load only

        states = self._states()
        found = self.found
        given = replace(options, environ=found.environ)
        imported = IMPORTER.load_all(
            found.config, str(found.config), given, problems, started_in=found.directory
        )
        if imported is None:
            return None
        known = {namespec for names in imported.namespecs.values() for namespec in names}
        whole = imported.project.span
        unknown = sorted(
            name for name in states.keys() - known if name.partition(":")[0] not in imported.listeners
        )
        if unknown:
            message = f"supervisord runs what its config no longer has: {', '.join(unknown)}"
            hint = "supervisorctl update takes the config up; or write them back into it"
            problems.warning(whole, message, code="supervisord-running", hint=hint)
        missing = sorted(known - states.keys())
        if missing:
            message = f"the config has what supervisord does not know yet: {', '.join(missing)}"
            hint = "supervisorctl update takes it up"
            problems.warning(whole, message, code="supervisord-running", hint=hint)
        members = {
            name: tuple(
                Member(handle=namespec, is_running=states[namespec] in _UP)
                for namespec in names
                if namespec in states
            )
            for name, names in imported.namespecs.items()
        }
        return Running(project=imported.project, members=members)

    def stop(self, handles: Sequence[str]) -> None:
        """Stop processes by their GROUP:NAME, and wait until they have ended."""
        for handle in handles:
            self._call(
                lambda proxy, name: proxy.supervisor.stopProcess(name, True),
                handle,
                accept=_NOT_RUNNING,
                timeout_sec=_STOP_TIMEOUT_SEC,
            )
        # One that is being stopped already is "not running", and nothing waits for its end.
        deadline = time.monotonic() + _STOP_TIMEOUT_SEC
        while ending := [
            handle for handle, state in self._states().items() if state == "STOPPING" and handle in handles
        ]:
            if time.monotonic() > deadline:
                raise RunningManagerError(f"supervisord does not come to the end of {', '.join(ending)}")
            time.sleep(_POLL_SEC)

    def start(self, handles: Sequence[str]) -> None:
        """Start processes that were stopped, by their GROUP:NAME, without waiting for their startsecs."""
        for handle in handles:
            self._call(
                lambda proxy, name: proxy.supervisor.startProcess(name, False),
                handle,
                accept=_ALREADY_STARTED,
            )

    def running(self) -> frozenset[str]:
        """The GROUP:NAME of all that run now."""
        return frozenset(name for name, state in self._states().items() if state in _UP)

    @property
    def config(self) -> Path | None:
        """Its main config."""
        return self.found.config

    def farewell(self) -> tuple[str, ...]:
        """The commands that end it and take it out of the boot."""
        unit = _unit_of(self.found.pid)
        if unit:
            return (
                f"systemctl disable --now {unit}",
                "apt-get remove supervisor    (where it came from there)",
            )
        return (
            f"supervisorctl -c {self.found.config} shutdown",
            "and take it out of what starts it at boot",
        )

    def retire(self) -> tuple[str, ...]:
        """Disable its unit, which ends it; else end it."""
        unit = _unit_of(self.found.pid)
        line = disable_unit(unit) if unit else ""
        if line and os.geteuid() == 0:
            return (line,)
        self._call(lambda proxy, _: proxy.supervisor.shutdown(), "")
        return ("ended supervisord", *([line] if line else []))

    def _states(self) -> dict[str, str]:
        """The state of each process by its GROUP:NAME."""
        found = self._call(lambda proxy, _: proxy.supervisor.getAllProcessInfo(), "")
        try:
            items = cast("list[dict[str, object]]", found)
            return {f"{item['group']}:{item['name']}": str(item["statename"]) for item in items}
        except (TypeError, KeyError) as error:
            raise RunningManagerError(f"what answers on {self.url} is no supervisord") from error

    def _call(
        self,
        method: Callable[[xmlrpc.client.ServerProxy, str], object],
        name: str,
        *,
        accept: int = 0,
        timeout_sec: float = TIMEOUT_SEC,
    ) -> object:
        """What a method answers; a fault of the number `accept` is as good."""
        transport = _Transport(self.url, self.user, self.password, timeout_sec)
        try:
            with xmlrpc.client.ServerProxy("http://supervisord", transport=transport) as proxy:
                return method(proxy, name)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode == accept:
                return None
            raise RunningManagerError(
                f"supervisord refuses {name or 'to answer'}: {fault.faultString}"
            ) from fault
        except xmlrpc.client.ProtocolError as error:
            hint = "username and password are those of [supervisorctl]" if error.errcode == 401 else ""
            message = f"supervisord answers with {error.errcode} {error.errmsg} on {self.url}"
            raise RunningManagerError(message, hint=hint) from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            hint = "does [supervisorctl] name the socket that [unix_http_server] opens?"
            raise RunningManagerError(
                f"supervisord cannot be spoken to over {self.url}: {error}", hint=hint
            ) from error


class _Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str, timeout_sec: float) -> None:
        super().__init__("localhost", timeout=timeout_sec)
        self.path = path
        self.timeout_sec = timeout_sec

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout_sec)
        self.sock.connect(self.path)


class _Transport(xmlrpc.client.Transport):
    """To the address that supervisorctl would use, with its name and password."""

    def __init__(self, url: str, user: str, password: str, timeout_sec: float) -> None:
        headers = []
        if user:
            import base64  # noqa: PLC0415 - for servers with a password

            token = base64.b64encode(f"{user}:{password}".encode()).decode()
            headers = [("Authorization", f"Basic {token}")]
        super().__init__(headers=headers)
        self.url = url
        self.timeout_sec = timeout_sec

    def make_connection(self, host: object) -> http.client.HTTPConnection:  # noqa: ARG002 - the address is our own
        parts = urlsplit(self.url)
        if parts.scheme == "unix":
            return _Connection(parts.path, self.timeout_sec)
        return http.client.HTTPConnection(
            parts.hostname or "localhost", parts.port or 9001, timeout=self.timeout_sec
        )


def _running(environ: Mapping[str, str]) -> list[Found]:
    """Every supervisord of root's, of the caller's, and of who called sudo: of nobody else, whose config root would run."""
    import psutil  # noqa: PLC0415 - only here

    trusted = {0, os.geteuid()} | (
        {int(environ["SUDO_UID"])} if environ.get("SUDO_UID", "").isdecimal() else set()
    )
    found = []
    for process in psutil.process_iter():
        try:
            words = process.cmdline()
            if not _is_supervisord(words):
                continue
            if process.uids().real not in trusted:
                continue
            directory = Path(process.cwd())
            config = _config_of(words, directory)
            if config is not None:
                found.append(
                    Found(pid=process.pid, config=config, directory=directory, environ=process.environ())
                )
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue  # it has ended, or is not ours to look into: then not ours to move either
    return sorted(found, key=lambda item: item.pid)


def _is_supervisord(words: list[str]) -> bool:
    """Whether a command line is supervisord's: the program itself, or a Python that runs it."""
    names = [word.rpartition("/")[2] for word in words[:2]]
    return names[:1] == [_PROGRAM] or (
        len(names) > 1 and names[0].startswith("python") and names[1] == _PROGRAM
    )


def _config_of(words: list[str], directory: Path) -> Path | None:
    """The config that a command line names, or that supervisord finds without one."""
    for at, word in enumerate(words):
        option, equals, value = word.partition("=")
        if word in {"-c", "--configuration"} and at + 1 < len(words):
            return directory / words[at + 1]
        if option == "--configuration" and equals:
            return directory / value
        if word.startswith("-c") and len(word) > 2 and not word.startswith("--"):
            return directory / word[2:]
    return next((directory / name for name in _DEFAULTS if (directory / name).is_file()), None)


def _access(found: Found) -> tuple[str, str, str]:
    """The address, the name and the password, as supervisorctl reads them from the config."""
    from pm_native.importers.supervisord.files import load_config  # noqa: PLC0415 - to connect only
    from pm_native.importers.supervisord.values import Names, Values  # noqa: PLC0415 - to connect only

    problems = Diagnostics()
    config = load_config(found.config, str(found.config), found.environ, problems)
    problems.raise_if_errors()
    texts: dict[str, dict[str, str]] = {}
    for name in ("supervisorctl", "unix_http_server", "inet_http_server"):
        section = config.sections.get(name) if config is not None else None
        if config is not None and section is not None:
            known: dict[str, str | int] = {
                "here": config.folders[name],
                "host_node_name": os.uname().nodename,
            }
            values = Values(section, problems, Names(known, found.environ, set()))
            texts[name] = {
                key: values.text(key) or "" for key in ("serverurl", "file", "port", "username", "password")
            }
    problems.raise_if_errors()
    control = texts.get("supervisorctl", {})
    server = texts.get("unix_http_server") or texts.get("inet_http_server") or {}
    user, password = (
        control.get("username") or server.get("username", ""),
        control.get("password") or server.get("password", ""),
    )
    url = control.get("serverurl", "").strip()
    if not url and server.get("file"):
        url = f"unix://{found.directory / server['file'].strip()}"
    if not url and server.get("port"):
        host, _, port = server["port"].strip().rpartition(":")
        url = f"http://{host if host not in {'', '*'} else 'localhost'}:{port}"
    if not url.startswith(("unix://", "http://")):
        message = f"{found.config} has no server that could be asked: {url or 'neither a socket nor a port'}"
        raise RunningManagerError(
            message, hint="[unix_http_server] file=/run/supervisor.sock, and supervisorctl update"
        )
    return url, user, password


def _unit_of(pid: int) -> str:
    """The systemd unit of the host whose main process it is; "" where it is of none.

    Not every unit that it is in: what a crontab or a session started is in the unit of cron or of the session.
    """
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    parts = [part for line in lines for part in line.split("/") if part.endswith(".service")]
    if not parts:
        return ""
    words = ["systemctl", "show", "--property=MainPID", "--value", "--", parts[-1]]
    run = subprocess.run(words, capture_output=True, text=True, check=False)
    return parts[-1] if run.stdout.strip() == str(pid) else ""
