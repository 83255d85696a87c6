"""circus.ini and what it includes, as one set of sections."""

from __future__ import annotations

from dataclasses import dataclass

from pm_native.importers.circus.values import Values
from pm_native.importers.ini import IncludeReader, read_config
from pm_native.syntax import IniDialect

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pm_native.errors import Diagnostics
    from pm_native.importers.ini import IniConfig
    from pm_native.syntax import IniSection

_WHAT = "circus.ini"
# The keys that name files, and what fits in each of them.
_KEYS = {"include": "{}", "include_dir": "{}/*.ini"}


def load_config(
    path: Path, name: str, variables: Mapping[str, str], problems: Diagnostics
) -> IniConfig | None:
    """The file at `path` with its includes; None after adding an error."""
    config = read_config(path, name, IniDialect.CIRCUS, problems, what=_WHAT)
    daemon = config.sections.get("circus") if config is not None else None
    if config is not None and daemon is not None:
        values = Values(daemon, problems, variables)
        reader = _Includes(
            config=config,
            folder=str(path.absolute().parent),
            name=name,
            dialect=IniDialect.CIRCUS,
            what=_WHAT,
            code="circus-include",
            problems=problems,
        )
        for key, form in _KEYS.items():
            if (entry := values.entry(key)) is not None:
                reader.read([form.format(part) for part in (values.text(key) or "").split()], entry)
    return config


@dataclass(slots=True, kw_only=True)
class _Includes(IncludeReader):
    """What is said first counts, in files as in sections."""

    def take(self, section: IniSection, path: Path) -> None:  # noqa: ARG002 - of supervisord's alone
        if section.name == "circus" and any(key in section.entries for key in _KEYS):
            self.tell_nested(section.span, "circus")
        first = self.config.sections.setdefault(section.name, section)
        if first is not section:
            for key, item in section.entries.items():
                first.entries.setdefault(key, item)
