"""The values of a section: its variables filled in as circus does, and typed, each wrong one told once."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pm_native.errors import did_you_mean
from pm_native.model.quantity import QuantityError, parse_signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pm_native.errors import Diagnostics, Span
    from pm_native.syntax import IniEntry, IniSection

_VARIABLE = re.compile(r"\$\(circus\.([\w.-]+)\)|\(\(circus\.([\w.-]+)\)\)", re.IGNORECASE)
_TRUE, _FALSE = frozenset({"yes", "true", "on", "1"}), frozenset({"no", "false", "off", "0"})
_NUMBER = re.compile(r"\s*[+-]?\d{1,12}(?:\.\d{0,6})?\s*")


@dataclass(slots=True)
class Values:
    """The entries of one section. `variables` are what `$(circus.NAME)` can name, in small letters."""

    section: IniSection
    variables: Mapping[str, str]
    problems: Diagnostics

    def entry(self, key: str) -> IniEntry | None:
        """The entry of this key."""
        return self.section.get(key)

    def place(self, key: str) -> Span:
        """Where the value of this key stands; the section, where it is not set."""
        entry = self.section.get(key)
        return entry.span if entry else self.section.span

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

    def flag(self, key: str, *, default: bool) -> bool:
        """A boolean."""
        text = self.text(key)
        if text is None:
            return default
        word = text.strip().lower()
        if word not in _TRUE | _FALSE:
            self._wrong(key, "true or false", text)
            return default
        return word in _TRUE

    def number(self, key: str, default: float, least: float = 0) -> float:
        """A number, of at least `least`."""
        text = self.text(key)
        if text is None:
            return default
        if not _NUMBER.fullmatch(text):
            self._wrong(key, "a number", text)
            return default
        value = float(text)
        if value < least:
            message = f"{key} is at least {least:g}, not {value:g}"
            self.problems.error(self.place(key), message, code="out-of-range", hint=f"{least:g} or more")
            return default
        return value

    def signal(self, key: str) -> str:
        """A signal by name or number."""
        text = self.text(key)
        try:
            return parse_signal((text or "TERM").strip())
        except QuantityError as error:
            self.problems.error(
                self.place(key), f"{key}: {error.message}", code="bad-signal", hint=error.hint
            )
            return "SIGTERM"

    def octal(self, key: str) -> int | None:
        """A number in octal."""
        text = self.text(key)
        if text is None:
            return None
        if not re.fullmatch(r"\s*(?:0o)?[0-7]{1,6}\s*", text):
            self._wrong(key, "an octal number such as 022", text)
            return None
        return int(text, 8)

    def tell_unknown(self, known: frozenset[str], open_keys: tuple[str, ...], what: str) -> None:
        """A warning for each key that circus does not know there: it takes any."""
        for entry in self.section.entries.values():
            if entry.key not in known and not entry.key.startswith(open_keys or ("\0",)):
                message = f"circus has no key {entry.key!r} in {what}: it keeps it and does nothing with it"
                hint = _MEANT.get(entry.key) or did_you_mean(entry.key, known) or "take it out"
                self.problems.warning(entry.key_span, message, code="circus-unknown-key", hint=hint)

    def _wrong(self, key: str, expected: str, found: str) -> None:
        message = f"{key}: expected {expected}, found {found!r}"
        self.problems.error(
            self.place(key), message, code="bad-value", hint="circusd does not start with this value"
        )


_MEANT = {
    "user": "did you mean 'uid'?",
    "group": "did you mean 'gid'?",
    "command": "did you mean 'cmd'?",
    "directory": "did you mean 'working_dir'?",
    "environment": "variables stand in a section of their own: [env:NAME]",
}
