"""The values of a section: its variables filled in as circus does, and typed, each wrong one told once."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from pm_native.errors import did_you_mean
from pm_native.importers.ini import SectionValues

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pm_native.syntax import IniEntry

_VARIABLE = re.compile(r"\$\(circus\.([\w.-]+)\)|\(\(circus\.([\w.-]+)\)\)", re.IGNORECASE)
_NUMBER = re.compile(r"\s*[+-]?\d{1,12}(?:\.\d{0,6})?\s*")


@dataclass(slots=True)
class Values(SectionValues):
    """The entries of one section. `variables` are what `$(circus.NAME)` can name, in small letters."""

    variables: Mapping[str, str]
    refusal: ClassVar[str] = "circusd does not start with this value"

    def text(self, key: str, variables: Mapping[str, str] | None = None) -> str | None:
        """The value with its variables filled in; None where it is not set."""
        entry = self.section.get(key)
        return self.filled(entry, variables or self.variables) if entry else None

    def filled(self, entry: IniEntry, variables: Mapping[str, str]) -> str:
        """The value of an entry with its variables filled in; what is not known is an error, and stays."""
        if "circus." not in entry.value.lower():
            return entry.value

        def one(match: re.Match[str]) -> str:
            name = (match[1] or match[2]).lower()
            if name in variables:
                return variables[name]
            span = entry.part(match.start(), match.end())
            if name.startswith("env."):
                written = (match[1] or match[2])[4:]
                message = f"the variable {written} is not set here: circus leaves the text as it is"
                hint = (
                    f"set it for this run, as it was for circusd: {written}=... pm-native ...; or in [env]"
                )
            else:
                message = f"circus knows no {name!r} to fill in here"
                hint = did_you_mean(name, variables) or "circus.env.NAME, circus.wid, circus.sockets.NAME"
            self.problems.error(span, message, code="circus-variable", hint=hint)
            return match[0]

        return _VARIABLE.sub(one, entry.value)

    def number(self, key: str, default: float, least: float = 0) -> float:
        """A number, of at least `least`."""
        value = self.typed(key, _number, "a number")
        if not isinstance(value, float):
            return default
        if value < least:
            message = f"{key} is at least {least:g}, not {value:g}"
            self.problems.error(self.place(key), message, code="out-of-range", hint=f"{least:g} or more")
            return default
        return value

    def tell_unknown(self, known: frozenset[str], open_keys: tuple[str, ...], what: str) -> None:
        """A warning for each key that circus does not know there: it takes any."""
        for entry in self.section.entries.values():
            if entry.key not in known and not entry.key.startswith(open_keys or ("\0",)):
                message = f"circus has no key {entry.key!r} in {what}: it keeps it and does nothing with it"
                hint = _MEANT.get(entry.key) or did_you_mean(entry.key, known) or "take it out"
                self.problems.warning(entry.key_span, message, code="circus-unknown-key", hint=hint)


def _number(text: str) -> float | None:
    return float(text) if _NUMBER.fullmatch(text) else None


_MEANT = {
    "user": "did you mean 'uid'?",
    "group": "did you mean 'gid'?",
    "command": "did you mean 'cmd'?",
    "directory": "did you mean 'working_dir'?",
    "environment": "variables stand in a section of their own: [env:NAME]",
}
