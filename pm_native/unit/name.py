"""Unit names, and the two service managers that can hold them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

# systemd.unit(5): the valid characters of a unit name, and its length with the suffix.
NAME_MAX = 255
_VALID = re.compile(r"[A-Za-z0-9:_.\\-]+")


class Scope(StrEnum):
    """Which service manager runs the units: PID 1, or the one of the calling user."""

    SYSTEM = "system"
    USER = "user"


class UnitType(StrEnum):
    """The kinds of unit that pm-native makes."""

    SERVICE = "service"
    SOCKET = "socket"
    TARGET = "target"
    TIMER = "timer"
    SLICE = "slice"
    PATH = "path"


@dataclass(frozen=True, slots=True, order=True)
class UnitName:
    """A unit name. `instance` None: a plain unit; "": a template; else an instance of it."""

    prefix: str
    type: UnitType
    instance: str | None = None

    def __post_init__(self) -> None:
        for part in (self.prefix, *([self.instance] if self.instance else [])):
            if not _VALID.fullmatch(part):
                raise ValueError(f"not valid in a unit name: {part!r}")
        if len(str(self)) > NAME_MAX:
            raise ValueError(f"a unit name is at most {NAME_MAX} characters long: {str(self)!r}")

    def __str__(self) -> str:
        if self.instance is None:
            return f"{self.prefix}.{self.type.value}"
        return f"{self.prefix}@{self.instance}.{self.type.value}"

    @property
    def is_template(self) -> bool:
        """Whether this names a template, which cannot be started itself."""
        return self.instance == ""

    @property
    def template(self) -> UnitName:
        """The template of an instance; a plain unit's own name."""
        return self if self.instance is None else UnitName(self.prefix, self.type, "")

    def instantiate(self, instance: str) -> UnitName:
        """The unit that `instance` names of this template."""
        if not self.is_template:
            raise ValueError(f"{self} is not a template")
        return UnitName(self.prefix, self.type, instance)


def parse_unit_name(text: str) -> UnitName:
    """The unit name in `text`; ValueError where it is none that pm-native makes."""
    stem, dot, suffix = text.rpartition(".")
    if not dot or suffix not in UnitType.__members__.values():
        raise ValueError(f"not a unit name: {text!r}")
    prefix, at, instance = stem.partition("@")
    return UnitName(prefix, UnitType(suffix), instance if at else None)


def escape_slice_part(name: str) -> str:
    r"""`name` as one level of a slice's name: "-" separates levels there (systemd.slice(5)), so it is escaped.

    >>> escape_slice_part("api-v2")
    'api\\\\x2dv2'
    """
    return name.replace("\\", "\\x5c").replace("-", "\\x2d")
