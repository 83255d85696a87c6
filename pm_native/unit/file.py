"""The unit IR: a unit file as typed values, before it is text and after it was."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from pm_native.errors import NOWHERE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pm_native.errors import Span
    from pm_native.unit.directive import Directive


class Specifier(NamedTuple):
    """A specifier that is meant (`%i`); a `%` in a plain string is a percent sign and stays one."""

    letter: str


INSTANCE = Specifier("i")
UNIT_NAME = Specifier("n")
RUNTIME_DIRECTORY = Specifier("t")  # /run, or the user's
CONFIGURATION_DIRECTORY = Specifier("E")  # /etc, or the user's ~/.config

Text = str | tuple[str | Specifier, ...]


@dataclass(frozen=True, slots=True)
class Setting:
    """A directive with its value: `words` as systemd will have them after unquoting, none to reset the directive.

    `prefix` holds the special characters before a command (systemd.service(5)). `origin` is the place in the
    source that asked for the setting, `why` the rule that made it where no place did.
    """

    directive: Directive
    words: tuple[Text, ...]
    prefix: str = ""
    origin: Span = field(default=NOWHERE, compare=False)
    why: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class UnitFile:
    """A unit file: the lines of its header comment, then its sections in order."""

    header: tuple[str, ...]
    sections: tuple[tuple[str, tuple[Setting, ...]], ...]

    def settings(self) -> Iterator[Setting]:
        """All settings, in the order of the file."""
        for _, settings in self.sections:
            yield from settings
