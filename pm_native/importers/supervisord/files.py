"""supervisord.conf and what it includes, as one set of sections; each section knows the folder of its file."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from pm_native.importers.common import find_includes, refuse_template, shown_name, source_file
from pm_native.importers.supervisord.values import Names, expand
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
    """All sections; `folders` has that of the file in which a section began."""

    source: Source
    sections: dict[str, IniSection]
    folders: dict[str, str]
    files: list[SourceFile] = field(default_factory=list)


def load_config(path: Path, name: str, environ: Mapping[str, str], problems: Diagnostics) -> Config | None:
    """The file at `path` with its includes; None after adding an error."""
    source = read_source(path, name, problems)
    if source is None or refuse_template(source, problems, what="supervisord.conf"):
        return None
    sections = parse_ini(source, problems, dialect=IniDialect.SUPERVISORD)
    folder = str(path.absolute().parent)
    config = Config(source, sections, dict.fromkeys(sections, folder), [source_file(path)])
    include = sections.get("include")
    entry = include.get("files") if include is not None else None
    if entry is not None:
        _Includes(config, folder, name, problems).read(entry, Names(_names(folder), environ, set()))
    elif include is not None:
        hint = "files = conf.d/*.conf"
        problems.error(include.span, "[include] without files", code="supervisord-include", hint=hint)
    return config


def _names(folder: str) -> dict[str, str | int]:
    return {"here": folder, "host_node_name": os.uname().nodename}


class _Includes:
    """Reads the files of one `[include]`, which may not include more."""

    def __init__(self, config: Config, folder: str, name: str, problems: Diagnostics) -> None:
        self.config = config
        self.folder = folder
        self.name = name
        self.problems = problems
        self.bytes = 0

    def read(self, entry: IniEntry, names: Names) -> None:
        """All files of all patterns, in supervisord's order."""
        text = expand(entry, names, self.problems)
        for pattern in (text or "").split():
            full = pattern if pattern.startswith("/") else os.path.join(self.folder, pattern)  # noqa: PTH118 - a pattern
            found = find_includes(full, entry, self.problems, code="supervisord-include")
            if not all(self.include(Path(path), entry) for path in found):
                return

    def include(self, path: Path, entry: IniEntry) -> bool:
        """Read one file; False where there is too much to go on."""
        source = read_source(path, shown_name(path, self.folder, self.name), self.problems, allow_empty=True)
        if source is None:
            return True
        self.bytes += len(source.text)
        if self.bytes > _BYTES_MAX:
            hint = "is that the right folder?"
            message = f"files: more than {_BYTES_MAX >> 20} MiB"
            self.problems.error(entry.span, message, code="supervisord-include", hint=hint)
            return False
        self.config.files.append(source_file(path))
        if refuse_template(source, self.problems, what="supervisord.conf"):
            return True
        for name, section in parse_ini(source, self.problems, dialect=IniDialect.SUPERVISORD).items():
            if name == "include":
                message = "an included file cannot include others: supervisord passes over this"
                hint = "name its files in the main file"
                self.problems.warning(section.span, message, code="supervisord-include", hint=hint)
            elif name in self.config.sections:
                self._merge(self.config.sections[name], section)
            else:
                self.config.sections[name] = section
                self.config.folders[name] = str(path.absolute().parent)
        return True

    def _merge(self, first: IniSection, more: IniSection) -> None:
        """A section that goes on in another file: the later file wins."""
        message = f"[{first.name}] goes on here, and wins over what {first.span.where} says"
        hint = "rename one of the two if they are not meant to be one"
        self.problems.warning(more.span, message, code="supervisord-section", hint=hint)
        first.entries.update(more.entries)
        first.defaults.update(more.defaults)
