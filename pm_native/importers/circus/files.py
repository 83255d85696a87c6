"""circus.ini and what it includes, as one set of sections."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from pm_native.importers.circus.values import Values
from pm_native.importers.common import find_includes, refuse_template, shown_name, source_file
from pm_native.syntax import IniDialect, parse_ini, read_source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pm_native.errors import Diagnostics, Source
    from pm_native.model.record import SourceFile
    from pm_native.syntax import IniEntry, IniSection

_BYTES_MAX = 8 << 20


@dataclass(slots=True)
class Config:
    """All sections, in the order of the files."""

    source: Source
    sections: dict[str, IniSection]
    files: list[SourceFile] = field(default_factory=list)


def load_config(path: Path, name: str, variables: Mapping[str, str], problems: Diagnostics) -> Config | None:
    """The file at `path` with its includes; None after adding an error."""
    source = read_source(path, name, problems)
    if source is None or refuse_template(source, problems, what="circus.ini"):
        return None
    sections = parse_ini(source, problems, dialect=IniDialect.CIRCUS)
    config = Config(source, sections, [source_file(path)])
    daemon = sections.get("circus")
    if daemon is not None:
        _Includes(config, str(path.absolute().parent), name, problems).read(
            Values(daemon, variables, problems)
        )
    return config


class _Includes:
    """Reads the files of `include` and `include_dir`, which may not include more."""

    def __init__(self, config: Config, folder: str, name: str, problems: Diagnostics) -> None:
        self.config = config
        self.folder = folder
        self.name = name
        self.problems = problems
        self.bytes = 0

    def read(self, values: Values) -> None:
        """All files of both keys."""
        for key in ("include", "include_dir"):
            entry = values.entry(key)
            for pattern in (values.text(key) or "").split():
                if entry is not None and not self.pattern(
                    pattern if key == "include" else f"{pattern}/*.ini", entry
                ):
                    return

    def pattern(self, pattern: str, entry: IniEntry) -> bool:
        """All files that fit; False where there is too much to go on."""
        full = pattern if pattern.startswith("/") else f"{self.folder}/{pattern}"
        found = find_includes(full, entry, self.problems, code="circus-include")
        return all(self.include(Path(path), entry) for path in found)

    def include(self, path: Path, entry: IniEntry) -> bool:
        """Read one file; False where there is too much to go on."""
        if any(file.path == str(path) for file in self.config.files):
            return True  # by another pattern
        source = read_source(path, shown_name(path, self.folder, self.name), self.problems, allow_empty=True)
        if source is None:
            return True
        self.bytes += len(source.text)
        if self.bytes > _BYTES_MAX:
            message = f"more than {_BYTES_MAX >> 20} MiB are included"
            self.problems.error(entry.span, message, code="circus-include", hint="is that the right folder?")
            return False
        self.config.files.append(source_file(path))
        if refuse_template(source, self.problems, what="circus.ini"):
            return True
        for name, section in parse_ini(source, self.problems, dialect=IniDialect.CIRCUS).items():
            if name == "circus" and ("include" in section.entries or "include_dir" in section.entries):
                message = "an included file cannot include others: circus passes over this"
                hint = "name its files in the main file"
                self.problems.warning(section.span, message, code="circus-include", hint=hint)
            first = self.config.sections.setdefault(name, section)
            if first is not section:
                for key, item in section.entries.items():
                    first.entries.setdefault(key, item)  # the first one counts, in files as in sections
        return True
