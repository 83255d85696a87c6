"""The model to a native config: what differs from the defaults, shared values once, in the order of the key table."""

from __future__ import annotations

from pathlib import PurePosixPath

from pm_native.config.keys import PROCESS
from pm_native.config.write_command import command_values
from pm_native.config.write_health import health_table
from pm_native.model.confinement import Profile
from pm_native.model.health import Monitor
from pm_native.model.project import (
    JOURNAL,
    Condition,
    Listen,
    Process,
    ProcessKind,
    Restart,
    RestartPolicy,
    Stop,
)
from pm_native.model.quantity import format_duration, format_percent, format_size
from pm_native.model.watch import Watch
from pm_native.syntax.toml_write import table_lines

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pm_native.model.project import Channel, Ipc, Limits, Logs, Project
    from pm_native.syntax.toml_write import Value

    Values = dict[str, Value]


class ConfigWriter:
    """Writes the native config of a project, to be put into `folder`.

    `files` are the environment files of each process by its name, which hold all of its `file_environment`.
    """

    def __init__(self, project: Project, folder: PurePosixPath, files: Mapping[str, Sequence[str]]) -> None:
        self._project = project
        self._folder = folder
        self._files = files
        processes = project.processes
        directories = {process.directory for process in processes}
        self._directory = next(iter(directories)) if len(directories) == 1 else project.directory
        self._shared: Values = {}
        if len(processes) > 1:
            for key in ("user", "group"):
                values = {getattr(process, key) for process in processes}
                if len(values) == 1 and (value := next(iter(values))) is not None:
                    self._shared[key] = value
        self._environment = _common([_plain(process) for process in processes]) if len(processes) > 1 else {}
        lists = {tuple(files.get(process.name, ())) for process in processes}
        self._all_files = next(iter(lists)) if len(lists) == 1 and len(processes) > 1 else ()

    def text(self, header: Sequence[str] = (), comments: Mapping[str, Sequence[str]] | None = None) -> str:
        """The whole config; `comments` are written above each process, by its name."""
        lines = [*(f"# {line}".rstrip() for line in header), "", *table_lines(("project",), self.project())]
        for process in self._project.processes:
            told = (comments or {}).get(process.name, ())
            lines += ["", *table_lines(("process", process.name), self.process(process), told)]
        return "\n".join(lines).lstrip("\n") + "\n"

    def project(self) -> Values:
        """`[project]`."""
        found: Values = {"name": self._project.name}
        if self._directory != self._folder:
            found["directory"] = _relative(self._directory, self._folder)
        found |= self._shared
        if self._project.monitor is not Monitor.INSTANCE:
            found["monitor"] = self._project.monitor.value
        if self._project.ipc is not None:
            found["ipc"] = _ipc(self._project.ipc)
        if self._environment:
            found["environment"] = dict(self._environment)
        if self._all_files:
            found["environment_files"] = [self._file(path, self._directory) for path in self._all_files]
        return found

    def _file(self, text: str, directory: PurePosixPath) -> str:
        optional = "-" if text.startswith("-") else ""
        return optional + _relative(PurePosixPath(text.removeprefix("-")), directory)

    def process(self, process: Process) -> Values:
        """`[process.NAME]`, in the order of the key table."""
        own = {name: value for name, value in _plain(process).items() if name not in self._environment}
        files = () if self._all_files else self._files.get(process.name, ())
        found: Values = {
            **command_values(process.command),
            **self._simple(process),
            **_pool(process),
            "listen": _listen(process.listen, process.directory),
            "channel": _channel(process.channel),
            "depends_on": _depends_on(process),
            "schedule": list(process.schedule) if len(process.schedule) > 1 else "".join(process.schedule),
            "restart": _restart(process),
            "stop": _stop(process.stop),
            "limits": _limits(process.limits),
            "logs": self._logs(process.logs),
            "restart_on": [_relative(PurePosixPath(path), process.directory) for path in process.restart_on],
            "environment": own,
            "environment_files": [self._file(path, process.directory) for path in files],
            "secrets": _secrets(process),
            "sandbox": "" if process.sandbox.profile is Profile.OFF else process.sandbox.profile.value,
            "writable": [
                _relative(PurePosixPath(path), process.directory) for path in process.sandbox.writable
            ],
            "watch": _watch(process.watch),
            "systemd": _systemd(process),
            "health": health_table(process.health) if process.health is not None else {},
        }
        order = [key.name for key in PROCESS.keys]
        kept = [(name, value) for name, value in found.items() if value not in ("", {}, [])]
        return dict(sorted(kept, key=lambda pair: order.index(pair[0])))

    def _simple(self, process: Process) -> Values:
        default = Process(name="", command=(), directory=self._directory)
        found: Values = {
            key: getattr(process, key)
            for key in ("description", "autostart", "notify", "protect", "on_change", "max_unavailable")
            if getattr(process, key) != getattr(default, key)
        }
        if process.kind is ProcessKind.TASK and not process.schedule:
            found["kind"] = process.kind.value
        if process.start_timeout_usec is not None:
            found["start_timeout"] = format_duration(process.start_timeout_usec)
        if process.directory != self._directory:
            found["directory"] = _relative(process.directory, self._directory)
        if process.umask is not None:
            found["umask"] = f"{process.umask:04o}"
        own = {"user": process.user, "group": process.group}
        return found | {
            key: value for key, value in own.items() if value is not None and key not in self._shared
        }

    def _logs(self, logs: Logs) -> Values:
        found: Values = {}
        if logs.stdout != JOURNAL:
            found["stdout"] = self._log(logs.stdout)
        if logs.stderr != logs.stdout:
            found["stderr"] = self._log(logs.stderr)
        return found

    def _log(self, target: str) -> str:
        return _relative(PurePosixPath(target), self._directory) if target.startswith("/") else target


def _plain(process: Process) -> dict[str, str]:
    return {name: variable.value for name, variable in process.environment.items()}


def _common(environments: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """What all of them have, with the same value."""
    first, *others = environments
    return {
        name: value for name, value in first.items() if all(other.get(name) == value for other in others)
    }


def _relative(path: PurePosixPath, base: PurePosixPath) -> str:
    """The path from `base` where it lies below it; else as it is."""
    return str(path.relative_to(base)) if path.is_relative_to(base) else str(path)


def _pool(process: Process) -> Values:
    if process.instances is None:
        return {}
    found: Values = {"instances": process.instances}
    if process.first_instance != 1:
        found["first_instance"] = process.first_instance
    if process.counters:
        found["counters"] = {counter.variable: counter.base for counter in process.counters}
    return found


def _ipc(ipc: Ipc) -> Value:
    access: Values = {}
    for rule in ipc.rules:
        given = {"call": rule.call, "publish": rule.publish, "subscribe": rule.subscribe}
        access[rule.who] = {verb: list(names) for verb, names in given.items() if names is not None}
    return {"access": access} if access else True


def _channel(channel: Channel | None) -> Values:
    if channel is None:
        return {}
    found: Values = {"ready": channel.ready}
    if channel.ready_timeout_usec is not None:
        found["ready_timeout"] = format_duration(channel.ready_timeout_usec)
    if channel.shutdown:
        found["shutdown"] = True
    return found


def _listen(listen: Listen, directory: PurePosixPath) -> Value:
    default = Listen(share=listen.path is not None)
    found: Values = {}
    for key in ("port", "host", "path", "share", "backlog", "mode", "user", "group"):
        value = getattr(listen, key)
        if value != getattr(default, key):
            found[key] = value
    if listen.path is not None:
        found["path"] = _relative(PurePosixPath(listen.path), directory)
    if listen.mode is not None:
        found["mode"] = f"{listen.mode:04o}"
    return found["port"] if found.keys() == {"port"} else found


def _secrets(process: Process) -> Values:
    found: Values = {}
    for secret in process.secrets:
        file = _relative(PurePosixPath(secret.path), process.directory)
        flags = {key: True for key in ("env", "encrypted") if getattr(secret, key)}
        found[secret.name] = {"file": file, **flags} if flags else file
    return found


def _watch(watch: Watch | None) -> Value:
    if watch is None:
        return []
    paths = list(watch.patterns)
    found: Values = {"paths": paths}
    if watch.ignore:
        found["ignore"] = list(watch.ignore)
    if watch.delay_usec != Watch(patterns=()).delay_usec:
        found["delay"] = format_duration(watch.delay_usec)
    return paths if found.keys() == {"paths"} else found


def _depends_on(process: Process) -> Value:
    if all(item.condition is Condition.STARTED for item in process.depends_on):
        return [item.name for item in process.depends_on]
    return {item.name: item.condition.value for item in process.depends_on}


def _restart(process: Process) -> Value:
    restart = process.restart
    default = Restart(policy=RestartPolicy.NO if process.kind is ProcessKind.TASK else RestartPolicy.ALWAYS)
    found: Values = {}
    if restart.policy is not default.policy:
        found["policy"] = restart.policy.value
    if restart.policy is not RestartPolicy.NO:  # nothing else means anything then
        if restart.delay_usec != default.delay_usec:
            found["delay"] = format_duration(restart.delay_usec)
        if restart.max_delay_usec is not None:
            found["max_delay"] = format_duration(restart.max_delay_usec)
            if restart.steps is not None:
                found["steps"] = restart.steps
        if restart.limit not in {default.limit, 0}:
            found["limit"] = restart.limit or 0
        if restart.limit and restart.window_usec != default.window_usec:
            found["window"] = format_duration(restart.window_usec)
        if restart.prevent_codes:
            found["prevent_codes"] = list(restart.prevent_codes)
    return found["policy"] if found.keys() == {"policy"} else found


def _stop(stop: Stop) -> Value:
    default = Stop()
    found: Values = {}
    if stop.signal != default.signal:
        found["signal"] = stop.signal
    if stop.timeout_usec != default.timeout_usec:
        found["timeout"] = format_duration(stop.timeout_usec)
    if stop.mode is not default.mode:
        found["mode"] = stop.mode.value
    if stop.success_codes:
        found["success_codes"] = list(stop.success_codes)
    return found["signal"] if found.keys() == {"signal"} else found


def _limits(limits: Limits) -> Values:
    found: Values = {}
    if limits.memory_bytes is not None:
        found["memory"] = format_size(limits.memory_bytes)
    if limits.cpu_permyriad is not None:
        found["cpu"] = format_percent(limits.cpu_permyriad)
    for key in ("tasks", "open_files"):
        value = getattr(limits, key)
        if value is not None:
            found[key] = value
    return found


def _systemd(process: Process) -> Values:
    found: dict[str, dict[str, Value]] = {}
    if process.restart.limit == 0 and process.restart.policy is not RestartPolicy.NO:
        # Not one restart: `limit = 0` is no limit at all.
        window = format_duration(process.restart.window_usec)
        found["Unit"] = {"StartLimitIntervalSec": window, "StartLimitBurst": 1}
    for item in process.systemd:
        section = found.setdefault(item.section, {})
        earlier = section.get(item.name, [])
        values = [*(earlier if isinstance(earlier, list) else [earlier]), *item.values]
        section[item.name] = values[0] if len(values) == 1 else values
    return dict(found)
