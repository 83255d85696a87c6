"""The text of a unit file to the unit IR. Reads everything that systemd reads, and what `render` wrote exactly."""

from __future__ import annotations

from pm_native.unit.directive import SECTIONS as KNOWN_SECTIONS
from pm_native.unit.directive import Directive, find_directive
from pm_native.unit.escape import WHITESPACE, parse_value
from pm_native.unit.file import Setting, UnitFile


class UnitSyntaxError(ValueError):
    """A line that systemd would not read; `line` counts from 1."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(f"line {line}: {message}")
        self.line = line


def parse_unit(text: str) -> UnitFile:
    """The unit file in `text`: continued lines joined, comments after the header dropped."""
    header: list[str] = []
    sections: list[tuple[str, list[Setting]]] = []
    for number, line in _logical_lines(text):
        if line.startswith(("#", ";")):
            if not sections:
                header.append(line[1:].removeprefix(" "))
        elif line.startswith("["):
            if not line.endswith("]"):
                raise UnitSyntaxError(number, f"a section without its bracket: {line!r}")
            sections.append((line[1:-1], []))
        elif line:
            if not sections:
                raise UnitSyntaxError(number, f"outside of any section: {line!r}")
            name, settings = sections[-1]
            settings.append(_parse_setting(name, line, number))
    return UnitFile(tuple(header), tuple((name, tuple(settings)) for name, settings in sections))


def _parse_setting(section: str, line: str, number: int) -> Setting:
    key, equals, value = line.partition("=")
    if not equals:
        raise UnitSyntaxError(number, f"neither a section nor a setting: {line!r}")
    key = key.rstrip(WHITESPACE)
    known = find_directive(section, key) if section in KNOWN_SECTIONS else None
    directive = known or Directive(section, key)
    try:
        prefix, words = parse_value(directive, value.strip(WHITESPACE))
    except ValueError as error:
        raise UnitSyntaxError(number, f"{key}=: {error}") from error
    return Setting(directive, words, prefix)


def _logical_lines(text: str) -> list[tuple[int, str]]:
    """Lines with their continuations, as systemd joins them: the backslash becomes a blank, comments vanish."""
    joined: list[tuple[int, str]] = []
    pending = ""
    first = 0
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.strip(WHITESPACE)
        if pending and line.startswith(("#", ";")):
            continue
        if not pending:
            first = number
        if line.endswith("\\") and not line.startswith(("#", ";")):
            pending += line[:-1] + " "
            continue
        joined.append((first, pending + line))
        pending = ""
    if pending:
        joined.append((first, pending.rstrip(WHITESPACE)))
    return joined
