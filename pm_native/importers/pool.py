"""Pools whose commands have the number of the instance in them, and processes that start in an order."""

from __future__ import annotations

import os
import shlex
import shutil
from dataclasses import replace

from pm_native.model.project import Dependency

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pm_native.errors import Span
    from pm_native.model.project import Process

# Around the format of the number, in a word that has the number in it: no text file has a NUL.
MARK = "\0"
_PLAIN_FORMATS = frozenset({"d", "i", "s", "u"})
_EDGES_MAX = 256  # of one level on the one before


def for_pool(
    words: tuple[str, ...], variables: Mapping[str, str], environ: Mapping[str, str]
) -> tuple[str, ...]:
    """The command of a pool: behind a shell where a word or a variable has the number of the instance in it.

    The shell replaces itself with the program.
    """
    if not variables and not any(MARK in word for word in words):
        return words
    exports = "".join(f"export {name}={_shell_word(value)}; " for name, value in sorted(variables.items()))
    program = shutil.which(words[0], path=environ.get("PATH", os.defpath)) if "/" not in words[0] else None
    return (
        "/bin/sh",
        "-c",
        f"{exports}exec {' '.join(map(_shell_word, (program or words[0], *words[1:])))}",
    )


def _shell_word(word: str) -> str:
    literal = word.split(MARK)
    parts = []
    for at, part in enumerate(literal):
        if at % 2:
            is_plain = part in _PLAIN_FORMATS
            parts.append(
                '"$PM_NATIVE_INSTANCE"' if is_plain else f'"$(printf %{part} "$PM_NATIVE_INSTANCE")"'
            )
        elif part or len(literal) == 1:
            parts.append(shlex.quote(part))
    return "".join(parts)


def in_order(
    processes: Iterable[tuple[Process, tuple[int, ...], Span]],
) -> tuple[list[Process], Span | None]:
    """The processes, each behind all that are started with them and whose level is the next lower one.

    Each comes with its level and the place that says it; the second answer is the first such place that matters.
    """
    given = list(processes)
    levels = sorted({level for _, level, _ in given})
    before: dict[tuple[int, ...], list[str]] = {}
    last: list[str] = []
    for level in levels:
        here = [process.name for process, own, _ in given if own == level]
        before[level] = last if len(last) * len(here) <= _EDGES_MAX else last[-1:]
        last = [process.name for process, own, _ in given if own == level and process.autostart] or last
    found = [
        replace(process, depends_on=tuple(Dependency(name=name, span=span) for name in before[level]))
        for process, level, span in given
    ]
    return found, next((span for _, level, span in given if before[level]), None)
