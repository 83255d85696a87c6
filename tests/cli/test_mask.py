"""Secrets in the lines of a config that diagnostics show: each character is a star, each column where it was."""

from __future__ import annotations

import io
from contextlib import redirect_stderr
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pm_native.cli.mask import masked, masked_line, shielded
from pm_native.cli.report import diagnostic_data, full_text, print_diagnostics
from pm_native.cli.style import Style
from pm_native.errors import Diagnostic, Source, Span


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ('API_KEY = "abc"', 'API_KEY = "***"'),
        ('DB_PASSWORD="a\\"b c", x = 1', 'DB_PASSWORD="******", x = 1'),
        (
            "environment = { API_TOKEN = 'abc', HOST = \"h\" }",
            "environment = { API_TOKEN = '***', HOST = \"h\" }",
        ),
        ("  SECRET: abc def, #x", "  SECRET: ***********"),
        ("  SECRET:abc def", "  SECRET:*** def"),
        ('"API_KEY": "abc", "a": 1', '"API_KEY": "***", "a": 1'),
        ("web: API_KEY=abc node server.js", "web: API_KEY=*** node server.js"),
        ('command = "env API_KEY=abc node"', 'command = "env API_KEY=*** node"'),
        ('API_KEY = ["abc", 3]', 'API_KEY = ["***"* *]'),
        ('API_KEY = "never closed', 'API_KEY = "************'),
        ('URL = "postgres://ada:abc@db/x"', 'URL = "postgres://ada:***@db/x"'),
        ('secrets = { DB_PASSWORD = "/etc/shop/db" }', 'secrets = { DB_PASSWORD = "************" }'),
        ('command = "node server.js"', 'command = "node server.js"'),
        ("key = 3", "key = *"),
        ("API_KEY =", "API_KEY ="),
        ("", ""),
    ],
)
def test_value_that_looks_secret_is_not_shown(line: str, shown: str) -> None:
    assert masked(line) == shown


@pytest.mark.parametrize(
    ("text", "number", "shown"),
    [
        ('API_KEY = """\nhunter2 x\n"""\n', 2, "******* *"),
        ('"environment": {"API_KEY":\n "hunter2"}', 2, ' "*******"}'),
        ('{"a":{"API_KEY":\n["hunter2\\q"]}}', 2, '["*********"]}}'),
        ("  API_KEY:\n    - hunter2\n", 2, "    * *******"),
        ("-----KEY\nAPI_KEY: |\n  aGk=\n  aGk=\n", 4, "  ****"),
        ('API_KEY = "x"\n[process.b]\n', 2, "[process.b]"),
        ('API_KEY = "x"\n[process.b]\nnonsense\n', 3, "nonsense"),
        ('API_KEY = "x"\nHOST = "h"\n', 2, 'HOST = "h"'),
        ('HOST = """\nplain\n"""\n', 2, "plain"),
        ("plain\n", 1, "plain"),
    ],
)
def test_line_that_goes_on_with_a_secret_from_above_is_not_shown(text: str, number: int, shown: str) -> None:
    assert masked_line(Source("pm-native.toml", text), number) == shown


def test_message_does_not_say_what_the_line_hides() -> None:
    source = Source("pm-native.toml", "API_KEY = hunter2\nHOST = hunter2\n")
    item = Diagnostic(
        span=Span(source, 1, 11, 18),
        message="hunter2 is no TOML value",
        code="x",
        hint='in quotes: "hunter2"',
    )
    hidden = replace(item, message="*** is no TOML value", hint='in quotes: "***"')
    assert shielded(item) == hidden
    assert diagnostic_data(item) == diagnostic_data(hidden)
    tagged = Source("pm-native.yaml", "API_KEY: !hunter2 x\n")
    assert shielded(
        replace(item, span=Span(tagged, 1, 10, 18), message="the tag !hunter2 is not read")
    ).message == ("the tag !*** is not read")
    elsewhere = replace(item, span=Span(source, 2, 8, 15))
    assert shielded(elsewhere) is elsewhere
    for form, shown in (
        ("concise", "pm-native.toml:1:11: error: *** is no TOML value [x]"),
        ("full", "API_KEY = *******"),
    ):
        said = io.StringIO()
        with redirect_stderr(said):
            print_diagnostics([item], form)
        assert shown in said.getvalue()
        assert "hunter2" not in said.getvalue()


@given(st.text("aKEY_= :\"'\\{}[],;@/\n", max_size=60))
def test_any_line_keeps_its_length(line: str) -> None:
    assert len(masked(line)) == len(line)


def test_diagnostic_shows_the_line_with_its_caret_and_without_its_secret() -> None:
    source = Source("pm-native.toml", '[project]\nAPI_KEY = ["hunter2"]\n')
    item = Diagnostic(
        span=Span(source, 2, 11, 22), message="expected a string, found a list", code="wrong-type"
    )
    assert full_text(item, Style(io.StringIO())) == (
        "pm-native.toml:2:11: error: expected a string, found a list [wrong-type]\n"
        '  2 | API_KEY = ["*******"]\n'
        "    |           ^^^^^^^^^^^"
    )


def test_nesting_has_no_end_that_matters() -> None:
    text = '{"a": ' * 5_000 + '{"db": {"password": "x", "n": 1}}' + "}" * 5_000
    shown = masked(text)
    assert len(shown) == len(text)
    assert shown == text.replace('"x"', '"*"')
