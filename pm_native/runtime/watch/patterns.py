"""Which files are meant by the patterns of `watch`: pure, by names alone."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

# Nobody wants a restart for these: what version control, package managers, interpreters and editors write by
# themselves, and what programs leave beside their code.
ALWAYS_IGNORED = (
    *(".git", ".hg", ".svn", "node_modules", "__pycache__", ".venv", ".mypy_cache", ".pytest_cache"),
    *("*.pyc", "*.log", "*.pid", "*.sock", "*.tmp", "*.swp", "*.swx", "*~"),
    *(".#*", "#*#", ".*.un~", "4913", ".DS_Store"),
)
_SPECIAL = re.compile(r"[*?\[{]")
_LITERAL = re.compile(r"\[([*?\[{])\]")  # how such a character is itself
_ANY_FOLDERS = "**"
_TOKEN = re.compile(
    r"(?P<folders>(?:^|(?<=/))\*\*/)|(?P<all>(?:^|(?<=/))\*\*$)|(?P<stars>\*+)|(?P<one>\?)"
    r"|(?P<set>\[[!^]?.[^\]]*\])|(?P<char>.)",
    re.DOTALL,
)
# Stars in a row are one: matching stays fast.
_MEANINGS = {"folders": "(?:[^/]+/)*", "all": ".+", "stars": "[^/]*", "one": "[^/]"}


class Pattern:
    """One pattern: an absolute path, in which `*`, `?`, `[...]`, `{a,b}` stand for parts of a name and `**` for folders.

    It means what it matches; one with nothing special in it also means all that is below what it matches.
    """

    __slots__ = ("_regex", "depth", "root")

    def __init__(self, text: str) -> None:
        parts = text.strip("/").split("/")
        fixed = next((index for index, part in enumerate(parts) if _is_special(part)), len(parts))
        is_plain = fixed == len(parts)
        self.root = _LITERAL.sub(r"\1", "/" + "/".join(parts[:fixed]))  # no file outside of it can match
        # How many folders below the root can hold a match; None: all.
        self.depth = None if is_plain or _ANY_FOLDERS in parts else len(parts) - fixed - 1
        self._regex = re.compile(translate(text) + ("(?:/.*)?" if is_plain else ""), re.DOTALL)

    def matches(self, path: str) -> bool:
        """Whether the file of this absolute path is meant."""
        return self._regex.fullmatch(path) is not None

    def reaches(self, folder: str) -> bool:
        """Whether a file in the folder, or further below, can be meant."""
        if not is_within(folder, self.root):
            return False
        below = folder[len(self.root) :].strip("/")
        return self.depth is None or not below or below.count("/") < self.depth


class Selection:
    """What is watched: patterns, and what is ignored of them. Relative ones begin at the folder `base`.

    An ignored pattern without a slash is a name in whatever folder; one with a slash is a path. What it means is
    ignored with all below it. What stands in a pattern itself cannot be ignored by its name.
    """

    def __init__(self, base: str, patterns: Iterable[str], ignore: Iterable[str] = ()) -> None:
        self.base = absolute("/", base)
        folder = literal(self.base)
        self._patterns = [Pattern(absolute(folder, text)) for text in patterns]
        self.roots = sorted({pattern.root for pattern in self._patterns})
        ignored = [text.removesuffix("/") or "/" for text in (*ALWAYS_IGNORED, *ignore)]
        self._names = _any_of(translate(text) for text in ignored if "/" not in text)
        self._paths = _any_of(
            translate(absolute(folder, text).removesuffix("/**")) + "(?:/.*)?"
            for text in ignored
            if "/" in text
        )

    def wants(self, path: str) -> bool:
        """Whether a change of this file counts."""
        return any(pattern.matches(path) for pattern in self._patterns) and not self.ignores(path)

    def holds(self, folder: str) -> bool:
        """Whether a file that counts can be in the folder, or further below."""
        if self.leads(folder):
            return True
        return any(pattern.reaches(folder) for pattern in self._patterns) and not self.ignores(folder)

    def leads(self, path: str) -> bool:
        """Whether the path is the root of a pattern, or a folder above one."""
        return any(is_within(root, path) for root in self.roots)

    def is_inside(self, path: str) -> bool:
        """Whether the path is the root of a pattern, or below one."""
        return any(is_within(path, root) for root in self.roots)

    def ignores(self, path: str) -> bool:
        """Whether the file or folder, or a folder around it, is ignored."""
        if self._paths.fullmatch(path):
            return True
        around = max(
            (root for root in (self.base, *self.roots) if is_within(path, root)), key=len, default=""
        )
        found = path[len(around) :].split("/")  # the names that were found, not given
        return any(self._names.fullmatch(name) for name in found if name)


def _any_of(regexes: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{regex})" for regex in regexes) or "(?!)", re.DOTALL)


def is_within(path: str, folder: str) -> bool:
    """Whether the path is the folder, or below it."""
    return path == folder or path.startswith(folder if folder == "/" else f"{folder}/")


def literal(path: str) -> str:
    """The pattern that means this path and no other."""
    return _SPECIAL.sub(r"[\g<0>]", path)


def _is_special(part: str) -> bool:
    return _SPECIAL.search(_LITERAL.sub("", part)) is not None


def absolute(base: str, text: str) -> str:
    """The absolute path of a pattern, without `.`, `..` and what stands for nothing."""
    parts: list[str] = []
    for part in (text if text.startswith("/") else f"{base}/{text}").split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in {"", "."} and not (part == _ANY_FOLDERS and parts[-1:] == [_ANY_FOLDERS]):
            parts.append(part)
    return "/" + "/".join(parts)


def translate(text: str) -> str:
    """The regular expression of a pattern, for `fullmatch`."""
    found: list[str] = []
    depth = 0  # of braces
    for token in _TOKEN.finditer(text):
        piece, kind = token.group(), str(token.lastgroup)
        if kind in _MEANINGS:
            found.append(_MEANINGS[kind])
        elif kind == "set":
            found.append(_one_of(piece[1:-1]))
        elif piece == "{" and "}" in text[token.end() :]:
            found.append("(?:")
            depth += 1
        elif piece in "},":
            is_meant = depth > 0
            found.append({"}": ")", ",": "|"}[piece] if is_meant else piece)
            depth -= int(is_meant and piece == "}")
        else:
            found.append(re.escape(piece))
    return "".join(found) + ")" * depth


def _one_of(text: str) -> str:
    """`abc`, `a-z`, `!abc` between brackets: one character, never a slash. Itself where that is none (`z-a`)."""
    is_negated = text[0] in "!^"
    inner = re.sub(r"([\\\[\]&~|^])", r"\\\1", text[1:] if is_negated else text)
    found = f"(?!/)[{'^' if is_negated else ''}{inner}]"
    try:
        re.compile(found)
    except re.error:
        return re.escape(f"[{text}]")
    return found
