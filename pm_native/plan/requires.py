"""Which units systemd takes along when another one stops or restarts, by what their files and drop-ins say."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pm_native.compile.bundle import BundleFile, BundleUnit
    from pm_native.plan.model import DropIn

_SETTINGS = re.compile(r"^[ \t]*(?:Requires|Requisite|BindsTo|PartOf)[ \t]*=(.*)$", re.MULTILINE)
# Quicker than the expression, and nearly every unit file has none.
_SIGNS = ("Requires", "Requisite", "BindsTo", "PartOf")


def requirements(
    units: Mapping[str, BundleUnit], files: Mapping[str, BundleFile], drop_ins: tuple[DropIn, ...]
) -> dict[str, tuple[str, ...]]:
    """For each of the units those among them that it stops and restarts with, at one remove.

    Targets are left out: all is part of one, it comes after all, and no plan stops one that stays.
    """
    by_file = {name: tuple(_names(item.text)) for name, item in files.items()}
    by_drop_in: dict[str, list[str]] = {}
    for item in drop_ins:
        for name in _names(item.text or ""):
            for owner in item.units:
                by_drop_in.setdefault(owner, []).append(name)
    found: dict[str, tuple[str, ...]] = {}
    for name, unit in units.items():
        instance = name.rpartition(".")[0].partition("@")[2]
        said = (*by_file.get(unit.file, ()), *by_drop_in.get(name, ()))
        named = (*unit.requires, *(word.replace("%i", instance) for word in said))
        found[name] = tuple(
            dict.fromkeys(
                word for word in named if word in units and word != name and not word.endswith(".target")
            )
        )
    return found


def _names(text: str) -> Iterator[str]:
    if any(sign in text for sign in _SIGNS):
        for match in _SETTINGS.finditer(text):
            yield from match[1].split()
