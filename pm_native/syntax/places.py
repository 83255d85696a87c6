"""What all the parsers share: offsets to spans, the bounds, and the problems every format can have."""

from __future__ import annotations

import re
from bisect import bisect_right

from pm_native.errors import Span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pm_native.errors import Diagnostics, Source

MAX_DEPTH = 64  # what walks a tree recurses: this keeps it far from Python's own limit
BOM = "\ufeff"

SURROGATE = re.compile("[\ud800-\udfff]")


class StopParsingError(Exception):
    """The text cannot be read on; why has been added to the diagnostics. Never leaves this package."""


class Places:
    """Turns offsets into the text of a source into spans."""

    __slots__ = ("source", "starts", "text")

    def __init__(self, source: Source) -> None:
        self.source = source
        self.text = source.text
        self.starts = [0, *(match.end() for match in re.finditer("\n", source.text))]

    def span(self, start: int, end: int) -> Span:
        """The place of text[start:end]; of several lines the first, to its end. At least one column wide."""
        starts = self.starts
        line = bisect_right(starts, start)
        begin = starts[line - 1]
        if line < len(starts) and end >= starts[line]:
            end = begin + len(self.text[begin : starts[line] - 1].removesuffix("\r"))
        return Span(self.source, line, start - begin + 1, max(end, start + 1) - begin + 1)

    def offset(self, line: int, column: int) -> int:
        """The offset of a place given as line and column, both from 1."""
        return self.starts[line - 1] + column - 1

    def line_at(self, offset: int) -> int:
        """The number of the line that holds the offset."""
        return bisect_right(self.starts, offset)

    def last(self) -> Span:
        """The place of the last character that is not white space: where to point at the end of a text."""
        end = len(self.text.rstrip())
        return self.span(max(end - 1, 0), end)


def has_surrogate(places: Places, problems: Diagnostics) -> bool:
    """Whether the text itself holds a surrogate, which is added as an error: no UTF-8 file can."""
    match = SURROGATE.search(places.text)
    if match:
        add_surrogate(problems, places.span(match.start(), match.end()), ord(match[0]))
    return match is not None


def add_surrogate(problems: Diagnostics, span: Span, code_point: int) -> None:
    """Add the error for half of a surrogate pair."""
    problems.error(
        span,
        f"U+{code_point:04X} is half of a surrogate pair and no character",
        code="lone-surrogate",
        hint="write the character itself",
    )


def add_too_deep(problems: Diagnostics, span: Span) -> None:
    """Add the error for values nested deeper than `MAX_DEPTH`."""
    problems.error(span, f"nested more than {MAX_DEPTH} levels deep", code="too-deep")


def add_control_character(problems: Diagnostics, span: Span, character: str, hint: str) -> None:
    """Add the error for a control character that stands where the format allows none."""
    problems.error(span, f"control character U+{ord(character):04X}", code="control-character", hint=hint)
