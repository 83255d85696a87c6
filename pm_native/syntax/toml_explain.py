"""What is wrong with a TOML text, in our words: tomllib's are short and name no way out."""

from __future__ import annotations

import re

from pm_native.syntax.places import add_control_character, add_too_deep
from pm_native.syntax.toml_scan import Builder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pm_native.errors import Diagnostics, Span
    from pm_native.syntax.node import Node
    from pm_native.syntax.places import Places
    from pm_native.syntax.toml_scan import Raw, Scanner, Statement

CODE = "toml-syntax"
_PLACED = re.compile(r"(?s)(.*) \(at (?:line (\d+), column (\d+)|end of document)\)")
_TWICE = (
    "Cannot overwrite",
    "Cannot declare",
    "Cannot redefine",
    "Cannot mutate",
    "Duplicate inline table key",
)
_LINE_ENDS = ("Illegal character '\\n'", "Found invalid character '\\n'")
_ESCAPES = (
    "Unescaped '\\' in a string",
    "Invalid hex value",
    "Escaped character is not a Unicode scalar value",
)
_WORD = re.compile(r"\\.|[^\s,\]}#=]+")
_LONG_NUMBER = re.compile(r"[0-9_]{4300,}")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_BRACES = ("a table in braces ends on its line", "use a [table] header for a longer one")
_NOT_CLOSED = (
    "this string is not closed on its line",
    'close the quote, or use """ for a text of several lines',
)
_WORDS = {  # tomllib's problem: our message and hint
    "Expected '=' after a key in a key/value pair": (
        "expected '=' after the key",
        "TOML writes key = value; a key with spaces is quoted",
    ),
    "Unclosed inline table": _BRACES,
    "Illegal character '\\n'": _NOT_CLOSED,
    "Found invalid character '\\n'": _NOT_CLOSED,
    "Unterminated string": _NOT_CLOSED,
    'Expected "\'"': _NOT_CLOSED,
    "Unescaped '\\' in a string": (
        "this is no escape that TOML knows",
        "write \\\\ for a backslash, or put the string in single quotes",
    ),
    "Invalid hex value": (
        "expected hex digits after \\u or \\U",
        "\\u takes four of them, \\U eight",
    ),
    "Escaped character is not a Unicode scalar value": (
        "this escape is no Unicode character",
        "write the character itself",
    ),
    "Invalid date or datetime": ("there is no such date or time", "put it in quotes if it is a text"),
    "Expected ']' at the end of a table declaration": (
        "expected ']' at the end of the header",
        "a header is [name], of a list of tables [[name]]",
    ),
    "Expected ']]' at the end of an array declaration": (
        "expected ']]' at the end of the header",
        "a header is [name], of a list of tables [[name]]",
    ),
}
_QUOTE = {"[": "[", "{": "{", '"': "quote", "'": "quote"}


class Explainer:
    """Adds the diagnostic for a text that tomllib refused."""

    def __init__(self, places: Places, scanner: Scanner, problems: Diagnostics) -> None:
        self.places = places
        self.text = scanner.text
        self.scanner = scanner
        self.problems = problems

    def explain(self, error: ValueError | RecursionError) -> None:
        """Add the error for what tomllib raised."""
        match = _PLACED.fullmatch(str(error))
        if isinstance(error, RecursionError):
            add_too_deep(self.problems, self.places.source.whole())
        elif not match:  # int() refuses thousands of digits, and says so without a place
            hint = "put it in quotes if it is a text"
            number = _LONG_NUMBER.search(self.text)
            span = self.places.span(*number.span()) if number else self.places.source.whole()
            self._add(span, "this number has too many digits", hint)
        elif match[2] is None:
            self._at_end(match[1])
        else:
            self._at(match[1], self.places.offset(int(match[2]), int(match[3])))

    def _add(self, span: Span, message: str, hint: str = "", *, code: str = CODE) -> None:
        self.problems.error(span, message, code=code, hint=hint)

    def _at_end(self, problem: str) -> None:
        """At the end of the text something is missing: the best place is where it was opened."""
        if problem.startswith(_TWICE):
            self._twice(len(self.text))
        elif self.scanner.opened:
            start = self.scanner.opened[-1]
            if self.text[start] in "\"'" and self.text[start : start + 3] != self.text[start] * 3:
                self._add(self.places.span(start, len(self.text)), *_NOT_CLOSED)
                return
            self._add(self.places.span(start, start + 1), f"this {_QUOTE[self.text[start]]} is never closed")
        else:
            message, hint = self._words(problem, len(self.text))
            self._add(self.places.last(), message, hint)

    def _at(self, problem: str, offset: int) -> None:
        control = _CONTROL.match(self.text, offset)
        if problem.startswith(_TWICE):
            self._twice(offset)
        elif control and not self.text.startswith("\r\n", offset):
            hint = "in a string in double quotes write it as \\u and four hex digits"
            add_control_character(self.problems, self.places.span(offset, offset + 1), control[0], hint)
        else:
            if problem in _LINE_ENDS:  # the string began on this line: show where
                offset = self.scanner.opened[-1] if self.scanner.opened else offset
            elif problem in _ESCAPES:
                offset = max(self.text.rfind("\\", 0, offset), 0)
            word = _WORD.match(self.text, offset)
            message, hint = self._words(problem, offset)
            self._add(self.places.span(offset, word.end() if word else offset + 1), message, hint)

    def _words(self, problem: str, offset: int) -> tuple[str, str]:
        """The message and the hint for tomllib's problem at an offset."""
        rest = self.text[offset : offset + 200].split("\n", 1)[0].rstrip()
        opened = self._opened()
        match problem:
            case "Invalid value":
                return _bad_value(rest)
            case "Expected '=' after a key in a key/value pair" if rest.startswith(":"):
                return "expected '=' after the key, not ':'", "TOML writes key = value"
            case "Expected newline or end of document after a statement":
                return _after_value(self.text[:offset], rest)
            case "Unclosed array":
                return "expected ',' or ']' in the list", f"the list begins at {opened}" if opened else ""
            case "Unclosed inline table" if rest and not rest.startswith("#"):
                return "expected ',' or '}' in the table", f"the table begins at {opened}" if opened else ""
            case "Invalid initial character for a key part" if not rest and self._before(offset) in {
                "{",
                ",",
            }:
                return _BRACES
            case "Invalid statement" | "Invalid initial character for a key part":
                return _bad_key(rest)
            case _:
                return _WORDS.get(problem, (problem[:1].lower() + problem[1:], ""))

    def _before(self, offset: int) -> str:
        return self.text[:offset].rstrip()[-1:]

    def _opened(self) -> str:
        return str(self.places.span(self.scanner.opened[-1], 0)) if self.scanner.opened else ""

    def _twice(self, offset: int) -> None:
        """Say where the first definition is of what is defined again in the statement before the offset."""
        builder = Builder(self.places)
        before: list[Statement] = [item for item in self.scanner.statements if item.start < offset]
        for statement in before[:-1]:
            builder.add(statement)
        statement = before[-1]
        inner = _inline(statement.raw, offset) if statement.raw and offset < statement.raw.end else []
        if inner:
            builder = Builder(self.places)
            for earlier in inner[:-1]:
                builder.add(earlier)
            statement = inner[-1]
        depth, first = builder.find(statement)
        name = ".".join(part[0] for part in statement.parts[:depth])
        span = self.places.span(statement.parts[0][1], statement.parts[-1][2])
        if first is None or depth == len(statement.parts):
            name = ".".join(part[0] for part in statement.parts)
            self._add(span, f"{name} is defined twice", _first(first), code="duplicate-key")
        else:
            what = first.kind if isinstance(first.value, dict | list) else "a value"
            message = f"{name} is {what} already and takes no more keys"
            self._add(span, message, _first(first), code="duplicate-key")


def _first(node: Node | None) -> str:
    return f"it is defined at {node.key}" if node else ""


def _inline(raw: Raw, offset: int) -> list[Statement]:
    """The entries of the innermost inline table around the offset, up to the one that ends there."""
    from pm_native.syntax.toml_scan import Kind, Statement  # noqa: PLC0415 - beside their only use

    while True:
        children = [value for _, value in raw.entries or ()] or raw.items or []
        inside = [child for child in children if child.start < offset < child.end]
        if not inside:
            break
        raw = inside[0]
    return [
        Statement(Kind.PAIR, parts, parts[0][1], value.end, value)
        for parts, value in raw.entries or ()
        if value.start < offset
    ]


def _bad_value(rest: str) -> tuple[str, str]:
    word_match = _WORD.match(rest)
    word = word_match[0] if word_match else ""
    if not word:
        return "expected a value", 'an empty text is written ""'
    if word.lower() in {"true", "false"}:
        return f"{word} is no TOML value", f"write {word.lower()}"
    if word.lower() in {"yes", "on", "no", "off"}:
        meant = "true" if word.lower() in {"yes", "on"} else "false"
        return f"{word} is no TOML value", f'write {meant}, or "{word}" for the text'
    if word.lower() in {"null", "none", "nil", "~"}:
        return f"{word} is no TOML value", "TOML has no null: leave the key out"
    shown = rest.split(" #", 1)[0].rstrip()
    if re.fullmatch(r"[^\"'\\,\[\]{}=]+", shown):
        return f"{word} is no TOML value", f'put text in quotes: "{shown}"'
    return f"{word} is no TOML value", "put text in quotes"


def _after_value(before: str, rest: str) -> tuple[str, str]:
    """Something stands after a whole statement: mostly a text without quotes that begins like a number."""
    line = before[before.rfind("\n") + 1 :]
    _, equals, value = line.partition("=")
    whole = (value + rest).strip().split(" #", 1)[0].rstrip()
    if equals and re.fullmatch(r"[^\"'\\,\[\]{}=]+", whole):
        return "expected the end of the line after the value", f'put text in quotes: "{whole}"'
    return "expected the end of the line after the value", "each key = value stands on a line of its own"


def _bad_key(rest: str) -> tuple[str, str]:
    if rest.startswith(("//", ";", "/*", "--")):
        return "this is no TOML comment", "a comment begins with #"
    if rest.startswith(("{", "}")):
        return "expected a key or a [table]", "is this JSON? TOML writes key = value"
    return "expected a key", "a key of other characters than letters, digits, - and _ is quoted"
