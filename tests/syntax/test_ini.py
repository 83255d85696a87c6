"""INI texts: what each tool reads, and where it stands."""

from __future__ import annotations

from configparser import Error, RawConfigParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pm_native.errors import Diagnostics, Source
from pm_native.syntax.ini import IniDialect, parse_ini
from tests.syntax.told import lines, written

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pm_native.syntax.ini import IniSection

SUPERVISORD = """\
; a comment
[program:web]
command = sh -c "echo a ; echo b" ; cut as supervisord cuts it
Directory: /srv/shop # here, too
environment =
    A="1",
    # a comment in between
    B="2" ; and behind

    C="3"

[program:web]
user=ada
[DEFAULT]
umask = 022
"""
CIRCUS = """\
# a comment
; another
rem one more
[watcher:Web]
Cmd = sh -c "echo a; echo b"
args = --one ; not this
more = a;b ; c
cmd2 =
   one ; kept
   # kept, too
empty = ""
Cmd = the first counts

[env:Web]
PATH : /bin
"""


def read(text: str, dialect: IniDialect) -> tuple[dict[str, IniSection], Diagnostics]:
    problems = Diagnostics()
    return parse_ini(Source("f", text), problems, dialect=dialect), problems


def values(sections: dict[str, IniSection]) -> dict[str, dict[str, str]]:
    return {name: {entry.key: entry.value for entry in section} for name, section in sections.items()}


def test_supervisord_reads_comments_case_and_lines_in_its_own_way() -> None:
    sections, problems = read(SUPERVISORD, IniDialect.SUPERVISORD)
    assert lines(problems) == []
    assert values(sections) == {
        "program:web": {
            "command": 'sh -c "echo a',
            "directory": "/srv/shop",
            "environment": '\nA="1",\nB="2"\n\nC="3"',
            "user": "ada",
            "umask": "022",
        }
    }


def test_circus_reads_comments_case_and_lines_in_its_own_way() -> None:
    sections, problems = read(CIRCUS, IniDialect.CIRCUS)
    assert values(sections) == {
        "watcher:Web": {
            "Cmd": 'sh -c "echo a; echo b"',
            "args": "--one",
            "more": "a;b ; c",
            "cmd2": "\none ; kept\n# kept, too",
            "empty": "",
        },
        "env:Web": {"PATH": "/bin"},
    }
    assert lines(problems) == [
        (
            "12:1-4 warning duplicate-key: Cmd is set twice in one section",
            "it is set at f:5:1; the first one counts",
        )
    ]


def test_every_part_of_a_value_has_its_place() -> None:
    sections, _ = read(SUPERVISORD, IniDialect.SUPERVISORD)
    section = sections["program:web"]
    environment = section.entries["environment"]
    assert written(section.span) == "[program:web]"
    assert written(environment.key_span) == "environment"
    assert (environment.span.line, written(environment.span)) == (6, 'A="1",')
    at = environment.value.index("C")
    assert (environment.part(at, at + 5).line, written(environment.part(at, at + 5))) == (10, 'C="3"')
    assert written(section.entries["directory"].span) == "/srv/shop"


def test_empty_value_is_pointed_at_by_its_key() -> None:
    sections, _ = read("[a]\nkey =\n", IniDialect.CIRCUS)
    assert written(sections["a"].entries["key"].span) == "key"


@pytest.mark.parametrize("dialect", IniDialect)
def test_wrong_lines_are_all_told(dialect: IniDialect) -> None:
    sections, problems = read("one = 1\n[a]\nno entry\n= 2\nkey = 3\n", dialect)
    assert values(sections) == {"a": {"key": "3"}}
    hint = "an entry is `key = value`; what continues a value is indented, a comment begins with ; or #"
    assert lines(problems) == [
        (
            "1:1-8 error ini-line: an entry before the first section",
            "write a section above it, such as [program:web] or [watcher:web]",
        ),
        ("3:1-9 error ini-line: this line is no entry", hint),
        ("4:1-4 error ini-line: this line is no entry", hint),
    ]


def test_second_key_counts_for_supervisord_and_is_told() -> None:
    sections, problems = read("[a]\nkey = 1\nKEY = 2\n", IniDialect.SUPERVISORD)
    assert values(sections) == {"a": {"key": "2"}}
    assert lines(problems) == [
        (
            "3:1-4 warning duplicate-key: key is set twice in one section",
            "it is set at f:2:1; the last one counts",
        )
    ]


def test_surrogate_is_refused() -> None:
    sections, problems = read("[a]\nkey = \ud800\n", IniDialect.CIRCUS)
    assert (sections, [item.code for item in problems]) == ({}, ["lone-surrogate"])


PIECES = st.sampled_from(
    ["[a]", "[b]", "[a", "key", "Key2", "=", ":", ";", "#", " ", "\t", "\n", "\n ", "x", '"', "%", "é"]
)


@settings(max_examples=400, deadline=None)
@given(text=st.lists(PIECES, max_size=30).map("".join))
def test_supervisords_own_parser_reads_the_same(text: str) -> None:
    theirs = RawConfigParser(inline_comment_prefixes=(";", "#"), strict=False)
    ours, problems = read(text, IniDialect.SUPERVISORD)
    try:
        theirs.read_string(text)
    except Error:
        assert problems.has_errors
    else:
        assert not problems.has_errors
        assert values(ours) == {name: dict(theirs.items(name)) for name in theirs.sections()}


@settings(max_examples=200, deadline=None)
@given(
    text=st.lists(PIECES | st.text(max_size=3), max_size=30).map("".join),
    dialect=st.sampled_from(IniDialect),
)
def test_every_place_is_in_the_text(text: str, dialect: IniDialect) -> None:
    sections, problems = read(text, dialect)
    spans = [item.span for item in problems]
    for section in sections.values():
        spans += [section.span, *(span for entry in section for span in (entry.key_span, entry.span))]
    for span in spans:
        assert 1 <= span.line <= text.count("\n") + 1
        assert span.column >= 1
        assert span.end > span.column
