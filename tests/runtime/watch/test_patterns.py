"""Patterns of watched files: against examples, and against a model that tries every way."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pm_native.runtime.watch.patterns import ALWAYS_IGNORED, Pattern, Selection, absolute, literal, translate

BASE = "/srv/shop"


def selection(*patterns: str, ignore: tuple[str, ...] = ()) -> Selection:
    return Selection(BASE, patterns, ignore)


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("src/**", ["src/a.js", "src/lib/a.js", "src/.env"], ["src", "lib/a.js", "srcs/a.js"]),
        ("src", ["src", "src/a.js", "src/lib/a.js"], ["srcs", "lib/src"]),
        ("src/", ["src/a.js"], ["lib/a.js"]),
        (".", ["a.js", "src/lib/a.js"], ["../a.js", "../shop2/a.js"]),
        ("**/*.js", ["a.js", "src/a.js", "src/lib/a.js"], ["a.jsx", "js"]),
        ("src/**/*.js", ["src/a.js", "src/lib/x/a.js"], ["a.js", "src/a.ts"]),
        ("*.js", ["a.js", ".js"], ["src/a.js", "a.jss"]),
        ("src/*/index.js", ["src/a/index.js"], ["src/index.js", "src/a/b/index.js"]),
        ("a?c", ["abc", "a?c"], ["ac", "a/c"]),
        ("[a-c]x", ["ax", "cx"], ["dx", "x", "[a-c]x"]),
        ("[!a-c]x", ["dx", "]x"], ["ax", "/x"]),
        ("[]x]y", ["]y", "xy"], ["y"]),
        ("[z-a]x", ["[z-a]x"], ["zx"]),
        ("[ax", ["[ax"], ["a"]),
        ("*.{js,css}", ["a.js", "a.css"], ["a.ts", "a.{js,css}"]),
        ("{src,lib/x}/*.js", ["src/a.js", "lib/x/a.js"], ["lib/a.js"]),
        ("a.{js", ["a.{js"], ["a.js"]),
        ("a,b}", ["a,b}"], ["a"]),
        ("../shared/**", ["../shared/a.js"], ["shared/a.js"]),
        ("/etc/shop/*.conf", ["/etc/shop/a.conf"], ["etc/shop/a.conf"]),
        ("a+b(c).js", ["a+b(c).js"], ["aab(c).js"]),
        ("**", ["a.js", "src/a.js"], ["../a.js"]),
        ("src/***/x", ["src/a/x", "src/abc/x"], ["src/x", "src/a/b/x"]),
    ],
)
def test_pattern_means(pattern: str, yes: list[str], no: list[str]) -> None:
    chosen = selection(pattern)
    assert [path for path in (*yes, *no) if chosen.wants(absolute(BASE, path))] == yes


def test_ignored_are_names_anywhere_and_paths_from_the_folder_on() -> None:
    chosen = selection(".", ignore=("dist", "src/gen/**", "*.bak", "cache/", "./top.js"))
    paths = (
        *(
            "src/a.js",
            "dist/a.js",
            "src/dist/a.js",
            "src/gen/a.js",
            "lib/src/gen/a.js",
            "a.bak",
            "src/a.bak/b.js",
        ),
        *("cache/x", "src/cache/x", "top.js", "src/top.js"),
    )
    assert [path for path in paths if chosen.wants(f"{BASE}/{path}")] == [
        "src/a.js",
        "lib/src/gen/a.js",
        "src/top.js",
    ]


def test_always_ignored_is_what_tools_write_by_themselves() -> None:
    chosen = selection("**")
    written = (
        "x.pyc",
        "x.log",
        "x.pid",
        "x.sock",
        "x.tmp",
        ".x.swp",
        ".x.swx",
        "x~",
        ".#x",
        "#x#",
        ".x.un~",
    )
    tools = tuple(name for name in ALWAYS_IGNORED if not re.search(r"[*#?]", name))
    assert [name for name in (*written, *tools) if chosen.wants(f"{BASE}/src/{name}")] == []
    assert [name for name in tools if chosen.holds(f"{BASE}/src/{name}")] == []
    assert chosen.wants(f"{BASE}/src/.env")


def test_what_a_pattern_names_is_not_ignored_by_its_name() -> None:
    chosen = selection("node_modules/mine/**", "run.log", "src")
    assert chosen.wants(f"{BASE}/node_modules/mine/a.js")
    assert chosen.wants(f"{BASE}/run.log")
    assert not chosen.wants(f"{BASE}/node_modules/mine/node_modules/a.js")
    assert not chosen.wants(f"{BASE}/src/run.log")


def test_characters_of_patterns_may_be_in_a_path() -> None:
    base = "/srv/[a] *{b}?"
    chosen = Selection(base, ["src/*.js", "[[]x].js"], ["./gen"])
    assert chosen.roots == [f"{base}/[x].js", f"{base}/src"]
    assert [
        path for path in ("src/a.js", "[x].js", "x.js", "gen/a.js") if chosen.wants(f"{base}/{path}")
    ] == [
        "src/a.js",
        "[x].js",
    ]


@given(st.text("ab[]*?{},!", min_size=1, max_size=8))
def test_literal_pattern_means_its_path_alone(name: str) -> None:
    pattern = Pattern(literal(f"/{name}"))
    assert pattern.root == f"/{name}"
    assert pattern.matches(f"/{name}")
    assert not pattern.matches(f"/{name}a")
    assert not pattern.matches(f"/a{name}")


def test_folder_of_the_project_may_be_within_an_ignored_name() -> None:
    chosen = Selection("/home/ada/.venv/shop", ["**"])
    assert chosen.wants("/home/ada/.venv/shop/a.py")


@pytest.mark.parametrize(
    ("pattern", "holds", "holds_not"),
    [
        ("src/**", ["", "src", "src/a", "src/a/b", "/srv", "/"], ["lib", "/srv/other", "/etc", "src/.git"]),
        ("src/*.js", ["", "src"], ["src/a", "lib"]),
        ("src/*/x.js", ["src", "src/a"], ["src/a/b"]),
        ("src/*/*/x.js", ["src/a/b"], ["src/a/b/c"]),
        ("src/app.js", ["src", "src/app.js", "src/app.js/a"], ["src/a"]),
        ("{a,b/c}/x", ["", "a", "b", "b/c"], ["b/c/d"]),
        ("/", ["/", "/etc", "src"], []),
    ],
)
def test_folders_that_can_hold_a_match(pattern: str, holds: list[str], holds_not: list[str]) -> None:
    chosen = selection(pattern)
    assert [path for path in (*holds, *holds_not) if chosen.holds(absolute(BASE, path))] == holds


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("src/./a/../b//c/", "/srv/shop/src/b/c"),
        ("../x", "/srv/x"),
        ("../../../../x", "/x"),
        ("/a/**/**/b", "/a/**/b"),
        ("", "/srv/shop"),
        ("/", "/"),
    ],
)
def test_patterns_are_absolute_and_plain(text: str, path: str) -> None:
    assert absolute(BASE, text) == path


# The model: a pattern is a list of parts, and a part is matched character by character, every way there is.
PARTS = st.one_of(
    st.just("**"), st.text("ab.*?", min_size=1, max_size=4).filter(lambda text: "**" not in text)
)
PATTERNS = st.lists(PARTS, min_size=1, max_size=4).map("/".join)
PATHS = st.lists(st.text("ab.", min_size=1, max_size=3), min_size=1, max_size=5).map("/".join)


def part_matches(pattern: str, name: str) -> bool:
    if not pattern:
        return not name
    if pattern[0] == "*":
        return part_matches(pattern[1:], name) or (bool(name) and part_matches(pattern, name[1:]))
    return bool(name) and pattern[0] in {"?", name[0]} and part_matches(pattern[1:], name[1:])


def model(pattern: list[str], path: list[str]) -> bool:
    if not pattern:
        return not path
    if pattern[0] == "**":
        if pattern[1:] == []:
            return bool(path)
        return any(model(pattern[1:], path[skip:]) for skip in range(len(path) + 1))
    return bool(path) and part_matches(pattern[0], path[0]) and model(pattern[1:], path[1:])


@given(PATTERNS, PATHS)
def test_patterns_mean_what_the_model_means(pattern: str, path: str) -> None:
    whole = absolute("/", pattern)
    found = re.compile(translate(whole)).fullmatch(f"/{path}") is not None
    assert found == model(whole.strip("/").split("/"), path.split("/"))


@given(PATTERNS, PATHS)
def test_every_folder_above_a_match_can_hold_it(pattern: str, path: str) -> None:
    chosen = Selection("/", [pattern])
    if chosen.wants(f"/{path}"):
        parts = path.split("/")
        assert [
            part for end in range(len(parts)) if not chosen.holds(part := "/" + "/".join(parts[:end]))
        ] == []


@given(st.text(max_size=12), st.text(max_size=12))
def test_no_text_is_too_odd_for_a_pattern(pattern: str, path: str) -> None:
    Selection(BASE, [pattern], [pattern]).wants(absolute(BASE, path))
    plain = re.sub(r"[*?\[\]{},/\\!]", "", pattern).replace(".", "x") or "x"
    assert Pattern(f"/{plain}").matches(f"/{plain}")


@given(st.text("ab*", max_size=20))
def test_stars_in_a_row_are_one(text: str) -> None:
    assert "[^/]*[^/]*" not in translate(f"/x{text}")
