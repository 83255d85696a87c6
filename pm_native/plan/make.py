"""(wanted, snapshot) to plan: pure. What differs is written, what runs on old settings is restarted, no more."""

from __future__ import annotations

from pm_native.compile.bundle import FileKind
from pm_native.errors import OwnershipError
from pm_native.model.project import OnChange
from pm_native.plan.diff import changed_directives, needs_restart
from pm_native.plan.model import Action, Drift, Plan, Step
from pm_native.plan.order import dependencies_first

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pm_native.bus.manager import UnitState
    from pm_native.compile.bundle import Bundle, BundleFile, BundleUnit
    from pm_native.plan.model import Change, Snapshot

_RUNNING = {"active", "activating", "reloading"}
_VERBS = {
    OnChange.RESTART: Action.RESTART,
    OnChange.RELOAD: Action.RELOAD,
}


def link_name(unit: str, target: str) -> str:
    """The name below the unit directory of the link that makes `target` want `unit` at boot."""
    return f"{target}.wants/{unit}"


def make_plan(wanted: Bundle, snapshot: Snapshot) -> Plan:
    """The steps that bring the host from `snapshot` to `wanted`; OwnershipError where others' files are in the way."""
    if snapshot.foreign:
        paths = ", ".join(snapshot.foreign[name] for name in sorted(snapshot.foreign))
        raise OwnershipError(
            f"these files are in the way: {paths}",
            hint="move them away; a change of yours belongs in a drop-in (systemctl edit) or in the config",
        )
    return _Planner(wanted, snapshot).plan()


def make_removal(project: str, snapshot: Snapshot) -> Plan:
    """The steps that take a project away."""
    planner = _Planner(None, snapshot)
    return planner.plan(project)


class _Planner:
    def __init__(self, wanted: Bundle | None, snapshot: Snapshot) -> None:
        self.wanted = wanted
        self.snapshot = snapshot
        installed = snapshot.installed
        self.old_files = {item.name: item for item in installed.bundle.files} if installed else {}
        self.old_units = {item.name: item for item in installed.bundle.units} if installed else {}
        self.new_files = {item.name: item for item in wanted.files} if wanted else {}
        self.new_units = {item.name: item for item in wanted.units} if wanted else {}
        self.changes: dict[str, tuple[Change, ...]] = {}
        self.written: dict[str, Step] = {}
        self.drift: list[Drift] = []

    def plan(self, project: str = "") -> Plan:
        """All steps, phase by phase."""
        writes = list(self._writes())
        deletes = list(self._deletes())
        links = list(self._links())
        reload_steps = list(self._reload_manager([*writes, *deletes, *links]))
        jobs = list(self._jobs())
        stops = list(self._stops(jobs))
        resets = list(self._resets(jobs))
        directories = list(self._directories())
        return Plan(
            project=self.wanted.project if self.wanted else project,
            bundle=self.wanted,
            steps=(*stops, *directories, *writes, *deletes, *links, *reload_steps, *resets, *jobs),
            drift=tuple(self.drift),
            unchanged=sum(name not in self.written for name in self.new_files),
        )

    def _writes(self) -> Iterator[Step]:
        for name, item in self.new_files.items():
            text = self.snapshot.files.get(name)
            if text == item.text:
                continue
            step = self._write(name, item, text)
            self.written[name] = step
            yield step

    def _write(self, name: str, item: BundleFile, text: str | None) -> Step:
        if text is None:
            gone = name in self.old_files
            return Step(Action.WRITE, name, "it has gone" if gone else "new", item.kind, is_new=True)
        if item.kind is FileKind.ENVIRONMENT:
            return Step(Action.WRITE, name, "its variables have changed", item.kind)
        changes = changed_directives(text, item.text)
        self.changes[name] = changes
        names = list(dict.fromkeys(f"{change.directive.partition('.')[2]}=" for change in changes))
        reason = f"{', '.join(names)} changed" if names else "only its comments changed"
        return Step(Action.WRITE, name, reason, item.kind, changes)

    def _deletes(self) -> Iterator[Step]:
        for name, item in self.old_files.items():
            if name in self.snapshot.foreign:
                self.drift.append(Drift(name, f"is not removed: {self.snapshot.foreign[name]}"))
            elif name not in self.new_files and name in self.snapshot.files:
                yield Step(Action.DELETE, name, "no longer in the config", item.kind)

    def _links(self) -> Iterator[Step]:
        new = {link_name(*pair) for pair in self.wanted.wanted_by.items()} if self.wanted else set()
        installed = self.snapshot.installed
        old = {link_name(*pair) for pair in installed.bundle.wanted_by.items()} if installed else set()
        for name in sorted(new - self.snapshot.links.keys()):
            if name in old and installed and installed.complete:
                unit = name.rpartition("/")[2]
                self.drift.append(Drift(unit, "was disabled by hand", f"systemctl enable {unit}"))
            else:
                yield Step(Action.LINK, name, "starts at boot")
        for name in sorted((old - new) & self.snapshot.links.keys()):
            yield Step(Action.UNLINK, name, "no longer in the config")

    def _reload_manager(self, changes: list[Step]) -> Iterator[Step]:
        if self.snapshot.states is not None and any(
            step.kind is not FileKind.ENVIRONMENT
            for step in changes
            if step.action is not Action.MAKE_DIRECTORY
        ):
            yield Step(Action.RELOAD_MANAGER, "systemd", "unit files have changed")

    def _directories(self) -> Iterator[Step]:
        for item in self.wanted.directories if self.wanted else ():
            if item.path not in self.snapshot.directories:
                yield Step(Action.MAKE_DIRECTORY, item.path, "log files go there")

    def _jobs(self) -> Iterator[Step]:
        """A verdict on each unit that should run, in the order in which jobs must be queued."""
        states = self.snapshot.states
        if states is None or self.wanted is None:
            return
        after = {name: unit.after for name, unit in self.new_units.items()}
        verdicts: dict[str, Step] = {}
        for name in dependencies_first(self.new_units, after):
            if step := self._verdict(self.new_units[name], states.get(name), verdicts):
                verdicts[name] = step
                yield step

    def _verdict(
        self, unit: BundleUnit, state: UnitState | None, verdicts: Mapping[str, Step]
    ) -> Step | None:
        if state is not None and state.load_state == "masked":
            self.drift.append(Drift(unit.name, "is masked: left alone", f"systemctl unmask {unit.name}"))
            return None
        reason = self._why_old(unit)
        if state is not None and state.active_state in _RUNNING:
            for name in unit.requires:
                if name in verdicts and verdicts[name].action is Action.RESTART:
                    return Step(Action.RESTART, unit.name, f"requires {name}, which restarts")
            if state.sub_state == "auto-restart" and not reason:
                self.drift.append(
                    Drift(
                        unit.name,
                        "keeps ending: it waits for its next restart",
                        f"journalctl -u {unit.name}",
                    )
                )
            return self._changed_verdict(unit, reason) if reason else None
        return self._start_verdict(unit, state, reason)

    def _changed_verdict(self, unit: BundleUnit, reason: str) -> Step | None:
        if unit.on_change is OnChange.KEEP:
            self.drift.append(
                Drift(
                    unit.name,
                    f"runs on old settings, as on_change = keep says: {reason}",
                    f"pm-native restart {unit.name}",
                )
            )
            return None
        if unit.on_change is OnChange.RELOAD and "ExecReload=" not in self.new_files[unit.file].text:
            return Step(Action.RESTART, unit.name, f"{reason}; it has no ExecReload= to reload with")
        if unit.on_change is OnChange.STOP_START:
            return Step(Action.START, unit.name, reason)
        return Step(_VERBS[unit.on_change], unit.name, reason)

    def _start_verdict(self, unit: BundleUnit, state: UnitState | None, reason: str) -> Step | None:
        if not unit.start:
            return None
        installed = self.snapshot.installed
        if state is not None and state.active_state == "failed":
            return Step(Action.START, unit.name, "it has failed")
        if unit.name not in self.old_units:
            return Step(Action.START, unit.name, "new")
        if installed is not None and not installed.complete:
            return Step(Action.START, unit.name, "the last apply did not get to it")
        if self._started_newly(unit):
            return Step(Action.START, unit.name, "it starts with the project now")
        what = f"was stopped by hand: left stopped{f' ({reason})' if reason else ''}"
        self.drift.append(Drift(unit.name, what, f"systemctl start {unit.name}"))
        return None

    def _started_newly(self, unit: BundleUnit) -> bool:
        old = self.old_units.get(unit.name)
        return old is not None and not old.start

    def _why_old(self, unit: BundleUnit) -> str:
        """Why the unit, if it runs, runs on old settings; "" when it does not."""
        step = self.written.get(unit.file)
        if step is not None and not step.is_new and needs_restart(step.changes):
            return step.reason
        for name in unit.files:
            if name in self.written and not self.written[name].is_new:
                return f"{name}: {self.written[name].reason}"
        return ""

    def _stops(self, jobs: Iterable[Step]) -> Iterator[Step]:
        """What must stop before its file goes or changes: removed units, the highest instance first."""
        states = self.snapshot.states
        if states is None:
            return
        restarted = {step.subject for step in jobs if step.action is Action.START}
        after = {name: unit.after for name, unit in self.old_units.items()}
        gone = [name for name in states if self._is_gone(name)]
        ordered = dependencies_first(sorted(gone, key=_start_order), after)
        for name in reversed(ordered):
            if states[name].active_state in _RUNNING | {"deactivating"}:
                yield Step(Action.STOP, name, "no longer in the config")
        for name, unit in self.new_units.items():
            if (
                name in restarted
                and unit.on_change is OnChange.STOP_START
                and states[name].active_state in _RUNNING
            ):
                yield Step(Action.STOP, name, self._why_old(unit))

    def _is_gone(self, name: str) -> bool:
        """Whether a unit of the last apply, or an instance of one of its templates, has lost its file or its place."""
        if name in self.new_units:
            return False
        if name in self.old_units:
            return True
        prefix, at, _ = name.partition("@")
        template = f"{prefix}@.service"
        return bool(at) and template in self.old_files and template not in self.new_files

    def _resets(self, jobs: Iterable[Step]) -> Iterator[Step]:
        """What has failed and is started again: its starts so far would count against its limit."""
        states = self.snapshot.states or {}
        for step in jobs:
            state = states.get(step.subject)
            if step.action in {Action.START, Action.RESTART} and state and state.active_state == "failed":
                yield Step(
                    Action.RESET_FAILED, step.subject, "its failed starts would count against the limit"
                )
        for name, state in states.items():
            if self._is_gone(name) and state.active_state == "failed":
                yield Step(Action.RESET_FAILED, name, "no longer in the config")


def _start_order(name: str) -> tuple[bool, str, int, str]:
    """Slices first, for they end last; then by name, instances by number."""
    stem, _, suffix = name.rpartition(".")
    prefix, _, instance = stem.partition("@")
    return suffix != "slice", prefix, int(instance) if instance.isdecimal() else 0, name
