"""What `pm-native import` says: the comments in the config, and the report."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass

from pm_native.cli.report import diagnostic_data
from pm_native.cli.style import Style
from pm_native.errors import Severity

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from pm_native.errors import Diagnostic, Diagnostics, Span
    from pm_native.model.project import Project

_COMMENT_MAX = 107
_PART = re.compile(r"\[|[\w\"'-]+[ \t]*:(?:\s|$)")  # how a line begins that begins another part of a file


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """A config that was made: its text, the keys of each process in it, the environment files beside it."""

    project: Project
    title: str
    text: str
    keys: Mapping[str, tuple[str, ...]]
    shared: tuple[str, ...]
    files: Mapping[str, str]
    diagnostics: tuple[Diagnostic, ...]


def header(title: str) -> tuple[str, ...]:
    """The comment at the top of the config."""
    return (
        f"Imported from {title}. What is as usual is left out.",
        "Every key: `pm-native schema`, or docs/config.md. Next: pm-native generate && pm-native plan",
    )


def comments(project: Project, problems: Diagnostics) -> dict[str, list[str]]:
    """What is written above each process: what it loses, and what means something else now; "" is the top of the file."""
    starts = sorted(
        ((process.span, process.name) for process in project.processes if process.span.line),
        key=lambda pair: pair[0].line,
    )
    found: dict[str, list[str]] = {}
    for item in problems:
        owner = _owner(item.span, starts)
        if item.lost or (owner and item.severity is Severity.WARNING):
            text = f"{'lost: ' if item.lost else ''}{item.message}"
            if len(text) > _COMMENT_MAX:
                text = f"{text[: _COMMENT_MAX - 4].rsplit(' ', 1)[0]} ..."
            lines = found.setdefault(owner, [])
            if text.isprintable() and text not in lines:
                lines.append(text)
    return found


def _owner(span: Span, starts: list[tuple[Span, str]]) -> str:
    """The process that a place belongs to: the last one that begins before it, in the same part of the file; or ""."""
    owner, since = "", 0
    for start, name in starts:
        if start.source is span.source and start.line <= span.line:
            owner, since = name, start.line
    # A section of an INI file or a key of the outermost table ends what was before it.
    parts = (_PART.match(span.source.line(line)) for line in range(since + 1, span.line + 1))
    return "" if owner and any(parts) else owner


def report_text(imported: Imported, target: Path) -> str:
    """What was kept, what changed its meaning, what is lost."""
    style = Style(sys.stdout)
    count = len(imported.project.processes)
    lines = [f"wrote {target}: {count} process{'es' if count != 1 else ''} from {imported.title}"]
    lines += [
        f"wrote {path}: secrets, and variables of environment files, for you alone to read"
        for path in imported.files
    ]
    lines += ["", style("kept", "bold")]
    if shared := [key for key in imported.shared if key != "name"]:
        lines.append(f"  all: {', '.join(shared)}")
    lines += [f"  {name}: {', '.join(keys)}" for name, keys in imported.keys.items()]
    for title, items in (("changed in meaning", changed(imported)), ("lost", lost(imported))):
        if items:
            lines += ["", style(title, "bold"), *_told(items)]
    lines += ["", "the units of both configs are the same"]
    return "\n".join(lines)


def changed(imported: Imported) -> list[Diagnostic]:
    """What is there and means something else."""
    return [item for item in imported.diagnostics if not item.lost]


def lost(imported: Imported) -> list[Diagnostic]:
    """What the foreign config says and ours does not."""
    return [item for item in imported.diagnostics if item.lost]


def _told(items: Iterable[Diagnostic]) -> Iterator[str]:
    for item in items:
        yield f"  {item.span}: {item.message}"
        if item.hint:
            yield f"    {item.hint}"


def report_data(imported: Imported, target: Path) -> dict[str, object]:
    """The report for programs."""
    return {
        "output": str(target),
        "environment_files": sorted(imported.files),
        "from": imported.title,
        "project": imported.project.name,
        "kept": {name: list(keys) for name, keys in imported.keys.items()},
        "changed": [diagnostic_data(item) for item in changed(imported)],
        "lost": [diagnostic_data(item) for item in lost(imported)],
    }
