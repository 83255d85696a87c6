from __future__ import annotations

import math
import tomllib
from datetime import UTC, date, datetime, time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pm_native.errors import Diagnostics, Source
from pm_native.syntax.places import MAX_DEPTH
from pm_native.syntax.toml import parse_toml
from tests.syntax.told import places, refusal, tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pm_native.syntax.node import Node

EVERYTHING = """\
name = "shop"  # a comment
"quoted key" = 'C:\\path'
[process.api]
command = ["node", "server.js"]
  listen.port = 3_000
listen.share = true
restart = { policy = "always", "delay" = "500ms" }
long = \"\"\"
  two
lines\"\"\"
many = [
  1, # one
  [2, 3],
]
[[process.jobs]]
at = 1979-05-27 07:32:00Z
[[process.jobs]]
at = 07:32:00
[process.jobs.more]
x = 0x1F
[process]
y = 1e5
"""


def test_every_kind_of_value_stands_where_it_is_written() -> None:
    node = tree(parse_toml, EVERYTHING)
    assert node.plain() == tomllib.loads(EVERYTHING)
    assert places(node) == {
        "": ("", "0:"),
        "name": ("1:name", '1:"shop"'),
        "quoted key": ('2:"quoted key"', "2:'C:\\path'"),
        "process": ("21:process", "21:[process]"),
        "process.api": ("3:api", "3:[process.api]"),
        "process.api.command": ("4:command", '4:["node", "server.js"]'),
        "process.api.command[0]": ("", '4:"node"'),
        "process.api.command[1]": ("", '4:"server.js"'),
        "process.api.listen": ("5:listen", "5:listen"),
        "process.api.listen.port": ("5:port", "5:3_000"),
        "process.api.listen.share": ("6:share", "6:true"),
        "process.api.restart": ("7:restart", '7:{ policy = "always", "delay" = "500ms" }'),
        "process.api.restart.policy": ("7:policy", '7:"always"'),
        "process.api.restart.delay": ('7:"delay"', '7:"500ms"'),
        "process.api.long": ("8:long", '8:"""'),
        "process.api.many": ("11:many", "11:["),
        "process.api.many[0]": ("", "12:1"),
        "process.api.many[1]": ("", "13:[2, 3]"),
        "process.api.many[1][0]": ("", "13:2"),
        "process.api.many[1][1]": ("", "13:3"),
        "process.jobs": ("15:jobs", "15:[[process.jobs]]"),
        "process.jobs[0]": ("", "15:[[process.jobs]]"),
        "process.jobs[0].at": ("16:at", "16:1979-05-27 07:32:00Z"),
        "process.jobs[1]": ("", "17:[[process.jobs]]"),
        "process.jobs[1].at": ("18:at", "18:07:32:00"),
        "process.jobs[1].more": ("19:more", "19:[process.jobs.more]"),
        "process.jobs[1].more.x": ("20:x", "20:0x1F"),
        "process.y": ("22:y", "22:1e5"),
    }


def test_windows_line_ends_and_a_byte_order_mark_change_no_place() -> None:
    node = tree(parse_toml, "\ufeff" + EVERYTHING.replace("\n", "\r\n"))
    plain = places(tree(parse_toml, EVERYTHING))
    assert node.plain() == tomllib.loads(EVERYTHING)
    assert places(node) == plain


@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        (
            "a = node server.js # x\n",
            "1:5-9 error toml-syntax: node is no TOML value",
            'put text in quotes: "node server.js"',
        ),
        (
            "a: 1\n",
            "1:2-3 error toml-syntax: expected '=' after the key, not ':'",
            "TOML writes key = value",
        ),
        (
            "a b = 1\n",
            "1:3-4 error toml-syntax: expected '=' after the key",
            "TOML writes key = value; a key with spaces is quoted",
        ),
        ("a = 1\na = 2\n", "2:1-2 error duplicate-key: a is defined twice", "it is defined at f:1:1"),
        ("[a]\nb=1\n[c]\n[a]\n", "4:2-3 error duplicate-key: a is defined twice", "it is defined at f:1:2"),
        ("[[a]]\n[a]\n", "2:2-3 error duplicate-key: a is defined twice", "it is defined at f:1:3"),
        ("[x.y]\nk = 1\nk = 2", "3:1-2 error duplicate-key: k is defined twice", "it is defined at f:2:1"),
        (
            "a = [ {x=1, x=2} ]\n",
            "1:13-14 error duplicate-key: x is defined twice",
            "it is defined at f:1:8",
        ),
        (
            "a=1\na.b=2\n",
            "2:1-4 error duplicate-key: a is a value already and takes no more keys",
            "it is defined at f:1:1",
        ),
        (
            "a = {b=1}\n[a.c]\n",
            "2:2-5 error duplicate-key: a is a table already and takes no more keys",
            "it is defined at f:1:1",
        ),
        (
            "a = [1, 2\nb = 3\n",
            "2:1-2 error toml-syntax: expected ',' or ']' in the list",
            "the list begins at f:1:5",
        ),
        ("a = [1, 2", "1:5-6 error toml-syntax: this [ is never closed", ""),
        ('a = """x\ny', "1:5-6 error toml-syntax: this quote is never closed", ""),
        (
            'a = "x\nb = 1',
            "1:5-7 error toml-syntax: this string is not closed on its line",
            'close the quote, or use """ for a text of several lines',
        ),
        (
            "a = 'x\nb = 'y'",
            "1:5-7 error toml-syntax: this string is not closed on its line",
            'close the quote, or use """ for a text of several lines',
        ),
        (
            'a = "C:\\x"\n',
            "1:8-10 error toml-syntax: this is no escape that TOML knows",
            "write \\\\ for a backslash, or put the string in single quotes",
        ),
        (
            'a="\\ud800"',
            "1:4-6 error toml-syntax: this escape is no Unicode character",
            "write the character itself",
        ),
        ("a = Yes\n", "1:5-8 error toml-syntax: Yes is no TOML value", 'write true, or "Yes" for the text'),
        ("a = False\n", "1:5-10 error toml-syntax: False is no TOML value", "write false"),
        (
            "a = null\n",
            "1:5-9 error toml-syntax: null is no TOML value",
            "TOML has no null: leave the key out",
        ),
        ("a =\n", "1:4-5 error toml-syntax: expected a value", 'an empty text is written ""'),
        (
            "a = 5s\n",
            "1:6-7 error toml-syntax: expected the end of the line after the value",
            'put text in quotes: "5s"',
        ),
        (
            "a = 1 b = 2\n",
            "1:7-8 error toml-syntax: expected the end of the line after the value",
            "each key = value stands on a line of its own",
        ),
        ("// x\n", "1:1-3 error toml-syntax: this is no TOML comment", "a comment begins with #"),
        (
            '{"a": 1}',
            "1:1-6 error toml-syntax: expected a key or a [table]",
            "is this JSON? TOML writes key = value",
        ),
        (
            "[a\n",
            "1:3-4 error toml-syntax: expected ']' at the end of the header",
            "a header is [name], of a list of tables [[name]]",
        ),
        (
            "a = {b = 1\n}\n",
            "1:11-12 error toml-syntax: a table in braces ends on its line",
            "use a [table] header for a longer one",
        ),
        (
            'a = "\x01"\n',
            "1:6-7 error control-character: control character U+0001",
            "in a string in double quotes write it as \\u and four hex digits",
        ),
        (
            'a = "\ud800"\n',
            "1:6-7 error lone-surrogate: U+D800 is half of a surrogate pair and no character",
            "write the character itself",
        ),
        (
            "ok = 2\na = " + "1" * 5000,
            "2:5-5005 error toml-syntax: this number has too many digits",
            "put it in quotes if it is a text",
        ),
        ("a." * 70 + "a=1", "1:129-130 error too-deep: nested more than 64 levels deep", ""),
        ("a=" + "[" * 100_000, "1:67-68 error too-deep: nested more than 64 levels deep", ""),
        ("a=" + "{a=" * 100_000, "1:195-196 error too-deep: nested more than 64 levels deep", ""),
    ],
)
def test_mistake_is_told_with_its_place_and_a_way_out(text: str, said: str, hint: str) -> None:
    assert refusal(parse_toml, text) == [(said, hint)]


def test_deepest_tree_can_be_walked() -> None:
    text = "a = " + "[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1)
    assert tree(parse_toml, text).plain() == tomllib.loads(text)


def test_a_long_dotted_key_is_refused_at_once() -> None:
    # tomllib takes minutes for it: its time grows with the square of the length.
    assert refusal(parse_toml, "a." * 200_000 + "a = 1") == [
        ("1:129-130 error too-deep: nested more than 64 levels deep", "")
    ]


# Random documents: what is written, tomllib's reading of it and ours must agree.

SCALARS = st.one_of(
    st.integers(-(2**63), 2**63 - 1).map(str),
    st.sampled_from(
        ["0x1F", "0o17", "0b11", "1_000", "+7", "-0", "inf", "-nan", "1e5", "6.5E-3", "1_0.0_1"]
    ),
    st.floats(allow_nan=False, allow_infinity=False).map(
        lambda value: repr(float(value)).replace("e+", "e")
    ),
    st.booleans().map(lambda value: str(value).lower()),
    st.sampled_from(
        [
            date(1979, 5, 27).isoformat(),
            time(7, 32, 1, 500).isoformat(),
            datetime(1979, 5, 27, 7, 32, tzinfo=UTC).isoformat(),
            "1979-05-27 07:32:00.25",
            "1979-05-27t07:32:00z",
        ]
    ),
)
CHARACTERS = st.characters(blacklist_categories=["Cs", "Cc"])
PIECES = st.lists(
    st.one_of(
        st.text(CHARACTERS, max_size=6),
        st.sampled_from(["#", "=", "]", "}", ",", "[a]", "'", '"', "\\", "\t", "\n", "a = 1\n", "''", '""']),
    ),
    max_size=6,
).map("".join)


def basic(text: str) -> str:
    escapes = {'"': '\\"', "\\": "\\\\", "\n": "\\n"}
    return '"' + "".join(escapes.get(character, character) for character in text) + '"'


def literal(text: str) -> str:
    return "'" + text.replace("'", "").replace("\n", "") + "'"


def long_basic(text: str) -> str:
    return (
        '"""' + text.replace("\\", "\\\\").replace('"', '\\"', 1).replace('"""', '""\\"') + ' \\\n  end"""'
    )


def long_literal(text: str) -> str:
    return "'''\n" + text.replace("'", "") + "''x'''"


STRINGS = st.builds(
    lambda form, text: form(text), st.sampled_from([basic, literal, long_basic, long_literal]), PIECES
)
BARE_KEYS = st.text("abcxyz-_019", min_size=1, max_size=3)
KEYS = st.one_of(BARE_KEYS, PIECES.map(basic), PIECES.map(literal))
DOTTED = st.lists(KEYS, min_size=1, max_size=3).map(" . ".join)
SPACE = st.sampled_from(["", " ", "\n", " # x ] } \n", "\r\n\t"])


def lists(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.builds(
        lambda items, space, end: "[" + space + f"{space},{space}".join(items) + end + "]",
        st.lists(values, max_size=3),
        SPACE,
        SPACE,
    )


def tables(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pairs = st.builds(lambda key, value: f"{key} = {value}", DOTTED, values)
    return st.lists(pairs, max_size=3).map(lambda items: "{ " + " , ".join(items) + " }")


VALUES = st.recursive(
    st.one_of(SCALARS, STRINGS), lambda inner: st.one_of(lists(inner), tables(inner)), max_leaves=5
)
STATEMENTS = st.one_of(
    st.builds(
        lambda key, value, end: f"{key} = {value}{end}", DOTTED, VALUES, st.sampled_from(["", " # x"])
    ),
    DOTTED.map(lambda key: f"[{key}]"),
    DOTTED.map(lambda key: f"[[ {key} ]] # x"),
    st.sampled_from(["", "# comment = 1", "  "]),
)
DOCUMENTS = st.builds(
    lambda statements, line_end: line_end.join(statements),
    st.lists(STATEMENTS, max_size=8),
    st.sampled_from(["\n", "\r\n", "\n\n  "]),
)


def same(left: object, right: object) -> bool:
    """Equal, of one type, nan equal to nan, and keys in one order."""
    if isinstance(left, dict) and isinstance(right, dict):
        return list(left) == list(right) and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, float) and isinstance(right, float) and math.isnan(left):
        return math.isnan(right)
    return type(left) is type(right) and left == right


def rereads(node: Node) -> bool:
    """Whether the text that begins at the node's place is its value: of several lines as many as it takes."""
    lines = node.span.source.text.split("\n")[node.span.line - 1 :]
    first = lines[0][node.span.column - 1 : node.span.end - 1]
    candidates = [first]
    text = lines[0][node.span.column - 1 :]
    for line in lines[1:]:
        text += "\n"
        candidates += [text + line[:end] for end in range(len(line) + 1)]
        text += line
    for candidate in candidates:
        try:
            value = tomllib.loads(f"k = {candidate}")["k"]
        except tomllib.TOMLDecodeError:
            continue
        if same(value, node.plain()):
            return True
    return False


def leaves(node: Node) -> list[Node]:
    if isinstance(node.value, dict):
        return [leaf for item in node.value.values() for leaf in leaves(item)]
    if isinstance(node.value, list):
        return [leaf for item in node.value for leaf in leaves(item)]
    return [node]


@settings(max_examples=150, deadline=None)
@given(DOCUMENTS)
def test_values_are_those_of_tomllib_and_each_place_rereads_to_its_value(text: str) -> None:
    problems = Diagnostics()
    node = parse_toml(Source("f", text), problems)
    try:
        expected = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        assert node is None
        assert [item.severity for item in problems] == ["error"]
        return
    assert node is not None
    assert not list(problems)
    assert same(node.plain(), expected)
    for leaf in leaves(node):
        assert leaf.span.line > 0
        assert rereads(leaf), leaf.span


@settings(max_examples=150, deadline=None)
@given(
    st.one_of(
        st.text(max_size=60),
        st.text("ab=[]{}.,\"'\\# \n\r\t01:-_\ufeff\ud800", max_size=40),
        st.builds(lambda text, at: text[:at] + text[at + 1 :], st.just(EVERYTHING), st.integers(0, 400)),
    )
)
def test_no_text_makes_it_raise(text: str) -> None:
    problems = Diagnostics()
    node = parse_toml(Source("f", text), problems)
    assert (node is None) == problems.has_errors
