from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pm_native.errors import Diagnostics, Source
from pm_native.syntax.json import parse_json, parse_json5
from pm_native.syntax.places import MAX_DEPTH
from tests.syntax.told import lines, places, refusal, tree

TEXT = """\
{
  "name": "shop",
  "apps": [{"n": -1.5e3, "on": true}, []],
  "none": null
}
"""
TEXT5 = """\
// PM2 writes such files
{
  apps: [{ script: 'it\\'s.js', instances: +2, mode: 0x1F, },], /* two
  lines */ "half": .5, $x: 5., long: 'a\\
b', "e": "\\x41\\u00e9\\v\\q",
}
"""


def test_every_value_stands_where_it_is_written() -> None:
    node = tree(parse_json, TEXT)
    assert node.plain() == json.loads(TEXT)
    assert places(node) == {
        "": ("", "1:{"),
        "name": ('2:"name"', '2:"shop"'),
        "apps": ('3:"apps"', '3:[{"n": -1.5e3, "on": true}, []]'),
        "apps[0]": ("", '3:{"n": -1.5e3, "on": true}'),
        "apps[0].n": ('3:"n"', "3:-1.5e3"),
        "apps[0].on": ('3:"on"', "3:true"),
        "apps[1]": ("", "3:[]"),
        "none": ('4:"none"', "4:null"),
    }


def test_json5_takes_what_people_write() -> None:
    node = tree(parse_json5, TEXT5)
    assert node.plain() == {
        "apps": [{"script": "it's.js", "instances": 2, "mode": 31}],
        "half": 0.5,
        "$x": 5.0,
        "long": "ab",
        "e": "A\u00e9\vq",
    }
    assert places(node)["apps[0].mode"] == ("3:mode", "3:0x1F")
    assert places(node)["long"] == ("4:long", "4:'a\\")


def test_a_byte_order_mark_is_let_pass() -> None:
    assert tree(parse_json, "\ufeff" + TEXT).plain() == json.loads(TEXT)
    assert tree(parse_json5, "\ufeff" + TEXT).plain() == json.loads(TEXT)


def test_a_pair_of_surrogates_is_one_character() -> None:
    assert tree(parse_json, r'["\ud83d\ude00"]').plain() == ["\U0001f600"]


@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        ("", "1:1-2 error json-syntax: expected a value, and the file ends", ""),
        ("{", "1:1-2 error json-syntax: this { is never closed", ""),
        (
            '{"a": 1,}',
            "1:8-9 error json-syntax: a comma before the closing }",
            "JSON allows none: take it out",
        ),
        ("[1,]", "1:3-4 error json-syntax: a comma before the closing ]", "JSON allows none: take it out"),
        ("{'a': 1}", "1:2-5 error json-syntax: a string in single quotes", "JSON has double quotes only"),
        ("{a: 1}", "1:2-3 error json-syntax: a key without quotes", 'write "a"'),
        ('{"a" 1}', "1:6-7 error json-syntax: expected ':' after the key", ""),
        ('{"a"=1}', "1:5-6 error json-syntax: expected ':' after the key", 'JSON writes "key": value'),
        ('{"a":}', "1:6-7 error json-syntax: expected a value, not '}'", ""),
        ('{"a": True}', "1:7-11 error json-syntax: True is no JSON value", "write true"),
        ('{"a": web}', "1:7-10 error json-syntax: web is no JSON value", 'put text in quotes: "web"'),
        ("[1 2]", "1:4-5 error json-syntax: expected ',' or ']'", "the list begins at f:1:1"),
        ('{"a":1\n "b":2}', "2:2-5 error json-syntax: expected ',' or '}'", "the object begins at f:1:1"),
        (
            "[01]",
            "1:2-4 error json-syntax: 01 is no JSON number",
            'a number has no zero in front; if it is a text (a file mode), put it in quotes: "01"',
        ),
        ("[0x10]", "1:2-6 error json-syntax: 0x10 is no JSON number", ""),
        ("[+1]", "1:2-4 error json-syntax: +1 is no JSON number", "write 1"),
        ("[1e999]", "1:2-7 error json-syntax: this number is too large", "put it in quotes if it is a text"),
        (
            "[NaN]",
            "1:2-5 error json-syntax: NaN is no JSON value",
            "leave the key out where there is no limit",
        ),
        (
            "[-Infinity]",
            "1:2-11 error json-syntax: -Infinity is no JSON number",
            "leave the key out where there is no limit",
        ),
        (
            '["\\ud800"]',
            "1:3-9 error lone-surrogate: U+D800 is half of a surrogate pair and no character",
            "write the character itself",
        ),
        (
            '["\ud800"]',
            "1:3-4 error lone-surrogate: U+D800 is half of a surrogate pair and no character",
            "write the character itself",
        ),
        (
            '["\\x41"]',
            "1:3-5 error json-syntax: this is no escape that JSON knows",
            "write \\\\ for a backslash; \\u takes four hex digits",
        ),
        (
            '["a\nb"]',
            "1:2-4 error json-syntax: this string is not closed on its line",
            "close the quote; \\n stands for a new line in a string",
        ),
        ('["a\tb"]', "1:4-5 error control-character: control character U+0009", "write \\t"),
        ('["\x1b"]', "1:3-4 error control-character: control character U+001B", "write \\u001b"),
        (
            '["abc',
            "1:2-6 error json-syntax: this string is not closed on its line",
            "close the quote; \\n stands for a new line in a string",
        ),
        ("// x\n{}", "1:1-5 error json-syntax: a comment", "JSON has none: take it out"),
        ("{} // x", "1:4-8 error json-syntax: a comment", "JSON has none: take it out"),
        ("{}{}", "1:3-4 error json-syntax: expected the end of the file after the value", ""),
        ("[1,,2]", "1:4-5 error json-syntax: expected a value, not ','", ""),
        (
            '"\\u12"',
            "1:2-4 error json-syntax: this is no escape that JSON knows",
            "write \\\\ for a backslash; \\u takes four hex digits",
        ),
        ('{"a":1,\n"a":2}', "2:1-4 error duplicate-key: a is defined twice", "it is defined at f:1:2"),
        ("[" * 100_000, "1:65-66 error too-deep: nested more than 64 levels deep", ""),
        ('{"a":' * 100_000, "1:321-322 error too-deep: nested more than 64 levels deep", ""),
        (
            "[10.0.0.1]",
            "1:2-10 error json-syntax: 10.0.0.1 is no JSON number",
            'put text in quotes: "10.0.0.1"',
        ),
        ("[5s]", "1:2-4 error json-syntax: 5s is no JSON number", 'put text in quotes: "5s"'),
        ("# x\n{}", "1:1-4 error json-syntax: a comment", "JSON has none: take it out"),
        ('{"a":1]', "1:7-8 error json-syntax: expected ',' or '}'", "the object begins at f:1:1"),
        ("{1:2}", "1:2-3 error json-syntax: expected a key in quotes", ""),
        (
            "1" * 5000,
            "1:1-5001 error json-syntax: this number has too many digits",
            "put it in quotes if it is a text",
        ),
        ("\ufeff[x]", "1:3-4 error json-syntax: x is no JSON value", 'put text in quotes: "x"'),
    ],
)
def test_mistake_is_told_with_its_place_and_a_way_out(text: str, said: str, hint: str) -> None:
    assert refusal(parse_json, text) == [(said, hint)]


@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        ("/* x", "1:1-3 error json-syntax: this comment is never closed", "it is closed by */"),
        ("# x", "1:1-4 error json-syntax: this is no JSON5 comment", "a comment begins with // or /*"),
        (
            "[Infinity]",
            "1:2-10 error json-syntax: Infinity is no JSON5 value",
            "leave the key out where there is no limit",
        ),
        (
            "[-NaN]",
            "1:2-6 error json-syntax: -NaN is no JSON5 number",
            "leave the key out where there is no limit",
        ),
        (
            '["\\1"]',
            "1:3-5 error json-syntax: this is no escape that JSON5 knows",
            "write \\\\ for a backslash; \\u takes four hex digits",
        ),
        (
            '["a\nb"]',
            "1:2-4 error json-syntax: this string is not closed on its line",
            "close the quote; \\n stands for a new line in a string",
        ),
        ('["\x01"]', "1:3-4 error control-character: control character U+0001", "write \\u0001"),
        ("{a}", "1:3-4 error json-syntax: expected ':' after the key", ""),
        ("{1:2}", "1:2-3 error json-syntax: expected a key", ""),
        ("[1_000]", "1:2-7 error json-syntax: 1_000 is no JSON5 number", ""),
        ("{a:1 b:2}", "1:6-7 error json-syntax: expected ',' or '}'", "the object begins at f:1:1"),
        ("[,]", "1:2-3 error json-syntax: expected a value, not ','", ""),
        (
            "'x",
            "1:1-3 error json-syntax: this string is not closed on its line",
            "close the quote; \\n stands for a new line in a string",
        ),
    ],
)
def test_mistake_in_json5_is_told_too(text: str, said: str, hint: str) -> None:
    assert refusal(parse_json5, text) == [(said, hint)]


def test_every_key_that_is_defined_twice_is_told() -> None:
    assert refusal(parse_json, '{"a": 1, "a": 2, "b": {"c": 1, "c": 2}, "a": 3}') == [
        ("1:10-13 error duplicate-key: a is defined twice", "it is defined at f:1:2"),
        ("1:32-35 error duplicate-key: c is defined twice", "it is defined at f:1:24"),
        ("1:41-44 error duplicate-key: a is defined twice", "it is defined at f:1:2"),
    ]


def test_of_a_key_that_occurs_twice_in_json5_the_last_counts() -> None:
    problems = Diagnostics()
    node = parse_json5(Source("f", "{a: 1, 'a': 2}"), problems)
    assert node is not None
    assert node.plain() == {"a": 2}
    assert lines(problems) == [
        ("1:8-11 warning duplicate-key: a is defined twice", "it is defined at f:1:2; the last one counts")
    ]


def test_deepest_tree_can_be_walked() -> None:
    text = "[" * MAX_DEPTH + "]" * MAX_DEPTH
    assert tree(parse_json, text).plain() == json.loads(text)


CHARACTERS = st.characters(blacklist_categories=["Cs"])
JSON = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(CHARACTERS),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.text(CHARACTERS, max_size=4), inner, max_size=4),
    ),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(value=JSON, ascii_only=st.booleans(), indent=st.sampled_from([None, 1, "\t"]))
def test_what_json_dumps_writes_comes_back(
    *, value: object, ascii_only: bool, indent: int | str | None
) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    assert json.dumps(tree(parse_json, text).plain()) == json.dumps(value)
    assert json.dumps(tree(parse_json5, text).plain()) == json.dumps(value)


@settings(max_examples=200, deadline=None)
@given(
    st.one_of(
        st.text(max_size=60),
        st.text("ab{}[]:,\"'\\/*# \n\r\t01.-+eExu\ufeff\ud800", max_size=40),
        st.builds(lambda at: TEXT[:at] + TEXT[at + 1 :], st.integers(0, len(TEXT))),
    )
)
def test_no_text_makes_it_raise_and_json_loads_agrees(text: str) -> None:
    problems, problems5 = Diagnostics(), Diagnostics()
    node = parse_json(Source("f", text), problems)
    assert (node is None) == problems.has_errors
    assert (parse_json5(Source("f", text), problems5) is None) == problems5.has_errors
    if node is not None:
        assert json.dumps(node.plain()) == json.dumps(json.loads(text.removeprefix("\ufeff")))


def test_what_json_loads_takes_is_taken() -> None:
    for text in (
        "0",
        "-0",
        "1e5",
        "1E+5",
        "1.5e-3",
        ' "x" ',
        "[ ]",
        "{ }",
        "\r\n[\t1 ]",
        r'"\/\b\f"',
        '"\x7f"',
    ):
        assert repr(tree(parse_json, text).plain()) == repr(json.loads(text))
