from __future__ import annotations

import subprocess
import sys
from datetime import UTC, date, datetime

import pytest

import pm_native.syntax
from pm_native.errors import Source
from pm_native.syntax.node import Node
from pm_native.syntax.places import Places

HEAVY = {"yaml", "tomllib", "shlex", "json"}


def test_importing_the_package_loads_no_parser() -> None:
    code = "import sys, pm_native.syntax; print(*sys.modules)"
    loaded = subprocess.check_output([sys.executable, "-c", code], text=True).split()
    assert HEAVY & set(loaded) == set()
    assert {name for name in loaded if name.startswith("pm_native.syntax")} == {
        "pm_native.syntax",
        "pm_native.syntax.node",
    }


def test_every_public_name_is_there() -> None:
    assert [name for name in pm_native.syntax.__all__ if not hasattr(pm_native.syntax, name)] == []
    with pytest.raises(AttributeError, match="has no attribute 'parse_xml'"):
        pm_native.syntax.parse_xml  # noqa: B018 - it is the access that raises


def test_node_says_what_it_is_in_the_words_of_a_message() -> None:
    span = Source("f", "").whole()
    values: list[tuple[object, str]] = [
        (None, "nothing"),
        (True, "a boolean"),
        (1, "a number"),
        (1.5, "a number"),
        ("x", "a string"),
        ([], "a list"),
        ({}, "a table"),
        (date(2024, 1, 2), "a date"),
        (datetime(2024, 1, 2, tzinfo=UTC), "a date"),
    ]
    assert [Node(value, span).kind for value, _ in values] == [kind for _, kind in values]  # type: ignore[arg-type]


def test_span_of_several_lines_is_its_first_and_none_is_empty() -> None:
    places = Places(Source("f", "ab\r\ncd\n\nx"))
    spans = [places.span(*offsets) for offsets in ((0, 1), (1, 6), (2, 2), (4, 9), (7, 8), (9, 9))]
    assert [(span.line, span.column, span.end) for span in spans] == [
        (1, 1, 2),
        (1, 2, 3),
        (1, 3, 4),
        (2, 1, 3),
        (3, 1, 2),
        (4, 2, 3),
    ]
    assert places.offset(2, 2) == 5
    assert str(places.last()) == "f:4:1"
