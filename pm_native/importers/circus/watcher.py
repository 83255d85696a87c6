"""One `[watcher:x]` to a process of the model, or a pool."""

from __future__ import annotations

import os
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from pm_native.importers.circus.fields import OPEN_KEYS, WATCHER_KEYS
from pm_native.importers.circus.plugins import Flapping
from pm_native.importers.common import is_wrapper, log_target, tell_bad_variable, valid_name
from pm_native.importers.pool import MARK, for_pool
from pm_native.model.names import is_variable
from pm_native.model.project import (
    JOURNAL,
    NULL,
    SECOND,
    Listen,
    Logs,
    PassThrough,
    Process,
    Restart,
    RestartPolicy,
    Stop,
    StopMode,
    Variable,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pm_native.errors import Diagnostics, Span
    from pm_native.importers.circus.sockets import Socket
    from pm_native.importers.circus.values import Values
    from pm_native.syntax import IniEntry

_INSTANCES_MAX = 1024
_LIMITS = frozenset(
    "as core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack".split()  # noqa: SIM905 - a list of words
)
_REFERENCE = re.compile(r"\$([A-Z]+[A-Z0-9_]*)")
_SOCKET_USE = re.compile(r"circus\.sockets\.([\w.-]+)", re.IGNORECASE)
_FILE_CLASSES = frozenset({"FileStream", "WatchedFileStream", "TimedRotatingFileStream"})
_JOURNAL_CLASSES = frozenset({"StdoutStream", "FancyStdoutStream"})
_ROTATING = ("max_bytes", "backup_count", "rotate_when")


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What the rest of the config says for a watcher."""

    directory: PurePosixPath
    environ: Mapping[str, str]
    shared: Mapping[str, IniEntry]
    own: Mapping[str, IniEntry]
    sockets: Mapping[str, Socket]
    flapping: Flapping | None = None
    umask: int | None = None


@dataclass(slots=True)
class WatcherReader:
    """Reads one section; `variables` is what `$(circus.NAME)` can name in it."""

    values: Values
    name: str
    around: Around
    problems: Diagnostics
    origins: dict[str, Span] = field(default_factory=dict)
    rotates: list[str] = field(default_factory=list)
    copies_env: bool = False

    def read(self) -> Process | None:
        """The process; None after adding an error that leaves nothing of it."""
        values = self.values
        values.tell_unknown(WATCHER_KEYS, OPEN_KEYS, "a watcher")
        for path, key in (
            ("command", "cmd"),
            ("instances", "numprocesses"),
            ("directory", "working_dir"),
            ("user", "uid"),
            ("group", "gid"),
            ("autostart", "autostart"),
            ("depends_on", "priority"),
            ("restart.policy", "respawn"),
            ("stop.signal", "stop_signal"),
            ("stop.timeout", "graceful_timeout"),
            ("stop.mode", "stop_children"),
        ):
            if values.section.get(key) is not None:
                self.origins[path] = values.place(key)
        count, instances = self.instances()
        variables = self.variables()
        words = self.command(is_pool=instances is not None)
        socket = self.socket()
        directory = self.directory()
        logs = self.logs()
        restart = self.restart()
        extra = [*self.limits(), *self.age(), *self.reload()]
        stop = self.stop(words or ())
        self.tell_lost()
        listen = Listen()
        if socket is not None:
            listen = socket.listen
            extra += socket.settings(is_stdin=values.section.get("stdin_socket") is not None, logs=logs)
            self.origins.update(
                dict.fromkeys(("listen", "listen.port", "listen.path", "listen.share"), socket.span)
            )
        if words is None:
            return None
        if instances is not None:
            words = for_pool(words, {}, self.around.environ)
        return Process(
            name=valid_name(self.name, values.section.span, self.problems, code="circus-name"),
            command=words,
            directory=directory,
            instances=instances,
            listen=listen,
            restart=restart,
            stop=stop,
            logs=logs,
            autostart=values.flag("autostart", default=True) and count > 0,
            user=(values.text("uid") or "").strip() or None,
            group=(values.text("gid") or "").strip() or None,
            umask=self.around.umask,
            environment=variables,
            systemd=tuple(extra),
            span=values.section.span,
            origins=dict(self.origins),
        )

    def instances(self) -> tuple[int, int | None]:
        """How many run, and the instances of a pool."""
        values = self.values
        count = int(values.number("numprocesses", 1))
        place = values.place("numprocesses")
        if count > _INSTANCES_MAX:
            message = f"numprocesses: {count} is too many"
            self.problems.error(place, message, code="out-of-range", hint=f"up to {_INSTANCES_MAX}")
            count = 1
        if values.flag("singleton", default=False) and count > 1:
            message = f"a singleton of {count}: circusd does not start"
            self.problems.error(place, message, code="bad-value", hint="take numprocesses out, or singleton")
        if count == 0:
            message = f"{self.name}: numprocesses of 0, so it is there but not started"
            self.problems.note(place, message, code="circus-none", hint="systemctl start UNIT starts one")
        return count, count if count > 1 else None

    def variables(self) -> dict[str, Variable]:
        """`[env]`, and over it what the `[env:...]` sections say of this watcher; and what virtualenv sets."""
        found: dict[str, Variable] = {}
        fill = self.values
        for key, entry in (*self.around.shared.items(), *self.around.own.items()):
            if not is_variable(key):
                tell_bad_variable(key, entry.key_span, self.problems)
                continue
            text = fill.filled(entry, fill.variables).strip()
            found[key] = Variable(value=self._referred(text, entry), span=entry.span)
        self._add_virtualenv(found)
        self.copies_env = self.values.flag("copy_env", default=False)
        self.origins.update({f"environment.{key}": item.span for key, item in found.items()})
        return found

    def _referred(self, text: str, entry: IniEntry) -> str:
        """The value with each `$NAME` filled in from the environment of circusd."""

        def one(match: re.Match[str]) -> str:
            value = self.around.environ.get(match[1])
            if value is None:
                message = f"the variable {match[1]} is not set here, and is nothing in {entry.key}"
                hint = f"set it for this run, as it was for circusd: {match[1]}=... pm-native ..."
                self.problems.warning(entry.span, message, code="circus-variable", hint=hint)
            return value or ""

        return _REFERENCE.sub(one, text)

    def _add_virtualenv(self, found: dict[str, Variable]) -> None:
        text = self.values.text("virtualenv")
        if not text:
            return
        span = self.values.place("virtualenv")
        folder = os.path.normpath(self.around.directory / text.strip())
        path = found["PATH"].value if "PATH" in found else self.around.environ.get("PATH", os.defpath)
        found["PATH"] = Variable(value=f"{folder}/bin:{path}", span=span)
        version = (self.values.text("virtualenv_py_ver") or "").strip()
        pattern = f"lib/python{version}/site-packages" if version else "lib/python*/site-packages"
        places = sorted(Path(folder).glob(pattern)) if Path(folder).is_dir() else []
        if not places and not version:
            message = f"there is no {folder}/lib/python*/site-packages on this host: PYTHONPATH is not set"
            hint = "make the virtualenv before `apply`; a program of its bin/ needs no PYTHONPATH"
            self.problems.warning(span, message, code="circus-virtualenv", hint=hint)
            return
        site = str(places[-1]) if places else f"{folder}/{pattern}"
        before = f"{found['PYTHONPATH'].value}:" if "PYTHONPATH" in found else ""
        found["PYTHONPATH"] = Variable(value=before + site, span=span)

    def command(self, *, is_pool: bool) -> tuple[str, ...] | None:
        """Argv of `cmd` and `args`; a shell where it asks for one."""
        values = self.values
        entry = values.entry("cmd")
        if entry is None or not entry.value:
            hint = "add cmd: the program to run and its arguments"
            self.problems.error(
                values.section.span, "a watcher without cmd", code="circus-command", hint=hint
            )
            return None
        # `$(circus.wid)` counts from 1.
        known = {
            **values.variables,
            "wid": f"{MARK}d{MARK}" if is_pool else "1",
            **{f"sockets.{name}": "3" for name in self.around.sockets},
        }
        words: list[str] = []
        for key in ("cmd", "args"):
            text = values.text(key, known)
            if text is None:
                continue
            text = text.replace("$WID", known["wid"])
            try:
                words += shlex.split(text)
            except ValueError:
                message = f"a quote in {key} is not closed"
                self.problems.error(
                    values.place(key), message, code="circus-command", hint="close it, or put a \\ before it"
                )
                return None
        if not words or not words[0]:
            self.problems.error(entry.span, "an empty cmd", code="circus-command", hint="name the program")
            return None
        program = values.text("executable", known)
        if program and program.strip():
            words[0] = program.strip()
        if values.flag("shell", default=False):
            more = (
                shlex.split(values.text("shell_args", known) or "", posix=True)
                if self._closed("shell_args")
                else []
            )
            return ("/bin/sh", "-c", " ".join(map(shlex.quote, words)), *more)
        return tuple(words)

    def _closed(self, key: str) -> bool:
        entry = self.values.entry(key)
        try:
            shlex.split(entry.value if entry else "")
        except ValueError:
            message = f"a quote in {key} is not closed"
            self.problems.error(self.values.place(key), message, code="circus-command", hint="close it")
            return False
        return True

    def socket(self) -> Socket | None:
        """The one socket that is handed to the program."""
        values = self.values
        named: list[tuple[str, Span]] = []
        stdin = values.text("stdin_socket")
        if stdin:
            named.append((stdin.strip().lower(), values.place("stdin_socket")))
        uses = values.flag("use_sockets", default=False)
        for key in ("cmd", "args"):
            entry = values.entry(key)
            for match in _SOCKET_USE.finditer(entry.value if entry else ""):
                named.append(
                    (
                        match[1].lower(),
                        entry.part(match.start(), match.end()) if entry else values.place(key),
                    )
                )
                if not uses and not stdin:
                    message = "circus hands no sockets to this watcher: use_sockets is not set"
                    hint = "use_sockets = True"
                    self.problems.warning(named[-1][1], message, code="circus-socket", hint=hint)
        if uses and not named and len(self.around.sockets) == 1:
            named.append((next(iter(self.around.sockets)), values.place("use_sockets")))
        wanted = list(dict.fromkeys(name for name, _ in named))
        if uses and not named and self.around.sockets:
            message = "use_sockets without $(circus.sockets.NAME): which of the sockets is meant?"
            hint = "name it in args, as --fd $(circus.sockets.NAME)"
            self.problems.warning(
                values.place("use_sockets"), message, code="circus-socket", hint=hint, lost=True
            )
        if len(wanted) > 1:
            message = (
                f"one socket is handed over, {wanted[0]}; {', '.join(wanted[1:])} would have its number, too"
            )
            hint = "a socket unit of your own for the second one, and Sockets= in a drop-in"
            self.problems.error(named[1][1], message, code="circus-socket", hint=hint)
        found = self.around.sockets.get(wanted[0]) if wanted else None
        if wanted and found is None and stdin:
            message = f"there is no socket {wanted[0]!r}"
            hint = f"write [socket:{wanted[0]}]"
            self.problems.error(named[0][1], message, code="circus-socket", hint=hint)
        return found

    def directory(self) -> PurePosixPath:
        """WorkingDirectory=: where the config is without one."""
        text = self.values.text("working_dir")
        return PurePosixPath(os.path.normpath(self.around.directory / (text or "").strip()))

    def restart(self) -> Restart:
        """Restart=, without a limit but for the flapping plugin."""
        values = self.values
        if not values.flag("respawn", default=True):
            return Restart(policy=RestartPolicy.NO)
        flapping = self._flapping()
        if flapping is None or flapping.max_retry < 0:
            return Restart(limit=None)
        limit = max(1, flapping.attempts * max(flapping.max_retry, 1))
        # A program that lives longer than this between two ends is not flapping.
        lifetime = flapping.window / max(flapping.attempts, 1)
        return Restart(limit=limit, window_usec=int((limit + 1) * (1 + lifetime) * SECOND))

    def _flapping(self) -> Flapping | None:
        usual, values = self.around.flapping, self.values
        if usual is None or not values.flag("flapping.active", default=True):
            return None
        return Flapping(
            attempts=int(values.number("flapping.attempts", usual.attempts, 1)),
            window=values.number("flapping.window", usual.window),
            max_retry=int(values.number("flapping.max_retry", usual.max_retry, -1)),
        )

    def stop(self, words: tuple[str, ...]) -> Stop:
        """The stop signal, whom it reaches, and the wait before SIGKILL."""
        values = self.values
        children = values.flag("stop_children", default=False)
        is_shell = bool(words) and is_wrapper(words[0])
        return Stop(
            signal=values.signal("stop_signal"),
            timeout_usec=int(values.number("graceful_timeout", 30) * SECOND),
            mode=StopMode.GROUP if children or is_shell else StopMode.MIXED,
        )

    def limits(self) -> list[PassThrough]:
        """Limit...= of each rlimit_..."""
        found = []
        for entry in self.values.section.entries.values():
            if not entry.key.startswith("rlimit_"):
                continue
            name = entry.key.removeprefix("rlimit_").lower()
            text = self.values.filled(entry, self.values.variables).strip()
            if name not in _LIMITS or not re.fullmatch(r"\d{0,18}|-1", text):
                message = (
                    f"{entry.key}: no limit of this name"
                    if name not in _LIMITS
                    else f"{entry.key}: {text!r} is no number"
                )
                hint = f"rlimit_ and one of {', '.join(sorted(_LIMITS))}, a whole number"
                self.problems.error(entry.span, message, code="bad-value", hint=hint)
                continue
            value = text if text not in {"", "-1"} else "infinity"
            directive = f"Limit{name.upper()}"
            found.append(PassThrough(section="Service", name=directive, values=(value,), span=entry.span))
        return found

    def age(self) -> list[PassThrough]:
        """RuntimeMaxSec= of max_age, with its variance."""
        age = int(self.values.number("max_age", 0))
        if not age:
            return []
        variance = int(self.values.number("max_age_variance", 30))
        place = self.values.place("max_age")
        found = [PassThrough(section="Service", name="RuntimeMaxSec", values=(f"{age}s",), span=place)]
        if variance:
            name = "RuntimeRandomizedExtraSec"
            found.append(PassThrough(section="Service", name=name, values=(f"{variance}s",), span=place))
        return found

    def reload(self) -> list[PassThrough]:
        """ExecReload= of send_hup."""
        if not self.values.flag("send_hup", default=False):
            return []
        place = self.values.place("send_hup")
        words = ("/bin/kill -HUP $MAINPID",)
        return [PassThrough(section="Service", name="ExecReload", values=words, span=place)]

    def logs(self) -> Logs:
        """Where the output goes: the journal where nothing else is said."""
        return Logs(stdout=self._log("stdout"), stderr=self._log("stderr"))

    def _log(self, stream: str) -> str:
        values, prefix = self.values, f"{stream}_stream"
        if values.flag(f"close_child_{stream}", default=False):
            self.origins["logs"] = values.place(f"close_child_{stream}")
            return NULL
        kind = values.text(f"{prefix}.class")
        target = values.text(f"{prefix}.filename")
        written = [entry for entry in values.section.entries.values() if entry.key.startswith(f"{prefix}.")]
        if not written:
            return JOURNAL
        self.origins["logs"] = self.origins[f"logs.{stream}"] = written[0].span
        name = (kind or ("FileStream" if target else "")).strip().rpartition(".")[2]
        if name in _JOURNAL_CLASSES:
            return JOURNAL
        if name not in _FILE_CLASSES or not target:
            message = (
                f"{prefix}: {name} writes nothing here" if name else f"{prefix}: no class and no filename"
            )
            hint = "the journal has the output: let it read that (journalctl -f -o json)"
            self.problems.warning(written[0].key_span, message, code="circus-stream", hint=hint, lost=True)
            return JOURNAL
        place = log_target(target.strip())
        if place in {JOURNAL, NULL}:
            return place
        if values.section.get(f"{prefix}.time_format") is not None:
            span = values.place(f"{prefix}.time_format")
            message = f"{prefix}.time_format: the lines of a file get no time stamps"
            hint = "leave the stream out: the journal stamps each line"
            self.problems.warning(span, message, code="circus-stream", hint=hint, lost=True)
        # As circusd opens it: from its own folder, not the watcher's.
        path = os.path.normpath(self.around.directory / place)
        if any(values.section.get(f"{prefix}.{key}") is not None for key in _ROTATING):
            self.rotates.append(path)
        return path

    def tell_lost(self) -> None:
        """What circus does besides running the program, and nothing here does."""
        values = self.values
        for entry in values.section.entries.values():
            if entry.key.startswith("hooks.") or entry.key == "prereload_fn":
                message = f"{entry.key}: a function of Python that circusd calls is called by nobody"
                hint = _HOOKS.get(entry.key, "a command of your own in a drop-in: systemctl edit UNIT")
                self.problems.warning(entry.key_span, message, code="circus-hook", hint=hint, lost=True)
        if values.number("warmup_delay", 0):
            message = "warmup_delay: the instances start together"
            hint = "ExecStartPre=/bin/sleep in a drop-in holds a start up"
            self.problems.note(
                values.place("warmup_delay"), message, code="circus-warmup", hint=hint, lost=True
            )
        if values.flag("on_demand", default=False):
            message = "on_demand: it is started with the others, not by the first connection"
            hint = "a socket unit of your own starts its service on traffic (systemd.socket(5))"
            self.problems.warning(
                values.place("on_demand"), message, code="circus-on-demand", hint=hint, lost=True
            )
        if values.flag("copy_path", default=False):
            message = "copy_path: the sys.path of circusd is not there"
            hint = "PYTHONPATH in [env:NAME], or the python of a virtualenv as the program"
            self.problems.warning(
                values.place("copy_path"), message, code="circus-copy-path", hint=hint, lost=True
            )
        if not values.flag("close_child_stdin", default=True):
            message = "close_child_stdin: standard input is empty, there is no circusd whose own it could be"
            self.problems.note(
                values.place("close_child_stdin"), message, code="circus-stdin", hint="it can go"
            )


_HOOKS = {
    "hooks.before_start": "a command: ExecCondition= in a drop-in, which can keep it from starting, or ExecStartPre=",
    "hooks.after_start": "a command: ExecStartPost= in a drop-in",
    "hooks.before_spawn": "a command: ExecStartPre= in a drop-in",
    "hooks.after_spawn": "a command: ExecStartPost= in a drop-in",
    "hooks.before_stop": "a command: ExecStop= in a drop-in",
    "hooks.after_stop": "a command: ExecStopPost= in a drop-in",
    "hooks.before_signal": "a command: ExecStop= in a drop-in",
    "hooks.after_signal": "a command: ExecStopPost= in a drop-in",
    "hooks.before_reap": "a command: ExecStopPost= in a drop-in, which has $EXIT_STATUS",
    "hooks.after_reap": "a command: ExecStopPost= in a drop-in, which has $EXIT_STATUS",
    "hooks.extended_stats": "systemctl show, or a program of your own that asks systemd",
}
