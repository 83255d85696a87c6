"""Units and their states to jobs: which must stop, which run on old settings, which are to start. Pure."""

from __future__ import annotations

from dataclasses import replace

from pm_native.bus.manager import RUNNING
from pm_native.model.record import OnChange
from pm_native.plan.contents import changed_contents
from pm_native.plan.diff import needs_restart
from pm_native.plan.model import Action, Drift, Step
from pm_native.plan.order import dependencies_first
from pm_native.plan.requires import requirements
from pm_native.unit.name import Scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pm_native.bus.manager import UnitState
    from pm_native.compile.bundle import Bundle, BundleUnit
    from pm_native.plan.model import PlanOptions, Snapshot

_ABOUT_TO_START = frozenset({"start", "restart"})
_RESTARTS = frozenset({Action.RESTART, Action.ROLL})
_STARTS = _RESTARTS | {Action.START}
_FAILED = "it has failed"
_LEFT_OUT = "the last apply did not get to it"
_HELD = "its settings changed in an apply before"
_STRANGER = "what runs under its name is not ours"


class Verdicts:
    """The jobs of a plan. `written` has the steps that write files, by file name; read `drift` and `held` after the jobs.

    Units that are `kept` although the config has them no more get none.
    """

    def __init__(  # noqa: PLR0913 - what a verdict looks at
        self,
        wanted: Bundle | None,
        snapshot: Snapshot,
        written: Mapping[str, Step],
        kept: frozenset[str],
        options: PlanOptions,
        *,
        gone: str,
    ) -> None:
        installed = snapshot.installed
        self.gone = gone
        self.kept = kept
        self.options = options
        self.written = written
        self.states = snapshot.states or {}
        self.texts = snapshot.files
        self.is_offline = snapshot.states is None
        self.new_files = {item.name: item for item in wanted.files} if wanted else {}
        self.new_units = {item.name: item for item in wanted.units} if wanted else {}
        self.old_files = {item.name: item for item in installed.bundle.files} if installed else {}
        self.old_units = {item.name: item for item in installed.bundle.units} if installed else {}
        self.to_restart = frozenset(installed.to_restart if installed else ())
        self.to_start = frozenset((*installed.to_start, *installed.to_restart) if installed else ())
        runs = snapshot.runs
        self.was_held = (
            {name for name, run in installed.held.items() if runs.get(name) == run} if installed else set()
        )
        self.failed = frozenset(installed.failed if installed else ())
        self.crashing = snapshot.crashing
        self.relapsed = snapshot.relapsed
        self.masked = snapshot.masked
        self.complete = installed is None or installed.complete
        self.option = "--user " if wanted is not None and wanted.scope is Scope.USER else ""
        self.drift: list[Drift] = []
        self.held: list[str] = []
        self.changed_contents = changed_contents(snapshot)
        self.takers = _takers(self.new_units.values())
        self.beyond = {unit.name: unit for unit in self._beyond()}
        self.leaving = {
            name
            for name, state in self.states.items()
            if self.is_gone(name) and state.active_state in RUNNING | {"deactivating"}
        }
        texts = {name: item.text for name, item in self.new_files.items()}
        wants = requirements(self.new_units | self.beyond, texts, snapshot.drop_ins)
        # What systemd goes by when it stops units, before it has read the new files.
        has = (
            requirements(self.old_units | self.beyond, self.texts, snapshot.drop_ins)
            if written or self.leaving
            else wants
        )
        self.requires, self.loaded, self.bound = wants.of, has.of, has.bound
        self.stop_first: dict[str, Step] = {}
        self.taken_along: set[str] = set()  # by the stops of these

    def jobs(self) -> list[Step]:
        """What to reload, restart and start, in the order in which the jobs must be queued."""
        if self.is_offline:
            return []
        after = {
            name: (*unit.after, *self.requires[name], *self.loaded.get(name, ()))
            for name, unit in self.new_units.items()
        }
        found: dict[str, Step] = {}
        for name in dependencies_first(self.new_units, after):
            if name in self.kept:
                continue
            if step := self._verdict(self.new_units[name], self.states.get(name), found):
                found[name] = step
        for unit in self.beyond.values():
            if step := self._stopped_verdict(unit, found):
                found[unit.name] = step
            elif unit.name in self.to_start:
                found[unit.name] = Step(Action.START, unit.name, _LEFT_OUT)
        return list(found.values())

    def _beyond(self) -> Iterator[BundleUnit]:
        """The instances that somebody started beyond a pool of ours, or that the last apply has stopped, as units of it."""
        pools = {unit.file: unit for unit in self.new_units.values() if "@" in unit.name}
        running = [name for name, state in self.states.items() if state.active_state in RUNNING]
        for name in dict.fromkeys((*running, *sorted(self.to_start))):
            prefix, at, _ = name.partition("@")
            if not at or name in self.new_units or self.is_gone(name):
                continue
            if (unit := pools.get(f"{prefix}@.service")) is not None:
                yield replace(unit, name=name)

    def stops(self) -> Iterator[Step]:
        """What must stop before its file goes or changes: removed units, the highest instance first."""
        after = {name: unit.after for name, unit in self.old_units.items()}
        # Else systemd would stop what stays as well, by way of whatever it requires, and that is in what slice.
        is_alone = any(
            self.leaving.intersection(self.loaded.get(name, ())) for name in (*self.new_units, *self.beyond)
        )
        for name in reversed(dependencies_first(sorted(self.leaving, key=_start_order), after)):
            yield Step(Action.STOP, name, self.gone, is_alone=is_alone)
        yield from reversed(self.stop_first.values())

    def resets(self, jobs: list[Step]) -> Iterator[Step]:
        """What has failed and is started again: its starts so far would count against its limit."""
        for step in jobs:
            state = self.states.get(step.subject)
            if step.action in _STARTS and state is not None and _is_troubled(state):
                yield Step(
                    Action.RESET_FAILED, step.subject, "its failed starts would count against the limit"
                )
        for name, state in self.states.items():
            if self.is_gone(name) and state.active_state == "failed":
                yield Step(Action.RESET_FAILED, name, self.gone)

    def is_gone(self, name: str) -> bool:
        """Whether a unit of the last apply, or an instance of one of its templates, has lost its file or its place."""
        if name in self.new_units:
            return False
        if name in self.old_units:
            return True
        prefix, at, _ = name.partition("@")
        template = f"{prefix}@.service"
        return bool(at) and template in self.old_files and template not in self.new_files

    def _verdict(self, unit: BundleUnit, state: UnitState | None, found: Mapping[str, Step]) -> Step | None:
        if state is not None and state.load_state == "masked":
            self._leave_masked(unit, state)
            return None
        reason = self._why_old(unit)
        if state is None or state.active_state not in RUNNING:
            return self._start_verdict(unit, state, reason)
        if step := self._stopped_verdict(unit, found):
            return step
        for name in self.requires[unit.name]:
            if name in found and found[name].action in _RESTARTS:
                why = f"requires {name}, which restarts"
                return Step(Action.RESTART, unit.name, why, along_with=name)
        if reason:
            return self._changed_verdict(unit, state, reason)
        return self._unchanged_verdict(unit, state)

    def _stopped_verdict(self, unit: BundleUnit, found: Mapping[str, Step]) -> Step | None:
        """How a unit that runs comes back after it has stopped for the sake of others."""
        if why := self._why_bound(unit) or self._why_contested(unit, found):
            self.stop_first[unit.name] = Step(Action.STOP, unit.name, why)
            return Step(Action.START, unit.name, why)
        for name in (*self.requires[unit.name], *self.loaded.get(unit.name, ())):
            if name in self.stop_first or name in self.taken_along:
                self.taken_along.add(unit.name)
                return Step(Action.RESTART, unit.name, f"requires {name}, which restarts")
        return None

    def _why_bound(self, unit: BundleUnit) -> str:
        """Why systemd stops a unit that stays when others go, whatever it is asked; "" where it does not."""
        ends = self.leaving.intersection(self.bound.get(unit.name, ()))
        return f"is bound to {min(ends)}, which goes" if ends else ""

    def _leave_masked(self, unit: BundleUnit, state: UnitState) -> None:
        if unit.file in self.new_files:  # else it has no file of ours, as most slices
            self._tell(unit.name, "is masked: left alone", f"systemctl {self.option}unmask {unit.name}")
        if state.active_state in RUNNING and (self._why_old(unit) or self._is_changed_behind_mask(unit)):
            self.held.append(unit.name)

    def _unchanged_verdict(self, unit: BundleUnit, state: UnitState) -> Step | None:
        """What becomes of a unit that runs on the settings that it should: all is well if it stays up."""
        if not self.options.retry:
            return None
        if state.is_between_runs:
            if unit.name in self.crashing | self.failed:
                return Step(Action.RESTART, unit.name, "keeps failing: tried once more")
            hint = f"journalctl {self.option}-u {unit.name}"
            self._tell(unit.name, "keeps ending: it waits for its next restart", hint, is_firm=False)
        elif unit.name in self.failed:
            return Step(Action.WATCH, unit.name, "it failed in the last apply")
        elif unit.name in self.relapsed:
            return Step(Action.WATCH, unit.name, "it has failed more than once since the last apply")
        return None

    def _changed_verdict(self, unit: BundleUnit, state: UnitState, reason: str) -> Step | None:
        if f"{unit.name.removesuffix('.service')}.timer" in self.new_units and not unit.start:
            what = f"is at work on its old settings, its next run takes the new: {reason}"
            self._tell(unit.name, what, is_firm=False)
            return None
        match OnChange.RESTART if reason == _STRANGER else self._policy(unit):
            case OnChange.KEEP if not state.is_between_runs:
                self.held.append(unit.name)
                what = f"runs on old settings, as on_change = keep says: {reason}"
                hint = f"systemctl {self.option}restart {unit.name}"
                self._tell(
                    unit.name, what, hint, is_firm=reason != _HELD
                )  # the record alone knows of it then
                return None
            case OnChange.RELOAD if "@" in unit.name and not self._can_reload(unit):
                return Step(Action.ROLL, unit.name, reason)
            case OnChange.RELOAD if not self._can_reload(unit):
                return Step(Action.RESTART, unit.name, f"{reason}; it has no ExecReload= to reload with")
            case OnChange.RELOAD if state.active_state == "active":
                return Step(Action.RELOAD, unit.name, reason)
            case OnChange.STOP_START:
                self.stop_first[unit.name] = Step(Action.STOP, unit.name, reason)
                return Step(Action.START, unit.name, reason)
            case _ if unit.name.endswith(".socket"):
                what = f"{reason}: connections are refused until it is open again"
                self.stop_first[unit.name] = Step(Action.STOP, unit.name, what)
                return Step(Action.START, unit.name, reason)
            case _:
                return Step(Action.RESTART, unit.name, reason)

    def _policy(self, unit: BundleUnit) -> OnChange:
        """What the config says of changes of the unit; a socket that a unit to keep has taken is kept, too."""
        is_kept = any(taker.on_change is OnChange.KEEP for taker in self.takers.get(unit.name, ()))
        return OnChange.KEEP if is_kept else unit.on_change

    def _why_contested(self, unit: BundleUnit, found: Mapping[str, Step]) -> str:
        """Why a unit that runs must let go of a socket before that can be opened or closed; "" where none is.

        It has the descriptor, or in place of a socket that is new a port of its own: nobody else can listen there.
        """
        if unit.on_change is OnChange.KEEP:
            return ""
        old = self.old_units.get(unit.name)
        for name in filter(_is_socket, (*unit.after, *(old.after if old else ()))):
            if name in self.stop_first or (name in found and found[name].action is Action.START):
                return f"{name} is opened anew, and it holds the address"
            if name in self.states and self.is_gone(name) and self.states[name].active_state in RUNNING:
                return f"{name} goes, and it holds the address"
        return ""

    def _can_reload(self, unit: BundleUnit) -> bool:
        return "\nExecReload=" in self.new_files[unit.file].text

    def _start_verdict(self, unit: BundleUnit, state: UnitState | None, reason: str) -> Step | None:
        has_failed = state is not None and state.active_state == "failed"
        if unit.name in self.to_start:
            return Step(Action.START, unit.name, _FAILED if has_failed else _LEFT_OUT)
        if not unit.start:
            if has_failed:
                hint = f"journalctl {self.option}-u {unit.name}"
                self._tell(unit.name, "failed when it ran last", hint, is_firm=False)
            return None
        if held := self._held_by(unit):
            what = f"is not opened: {held} holds the address and is kept, as on_change = keep says"
            self._tell(unit.name, what, f"systemctl {self.option}stop {held}")
            return None
        if why := self._why_start(unit, has_failed=has_failed):
            return Step(Action.START, unit.name, why)
        if state is not None and state.job_type in _ABOUT_TO_START:
            what = f"has a {state.job_type} job in systemd's queue: left to it"
            self._tell(unit.name, what, f"systemctl {self.option}list-jobs", is_firm=False)
            return None
        if self.options.reconcile:
            return Step(Action.START, unit.name, "was stopped by hand")
        what = f"was stopped by hand: left stopped{f' ({reason})' if reason else ''}"
        self._tell(unit.name, what, f"systemctl {self.option}start {unit.name}")
        return None

    def _why_start(self, unit: BundleUnit, *, has_failed: bool) -> str:
        """Why a unit that is down starts, other than that somebody stopped it; "" where it does not."""
        if has_failed:
            return _FAILED
        if unit.name not in self.old_units:
            return "new"
        if not self.complete:
            return _LEFT_OUT
        return "" if self.old_units[unit.name].start else "it starts with the project now"

    def _held_by(self, socket: BundleUnit) -> str:
        """The unit that runs, is to be kept, and listens where this socket would; "" where there is none."""
        return next(
            (
                taker.name
                for taker in self.takers.get(socket.name, ())
                if taker.on_change is OnChange.KEEP
                and taker.name in self.states
                and self.states[taker.name].active_state in RUNNING
            ),
            "",
        )

    def _why_old(self, unit: BundleUnit) -> str:
        """Why the unit, if it runs, runs on old settings; "" when it does not."""
        if unit.name in self.options.as_wanted:
            return ""
        step = self.written.get(unit.file)
        if step is not None and (needs_restart(step.changes) or self._changed_unseen(unit.file)):
            return step.reason
        if step is not None and step.is_new and unit.file not in self.old_files and _has_own_process(unit):
            return _STRANGER
        for name in unit.files:
            step = self.written.get(name)
            if step is None or self.texts.get(name) == self.new_files[name].text:
                continue  # as it was, or written for its mode alone
            if not step.is_new or self._changed_unseen(name):
                return f"{name}: {step.reason}"
        if changed := [path for path in unit.contents if path in self.changed_contents]:
            return f"{', '.join(changed)} changed"
        if unit.name in self.to_restart:
            return _LEFT_OUT
        return _HELD if unit.name in self.was_held else ""

    def _is_changed_behind_mask(self, unit: BundleUnit) -> bool:
        """Whether its file would be another than it was, were the mask not in its place."""
        old, new = self.old_files.get(unit.file), self.new_files.get(unit.file)
        return unit.file in self.masked and old is not None and new is not None and old.sha256 != new.sha256

    def _changed_unseen(self, name: str) -> bool:
        """Whether a file that has gone is not the one that comes: what changed cannot be told any more."""
        old = self.old_files.get(name)
        return self.written[name].is_new and old is not None and old.sha256 != self.new_files[name].sha256

    def _tell(self, unit: str, what: str, hint: str = "", *, is_firm: bool = True) -> None:
        self.drift.append(Drift(unit, what, hint, is_firm))


def _takers(units: Iterable[BundleUnit]) -> dict[str, list[BundleUnit]]:
    """By socket, the units that are given it."""
    found: dict[str, list[BundleUnit]] = {}
    for unit in units:
        for name in filter(_is_socket, unit.after):
            found.setdefault(name, []).append(unit)
    return found


def _has_own_process(unit: BundleUnit) -> bool:
    """Whether the unit keeps the settings that it was started with: all others take those of a new file at once."""
    return unit.name.endswith((".service", ".socket"))


def _is_socket(name: str) -> bool:
    return name.endswith(".socket")


def _is_troubled(state: UnitState) -> bool:
    # What is still on its way up may fall back by the time of its job, and a restart from there keeps the count.
    return state.active_state in {"failed", "activating"}


def _start_order(name: str) -> tuple[bool, str, int, str]:
    """Slices first, for they end last; then by name, instances by number."""
    stem, _, suffix = name.rpartition(".")
    prefix, _, instance = stem.partition("@")
    return suffix != "slice", prefix, int(instance) if instance.isdecimal() else 0, name
