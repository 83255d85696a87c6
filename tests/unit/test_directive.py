"""The table of directives against the systemd of this machine, and the ones that the compiler writes against it."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

import pytest

from pm_native.unit.directive import COMPILED, OLDEST_SYSTEMD, SECTIONS, find_directive, known_directives

SYSTEMD = next(
    (path for path in ("/usr/lib/systemd/systemd", "/lib/systemd/systemd") if Path(path).exists()), ""
)
# What systemd reads and ignores: directives of versions before, and those that it was built without.
IGNORED = "NOTSUPPORTED"


@cache
def dumped() -> tuple[int, dict[str, dict[str, str]]]:
    """The version of this machine's systemd, and its directives by section, each with its type."""
    if not SYSTEMD:
        pytest.skip("no systemd on this machine")
    words = subprocess.check_output([SYSTEMD, "--version"], text=True).split()
    text = subprocess.check_output([SYSTEMD, "--dump-configuration-items"], text=True)
    sections: dict[str, dict[str, str]] = {}
    section = ""
    for line in text.splitlines():
        if line.startswith("["):
            section = line[1:-1]
        elif line:
            name, _, kind = line.partition("=")
            sections.setdefault(section, {})[name] = kind
    return int(words[1].partition(".")[0]), sections


@pytest.mark.parametrize("section", SECTIONS)
def test_table_has_what_this_systemd_has(section: str) -> None:
    version, sections = dumped()
    theirs = {name for name, kind in sections.get(section, {}).items() if kind != IGNORED}
    ours = {name for name, since in known_directives(section).items() if since <= version}
    assert (sorted(theirs - ours), sorted(ours - theirs)) == ([], [])


@pytest.mark.parametrize("key", COMPILED, ids="-".join)
def test_compiled_directives_agree_with_the_table(key: tuple[str, str]) -> None:
    section, name = key
    # Versions before the oldest that is compiled for are all the same.
    since = max(known_directives(section)[name], OLDEST_SYSTEMD)
    assert since == max(COMPILED[key].since, OLDEST_SYSTEMD)


def test_contexts_are_shared_as_in_systemd() -> None:
    sections = {
        name: [section for section in SECTIONS if find_directive(section, name) is not None]
        for name in (
            "ExecStart",
            "MemoryMax",
            "LimitCORE",
            "KillMode",
            "OnCalendar",
            "Description",
            "Nonsense",
        )
    }
    assert sections == {
        "ExecStart": ["Service"],
        "MemoryMax": ["Service", "Socket", "Slice"],
        "LimitCORE": ["Service", "Socket"],
        "KillMode": ["Service", "Socket"],
        "OnCalendar": ["Timer"],
        "Description": ["Unit"],
        "Nonsense": [],
    }


def test_names_of_directives_are_exact() -> None:
    assert find_directive("Service", "execstart") is None
