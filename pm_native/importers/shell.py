"""A line of shell, understood just far enough: whether it needs a shell at all, and what it expands."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
_ASSIGNED = re.compile(
    r"(?:^|[\s;&|(])(?:([A-Za-z_]\w*)=|for\s+([A-Za-z_]\w*)\s+in\b|read\s+(?:-\w+\s+)?([A-Za-z_]\w*))"
)
_EXPANSION = re.compile(r"\$(?:([A-Za-z_]\w*)|\{([A-Za-z_]\w*)(?=\}|[#%^,:/](?![-=+?]))\}?)")
# What only a shell can do: special builtins, ordinary ones without a program of that name, reserved words.
_WORDS = """
. : alias bg break case cd command continue do done elif else esac eval exec exit export fc fg fi for function
getopts hash if jobs let local read readonly return set shift source then times trap type typeset ulimit umask
unalias unset until wait while { } ! [[
"""
_SHELL_WORDS = frozenset(_WORDS.split())
# What stands in front of the program and does not always hand the signal on.
_WRAPPERS = frozenset({"sh", "bash", "dash", "ksh", "zsh", "npm", "npx", "yarn", "pnpm", "make"})
_PART = re.compile(r"""\\.|"(?:[^"\\]|\\.)*+"|'[^']*'|[^\\"']++|.""")
_DOUBLE_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*+"')
_ESCAPED = re.compile(r"\\.")
_OPERATORS = frozenset("|&;()\n")
_EXPANDING = frozenset("$`*?[~<>{}!")


@dataclass(frozen=True, slots=True)
class _Scanned:
    """The line up to its comment; the start and text of each word; the unquoted characters that mean something."""

    text: str
    words: tuple[tuple[int, str], ...]
    special: frozenset[str]
    is_closed: bool


@dataclass(frozen=True, slots=True)
class ShellLine:
    """What to run: argv, and whether its first process becomes the program itself (else a shell stays)."""

    words: tuple[str, ...]
    is_direct: bool
    variables: tuple[str, ...]
    is_closed: bool


def read_shell_line(text: str) -> ShellLine:
    """Argv for a line that was written for `/bin/sh -c`; `variables` are those it takes from the environment."""
    line = _scan(text)
    words = [word for _, word in line.words]
    if words and words[0] == "exec" and len(words) > 1 and not words[1].startswith("-") and not line.special:
        words = words[1:]
    variables = _variables(line.text)
    if not line.is_closed or not words:
        return ShellLine(
            ("/bin/sh", "-c", text), is_direct=False, variables=variables, is_closed=line.is_closed
        )
    if not line.special and words[0] not in _SHELL_WORDS and not _ASSIGNMENT.match(words[0]):
        argv = shlex.split(line.text)
        argv = argv[1:] if argv[0] == "exec" else argv
        if argv and argv[0]:
            is_direct = argv[0].rpartition("/")[2] not in _WRAPPERS
            return ShellLine(tuple(argv), is_direct=is_direct, variables=variables, is_closed=True)
    start = _program(line)
    if start is None:
        is_exec = bool(words) and words[0] == "exec" and not line.special & _OPERATORS
        return ShellLine(
            ("/bin/sh", "-c", line.text), is_direct=is_exec, variables=variables, is_closed=True
        )
    command = f"{line.text[:start]}exec {line.text[start:]}"
    is_direct = dict(line.words)[start].rpartition("/")[2] not in _WRAPPERS
    return ShellLine(("/bin/sh", "-c", command), is_direct=is_direct, variables=variables, is_closed=True)


def _program(line: _Scanned) -> int | None:
    """Where the program stands in a line that is one simple command; None where it is more than that."""
    if line.special & _OPERATORS:
        return None
    for start, word in line.words:
        if _ASSIGNMENT.match(word):
            continue
        is_literal = re.fullmatch(r"[\w./+@:%-]+", word) is not None
        return start if is_literal and word not in _SHELL_WORDS else None
    return None


def _scan(text: str) -> _Scanned:
    """Take the line apart as a shell does, up to a comment."""
    words: list[tuple[int, str]] = []
    special: set[str] = set()
    position = 0
    while True:
        while position < len(text) and text[position] in " \t":
            position += 1
        if position >= len(text) or text[position] == "#":
            return _Scanned(text[:position].rstrip(), tuple(words), frozenset(special), is_closed=True)
        end = _word_end(text, position, special)
        if end is None:
            return _Scanned(text, tuple(words), frozenset(special), is_closed=False)
        words.append((position, text[position:end]))
        position = end


def _word_end(text: str, position: int, special: set[str]) -> int | None:
    """Where the word ends that begins here; None where a quote in it does not. `special` gets what is not literal."""
    while position < len(text) and text[position] not in " \t":
        character = text[position]
        if character == "\\":
            if position + 1 >= len(text):
                special.add("$")  # a lone backslash at the end: for the shell to judge
            position += 2
        elif character == "'":
            position = text.find("'", position + 1) + 1
            if not position:
                return None
        elif character == '"':
            match = _DOUBLE_QUOTED.match(text, position)
            if match is None:
                return None
            special |= {"$", "`"} & set(_ESCAPED.sub("", match[0]))
            position = match.end()
        else:
            if character in _OPERATORS or character in _EXPANDING:
                special.add(character)
            position += 1
    return min(position, len(text))


def _variables(text: str) -> tuple[str, ...]:
    """The variables that the line takes from its environment: those with a default and its own are not."""
    outside = expanded_part(text)
    own = {match[1] or match[2] or match[3] for match in _ASSIGNED.finditer(outside)}
    names = (match[1] or match[2] for match in _EXPANSION.finditer(outside))
    return tuple(dict.fromkeys(name for name in names if name not in own))


def expanded_part(text: str) -> str:
    """What of the line a shell looks at for variables: neither what is in single quotes nor a $ behind a backslash."""
    parts = [part for part in _PART.findall(text) if part[0] not in "'\\"]
    return "".join(part.replace("\\$", "") for part in parts)
