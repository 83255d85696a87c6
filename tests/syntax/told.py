"""What a parser says, as text: the tests state diagnostics whole."""

from __future__ import annotations

from pm_native.errors import Diagnostics, Source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pm_native.errors import Span
    from pm_native.syntax.node import Node


def lines(problems: Diagnostics) -> list[tuple[str, str]]:
    """Each diagnostic as `line:column-end severity code: message`, and its hint."""
    return [
        (
            f"{item.span.line}:{item.span.column}-{item.span.end} {item.severity} {item.code}: {item.message}",
            item.hint,
        )
        for item in problems
    ]


def refusal(parse: Callable[[Source, Diagnostics], Node | None], text: str) -> list[tuple[str, str]]:
    """What the parser says of a text that it refuses."""
    problems = Diagnostics()
    assert parse(Source("f", text), problems) is None
    assert problems.has_errors
    return lines(problems)


def tree(parse: Callable[[Source, Diagnostics], Node | None], text: str) -> Node:
    """The tree of a text that the parser takes without a word."""
    problems = Diagnostics()
    node = parse(Source("f", text), problems)
    assert lines(problems) == []
    assert node is not None
    return node


def written(span: Span) -> str:
    """The text at a span."""
    return span.source.line(span.line)[span.column - 1 : span.end - 1]


def places(node: Node, path: str = "") -> dict[str, tuple[str, str]]:
    """Per key path what is written where the node points to: `line:text` of its key and of its value."""
    key = f"{node.key_span.line}:{written(node.key_span)}" if node.key_span else ""
    found = {path: (key, f"{node.span.line}:{written(node.span)}")}
    if isinstance(node.value, dict):
        for name, item in node.value.items():
            found |= places(item, f"{path}.{name}" if path else name)
    elif isinstance(node.value, list):
        for at, item in enumerate(node.value):
            found |= places(item, f"{path}[{at}]")
    return found
