"""The importer itself: TUIX's process lists to a project."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path, PurePosixPath

from pm_native.importers.common import are_too_many
from pm_native.importers.tuix.fields import DEPENDENCY, FIELDS, GROUP, PROCESS, TOP
from pm_native.model.names import nearest_name
from pm_native.model.project import Condition, Dependency, Project

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pm_native.errors import Diagnostics
    from pm_native.importers.base import Field, ImportOptions
    from pm_native.importers.detect import Contents
    from pm_native.importers.tree import Entries
    from pm_native.model.project import Process
    from pm_native.syntax.node import Node

_NAMES = frozenset({"tuix.config.json", ".tuixrc.json", ".tuix.json", "tuix.json"})
_PROGRAM = re.compile(r"tuix\.config\.[cm]?[jt]s")
_OF_A_PROCESS = frozenset({"name", "command"})
_OF_OTHERS = frozenset({"script", "apps", "services", "project", "process", "pm2"})


@dataclass(slots=True)
class TuixImporter:
    """Reads a list of processes, a config with `processManager`, or what is left of a run in `.tuix`."""

    name: str = "tuix"
    title: str = "TUIX"
    file_names: tuple[str, ...] = ("tuix.config.json", ".tuixrc.json", ".tuix.json", ".tuix/state.json")

    def recognises(self, path: Path) -> bool:
        """Whether the file is a config of TUIX's, or in its folder."""
        is_state = path.parent.name == ".tuix" and path.name == "state.json"
        is_process = path.parent.name == "processes" and path.parent.parent.name == ".tuix"
        return path.name in _NAMES or _PROGRAM.fullmatch(path.name) is not None or is_state or is_process

    def claims(self, contents: Contents) -> str:
        """A JSON file with `processManager`, with the state of a run, or with processes of a name and a command."""
        if contents.kind != "json" or contents.keys & _OF_OTHERS:
            return ""
        if "processManager" in contents.keys:
            return "it has `processManager`"
        if contents.keys >= {"orchestrator", "processes"} or "ipcConfig" in contents.keys:
            return "it is the state of a run"
        if contents.keys >= _OF_A_PROCESS:
            return "it has processes of a `name` and a `command`"
        return ""

    def fields(self) -> tuple[Field, ...]:
        """Every field of a config, a process, a group and a dependency."""
        return FIELDS

    def load(self, path: Path, name: str, options: ImportOptions, problems: Diagnostics) -> Project | None:
        """The project in the file at `path`, called `name` in diagnostics; None after adding an error."""
        from pm_native.importers.files import Files  # noqa: PLC0415 - one format a run

        files = Files(path, name, problems)
        if _PROGRAM.fullmatch(path.name):
            from pm_native.errors import Source  # noqa: PLC0415 - for the unhappy path

            hint = "write the list of processes as JSON: tuix.config.json, with processManager.processes"
            message = "a config of TUIX's that is a program is not run"
            problems.error(Source(name, "").whole(), message, code="tuix-program", hint=hint)
            return None
        source = files.read(files.path)
        if source is None:
            return None
        from pm_native.syntax import parse_json5  # noqa: PLC0415 - loaded on first use

        root = parse_json5(source, problems)
        if root is None:
            return None
        base = files.directory
        if ".tuix" in base.parts:
            base = Path(*base.parts[: base.parts.index(".tuix")])
        processes = _Loader(root, base, problems).processes()
        if processes is None:
            return None
        return Project(
            name=options.project_name or nearest_name(base.name),
            source_path=str(files.path),
            directory=PurePosixPath(base),
            processes=processes,
            sources=tuple(files.sources),
            span=source.whole(),
        )


class _Loader:
    """Reads one tree, in whichever of its shapes."""

    def __init__(self, root: Node, base: Path, problems: Diagnostics) -> None:
        from pm_native.importers.tree import Entries, FieldCheck  # noqa: PLC0415 - one format a run

        self.root = root
        self.problems = problems
        self.base = base
        self.check = FieldCheck(FIELDS, "TUIX", "tuix", extension="")
        top: Node = root
        if isinstance(root.value, dict) and "processManager" in root.value:
            top = root.value["processManager"]
        is_one = isinstance(top.value, dict) and bool({"command", "ipcConfig"} & top.value.keys())
        self.is_list = isinstance(top.value, list) or is_one
        self.top = Entries(type(root)({}, root.span) if self.is_list else top, problems)
        self.listed = [top] if is_one else top.value if isinstance(top.value, list) else []

    def processes(self) -> tuple[Process, ...] | None:
        """All processes; None after adding an error."""
        from pm_native.importers.tuix.process import Reader  # noqa: PLC0415 - one format a run

        found: dict[str, Process] = {}
        for count, (own, entries) in enumerate(self._entries(), 1):
            if are_too_many(count, entries.node.span, self.problems):
                return None
            self.check.walk(entries.node, PROCESS, own)
            process = Reader(own, entries, self.base, self.top, self.problems).process()
            if (first := found.get(process.name)) is not None:
                hint = f"the first is at {first.span.where}: rename one"
                message = f"a second process named {process.name!r}"
                self.problems.error(process.span, message, code="duplicate-name", hint=hint)
            found.setdefault(process.name, process)
        if not self.is_list:
            self.check.walk(self.top.node, TOP)
        self._dependencies(found)
        self._groups(found)
        self.check.tell(self.problems)
        if not found:
            hint = 'processManager: { "processes": [{ "name": "web", "command": "node", "args": ["server.js"] }] }'
            whole = self.root.span.source.whole()
            self.problems.error(whole, "there are no processes", code="no-process", hint=hint)
            return None
        return tuple(found.values())

    def _entries(self) -> Iterator[tuple[str, Entries]]:
        """Each process with the name it goes by; what a run has left has it in `config`."""
        from pm_native.importers.tree import Entries  # noqa: PLC0415 - one format a run

        for node in [*self.listed, *self.top.nodes("processes")]:
            entries = Entries(node, self.problems, "processes")
            if "config" in entries:
                state = {key: item for key, item in entries if key not in {"config", "name"}}
                self.check.walk(type(node)(state, node.span), PROCESS)
                entries = entries.table("config")
            own = entries.text("name") or entries.text("id")
            if own is None:
                if isinstance(node.value, dict):
                    message, hint = "a process without a name", '"name": "web"'
                    self.problems.error(node.span, message, code="missing-key", hint=hint)
                continue
            yield own, entries
        for own, node in self.top.named("services", "service"):
            yield own, Entries(node, self.problems, f"services.{own}")

    def _dependencies(self, found: dict[str, Process]) -> None:
        from pm_native.importers.tree import Entries  # noqa: PLC0415 - one format a run

        for node in self.top.nodes("dependencies"):
            self.check.walk(node, DEPENDENCY)
            entries = Entries(node, self.problems, "dependencies")
            waiting = found.get(nearest_name(entries.text("process") or ""))
            if waiting is None:
                hint = f"there are: {', '.join(found) or 'none'}"
                message = "a dependency of a process that is not there"
                self.problems.error(entries.place("process"), message, code="unknown-dependency", hint=hint)
                continue
            is_ready = entries.flag("waitForReady")
            condition = Condition.READY if is_ready else Condition.STARTED
            added = tuple(
                Dependency(name=nearest_name(name), condition=condition, span=entries.place("dependsOn"))
                for name in entries.words("dependsOn")
            )
            found[waiting.name] = replace(waiting, depends_on=(*waiting.depends_on, *added))
            timeout = entries.number("readyTimeout")
            for dependency in added if is_ready and timeout else ():
                if (other := found.get(dependency.name)) is not None:
                    usec = int(max(timeout or 1, 1) * 1000)
                    found[other.name] = replace(other, start_timeout_usec=usec)

    def _groups(self, found: dict[str, Process]) -> None:
        from pm_native.importers.tree import Entries  # noqa: PLC0415 - one format a run

        for node in self.top.nodes("groups"):
            self.check.walk(node, GROUP)
            entries = Entries(node, self.problems, "groups")
            members = [nearest_name(name) for name in entries.words("processes")]
            for missing in [name for name in members if name not in found]:
                hint = f"there are: {', '.join(found)}"
                message = f"a group with {missing!r}, which is no process"
                self.problems.error(
                    entries.place("processes"), message, code="unknown-dependency", hint=hint
                )
            members = [name for name in members if name in found]
            for before, after in pairwise(members):
                if entries.text("startOrder") == "sequential":
                    waiting = found[after]
                    added = Dependency(name=before, span=entries.place("startOrder"))
                    if before not in {item.name for item in waiting.depends_on}:
                        found[after] = replace(waiting, depends_on=(*waiting.depends_on, added))
            if not entries.flag("autostart", default=True):
                for name in members:
                    found[name] = replace(found[name], autostart=False)


IMPORTER = TuixImporter()
