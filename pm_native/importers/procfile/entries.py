"""The lines of a Procfile as entries."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pm_native.errors import Span
from pm_native.importers.procfile.tools import DEFAULT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pm_native.errors import Diagnostics, Source
    from pm_native.importers.procfile.tools import Tool

_NEARLY = re.compile(r"\s*[^\s:#]+\s*:(?!//)")
_TEMPLATE = re.compile(r"<%.*?%>|\{%.*?%\}|\{\{[#/^>!&{]?\s*[A-Za-z_][\w-]*(?:\s*\|[^}]*)?\s*\}\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry, and where it stands."""

    name: str
    command: str
    span: Span
    command_span: Span


def read_entries(source: Source, tool: Tool, problems: Diagnostics) -> list[Entry] | None:
    """The entries in their order; None where the file is a template that nobody has filled in."""
    entries: list[Entry] = []
    for number, line in enumerate(source.text.split("\n"), 1):
        text = line.rstrip()
        if not text or text.lstrip().startswith("#"):
            continue
        if tag := _TEMPLATE.search(text):
            span = Span(source, number, tag.start() + 1, tag.end() + 1)
            hint = "fill it in first, and give the result"
            message = f"this is a template for a Procfile: {tag[0]}"
            problems.error(span, message, code="procfile-template", hint=hint)
            return None
        match = tool.entry.fullmatch(text)
        if match is None:
            _tell_ignored(Span(source, number, 1, len(text) + 1), text, tool, problems)
            continue
        entries.append(
            Entry(
                name=match[1],
                command=match[2],
                span=Span(source, number, 1, match.end(1) + 1),
                command_span=Span(source, number, match.start(2) + 1, match.end(2) + 1),
            )
        )
    return entries


def _tell_ignored(span: Span, text: str, tool: Tool, problems: Diagnostics) -> None:
    if tool is not DEFAULT and DEFAULT.entry.fullmatch(text):
        hint = f"a blank behind the colon: {tool.name} wants one"
        problems.warning(span, f"{tool.name} ignores this line", code="procfile-line", hint=hint)
        return
    if re.fullmatch(r"[A-Za-z0-9_-]+:\s*", text):
        hint = "write the command behind the colon, or put a # before the line"
        problems.warning(span, "an entry without a command is ignored", code="procfile-line", hint=hint)
        return
    hint = "an entry is `name: command`, on one line; a comment begins with #"
    if _NEARLY.match(text):
        hint = "the name begins the line, and has letters, digits, - and _ only: name: command"
    problems.warning(
        span, "this line is no entry: all Procfile tools ignore it", code="procfile-line", hint=hint
    )
