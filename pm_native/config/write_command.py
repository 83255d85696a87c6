"""A command as a person would write it into a config."""

from __future__ import annotations

import shlex

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pm_native.syntax.toml_write import Value

    Values = dict[str, Value]

_STRING_MAX = 100  # a longer command reads better as a list
_QUOTED_MAX = 2
_KNOT = "'\"'\"'"  # a quote within quotes
_MEANS_SOMETHING = frozenset({"|", "||", "&", "&&", ";", ">", ">>", "<", "2>", "2>&1"})


def command_values(command: tuple[str, ...]) -> Values:
    """`command`, as a string where that reads well, and `shell` where it is a line of /bin/sh."""
    if command[:2] == ("/bin/sh", "-c") and len(command) == 3 and command[2].strip():
        return {"command": command[2], "shell": True}
    return {"command": command_text(command)}


def command_text(command: tuple[str, ...]) -> str | list[str]:
    """A command as one string, if it splits into the same words and needs few quotes; else as a list."""
    text = shlex.join(command)
    quoted = sum(shlex.quote(word) != word for word in command)
    reads_well = (
        len(text) <= _STRING_MAX and quoted <= _QUOTED_MAX and text.isprintable() and _KNOT not in text
    )
    return text if reads_well and not _MEANS_SOMETHING & set(command) else list(command)
