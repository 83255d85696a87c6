"""INI texts to entries with their places, as each tool reads them: configparser keeps no columns.

Python's configparser and the readers made from it differ in what a comment is, which of two entries counts, and how
a value goes on over several lines; here that is `IniDialect`.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass, field
from enum import StrEnum

from pm_native.errors import Span
from pm_native.syntax.places import BOM, Places, has_surrogate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pm_native.errors import Diagnostics, Source

DEFAULT = "DEFAULT"  # the section whose entries every other one has, too
_HEADER = re.compile(r"\[(.+)\]")
_DELIMITER = re.compile("[=:]")
_INLINE_COMMENT = re.compile(r"(?:^|(?<=\s))[;#]")
_REM = re.compile(r"rem\s", re.IGNORECASE)


class IniDialect(StrEnum):
    """Whose rules count."""

    SUPERVISORD = "supervisord"
    CIRCUS = "circus"


@dataclass(slots=True)
class IniEntry:
    """One `key = value`: the lines of the value are joined by newlines, as the tool has them.

    `pieces` are the starts of those lines: the offset in the value, the line and the column in the source.
    """

    source: Source
    key: str
    line: int
    column: int
    pieces: list[tuple[int, int, int]]
    value: str

    @property
    def key_span(self) -> Span:
        """The place of the key."""
        return Span(self.source, self.line, self.column, self.column + len(self.key))

    @property
    def span(self) -> Span:
        """The place of the value: of several lines the first one that is not empty; of no value the key."""
        text = self.value
        start = len(text) - len(text.lstrip())
        return self.part(start, len(text)) if start < len(text) else self.key_span

    def part(self, start: int, end: int) -> Span:
        """The place of value[start:end], to the end of its first line."""
        offset, line, column = self.pieces[bisect_right(self.pieces, start, key=lambda piece: piece[0]) - 1]
        newline = self.value.find("\n", start, end)
        width = max((newline if newline >= 0 else end) - start, 1)
        return Span(self.source, line, column + start - offset, column + start - offset + width)


@dataclass(slots=True)
class IniSection:
    """One section; `defaults` are the entries of `[DEFAULT]`, which it has as long as it says nothing else."""

    name: str
    span: Span
    entries: dict[str, IniEntry] = field(default_factory=dict)
    defaults: dict[str, IniEntry] = field(default_factory=dict)

    def get(self, key: str) -> IniEntry | None:
        """The entry of this key."""
        return self.entries.get(key) or self.defaults.get(key)

    def __iter__(self) -> Iterator[IniEntry]:
        """The entries, those of `[DEFAULT]` last."""
        yield from self.entries.values()
        for key, entry in self.defaults.items():
            if key not in self.entries:
                yield entry


def parse_ini(source: Source, problems: Diagnostics, *, dialect: IniDialect) -> dict[str, IniSection]:
    """The sections of an INI text in their order, without `[DEFAULT]`, whose entries the others have.

    Errors: a line that is no entry, an entry before the first section. Warnings: a key that is set twice in one
    section. A section that occurs twice goes on.
    """
    places = Places(source)
    if has_surrogate(places, problems):
        return {}
    reader = (
        _Supervisord(source, problems) if dialect is IniDialect.SUPERVISORD else _Circus(source, problems)
    )
    text = source.text
    if text.startswith(BOM):
        text = " " + text[1:]
    for number, line in enumerate(text.split("\n"), 1):
        reader.take(number, line.removesuffix("\r"))
    reader.end()
    defaults = reader.sections.pop(DEFAULT, None)
    if defaults is not None:
        for section in reader.sections.values():
            section.defaults = defaults.entries
    return reader.sections


class _Reader:
    """Takes the lines one by one. What differs between the dialects is in `take` and `add`."""

    def __init__(self, source: Source, problems: Diagnostics) -> None:
        self.source = source
        self.problems = problems
        self.sections: dict[str, IniSection] = {}
        self.section: IniSection | None = None
        self.entry: IniEntry | None = None
        self._lines: list[str] = []
        self._length = 0

    def take(self, number: int, line: str) -> None:
        """Read one line."""
        raise NotImplementedError

    def header(self, number: int, start: int, name: str) -> None:
        """A section begins, or goes on."""
        self.end()
        found = self.sections.get(name)
        if found is None:
            span = Span(self.source, number, start + 1, start + len(name) + 3)
            found = self.sections[name] = IniSection(name, span)
        self.section, self.entry = found, None

    def option(self, number: int, start: int, text: str) -> None:
        """A line that should be `key = value`, from the column `start` on."""
        self.end()
        delimiter = _DELIMITER.search(text)
        key = text[: delimiter.start()].rstrip() if delimiter else ""
        if delimiter is None or not key:
            hint = (
                "an entry is `key = value`; what continues a value is indented, a comment begins with ; or #"
            )
            self.tell(number, start, text, "this line is no entry", hint)
            self.entry = None
            return
        if self.section is None:
            hint = "write a section above it, such as [program:web] or [watcher:web]"
            self.tell(number, start, text, "an entry before the first section", hint)
            return
        rest = text[delimiter.end() :]
        value = rest.lstrip()
        begin = start + len(text) - len(value)
        self.entry = IniEntry(
            self.source, self.spelled(key), number, start + 1, [(0, number, begin + 1)], ""
        )
        self._lines = [self.first_line(value)]
        self._length = len(self._lines[0]) + 1
        self.add(self.section, self.entry)

    def first_line(self, value: str) -> str:
        """What counts of the first line of a value."""
        return value.rstrip()

    def spelled(self, key: str) -> str:
        """The key as the tool knows it."""
        return key

    def add(self, section: IniSection, entry: IniEntry) -> None:
        """Put an entry into its section."""
        raise NotImplementedError

    def more(self, number: int, start: int, text: str) -> None:
        """A further line of the value."""
        if self.entry is not None:
            self.entry.pieces.append((self._length, number, start + 1))
            self._lines.append(text)
            self._length += len(text) + 1

    def end(self) -> None:
        """The value is complete."""
        if self.entry is not None and self._lines:
            self.entry.value = "\n".join(self._lines).rstrip()
        self._lines = []

    def tell(self, number: int, start: int, text: str, message: str, hint: str) -> None:
        """An error in a line."""
        span = Span(self.source, number, start + 1, start + len(text) + 1)
        self.problems.error(span, message, code="ini-line", hint=hint)

    def tell_twice(self, first: IniEntry, second: IniEntry, which: str) -> None:
        """A warning for a key that is set twice."""
        message = f"{second.key} is set twice in one section"
        hint = f"it is set at {first.key_span}; {which} counts"
        self.problems.warning(second.key_span, message, code="duplicate-key", hint=hint)


class _Supervisord(_Reader):
    """As RawConfigParser with `;` and `#` for comments in a line, and not strict: the last of two entries counts."""

    indent = 0

    def take(self, number: int, line: str) -> None:
        comment = _INLINE_COMMENT.search(line)
        text = line[: comment.start()] if comment else line
        value = text.strip()
        if not value:
            if comment is None and self.entry is not None:
                self.more(number, 0, "")  # an empty line is a part of a value that goes on behind it
            return
        start = len(text) - len(text.lstrip())
        if self.entry is not None and start > self.indent:
            self.more(number, start, value)
            return
        self.indent = start
        match = _HEADER.match(value)
        if match:
            self.header(number, start, match[1])
        else:
            self.option(number, start, value)

    def spelled(self, key: str) -> str:
        return key.lower()

    def add(self, section: IniSection, entry: IniEntry) -> None:
        if entry.key in section.entries:
            self.tell_twice(section.entries[entry.key], entry, "the last one")
        section.entries[entry.key] = entry


class _Circus(_Reader):
    """As circus's own reader: keys keep their case, the first of two entries counts, a comment is a line of its own.

    Only ` ;` ends the first line of a value before its end, and only where that is the first `;` of it.
    """

    def take(self, number: int, line: str) -> None:
        if not line.strip() or line[0] in "#;" or _REM.match(line):
            return
        start = len(line) - len(line.lstrip())
        if start and self.section is not None and self.entry is not None:
            self.more(number, start, line.strip())
            return
        match = _HEADER.match(line)
        if match:
            self.header(number, 0, match[1])
            return
        self.option(number, start, line.strip())

    def first_line(self, value: str) -> str:
        semicolon = value.find(";")
        if (
            semicolon >= 0 and value[semicolon - 1].isspace()
        ):  # [-1]: what has been stripped ends in no space
            value = value[:semicolon]
        value = value.strip()
        return "" if value == '""' else value

    def add(self, section: IniSection, entry: IniEntry) -> None:
        first = section.entries.get(entry.key)
        if first is None:
            section.entries[entry.key] = entry
        else:
            self.tell_twice(first, entry, "the first one")
