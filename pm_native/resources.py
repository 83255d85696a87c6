"""Where the files that are data live: the unit layouts of templates/, the shipped units of units/."""

from __future__ import annotations

from functools import cache
from pathlib import Path


@cache
def data_directory(name: str) -> Path:
    """The directory `name` (`templates` or `units`): package data where installed, the top level in a checkout."""
    package = Path(__file__).parent
    for candidate in (package / "_data" / name, package.parent / name):
        if candidate.is_dir():
            return candidate
    raise FileNotFoundError(f"the installation of pm-native lacks its {name}/ directory")
