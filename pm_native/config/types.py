"""The types that config values can have: each decodes a node, says what it wants, and gives its JSON Schema."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Protocol

from pm_native.errors import did_you_mean
from pm_native.model.calendar import CalendarError, check_calendar, is_cron, translate_cron
from pm_native.model.names import NAME_PATTERN, NAME_RULE, is_name, is_variable, nearest_name
from pm_native.model.project import Variable
from pm_native.model.quantity import (
    QuantityError,
    parse_duration,
    parse_percent,
    parse_period,
    parse_share,
    parse_signal,
    parse_size,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from enum import StrEnum

    from pm_native.errors import Diagnostics, Span
    from pm_native.syntax.node import Node

Schema = dict[str, object]


class ValueType(Protocol):
    """One type of config value."""

    @property
    def words(self) -> str:
        """What is wanted, as an error message and the reference say it: `a duration such as "30s"`."""

    def decode(self, node: Node, problems: Diagnostics) -> object | None:
        """The value, or None after adding at least one diagnostic."""

    def schema(self) -> Schema:
        """The JSON Schema of the values that `decode` takes."""


def within(node: Node, position: int, length: int) -> Span:
    """The place of a part of a string value; of the whole value where quoting or escapes hide the part."""
    text = node.value
    span = node.span
    if not isinstance(text, str) or not span.line:
        return span
    line = span.source.line(span.line)
    for opening in (1, 0):
        start = span.column - 1 + opening
        if line[start : start + len(text)] == text:
            return span.part(opening + position, max(length, 1))
    return span


def as_written(node: Node) -> str:
    """A number or boolean as its author wrote it, `1.10` and `no`; its value where the place is unknown."""
    span = node.span
    written = span.source.line(span.line)[span.column - 1 : span.end - 1] if span.line else ""
    return written or str(node.value).lower()


def has_nul(node: Node, problems: Diagnostics) -> bool:
    """Whether the string has a NUL character, which is added as an error: no program and no path can have one."""
    if isinstance(node.value, str) and "\0" in node.value:
        problems.error(node.span, "a NUL character has no place here", code="nul-character")
        return True
    return False


def wrong_type(node: Node, wanted: str, problems: Diagnostics) -> None:
    """Add the diagnostic for a value of another type than `wanted`."""
    problems.error(node.span, f"expected {wanted}, found {node.kind}", code="wrong-type")


@dataclass(frozen=True, slots=True)
class Text:
    """Any string that is not empty, unless `may_be_empty`."""

    words: str = "a string"
    may_be_empty: bool = False

    def decode(self, node: Node, problems: Diagnostics) -> str | None:
        """The string itself."""
        if not isinstance(node.value, str):
            wrong_type(node, self.words, problems)
            return None
        if not node.value and not self.may_be_empty:
            problems.error(node.span, f"expected {self.words}, found an empty string", code="empty-value")
            return None
        return None if has_nul(node, problems) else node.value

    def schema(self) -> Schema:
        """A string of at least one character."""
        return {"type": "string"} if self.may_be_empty else {"type": "string", "minLength": 1}


@dataclass(frozen=True, slots=True)
class Name:
    """A name that can become part of a unit name."""

    words: str = "a name"

    def decode(self, node: Node, problems: Diagnostics) -> str | None:
        """The name itself."""
        if not isinstance(node.value, str):
            wrong_type(node, self.words, problems)
            return None
        if not is_name(node.value):
            name_problem(node.value, node.span, problems)
            return None
        return node.value

    def schema(self) -> Schema:
        """A string of the pattern of names."""
        return {"type": "string", "pattern": f"^{NAME_PATTERN}$", "maxLength": 100}


def name_problem(name: str, span: Span, problems: Diagnostics) -> None:
    """Add the diagnostic for a name that no unit can have."""
    problems.error(
        span, f"not a valid name: {name!r}", code="bad-name", hint=f"{NAME_RULE}; try {nearest_name(name)!r}"
    )


@dataclass(frozen=True, slots=True)
class Flag:
    """True or false."""

    words: str = "true or false"

    def decode(self, node: Node, problems: Diagnostics) -> bool | None:
        """The boolean itself."""
        if not isinstance(node.value, bool):
            wrong_type(node, self.words, problems)
            return None
        return node.value

    def schema(self) -> Schema:
        """A boolean."""
        return {"type": "boolean"}


@dataclass(frozen=True, slots=True)
class Integer:
    """A whole number between bounds, which belong to it."""

    low: int = 0
    high: int = 2**31 - 1

    @property
    def words(self) -> str:
        """The bounds, where they mean something."""
        return (
            f"a whole number from {self.low} to {self.high}" if self.high < 2**31 - 1 else "a whole number"
        )

    def decode(self, node: Node, problems: Diagnostics) -> int | None:
        """The number itself."""
        if not isinstance(node.value, int) or isinstance(node.value, bool):
            wrong_type(node, self.words, problems)
            return None
        if not self.low <= node.value <= self.high:
            hint = f"from {self.low} to {self.high}"
            problems.error(node.span, f"out of range: {node.value}", code="out-of-range", hint=hint)
            return None
        return node.value

    def schema(self) -> Schema:
        """An integer within the bounds."""
        return {"type": "integer", "minimum": self.low, "maximum": self.high}


@dataclass(frozen=True, slots=True)
class Quantity:
    """A quantity in systemd's notation; `parse` gives the number that the model keeps."""

    parse: Callable[[str], int | str]
    words: str
    numbers: bool = False  # whether a bare number is taken, as systemd takes it
    above_zero: str = ""  # the hint for a zero where none is taken

    def decode(self, node: Node, problems: Diagnostics) -> int | str | None:
        """The parsed quantity."""
        value = node.value
        if self.numbers and isinstance(value, int | float) and not isinstance(value, bool):
            value = str(value)
        if not isinstance(value, str):
            wrong_type(node, self.words, problems)
            return None
        try:
            parsed = self.parse(value)
        except QuantityError as error:
            place = within(node, error.position, error.length)
            problems.error(place, error.message, code="bad-quantity", hint=error.hint)
            return None
        if parsed == 0 and self.above_zero:
            problems.error(node.span, f"out of range: {value}", code="out-of-range", hint=self.above_zero)
            return None
        return parsed

    def schema(self) -> Schema:
        """A string, and a number where one is taken."""
        return {"type": ["string", "number"] if self.numbers else "string"}


DURATION = Quantity(parse_duration, 'a duration such as "30s" or "1min 30s"', numbers=True)
LIMITED = replace(DURATION, above_zero='more than 0; "infinity" is no limit')
PERIOD = replace(DURATION, parse=parse_period)
POSITIVE_PERIOD = replace(PERIOD, above_zero="more than 0")
SIZE = Quantity(parse_size, 'a size such as "512M" or "2G"', numbers=True, above_zero="more than 0")
PERCENT = Quantity(parse_percent, 'a share of one CPU such as "150%"', above_zero="more than 0%")
SHARE = Quantity(parse_share, 'a share such as "10%"')
SIGNAL = Quantity(parse_signal, 'a signal such as "SIGTERM"')


@dataclass(frozen=True, slots=True)
class Choice:
    """One of the words of an enum."""

    options: type[StrEnum]
    wanted: str = ""

    @property
    def words(self) -> str:
        """The words themselves, if nothing else is said."""
        return self.wanted or "one of " + ", ".join(f'"{option.value}"' for option in self.options)

    def decode(self, node: Node, problems: Diagnostics) -> StrEnum | None:
        """The member of the enum."""
        if not isinstance(node.value, str):
            wrong_type(node, self.words, problems)
            return None
        try:
            return self.options(node.value)
        except ValueError:
            options = [option.value for option in self.options]
            hint = did_you_mean(node.value, options) or self.words
            problems.error(node.span, f"unknown value {node.value!r}", code="unknown-value", hint=hint)
            return None

    def schema(self) -> Schema:
        """The enum."""
        return {"enum": [option.value for option in self.options]}


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list of values of one type, or just one of them."""

    item: ValueType
    words: str

    def decode(self, node: Node, problems: Diagnostics) -> tuple[object, ...] | None:
        """The values in order."""
        nodes = node.value if isinstance(node.value, list) else [node]
        decoded = [self.item.decode(item, problems) for item in nodes]
        return None if None in decoded else tuple(decoded)

    def schema(self) -> Schema:
        """One value or an array of them."""
        return {"anyOf": [self.item.schema(), {"type": "array", "items": self.item.schema()}]}


@dataclass(frozen=True, slots=True)
class Calendar:
    """A point in time that comes again: OnCalendar= of systemd.timer(5), or a cron expression."""

    words: str = 'a schedule such as "*-*-* 03:00:00", "Mon..Fri 09:00" or "0 3 * * *"'

    def decode(self, node: Node, problems: Diagnostics) -> tuple[str, ...] | None:
        """The OnCalendar= values that fire at these times."""
        if not isinstance(node.value, str):
            wrong_type(node, self.words, problems)
            return None
        try:
            return translate_cron(node.value) if is_cron(node.value) else (check_calendar(node.value),)
        except CalendarError as error:
            place = within(node, error.position, error.length)
            problems.error(place, error.message, code="bad-schedule", hint=error.hint)
            return None

    def schema(self) -> Schema:
        """A string: the grammar is beyond a pattern."""
        return {"type": "string", "minLength": 1}


@dataclass(frozen=True, slots=True)
class Command:
    """A program with its arguments: one string or a list of strings."""

    words: str = "a command: a string, or a list of strings"

    def decode(self, node: Node, problems: Diagnostics) -> str | tuple[str, ...] | None:
        """The string, or the words of the list; splitting a string is the caller's work."""
        match node.value:
            case str(text):
                if text.strip():
                    return None if has_nul(node, problems) else text
                problems.error(node.span, "an empty command", code="empty-value")
                return None
            case list(items) if items:
                return self._words(items, problems)
            case list():
                problems.error(node.span, "an empty command", code="empty-value")
                return None
            case _:
                wrong_type(node, self.words, problems)
                return None

    @staticmethod
    def _words(items: list[Node], problems: Diagnostics) -> tuple[str, ...] | None:
        words: list[str] = []
        for item in items:
            if not isinstance(item.value, str):
                wrong_type(item, "a string", problems)
            elif not has_nul(item, problems):
                words.append(item.value)
        if words and items[0].value == "":
            problems.error(items[0].span, "an empty command", code="empty-value")
        return tuple(words) if len(words) == len(items) and words[0] else None

    def schema(self) -> Schema:
        """A string or an array of strings."""
        words = {"type": "array", "minItems": 1, "items": {"type": "string"}}
        return {"anyOf": [{"type": "string", "minLength": 1}, words]}


@dataclass(frozen=True, slots=True)
class Pattern:
    """A regular expression of Python's."""

    words: str = "a regular expression"

    def decode(self, node: Node, problems: Diagnostics) -> str | None:
        """The expression, which compiles."""
        if Text(self.words).decode(node, problems) is None or not isinstance(node.value, str):
            return None
        try:
            re.compile(node.value)
        except (re.error, RecursionError, OverflowError) as error:
            message = f"not a regular expression: {error}"
            problems.error(
                node.span, message, code="bad-pattern", hint="a backslash before a character means itself"
            )
            return None
        return node.value

    def schema(self) -> Schema:
        """A string."""
        return {"type": "string", "minLength": 1}


@dataclass(frozen=True, slots=True)
class HttpStatus:
    """A range of statuses of HTTP: `"200-299"`."""

    words: str = 'a range such as "200-299"'

    def decode(self, node: Node, problems: Diagnostics) -> tuple[int, int] | None:
        """The bounds, which belong to it."""
        match = re.fullmatch(r"([1-5][0-9]{2})(?:-([1-5][0-9]{2}))?", str(node.value))
        if match is None or int(match[1]) > int(match[2] or match[1]):
            message = f"not a range of statuses: {node.value!r}"
            problems.error(node.span, message, code="bad-status", hint='such as "200-299"')
            return None
        return int(match[1]), int(match[2] or match[1])

    def schema(self) -> Schema:
        """A string of two statuses."""
        return {"type": "string", "pattern": "^[1-5][0-9]{2}(-[1-5][0-9]{2})?$"}


@dataclass(frozen=True, slots=True)
class Environment:
    """Environment variables: names to strings; numbers and booleans are taken as they are written."""

    words: str = "a table of environment variables"

    def decode(self, node: Node, problems: Diagnostics) -> dict[str, Variable] | None:
        """The variables by name."""
        if not isinstance(node.value, dict):
            wrong_type(node, self.words, problems)
            return None
        found: dict[str, Variable] = {}
        for name, item in node.value.items():
            if not is_variable(name):
                problems.error(
                    item.key,
                    f"not a name of an environment variable: {name!r}",
                    code="bad-variable-name",
                    hint='letters, digits and "_", and no digit first',
                )
                continue
            match item.value:
                case str(text):
                    if not has_nul(item, problems):
                        found[name] = Variable(value=text, span=item.span)
                case bool() | int() | float():
                    found[name] = Variable(value=as_written(item), span=item.span)
                case _:
                    wrong_type(item, "a string", problems)
        return found

    def schema(self) -> Schema:
        """An object of strings, numbers and booleans."""
        return {
            "type": "object",
            "propertyNames": {"pattern": "^[A-Za-z_][A-Za-z0-9_]*$"},
            "additionalProperties": {"type": ["string", "number", "boolean"]},
        }


@dataclass(frozen=True, slots=True)
class Either:
    """The first of several types that takes the value by its kind: a string for one, a number for another."""

    by_kind: tuple[tuple[type, ValueType], ...]
    words: str

    def decode(self, node: Node, problems: Diagnostics) -> object | None:
        """What the matching type makes of it."""
        for kind, value_type in self.by_kind:
            if isinstance(node.value, kind) and not (kind is int and isinstance(node.value, bool)):
                return value_type.decode(node, problems)
        wrong_type(node, self.words, problems)
        return None

    def schema(self) -> Schema:
        """Any of the types."""
        return {"anyOf": [value_type.schema() for _, value_type in self.by_kind]}
