"""Health checks: what is asked of a running program, when, and what is done about a bad answer.

Durations are in microseconds, sizes in bytes. A probe's `port` of None is the process's own port, an instance's own
in a pool. Every path is absolute; a Unix socket may be an abstract one (`@name`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from pm_native.errors import NOWHERE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pm_native.errors import Span

SECOND = 1_000_000
LOCALHOST = "127.0.0.1"


class Phase(StrEnum):
    """When a check is made: until it started, before it is called ready and for information ever after, or for life."""

    STARTUP = "startup"
    READY = "ready"
    ALIVE = "alive"


class Monitor(StrEnum):
    """Who makes the checks: a monitor beside each instance, or one for all processes of the project."""

    INSTANCE = "instance"
    HOST = "host"


class Does(StrEnum):
    """What is done about a program that is not healthy."""

    RESTART = "restart"
    STATUS = "status"
    SIGNAL = "signal"
    STOP = "stop"
    EXEC = "exec"


class Combine(StrEnum):
    """Which of the probes of a check must pass."""

    ALL = "all"
    ANY = "any"


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpProbe:
    """An HTTP request whose answer has one of the statuses, and a body in which the pattern is found.

    With `unix` the request goes to that socket, and `host` is only named in it. `ca` is a file of certificates.
    """

    path: str = "/"
    host: str = LOCALHOST
    port: int | None = None
    unix: str | None = None
    tls: bool = False
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    status: tuple[tuple[int, int], ...] = ((200, 399),)
    body: str | None = None
    ca: str | None = None
    verify: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpProbe:
    """A connection to a TCP port."""

    host: str = LOCALHOST
    port: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UnixProbe:
    """A connection to a Unix socket."""

    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecProbe:
    """A command that exits with 0."""

    command: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputProbe:
    """A line that the program has written since it was started, in which the pattern is found."""

    pattern: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FileProbe:
    """A file that is there, and was changed no longer ago than `max_age_usec`."""

    path: str
    max_age_usec: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryProbe:
    """Memory of the unit's processes, files that are only cached left out, that is not above `limit_bytes`."""

    limit_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifyProbe:
    """The program says it itself by sd_notify(3): READY=1 when it is ready, WATCHDOG=1 for as long as it is alive."""


Probe = HttpProbe | TcpProbe | UnixProbe | ExecProbe | OutputProbe | FileProbe | MemoryProbe | NotifyProbe


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """What is done: `signal` is sent to the main process, `command` is run."""

    does: Does = Does.RESTART
    signal: str = ""
    command: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """Probes and how often they are made.

    Unhealthy after `retries` failures in a row, healthy again after `success` passes in a row. Until the first pass
    it is made every `start_interval_usec` at most, and failures within `start_period_usec` do not count.
    `jitter_permyriad` of each interval is random, so that the instances of a pool are not probed at once.
    """

    probes: tuple[Probe, ...]
    combine: Combine = Combine.ALL
    interval_usec: int = 10 * SECOND
    start_interval_usec: int = SECOND
    timeout_usec: int = 3 * SECOND
    retries: int = 3
    success: int = 1
    start_period_usec: int = 0
    jitter_permyriad: int = 1000
    action: Action = field(default_factory=Action)
    span: Span = NOWHERE


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """The checks of a process by phase. `strict`: systemd ends the program also when its monitor is gone."""

    startup: Check | None = None
    ready: Check | None = None
    alive: Check | None = None
    strict: bool = False

    @property
    def checks(self) -> tuple[tuple[Phase, Check], ...]:
        """The checks there are, in the order in which they begin."""
        by_phase = ((Phase.STARTUP, self.startup), (Phase.READY, self.ready), (Phase.ALIVE, self.alive))
        return tuple((phase, check) for phase, check in by_phase if check is not None)
