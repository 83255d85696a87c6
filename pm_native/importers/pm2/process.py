"""One app to one process of the model."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path, PurePosixPath

from pm_native.importers.common import valid_name
from pm_native.importers.pm2.command import CommandBuilder
from pm_native.importers.pm2.environment import EnvironmentReader
from pm_native.importers.pm2.lifecycle import Lifecycle
from pm_native.importers.pm2.watch import watch_of
from pm_native.model.project import JOURNAL, NULL, Listen, Logs, Process, ProcessKind
from pm_native.model.record import OnChange

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pm_native.errors import Diagnostics, Span
    from pm_native.importers.base import ImportOptions
    from pm_native.importers.pm2.command import Command
    from pm_native.importers.pm2.values import App
    from pm_native.model.project import Variable
    from pm_native.syntax.node import Node

_JOURNAL_PATHS = frozenset(
    {"/dev/stdout", "/dev/stderr", "/dev/fd/1", "/dev/fd/2", "/proc/1/fd/1", "/proc/1/fd/2"}
)
_NULL_PATHS = frozenset({"NULL", "/dev/null"})
_MODES = {"fork": False, "fork_mode": False, "cluster": True, "cluster_mode": True}
_INSTANCES_MAX = 1024
_PORT_MAX = 65535
_SHARED_DELAY_USEC = 100_000


class ProcessReader:
    """Reads one app. `base` is the folder of the config, `deploy_env` the `env` of the chosen deployment."""

    def __init__(
        self, app: App, base: Path, options: ImportOptions, deploy_env: Node | None, problems: Diagnostics
    ) -> None:
        self.app = app
        self.base = base
        self.options = options
        self.deploy_env = deploy_env
        self.problems = problems
        self.origins: dict[str, Span] = {}
        self.restarts_at: tuple[str, ...] = ()

    def read(self) -> Process | None:
        """The process; None after adding an error that leaves nothing of it."""
        name = self.name()
        directory = self.directory()
        command = CommandBuilder(self.app, directory, self.base, self.options.environ, self.problems).build()
        self.app.tell_the_rest()
        self.tell_habits()
        if command is None:
            return None
        self._origin("command", "script")
        kind, schedule, instances = self.shape()
        if kind is ProcessKind.SERVICE:
            self.restarts_at, schedule = schedule, ()
        is_pool = instances is not None
        environment = EnvironmentReader(self.app, self.problems)
        environment.add(self.deploy_env, "env")
        environment.add(self.app.entries.get("env"), "env")
        if self.options.variant is not None:
            environment.add(self.variant(self.options.variant), f"env_{self.options.variant}")
        environment.add_own(is_python=command.is_python)
        counters = environment.counters(is_pool=is_pool)
        counted = {counter.variable for counter in counters}
        listen = self.listen(command, kind, instances, counted, environment.variables)
        if not listen.share:
            self.tell_cluster(command, instances, counted)
        lifecycle = Lifecycle(self.app, self.options.environ, self.origins, self.problems)
        restart = lifecycle.restart()
        if listen.share:  # these restart without a limit: not as fast as they can end
            restart = replace(restart, delay_usec=max(restart.delay_usec, _SHARED_DELAY_USEC))
        limits, health = lifecycle.memory(kind)
        user, group = self.identity("user", "uid"), self.identity("group", "gid")
        for variable, value in environment.variables.items():
            self.origins[f"environment.{variable}"] = value.span
        self._origin("autostart", "autostart")
        return Process(
            name=name,
            command=command.words,
            directory=directory,
            kind=kind,
            instances=instances,
            counters=counters,
            listen=listen,
            channel=lifecycle.channel(kind),
            on_change=OnChange.RELOAD if listen.share else OnChange.RESTART,
            restart=restart,
            stop=lifecycle.stop(restart.prevent_codes),
            limits=limits,
            health=health,
            logs=self.logs(directory, is_pool=is_pool),
            schedule=schedule,
            autostart=self.app.flag("autostart", default=True),
            watch=watch_of(self.app, self.origins, self.problems, is_scheduled=bool(schedule)),
            user=user,
            group=group,
            environment=environment.variables,
            span=self.app.node.span,
            origins=self.origins,
        )

    def shape(self) -> tuple[ProcessKind, tuple[str, ...], int | str | None]:
        """Whether it is a service or a job of a timer, when it is started (or restarted), and of how many instances."""
        kind, schedule = Lifecycle(self.app, self.options.environ, self.origins, self.problems).schedule()
        instances = self.instances()
        if instances == 1:
            return kind, schedule, None
        if kind is ProcessKind.TASK and instances is not None:
            hint = "a job that must run several times at once takes an app of its own for each"
            message = "a job has no instances: the timer starts one of it"
            self.problems.warning(self.app.place("instances"), message, code="pm2-cron-instances", hint=hint)
            return kind, schedule, None
        return kind, schedule, instances

    def name(self) -> str:
        """The name of the process: PM2's with its prefix and suffix, made valid."""
        script = self.app.text("script") or ""
        name = self.app.text("name")
        place = self.app.place("name" if name else "script")
        if name is None:
            base = script.rstrip("/").rpartition("/")[2]
            stem = base.rpartition(".")[0]
            name = stem or base or "app"
        name = (self.app.text("name_prefix") or "") + name
        if self.app.flag("append_env_to_name", default=False) and self.options.variant:
            name = f"{name}-{self.options.variant}"
        return valid_name(name, place, self.problems, code="pm2-name")

    def directory(self) -> PurePosixPath:
        """WorkingDirectory=: a relative cwd starts at the folder of the config."""
        cwd = self.app.text("cwd")
        self._origin("directory", "cwd")
        path = PurePosixPath(os.path.normpath(self.base / (cwd or ".")))
        if cwd and not Path(path).is_dir():
            hint = "make it before `apply`: systemd starts nothing in a folder that is not there"
            message = f"there is no folder {path} on this host"
            self.problems.warning(self.app.place("cwd"), message, code="pm2-folder-missing", hint=hint)
        return path

    def variant(self, variant: str) -> Node | None:
        """The `env_<variant>` table, where this app has one."""
        return self.app.environments().get(variant)

    def instances(self) -> int | str | None:
        """How many: a number, "max", or None where it is not set."""
        value = self.app.values.get("instances")
        if value is None:
            return None
        place = self.app.place("instances")
        self._origin("instances", "instances")
        if isinstance(value, str):
            digits = value.strip().removeprefix("+")
            count = len(digits) - len(digits.lstrip("0123456789"))
            if value != "max" and not count:
                hint = "a number, or 'max' for one per CPU"
                message = f"instances: PM2 reads {value!r} as 'max'"
                self.problems.warning(place, message, code="pm2-instances", hint=hint)
            elif value != "max":
                hint = f"write {digits[:count]}"
                message = f"instances: PM2 reads {value!r} as {digits[:count]}"
                self.problems.note(place, message, code="pm2-instances", hint=hint)
            number = float(digits[:count][:9] or 0) if value != "max" else 0
        else:
            number = self.app.number("instances") or 0
        if number > _INSTANCES_MAX:
            hint = f"up to {_INSTANCES_MAX}"
            self.problems.error(place, f"instances: {number:g} is too many", code="out-of-range", hint=hint)
            return None
        if number < 0:
            return self._less_than_cpus(max(number, -_INSTANCES_MAX))
        return int(number) or "max"

    def _less_than_cpus(self, number: float) -> int:
        cpus = len(os.sched_getaffinity(0))
        count = max(1, cpus + int(number))
        hint = "write the number itself, or 'max'"
        message = f"instances: {number:g} means all CPUs but {-number:g}: {count} on this host"
        self.problems.warning(self.app.place("instances"), message, code="pm2-instances", hint=hint)
        return count

    def is_cluster(self, command: Command) -> bool:
        """Whether PM2 would run it in cluster mode, where all instances share their ports."""
        mode = self.app.text("exec_mode")
        if mode is not None and mode not in _MODES:
            return False
        if mode is None:
            value = self.app.values.get("instances")  # a string that is no number counts as 0
            number = self.app.number("instances")
            return command.is_node and (isinstance(value, str) or (number is not None and number >= -1))
        return _MODES[mode]

    def listen(
        self,
        command: Command,
        kind: ProcessKind,
        instances: int | str | None,
        counted: set[str],
        variables: Mapping[str, Variable],
    ) -> Listen:
        """The listener that PM2's cluster shares among its workers, where the port is known: PORT of all of them."""
        port = variables.get("PORT")
        is_known = port is not None and port.value.isascii() and port.value.isdecimal()
        if (
            not (self.is_cluster(command) and command.is_node and is_known)
            or instances is None
            or kind is ProcessKind.TASK
            or "PORT" in counted
            or port is None
            or not 0 < int(port.value) <= _PORT_MAX
        ):
            return Listen()
        self.origins["listen"] = port.span
        hint = '`on_change = "reload"` restarts one after the other, as `pm2 reload` does: pm-native reload'
        message = f"the instances share port {port.value}, which systemd holds, as PM2's workers do"
        self.problems.note(port.span, message, code="pm2-cluster-shared", hint=hint)
        return Listen(port=int(port.value), share=True)

    def tell_cluster(self, command: Command, instances: int | str | None, counted: set[str]) -> None:
        """What a pool loses against PM2's cluster: the one listener that all its workers share."""
        mode = self.app.text("exec_mode")
        place = self.app.place("exec_mode" if mode else "instances")
        if mode is not None and mode not in _MODES:
            hint = "'fork' or 'cluster'; PM2 starts none of the apps with this value"
            self.problems.error(place, f"exec_mode: unknown mode {mode!r}", code="bad-value", hint=hint)
        if not self.is_cluster(command):
            return
        if not command.is_node:
            runner = command.interpreter or command.words[0]
            hint = "write exec_mode: 'fork'"
            message = f"PM2's cluster mode is for Node alone: here {runner} runs it"
            self.problems.warning(place, message, code="pm2-cluster-not-node", hint=hint)
        elif instances is None:
            if mode is not None:
                message = "cluster of one: `pm2 reload` starts the new one before it stops the old"
                hint = "a restart has a gap here; write exec_mode: 'fork' to say that it does not matter"
                self.problems.note(place, message, code="pm2-cluster-single", hint=hint)
        elif "PORT" not in counted:
            much = "one instance per CPU" if instances == "max" else f"{instances} instances"
            message = (
                f"{much} without PM2's shared listener: a port that all of them open goes to the first, "
                "and the others fail with EADDRINUSE"
            )
            hint = (
                "name the port, and they share it (env: { PORT: 3000 }; the program listens on process.env.PORT or on it), "
                "or instances: 1; programs that open no port need nothing"
            )
            self.problems.warning(place, message, code="pm2-cluster-port", hint=hint)

    def identity(self, path: str, key: str) -> str | None:
        """The user or group, by name or number."""
        value = self.app.values.get(key)
        if value is None or isinstance(value, bool) or value == "":
            return None
        self._origin(path, key)
        if isinstance(value, str):
            return value
        number = self.app.number(key) or 0
        if number < 0 or number != int(min(number, 2**32)):
            hint = "a name, or a whole number"
            self.problems.error(
                self.app.place(key), f"{key}: {number:g} is no id", code="out-of-range", hint=hint
            )
            return None
        return str(int(number))

    def logs(self, directory: PurePosixPath, *, is_pool: bool) -> Logs:
        """Where the output goes: the journal, unless a file is named."""
        if self.app.flag("disable_logs", default=False):
            self._origin("logs", "disable_logs")
            return Logs(stdout=NULL, stderr=NULL)
        stdout = self._log("out_file", directory)
        stderr = self._log("error_file", directory)
        files = [
            key for key, target in (("out_file", stdout), ("error_file", stderr)) if target.startswith("/")
        ]
        if files and is_pool and not self.app.flag("merge_logs", default=False):
            message = "all instances write to this one file; PM2 puts a number behind its name"
            hint = "leave it out: the journal tells the instances apart"
            self.problems.note(self.app.place(files[0]), message, code="pm2-log-merged", hint=hint)
        self._tell_log_format(files)
        return Logs(stdout=stdout, stderr=stderr)

    def _log(self, key: str, directory: PurePosixPath) -> str:
        text = self.app.text(key)
        if text is None:
            return JOURNAL
        self._origin("logs.stdout" if key == "out_file" else "logs.stderr", key)
        self._origin("logs", key)
        if text in _NULL_PATHS:
            return NULL
        if text in _JOURNAL_PATHS:
            return JOURNAL
        home = self.options.environ.get("HOME")
        if text.startswith("~/") and home:
            text = home + text[1:]
        return os.path.normpath(directory / text)  # apply makes its folder, as PM2 does

    def _tell_log_format(self, files: list[str]) -> None:
        if self.app.text("log_file") or self.app.flag("log_file", default=False):
            message = "log_file: nothing writes both streams to one file in addition"
            hint = "journalctl -u UNIT shows both"
            self.problems.warning(self.app.place("log_file"), message, code="pm2-log-both", hint=hint)
        for key in ("log_date_format", "time"):
            if self.app.text(key) or self.app.flag(key, default=False):
                if files:
                    hint = f"leave {files[0]} out: the journal stamps each line"
                    message = f"{key}: the lines of a log file get no time stamps"
                    self.problems.warning(self.app.place(key), message, code="pm2-log-format", hint=hint)
                else:
                    hint = "journalctl -o short-iso-precise and others choose the format"
                    message = f"{key}: the journal stamps each line in its own way"
                    self.problems.note(self.app.place(key), message, code="pm2-log-format", hint=hint)
        if self.app.text("log_type") == "json":
            message, hint = (
                "log_type: the output stays as it is",
                "journalctl -o json gives a JSON object a line",
            )
            self.problems.note(self.app.place("log_type"), message, code="pm2-log-format", hint=hint)

    def tell_habits(self) -> None:
        """What PM2 does besides running the program, and nothing here does."""
        problems, app = self.problems, self.app
        if app.text("pid_file"):
            message, hint = (
                "pid_file: nothing writes it",
                "systemctl show -P MainPID UNIT tells the process id",
            )
            problems.warning(app.place("pid_file"), message, code="pm2-pid-file", hint=hint)
        if app.flag("source_map_support", default=False):
            message, hint = (
                "source_map_support: PM2 loads source maps into Node",
                "node_args: '--enable-source-maps'",
            )
            problems.note(app.place("source_map_support"), message, code="pm2-source-maps", hint=hint)
        namespace = app.text("namespace")
        if namespace not in {None, "default"}:
            message = f"namespace: there is no group {namespace!r}; all apps of this file are one project"
            hint = "give its apps a file of their own, or a common beginning of their names: systemctl stop 'NAME-*'"
            problems.note(app.place("namespace"), message, code="pm2-namespace", hint=hint)

    def _origin(self, path: str, key: str) -> None:
        if self.app.has(key):
            self.origins[path] = self.app.place(key)
