"""One process of TUIX's: its words in those of the model."""

from __future__ import annotations

import os
import shlex
from dataclasses import replace
from functools import cached_property
from pathlib import PurePosixPath
from urllib.parse import quote, urlsplit

from pm_native.importers.common import tell_bad_variable
from pm_native.importers.shell import read_shell_line
from pm_native.importers.tree import scalar_text
from pm_native.model.health import (
    Action,
    Check,
    Does,
    ExecProbe,
    Health,
    HttpProbe,
    MemoryProbe,
    OutputProbe,
    TcpProbe,
)
from pm_native.model.names import is_name, is_variable, nearest_name
from pm_native.model.project import SECOND, Limits, Logs, Process, Restart, RestartPolicy, Variable
from pm_native.model.quantity import INFINITY
from pm_native.model.watch import Watch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

    from pm_native.errors import Diagnostics, Span
    from pm_native.importers.tree import Entries
    from pm_native.model.health import Probe

_TELL = Action(does=Does.STATUS)
_MSEC = 1000
_MEMORY_USEC = 30 * SECOND
_URL_SAFE = "/?&=%:@!$'()*+,;~-._"
_MAX_RESTARTS = 5
_SIGTERM_CODE = 143
_INTERPRETERS = {"node": "node", "bun": "bun", "deno": "deno", "python": "python3", "ruby": "ruby"}


class Reader:
    """Reads one process."""

    def __init__(self, own: str, entries: Entries, base: Path, top: Entries, problems: Diagnostics) -> None:
        self.own = own
        self.entries = entries
        self.base = base
        self.top = top
        self.problems = problems
        self.origins: dict[str, Span] = {}

    def process(self) -> Process:
        """The process."""
        name = self.own if is_name(self.own) else nearest_name(self.own)
        if name != self.own:
            hint = "unit names take letters, digits, '_', '.' and '-'"
            message = f"{self.own!r} is called {name!r} here"
            self.problems.note(self.entries.place("name"), message, code="tuix-name", hint=hint)
        cwd = os.path.normpath(self.base / (self.top.text("cwd") or "") / (self.entries.text("cwd") or ""))
        self._origin("directory", "cwd")
        health, start_timeout = self._health()
        if self.entries.flag("autostart", default=True) is False:
            self._origin("autostart", "autostart")
        return Process(
            name=name,
            command=self._command(),
            directory=PurePosixPath(cwd),
            restart=self._restart(),
            limits=self._limits(),
            logs=self._logs(cwd),
            health=health,
            start_timeout_usec=start_timeout,
            watch=self._watch(),
            autostart=self.entries.flag("autostart", default=True),
            user=self._id("user", "uid"),
            group=self._id("group", "gid"),
            environment=self._environment(),
            span=self.entries.node.span,
            origins=self.origins,
        )

    @property
    def _restart_key(self) -> str:
        return "autorestart" if "autorestart" in self.entries else "autoRestart"

    @cached_property
    def _is_restarted(self) -> bool:
        return self.entries.flag(self._restart_key, default=self.top.flag("autoRestart"))

    def _origin(self, path: str, key: str) -> None:
        if key in self.entries:
            self.origins[path] = self.entries.place(key)

    def _command(self) -> tuple[str, ...]:
        self._origin("command", "command")
        text = (self.entries.text("command") or "").strip()
        if not text:
            message, hint = f"{self.own}: there is no command", '"command": "node", "args": ["server.js"]'
            self.problems.error(self.entries.node.span, message, code="missing-key", hint=hint)
            return ("true",)
        arguments = self.entries.words("args")
        interpreter = self.entries.text("interpreter")
        if interpreter == "shell":
            return ("/bin/sh", "-c", " ".join((text, *arguments)))
        if interpreter is not None and interpreter not in _INTERPRETERS:
            hint = f"one of {', '.join(_INTERPRETERS)}, shell"
            message = f"unknown interpreter {interpreter!r}"
            self.problems.error(self.entries.place("interpreter"), message, code="unknown-value", hint=hint)
        before = (_INTERPRETERS[interpreter],) if interpreter in _INTERPRETERS else ()
        if arguments or before:
            return (*before, text, *arguments)
        try:
            return tuple(shlex.split(text)) or ("true",)
        except ValueError as error:
            hint = "close the quote, or give the arguments in `args`"
            message = f"cannot split the command into words: {str(error).lower()}"
            self.problems.error(self.entries.place("command"), message, code="bad-command", hint=hint)
            return (text,)

    def _restart(self) -> Restart:
        self._origin("restart.policy", self._restart_key)
        if not self._is_restarted:
            return Restart(policy=RestartPolicy.NO)
        self._origin("restart.limit", "maxRestarts")
        self._origin("restart.delay", "restartDelay")
        return Restart(
            policy=RestartPolicy.ALWAYS,
            delay_usec=self._msec(self.entries, "restartDelay", 1000),
            limit=self.entries.whole("maxRestarts", 0, 1_000_000) or _MAX_RESTARTS,
            window_usec=INFINITY,
            prevent_codes=(0, _SIGTERM_CODE),
        )

    def _msec(self, entries: Entries, key: str, default: float) -> int:
        number = entries.number(key)
        return int(min(max(default if number is None else number, 0), 1e12) * _MSEC)

    def _limits(self) -> Limits:
        """What the kernel keeps it to: its CPU, and its memory where nothing would start it again."""
        self._origin("limits.cpu", "maxCpu")
        cpu = self.entries.number("maxCpu")
        memory = None if self._is_restarted else self._memory()
        if memory is not None:
            self._origin("limits.memory", "maxMemory")
        return Limits(
            memory_bytes=memory,
            cpu_permyriad=round(min(cpu, 1e6) * 100) if cpu and cpu > 0 else None,
        )

    def _memory(self) -> int | None:
        memory = self.entries.number("maxMemory")
        return int(min(memory, 1e9) * (1 << 20)) if memory and memory > 0 else None

    def _logs(self, cwd: str) -> Logs:
        def target(key: str, default: str) -> str:
            text = self.entries.text(key)
            return os.path.normpath(os.path.join(cwd, text)) if text else default  # noqa: PTH118 - a text

        stdout = target("logFile", "journal")
        self._origin("logs", "logFile" if "logFile" in self.entries else "errorFile")
        return Logs(stdout=stdout, stderr=target("errorFile", stdout))

    def _watch(self) -> Watch | None:
        if not self.entries.flag("watch"):
            return None
        self._origin("watch", "watch")
        default_msec = Watch(patterns=()).delay_usec / _MSEC
        return Watch(
            patterns=tuple(filter(None, self.entries.words("watchPaths"))) or (".",),
            ignore=tuple(filter(None, self.entries.words("ignoreWatch"))),
            delay_usec=self._msec(self.entries, "watchDebounce", default_msec),
        )

    def _id(self, path: str, key: str) -> str | None:
        number = self.entries.whole(key, 0, (1 << 32) - 2)
        self._origin(path, key)
        return str(number) if number is not None else None

    def _environment(self) -> dict[str, Variable]:
        """The variables of all processes, the process's own, and the names that TUIX tells it."""
        found = {
            "TUIX_PROCESS_NAME": Variable(value=self.own, span=self.entries.node.span),
            "TUIX_MANAGED": Variable(value="true", span=self.entries.node.span),
        }
        for table in (self.top.table("globalEnv"), self.entries.table("env")):
            for name, node in table:
                if not is_variable(name):
                    tell_bad_variable(name, node.key, self.problems)
                elif isinstance(node.value, list | dict):
                    message, hint = f"env: {name} is {node.kind}", "write a text"
                    self.problems.error(node.span, message, code="wrong-type", hint=hint)
                else:
                    found[name] = Variable(value=scalar_text(node), span=node.span)
        return found

    def _health(self) -> tuple[Health | None, int | None]:
        """The health check, and how long it may take to be ready; too much memory is unhealthy, too."""
        health, start_timeout = self._checked()
        memory = self._memory() if self._is_restarted else None
        if memory is None:
            return health, start_timeout
        probe = MemoryProbe(limit_bytes=memory)
        place = self.entries.place("maxMemory")
        if health is None:
            self._origin("health", "maxMemory")
        if health is None or health.alive is None:
            check = Check(probes=(probe,), interval_usec=_MEMORY_USEC, retries=1, span=place)
        else:
            check = replace(health.alive, probes=(*health.alive.probes, probe))
        return replace(health or Health(), alive=check), start_timeout

    def _checked(self) -> tuple[Health | None, int | None]:
        table = self.entries.table("healthCheck")
        probe = self._probe(table) if table.entries else None
        if probe is None:
            return None, None
        self._origin("health", "healthCheck")
        if isinstance(probe, OutputProbe):
            return Health(ready=Check(probes=(probe,), action=_TELL, span=table.node.key)), INFINITY
        check = Check(
            probes=(probe,),
            interval_usec=max(self._msec(table, "interval", 30_000), _MSEC),
            timeout_usec=max(self._msec(table, "timeout", 5000), _MSEC),
            retries=table.whole("retries", 0, 1000) or 3,
            start_period_usec=self._msec(table, "startPeriod", 0) + self._msec(table, "startupDelay", 0),
            span=table.node.key,
        )
        return Health(ready=replace(check, action=_TELL), alive=check), None

    def _probe(self, table: Entries) -> Probe | None:
        match table.text("type"):
            case "output" if pattern := table.text("outputPattern"):
                return OutputProbe(pattern=pattern)
            case "script" if script := table.text("script"):
                return ExecProbe(command=read_shell_line(script).words)
            case "tcp" if port := table.whole("port", 1, 65535):
                return TcpProbe(host=table.text("host") or "127.0.0.1", port=port)
            case "http" if url := table.text("url"):
                return self._http(table, url)
            case found:
                wants = {"output": "outputPattern", "script": "script", "tcp": "port", "http": "url"}
                hint = "type is one of output, http, tcp and script"
                if found in wants:
                    hint = f"{found} wants {wants[found]}"
                message = f"{self.own}: this health check says too little"
                self.problems.error(table.node.key, message, code="tuix-health", hint=hint)
                return None

    def _http(self, table: Entries, url: str) -> HttpProbe | None:
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            parts, port = urlsplit(""), None
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            hint = "such as http://127.0.0.1:3000/health"
            self.problems.error(table.place("url"), "not a URL to probe", code="tuix-health", hint=hint)
            return None
        statuses = [
            int(text) for text in table.words("expectedStatus") if text.isdecimal() and len(text) < 4
        ]
        return HttpProbe(
            path=quote((parts.path or "/") + (f"?{parts.query}" if parts.query else ""), safe=_URL_SAFE),
            host=parts.hostname,
            port=port or (443 if parts.scheme == "https" else 80),
            tls=parts.scheme == "https",
            method=(table.text("method") or "GET").upper(),
            status=tuple((code, code) for code in statuses) or ((200, 299),),
        )
