"""The hand-written units of units/ as units of a project's own, with the path of this installation in them."""

from __future__ import annotations

from pm_native.resources import data_directory
from pm_native.unit.file import Setting
from pm_native.unit.parse import parse_unit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pm_native.errors import Span
    from pm_native.unit.file import Text

    # The words that a setting has in the project's unit; None: it is left out.
    Change = Callable[[Setting], tuple[Text, ...] | None]


def shipped_sections(name: str, span: Span, change: Change) -> dict[str, list[Setting]]:
    """The sections of a file of units/; `change` says what differs."""
    file = data_directory("units") / name
    sections: dict[str, list[Setting]] = {}
    for section, settings in parse_unit(file.read_text(encoding="utf-8")).sections:
        sections[section] = [
            Setting(item.directive, words, item.prefix, span, f"{file.name} of pm-native")
            for item in settings
            if (words := change(item)) is not None
        ]
    return sections
