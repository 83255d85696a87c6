"""A native config file to the model: by its suffix TOML, YAML or JSON, with the environment files it names."""

from __future__ import annotations

import os
from pathlib import Path

from pm_native.config.decode import decode_project
from pm_native.model.project import Variable
from pm_native.model.record import SourceFile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pm_native.errors import Diagnostics, Source, Span
    from pm_native.model.project import Project
    from pm_native.syntax.node import Node

FILE_NAMES = ("pm-native.toml", "pm-native.yaml", "pm-native.yml", "pm-native.json")


def parse_text(source: Source, suffix: str, problems: Diagnostics) -> Node | None:
    """The tree in a text of the format that `suffix` names; None after adding an error."""
    match suffix:
        case ".toml":
            from pm_native.syntax.toml import parse_toml  # noqa: PLC0415 - one format a run

            return parse_toml(source, problems)
        case ".yaml" | ".yml":
            from pm_native.syntax.yaml import parse_yaml  # noqa: PLC0415 - one format a run

            return parse_yaml(source, problems)
        case ".json":
            from pm_native.syntax.json import parse_json  # noqa: PLC0415 - one format a run

            return parse_json(source, problems)
        case _:
            problems.error(
                source.whole(),
                f"cannot tell the format by the suffix {suffix!r}",
                code="unknown-format",
                hint="a native config ends in .toml, .yaml, .yml or .json",
            )
            return None


def load_project(path: Path, name: str, problems: Diagnostics) -> Project | None:
    """The project in the native config at `path`, called `name` in diagnostics; None after adding an error."""
    from dataclasses import replace  # noqa: PLC0415 - dataclasses is loaded by now

    from pm_native.syntax.read import read_source  # noqa: PLC0415 - one caller

    source = read_source(path, name, problems)
    root = parse_text(source, path.suffix, problems) if source else None
    if source is None or root is None:
        return None
    sources = [_source_file(path, source)]
    reader = EnvironmentFileReader(problems, sources)
    project = decode_project(root, os.path.abspath(path), problems, reader)  # noqa: PTH100 - Path keeps ".."
    return replace(project, sources=tuple(sources))


def _source_file(path: Path, source: Source) -> SourceFile:
    return SourceFile(path=os.path.abspath(path), sha256=source.sha256)  # noqa: PTH100 - as above


class EnvironmentFileReader:
    """Reads environment files, each once; `sources` gets what was read."""

    def __init__(self, problems: Diagnostics, sources: list[SourceFile]) -> None:
        self.problems = problems
        self.sources = sources
        self._read: dict[str, dict[str, Variable]] = {}

    def __call__(self, files: list[tuple[str, Span]]) -> dict[str, Variable]:
        """The variables of the files, those of a later file over those of an earlier one."""
        merged: dict[str, Variable] = {}
        for path, span in files:
            if path not in self._read:
                self._read[path] = self._read_file(path, span)
            merged |= self._read[path]
        return merged

    def _read_file(self, text: str, span: Span) -> dict[str, Variable]:
        from pm_native.syntax.dotenv import Dialect, parse_dotenv  # noqa: PLC0415 - only where there are files
        from pm_native.syntax.read import read_source  # noqa: PLC0415 - only where there are files

        path = Path(text.removeprefix("-"))
        if not path.exists():
            if not text.startswith("-"):
                hint = f'a file that may be missing is written "-{path}"'
                message = f"there is no environment file {path}"
                self.problems.error(span, message, code="environment-file-missing", hint=hint)
            return {}
        source = read_source(path, str(path), self.problems, allow_empty=True, is_secret=True)
        if source is None:
            return {}
        self.sources.append(_source_file(path, source))
        parsed = parse_dotenv(source, self.problems, dialect=Dialect.DOTENV)
        return {name: Variable(value=str(node.value), span=node.span) for name, node in parsed.items()}
