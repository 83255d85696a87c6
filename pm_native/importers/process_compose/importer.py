"""The importer itself: process-compose's files to a project."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pm_native.importers.common import are_too_many
from pm_native.importers.process_compose.fields import FIELDS, PROCESS, TOP
from pm_native.model.names import nearest_name
from pm_native.model.project import Project
from pm_native.syntax.node import Node

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pm_native.errors import Diagnostics
    from pm_native.importers.base import Field, ImportOptions
    from pm_native.importers.detect import Contents
    from pm_native.importers.files import Files
    from pm_native.importers.process_compose.process import Common
    from pm_native.model.project import Process, Variable

_FILE_NAME = re.compile(r"process-compose[\w.-]*\.ya?ml")
_EXTENDS_MAX = 16


@dataclass(slots=True)
class ProcessComposeImporter:
    """Reads what `process-compose up` reads."""

    name: str = "process-compose"
    title: str = "process-compose"
    file_names: tuple[str, ...] = ("process-compose.yaml", "process-compose.yml")

    def recognises(self, path: Path) -> bool:
        """Whether the file is called `process-compose.yaml`, or like it."""
        return _FILE_NAME.fullmatch(path.name) is not None

    def claims(self, contents: Contents) -> str:
        """A YAML file with `processes`: compose has `services`."""
        if contents.kind != "yaml" or contents.is_list or "services" in contents.keys:
            return ""
        return "it has `processes`" if "processes" in contents.keys else ""

    def fields(self) -> tuple[Field, ...]:
        """Every field of a file, and of a process in it."""
        return FIELDS

    def load(self, path: Path, name: str, options: ImportOptions, problems: Diagnostics) -> Project | None:
        """The project in the file at `path`, called `name` in diagnostics; None after adding an error."""
        from pm_native.importers.files import Files  # noqa: PLC0415 - one format a run

        files = Files(path, name, problems)
        root = _tree(files, options)
        if root is None:
            return None
        loaded = _Loader(files, root, options, problems)
        processes = loaded.processes()
        if processes is None:
            return None
        return Project(
            name=options.project_name or loaded.project_name,
            source_path=str(files.path),
            directory=PurePosixPath(files.directory),
            processes=processes,
            sources=tuple(files.sources),
            span=root.span.source.whole(),
        )


def _tree(files: Files, options: ImportOptions) -> Node | None:
    """The file with those that it extends below it and those that override it over it."""
    root = files.yaml(files.path)
    path, seen = files.path, [files.path]
    layers = [root] if root is not None else []
    while root is not None and isinstance(root.value, dict) and "extends" in root.value:
        extends = root.value["extends"]
        path = Path(os.path.normpath(path.parent / str(extends.value)))
        if path in seen or len(seen) > _EXTENDS_MAX:
            message = f"extends: {path.name} extends itself in the end"
            files.problems.error(extends.span, message, code="extends-cycle", hint="take one `extends` out")
            return None
        seen.append(path)
        root = files.yaml(path)
        if root is not None:
            layers.insert(0, root)
    own = files.path
    others = [Path(os.path.abspath(item)) for item in options.more_files]  # noqa: PTH100 - Path keeps ".."
    if not others and own.stem in {"process-compose", "compose"}:
        beside = own.with_name(f"{own.stem}.override{own.suffix}")
        others = [beside] if beside.exists() else []
    layers += [over for other in others if (over := files.yaml(other)) is not None]
    if files.problems.has_errors or not layers:
        return None
    merged = layers[0]
    for layer in layers[1:]:
        merged = _merged(merged, layer, "")
    return merged


def _merged(below: Node, over: Node, key: str) -> Node:
    """One tree laid over another: tables are joined, lists of variables too, all else is replaced."""
    if isinstance(below.value, dict) and isinstance(over.value, dict):
        entries = dict(below.value)
        for name, node in over.value.items():
            entries[name] = _merged(entries[name], node, name) if name in entries else node
        return Node(entries, below.span, below.key_span)
    if key == "environment" and isinstance(below.value, list | dict) and isinstance(over.value, list | dict):
        return Node([*_pairs(below), *_pairs(over)], over.span, over.key_span)
    return over


def _pairs(variables: Node) -> list[Node]:
    """Variables as a list of `NAME=value`, of a table, too."""
    from pm_native.importers.tree import scalar_text  # noqa: PLC0415 - one format a run

    if isinstance(variables.value, list):
        return variables.value
    table = variables.value if isinstance(variables.value, dict) else {}
    scalars = {name: item for name, item in table.items() if not isinstance(item.value, list | dict)}
    return [Node(f"{name}={scalar_text(item)}", item.span, item.key_span) for name, item in scalars.items()]


class _Loader:
    """Reads one tree."""

    def __init__(self, files: Files, root: Node, options: ImportOptions, problems: Diagnostics) -> None:
        from pm_native.importers.tree import Entries  # noqa: PLC0415 - one format a run

        self.files = files
        self.options = options
        self.problems = problems
        self.plain_root = root
        self.top = Entries(root, problems)
        self.project_name = nearest_name(files.directory.name)

    def processes(self) -> tuple[Process, ...] | None:
        """All processes; None after adding an error that says that there are none."""
        from pm_native.importers.process_compose.process import Reader, awaited_ends, names_of  # noqa: PLC0415 - as above
        from pm_native.importers.tree import Entries, FieldCheck  # noqa: PLC0415 - as above

        dotenv = self._dotenv()
        root = self._expanded(dotenv)
        top = self.top = Entries(root, self.problems)
        if name := top.text("name"):
            self.project_name = nearest_name(name)
        listed = top.named("processes", "process")
        if not listed.entries:
            hint = "processes are written below `processes:`, each by its name"
            self.problems.error(
                root.span.source.whole(), "there are no processes", code="no-process", hint=hint
            )
            return None
        if are_too_many(len(listed.entries), listed.node.key, self.problems):
            return None
        check = FieldCheck(FIELDS, "process-compose", "process-compose")
        check.walk(root, TOP)
        for owner, node in listed:
            check.walk(node, PROCESS, owner)
        check.tell(self.problems)
        common = self._common(dotenv)
        names = names_of(listed, self.problems)
        readers = [
            Reader(owner, node, names, common, self.problems) for owner, node in listed if owner in names
        ]
        awaited = awaited_ends(readers)
        found = [reader.process(awaited) for reader in readers]
        exits = any(reader.exits for reader in readers)
        if exits:
            found.append(common.exit_process())
        return tuple(found)

    def _dotenv(self) -> dict[str, Variable]:
        from pm_native.syntax import Dialect  # noqa: PLC0415 - loaded on first use

        if self.top.flag("is_dotenv_disabled"):
            return {}
        return self.files.environment(self.files.directory / ".env", Dialect.OVERMIND)

    def _expanded(self, dotenv: Mapping[str, Variable]) -> Node:
        """The tree with variables put in: those of the caller, then those of `.env`."""
        from pm_native.importers.expand import Expander, expand_tree  # noqa: PLC0415 - one format a run

        if self.top.flag("disable_env_expansion"):
            return self.plain_root

        def lookup(name: str) -> str | None:
            if name in self.options.environ:
                return self.options.environ[name]
            return dotenv[name].value if name in dotenv else None

        expander = Expander(lookup, is_strict=False)
        return expand_tree(self.plain_root, expander, self.problems, "process-compose")

    def _common(self, dotenv: dict[str, Variable]) -> Common:
        from pm_native.importers.process_compose.process import Common, variables_of  # noqa: PLC0415 - as above

        shell = self.top.table("shell")
        return Common(
            project=self.options.project_name or self.project_name,
            files=self.files,
            dotenv=dotenv,
            environment=variables_of(self.top, "environment", self.problems),
            variables=dict(self.top.table("vars")),
            shell_words=(shell.text("shell_command") or "bash", shell.text("shell_argument") or "-c"),
        )


IMPORTER = ProcessComposeImporter()
