"""(wanted, snapshot) to plan: pure. What differs is written, what runs on old settings is restarted, no more."""

from __future__ import annotations

from pm_native.compile.bundle import FileKind
from pm_native.errors import OwnershipError
from pm_native.plan.diff import changed_directives
from pm_native.plan.model import Action, Drift, Plan, Step
from pm_native.plan.verdict import Verdicts
from pm_native.unit.name import Scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pm_native.compile.bundle import Bundle, BundleFile
    from pm_native.plan.model import Snapshot


def link_name(unit: str, target: str) -> str:
    """The name below the unit directory of the link that makes `target` want `unit` at boot."""
    return f"{target}.wants/{unit}"


def make_plan(wanted: Bundle, snapshot: Snapshot) -> Plan:
    """The steps that bring the host from `snapshot` to `wanted`; OwnershipError where others' files are in the way."""
    if paths := [snapshot.foreign[item.name] for item in wanted.files if item.name in snapshot.foreign]:
        are = "this file is" if len(paths) == 1 else "these files are"
        raise OwnershipError(
            f"{are} in the way: {', '.join(paths)}",
            hint="move them away; a change of yours belongs in a drop-in (systemctl edit) or in the config",
        )
    return _Planner(wanted, snapshot).plan(wanted.project)


def make_removal(project: str, snapshot: Snapshot) -> Plan:
    """The steps that take a project away."""
    return _Planner(None, snapshot).plan(project)


class _Planner:
    def __init__(self, wanted: Bundle | None, snapshot: Snapshot) -> None:
        self.wanted = wanted
        self.snapshot = snapshot
        self.installed = snapshot.installed
        self.old_files = {item.name: item for item in self.installed.bundle.files} if self.installed else {}
        self.new_files = {item.name: item for item in wanted.files} if wanted else {}
        self.written: dict[str, Step] = {}
        self.drift: list[Drift] = []

    def plan(self, project: str) -> Plan:
        """All steps, phase by phase."""
        self.written = {step.subject: step for step in self._writes()}
        changes = [*self.written.values(), *self._deletes(), *self._links()]
        verdicts = Verdicts(self.wanted, self.snapshot, self.written)
        jobs = verdicts.jobs()
        steps = (
            *verdicts.stops(),
            *self._directories(),
            *changes,
            *self._reload_manager(changes),
            *verdicts.resets(jobs),
            *jobs,
        )
        return Plan(
            project=project,
            bundle=self.wanted,
            steps=steps,
            drift=(*self.drift, *verdicts.drift),
            unchanged=len(self.new_files) - len(self.written),
        )

    def _writes(self) -> Iterator[Step]:
        for name, item in self.new_files.items():
            text = self.snapshot.files.get(name)
            if name in self.snapshot.masked:
                user = self.wanted is not None and self.wanted.scope is Scope.USER
                hint = f"systemctl {'--user ' if user else ''}unmask {name}"
                self.drift.append(Drift(name, "is masked: left alone", hint))
            elif name in self.snapshot.unreadable:
                self.drift.append(
                    Drift(name, "cannot be read by you: taken as unchanged", "sudo pm-native plan")
                )
            elif text is None or not _is_same(item, text):
                yield self._write(name, item, text)

    def _write(self, name: str, item: BundleFile, text: str | None) -> Step:
        if text is None:
            gone = name in self.old_files
            return Step(Action.WRITE, name, "it has gone" if gone else "new", item.kind, is_new=True)
        if item.kind is FileKind.ENVIRONMENT:
            return Step(Action.WRITE, name, "its variables have changed", item.kind)
        changes = changed_directives(text, item.text)
        names = list(dict.fromkeys(f"{change.directive.partition('.')[2]}=" for change in changes))
        reason = f"{', '.join(names)} changed" if names else "[Install] or its layout changed"
        return Step(Action.WRITE, name, reason, item.kind, changes)

    def _deletes(self) -> Iterator[Step]:
        for name, item in self.old_files.items():
            if name in self.new_files or name not in self.snapshot.files:
                continue
            if name in self.snapshot.foreign:
                self.drift.append(Drift(name, f"is not removed: {self.snapshot.foreign[name]}"))
            else:
                yield Step(Action.DELETE, name, "no longer in the config", item.kind)

    def _links(self) -> Iterator[Step]:
        new = {link_name(*pair) for pair in self.wanted.wanted_by.items()} if self.wanted else set()
        old = (
            {link_name(*pair) for pair in self.installed.bundle.wanted_by.items()}
            if self.installed
            else set()
        )
        for name in sorted(new - self.snapshot.links.keys()):
            if name in old and self.installed and self.installed.complete:
                unit = name.rpartition("/")[2]
                self.drift.append(Drift(unit, "was disabled by hand", f"systemctl enable {unit}"))
            else:
                yield Step(Action.LINK, name, "starts at boot")
        for name in sorted((old - new) & self.snapshot.links.keys()):
            yield Step(Action.UNLINK, name, "no longer in the config")

    def _reload_manager(self, changes: list[Step]) -> Iterator[Step]:
        """One reload for all unit files that differ; environment files are read at each start of a unit."""
        if self.snapshot.states is None:
            return
        if any(step.kind is not FileKind.ENVIRONMENT for step in changes):
            yield Step(Action.RELOAD_MANAGER, "systemd", "unit files have changed")
        elif self.installed is not None and not self.installed.complete:
            yield Step(Action.RELOAD_MANAGER, "systemd", "the last apply did not get to it")

    def _directories(self) -> Iterator[Step]:
        for item in self.wanted.directories if self.wanted else ():
            if item.path not in self.snapshot.directories:
                yield Step(Action.MAKE_DIRECTORY, item.path, "log files go there")


def _is_same(item: BundleFile, text: str) -> bool:
    """Whether the file says the same. A header that names another line of the config is no reason to write it."""
    if text == item.text:
        return True
    return item.kind is FileKind.UNIT and _body(text) == _body(item.text)


def _body(text: str) -> str:
    """The unit file below its header comment."""
    while text.startswith("#"):
        text = text.partition("\n")[2]
    return text
