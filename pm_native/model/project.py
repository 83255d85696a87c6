"""What the user asked for, whatever format it was written in: a project and its processes.

Durations are in microseconds, sizes in bytes, as systemd keeps them. Every path is absolute.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from pm_native.errors import NOWHERE
from pm_native.model.confinement import Sandbox
from pm_native.model.health import Monitor
from pm_native.model.package import Package
from pm_native.model.record import OnChange

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import PurePosixPath

    from pm_native.errors import Span
    from pm_native.model.confinement import Secret
    from pm_native.model.health import Health
    from pm_native.model.record import LockFile, SourceFile
    from pm_native.model.watch import Watch

SECOND = 1_000_000
JOURNAL = "journal"
NULL = "null"


class ProcessKind(StrEnum):
    """A service runs until it is stopped, a task runs to completion."""

    SERVICE = "service"
    TASK = "task"


class Condition(StrEnum):
    """What a dependency must have reached before its dependent starts."""

    STARTED = "started"
    READY = "ready"
    COMPLETED = "completed"


class RestartPolicy(StrEnum):
    """When a process that ended is started again, in the words of Restart= (systemd.service(5))."""

    NO = "no"
    ALWAYS = "always"
    ON_SUCCESS = "on-success"
    ON_FAILURE = "on-failure"
    ON_ABNORMAL = "on-abnormal"
    ON_ABORT = "on-abort"
    ON_WATCHDOG = "on-watchdog"


class StopMode(StrEnum):
    """Whom the stop signal reaches, in the words of KillMode= (systemd.kill(5))."""

    GROUP = "control-group"
    MIXED = "mixed"
    MAIN = "process"


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart:
    """Restart policy. `limit` restarts within `window_usec` are allowed, then it stays failed; None: no limit.

    With `max_delay_usec` the delay grows from `delay_usec` in `steps` restarts (None: by doubling).
    `prevent_codes` are exit codes after which it is left stopped.
    """

    policy: RestartPolicy = RestartPolicy.ALWAYS
    delay_usec: int = SECOND
    max_delay_usec: int | None = None
    steps: int | None = None
    limit: int | None = 10
    window_usec: int = 60 * SECOND
    prevent_codes: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """How it is stopped: the signal, the wait before SIGKILL, and whom the signal reaches.

    `success_codes` are exit codes that count as a clean end.
    """

    signal: str = "SIGTERM"
    timeout_usec: int = 10 * SECOND
    mode: StopMode = StopMode.GROUP
    success_codes: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Resource limits: of the process as a whole, all instances together, but `open_files`, which is per program.

    `cpu_permyriad` counts one CPU as 10,000.
    """

    memory_bytes: int | None = None
    cpu_permyriad: int | None = None
    tasks: int | None = None
    open_files: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Logs:
    """Where the output goes: `journal`, `null` or the absolute path of a file that is appended to."""

    stdout: str = JOURNAL
    stderr: str = JOURNAL


@dataclass(frozen=True, slots=True, kw_only=True)
class Listen:
    """What a process listens on: a TCP `port` (on `host`; None: all addresses), or the absolute `path` of a Unix socket.

    Without `share` the program opens it itself, told its port in PORT: the instances of a pool get consecutive ones.
    With it systemd holds one socket, and every instance has it as its file descriptor 3; `backlog` is its queue, and
    `mode`, `user` and `group` are those of the file at `path`.
    """

    port: int | None = None
    host: str | None = None
    path: str | None = None
    share: bool = False
    backlog: int | None = None
    mode: int | None = None
    user: str | None = None
    group: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """A message channel to the program, as Node's child processes have one (NODE_CHANNEL_FD).

    With `ready` the program says by the message "ready" that it is so, and is taken as ready `ready_timeout_usec` after
    its start without it (None: never). With `shutdown` it is asked to end by the message "shutdown".
    """

    ready: bool = False
    ready_timeout_usec: int | None = None
    shutdown: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependency:
    """`name` of this project must reach `condition` first."""

    name: str
    condition: Condition = Condition.STARTED
    span: Span = NOWHERE


@dataclass(frozen=True, slots=True, kw_only=True)
class Counter:
    """An environment variable that counts instances: `base` in the first one, then one more each."""

    variable: str
    base: int
    span: Span = NOWHERE


@dataclass(frozen=True, slots=True, kw_only=True)
class PassThrough:
    """A directive that the user wrote in systemd's own words; several values repeat the directive."""

    section: str
    name: str
    values: tuple[str, ...]
    span: Span = NOWHERE


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """The value of an environment variable, and the place that set it."""

    value: str
    span: Span = NOWHERE


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One declared program.

    `command` is argv. `instances` None is a single process, a number (or "max", one per CPU) a pool of them,
    whose first instance has the number `first_instance`; a rolling reload takes `max_unavailable` of them at a time. `environment` came from the config text itself,
    `file_environment` from environment files; the former wins. `origins` tells the place of each key path.
    """

    name: str
    command: tuple[str, ...]
    directory: PurePosixPath
    description: str = ""
    kind: ProcessKind = ProcessKind.SERVICE
    instances: int | str | None = None
    first_instance: int = 1
    counters: tuple[Counter, ...] = ()
    listen: Listen = field(default_factory=Listen)
    channel: Channel | None = None
    depends_on: tuple[Dependency, ...] = ()
    restart: Restart = field(default_factory=Restart)
    stop: Stop = field(default_factory=Stop)
    limits: Limits = field(default_factory=Limits)
    logs: Logs = field(default_factory=Logs)
    schedule: tuple[str, ...] = ()
    on_change: OnChange = OnChange.RESTART
    max_unavailable: int = 1
    restart_on: tuple[str, ...] = ()
    autostart: bool = True
    protect: bool = False
    notify: bool = False
    health: Health | None = None
    start_timeout_usec: int | None = None
    user: str | None = None
    group: str | None = None
    umask: int | None = None
    sandbox: Sandbox = field(default_factory=Sandbox)
    secrets: tuple[Secret, ...] = ()
    watch: Watch | None = None
    environment: Mapping[str, Variable] = field(default_factory=dict)
    file_environment: Mapping[str, Variable] = field(default_factory=dict)
    systemd: tuple[PassThrough, ...] = ()
    span: Span = NOWHERE
    origins: Mapping[str, Span] = field(default_factory=dict)

    def origin(self, path: str) -> Span:
        """The place of the key `path` (`restart.delay`), or of the nearest key around it; NOWHERE: a default."""
        while path:
            if path in self.origins:
                return self.origins[path]
            path = path.rpartition(".")[0]
        return NOWHERE

    @property
    def is_pool(self) -> bool:
        """Whether it runs as numbered instances of a template."""
        return self.instances is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class IpcRule:
    """What `who` may do with messages: the name of a process, `*` for every other one, or `user:NAME`.

    `call` has names of processes, the others patterns of topics; None: everything.
    """

    who: str
    call: tuple[str, ...] | None = None
    publish: tuple[str, ...] | None = None
    subscribe: tuple[str, ...] | None = None
    span: Span = NOWHERE


@dataclass(frozen=True, slots=True, kw_only=True)
class Ipc:
    """Messages between the processes, and who may send which."""

    rules: tuple[IpcRule, ...] = ()
    span: Span = NOWHERE


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """All of one config. `source_path` is the absolute path of the config file, `monitor` who makes health checks.

    `ipc` None: no messages between the processes. `libraries` are the files that a config which is a program has loaded
    beside `sources`: of packages, whose changes are not its own.
    """

    name: str
    source_path: str
    directory: PurePosixPath
    monitor: Monitor = Monitor.INSTANCE
    monitor_span: Span = NOWHERE
    ipc: Ipc | None = None
    processes: tuple[Process, ...] = ()
    sources: tuple[SourceFile, ...] = ()
    libraries: tuple[str, ...] = ()
    package: Package = field(default_factory=Package)
    lock: LockFile | None = None
    span: Span = NOWHERE
