"""(wanted, snapshot) to plan: pure. What differs is written, what runs on old settings is restarted, no more."""

from __future__ import annotations

from pm_native.compile.bundle import FileKind
from pm_native.errors import OwnershipError, UnavailableError
from pm_native.plan.contents import contents_drift, contents_to_record
from pm_native.plan.diff import changed_directives, is_live
from pm_native.plan.keep import keep
from pm_native.plan.model import Action, Drift, Plan, PlanOptions, Step, TakenBy
from pm_native.plan.overrides import overrides
from pm_native.plan.verdict import Verdicts
from pm_native.unit.name import Scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pm_native.compile.bundle import Bundle, BundleFile
    from pm_native.plan.model import Change, DropIn, Snapshot


FOLLOW = PlanOptions()
_WAYS = {
    TakenBy.ADOPT: "apply --adopt takes over what is not ours, and keeps the old text",
    TakenBy.FORCE: "apply --force writes over what was edited by hand, and keeps the edit",
}


def link_name(unit: str, target: str) -> str:
    """The name below the unit directory of the link that makes `target` want `unit` at boot."""
    return f"{target}.wants/{unit}"


def make_plan(wanted: Bundle, snapshot: Snapshot, options: PlanOptions = FOLLOW) -> Plan:
    """The steps that bring the host from `snapshot` to `wanted`, as far as `options` let them.

    OwnershipError where others' files are in the way, UnavailableError where working directories have gone that
    are needed.
    """
    _check_ownership(wanted, snapshot, options)
    if options.needs_directories and snapshot.missing:
        names = ", ".join(f"{path} ({name})" for name, path in sorted(snapshot.missing.items()))
        one = len(snapshot.missing) == 1
        raise UnavailableError(
            f"{'this working directory is' if one else 'these working directories are'} not there: {names}",
            hint="make it, or change `directory`; --allow-missing applies all the same",
        )
    return _Planner(wanted, snapshot, options).plan(wanted.project)


def make_removal(project: str, snapshot: Snapshot, options: PlanOptions = FOLLOW) -> Plan:
    """The steps that take a project away; what is protected stays, and then the plan leads to a bundle of that."""
    return _Planner(None, snapshot, options).plan(project)


def _check_ownership(wanted: Bundle, snapshot: Snapshot, options: PlanOptions) -> None:
    names = dict.fromkeys((*(item.name for item in wanted.files), *(unit.name for unit in wanted.units)))
    found = [snapshot.foreign[name] for name in names if name in snapshot.foreign]
    refused = [item for item in found if not item.may_be_taken(options)]
    if refused:
        are = "this file is" if len(refused) == 1 else "these files are"
        hint = "move them away; a change of yours belongs in a drop-in (systemctl edit) or in the config"
        ways = [
            words for taken_by, words in _WAYS.items() if any(item.taken_by is taken_by for item in refused)
        ]
        raise OwnershipError(
            f"{are} in the way: {', '.join(map(str, refused))}", hint="; ".join([hint, *ways])
        )


class _Planner:
    def __init__(self, wanted: Bundle | None, snapshot: Snapshot, options: PlanOptions) -> None:
        self.kept = keep(wanted, snapshot, options)
        self.asked = wanted
        self.gone = "no longer in the config" if wanted is not None else "the project is removed"
        self.wanted = wanted = self.kept.bundle
        self.snapshot = snapshot
        self.options = options
        self.option = "--user " if wanted is not None and wanted.scope is Scope.USER else ""
        self.installed = snapshot.installed
        self.old_files = {item.name: item for item in self.installed.bundle.files} if self.installed else {}
        self.new_files = {item.name: item for item in wanted.files} if wanted else {}
        self.written: dict[str, Step] = {}
        self.drift: list[Drift] = []
        self.overrides = [*overrides(self.asked, snapshot)] if self.asked is not None else []

    def plan(self, project: str) -> Plan:
        """All steps, phase by phase."""
        self.written = {step.subject: step for step in self._writes()}
        changes = [*self.written.values(), *self._deletes(), *self._reverts(), *self._links()]
        verdicts = Verdicts(
            self.wanted, self.snapshot, self.written, self.kept.units, self.options, gone=self.gone
        )
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
            # Once each: a mask is met at the file and at the unit.
            drift=tuple(dict.fromkeys((*self.drift, *verdicts.drift, *self._overrides(), *self.kept.drift))),
            unchanged=len(self.new_files) - len(self.written),
            options=self.options,
            contents=contents_to_record(self.wanted, self.snapshot),
            held=tuple(verdicts.held),
        )

    def _writes(self) -> Iterator[Step]:
        for name, item in self.new_files.items():
            if name in self.kept.files:
                continue
            text = self.snapshot.files.get(name)
            if name in self.snapshot.masked:
                hint = f"systemctl {self.option}unmask {name}"
                self.drift.append(Drift(name, "is masked: left alone", hint))
            elif name in self.snapshot.unreadable:
                self.drift.append(
                    Drift(
                        name,
                        "cannot be read by you: taken as unchanged",
                        "sudo pm-native plan",
                        is_firm=False,
                    )
                )
            elif text is None or name in self.snapshot.foreign or not _is_same(item, text):
                yield self._write(name, item, text)
            elif name in self.snapshot.exposed:
                yield Step(Action.WRITE, name, "others could read or change it", item.kind)

    def _write(self, name: str, item: BundleFile, text: str | None) -> Step:
        if text is None:
            gone = name in self.old_files
            return Step(Action.WRITE, name, "it has gone" if gone else "new", item.kind, is_new=True)
        changes: tuple[Change, ...] = ()
        reason = "its variables have changed"
        if item.kind is FileKind.UNIT:
            changes = changed_directives(text, item.text)
            names = list(dict.fromkeys(f"{change.directive.partition('.')[2]}=" for change in changes))
            reason = f"{', '.join(names)} changed" if names else "[Install] or its layout changed"
        if is_live(changes):
            reason += ", in force with the reload"
        if foreign := self.snapshot.foreign.get(name):
            how = "adopted: was not ours" if foreign.taken_by is TakenBy.ADOPT else "was edited by hand"
            reason = f"{how}, saved as {foreign.save_as}; {reason}"
            return Step(Action.WRITE, name, reason, item.kind, changes, saved_as=foreign.save_as)
        return Step(Action.WRITE, name, reason, item.kind, changes)

    def _deletes(self) -> Iterator[Step]:
        for name, item in self.old_files.items():
            if name in self.new_files or name not in self.snapshot.files:
                continue
            foreign = self.snapshot.foreign.get(name)
            if foreign is None:
                yield Step(Action.DELETE, name, self.gone, item.kind)
            elif foreign.may_be_taken(self.options):
                reason = f"{self.gone}; was edited by hand, saved as {foreign.save_as}"
                yield Step(Action.DELETE, name, reason, item.kind, saved_as=foreign.save_as)
            else:
                hint = "--force removes it, and keeps the edit" if foreign.taken_by is TakenBy.FORCE else ""
                self.drift.append(Drift(name, f"is not removed: {foreign}", hint))

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
                if self.options.reconcile:
                    yield Step(Action.LINK, name, "was disabled by hand")
                else:
                    hint = f"systemctl {self.option}enable {unit}"
                    self.drift.append(Drift(unit, "was disabled by hand", hint))
            else:
                yield Step(Action.LINK, name, "starts at boot")
        for name in sorted((old - new) & self.snapshot.links.keys()):
            yield Step(Action.UNLINK, name, self.gone)

    def _reload_manager(self, changes: list[Step]) -> Iterator[Step]:
        """One reload for all unit files that differ; environment files are read at each start of a unit."""
        if self.snapshot.states is None:
            return
        if any(step.kind is not FileKind.ENVIRONMENT for step in changes):
            yield Step(Action.RELOAD_MANAGER, "systemd", "unit files have changed")
        elif self.installed is not None and not self.installed.complete:
            yield Step(Action.RELOAD_MANAGER, "systemd", "the last apply did not get to it")
        elif outdated := self.snapshot.outdated:
            more = f" and {len(outdated) - 1} more" if len(outdated) > 1 else ""
            reason = f"{outdated[0]}{more} changed on disk since it was read"
            yield Step(Action.RELOAD_MANAGER, "systemd", reason)

    def _reverts(self) -> Iterator[Step]:
        for item, drift in self.overrides:
            if self._is_reverted(item):
                what = drift.what.removesuffix(f" by {item.path}")
                yield Step(Action.REVERT, item.path, f"was set by hand: {drift.subject} {what}")

    def _is_reverted(self, item: DropIn) -> bool:
        return self.options.reconcile and item.is_property

    def _overrides(self) -> Iterator[Drift]:
        if self.asked is not None:
            yield from (drift for item, drift in self.overrides if not self._is_reverted(item))
            yield from contents_drift(self.asked, self.snapshot)

    def _directories(self) -> Iterator[Step]:
        for item in self.asked.directories if self.asked else ():
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
