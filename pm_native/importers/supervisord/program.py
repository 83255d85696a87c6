"""One `[program:x]` or `[fcgi-program:x]` to a process of the model, a pool, or several processes."""

from __future__ import annotations

import os
import re
import shlex
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from pm_native.importers.common import is_wrapper, log_target, valid_name
from pm_native.importers.pool import MARK, for_pool
from pm_native.importers.supervisord.environment import parse_environment
from pm_native.importers.supervisord.fields import FCGI_KEYS, PROGRAM_KEYS
from pm_native.importers.supervisord.values import NUMBER
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
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pm_native.errors import Diagnostics, Span
    from pm_native.importers.supervisord.values import Names, Values
    from pm_native.model.project import Variable

_SOCKET = re.compile(r"\s*(?:tcp://(?P<host>[^/\s]*):(?P<port>\d{1,5})|unix://(?P<path>/\S*))\s*")
_PROCESS_NUM = re.compile(r"%\(process_num\)")
_STARTSECS, _STARTRETRIES, _STOPWAITSECS, _BACKLOG_MAX = 1, 3, 10, 65535
_NUMPROCS_MAX = 1024
_CONTROL = re.compile(r"\bsupervisorctl\b|[\w./-]*\bsupervisord?\.(?:pid|sock)\b")
_ROTATE_AT = 50 << 20
PRIORITY = 999


@dataclass(frozen=True, slots=True, kw_only=True)
class Daemon:
    """What `[supervisord]` says for all programs, and the host that it is read on."""

    directory: PurePosixPath
    environ: Mapping[str, str]
    variables: Mapping[str, Variable] = field(default_factory=dict)
    user: str | None = None
    user_span: Span | None = None
    umask: int | None = None
    open_files: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A process, and what is told or worked out for all programs together.

    `namespecs` are supervisord's own names of its processes, `priority` its places in the order of starts.
    """

    process: Process
    namespecs: tuple[str, ...]
    priority: tuple[int, int]
    rotates: tuple[str, ...] = ()
    has_directory: bool = True
    has_start_time: bool = False


class ProgramReader:
    """Reads one section; `group` is the `[group:x]` that it belongs to."""

    def __init__(
        self, values: Values, daemon: Daemon, name: str, group: str | None, problems: Diagnostics
    ) -> None:
        self.values = values
        self.daemon = daemon
        self.name = name
        self.group = group
        self.problems = problems
        self.origins: dict[str, Span] = {}
        self.origin("depends_on", "priority")
        self.is_fcgi = values.section.name.startswith("fcgi-program:")

    def read(self, group_priority: int | None) -> list[Program]:
        """The processes; none after adding an error."""
        values = self.values
        values.tell_unknown(FCGI_KEYS if self.is_fcgi else PROGRAM_KEYS, "a program")
        count = values.integer("numprocs", 1)
        first = values.integer("numprocs_start", 0)
        own = values.integer("priority", PRIORITY)
        priority = (own, 0) if group_priority is None else (group_priority, own)
        if not self._may_count(count, first):
            return []
        if count == 0:
            message, hint = (
                f"numprocs=0: {self.name} runs not at all, and has no unit",
                "autostart=false keeps it at hand",
            )
            self.problems.note(values.place("numprocs"), message, code="supervisord-numprocs", hint=hint)
            return []
        self.tell_lost()
        numbers = range(first, first + count)
        names = replace(values.names, values={**values.names.values, "numprocs": count})
        if count > 1 and not self._differ_outside_of_commands():
            namespecs = tuple(self._namespec(names, number) for number in numbers)
            pool = self.process(replace(names, is_pool=True), self.unit_name(self.name), len(numbers), first)
            return self._programs(pool, namespecs, priority)
        found: list[Program] = []
        for number in numbers:
            here = replace(names, values={**names.values, NUMBER: number})
            namespec = self._namespec(names, number)
            own_name = self.name if count == 1 else namespec.rpartition(":")[2]
            if not own_name.startswith(self.name):
                own_name = f"{self.name}-{own_name}"
            found += self._programs(
                self.process(here, self.unit_name(own_name), None, 1), (namespec,), priority
            )
            if self.problems.has_errors:
                break  # the others would say the same again
        return found

    def _programs(
        self, process: Process | None, namespecs: tuple[str, ...], priority: tuple[int, int]
    ) -> list[Program]:
        if process is None:
            return []
        return [
            Program(
                process=process,
                namespecs=namespecs,
                priority=priority,
                rotates=self._rotated(process.logs),
                has_directory=self.values.section.get("directory") is not None,
                has_start_time=self.values.integer("startsecs", _STARTSECS) > 0,
            )
        ]

    def _may_count(self, count: int, first: int) -> bool:
        place = self.values.place("numprocs")
        entry = self.values.entry("process_name")
        if not 0 <= first <= 1_000_000 or not 0 <= count <= _NUMPROCS_MAX:
            hint = f"numprocs up to {_NUMPROCS_MAX}, numprocs_start from 0"
            message = (
                f"so many processes are none of supervisord's: numprocs={count}, numprocs_start={first}"
            )
            self.problems.error(place, message, code="out-of-range", hint=hint)
            return False
        if count > 1 and (entry is None or "%(process_num)" not in entry.value):
            hint = "process_name=%(program_name)s_%(process_num)02d"
            message = (
                "numprocs of more than 1 without %(process_num) in process_name: supervisord does not start"
            )
            self.problems.error(
                entry.span if entry else place, message, code="supervisord-numprocs", hint=hint
            )
            return False
        return True

    def _differ_outside_of_commands(self) -> bool:
        """Whether the number is used where a template of units cannot have it: only a command can be a shell's."""
        for key in ("directory", "stdout_logfile", "stderr_logfile", "user"):
            entry = self.values.section.get(key)
            if entry is not None and _PROCESS_NUM.search(entry.value):
                return True
        return False

    def _namespec(self, names: Names, number: int) -> str:
        """The name of one process to supervisord: GROUP:NAME."""
        here = replace(names, values={**names.values, NUMBER: number})
        own = (self.values.text("process_name", here) or self.name).strip()
        return f"{self.group or self.name}:{own}"

    def unit_name(self, name: str) -> str:
        """The name of the process here: with its group before it, made valid."""
        full = f"{self.group}-{name}" if self.group else name
        return valid_name(full, self.values.section.span, self.problems, code="supervisord-name")

    def process(self, names: Names, name: str, count: int | None, first: int) -> Process | None:
        """One process; None after adding an error that leaves nothing of it."""
        values, daemon = self.values, self.daemon
        variables = {**daemon.variables, **self.variables(names)}
        names = replace(
            names, environment={**names.environment, **{key: item.value for key, item in variables.items()}}
        )
        words = self.command(names)
        directory = self.directory(names)
        logs = self.logs(names)
        user = values.text("user", names)
        self.origin("user", "user")
        if user is None and daemon.user_span is not None:
            self.origins["user"] = daemon.user_span
        restart = self.restart()
        stop = self.stop(words or (), restart)
        limits = (
            (PassThrough(section="Service", name="LimitNOFILE", values=(str(daemon.open_files),)),)
            if daemon.open_files is not None
            else ()
        )
        listen, more = self.socket(names) if self.is_fcgi else (Listen(), ())
        umask = values.octal("umask")
        for key, path in (
            ("umask", "umask"),
            ("autostart", "autostart"),
            ("numprocs", "instances"),
            ("directory", "directory"),
        ):
            self.origin(path, key)
        autostart = values.flag("autostart", default=True)
        if words is None:
            return None
        counted = {key for key, item in variables.items() if MARK in item.value}
        if count is not None:
            words = for_pool(words, {key: variables[key].value for key in counted}, daemon.environ)
        return Process(
            name=name,
            command=words,
            directory=directory,
            instances=count,
            first_instance=first,
            listen=listen,
            restart=restart,
            stop=stop,
            logs=logs,
            autostart=autostart,
            user=(user or "").strip() or daemon.user,
            umask=umask if umask is not None else daemon.umask,
            environment={key: item for key, item in variables.items() if key not in counted},
            systemd=(*limits, *more),
            span=values.section.span,
            origins=dict(self.origins),
        )

    def variables(self, names: Names) -> dict[str, Variable]:
        """The variables of `environment=`."""
        entry = self.values.entry("environment")
        text = self.values.text("environment", names)
        if entry is None or text is None:
            return {}
        found = parse_environment(entry, text, self.problems)
        self.origins.update({f"environment.{key}": item.span for key, item in found.items()})
        return found

    def command(self, names: Names) -> tuple[str, ...] | None:
        """argv: no shell, as supervisord."""
        entry = self.values.entry("command")
        if entry is None:
            hint = "add command=: the program to run and its arguments"
            self.problems.error(
                self.values.section.span,
                "a program without a command",
                code="supervisord-command",
                hint=hint,
            )
            return None
        text = self.values.text("command", names)
        if text is None:
            return None
        self.origin("command", "command")
        if control := _CONTROL.search(text):
            message = f"the command speaks to supervisord ({control[0]}), which does not run here"
            hint = "systemctl start, stop and restart do the same for units; OnFailure= and OnSuccess= for what follows an end"
            self.problems.warning(entry.span, message, code="supervisord-control", hint=hint, lost=True)
        try:
            words = tuple(shlex.split(text))
        except ValueError:
            hint = "close it; a ; or # behind a blank ends the line for supervisord, even in quotes"
            message = "a quote in the command is not closed: supervisord does not start this program"
            self.problems.error(entry.span, message, code="supervisord-command", hint=hint)
            return None
        if not words or not words[0]:
            self.problems.error(
                entry.span, "an empty command", code="supervisord-command", hint="name the program to run"
            )
            return None
        return words

    def directory(self, names: Names) -> PurePosixPath:
        """WorkingDirectory=: supervisord's own where the program has none."""
        text = self.values.text("directory", names)
        return (
            PurePosixPath(os.path.normpath(self.daemon.directory / text.strip()))
            if text
            else self.daemon.directory
        )

    def restart(self) -> Restart:
        """Restart=, its delay, the limit on failed starts, and the codes that end it."""
        values = self.values
        retries = values.integer("startretries", _STARTRETRIES, 0)
        start_sec = values.integer("startsecs", _STARTSECS, 0)
        codes = values.codes("exitcodes")
        text = (values.text("autorestart") or "unexpected").strip().lower()
        for path, key in (
            ("restart.policy", "autorestart"),
            ("restart.limit", "startretries"),
            ("restart.window", "startsecs"),
            ("restart.prevent_codes", "exitcodes"),
            ("stop.success_codes", "exitcodes"),
        ):
            self.origin(path, key)
        policy, prevent = RestartPolicy.ALWAYS, codes
        if text in {"no", "false", "off", "0"}:
            policy, prevent = RestartPolicy.NO, ()
        elif text in {"yes", "true", "on", "1"}:
            prevent = ()
        elif text != "unexpected":
            message = f"autorestart: expected true, false or unexpected, found {text!r}"
            hint = "supervisord does not start with this value"
            self.problems.error(values.place("autorestart"), message, code="bad-value", hint=hint)
        starts = retries + 1
        window = starts * (start_sec + 1) * SECOND
        # Without a start time nothing counts as a failed start.
        limit = retries if start_sec > 0 else None
        return Restart(
            policy=policy,
            delay_usec=SECOND,
            limit=limit,
            window_usec=window if limit is not None else 60 * SECOND,
            prevent_codes=prevent,
        )

    def stop(self, words: tuple[str, ...], restart: Restart) -> Stop:
        """The stop signal, whom it reaches, and the wait before SIGKILL."""
        values = self.values
        as_group = values.flag("stopasgroup", default=False)
        kill_group = values.flag("killasgroup", default=as_group)
        if as_group and not kill_group:
            message = "stopasgroup=true with killasgroup=false: supervisord does not start"
            hint = "leave killasgroup out"
            self.problems.error(values.place("killasgroup"), message, code="bad-value", hint=hint)
        for path, key in (
            ("stop.signal", "stopsignal"),
            ("stop.timeout", "stopwaitsecs"),
            ("stop.mode", "stopasgroup"),
        ):
            self.origin(path, key)
        # A shell before the program dies of the signal; its child would be killed at once instead of asked to end.
        is_shell = bool(words) and is_wrapper(words[0]) and not _is_exec(words)
        is_group = as_group or (not kill_group and is_shell)
        return Stop(
            signal=values.signal("stopsignal"),
            timeout_usec=values.integer("stopwaitsecs", _STOPWAITSECS, 0) * SECOND,
            mode=StopMode.GROUP if is_group else StopMode.MIXED,
            success_codes=restart.prevent_codes,
        )

    def logs(self, names: Names) -> Logs:
        """Where the output goes."""
        values = self.values
        redirect = values.flag("redirect_stderr", default=False)
        stdout = self._log("stdout_logfile", names)
        if redirect:
            entry = values.entry("stderr_logfile")
            if entry is not None and entry.value.strip().lower() not in {"auto", "none", "off", ""}:
                message = "stderr_logfile does nothing beside redirect_stderr=true, as under supervisord"
                self.problems.note(
                    entry.key_span, message, code="supervisord-logs", hint="take one of the two out"
                )
            return Logs(stdout=stdout, stderr=stdout)
        return Logs(stdout=stdout, stderr=self._log("stderr_logfile", names))

    def _log(self, key: str, names: Names) -> str:
        text = self.values.text(key, names)
        if text is None:
            return JOURNAL
        self.origin("logs", key)
        self.origin(f"logs.{key.partition('_')[0]}", key)
        text = text.strip()
        word = text.lower()
        if word in {"none", "off"}:
            return NULL
        if word in {"", "auto", "syslog"}:
            return JOURNAL
        target = log_target(text)
        return target if target in {JOURNAL, NULL} else os.path.normpath(self.daemon.directory / target)

    def _rotated(self, logs: Logs) -> tuple[str, ...]:
        """The files that supervisord would rotate."""
        found = []
        for stream, target in (("stdout", logs.stdout), ("stderr", logs.stderr)):
            limit = self.values.size(f"{stream}_logfile_maxbytes", _ROTATE_AT)
            self.values.integer(f"{stream}_logfile_backups", 10, 0)
            if target.startswith("/") and limit and target not in found:
                found.append(target)
        return tuple(found)

    def socket(self, names: Names) -> tuple[Listen, tuple[PassThrough, ...]]:
        """The socket of an fcgi-program: its file descriptor 0, in systemd's hands."""
        values = self.values
        text = values.text("socket", names)
        match = _SOCKET.fullmatch(text) if text is not None else None
        if match is None or int(match["port"] or 1) not in range(1, 65536):
            if text is not None or values.entry("socket") is None:
                hint = "socket=tcp://localhost:9002 or socket=unix:///run/app.sock"
                message = f"no socket: {text!r}" if text else "an fcgi-program without a socket"
                self.problems.error(values.place("socket"), message, code="supervisord-socket", hint=hint)
            return Listen(), ()
        backlog = None
        if values.entry("socket_backlog") is not None:
            backlog = min(values.integer("socket_backlog", 128, 1), _BACKLOG_MAX)
        for path in ("listen", "listen.port", "listen.path", "listen.share"):
            self.origin(path, "socket")
        # Standard output would follow standard input into the socket.
        place = values.place("socket")
        settings = [PassThrough(section="Service", name="StandardInput", values=("socket",), span=place)]
        if values.entry("stdout_logfile") is None or self.logs(names).stdout == JOURNAL:
            settings += [
                PassThrough(section="Service", name=name, values=("journal",), span=place)
                for name in ("StandardOutput", "StandardError")
            ]
        if match["port"]:
            host = match["host"]
            for key in ("socket_owner", "socket_mode"):
                values.text(key)
            host = None if host in {"", "*", "0.0.0.0"} else host  # noqa: S104 - as it is written
            host = "127.0.0.1" if host == "localhost" else host
            return Listen(port=int(match["port"]), host=host, share=True, backlog=backlog), tuple(settings)
        owner, _, group = (values.text("socket_owner") or "").strip().partition(":")
        user = values.text("user")
        return (
            Listen(
                path=match["path"],
                share=True,
                backlog=backlog,
                mode=values.octal("socket_mode") if values.entry("socket_mode") else 0o700,
                user=owner or user or None,
                group=group or None,
            ),
            tuple(settings),
        )

    def tell_lost(self) -> None:
        """What supervisord does besides running the program, and nothing here does."""
        values = self.values
        url = values.entry("serverurl")
        if url is not None and url.value.strip().upper() not in {"AUTO", ""}:
            message = "serverurl: there is no supervisord to call, and no SUPERVISOR_SERVER_URL"
            hint = "what calls it must change: systemctl, or systemd's D-Bus interface"
            self.problems.warning(url.key_span, message, code="supervisord-lost", hint=hint, lost=True)
        for stream in ("stdout", "stderr"):
            if values.size(f"{stream}_capture_maxbytes", 0) or values.flag(
                f"{stream}_events_enabled", default=False
            ):
                key = f"{stream}_capture_maxbytes"
                key = key if values.section.get(key) else f"{stream}_events_enabled"
                message = f"{key}: there are no events of what a program writes"
                hint = "read the journal: journalctl -fu UNIT -o json"
                self.problems.warning(
                    values.place(key), message, code="supervisord-lost", hint=hint, lost=True
                )
            if values.flag(f"{stream}_syslog", default=False):
                message = f"{stream}_syslog: the output goes to the journal, and from there to syslog where one runs"
                hint = "it can go, with the log file where there is one"
                place = values.place(f"{stream}_syslog")
                self.problems.note(place, message, code="supervisord-logs", hint=hint)

    def origin(self, path: str, key: str) -> None:
        """Note the place of a value that is set."""
        if self.values.section.get(key) is not None:
            self.origins[path] = self.values.place(key)


def _is_exec(words: tuple[str, ...]) -> bool:
    """Whether it is a shell that replaces itself with the program."""
    return (
        len(words) > 2
        and words[1].startswith("-")
        and words[1].endswith("c")
        and words[2].lstrip().startswith("exec ")
    )
