"""`$NAME` and `${NAME:-default}` in configs, as compose and process-compose put values in before they read them."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pm_native.errors import Diagnostics, Span
    from pm_native.syntax.node import Node

    Lookup = Callable[[str], str | None]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OPERATOR = re.compile(r":?[-=?+]|\^\^?|,,?")
_MAX_DEPTH = 20
_NAMES_TOLD = 12
_MAX_LENGTH = 1 << 20


class ExpandError(ValueError):
    """A text that cannot be expanded; `position` and `length` say where in it."""

    def __init__(self, message: str, position: int, length: int, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.position = position
        self.length = length
        self.hint = hint


class Expander:
    """Expands texts; `missing` gets the names that nothing sets and that have no default, `used` all that were set."""

    def __init__(self, lookup: Lookup, *, is_strict: bool) -> None:
        self.lookup = lookup
        self.is_strict = is_strict  # whether a "$" that begins no name is an error, as it is to compose
        self.missing: set[str] = set()
        self.used: set[str] = set()

    def __call__(self, text: str) -> str:
        """The text with every reference replaced, `$$` by `$`; ExpandError where one makes no sense."""
        if "$" not in text:
            return text
        expanded, end = self._until(text, 0, "", 0)
        if end != len(text):
            raise AssertionError("an expansion without an end mark goes to the end of its text")
        return expanded

    def _until(self, text: str, position: int, end: str, depth: int) -> tuple[str, int]:
        """What stands between `position` and the first `end`, expanded, and where that is."""
        parts: list[str] = []
        length = 0
        while position < len(text):
            if end and text.startswith(end, position):
                return "".join(parts), position
            if text[position] != "$":
                stops = [found for mark in ("$", *end) if (found := text.find(mark, position)) >= 0]
                stop = min(stops, default=len(text))
                parts.append(text[position:stop])
                position = stop
            else:
                part, position = self._reference(text, position, depth)
                parts.append(part)
            length += len(parts[-1])
            if length > _MAX_LENGTH:
                raise ExpandError("this expands to more than 1 MiB", 0, len(text), "write less")
        if end:
            raise ExpandError("a ${ that is never closed", 0, len(text), 'close it with "}"')
        return "".join(parts), position

    def _reference(self, text: str, start: int, depth: int) -> tuple[str, int]:
        """The value of the reference that begins at `start`, and where it ends."""
        if text.startswith("$$", start):
            return "$", start + 2
        if match := _NAME.match(text, start + 1):
            return self._value(match[0]), match.end()
        if not text.startswith("${", start):
            if self.is_strict:
                raise ExpandError("a $ that begins no name", start, 1, "write $$ for a $ itself")
            return "$", start + 1
        match = _NAME.match(text, start + 2)
        if match is None or depth > _MAX_DEPTH:
            raise ExpandError(
                "not a reference", start, 2, "as in ${NAME} or ${NAME:-default}; $$ for a $ itself"
            )
        name, position = match[0], match.end()
        if text.startswith("}", position):
            return self._value(name), position + 1
        operator = _OPERATOR.match(text, position)
        if operator is None:
            hint = "as in ${NAME} or ${NAME:-default}; $$ for a $ itself"
            raise ExpandError(f"not a reference to {name}", start, position - start + 1, hint)
        word, end = self._until(text, operator.end(), "}", depth + 1)
        return self._modified(name, operator[0], word, start, end + 1), end + 1

    def _modified(self, name: str, operator: str, word: str, start: int, end: int) -> str:
        value = self.lookup(name)
        is_set = bool(value) if operator.startswith(":") else value is not None
        if value is not None:
            self.used.add(name)
        match operator[-1]:
            case "-" | "=":
                return value or "" if is_set else word
            case "+":
                return word if is_set else ""
            case "?":
                if is_set:
                    return value or ""
                hint = f"set {name} in .env, or for this run"
                raise ExpandError(f"{name} is not set: {word or 'it is required'}", start, end - start, hint)
            case "^":
                text = self._value(name)
                return text.upper() if operator == "^^" else text[:1].upper() + text[1:]
            case _:
                text = self._value(name)
                return text.lower() if operator == ",," else text[:1].lower() + text[1:]

    def _value(self, name: str) -> str:
        value = self.lookup(name)
        if value is None:
            self.missing.add(name)
            return ""
        self.used.add(name)
        return value


def expand_tree(node: Node, expander: Expander, problems: Diagnostics, code: str) -> Node:
    """The tree with its texts expanded; keys stay as they are. What cannot be expanded is an error.

    One warning names all that is not set and has no default.
    """
    missing: dict[str, Span] = {}
    expanded = _expanded(node, expander, missing, problems, code)
    if missing:
        names = sorted(missing)
        shown = ", ".join(names[:_NAMES_TOLD])
        shown += f" and {len(names) - _NAMES_TOLD} more" if len(names) > _NAMES_TOLD else ""
        several = len(names) > 1
        message = f"{shown} {'are' if several else 'is'} not set, and so empty here"
        hint = f"set {'them' if several else 'it'} in .env or for this run; $$ is a $ for the program itself"
        problems.warning(next(iter(missing.values())), message, code=f"{code}-variable", hint=hint)
    return expanded


def _expanded(
    node: Node, expander: Expander, missing: dict[str, Span], problems: Diagnostics, code: str
) -> Node:
    match node.value:
        case str() as text if "$" in text:
            expander.missing.clear()
            try:
                value = expander(text)
            except ExpandError as error:
                span = node.span
                line = span.source.line(span.line)[span.column - 1 :] if span.line else ""
                offset = line.find(text[error.position : error.position + error.length])
                place = span.part(offset, error.length) if offset >= 0 and "\n" not in text else span
                problems.error(place, error.message, code=f"{code}-variable", hint=error.hint)
                return node
            for name in expander.missing:
                missing.setdefault(name, node.span)
            return node.with_value(value)
        case dict() as entries:
            tables = {
                key: _expanded(item, expander, missing, problems, code) for key, item in entries.items()
            }
            return node.with_value(tables)
        case list() as items:
            found = [_expanded(item, expander, missing, problems, code) for item in items]
            return node.with_value(found)
        case _:
            return node
