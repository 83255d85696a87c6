"""YAML by version 1.2, as Node and Go tools read it: `yes`, `off`, `0755` and `12:30` are what they look like."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import date, time

    from pm_native.syntax.node import Node

_BOOLEANS = frozenset({"true", "True", "TRUE", "false", "False", "FALSE"})
_LEADING_ZERO = re.compile(r"[+-]?0[0-9]{1,15}")
_OCTAL = re.compile(r"([+-]?)0o([0-7]+)")
_EXPONENT = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)[eE][+-]?[0-9]+")


def as_yaml_1_2(node: Node) -> Node:
    """The tree with each scalar as YAML 1.2 has it, where 1.1 makes a boolean, a sexagesimal or octal number of it."""
    match node.value:
        case dict() as entries:
            return node.with_value({key: as_yaml_1_2(item) for key, item in entries.items()})
        case list() as items:
            return node.with_value([as_yaml_1_2(item) for item in items])
        case None:
            return node
        case value:
            written = node.span.source.line(node.span.line)[node.span.column - 1 : node.span.end - 1]
            return node.with_value(_scalar(value, written))


def _scalar(value: bool | float | str | date | time, written: str) -> bool | int | float | str:  # noqa: FBT001 - any scalar
    if isinstance(value, bool):
        return value if written in _BOOLEANS else written
    if isinstance(value, int | float):
        if ":" in written or "_" in written:
            return written
        return int(written) if _LEADING_ZERO.fullmatch(written) else value
    if not isinstance(value, str):
        return written
    if value != written:  # in quotes
        return value
    if match := _OCTAL.fullmatch(value):
        return int(match[1] + match[2], 8)
    if _LEADING_ZERO.fullmatch(value):
        return int(value)
    return float(value) if _EXPONENT.fullmatch(value) else value
