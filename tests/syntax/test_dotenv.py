from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pm_native.errors import Diagnostics, Source
from pm_native.syntax.dotenv import Dialect, parse_dotenv
from tests.syntax.dotenv_cases import DIALECTS_SAY, READINGS, SAID
from tests.syntax.told import lines, written

EVERYWHERE = "# made by hand\nA=1\nPORT_2='two words'\n\nURL=postgres://u:p%20@h/db?x=1&y\nQ=\"a b\"\n"


def read(text: str, dialect: Dialect | str) -> tuple[dict[str, object], Diagnostics]:
    problems = Diagnostics()
    found = parse_dotenv(Source("f", text), problems, dialect=Dialect(dialect))
    return {name: node.value for name, node in found.items()}, problems


@pytest.mark.parametrize("dialect", Dialect)
def test_what_all_tools_agree_on_is_read_by_all_without_a_word(dialect: Dialect) -> None:
    values, problems = read(EVERYWHERE, dialect)
    assert lines(problems) == []
    assert values == {"A": "1", "PORT_2": "two words", "URL": "postgres://u:p%20@h/db?x=1&y", "Q": "a b"}


@pytest.mark.parametrize(("text", "readings"), READINGS)
def test_each_tool_reads_its_own_way(
    text: str, readings: dict[str, tuple[dict[str, str], list[str]]]
) -> None:
    found = {}
    for dialect in Dialect:
        values, problems = read(text, dialect)
        found[str(dialect)] = (values, [item.code for item in problems])
    assert found == readings


@pytest.mark.parametrize(("text", "said"), SAID)
def test_what_is_wrong_with_a_line_is_told(text: str, said: list[tuple[str, str]]) -> None:
    assert lines(read(text, Dialect.DOTENV)[1]) == said


@pytest.mark.parametrize(("dialect", "text", "said"), DIALECTS_SAY)
def test_what_a_tool_reads_otherwise_is_told(dialect: str, text: str, said: list[tuple[str, str]]) -> None:
    assert lines(read(text, dialect)[1]) == said


def test_names_and_values_stand_where_they_are_written() -> None:
    text = "export A = two words  # c\nB='x'\nC=\"one\ntwo\"\n D=\n"
    found = parse_dotenv(Source("f", text), Diagnostics(), dialect=Dialect.DOTENV)
    assert {
        name: (str(node.key), written(node.key), str(node.span), written(node.span))
        for name, node in found.items()
    } == {
        "A": ("f:1:8", "A", "f:1:12", "two words"),
        "B": ("f:2:1", "B", "f:2:3", "'x'"),
        "C": ("f:3:1", "C", "f:3:3", '"one'),
        "D": ("f:5:2", "D", "f:5:4", ""),
    }


@pytest.mark.parametrize("dialect", Dialect)
def test_variable_that_no_program_can_be_given_is_refused(dialect: Dialect) -> None:
    longest = 128 * 1024 - len("A=") - 1  # and the NUL that ends it
    assert lines(read("A=" + "x" * longest, dialect)[1]) == []
    values, problems = read("A=" + "é" * (longest // 2) + "é\nB=1\n" + "C=" + "x" * 1_000_000, dialect)
    assert values == {"B": "1"}
    assert [(item.span.line, item.code, item.message, item.hint) for item in problems] == [
        (
            line,
            "env-too-long",
            "more than 128 KiB for one variable",
            "put it in a file and give the program the name of that",
        )
        for line in (1, 3)
    ]


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(Dialect),
    st.one_of(st.text(max_size=60), st.text("AB_1=:'\"\\# \n\r\t;$(){}`x\0\ufeff\ud800", max_size=40)),
)
def test_no_text_makes_it_raise_and_no_name_is_impossible(dialect: Dialect, text: str) -> None:
    values, _ = read(text, dialect)
    assert all(name.isascii() and name.isidentifier() for name in values)
    assert not any("\0" in str(value) for value in values.values())


@settings(max_examples=100, deadline=None)
@given(st.text(st.characters(blacklist_categories=["Cs", "Cc"], blacklist_characters="'"), max_size=20))
def test_no_diagnostic_shows_a_value(secret: str) -> None:
    secret = f"s3cr3t{secret}"
    for dialect in Dialect:
        for form in ("A={}", "A='{}", 'A="{}', "export A={}", "A= {} # c", "A: {}", "B A={}"):
            _, problems = read(form.format(secret), dialect)
            assert not any("s3cr3t" in item.message + item.hint for item in problems)
