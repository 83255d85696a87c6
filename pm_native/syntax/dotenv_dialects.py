"""How each tool reads an environment file: what is said of one was read in its source.

A reader takes the text and returns the variables and its findings on the other lines.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from enum import StrEnum

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Reading = tuple["list[Line]", "list[Finding]"]


class Dialect(StrEnum):
    """Whose rules an environment file is read by."""

    DOTENV = "dotenv"  # what most tools agree on: the default for files of unknown origin
    SYSTEMD = "systemd"  # EnvironmentFile=
    FOREMAN = "foreman"
    HONCHO = "honcho"
    OVERMIND = "overmind"  # and all that read by joho/godotenv: the only one to expand ${NAME}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One variable: its name and where that begins, its value as read, and where that is written."""

    key: str
    at: int
    value: str
    start: int
    end: int
    literal: bool = False  # in single quotes: nothing in it was meant to be expanded
    expanded: bool = False  # a reference in it has been replaced


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A place that the reader passes over (a warning) or refuses (an error); `{tool}` is the dialect."""

    at: int
    end: int
    message: str
    hint: str = ""
    code: str = "env-ignored"
    is_error: bool = False


MAX_BYTES = 128 * 1024  # of NAME=value and its NUL: execve(2), MAX_ARG_STRLEN

_BLANK = re.compile(r"(?:[ \t\r\n]++|#[^\n]*+)*+")
_SPACES = re.compile(r"[ \t]*+")
_LINE_REST = re.compile(r"[^\n]*")
_ASSIGNMENT = re.compile(r"(?:export[ \t]+)?(?P<key>[^\s=#'\"][^=\n]*?)[ \t]*=[ \t]*")
_AFTER_QUOTE = re.compile(r"[ \t\r]*(?:#[^\n]*)?(?=\n|\Z)")
_QUOTED = {
    '"': re.compile(r'"(?P<body>[^"\\]*+(?:\\[\s\S][^"\\]*+)*+)"'),
    "'": re.compile(r"'(?P<body>[^']*+)'"),
}
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\", '"': '"', "$": "$", "`": "`", "\n": ""}


def read_usual(text: str) -> Reading:
    """What users expect: `export`, quotes (over lines too), escapes in double quotes, comments after values."""
    lines: list[Line] = []
    findings: list[Finding] = []
    position = _skip(_BLANK, text, 0)
    while position < len(text):
        end = _skip(_LINE_REST, text, position)
        match = _ASSIGNMENT.match(text, position, end)
        if match:
            event, end = _usual_value(text, match)
            if isinstance(event, Line):
                lines.append(event)
            else:
                findings.append(event)
        else:
            findings.append(_ignored(text, position, end))
        position = _skip(_BLANK, text, end)
    return lines, findings


def _usual_value(text: str, match: re.Match[str]) -> tuple[Line | Finding, int]:
    """The variable whose value begins behind the match, and where its last line ends."""
    key, at, start = match["key"], match.start("key"), match.end()
    line_end = _skip(_LINE_REST, text, start)
    opening = text[start : start + 1]
    if opening not in _QUOTED:
        written = text[start:line_end]
        comment = re.search(r"[ \t]#", text[start - 1 : line_end])
        value = (written[: max(comment.start() - 1, 0)] if comment else written).strip()
        return Line(key=key, at=at, value=value, start=start, end=start + len(value)), line_end
    quoted = _QUOTED[opening].match(text, start)
    if not quoted:
        return _unclosed(text, start, line_end), line_end
    if not _AFTER_QUOTE.match(text, quoted.end()):
        return _after_quote(text, start, quoted.end(), line_end), line_end
    line_end = _skip(_LINE_REST, text, quoted.end())
    value = quoted["body"].replace("\r\n", "\n")
    if opening == '"':
        value = re.sub(r"\\([\s\S])", lambda found: _ESCAPES.get(found[1], found[0]), value)
    return Line(key=key, at=at, value=value, start=start, end=quoted.end(), literal=opening == "'"), line_end


_SYSTEMD_BLANK = re.compile(r"(?:[ \t\r\n]++|[#;][^\n\r]*+)*+")
_SYSTEMD_REST = re.compile(r"[^\n\r]*")
_SYSTEMD_PART = re.compile(
    r"""'(?P<single>[^']*+)(?:'|\Z)|"(?P<double>[^"\\]*+(?:\\[\s\S][^"\\]*+)*+)\\?(?:"|\Z)"""
    r"""|(?P<plain>(?:[^\\\n\r]++|\\[\s\S]|\\\Z)++)"""
)


def read_systemd(text: str) -> Reading:
    """EnvironmentFile= as src/basic/env-file.c reads it; a comment ends with its line, as of v254."""
    lines: list[Line] = []
    findings: list[Finding] = []
    position = _skip(_SYSTEMD_BLANK, text, 0)
    while position < len(text):
        end = _skip(_SYSTEMD_REST, text, position)
        equals = text.find("=", position + 1, end)  # its first character always belongs to the name
        if equals < 0:
            findings.append(_ignored(text, position, end))
        else:
            key = text[position:equals].rstrip(" \t")
            value, start, end = _systemd_value(text, equals + 1)
            exported = re.match(r"export[ \t]+(?=[A-Za-z_])", key)
            if exported:
                hint = f"write {key[exported.end() :]}=, without export"
                findings.append(
                    Finding(at=position, end=end, message="{tool} does not know export", hint=hint)
                )
            else:
                literal = text[start : start + 1] == "'"
                lines.append(Line(key=key, at=position, value=value, start=start, end=end, literal=literal))
        position = _skip(_SYSTEMD_BLANK, text, end)
    return lines, findings


def _systemd_value(text: str, position: int) -> tuple[str, int, int]:
    """The value behind a "=", where it begins and ends: quoted parts, then at most one plain part."""
    value = ""
    position = start = end = _skip(_SPACES, text, position)
    while match := _SYSTEMD_PART.match(text, position):
        end = match.end()
        if match["plain"] is not None:  # only the end of the line ends it: a quote in it is a quote
            pieces = re.findall(r"\\([\s\S]?)|([^\\]+)", match["plain"])
            end -= len(pieces[-1][1]) - len(pieces[-1][1].rstrip(" \t"))
            pieces[-1] = (pieces[-1][0], pieces[-1][1].rstrip(" \t"))
            value += "".join(plain or escaped.strip("\n\r") for escaped, plain in pieces)
            break
        double = match["double"]
        value += match["single"] if double is None else re.sub(r"\\([\s\S])", _systemd_escape, double)
        position = _skip(_SPACES, text, end)
    return value, start, end


def _systemd_escape(match: re.Match[str]) -> str:
    if match[1] in '"\\`$':
        return match[1]
    return "" if match[1] == "\n" else match[0]


def read_foreman(text: str) -> Reading:
    """As in foreman's env.rb: NAME=value at the start of a line and no more, what is behind belongs to it."""
    lines: list[Line] = []
    findings: list[Finding] = []
    for at, end in _lines_of(text):
        match = re.compile(r"([A-Za-z_0-9]+)=").match(text, at, end)
        if not match:
            findings += _ignored_unless_blank(text, at, end)
            continue
        value = text[match.end() : end]
        literal = len(value) > 1 and value[0] == value[-1] == "'"
        if literal:
            value = value[1:-1]
        elif len(value) > 1 and value[0] == value[-1] == '"':
            value = re.sub(r"\\(.)", r"\1", value[1:-1].replace("\\n", "\n"))
        lines.append(Line(key=match[1], at=at, value=value, start=match.end(), end=end, literal=literal))
    return lines, findings


def read_honcho(text: str) -> Reading:
    """As in honcho's environ.py: shell words without what is between them; an empty value is dropped."""
    lines: list[Line] = []
    findings: list[Finding] = []
    for at, end in _lines_of(text):
        if end - at >= MAX_BYTES:  # shlex would take minutes for a line of a megabyte
            findings.append(too_long(at, end))
            continue
        try:
            words = list(shlex.shlex(text[at:end], posix=True))
        except ValueError as error:  # honcho ends with this very error
            quote = _skip(re.compile(r"[^'\"\n]*"), text, at)
            if "quotation" in str(error):
                findings.append(_unclosed(text, quote, end))
            else:
                hint = "write the value in single quotes"
                findings.append(_refused(at, end, "a backslash at the end of the line", hint))
            continue
        match = re.compile(r"[ \t]*(?P<key>[^\s=]+)[ \t]*=[ \t]*").match(text, at, end)
        if not match or len(words) < 3 or words[1] != "=":
            dropped = bool(match) and words[1:] == ["="]
            hint = "{tool} drops a variable without a value" if dropped else ""
            findings += _ignored_unless_blank(text, at, end, hint.format(tool=Dialect.HONCHO))
            continue
        value = "".join(words[2:]).replace("\\n", "\n").replace("\\t", "\t")
        start, literal = match.end(), text[match.end() : match.end() + 1] == "'"
        stop = start + len(text[start:end].rstrip())
        lines.append(
            Line(key=words[0], at=match.start("key"), value=value, start=start, end=stop, literal=literal)
        )
    return lines, findings


_GO_KEY = re.compile(r"(?:export[ \t]+)?(?P<key>[^=:\n]*?)[ \t]*[=:][ \t]*")
_GO_REFERENCE = re.compile(r"(?P<escape>\\)?\$\(?\{?(?P<name>[A-Z0-9_]+)?\}?")
_GO_QUOTED = {
    '"': re.compile(r'"(?P<body>(?:[^"]|(?<=\\)")*+)"'),
    "'": re.compile(r"'(?P<body>(?:[^']|(?<=\\)')*+)'"),
}


class _GoReader:
    """Reads by joho/godotenv's parser.go: `NAME: value` too, and ${NAME} of the lines before is expanded."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.lines: list[Line] = []
        self.findings: list[Finding] = []
        self._known: dict[str, str] = {}

    def read(self) -> Reading:
        """All lines; godotenv itself reads none of a file with an error in it."""
        text = self.text
        position = _skip(_BLANK, text, 0)
        while position < len(text):
            end = _skip(_LINE_REST, text, position)
            match = _GO_KEY.match(text, position, end)
            if match:
                end = self._value(match)
            else:
                message, stop = (
                    "{tool} refuses a file with a line without '='",
                    position + len(text[position:end].rstrip()),
                )
                self.findings.append(
                    Finding(at=position, end=stop, message=message, code="env-syntax", is_error=True)
                )
            position = _skip(_BLANK, text, end)
        return self.lines, self.findings

    def _value(self, match: re.Match[str]) -> int:
        """Take in the variable whose value begins behind the match; where its last line ends."""
        text, start = self.text, match.end()
        line_end = _skip(_LINE_REST, text, start)
        opening = text[start : start + 1]
        if opening in _GO_QUOTED:
            quoted = _GO_QUOTED[opening].match(text, start)
            if not quoted:
                self.findings.append(_unclosed(text, start, line_end))
                return line_end
            value, end = quoted["body"].replace("\r\n", "\n").strip(opening), quoted.end()
            if not _AFTER_QUOTE.match(text, end):
                self.findings.append(_after_quote(text, start, end, line_end))
                return line_end
            line_end = _skip(_LINE_REST, text, end)
        else:
            written = text[start:line_end].rstrip()
            comment = re.match(r".*\s(?=#)", written)  # the last one: parser.go looks from the end
            value = (comment[0] if comment else written).rstrip()
            end = start + len(value)
        if opening == '"':
            value = re.sub(r"\\(.)", lambda found: {"n": "\n", "r": "\r"}.get(found[1], found[0]), value)
            value = re.sub(r"\\([^$])", r"\1", value)
        expanded = value if opening == "'" else self._expand(value, start, end)
        self._known[match["key"]] = expanded
        self.lines.append(
            Line(
                key=match["key"],
                at=match.start("key"),
                value=expanded,
                start=start,
                end=end,
                literal=opening == "'",
                expanded=expanded != value,
            )
        )
        return line_end

    def _expand(self, value: str, start: int, end: int) -> str:
        def replace(match: re.Match[str]) -> str:
            name = match["name"]
            if match["escape"]:
                return match[0][1:]
            if name and name not in self._known:
                message = f"{name} is not set above: {{tool}} takes it from where it is started"
                hint = "write out its value: it is empty now"
                self.findings.append(
                    Finding(at=start, end=end, message=message, hint=hint, code="env-unset")
                )
            return self._known.get(name, "") if name else match[0]

        return _GO_REFERENCE.sub(replace, value)


def read_overmind(text: str) -> Reading:
    """What overmind reads: see `_GoReader`."""
    return _GoReader(text).read()


def _lines_of(text: str) -> Iterator[tuple[int, int]]:
    """Start and end of each line, without its line end."""
    start = 0
    for line in text.split("\n"):
        yield start, start + len(line.removesuffix("\r"))
        start += len(line) + 1


def _skip(pattern: re.Pattern[str], text: str, position: int) -> int:
    match = pattern.match(text, position)
    return match.end() if match else position


def _ignored(text: str, at: int, end: int, hint: str = "") -> Finding:
    written = text[at:end].rstrip()
    name = re.match(r"([A-Za-z_]\w*):[ \t]", written)
    if name and not hint:
        hint = f"write {name[1]}=, not {name[1]}:"
    return Finding(at=at, end=at + len(written), message="{tool} passes over this line", hint=hint)


def _ignored_unless_blank(text: str, at: int, end: int, hint: str = "") -> list[Finding]:
    at = min(_skip(_SPACES, text, at), end)
    return [] if at == end or text[at] == "#" else [_ignored(text, at, end, hint)]


def _unclosed(text: str, at: int, end: int) -> Finding:
    hint = "quote the whole value with the other kind if this quote is a part of it"
    return _refused(at, at + len(text[at:end].rstrip()), "this quote is never closed", hint)


def _after_quote(text: str, start: int, at: int, line_end: int) -> Finding:
    """What is wrong with the quoted text[start:at] with more text behind; its first line ends at `line_end`."""
    if at > line_end:  # it ran into the quote of another line
        return _unclosed(text, start, line_end)
    at = _skip(_SPACES, text, at)
    hint = "put the whole value in quotes"
    return _refused(at, at + len(text[at:line_end].rstrip()), "text after the closing quote", hint)


def too_long(at: int, end: int) -> Finding:
    """The error for a variable that no program can be started with."""
    hint = "put it in a file and give the program the name of that"
    return Finding(
        at=at,
        end=end,
        message="more than 128 KiB for one variable",
        hint=hint,
        code="env-too-long",
        is_error=True,
    )


def _refused(at: int, end: int, message: str, hint: str) -> Finding:
    return Finding(at=at, end=end, message=message, hint=hint, code="env-syntax", is_error=True)


READERS: dict[Dialect, Callable[[str], Reading]] = {
    Dialect.DOTENV: read_usual,
    Dialect.SYSTEMD: read_systemd,
    Dialect.FOREMAN: read_foreman,
    Dialect.HONCHO: read_honcho,
    Dialect.OVERMIND: read_overmind,
}
