"""A plan: every step from what is to what should be, each with its reason. Data: apply runs this very object."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pm_native.bus.manager import UnitState
    from pm_native.compile.bundle import Bundle, FileKind, Installed


_CONTROL = ("/system.control", "/user.control")  # below /etc, ~/.config and /run (systemd.unit(5))


class Action(StrEnum):
    """What a step does. The order of the members is the order of the phases.

    REVERT takes away a drop-in that `systemctl set-property` made. WATCH looks whether what runs already stays up. ROLL restarts an instance of a pool when those before it are ready
    again.
    """

    STOP = "stop"
    MAKE_DIRECTORY = "make-directory"
    WRITE = "write"
    DELETE = "delete"
    REVERT = "revert"
    LINK = "link"
    UNLINK = "unlink"
    RELOAD_MANAGER = "reload-manager"
    RESET_FAILED = "reset-failed"
    RELOAD = "reload"
    RESTART = "restart"
    START = "start"
    WATCH = "watch"
    ROLL = "roll"

    @property
    def is_job(self) -> bool:
        """Whether systemd does it, as a job of the unit."""
        return self in {Action.STOP, Action.RELOAD, Action.RESTART, Action.START, Action.ROLL}


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
    saved_as: str = ""  # WRITE, DELETE: the name beside it under which what is there now is kept
    along_with: str = ""  # RESTART: the unit whose restart takes this one along
    is_alone: bool = False  # STOP: what requires the unit, or is in the slice, runs on


@dataclass(frozen=True, slots=True)
class Drift:
    """Something on the host that differs from what was applied, by somebody's hand, and is left as it is.

    What is not `is_firm` passes by itself, or is told by what only some callers may see.
    """

    subject: str
    what: str
    hint: str = ""
    is_firm: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanOptions:
    """What a plan may do beyond following the config.

    `adopt` takes over files that are not ours, `force` writes over what was edited by hand and takes away what is
    protected, `reconcile` undoes what was stopped, disabled or set by hand, without `prune` nothing is taken away.
    `as_wanted` names units that run on the wanted settings already, whatever the files say that are there now.
    `needs_directories` refuses units whose working directory is not there. Without `retry` what failed is not tried again.
    """

    adopt: bool = False
    force: bool = False
    reconcile: bool = False
    prune: bool = True
    needs_directories: bool = False
    retry: bool = True
    as_wanted: frozenset[str] = frozenset()


class TakenBy(StrEnum):
    """The option that takes over a file in the way."""

    NONE = ""
    ADOPT = "adopt"
    FORCE = "force"


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreign:
    """A file in the way that is not as we wrote it, why, and the name beside it that its text can be kept under."""

    path: str
    why: str
    taken_by: TakenBy = TakenBy.NONE
    save_as: str = ""

    def __str__(self) -> str:
        return f"{self.path} ({self.why})"

    def may_be_taken(self, options: PlanOptions) -> bool:
        """Whether the options say that it is to be taken over."""
        return (self.taken_by is TakenBy.ADOPT and options.adopt) or (
            self.taken_by is TakenBy.FORCE and options.force
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DropIn:
    """A file of the administrator's that adds to units or overrides them; `text` None: the caller may not read it."""

    path: str
    units: tuple[str, ...]
    text: str | None

    @property
    def is_property(self) -> bool:
        """Whether `systemctl set-property` made it, of one unit."""
        folder, _, _ = self.path.rpartition("/")
        base, _, name = folder.rpartition("/")
        return base.endswith(_CONTROL) and self.units == (name.removesuffix(".d"),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The host as a plan needs it. File names map to texts, absent where there is no such file.

    `states` is None offline. `foreign` maps names to others' files that are in the way, `masked` has the
    names of unit files that the administrator replaced by a link to /dev/null, `unreadable` those of environment
    files that the caller may not read, `exposed` of those that others may. `missing` maps unit files to their working
    directories that are not there, `outdated` has the units whose files have changed since systemd read them.
    `contents` are the digests of what processes read by path ("": it is not there, None: the caller may not read it),
    `contents_before` those of the last apply, None where the caller may not know them. `crashing` are the units that
    wait for their next restart after a failure, `relapsed` those that are up just now after one, `runs` the ids of the runs that units have now which the last apply
    left on old settings.
    """

    installed: Installed | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    directories: frozenset[str] = frozenset()
    foreign: Mapping[str, Foreign] = field(default_factory=dict)
    masked: frozenset[str] = frozenset()
    unreadable: frozenset[str] = frozenset()
    exposed: frozenset[str] = frozenset()
    drop_ins: tuple[DropIn, ...] = ()
    missing: Mapping[str, str] = field(default_factory=dict)
    outdated: tuple[str, ...] = ()
    contents: Mapping[str, str | None] = field(default_factory=dict)
    contents_before: Mapping[str, str] | None = field(default_factory=dict)
    states: Mapping[str, UnitState] | None = None
    crashing: frozenset[str] = frozenset()
    relapsed: frozenset[str] = frozenset()
    runs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The steps in order, the bundle they lead to (None: to nothing), and the drift that they leave alone.

    The bundle holds what is kept of the last apply, too: what is protected, or all of it without `options.prune`.
    `contents` are the digests of what its processes read; they are for records that their owner alone can read.
    `held` are the units that run on old settings and are left so.
    """

    project: str
    bundle: Bundle | None
    steps: tuple[Step, ...] = ()
    drift: tuple[Drift, ...] = ()
    unchanged: int = 0
    options: PlanOptions = field(default_factory=PlanOptions)
    contents: Mapping[str, str] = field(default_factory=dict)
    held: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return not self.steps

    @property
    def changes_files(self) -> bool:
        """Whether the host would hold other files than before, which it can go back to."""
        return bool(self.of(Action.WRITE, Action.DELETE, Action.REVERT, Action.LINK, Action.UNLINK))

    @property
    def digest(self) -> str:
        """What tells this plan from others: its steps, of files with what changes in them."""
        told = [
            (
                step.action,
                step.subject,
                step.reason,
                [(change.directive, change.old, change.new) for change in step.changes],
            )
            for step in self.steps
        ]
        return sha256(json.dumps(told).encode()).hexdigest()[:16]

    def of(self, *actions: Action) -> tuple[Step, ...]:
        """The steps of these actions, in order."""
        return tuple(step for step in self.steps if step.action in actions)
