"""What pm-native asks of a systemd manager, and the words it answers in.

`Manager` is a Protocol with two implementations: `pm_native.bus.dbus` (the real one) and `pm_native.bus.fake`.
This module imports neither asyncio nor the bus, so that the rest may name these types for free.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from pm_native.errors import ExitCode, PmNativeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    # What a D-Bus property can hold, variants opened; a struct is a list.
    Property = bool | int | float | str | bytes | list["Property"] | dict[str, "Property"]


class JobType(StrEnum):
    """What a job does to its unit (systemctl's own verbs)."""

    START = "start"
    STOP = "stop"
    RESTART = "restart"
    TRY_RESTART = "try-restart"
    RELOAD = "reload"
    RELOAD_OR_RESTART = "reload-or-restart"
    RELOAD_OR_TRY_RESTART = "reload-or-try-restart"


class JobMode(StrEnum):
    """What happens to jobs that are queued already. `isolate` is left out: it stops what is not ours."""

    REPLACE = "replace"
    FAIL = "fail"
    REPLACE_IRREVERSIBLY = "replace-irreversibly"
    IGNORE_DEPENDENCIES = "ignore-dependencies"
    IGNORE_REQUIREMENTS = "ignore-requirements"


class JobResult(StrEnum):
    """How a job ended. `JobResult(word)` is UNKNOWN for a word of a newer systemd."""

    DONE = "done"
    SKIPPED = "skipped"
    CANCELED = "canceled"
    TIMEOUT = "timeout"
    FAILED = "failed"
    DEPENDENCY = "dependency"
    INVALID = "invalid"
    ASSERT = "assert"
    UNSUPPORTED = "unsupported"
    COLLECTED = "collected"
    ONCE = "once"
    FROZEN = "frozen"
    UNKNOWN = "unknown"

    @classmethod
    def _missing_(cls, value: object) -> JobResult:  # noqa: ARG003 -- enum's own signature
        return cls.UNKNOWN

    @property
    def is_success(self) -> bool:
        """Whether systemd did what was asked. That is not health: `done` is said of programs that die at once."""
        return self in {JobResult.DONE, JobResult.SKIPPED}

    def words(self, service_result: str = "") -> str:
        """The result as the end of a sentence that begins with the unit's name, in systemctl's words.

        `service_result` is the unit's `Result` property, which says why a job of a service failed.
        """
        if self is JobResult.FAILED and service_result in SERVICE_RESULT_WORDS:
            return f"its job failed because {SERVICE_RESULT_WORDS[service_result]}"
        return _JOB_RESULT_WORDS[self]


_JOB_RESULT_WORDS = {
    JobResult.DONE: "its job is done",
    JobResult.SKIPPED: "its job was skipped, there was nothing to do",
    JobResult.CANCELED: "its job was canceled",
    JobResult.TIMEOUT: "its job timed out",
    JobResult.FAILED: "its job failed",
    JobResult.DEPENDENCY: "a job it depends on failed",
    JobResult.INVALID: "it is not active, so it cannot be reloaded",
    JobResult.ASSERT: "an assertion of its unit file failed",
    JobResult.UNSUPPORTED: "this system cannot do that to a unit of its type",
    JobResult.COLLECTED: "its queued job was garbage collected",
    JobResult.ONCE: "it was started already once and cannot be started again",
    JobResult.FROZEN: "it is frozen",
    JobResult.UNKNOWN: "its job ended in a way that this pm-native does not know",
}

# systemctl's explanations of Result= (systemd, src/shared/bus-wait-for-jobs.c).
SERVICE_RESULT_WORDS = {
    "resources": "of unavailable resources or another system error",
    "protocol": "the service did not take the steps required by its unit configuration",
    "timeout": "a timeout was exceeded",
    "exit-code": "the control process exited with error code",
    "signal": "a fatal signal was delivered to the control process",
    "core-dump": "a fatal signal was delivered causing the control process to dump core",
    "watchdog": "the service failed to send watchdog ping",
    "start-limit-hit": "start of the service was attempted too often",
    "oom-kill": "of an out-of-memory (OOM) situation",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEnd:
    """The end of a job: the result, and the very word that systemd said."""

    result: JobResult
    raw: str


# The values of ActiveState= in which a unit is up, or about to be.
RUNNING = frozenset({"active", "activating", "reloading", "refreshing"})


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitState:
    """What the manager says of a unit in one line. `load_state` is `not-found` where there is no such unit."""

    name: str
    description: str = ""
    load_state: str
    active_state: str
    sub_state: str
    following: str = ""  # the unit that this one follows in state (devices only)
    job_id: int = 0  # of the job that is queued for it; 0: none
    job_type: str = ""
    object_path: str = ""

    @property
    def exists(self) -> bool:
        """Whether there is a unit file for it, or a process left of one."""
        return self.load_state != "not-found" or self.active_state != "inactive"

    @property
    def is_between_runs(self) -> bool:
        """Whether the service has ended and waits for its next start by itself."""
        return self.sub_state.startswith("auto-restart")  # from 254 on there is auto-restart-queued, too


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitDetails:
    """A unit's own properties. What a unit of its type lacks has the default; `_usec` times are microseconds.

    A time that is unlimited is None. `result` and what follows it are of the last run of a service.
    """

    name: str
    load_state: str
    active_state: str
    sub_state: str
    unit_file_state: str = ""
    fragment_path: str = ""
    source_path: str = ""
    drop_in_paths: tuple[str, ...] = ()
    need_daemon_reload: bool = False
    invocation_id: str = ""  # 32 hex digits; "" while it never ran
    service_type: str = ""  # Type=
    job_timeout_usec: int | None = None
    timeout_start_usec: int | None = None
    timeout_stop_usec: int | None = None
    restart_usec: int = 0
    active_enter_usec: int = 0  # wall clock, since the epoch; 0: never
    state_change_usec: int = 0  # monotonic clock; 0: never
    result: str = ""
    main_pid: int = 0
    n_restarts: int = 0
    exec_main_code: int = 0  # CLD_EXITED and kin of waitid(2)
    exec_main_status: int = 0
    status_text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkChange:
    """What enabling or disabling changed on disk: `kind` is `symlink`, `unlink` or a complaint of systemd's."""

    kind: str
    path: str
    target: str


class JobHandle(Protocol):
    """A job that systemd has queued. Nothing here ends the job but `cancel`; it lives on without us."""

    @property
    def unit(self) -> str:
        """The unit it was asked for."""
        ...

    @property
    def job_id(self) -> int:
        """Its number, as `systemctl list-jobs` shows it. Jobs that systemd merged share one."""
        ...

    @property
    def others(self) -> Mapping[str, JobHandle]:
        """The jobs that systemd queued along with it, by unit, as far as they were asked about."""
        ...

    async def result(self) -> JobEnd:
        """Wait until the job has ended, however long that takes. Raises `BusLostError`."""
        ...

    async def cancel(self) -> None:
        """Take the job out of the queue; nothing happens where it has ended already."""
        ...


class Manager(Protocol):
    """One systemd manager, the system's or a user's.

    Each call may raise `BusError`, `BusLostError`, `BusTimeoutError`, `AccessError` and `UnavailableError`, and none
    but `JobHandle.result` can wait for ever.
    """

    @property
    def closed(self) -> bool:
        """Whether the connection is gone: every further call raises `BusLostError`."""
        ...

    async def version(self) -> int:
        """The version of systemd, 252 for `252.39-1~deb12u1`."""
        ...

    async def unit_path(self) -> tuple[str, ...]:
        """The directories that unit files are loaded from, first wins."""
        ...

    async def states(self, names: Sequence[str]) -> dict[str, UnitState]:
        """The state of each name, asked in batches; this loads units that are not loaded.

        Names that nothing can be said of (templates, names that are not valid) are left out.
        """
        ...

    async def list_units(self, patterns: Sequence[str]) -> list[UnitState]:
        """The loaded units that match one of the globs, sorted by name."""
        ...

    async def details(self, names: Sequence[str]) -> dict[str, UnitDetails]:
        """The details of each name; templates and names that are not valid are left out."""
        ...

    async def properties(self, name: str, interface: str, names: Iterable[str]) -> Mapping[str, Property]:
        """Single properties of a unit; `interface` is `Unit`, `Service`, ...: cheaper than `details`."""
        ...

    async def unit_file_states(self, names: Sequence[str]) -> dict[str, str]:
        """`enabled`, `disabled`, `static`, ... of each name; "" where there is no unit file."""
        ...

    async def enable(
        self, names: Sequence[str], *, runtime: bool = False, force: bool = False
    ) -> tuple[LinkChange, ...]:
        """Make the links that [Install] asks for; raises `BusError` where a unit has no [Install]."""
        ...

    async def disable(self, names: Sequence[str], *, runtime: bool = False) -> tuple[LinkChange, ...]:
        """Remove those links."""
        ...

    async def reload(self) -> None:
        """daemon-reload: returns when every unit file was read again (180 s at most).

        Where systemd allows only so many in a time, it is asked again.
        """
        ...

    async def reset_failed(self, name: str) -> None:
        """Forget that the unit failed and how often it was started; a unit that is not loaded needs none."""
        ...

    async def submit(
        self, job: JobType, unit: str, mode: JobMode = JobMode.REPLACE, *, along: Collection[str] = ()
    ) -> JobHandle:
        """Queue a job; returns once systemd has taken it, which `JobHandle.result` waits for the end of.

        Calls reach systemd in the order in which they were made, awaited or not. Of the units `along`, the handle's
        `others` are the jobs that start or restart them in the same transaction: pulled in, or taken along.
        """
        ...

    async def attend(self, unit: str, job_id: int) -> JobHandle:
        """A handle for a job of `unit` that somebody asked for before; its end is heard of from now on."""
        ...

    async def cancel_job(self, job_id: int) -> None:
        """Take a job out of the queue; nothing happens where it has ended already."""
        ...

    async def aclose(self) -> None:
        """Let go of the connection; who still waits gets `BusLostError`. May be called twice."""
        ...


class BusError(PmNativeError):
    """systemd refused; `name` is the D-Bus error, `unit` the unit it was about ("" where there is none)."""

    def __init__(self, message: str, *, name: str = "", unit: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.name = name
        self.unit = unit


class NoSuchUnitError(BusError):
    """There is no unit of that name."""


class UnitMaskedError(BusError):
    """The administrator masked the unit: that is a decision, never undone by us."""


class BadUnitError(BusError):
    """There is a unit file, and systemd cannot use it."""


class JobRefusedError(BusError):
    """The unit is fine, and the job does not fit it or what is queued already."""


class BusTimeoutError(PmNativeError):
    """systemd did not answer in time. A job that was asked for may be queued all the same."""

    exit_code = ExitCode.UNAVAILABLE


class BusLostError(PmNativeError):
    """The connection is gone. Jobs that were queued go on in systemd, and nobody saw how they ended."""

    exit_code = ExitCode.UNAVAILABLE
