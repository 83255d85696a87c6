"""The files that belong to one foreign config: each read once, and recorded as a source of the project."""

from __future__ import annotations

from pathlib import Path

from pm_native.model.project import Variable
from pm_native.model.record import SourceFile
from pm_native.syntax.read import MAX_BYTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pm_native.errors import Diagnostics, Source, Span
    from pm_native.syntax import Dialect, Node


class Files:
    """Reads files; `sources` gets each that was read. `base` is the folder of the config, `name` its own in diagnostics."""

    def __init__(self, path: Path, name: str, problems: Diagnostics) -> None:
        self.path = path.absolute()
        self.directory = self.path.parent
        self.problems = problems
        self.sources: list[SourceFile] = []
        self._prefix = Path(name).parent
        self._environments: dict[tuple[Path, str], dict[str, Variable]] = {}

    def name_of(self, path: Path) -> str:
        """What the owner calls the file: as the config itself was called, where it is below its folder."""
        if path.is_relative_to(self.directory):
            return str(self._prefix / path.relative_to(self.directory))
        return str(path)

    def read(
        self, path: Path, *, is_environment: bool = False, asked_at: Span | None = None
    ) -> Source | None:
        """The text of a file, asked for at a place in another one; None after adding an error."""
        from pm_native.syntax import read_source  # noqa: PLC0415 - loaded on first use

        source = read_source(
            path,
            self.name_of(path),
            self.problems,
            max_bytes=max_bytes(path),
            allow_empty=is_environment,
            is_secret=is_environment,
            asked_at=asked_at,
        )
        if source is not None:
            record = SourceFile(path=str(path), sha256=source.sha256)
            if record not in self.sources:
                self.sources.append(record)
        return source

    def yaml(
        self, path: Path, *, asked_at: Span | None = None, tags: frozenset[str] = frozenset()
    ) -> Node | None:
        """The tree of a YAML or JSON file, by YAML 1.2, with the format's own `tags`; None after adding an error."""
        source = self.read(path, asked_at=asked_at)
        return parse_tree(source, path.suffix, self.problems, tags=tags) if source is not None else None

    def documents(
        self, path: Path, *, asked_at: Span | None = None, tags: frozenset[str] = frozenset()
    ) -> tuple[Node, ...]:
        """The trees of all documents in a YAML or JSON file that say anything; none after adding an error."""
        source = self.read(path, asked_at=asked_at)
        return parse_trees(source, path.suffix, self.problems, tags=tags) if source is not None else ()

    def environment(
        self,
        path: Path,
        dialect: Dialect,
        *,
        asked_at: Span | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> dict[str, Variable]:
        """The variables of an environment file; with `asked_at` it is an error that there is none.

        With `environ`, `${NAME:-default}` is replaced as compose does: by what is there, then by what the file set above.
        """
        from pm_native.errors import Diagnostics  # noqa: PLC0415 - loaded by now
        from pm_native.syntax import parse_dotenv  # noqa: PLC0415 - loaded on first use

        key = (path, f"{dialect} {environ is not None}")
        if key not in self._environments:
            self._environments[key] = {}
            if not path.exists():
                if asked_at is not None:
                    hint = "make it, or take the line out"
                    message = f"there is no environment file {path}"
                    self.problems.error(asked_at, message, code="environment-file-missing", hint=hint)
                return {}
            source = self.read(path, is_environment=True)
            if source is not None and environ is not None:
                self._environments[key] = self._expanded(source, environ)
            elif source is not None:
                told = Diagnostics()
                parsed = parse_dotenv(source, told, dialect=dialect)
                self._tell(told)
                self._environments[key] = {
                    name: Variable(value=str(node.value), span=node.span) for name, node in parsed.items()
                }
        return self._environments[key]

    def _expanded(self, source: Source, environ: Mapping[str, str]) -> dict[str, Variable]:
        from pm_native.errors import Diagnostics  # noqa: PLC0415 - loaded by now
        from pm_native.importers.expand import Expander, ExpandError  # noqa: PLC0415 - one format a run
        from pm_native.syntax import parse_dotenv  # noqa: PLC0415 - loaded on first use

        told = Diagnostics()
        found: dict[str, Variable] = {}

        def lookup(name: str) -> str | None:
            return environ[name] if name in environ else found[name].value if name in found else None

        for name, node in parse_dotenv(source, told).items():
            value = str(node.value)
            is_literal = source.line(node.span.line)[node.span.column - 1 :].startswith("'")
            if "$" in value and not is_literal:
                expander = Expander(lookup, is_strict=False)
                try:
                    value = expander(value)
                except ExpandError as error:
                    self.problems.error(node.span, error.message, code="env-reference", hint=error.hint)
                for missing in sorted(expander.missing):
                    hint = f"${missing} is replaced here; in single quotes a $ is a $"
                    message = f"{missing} is not set above, nor for this run, and so empty here"
                    self.problems.warning(node.span, message, code="env-reference", hint=hint)
            found[name] = Variable(value=value, span=node.span)
        self._tell(told, besides="env-not-expanded")  # it has been
        return found

    def _tell(self, told: Diagnostics, *, besides: str = "") -> None:
        """Add what the parser said. A name that the tools take and systemd does not costs the variable, not the file."""
        for item in told:
            if item.code == "env-name":
                hint = "give the program another name for it, or the variable by env(1), in front of its command"
                self.problems.warning(item.span, item.message, code=item.code, hint=hint, lost=True)
            elif item.code != besides:
                self.problems.add(item)


def max_bytes(path: Path) -> int:
    """The most that is read of a file: the tree of a YAML text is 60 times as large as the text."""
    return MAX_BYTES // 2 if path.suffix in {".yml", ".yaml"} else MAX_BYTES


def parse_tree(
    source: Source, suffix: str, problems: Diagnostics, *, tags: frozenset[str] = frozenset()
) -> Node | None:
    """The tree of a YAML or JSON text, by YAML 1.2; None after adding an error."""
    from pm_native.syntax import parse_json, parse_yaml  # noqa: PLC0415 - loaded on first use

    if suffix == ".json":
        return parse_json(source, problems)
    from pm_native.importers.yaml_1_2 import as_yaml_1_2  # noqa: PLC0415 - for YAML only

    tree = parse_yaml(source, problems, tags=tags)
    return as_yaml_1_2(tree) if tree is not None else None


def parse_trees(
    source: Source, suffix: str, problems: Diagnostics, *, tags: frozenset[str] = frozenset()
) -> tuple[Node, ...]:
    """The trees of all documents of a YAML or JSON text that say anything; none after adding an error."""
    if suffix == ".json":
        tree = parse_tree(source, suffix, problems)
        return () if tree is None else (tree,)
    from pm_native.importers.yaml_1_2 import as_yaml_1_2  # noqa: PLC0415 - for YAML only
    from pm_native.syntax import parse_yaml_documents  # noqa: PLC0415 - loaded on first use

    documents = parse_yaml_documents(source, problems, tags=tags) or ()
    return tuple(as_yaml_1_2(tree) for tree in documents if tree.value is not None)
