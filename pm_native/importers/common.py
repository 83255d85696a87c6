"""What several importers know: templates that nobody has filled in, log targets, programs that stand before others."""

from __future__ import annotations

import re
from hashlib import sha256

from pm_native.errors import Span
from pm_native.model.project import JOURNAL, NULL
from pm_native.model.record import SourceFile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

    from pm_native.errors import Diagnostics, Source

# Jinja, Django, ERB, Mustache; not Go's `{{.Name}}`, which programs take as an argument.
TEMPLATE_TAG = re.compile(r"<%.*?%>|\{%.*?%\}|\{\{[#/^>!&{]?\s*[A-Za-z_][\w.-]*(?:\s*\|[^}]*)?\s*\}\}")
# Programs that stand in front of another one and do not always hand a signal on.
WRAPPERS = frozenset({"sh", "bash", "dash", "ksh", "zsh", "npm", "npx", "yarn", "pnpm", "make"})
_JOURNAL_PATHS = frozenset(
    f"{folder}/{name}"
    for folder, names in (
        ("/dev", ("stdout", "stderr", "fd/1", "fd/2")),
        ("/proc/self/fd", ("1", "2")),
        ("/proc/1/fd", ("1", "2")),
    )
    for name in names
)


def refuse_template(source: Source, problems: Diagnostics, *, what: str) -> bool:
    """Whether the text is a template for `what` that nobody has filled in, which is added as an error."""
    for number, line in enumerate(source.text.split("\n"), 1):
        if line.lstrip()[:1] in {"#", ";"}:
            continue
        if tag := TEMPLATE_TAG.search(line):
            span = Span(source, number, tag.start() + 1, tag.end() + 1)
            message = f"this is a template for {what}: {tag[0]}"
            hint = "fill it in first, and give the result"
            problems.error(span, message, code="template", hint=hint)
            return True
    return False


def log_target(path: str) -> str:
    """Where output for this path goes: what stands for the manager's own output is the journal."""
    if path in _JOURNAL_PATHS:
        return JOURNAL
    return NULL if path == "/dev/null" else path


def is_wrapper(word: str) -> bool:
    """Whether the program of this name or path runs another one and may not hand a signal on to it."""
    return word.rpartition("/")[2] in WRAPPERS


def source_file(path: Path) -> SourceFile:
    """The record of a file that was read."""
    return SourceFile(path=str(path.absolute()), sha256=sha256(path.read_bytes()).hexdigest())
