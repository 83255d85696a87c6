"""Compiled sets as systemd-analyze can check them: with programs that are there."""

from __future__ import annotations

import re

from tests.cases.case import compile_case, load_cases
from tests.compile.fakes import PROGRAMS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

    from tests.cases.case import Case

# What stands for a program in a command: the fake host's programs are on no real one.
_PROGRAMS = re.compile(
    "|".join(
        re.escape(path.replace("%", "%%"))
        for path in sorted(PROGRAMS, key=len, reverse=True)
        if path != "/bin/sh"
    )
)


def verifiable_cases(version: int) -> list[Case]:
    """The cases that compile without errors, for this version of systemd."""
    found = load_cases("compile") + load_cases("config") + load_cases("config", ".yaml")
    return [
        case
        for case in found
        if case.options.systemd_version <= version
        and not case.options.allow_missing
        and compile_case(case)[0] is not None
    ]


def verifiable_units(case: Case) -> dict[str, str]:
    """The unit files of a case by name, each program replaced by one that every host has."""
    return {
        name: _PROGRAMS.sub("/usr/bin/true", text)
        for name, text in case.expected_files.items()
        if not name.endswith((".env", ".json"))
    }


def verify_words(case: Case, folder: Path | str) -> list[str]:
    """The command that checks all units of a case, in `folder`, at once; its environment comes first."""
    units = sorted(verifiable_units(case))
    return [
        "env",
        f"SYSTEMD_UNIT_PATH={folder}:",  # the colon: and where systemd's own units are
        "systemd-analyze",
        f"--{case.options.scope}",
        "--man=no",
        "--recursive-errors=yes",
        "verify",
        *(f"{folder}/{name}" for name in units),
    ]
