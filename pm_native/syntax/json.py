"""JSON and JSON5 texts to nodes: one reader, two sets of rules, places and hints."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import isinf

from pm_native.syntax.node import Node
from pm_native.syntax.places import (
    BOM,
    MAX_DEPTH,
    SURROGATE,
    Places,
    StopParsingError,
    add_control_character,
    add_surrogate,
    add_too_deep,
    has_surrogate,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pm_native.errors import Diagnostics, Source, Span


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rules:
    """What sets the two formats apart."""

    name: str
    is_json5: bool
    number: re.Pattern[str]
    escapes: dict[str, str]


_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_JSON = _Rules(
    name="JSON",
    is_json5=False,
    number=re.compile(r"-?(?:0|[1-9][0-9]*)(?P<real>(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)"),
    escapes=_ESCAPES,
)
_JSON5 = _Rules(
    name="JSON5",
    is_json5=True,
    number=re.compile(
        r"[+-]?(?:0[xX](?P<hex>[0-9a-fA-F]+)|(?:0|[1-9][0-9]*)(?P<real>(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?)"
        r"|\.[0-9]+(?:[eE][+-]?[0-9]+)?)"
    ),
    escapes=_ESCAPES | {"'": "'", "v": "\v", "0": "\0", "\n": "", "\r\n": "", "\u2028": "", "\u2029": ""},
)

_SKIP = re.compile(r"[ \t\r\n]*+")
_SKIP5 = re.compile(r"(?:[\s\ufeff]++|//[^\n]*+|/\*[\s\S]*?\*/)*+")
_TOKEN = re.compile(
    r"""(?P<string>"[^"\\\n]*+(?:\\(?:\r\n|[\s\S])[^"\\\n]*+)*+"|'[^'\\\n]*+(?:\\(?:\r\n|[\s\S])[^'\\\n]*+)*+')"""
    r"|(?P<number>[+\-.]*[0-9][\w.]*(?:(?<=[eE])[+-][\w.]*)?|[+-](?:Infinity|NaN))"
    r"|(?P<word>(?:[^\W\d]|\$)[\w$]*)"
    r"|(?P<mark>[{}\[\]:,])"
)
_ESCAPE = re.compile(
    r"\\(?:u([0-9a-fA-F]{4})(?:(?<=[dD][89abAB]..)\\u([dD][c-fC-F][0-9a-fA-F]{2}))?|x([0-9a-fA-F]{2})|(\r\n|[\s\S]))"
)
_CONTROL = re.compile(r"[\x00-\x1f]")
_CONTROL5 = re.compile(r"[\x00-\x08\x0b-\x0c\x0e-\x1f]")
_SHORT = {"\t": "\\t", "\n": "\\n", "\r": "\\r"}
_CONSTANTS: dict[str, bool | None] = {"true": True, "false": False, "null": None}
_NO_LIMIT = "leave the key out where there is no limit"
_WORD_HINTS = {
    "True": "write true",
    "False": "write false",
    "None": "write null",
    "undefined": "write null",
    "Infinity": _NO_LIMIT,
    "NaN": _NO_LIMIT,
}
_CLOSING = {"{": "}", "[": "]"}


def parse_json(source: Source, problems: Diagnostics) -> Node | None:
    """The tree of a strict JSON text (RFC 8259; a byte order mark is let pass); None after adding an error."""
    return _parse(source, problems, _JSON)


def parse_json5(source: Source, problems: Diagnostics) -> Node | None:
    """The tree of a JSON5 text; None after adding an error. Of a key that occurs twice the last counts.

    `Infinity` and `NaN` are refused: no setting can have them.
    """
    return _parse(source, problems, _JSON5)


def _parse(source: Source, problems: Diagnostics, rules: _Rules) -> Node | None:
    reader = _Reader(Places(source), problems, rules)
    if has_surrogate(reader.places, problems):
        return None
    try:
        node = reader.document()
    except StopParsingError:
        return None
    return None if reader.failed else node


class _Reader:
    """Reads one text by recursive descent; `position` is always at the start of a token."""

    def __init__(self, places: Places, problems: Diagnostics, rules: _Rules) -> None:
        self.places = places
        self.text = places.text
        self.problems = problems
        self.rules = rules
        self.failed = False
        self.position = 1 if self.text.startswith(BOM) else 0
        self._skip_pattern = _SKIP5 if rules.is_json5 else _SKIP
        self._skip()

    def document(self) -> Node:
        """Read `document = value end`."""
        node = self.value(0)
        if self.position < len(self.text):
            raise self.expected("the end of the file after the value")
        return node

    def value(self, depth: int) -> Node:
        """Read `value = object / array / string / number / "true" / "false" / "null"`."""
        start = self.position
        match = _TOKEN.match(self.text, start)
        kind = match.lastgroup if match else None
        if not match or match[0] in {"}", "]", ":", ","}:
            raise self._no_value()
        if kind == "mark":
            if depth >= MAX_DEPTH:
                add_too_deep(self.problems, self.places.span(start, start + 1))
                raise StopParsingError
            return self._object(depth) if match[0] == "{" else self._array(depth)
        self.position = match.end()
        value: str | float | bool | None
        if kind == "string":
            value = self._string(start, match.end())
        elif kind == "number":
            value = self._number(match[0], start)
        else:
            value = self._constant(match[0], start)
        self._skip()
        return Node(value, self.places.span(start, match.end()))

    def _object(self, depth: int) -> Node:
        """Read `object = "{" [ key ":" value *( "," key ":" value ) ] "}"`."""
        start = self._open()
        entries: dict[str, Node] = {}
        while not self._closes(start, bool(entries)):
            key_start = self.position
            key = self._key()
            key_span = self.places.span(key_start, self.position)
            self._skip()
            if self._peek() != ":":
                hint = f'{self.rules.name} writes "key": value' if self._peek() == "=" else ""
                raise self.expected("':' after the key", hint)
            self.position += 1
            self._skip()
            node = self.value(depth + 1)
            node.key_span = key_span
            if key in entries:
                self._twice(key, node, entries[key])
                if not self.rules.is_json5:
                    continue
            entries[key] = node
        return Node(entries, self._close(start))

    def _array(self, depth: int) -> Node:
        """Read `array = "[" [ value *( "," value ) ] "]"`."""
        start = self._open()
        items: list[Node] = []
        while not self._closes(start, bool(items)):
            items.append(self.value(depth + 1))
        return Node(items, self._close(start))

    def _open(self) -> int:
        start = self.position
        self.position += 1
        self._skip()
        return start

    def _close(self, start: int) -> Span:
        self.position += 1
        span = self.places.span(start, self.position)
        self._skip()
        return span

    def _closes(self, start: int, has_items: bool) -> bool:  # noqa: FBT001 - one caller a format
        """Whether the closing bracket is next; else goes to the next item, past the comma."""
        opening, closing = self.text[start], _CLOSING[self.text[start]]
        character = self._peek()
        if not character:
            raise self.stopped(start, start + 1, f"this {opening} is never closed")
        if character == closing or not has_items:
            return character == closing
        if character != ",":
            begins = f"the {'object' if opening == '{' else 'list'} begins at {self.places.span(start, start + 1)}"
            raise self.expected(f"',' or '{closing}'", begins)
        comma = self.position
        self.position += 1
        self._skip()
        if self._peek() != closing:
            return False
        if not self.rules.is_json5:
            hint = "JSON allows none: take it out"
            raise self.stopped(comma, comma + 1, f"a comma before the closing {closing}", hint)
        return True

    def _key(self) -> str:
        start = self.position
        match = _TOKEN.match(self.text, start)
        kind = match.lastgroup if match else None
        if kind == "word" and match and not self.rules.is_json5:
            raise self.stopped(start, match.end(), "a key without quotes", f'write "{match[0]}"')
        if kind in {"string", "word"} and match:
            self.position = match.end()
            return match[0] if kind == "word" else self._string(start, match.end())
        if not match and self._peek() in {'"', "'"}:
            raise self._no_value()
        raise self.expected("a key" if self.rules.is_json5 else "a key in quotes")

    def _twice(self, key: str, node: Node, first: Node) -> None:
        message, at = f"{key} is defined twice", f"it is defined at {first.key}"
        if self.rules.is_json5:
            hint = f"{at}; the last one counts"
            self.problems.warning(node.key, message, code="duplicate-key", hint=hint)
        else:
            self.failed = True
            self.problems.error(node.key, message, code="duplicate-key", hint=at)

    def _number(self, written: str, start: int) -> int | float:
        end = start + len(written)
        match = self.rules.number.fullmatch(written)
        if not match:
            raise self.stopped(
                start, end, f"{written} is no {self.rules.name} number", _number_hint(written)
            )
        groups = match.groupdict()
        try:
            if groups.get("hex"):
                return int(written, 16)
            if groups["real"] == "":
                return int(written)
        except ValueError:  # int() refuses thousands of digits
            hint = "put it in quotes if it is a text"
            raise self.stopped(start, end, "this number has too many digits", hint) from None
        number = float(written)
        if isinf(number):
            raise self.stopped(start, end, "this number is too large", "put it in quotes if it is a text")
        return number

    def _constant(self, word: str, start: int) -> bool | None:
        if word not in _CONSTANTS:
            hint = _WORD_HINTS.get(word, f'put text in quotes: "{word}"')
            raise self.stopped(start, start + len(word), f"{word} is no {self.rules.name} value", hint)
        return _CONSTANTS[word]

    def _string(self, start: int, end: int) -> str:
        if self.text[start] == "'" and not self.rules.is_json5:
            raise self.stopped(start, end, "a string in single quotes", "JSON has double quotes only")
        body = self.text[start + 1 : end - 1]
        control = (_CONTROL5 if self.rules.is_json5 else _CONTROL).search(body)
        if control:
            at = start + 1 + control.start()
            written = _SHORT.get(control[0]) or f"\\u{ord(control[0]):04x}"
            add_control_character(
                self.problems, self.places.span(at, at + 1), control[0], f"write {written}"
            )
            raise StopParsingError
        if "\\" not in body:
            return body
        return _ESCAPE.sub(lambda match: self._escape(match, start + 1), body)

    def _escape(self, match: re.Match[str], base: int) -> str:
        start, end = base + match.start(), base + match.end()
        high, low, byte, character = match.groups()
        if high:
            text = chr(int(high, 16))
            if low:
                return (text + chr(int(low, 16))).encode("utf-16-le", "surrogatepass").decode("utf-16-le")
            if SURROGATE.match(text):
                add_surrogate(self.problems, self.places.span(start, end), ord(text))
                raise StopParsingError
            return text
        if byte and self.rules.is_json5:
            return chr(int(byte, 16))
        escaped = self.rules.escapes.get(character or "x")
        if escaped is None and self.rules.is_json5 and character not in set("123456789ux"):
            return character
        if escaped is None:
            end = start + 1 + len(character or "x")
            hint = "write \\\\ for a backslash; \\u takes four hex digits"
            raise self.stopped(start, end, f"this is no escape that {self.rules.name} knows", hint)
        return escaped

    def _peek(self) -> str:
        return self.text[self.position : self.position + 1]

    def _skip(self) -> None:
        match = self._skip_pattern.match(self.text, self.position)
        if match:
            self.position = match.end()

    def _token_end(self) -> int:
        match = _TOKEN.match(self.text, self.position)
        return match.end() if match else self.position + 1

    def _no_value(self) -> StopParsingError:
        """Say why no token begins here, or none that begins a value; raise what is returned."""
        start, line_end = self.position, self._line_end()
        rest = self.text[start : start + 2]
        if not rest:
            span = self.places.last()
            self.problems.error(span, "expected a value, and the file ends", code="json-syntax")
            return StopParsingError()
        if rest[0] in "\"'":
            hint = "close the quote; \\n stands for a new line in a string"
            return self.stopped(start, line_end, "this string is not closed on its line", hint)
        if rest in {"//", "/*"} or rest[0] == "#":
            if not self.rules.is_json5:
                return self.stopped(start, line_end, "a comment", "JSON has none: take it out")
            if rest == "/*":
                return self.stopped(start, start + 2, "this comment is never closed", "it is closed by */")
            return self.stopped(
                start, line_end, "this is no JSON5 comment", "a comment begins with // or /*"
            )
        return self.stopped(start, start + 1, f"expected a value, not {rest[0]!r}")

    def _line_end(self) -> int:
        end = self.text.find("\n", self.position)
        return end if end >= 0 else len(self.text)

    def stopped(self, start: int, end: int, message: str, hint: str = "") -> StopParsingError:
        """Add an error at text[start:end]; raise what is returned."""
        self.problems.error(self.places.span(start, end), message, code="json-syntax", hint=hint)
        return StopParsingError()

    def expected(self, what: str, hint: str = "") -> StopParsingError:
        """Add the error for another token than `what`, or a comment, at the position; raise what is returned."""
        if self.text.startswith(("//", "/*", "#"), self.position):
            return self._no_value()
        return self.stopped(self.position, self._token_end(), f"expected {what}", hint)


def _number_hint(written: str) -> str:
    if re.fullmatch(r"[+-]?(?:Infinity|NaN)", written):
        return _NO_LIMIT
    if re.fullmatch(r"[+-]?0[0-9]+", written):
        return f'a number has no zero in front; if it is a text (a file mode), put it in quotes: "{written}"'
    if re.fullmatch(r"\+[0-9.]+", written):
        return f"write {written[1:]}"
    if re.search(r"[^\W\d_]|\..*\.", written) and not re.match(r"0[xX]", written):
        return f'put text in quotes: "{written}"'
    return ""
