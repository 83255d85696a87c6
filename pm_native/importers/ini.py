"""What the importers of INI formats share: the values of a section, what a file includes, what is told of all programs."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from pm_native.importers.common import find_includes, refuse_template, shown_name, source_file
from pm_native.model.quantity import QuantityError, parse_signal
from pm_native.syntax import parse_ini, read_source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pm_native.errors import Diagnostics, Source, Span
    from pm_native.model.record import SourceFile
    from pm_native.syntax import IniDialect, IniEntry, IniSection

_BYTES_MAX = 8 << 20
_WORDS = {
    **dict.fromkeys(("yes", "true", "on", "1"), True),
    **dict.fromkeys(("no", "false", "off", "0"), False),
}


@dataclass(slots=True)
class SectionValues(ABC):
    """The entries of one section, typed: each wrong one is told once, and counts as not set.

    `refusal` says what the format's own tool does with a wrong value.
    """

    section: IniSection
    problems: Diagnostics
    refusal: ClassVar[str] = ""

    @abstractmethod
    def text(self, key: str) -> str | None:
        """The value with all filled in that the format fills in; None where it is not set."""

    def entry(self, key: str) -> IniEntry | None:
        """The entry of this key."""
        return self.section.get(key)

    def place(self, key: str) -> Span:
        """Where the value of this key stands; the section, where it is not set."""
        entry = self.section.get(key)
        return entry.span if entry else self.section.span

    def typed(self, key: str, parse: Callable[[str], object], expected: str) -> object | None:
        """What `parse` makes of the value; None where it is not set, and where that is None, which is an error."""
        text = self.text(key)
        if text is None:
            return None
        value = parse(text)
        if value is None:
            message = f"{key}: expected {expected}, found {text!r}"
            self.problems.error(self.place(key), message, code="bad-value", hint=self.refusal)
        return value

    def flag(self, key: str, *, default: bool) -> bool:
        """A boolean."""
        value = self.typed(key, lambda text: _WORDS.get(text.strip().lower()), "true or false")
        return value if isinstance(value, bool) else default

    def octal(self, key: str) -> int | None:
        """A number in octal."""
        value = self.typed(key, _octal, "an octal number such as 022")
        return value if isinstance(value, int) else None

    def signal(self, key: str) -> str:
        """A signal by name or number; SIGTERM where there is none."""
        text = self.text(key)
        try:
            return parse_signal((text or "TERM").strip())
        except QuantityError as error:
            message = f"{key}: {error.message}"
            self.problems.error(self.place(key), message, code="bad-signal", hint=error.hint)
            return "SIGTERM"


def _octal(text: str) -> int | None:
    return int(text, 8) if re.fullmatch(r"\s*(?:0o)?[0-7]{1,6}\s*", text) else None


@dataclass(slots=True)
class IniConfig:
    """All sections of a config, in the order of its files; `files` are those that were read."""

    source: Source
    sections: dict[str, IniSection]
    files: list[SourceFile]


def read_config(
    path: Path, name: str, dialect: IniDialect, problems: Diagnostics, *, what: str
) -> IniConfig | None:
    """The config at `path`, of the format that is called `what`, without what it includes; None after adding an error."""
    source = read_source(path, name, problems)
    if source is None or refuse_template(source, problems, what=what):
        return None
    return IniConfig(source, parse_ini(source, problems, dialect=dialect), [source_file(path, source)])


@dataclass(slots=True, kw_only=True)
class IncludeReader(ABC):
    """Reads what a config includes, each file once and all within bounds; `folder` is where its patterns begin."""

    config: IniConfig
    folder: str
    name: str
    dialect: IniDialect
    what: str
    code: str
    problems: Diagnostics
    _bytes: int = field(default=0, init=False)

    @abstractmethod
    def take(self, section: IniSection, path: Path) -> None:
        """Add a section of an included file to those of the config."""

    def read(self, patterns: Iterable[str], entry: IniEntry) -> None:
        """All files that fit the patterns of an entry, as far as there is not too much to go on."""
        for pattern in patterns:
            full = pattern if pattern.startswith("/") else f"{self.folder}/{pattern}"
            found = find_includes(full, entry, self.problems, code=self.code)
            if not all(self._include(Path(path), entry) for path in found):
                return

    def _include(self, path: Path, entry: IniEntry) -> bool:
        """Read one file; False where there is too much to go on."""
        if any(file.path == str(path) for file in self.config.files):
            return True  # by another pattern
        source = read_source(path, shown_name(path, self.folder, self.name), self.problems, allow_empty=True)
        if source is None:
            return True
        self._bytes += len(source.text)
        if self._bytes > _BYTES_MAX:
            message = f"more than {_BYTES_MAX >> 20} MiB are included"
            self.problems.error(entry.span, message, code=self.code, hint="is that the right folder?")
            return False
        self.config.files.append(source_file(path, source))
        if not refuse_template(source, self.problems, what=self.what):
            for section in parse_ini(source, self.problems, dialect=self.dialect).values():
                self.take(section, path)
        return True

    def tell_nested(self, span: Span, tool: str) -> None:
        """A warning for an included file that would include more."""
        message = f"an included file cannot include others: {tool} passes over this"
        hint = "name its files in the main file"
        self.problems.warning(span, message, code=self.code, hint=hint)


def and_more(names: list[str]) -> str:
    """The first of some names, and how many there are besides."""
    return f"{names[0]}{f' and {len(names) - 1} more' if len(names) > 1 else ''}"


def tell_rotation(paths: Iterable[str], whole: Span, problems: Diagnostics, *, code: str, keys: str) -> None:
    """One warning of the log files that the tool would have rotated; `keys` names what asks for them."""
    rotated = list(dict.fromkeys(paths))
    if rotated:
        message = f"nothing rotates the log file {and_more(rotated)} any more"
        hint = f"leave {keys} out: the journal keeps its size by itself; or give logrotate the file, with copytruncate"
        problems.warning(whole, message, code=code, hint=hint, lost=True)
