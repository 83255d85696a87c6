"""The object literals of a JavaScript text: which keys stand where. A guess by tokens, good enough to point at."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_TOKEN = re.compile(
    r"""(?P<skip>\s++|//[^\n]*+|/\*[\s\S]*?\*/)
    |(?P<string>"(?:[^"\\\n]|\\[\s\S])*+"|'(?:[^'\\\n]|\\[\s\S])*+'|`(?:[^`\\]|\\[\s\S])*+`)
    |(?P<word>[\w$]++)
    |(?P<spread>\.\.\.)
    |(?P<other>[\s\S])""",
    re.VERBOSE,
)
_REGEX = re.compile(r"/(?![*/])(?:[^/\\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*+\])++/\w*+")
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|([\s\S]))")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v", "0": "\0", "\n": ""}
_BEFORE_REGEX = frozenset("(,=:[!&|?{};+") | {"return"}
_CLOSING = {"{": "}", "[": "]", "(": ")"}


@dataclass(slots=True)
class Token:
    """A word, a string or a character of the text."""

    kind: str
    text: str
    start: int
    end: int


@dataclass(slots=True)
class Value:
    """An expression: `text` of a string or a word that stands alone, the entries of `{}` or the items of `[]`."""

    start: int
    end: int
    text: str | None = None
    opening: str = ""
    entries: dict[str, Entry] = field(default_factory=dict)
    items: list[Value] = field(default_factory=list)


@dataclass(slots=True)
class Entry:
    """One `key: value` of an object literal; the offsets of the key."""

    start: int
    end: int
    value: Value


def tokens(text: str) -> Iterator[Token]:
    """The tokens of a program, white space and comments left out."""
    position, last = 0, ";"
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            return
        if match[0] == "/" and last in _BEFORE_REGEX and (regex := _REGEX.match(text, position)):
            match = regex
        kind = match.lastgroup or "regex"
        if kind != "skip":
            yield Token(kind, match[0], match.start(), match.end())
            last = match[0]
        position = match.end()


def literal(token: Token) -> str | None:
    """What a string or a word says; None for anything else, and for a template with a value in it."""
    if token.kind == "word":
        return token.text
    if token.kind != "string" or (token.text[0] == "`" and "${" in token.text):
        return None
    return _ESCAPE.sub(_unescaped, token.text[1:-1])


def _unescaped(match: re.Match[str]) -> str:
    code = match[1] or match[2]
    return chr(int(code, 16)) if code else _ESCAPES.get(match[3], match[3])


def scan_objects(text: str) -> tuple[list[Value], list[Token]]:
    """All `{}` and `[]` of the text in the order in which they open, and all its tokens."""
    scanner = _Scanner(text)
    scanner.run()
    return scanner.found, scanner.tokens


class _Scanner:
    """Walks over the tokens; `stack` holds the open brackets, `current` the expression being read in each."""

    def __init__(self, text: str) -> None:
        self.tokens = list(tokens(text))
        self.found: list[Value] = []
        self.stack = [Value(0, len(text), opening="(")]
        self.current: list[Value | None] = [None]

    def run(self) -> None:
        """Read all tokens."""
        index = 0
        while index < len(self.tokens):
            token = self.tokens[index]
            if token.kind != "other":
                index = self.word(token, index)
                continue
            index += 1
            if token.text in _CLOSING:
                self.open(token)
            elif token.text in {"}", "]", ")"}:
                self.close(token)
            elif token.text in {",", ";"}:
                self.current[-1] = None
            else:
                self.go_on(token)

    def open(self, token: Token) -> None:
        """A bracket opens: the value of the key just read, an item, or a part of an expression."""
        value = self.current[-1]
        if value is not None and value.start == token.start:
            value.opening = token.text
        else:
            value = Value(token.start, token.end, opening=token.text)
            if self.current[-1] is None:
                self.begin(value)
        if token.text != "(":
            self.found.append(value)
        self.stack.append(value)
        self.current.append(None)

    def close(self, token: Token) -> None:
        """A bracket closes; one that nothing opened is passed over."""
        if len(self.stack) > 1 and _CLOSING[self.stack[-1].opening] == token.text:
            self.stack.pop().end = token.end
            self.current.pop()
            if (value := self.current[-1]) is not None:
                value.end = token.end

    def begin(self, value: Value) -> None:
        """An expression begins, as an item where it stands in a list."""
        self.current[-1] = value
        if self.stack[-1].opening == "[":
            self.stack[-1].items.append(value)

    def go_on(self, token: Token) -> None:
        """The expression goes on, and so is no plain word or string."""
        value = self.current[-1]
        if value is None:
            self.begin(Value(token.start, token.end))
        else:
            value.text = None
            value.end = token.end

    def word(self, token: Token, index: int) -> int:
        """A word or a string: a key, or a part of an expression. Where to read on."""
        key = literal(token)
        following = self.tokens[index + 1].text if index + 1 < len(self.tokens) else ""
        if self.current[-1] is not None or self.stack[-1].opening != "{":
            if self.current[-1] is None:
                self.begin(Value(token.start, token.end, text=key))
            else:
                self.go_on(token)
            return index + 1
        if key is None or following not in {":", ",", "}"}:
            self.current[-1] = Value(token.start, token.end)
            return index + 1
        if following != ":" or index + 2 >= len(self.tokens):  # a shorthand: { name, script }
            value = Value(token.start, token.end)
            self.stack[-1].entries[key] = Entry(token.start, token.end, value)
            self.current[-1] = value
            return index + 1
        first = self.tokens[index + 2]
        is_open = first.text in _CLOSING and first.kind == "other"
        value = Value(first.start, first.end, text=None if is_open else literal(first))
        self.stack[-1].entries[key] = Entry(token.start, token.end, value)
        self.current[-1] = value
        return index + (2 if is_open else 3)
