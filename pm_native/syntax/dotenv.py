"""Environment files to nodes, as each tool reads them: the same line means different things to different tools.

How each reads is in `dotenv_dialects`; here that becomes nodes and diagnostics, line by line. No diagnostic
quotes a value: environment files hold secrets.
"""

from __future__ import annotations

import re

from pm_native.syntax.dotenv_dialects import MAX_BYTES, READERS, Dialect, Line, too_long
from pm_native.syntax.node import Node
from pm_native.syntax.places import BOM, Places, has_surrogate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pm_native.errors import Diagnostics, Source, Span
    from pm_native.syntax.dotenv_dialects import Finding

__all__ = ["Dialect", "parse_dotenv"]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)[^}\s]*\}|\$\([^)\n]*\)")
_PRINTABLE_NAME = re.compile(r"[\w.-]+")


def parse_dotenv(
    source: Source, problems: Diagnostics, *, dialect: Dialect = Dialect.DOTENV
) -> dict[str, Node]:
    """The variables of an environment file as the dialect reads it, each a text; wrong lines are left out.

    Errors: a name that no variable can have, a quote that is not closed, NUL, more
    than a program can be given. Warnings: a line that the
    dialect passes over or reads otherwise than most tools, a name set twice (the last counts). Notes:
    references that stay as they are.
    """
    places = Places(source)
    if has_surrogate(places, problems):
        return {}
    text = source.text
    if text.startswith(BOM):
        text = " " + text[1:]
    lines, findings = READERS[dialect](text)
    usual = lines if dialect is Dialect.DOTENV else READERS[Dialect.DOTENV](text)[0]
    checker = _Checker(places, problems, dialect, usual)
    events: list[Line | Finding] = [*lines, *findings]
    for event in sorted(events, key=lambda event: event.at):
        if isinstance(event, Line):
            checker.take(event)
        else:
            checker.tell(event)
    return checker.found


class _Checker:
    """Turns what a reader found into nodes and diagnostics."""

    def __init__(self, places: Places, problems: Diagnostics, dialect: Dialect, usual: list[Line]) -> None:
        self.places = places
        self.problems = problems
        self.dialect = dialect
        self.found: dict[str, Node] = {}
        self._usual = {(line.key, line.at): line.value for line in usual}

    def tell(self, finding: Finding) -> None:
        """Take in what is wrong with a line."""
        add = self.problems.error if finding.is_error else self.problems.warning
        span = self.places.span(finding.at, finding.end)
        add(span, finding.message.format(tool=self.dialect), code=finding.code, hint=finding.hint)

    def take(self, line: Line) -> None:
        """Take in a variable."""
        key = self.places.span(line.at, line.at + len(line.key))
        span = self.places.span(line.start, line.end)
        if not _NAME.fullmatch(line.key):
            hint = "a name has letters, digits and _, and does not begin with a digit"
            name = f"the name {line.key}" if _PRINTABLE_NAME.fullmatch(line.key) else "this name"
            message = f"no variable can have {name}"  # with other characters it may be a part of a value
            self.problems.error(key, message, code="env-name", hint=hint)
            return
        if "\0" in line.value:
            self.problems.error(span, "a NUL byte: no variable can hold one", code="nul-character")
            return
        if len(f"{line.key}={line.value}".encode()) >= MAX_BYTES:
            self.tell(too_long(line.start, line.end))
            return
        if line.key in self.found:
            hint = f"it is set at {self.found[line.key].key}; the last one counts"
            self.problems.warning(key, f"{line.key} is set twice", code="duplicate-key", hint=hint)
        self._compare(line, span)
        self.found[line.key] = Node(line.value, span, key)

    def _compare(self, line: Line, span: Span) -> None:
        """Tell what the dialect makes of the line if that is not what its author may expect."""
        if line.expanded:
            return
        usual = self._usual.get((line.key, line.at))
        if usual != line.value:
            message = f"{self.dialect} {_difference(line.value, usual)}"
            hint = "write the value so that all tools agree: in quotes, on one line, without a backslash"
            self.problems.warning(span, message, code="env-differs", hint=hint)
        reference = None if line.literal else _REFERENCE.search(line.value)
        if reference:
            hint = "write out what it stands for, or quote the value with ' if the text itself is meant"
            shown = f"${{{reference[1]}}}" if reference[1] else "$(...)"
            self.problems.note(span, f"{shown} stays as it is", code="env-not-expanded", hint=hint)


def _difference(value: str, usual: str | None) -> str:
    """What sets the value apart from what most tools read, without a word of it."""
    if usual is None:
        return "takes this line, most tools refuse it"
    if value.startswith(usual) and value[len(usual) :].lstrip().startswith("#"):
        return "keeps the comment as a part of the value"
    if usual.startswith(value) and usual[len(value) :].startswith("#"):
        return "takes a # in the value for a comment"
    if value.rstrip() == usual:
        return "keeps the spaces behind the value"
    if value.lstrip() == usual:
        return "keeps the spaces before the value"
    if "".join(value.split()) == "".join(usual.split()):
        return "takes spaces out of the value"
    if value[1:-1] == usual or (value[:1] in "\"'" and value[:1] != usual[:1]):
        return "keeps the quotes as a part of the value"
    if value.replace("\\", "") == usual.replace("\\", "") or "\\" in value + usual:
        return "reads the backslashes in the value otherwise than most tools"
    return "reads this value otherwise than most tools"
