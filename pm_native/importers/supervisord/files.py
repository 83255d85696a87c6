"""supervisord.conf and what it includes, as one set of sections; each section knows the folder of its file."""

from __future__ import annotations

import os
from dataclasses import dataclass

from pm_native.importers.ini import IncludeReader, IniConfig, read_config
from pm_native.importers.supervisord.values import Names, expand
from pm_native.syntax import IniDialect

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pm_native.errors import Diagnostics
    from pm_native.syntax import IniSection

_WHAT = "supervisord.conf"


@dataclass(slots=True)
class Config(IniConfig):
    """All sections; `folders` has that of the file in which a section began."""

    folders: dict[str, str]


def load_config(path: Path, name: str, environ: Mapping[str, str], problems: Diagnostics) -> Config | None:
    """The file at `path` with its includes; None after adding an error."""
    read = read_config(path, name, IniDialect.SUPERVISORD, problems, what=_WHAT)
    if read is None:
        return None
    folder = str(path.absolute().parent)
    config = Config(read.source, read.sections, read.files, dict.fromkeys(read.sections, folder))
    include = config.sections.get("include")
    entry = include.get("files") if include is not None else None
    if entry is not None:
        known: dict[str, str | int] = {"here": folder, "host_node_name": os.uname().nodename}
        text = expand(entry, Names(known, environ, set()), problems)
        reader = _Includes(
            config=config,
            folders=config.folders,
            folder=folder,
            name=name,
            dialect=IniDialect.SUPERVISORD,
            what=_WHAT,
            code="supervisord-include",
            problems=problems,
        )
        reader.read((text or "").split(), entry)
    elif include is not None:
        hint = "files = conf.d/*.conf"
        problems.error(include.span, "[include] without files", code="supervisord-include", hint=hint)
    return config


@dataclass(slots=True, kw_only=True)
class _Includes(IncludeReader):
    """What is said last counts: in supervisord's order of the files."""

    folders: dict[str, str]

    def take(self, section: IniSection, path: Path) -> None:
        first = self.config.sections.get(section.name)
        if section.name == "include":
            self.tell_nested(section.span, "supervisord")
        elif first is not None:
            self._merge(first, section)
        else:
            self.config.sections[section.name] = section
            self.folders[section.name] = str(path.absolute().parent)

    def _merge(self, first: IniSection, more: IniSection) -> None:
        """A section that goes on in another file: the later file wins."""
        message = f"[{first.name}] goes on here, and wins over what {first.span.where} says"
        hint = "rename one of the two if they are not meant to be one"
        self.problems.warning(more.span, message, code="supervisord-section", hint=hint)
        first.entries.update(more.entries)
        first.defaults.update(more.defaults)
