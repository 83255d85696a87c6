from __future__ import annotations

from datetime import UTC, date, datetime
from itertools import pairwise

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pm_native.errors import Diagnostics, Source
from pm_native.syntax.places import MAX_DEPTH
from pm_native.syntax.yaml import parse_yaml
from tests.syntax.told import places, refusal, tree


@pytest.fixture(params=["libyaml", "pure"])
def parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both of PyYAML's parsers: which one a host has is not ours to choose."""
    if request.param == "pure":
        monkeypatch.delattr(yaml, "CSafeLoader", raising=False)
    elif not hasattr(yaml, "CSafeLoader"):
        pytest.skip("this PyYAML was built without libyaml")


pytestmark = pytest.mark.usefixtures("parser")

TEXT = """\
# a comment
name: shop   # another
defaults: &defaults {user: www, env: {A: "1"}}
process:
  api:
    <<: *defaults
    user: 'api'
    command: [node, "server.js"]
    text: |
      two
      lines
  jobs:
  - at: 1
  -  two
  none:
on: *defaults
"""


def test_every_value_stands_where_it_is_written() -> None:
    node = tree(parse_yaml, TEXT)
    defaults = {"user": "www", "env": {"A": "1"}}
    assert node.plain() == {
        "name": "shop",
        "defaults": defaults,
        "process": {
            "api": {**defaults, "user": "api", "command": ["node", "server.js"], "text": "two\nlines\n"},
            "jobs": [{"at": 1}, "two"],
            "none": None,
        },
        "on": defaults,
    }
    found = places(node)
    assert {path: found[path] for path in found if not path.startswith("on.")} == {
        "": ("", "2:name: shop   # another"),
        "name": ("2:name", "2:shop"),
        "defaults": ("3:defaults", '3:&defaults {user: www, env: {A: "1"}}'),
        "defaults.user": ("3:user", "3:www"),
        "defaults.env": ("3:env", '3:{A: "1"}'),
        "defaults.env.A": ("3:A", '3:"1"'),
        "process": ("4:process", "5:api:"),
        "process.api": ("5:api", "6:<<: *defaults"),
        "process.api.user": ("7:user", "7:'api'"),
        "process.api.env": ("3:env", '3:{A: "1"}'),
        "process.api.env.A": ("3:A", '3:"1"'),
        "process.api.command": ("8:command", '8:[node, "server.js"]'),
        "process.api.command[0]": ("", "8:node"),
        "process.api.command[1]": ("", '8:"server.js"'),
        "process.api.text": ("9:text", "9:|"),
        "process.jobs": ("12:jobs", "13:- at: 1"),
        "process.jobs[0]": ("", "13:at: 1"),
        "process.jobs[0].at": ("13:at", "13:1"),
        "process.jobs[1]": ("", "14:two"),
        "process.none": ("15:none", "15:"),
        "on": ("16:on", '3:&defaults {user: www, env: {A: "1"}}'),
    }


def test_windows_line_ends_and_a_byte_order_mark_change_no_place() -> None:
    node = tree(parse_yaml, "\ufeff" + TEXT.replace("\n", "\r\n"))
    expected = places(tree(parse_yaml, TEXT))
    found = places(node)
    assert node.plain() == tree(parse_yaml, TEXT).plain()
    # The last value is nothing at all, so its place is where the line ends.
    assert {path: found[path] for path in found if path != "process.none"} == {
        path: expected[path] for path in expected if path != "process.none"
    }


def test_scalars_are_those_of_yaml_1_1() -> None:
    text = """\
[yes, Off, ~, null, 0x1F, 0b11, 010, 1_000, 1:30, 1.5, .inf, 1e5, 2024-01-02, 2001-12-14T21:59:43Z,
 'yes', !!str 1, !!float 3, "1", =, <<, !!int 7]
"""
    assert tree(parse_yaml, text).plain() == [
        *(True, False, None, None, 31, 3, 8, 1000, 90, 1.5, float("inf"), "1e5"),
        *(date(2024, 1, 2), datetime(2001, 12, 14, 21, 59, 43, tzinfo=UTC)),
        *("yes", "1", 3.0, "1", "=", "<<", 7),
    ]


def test_keys_are_texts_as_they_are_written() -> None:
    text = 'on: 1\n2: a\nyes: b\n~: c\n0x10: d\n1.50: e\n2024-01-02: f\n"q": g\n&k k: h\nx: {*k : i}\n'
    node = tree(parse_yaml, text)
    assert isinstance(node.value, dict)
    assert list(node.value) == ["on", "2", "yes", "~", "0x10", "1.50", "2024-01-02", "q", "k", "x"]
    assert list(node.value["x"].value) == ["k"]  # type: ignore[arg-type] # a dict


def test_merged_keys_stand_behind_those_of_the_table_and_of_earlier_anchors() -> None:
    text = "a: &a {x: 1, y: 1, z: 1}\nb: &b {y: 2, z: 2}\nc:\n  z: 3\n  <<: [*b, *a]\nd: {'<<': 1}\n"
    node = tree(parse_yaml, text)
    assert isinstance(node.value, dict)
    assert node.value["c"].plain() == {"x": 1, "y": 2, "z": 3}
    assert node.value["d"].plain() == {"<<": 1}
    assert places(node.value["c"])["y"] == ("2:y", "2:2")


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "~\n", "\n\n"])
def test_a_text_without_a_value_is_nothing(text: str) -> None:
    assert tree(parse_yaml, text).plain() is None


@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        ("a: 1\na: 2\n", "2:1-2 error duplicate-key: a is defined twice", "it is defined at f:1:1"),
        ('1: a\n"1": b\n', "2:1-4 error duplicate-key: 1 is defined twice", "it is defined at f:1:1"),
        (
            "<<: {a: 1}\n<<: {b: 1}\n",
            "2:1-3 error duplicate-key: << is defined twice",
            "it is defined at f:1:1",
        ),
        (
            "a: *no\n",
            "1:4-7 error yaml-alias: there is no anchor &no",
            "an anchor is set before it is used: &no; a text that begins with * is put in quotes",
        ),
        ("a: &x [*x]\n", "1:8-10 error yaml-alias: *x stands inside of &x", ""),
        (
            "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
            + "".join(
                f"{new}: &{new} [{','.join([f'*{old}'] * 10)}]\n" for old, new in pairwise("abcdefghij")
            ),
            "5:29-31 error yaml-alias: the aliases stand for more than 100000 values",
            "write out what is meant",
        ),
        (
            "a: &a {"
            + ", ".join(f"k{at}: 1" for at in range(1000))
            + "}\n"
            + "".join(f"m{at}: {{<<: *a}}\n" for at in range(1000)),
            "51:11-13 error yaml-alias: the aliases stand for more than 100000 values",
            "write out what is meant",
        ),
        (
            "--- a\n--- b\n",
            "2:1-4 error yaml-multiple-documents: a second YAML document begins here",
            "split the file: pm-native reads one document",
        ),
        (
            "a: !!python/object/apply:os.system [x]\n",
            "1:4-35 error yaml-tag: the tag !!python/object/apply:os.system is not read",
            "take the tag out: only texts, numbers, booleans, dates, lists and tables are read",
        ),
        (
            "a: !Ref x\n",
            "1:4-8 error yaml-tag: the tag !Ref is not read",
            "take the tag out: only texts, numbers, booleans, dates, lists and tables are read",
        ),
        (
            "!<foo> x",
            "1:1-7 error yaml-tag: the tag !<foo> is not read",
            "take the tag out: only texts, numbers, booleans, dates, lists and tables are read",
        ),
        (
            "a: !!binary aGk=\n",
            "1:4-12 error yaml-tag: the tag !!binary is not read",
            "take the tag out: only texts, numbers, booleans, dates, lists and tables are read",
        ),
        (
            "a: !!set {b}\n",
            "1:4-9 error yaml-tag: the tag !!set is not read",
            "take the tag out: only texts, numbers, booleans, dates, lists and tables are read",
        ),
        (
            "!!python/name:os.system : 1\n",
            "1:1-24 error yaml-tag: the tag !!python/name:os.system is not read",
            "take the tag out: only texts, numbers, booleans, dates, lists and tables are read",
        ),
        ("[" * 500, "1:65-66 error too-deep: nested more than 64 levels deep", ""),
        ("- " * 100_000, "1:129-130 error too-deep: nested more than 64 levels deep", ""),
        ("{a: " * 100_000, "1:257-258 error too-deep: nested more than 64 levels deep", ""),
        (
            "{? [a] : b}",
            "1:4-5 error yaml-key: a key that is a list or a table",
            "a key is a text; is this {{ }} of a template? put it in quotes",
        ),
        (
            "a: {{ x }}\n",
            "1:5-6 error yaml-key: a key that is a list or a table",
            "a key is a text; is this {{ }} of a template? put it in quotes",
        ),
        (
            "a: b: c\n",
            "1:5-6 error yaml-syntax: a ':' where no key can be",
            'put a text with ": " in it in quotes; keys of one table begin in the same column',
        ),
        ("a:\n\t- b\n", "2:1-2 error yaml-syntax: a tab indents this line", "YAML is indented with spaces"),
        ("a: @x\n", "1:4-5 error yaml-syntax: a text cannot begin with '@'", "put the text in quotes"),
        ("a: `x`\n", "1:4-5 error yaml-syntax: a text cannot begin with '`'", "put the text in quotes"),
        ("a: %x\n", "1:4-5 error yaml-syntax: a text cannot begin with '%'", "put the text in quotes"),
        ('a: "x\nb: 1\n', "1:4-5 error yaml-syntax: this quote is never closed", ""),
        ("a: 'x\n", "1:4-5 error yaml-syntax: this quote is never closed", ""),
        ("a: [1, 2\nb: 3\n", "2:2-3 error yaml-syntax: expected ',' or ']'", "the list begins at f:1:4"),
        ("a: {b: 1\nc: d\n", "2:2-3 error yaml-syntax: expected ',' or '}'", "the table begins at f:1:4"),
        (
            "a:\n  b: 1\n c: 2\n",
            "3:2-3 error yaml-syntax: this line fits nowhere",
            "the keys of one table, the items of one list begin in the same column",
        ),
        (
            "a: 1\n- b\n",
            "2:1-2 error yaml-syntax: this line fits nowhere",
            "the keys of one table, the items of one list begin in the same column",
        ),
        (
            "a\nb: 1\n",
            "2:2-3 error yaml-syntax: a ':' where no key can be",
            'put a text with ": " in it in quotes; keys of one table begin in the same column',
        ),
        (
            'a: "\\q"\n',
            "1:5-6 error yaml-syntax: this is no escape that YAML knows",
            "write \\\\ for a backslash, or put the text in single quotes",
        ),
        (
            'a: "\\xzz"\n',
            "1:5-6 error yaml-syntax: this is no escape that YAML knows",
            "write \\\\ for a backslash, or put the text in single quotes",
        ),
        (
            "a: 2024-13-45\n",
            "1:4-14 error yaml-syntax: this is no timestamp that YAML knows",
            "put it in quotes if it is a text",
        ),
        (
            "a: !!int x\n",
            "1:4-11 error yaml-syntax: this is no int that YAML knows",
            "put it in quotes if it is a text",
        ),
        (
            "a: !!null x\n",
            "1:4-12 error yaml-syntax: this is no null that YAML knows",
            "put it in quotes if it is a text",
        ),
        (
            "a: " + "1" * 5000,
            "1:4-5004 error yaml-syntax: this is no int that YAML knows",
            "put it in quotes if it is a text",
        ),
        (
            "a: \x01\n",
            "1:4-5 error control-character: control character U+0001",
            'write it as an escape in double quotes: "\\u0001"',
        ),
        (
            "a: \ud800\n",
            "1:4-5 error lone-surrogate: U+D800 is half of a surrogate pair and no character",
            "write the character itself",
        ),
        (
            "<<: 1\n",
            "1:5-6 error yaml-merge: << takes a table or a list of tables, not a number",
            "write <<: *ANCHOR",
        ),
        ("a: b\n...\nc: d\n", "3:1-2 error yaml-syntax: expected the end of the document", ""),
        ("\ufeffa: 1\na: 2\n", "2:1-2 error duplicate-key: a is defined twice", "it is defined at f:1:2"),
        ("a: 1\r\n\r\na: 2\r\n", "3:1-2 error duplicate-key: a is defined twice", "it is defined at f:1:1"),
        ('a: "x\u2028y"\na: 2\n', "2:1-2 error duplicate-key: a is defined twice", "it is defined at f:1:1"),
    ],
)
def test_mistake_is_told_with_its_place_and_a_way_out(text: str, said: str, hint: str) -> None:
    assert refusal(parse_yaml, text) == [(said, hint)]


def test_nesting_beyond_what_the_library_itself_takes_is_too_deep_wherever_it_notices() -> None:
    ((said, hint),) = refusal(parse_yaml, "[" * 100_000)
    assert (said.partition(" ")[2], hint) == ("error too-deep: nested more than 64 levels deep", "")


@pytest.mark.parametrize("text", ['a: "\\ud800"', 'a: "\\U00110000"', "%YAML 3.0\n--- a"])
def test_what_the_two_parsers_call_by_different_names_is_refused_by_both(text: str) -> None:
    assert refusal(parse_yaml, text)


def test_every_key_that_is_defined_twice_is_told() -> None:
    assert refusal(parse_yaml, "a: 1\nb: {c: 1, c: 2}\na: 2\n") == [
        ("2:11-12 error duplicate-key: c is defined twice", "it is defined at f:2:5"),
        ("3:1-2 error duplicate-key: a is defined twice", "it is defined at f:1:1"),
    ]


def test_deepest_tree_can_be_walked() -> None:
    text = "[" * MAX_DEPTH + "]" * MAX_DEPTH
    assert tree(parse_yaml, text).plain() == yaml.safe_load(text)


FUZZ = st.one_of(
    st.text(max_size=60),
    st.text("ab:-?&*!|>%@[]{},'\"\\# \n\r\t0<~\ufeff\ud800\x85", max_size=40),
    st.lists(
        st.sampled_from(
            [
                "a: ",
                "- ",
                "&x ",
                "*x",
                "<<: ",
                "? ",
                "|\n",
                "!!int ",
                "!!set ",
                "\n  ",
                "\n",
                "1:1",
                "[",
                "]",
                "--- ",
            ]
        ),
        max_size=12,
    ).map("".join),
    st.builds(lambda at: TEXT[:at] + TEXT[at + 1 :], st.integers(0, len(TEXT))),
)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(FUZZ)
def test_no_text_makes_it_raise(text: str) -> None:
    problems = Diagnostics()
    node = parse_yaml(Source("f", text), problems)
    assert (node is None) == problems.has_errors
    if node is not None:
        node.plain()


JSON_LIKE = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(st.characters(blacklist_categories=["Cs"]))),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text("abc", min_size=1), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(value=JSON_LIKE, flow=st.booleans())
def test_what_yaml_dumps_comes_back(*, value: object, flow: bool) -> None:
    assert tree(parse_yaml, yaml.safe_dump(value, default_flow_style=flow)).plain() == value


def test_tags_of_the_format_are_kept_with_what_they_stand_on() -> None:
    problems = Diagnostics()
    text = "a: !drop\nb: !keep 7\nc: !keep '7'\nd: &d !keep [1]\ne: *d\nf: {g: !drop {h: 1}}\n"
    node = parse_yaml(Source("shop.yaml", text), problems, tags=frozenset({"!drop", "!keep"}))
    assert not problems.items
    assert node is not None
    assert isinstance(node.value, dict)
    assert node.plain() == {"a": None, "b": 7, "c": "7", "d": [1], "e": [1], "f": {"g": {"h": 1}}}
    assert [(key, item.tag) for key, item in node.value.items()] == [
        ("a", "!drop"), ("b", "!keep"), ("c", "!keep"), ("d", "!keep"), ("e", "!keep"), ("f", ""),
    ]  # fmt: skip
    assert isinstance(node.value["f"].value, dict)
    assert node.value["f"].value["g"].tag == "!drop"


def test_other_tags_stay_errors_beside_those_of_the_format() -> None:
    problems = Diagnostics()
    assert parse_yaml(Source("shop.yaml", "a: !other 1\n"), problems, tags=frozenset({"!keep"})) is None
    assert [item.message for item in problems] == ["the tag !other is not read"]


def test_place_of_a_scalar_begins_behind_its_anchor_and_tag() -> None:
    node = parse_yaml(
        Source("shop.yaml", "a: &a no\nb: &b !!str 'x'\nc: &c\n  word\nd: &d\n"), Diagnostics()
    )
    assert node is not None
    assert isinstance(node.value, dict)
    found = [(item.span.line, item.span.column, item.span.end) for item in node.value.values()]
    assert found == [(1, 7, 9), (2, 13, 16), (4, 3, 7), (5, 4, 6)]
