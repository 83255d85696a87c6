"""A plan: every step from what is to what should be, each with its reason. Data: apply runs this very object."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pm_native.bus.manager import UnitState
    from pm_native.compile.bundle import Bundle, FileKind, Installed


class Action(StrEnum):
    """What a step does. The order of the members is the order of the phases."""

    STOP = "stop"
    MAKE_DIRECTORY = "make-directory"
    WRITE = "write"
    DELETE = "delete"
    LINK = "link"
    UNLINK = "unlink"
    RELOAD_MANAGER = "reload-manager"
    RESET_FAILED = "reset-failed"
    RELOAD = "reload"
    RESTART = "restart"
    START = "start"

    @property
    def is_job(self) -> bool:
        """Whether systemd does it, as a job of the unit."""
        return self in {Action.STOP, Action.RELOAD, Action.RESTART, Action.START}


@dataclass(frozen=True, slots=True)
class Change:
    """A directive whose value differs; "" where one side does not have it."""

    directive: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do. `subject` is a unit, a file name or a path, by the action; `kind` tells files apart."""

    action: Action
    subject: str
    reason: str
    kind: FileKind | None = None
    changes: tuple[Change, ...] = ()
    is_new: bool = False  # WRITE: there is no such file yet


@dataclass(frozen=True, slots=True)
class Drift:
    """Something on the host that differs from what was applied, by somebody's hand, and is left as it is."""

    subject: str
    what: str
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The host as a plan needs it. File names map to texts, absent where there is no such file.

    `states` is None offline. `foreign` maps names to paths of others' files that are in the way, `masked` has the
    names of unit files that the administrator replaced by a link to /dev/null, `unreadable` those of environment
    files that the caller may not read.
    """

    installed: Installed | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    directories: frozenset[str] = frozenset()
    foreign: Mapping[str, str] = field(default_factory=dict)
    masked: frozenset[str] = frozenset()
    unreadable: frozenset[str] = frozenset()
    states: Mapping[str, UnitState] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The steps in order, the bundle they lead to (None: to nothing), and the drift that they leave alone."""

    project: str
    bundle: Bundle | None
    steps: tuple[Step, ...] = ()
    drift: tuple[Drift, ...] = ()
    unchanged: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return not self.steps

    def of(self, *actions: Action) -> tuple[Step, ...]:
        """The steps of these actions, in order."""
        return tuple(step for step in self.steps if step.action in actions)
