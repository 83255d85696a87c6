"""The tree that every text format becomes: plain values, each with the place it was written at."""

from __future__ import annotations

from datetime import date, datetime, time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pm_native.errors import Span

Scalar = None | bool | int | float | str | date | datetime | time


class Node:
    """One value of a config text: a scalar, a list of nodes or a mapping of nodes, with its place.

    `key_span` is the place of the key that leads to the value; the root and list items have none. `tag` is a YAML tag
    of the format's own (`!reset`), where it has some.
    """

    __slots__ = ("key_span", "span", "tag", "value")

    def __init__(
        self,
        value: Scalar | list[Node] | dict[str, Node],
        span: Span,
        key_span: Span | None = None,
        tag: str = "",
    ) -> None:
        self.value = value
        self.span = span
        self.key_span = key_span
        self.tag = tag

    def with_value(self, value: Scalar | list[Node] | dict[str, Node]) -> Node:
        """Another value in the same place."""
        return Node(value, self.span, self.key_span, self.tag)

    @property
    def key(self) -> Span:
        """Where to point when the key itself is the problem."""
        return self.key_span or self.span

    @property
    def kind(self) -> str:
        """What the value is, in the words of an error message."""
        match self.value:
            case None:
                return "nothing"
            case bool():
                return "a boolean"
            case int() | float():
                return "a number"
            case str():
                return "a string"
            case list():
                return "a list"
            case dict():
                return "a table"
            case _:
                return "a date"

    def plain(self) -> object:
        """The value without places, as `json.loads` would give it."""
        match self.value:
            case list() as items:
                return [item.plain() for item in items]
            case dict() as entries:
                return {key: item.plain() for key, item in entries.items()}
            case scalar:
                return scalar
