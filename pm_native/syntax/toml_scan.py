"""Where things stand in a TOML text: tomllib decides what they mean and throws the places away.

The scanner takes more than TOML allows, never less: what it cannot read, tomllib refuses too.
"""

from __future__ import annotations

import re
import tomllib
from enum import Enum

from pm_native.syntax.node import Node
from pm_native.syntax.places import MAX_DEPTH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pm_native.syntax.places import Places

    Part = tuple[str, int, int]  # one name of a dotted key, and where it stands

# Possessive quantifiers: no text, however odd, makes these go back.
_BASIC = r'"(?!"")[^"\\\n]*+(?:\\.[^"\\\n]*+)*+"'
_LITERAL = r"'(?!'')[^'\n]*+'"
_BARE = r"[A-Za-z0-9+\-_.:]++(?:\ \d\d:[0-9A-Za-z+\-.:]++)?"
_LONG_BASIC = r'"""[^"\\]*+(?:(?:\\[\s\S]|"{1,2}(?!"))[^"\\]*+)*+"{3,5}'
_LONG_LITERAL = r"'''[\s\S]*?'{3,5}"
_END = r"[ \t]*(?:\#[^\n]*)?\r?(?:\n|\Z)"

_LINE = re.compile(rf"([A-Za-z0-9_-]+)[ \t]*=[ \t]*({_BASIC}|{_LITERAL}|{_BARE}){_END}")
_BLANK = re.compile(r"(?:[ \t\r\n]++|\#[^\n]*+)*+")
_SPACE = re.compile(r"[ \t]*+")
_LINE_END = re.compile(_END)
_KEY_PART = re.compile(rf"[A-Za-z0-9_-]++|{_BASIC}|{_LITERAL}")
_SCALAR = re.compile(rf"{_LONG_BASIC}|{_LONG_LITERAL}|{_BASIC}|{_LITERAL}|{_BARE}")


class TooDeepError(Exception):
    """The text nests deeper than `MAX_DEPTH`, at this offset. Never leaves this package."""

    def __init__(self, offset: int) -> None:
        super().__init__()
        self.offset = offset


class _NotUnderstoodError(Exception):
    """The scanner cannot read on: tomllib says what is wrong."""


class Raw:
    """Where a value stands; of a list its items, of an inline table its entries."""

    __slots__ = ("end", "entries", "items", "start")

    def __init__(self, start: int, end: int) -> None:
        self.start = start
        self.end = end
        self.items: list[Raw] | None = None
        self.entries: list[tuple[list[Part], Raw]] | None = None


class Kind(Enum):
    """What a statement is."""

    PAIR = "key = value"
    TABLE = "[header]"
    ITEM = "[[header]]"


class Statement:
    """One statement: its kind, its dotted key, and the value of a pair."""

    __slots__ = ("end", "kind", "parts", "raw", "start")

    def __init__(self, kind: Kind, parts: list[Part], start: int, end: int, raw: Raw | None = None) -> None:
        self.kind = kind
        self.parts = parts
        self.start = start
        self.end = end
        self.raw = raw


class Scanner:
    """Reads the statements of a text, up to the first that it does not understand."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.opened: list[int] = []  # where the brackets and quotes begin that are open at the end
        self.statements: list[Statement] = []
        self._depth = 0

    def scan(self) -> list[Statement]:
        """All statements; `opened` tells what was open where reading ended. Raises `TooDeepError`."""
        text, found = self.text, self.statements
        position = 0
        while (position := self._skip(_BLANK, position)) < len(text):
            match = _LINE.match(text, position)
            if match:  # nearly every line of nearly every file
                parts = [(match[1], match.start(1), match.end(1))]
                raw = Raw(match.start(2), match.end(2))
                found.append(Statement(Kind.PAIR, parts, match.start(1), raw.end, raw))
                position = match.end()
                continue
            try:
                position = self._statement(position)
            except _NotUnderstoodError:
                break
        return found

    def _skip(self, pattern: re.Pattern[str], position: int) -> int:
        match = pattern.match(self.text, position)
        return match.end() if match else position

    def _statement(self, start: int) -> int:
        text = self.text
        raw = None
        if text.startswith("[", start):
            kind = Kind.ITEM if text.startswith("[[", start) else Kind.TABLE
            width = 2 if kind is Kind.ITEM else 1
            parts, position = self._key(self._skip(_SPACE, start + width))
            if not text.startswith("]" * width, position):
                raise _NotUnderstoodError
            self._depth = len(parts)
            position = end = position + width
        else:
            kind = Kind.PAIR
            parts, raw = self._pair(start, self._depth)
            position = end = raw.end
        self.statements.append(Statement(kind, parts, start, end, raw))
        match = _LINE_END.match(text, position)
        if not match:
            raise _NotUnderstoodError
        return match.end()

    def _key(self, position: int) -> tuple[list[Part], int]:
        parts: list[Part] = []
        while True:
            match = _KEY_PART.match(self.text, position)
            if not match:
                raise _NotUnderstoodError
            if len(parts) >= MAX_DEPTH:
                raise TooDeepError(position)
            parts.append((_key_text(match[0]), position, match.end()))
            position = self._skip(_SPACE, match.end())
            if not self.text.startswith(".", position):
                return parts, position
            position = self._skip(_SPACE, position + 1)

    def _pair(self, position: int, depth: int) -> tuple[list[Part], Raw]:
        parts, position = self._key(position)
        if not self.text.startswith("=", position):
            raise _NotUnderstoodError
        return parts, self._value(self._skip(_SPACE, position + 1), depth + len(parts))

    def _value(self, start: int, depth: int) -> Raw:
        if depth > MAX_DEPTH:
            raise TooDeepError(start)
        opening = self.text[start : start + 1]
        if opening in {"[", "{"}:
            self.opened.append(start)
            raw = self._list(start, depth) if opening == "[" else self._table(start, depth)
            self.opened.pop()
            return raw
        match = _SCALAR.match(self.text, start)
        if match:
            return Raw(start, match.end())
        if opening in {'"', "'"}:
            self.opened.append(start)
        raise _NotUnderstoodError

    def _list(self, start: int, depth: int) -> Raw:
        items: list[Raw] = []
        position = self._skip(_BLANK, start + 1)
        while not self.text.startswith("]", position):
            items.append(self._value(position, depth + 1))
            position = self._next(items[-1].end, "]")
        raw = Raw(start, position + 1)
        raw.items = items
        return raw

    def _table(self, start: int, depth: int) -> Raw:
        entries: list[tuple[list[Part], Raw]] = []
        position = self._skip(_BLANK, start + 1)
        while not self.text.startswith("}", position):
            entries.append(self._pair(position, depth))
            position = self._next(entries[-1][1].end, "}")
        raw = Raw(start, position + 1)
        raw.entries = entries
        return raw

    def _next(self, position: int, closing: str) -> int:
        """Past the comma after an item, or at the closing bracket."""
        position = self._skip(_BLANK, position)
        if self.text.startswith(closing, position):
            return position
        if not self.text.startswith(",", position):
            raise _NotUnderstoodError
        return self._skip(_BLANK, position + 1)


def _key_text(written: str) -> str:
    if written[0] == '"' and "\\" in written:
        try:
            text = tomllib.loads(f"k={written}")["k"]
        except tomllib.TOMLDecodeError:
            raise _NotUnderstoodError from None
        return str(text)
    return written[1:-1] if written[0] in "\"'" else written


class Builder:
    """Makes the tree of places, statement by statement; scalars have no value in it yet.

    It is lenient: what may not be defined twice is tomllib's to say.
    """

    def __init__(self, places: Places) -> None:
        self.places = places
        self.root = Node({}, places.source.whole())
        self._current = self.root

    def add(self, statement: Statement) -> None:
        """Take in the next statement."""
        if statement.kind is Kind.PAIR:
            if statement.raw:
                self._assign(self._current, statement.parts, statement.raw)
            return
        parent = self._descend(self.root, statement.parts[:-1])
        name, start, end = statement.parts[-1]
        span, key = self.places.span(statement.start, statement.end), self.places.span(start, end)
        entries = _entries(parent)
        node = entries.get(name)
        if statement.kind is Kind.ITEM:
            self._current = Node({}, span)
            if node is not None and isinstance(node.value, list):
                node.value.append(self._current)
            else:
                entries[name] = Node([self._current], span, key)
        elif node is None:
            self._current = entries[name] = Node({}, span, key)
        else:  # [a.b] came first: from now on [a] is the place of a
            node.span, node.key_span = span, key
            self._current = node

    def find(self, statement: Statement) -> tuple[int, Node | None]:
        """How many names of the statement's key exist by now, and the node that the last of them leads to."""
        node = self._current if statement.kind is Kind.PAIR else self.root
        found: Node | None = None
        for depth, (name, _, _) in enumerate(statement.parts):
            if isinstance(node.value, list) and node.value:
                node = node.value[-1]
            if not isinstance(node.value, dict) or name not in node.value:
                return depth, found
            found = node = node.value[name]
        return len(statement.parts), found

    def _descend(self, node: Node, parts: list[Part]) -> Node:
        for name, start, end in parts:
            entries = _entries(node)
            if name not in entries:
                span = self.places.span(start, end)
                entries[name] = Node({}, span, span)
            node = entries[name]
        return node

    def _assign(self, node: Node, parts: list[Part], raw: Raw) -> None:
        if len(parts) > 1:
            node = self._descend(node, parts[:-1])
        name, start, end = parts[-1]
        value = self._node(raw)
        value.key_span = self.places.span(start, end)
        _entries(node)[name] = value

    def _node(self, raw: Raw) -> Node:
        node = Node(None, self.places.span(raw.start, raw.end))
        if raw.items is not None:
            node.value = [self._node(item) for item in raw.items]
        elif raw.entries is not None:
            node.value = {}
            for parts, value in raw.entries:
                self._assign(node, parts, value)
        return node


def _entries(node: Node) -> dict[str, Node]:
    """The entries to add to: of a list of tables those of its last item. A scalar in the way is replaced."""
    if isinstance(node.value, list) and node.value:
        node = node.value[-1]
    if not isinstance(node.value, dict):
        node.value = {}
    return node.value
