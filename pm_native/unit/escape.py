"""Values to the text of unit files and back. The directive decides how; nothing else in pm-native escapes."""

from __future__ import annotations

import re

from pm_native.unit.directive import Escape
from pm_native.unit.file import Specifier

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pm_native.unit.directive import Directive
    from pm_native.unit.file import Setting, Text

# systemd refuses a longer line as a whole (LONG_LINE_MAX).
LINE_MAX = 1024 * 1024

_SAFE_WORD = re.compile(r"[A-Za-z0-9_@+=:,./-]+")
_SPECIAL = re.compile(r'[\x01-\x1f\x7f"\\%]')
_NAMED = {"\n": "\\n", "\t": "\\t", "\r": "\\r", '"': '\\"', "\\": "\\\\", "%": "%%"}
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_PREFIXES = re.compile(r"[-@:+!|]*")
_PERCENT = re.compile(r"%(.?)", re.DOTALL)
_UNNAMED = {named[1]: char for char, named in _NAMED.items() if named[0] == "\\"} | {
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "v": "\v",
    "s": " ",
    "'": "'",
}


class UnrepresentableError(ValueError):
    """A value that no unit file can hold."""


class Rendered(str):
    """Text that is ready for a unit file: `rendered` alone makes it, templates print nothing else."""

    __slots__ = ()


def rendered(setting: Setting) -> Rendered:
    """The text after `Foo=`; UnrepresentableError where systemd could not read it back unchanged."""
    words = setting.words
    match setting.directive.escape:
        case Escape.EXEC:
            text = setting.prefix + " ".join([quote_word(word) for word in words])
        case Escape.WORDS:
            text = " ".join([quote_word(word) for word in words])
        case Escape.NAMES:
            text = " ".join([_line_of(word) for word in words])
        case Escape.TEXT:
            text = "".join([_line_of(word) for word in words])
        case Escape.RAW:
            text = "".join([_checked_line(word) for word in words if isinstance(word, str)])
    if len(text) > LINE_MAX // 4 and len(text.encode()) >= LINE_MAX - len(setting.directive.name) - 1:
        raise UnrepresentableError("longer than the longest line that systemd reads (1 MiB)")
    return Rendered(text)


def quote_word(word: Text) -> str:
    """One word as systemd's unquoting gives it back, in quotes where it needs them."""
    if isinstance(word, str):
        if _SAFE_WORD.fullmatch(word):
            return word
        return f'"{_quoted(word)}"'
    return (
        '"'
        + "".join(f"%{part.letter}" if isinstance(part, Specifier) else _quoted(part) for part in word)
        + '"'
    )


def _quoted(text: str) -> str:
    _refuse_foreign(text)
    return _SPECIAL.sub(_escape_char, text)


def _escape_char(match: re.Match[str]) -> str:
    char = match[0]
    return _NAMED.get(char) or f"\\x{ord(char):02x}"


def _line_of(word: Text) -> str:
    if isinstance(word, str):
        return _checked_line(word).replace("%", "%%")
    parts = [f"%{part.letter}" if isinstance(part, Specifier) else part.replace("%", "%%") for part in word]
    return _checked_line("".join(parts))


def _checked_line(text: str) -> str:
    if found := _CONTROL.search(text):
        raise UnrepresentableError(f"a control character ({found[0]!r}) has no place here")
    if text != text.strip():
        raise UnrepresentableError("blanks at the ends would be lost")
    if text.endswith("\\"):
        raise UnrepresentableError("a backslash at the end would join the next line to it")
    _refuse_foreign(text)
    return text


def _refuse_foreign(text: str) -> None:
    if "\0" in text:
        raise UnrepresentableError("no program can be given a NUL character")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise UnrepresentableError(f"not valid Unicode: {text[error.start]!r}") from None


def parse_value(directive: Directive, text: str) -> tuple[str, tuple[Text, ...]]:
    """The prefix and the words of `Foo=text`; ValueError where systemd would refuse it. Inverse of `rendered`."""
    match directive.escape:
        case Escape.EXEC:
            prefix = _PREFIXES.match(text)
            start = prefix.end() if prefix else 0
            return text[:start], split_words(text[start:])
        case Escape.WORDS:
            return "", split_words(text)
        case Escape.NAMES:
            return "", tuple(_specified(word) for word in text.split())
        case Escape.TEXT:
            return "", (_specified(text),) if text else ()
        case Escape.RAW:
            return "", (text,) if text else ()


def _specified(text: str) -> Text:
    if "%" not in text:
        return text
    parts: list[str | Specifier] = []
    literal = ""
    last = 0
    for match in _PERCENT.finditer(text):
        literal += text[last : match.start()]
        last = match.end()
        if match[1] == "%":
            literal += "%"
        elif match[1].isalpha():
            parts += [literal, Specifier(match[1])] if literal else [Specifier(match[1])]
            literal = ""
        else:
            raise ValueError(f"not a specifier: {match[0]!r}; a percent sign is written %%")
    literal += text[last:]
    if not parts:
        return literal
    return (*parts, literal) if literal else tuple(parts)


_WORD_PIECE = re.compile(
    r"""
    (?P<plain> [^\s"'\\]+ )
    | \\ (?P<escape> x[0-9a-fA-F]{2} | u[0-9a-fA-F]{4} | U[0-9a-fA-F]{8} | [0-7]{3} | . )
    | "(?P<double> (?:[^"\\]|\\.)* )"
    | '(?P<single> (?:[^'\\]|\\.)* )'
    """,
    re.VERBOSE | re.DOTALL,
)


def split_words(text: str) -> tuple[Text, ...]:
    """The words of `text` by systemd's rules (systemd.syntax(7), QUOTING), specifiers apart."""
    words: list[Text] = []
    position = 0
    while position < len(text):
        if text[position].isspace():
            position += 1
            continue
        start = position
        word = ""
        while position < len(text) and not text[position].isspace():
            piece = _WORD_PIECE.match(text, position)
            if piece is None:
                raise ValueError(f"a quote or escape that does not end: {text[position : position + 20]!r}")
            word += _unescaped(piece)
            position = piece.end()
        words.append(";" if text[start:position] == "\\;" else _specified(word))
    return tuple(words)


_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-7]{3}|.)", re.DOTALL)


def _unescaped(piece: re.Match[str]) -> str:
    if (plain := piece["plain"]) is not None:
        return plain
    if (escape := piece["escape"]) is not None:
        return _char(escape)
    quoted = piece["double"] if piece["double"] is not None else piece["single"]
    return _ESCAPE.sub(lambda match: _char(match[1]), quoted)


def _char(escape: str) -> str:
    if escape[0] in "xuU" and len(escape) > 1:
        return chr(int(escape[1:], 16))
    if escape.isdigit() and len(escape) == 3:
        return chr(int(escape, 8))
    if escape not in _UNNAMED:
        raise ValueError(f"not an escape that systemd knows: \\{escape}")
    return _UNNAMED[escape]
