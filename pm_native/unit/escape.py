"""Values to the text of unit files and back. The directive decides how; nothing else in pm-native escapes."""

from __future__ import annotations

import re

from pm_native.unit.directive import Escape
from pm_native.unit.file import Specifier

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pm_native.unit.directive import Directive
    from pm_native.unit.file import Setting, Text

# systemd refuses a longer line as a whole (LONG_LINE_MAX).
LINE_MAX = 1024 * 1024
# What systemd takes for a blank (its WHITESPACE): Python's str.split and str.strip take many more characters.
WHITESPACE = " \t\n\r"

_SAFE_WORD = re.compile(r"[A-Za-z0-9_@+=:,./-]+")
# systemd drops a line, or a value of the environment, that has one of Unicode's noncharacters (utf8_is_valid).
_NONCHARACTERS = "\ufdd0-\ufdef" + "".join(
    chr(plane << 16 | code) for plane in range(17) for code in (0xFFFE, 0xFFFF)
)
_NONCHARACTER = re.compile(f"[{_NONCHARACTERS}]")
_SPECIAL = re.compile(rf'[\x01-\x1f\x7f"\\%{_NONCHARACTERS}]')
_NAMED = {"\n": "\\n", "\t": "\\t", "\r": "\\r", '"': '\\"', "\\": "\\\\", "%": "%%"}
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_BLANK = re.compile(rf"[{WHITESPACE}]")
_UNESCAPABLE = re.compile(r"""["'\\]""")
_PREFIX_CHARACTERS = "-@:+!|"
_PREFIXES = re.compile(rf"[{_PREFIX_CHARACTERS}]*")
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
            if words:
                _check_program(words[0])
            text = setting.prefix + " ".join([quote_word(word) for word in words])
        case Escape.WORDS:
            _check_words(words)
            text = " ".join([quote_word(word) for word in words])
        case Escape.PATHS:
            text = " ".join([_path_of(word) for word in words])
        case Escape.NAMES:
            text = " ".join([_name_of(word) for word in words])
        case Escape.TEXT:
            text = "".join([_line_of(word) for word in words])
        case Escape.RAW:
            text = "".join([_checked_line(word) for word in words if isinstance(word, str)])
    if len(text) > LINE_MAX // 4 and len(text.encode()) >= LINE_MAX - len(setting.directive.name) - 1:
        raise UnrepresentableError("longer than the longest line that systemd reads (1 MiB)")
    return Rendered(text)


def _check_program(program: Text) -> None:
    # systemd takes the prefixes off after unquoting: no quotes keep them from being read (config_parse_exec).
    start = program if isinstance(program, str) else program[0]
    if not start:
        raise UnrepresentableError("a program has a name")
    if isinstance(start, str) and start[0] in _PREFIX_CHARACTERS:
        raise UnrepresentableError(f"a program cannot begin with {start[0]!r}, which means something there")


def _check_words(words: tuple[Text, ...]) -> None:
    for word in words:
        for part in (word,) if isinstance(word, str) else word:
            refuse_noncharacters(part if isinstance(part, str) else "")


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
    code = ord(char)
    if code > 0xFFFF:
        return f"\\U{code:08x}"
    return _NAMED.get(char) or (f"\\u{code:04x}" if code > 0x7F else f"\\x{code:02x}")


def _line_of(word: Text) -> str:
    if isinstance(word, str):
        return _checked_line(word).replace("%", "%%")
    parts = [f"%{part.letter}" if isinstance(part, Specifier) else part.replace("%", "%%") for part in word]
    return _checked_line("".join(parts))


def _path_of(word: Text) -> str:
    text = _line_of(word)
    if found := _UNESCAPABLE.search(text):
        raise UnrepresentableError(f"a path with {found[0]!r} cannot be written here")
    return f'"{text}"' if not text or _BLANK.search(text) else text


def _name_of(word: Text) -> str:
    text = _line_of(word)
    if not text or _BLANK.search(text):
        raise UnrepresentableError(f"a blank or nothing in a name: {text!r}")
    return text


def _checked_line(text: str) -> str:
    if found := _CONTROL.search(text):
        raise UnrepresentableError(f"a control character ({found[0]!r}) has no place here")
    if text != text.strip(WHITESPACE):
        raise UnrepresentableError("blanks at the ends would be lost")
    if text.endswith("\\"):
        raise UnrepresentableError("a backslash at the end would join the next line to it")
    _refuse_foreign(text)
    refuse_noncharacters(text)
    return text


def _refuse_foreign(text: str) -> None:
    if "\0" in text:
        raise UnrepresentableError("no program can be given a NUL character")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise UnrepresentableError(f"not valid Unicode: {text[error.start]!r}") from None


def refuse_noncharacters(text: str) -> None:
    """UnrepresentableError for text that systemd does not take for UTF-8 though it is."""
    if not text.isascii() and (found := _NONCHARACTER.search(text)):
        raise UnrepresentableError(f"systemd takes no noncharacter here: U+{ord(found[0]):04X}")


def parse_value(directive: Directive, text: str) -> tuple[str, tuple[Text, ...]]:
    """The prefix and the words of `Foo=text`; ValueError where systemd would refuse it. Inverse of `rendered`."""
    match directive.escape:
        case Escape.EXEC:
            prefix = _PREFIXES.match(text)
            start = prefix.end() if prefix else 0
            return text[:start], _command_words(text[start:])
        case Escape.WORDS | Escape.PATHS:
            return "", split_words(text)
        case Escape.NAMES:
            return "", tuple(_specified(word) for word in _BLANK.split(text) if word)
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
        elif match[1].isascii() and match[1].isalpha():
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
    (?P<plain> [^ \t\n\r"'\\]+ )
    | \\ (?P<escape> x[0-9a-fA-F]{2} | u[0-9a-fA-F]{4} | U[0-9a-fA-F]{8} | [0-7]{3} | . )
    | "(?P<double> (?:[^"\\]|\\.)* )"
    | '(?P<single> (?:[^'\\]|\\.)* )'
    """,
    re.VERBOSE | re.DOTALL,
)


def split_words(text: str) -> tuple[Text, ...]:
    """The words of `text` by systemd's rules (systemd.syntax(7), QUOTING), specifiers apart."""
    return tuple(_word(pieces) for _, pieces in _split(text))


def _command_words(text: str) -> tuple[Text, ...]:
    words: list[Text] = []
    for raw, pieces in _split(text):
        if raw == ";":
            raise ValueError("several commands in one line: write them as a list")
        words.append(";" if raw == "\\;" else _word(pieces))
    return tuple(words)


def _split(text: str) -> Iterator[tuple[str, list[re.Match[str]]]]:
    """Each word as it is written, and the pieces in and out of quotes that it is made of."""
    position = 0
    while position < len(text):
        if text[position] in WHITESPACE:
            position += 1
            continue
        start = position
        pieces: list[re.Match[str]] = []
        while position < len(text) and text[position] not in WHITESPACE:
            piece = _WORD_PIECE.match(text, position)
            if piece is None:
                raise ValueError(f"a quote or escape that does not end: {text[position : position + 20]!r}")
            pieces.append(piece)
            position = piece.end()
        yield text[start:position], pieces


def _word(pieces: list[re.Match[str]]) -> Text:
    word = "".join([_unescaped(piece) for piece in pieces])
    if _ESCAPED_BYTE.search(word):
        try:
            word = word.encode(errors="surrogateescape").decode()
        except UnicodeDecodeError:
            raise ValueError(f"not valid UTF-8 after unquoting: {''.join(x[0] for x in pieces)!r}") from None
    return _specified(word)


_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-7]{3}|.)", re.DOTALL)
# Python's surrogateescape: the bytes that \xHH and \OOO stand for, until the whole word is decoded.
_ESCAPED_BYTE = re.compile("[\udc80-\udcff]")


def _unescaped(piece: re.Match[str]) -> str:
    if (plain := piece["plain"]) is not None:
        return plain
    if (escape := piece["escape"]) is not None:
        return _char(escape)
    quoted = piece["double"] if piece["double"] is not None else piece["single"]
    return _ESCAPE.sub(lambda match: _char(match[1]), quoted)


def _char(escape: str) -> str:
    if escape in _UNNAMED:
        return _UNNAMED[escape]
    if escape[0] in "uU" and len(escape) > 1:
        code = int(escape[1:], 16)
        if 0 < code < 0xD800 or 0xE000 <= code < 0x110000:
            return chr(code)
    elif len(escape) == 3:
        code = int(escape[1:], 16) if escape[0] == "x" else int(escape, 8)
        if 0 < code <= 0xFF:
            return bytes([code]).decode(errors="surrogateescape")
    raise ValueError(f"not an escape that systemd knows: \\{escape}")
