"""Which units systemd takes along when another one stops or restarts, by what their files and drop-ins say."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pm_native.compile.bundle import BundleUnit
    from pm_native.plan.model import DropIn

_SETTINGS = re.compile(r"^[ \t]*(Requires|Requisite|BindsTo|PartOf)[ \t]*=(.*)$", re.MULTILINE)
# Quicker than the expression, and nearly every unit file has none.
_SIGNS = ("Requires", "Requisite", "BindsTo", "PartOf")
_BOUND = "BindsTo"


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirements:
    """What each unit requires of the others, and what it is bound to: whose end, however it comes, is its own."""

    of: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    bound: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def requirements(
    units: Mapping[str, BundleUnit], texts: Mapping[str, str], drop_ins: tuple[DropIn, ...]
) -> Requirements:
    """For each of the units those among them that it stops and restarts with, at one remove; `texts` are by file name.

    Targets are left out: all is part of one, it comes after all, and no plan stops one that stays.
    """
    by_file = {name: tuple(_names(text)) for name, text in texts.items()}
    by_drop_in: dict[str, list[tuple[str, str]]] = {}
    for item in drop_ins:
        for said in _names(item.text or ""):
            for owner in item.units:
                by_drop_in.setdefault(owner, []).append(said)
    found: dict[str, tuple[str, ...]] = {}
    bound: dict[str, tuple[str, ...]] = {}
    for name, unit in units.items():
        instance = name.rpartition(".")[0].partition("@")[2]
        named = [("", word) for word in unit.requires]
        named += [
            (key, word.replace("%i", instance))
            for key, word in (*by_file.get(unit.file, ()), *by_drop_in.get(name, ()))
        ]
        known = [
            (key, word)
            for key, word in named
            if word in units and word != name and not word.endswith(".target")
        ]
        found[name] = tuple(dict.fromkeys(word for _, word in known))
        if ends := tuple(word for key, word in known if key == _BOUND):
            bound[name] = ends
    return Requirements(of=found, bound=bound)


def _names(text: str) -> Iterator[tuple[str, str]]:
    """The words of these settings, each with its key."""
    if any(sign in text for sign in _SIGNS):
        for match in _SETTINGS.finditer(text):
            yield from ((match[1], word) for word in match[2].split())
