"""The values of a section: expanded as supervisord expands them, and typed, each wrong one told once."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from pm_native.errors import did_you_mean
from pm_native.importers.ini import SectionValues
from pm_native.importers.pool import MARK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pm_native.errors import Diagnostics
    from pm_native.syntax import IniEntry

_FORMAT = re.compile(
    r"%(?:%|\((?P<name>[^()]*)\)(?P<format>[-+ #0]{0,5}\d{0,3}(?:\.\d{0,3})?[diouxXeEfFgGcrsa])|)"
)
_SIZE = re.compile(r"\s*(\d{1,12})\s*([kmg]b)?\s*", re.IGNORECASE)
_UNITS = {"": 1, "kb": 1 << 10, "mb": 1 << 20, "gb": 1 << 30}
_INTEGER = re.compile(r"\s*[+-]?\d{1,9}\s*")
NUMBER = "process_num"


@dataclass(slots=True)
class Names:
    """What `%(...)s` can name. `environment` are the variables that `ENV_` names.

    With `is_pool` a process_num stays open: MARK, its format, MARK. `used` gets the `ENV_` names that were met.
    """

    values: dict[str, str | int]
    environment: Mapping[str, str]
    used: set[str]
    is_pool: bool = False


@dataclass(slots=True)
class Values(SectionValues):
    """The entries of one section, and what their expansions can name."""

    names: Names
    refusal: ClassVar[str] = "supervisord does not start with this value"

    def text(self, key: str, names: Names | None = None) -> str | None:
        """The expanded value; None where it is not set, and after adding an error."""
        entry = self.entry(key)
        return expand(entry, names or self.names, self.problems) if entry else None

    def integer(self, key: str, default: int, least: int = -999_999_999) -> int:
        """A whole number, of at least `least`."""
        value = self.typed(key, _integer, "a whole number")
        if not isinstance(value, int):
            return default
        if value < least:
            message = f"{key} is at least {least}, not {value}"
            self.problems.error(self.place(key), message, code="out-of-range", hint=f"{least} or more")
            return default
        return value

    def size(self, key: str, default: int) -> int:
        """A size in bytes, with KB, MB or GB."""
        value = self.typed(key, _size, "a size such as 50MB")
        return value if isinstance(value, int) else default

    def codes(self, key: str) -> tuple[int, ...]:
        """A list of exit codes."""
        value = self.typed(key, _codes, "exit codes such as 0,2")
        return value if isinstance(value, tuple) else (0,)

    def words(self, key: str) -> tuple[str, ...]:
        """A list of names between commas."""
        return tuple(word.strip() for word in (self.text(key) or "").split(",") if word.strip())

    def tell_unknown(self, known: frozenset[str], what: str) -> None:
        """A warning for each key that supervisord does not know there."""
        for entry in self.section.entries.values():
            if entry.key not in known:
                hint = did_you_mean(entry.key, known) or "take it out; it does nothing"
                message = f"supervisord has no key {entry.key!r} in {what} and ignores it"
                self.problems.warning(entry.key_span, message, code="supervisord-unknown-key", hint=hint)


def expand(entry: IniEntry, names: Names, problems: Diagnostics) -> str | None:
    """The value with its `%(...)s` filled in, as Python's % does; None after adding an error."""
    text = entry.value
    if "%" not in text:
        return text
    failed = False

    def filled(match: re.Match[str]) -> str:
        nonlocal failed
        if match[0] == "%%":
            return "%"
        found = _filled(match, names) if match["name"] is not None else None
        if found is None:
            failed = True
            _tell_expansion(entry, match, names, problems)
        return found or ""

    expanded = _FORMAT.sub(filled, text)
    return None if failed else expanded


def _filled(match: re.Match[str], names: Names) -> str | None:
    name, form = match["name"], match["format"]
    if name == NUMBER and names.is_pool:
        return f"{MARK}{form}{MARK}"
    value: str | int | None = names.values.get(name)
    if value is None and name.startswith("ENV_"):
        value = names.environment.get(name[4:])
        names.used.add(name[4:])
    if value is None:
        return None
    try:
        return f"%{form}" % value
    except (TypeError, ValueError, OverflowError):
        return None


def _tell_expansion(entry: IniEntry, match: re.Match[str], names: Names, problems: Diagnostics) -> None:
    name = match["name"]
    span = entry.part(match.start(), match.end())
    if name is None:
        message, hint = "a % that begins no %(name)s", "write %% for a percent sign"
    elif name.startswith("ENV_") and name[4:] not in names.environment:
        message = f"the variable {name[4:]} is not set here: supervisord does not start without it"
        hint = f"set it for this run, as it was for supervisord: {name[4:]}=... pm-native ..."
    elif name in names.values or name in {NUMBER, "numprocs"} or name.startswith("ENV_"):
        message = f"{match[0]} cannot be filled in here"
        hint = "process_num takes d, as in %(process_num)02d; all others take s; it counts in the keys of a program"
    else:
        message = f"supervisord knows no {name!r} to fill in"
        known = ", ".join(sorted(names.values))
        hint = (
            did_you_mean(name, names.values)
            or f"there are {known} and ENV_NAME; write %% for a percent sign"
        )
    problems.error(span, message, code="supervisord-expansion", hint=hint)


def _integer(text: str) -> int | None:
    return int(text) if _INTEGER.fullmatch(text) else None


def _size(text: str) -> int | None:
    match = _SIZE.fullmatch(text)
    return int(match[1]) * _UNITS[(match[2] or "").lower()] if match else None


def _codes(text: str) -> tuple[int, ...] | None:
    words = text.split(",") if text else []
    codes = [_integer(word) for word in words]
    if any(code is None or not 0 <= code <= 255 for code in codes):
        return None
    return tuple(sorted({code for code in codes if code is not None}))
