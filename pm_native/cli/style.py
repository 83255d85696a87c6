"""Colour, and when there is none: NO_COLOR, FORCE_COLOR, TERM=dumb, not a terminal."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

_CODES = {"red": "31", "green": "32", "yellow": "33", "blue": "34", "cyan": "36", "bold": "1", "dim": "2"}


def has_colour(stream: TextIO) -> bool:
    """Whether to colour what goes to `stream` (no-color.org; FORCE_COLOR wins over the terminal's nature)."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return is_terminal(stream)


def is_terminal(stream: TextIO) -> bool:
    """Whether a line that was written to `stream` can be drawn anew."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


class Style:
    """Paints text for one stream, or leaves it as it is."""

    def __init__(self, stream: TextIO) -> None:
        self._on = has_colour(stream)

    def __call__(self, text: str, *names: str) -> str:
        """The text in these colours and weights, where the stream shows them."""
        if not self._on or not names or not text:
            return text
        return f"\x1b[{';'.join(_CODES[name] for name in names)}m{text}\x1b[0m"
