"""What looks like a secret, taken out of a line of a config before it is shown: terminals and logs of builds are kept."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import groupby

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pm_native.errors import Diagnostic, Source

# A name with what stands for its value in TOML, YAML, JSON, JavaScript, Procfiles and environment files.
_ASSIGNED = re.compile(
    r"""(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?P<between>["']?\s*[=:]\s*)(?P<value>
    "(?:[^"\\]|\\.)*"? | '[^']*'? | [\[{] | [^\s,;}\]"']+)""",
    re.VERBOSE,
)
_PASSWORD_IN_URL = re.compile(r"(?<=://)(?P<user>[^/\s:@]*:)(?P<password>[^/\s@]+)(?=@)")
# A line that begins with a name and its value, so that it does not go on with the value of a line above; a section.
_BEGINS = re.compile(
    r"""\s*(?:-\s+)?[{,]?\s*["']?[A-Za-z_][\w.-]*["']?\s*(?::(?=[\s"'\[{]|$)|=(?=[\s"'\[{]))"""
)
_SECTION = re.compile(r"\s*\[\[?[A-Za-z_][^\]]*\]\]?\s*(?:[#;].*)?$")
_NAMED = re.compile(r"""([A-Za-z_]\w*)["']?\s*[=:]""")
_LINES_MAX = 200  # how far up the name of a value is looked for
_WORD_MIN = 4  # shorter ones are words of a message, too
_BRACKETS = "\"'[]{} "  # what shows of a list or a table
_FOLDED = frozenset({"secrets"})  # a table of ours, of paths


def masked(text: str) -> str:
    """The text with a `*` for each character of a value that looks secret, so that every column stays where it is."""
    text = _PASSWORD_IN_URL.sub(lambda found: found["user"] + "*" * len(found["password"]), text)
    parts: list[str] = []
    position = 0
    while found := _ASSIGNED.search(text, position):
        value = found["value"]
        begin = value[0] if value[0] in "[{\"'" else ""
        start = found.start("value") + len(begin)
        parts.append(text[position:start])
        position = start
        if not _names_secret(found["name"]):
            continue  # another key may stand in the value
        if begin and begin in "[{":
            parts.append("".join(char if char in _BRACKETS else "*" for char in text[start:]))
            return "".join(parts)
        if (
            not begin and ":" in found["between"] and found["between"][-1].isspace()
        ):  # YAML's, with its spaces
            return "".join([*parts, "*" * (len(text) - start)])
        end = begin if begin and value[len(begin) :].endswith(begin) else ""
        position = found.end() - len(end)
        parts.append("*" * (position - start))
    return "".join([*parts, text[position:]])


def masked_line(source: Source, number: int) -> str:
    """A line of a source as it may be shown; all of it in stars where it goes on with a secret from above."""
    line = source.line(number)
    if not _goes_on_with_secret(source, number):
        return masked(line)
    return "".join(char if char in _BRACKETS else "*" for char in line)


def _goes_on_with_secret(source: Source, number: int) -> bool:
    if _BEGINS.match(source.line(number)):
        return False
    for above in range(number, max(number - _LINES_MAX, 0), -1):
        line = source.line(above)
        if _SECTION.match(line):
            return False
        if _BEGINS.match(line):
            return any(_names_secret(name) for name in _NAMED.findall(line))
    return False


def _names_secret(name: str) -> bool:
    from pm_native.compile.environment import is_secret  # noqa: PLC0415 - on the way to an error

    return name not in _FOLDED and is_secret(name, "")


def shielded(item: Diagnostic) -> Diagnostic:
    """The diagnostic without the words of its line that look secret: a message may say what it has found there."""
    source, number = item.span.source, item.span.line
    if not number or source.is_secret:
        return item
    line = source.line(number)
    pairs = groupby(zip(line, masked_line(source, number), strict=True), lambda pair: pair[0] != pair[1])
    hidden = ["".join(char for char, _ in group) for is_hidden, group in pairs if is_hidden]
    words = {word for text in hidden for word in (text, *re.findall(r"\w+", text)) if len(word) >= _WORD_MIN}
    message, hint = item.message, item.hint
    for word in sorted(words, key=len, reverse=True):
        message, hint = message.replace(word, "***"), hint.replace(word, "***")
    return (
        item if (message, hint) == (item.message, item.hint) else replace(item, message=message, hint=hint)
    )
