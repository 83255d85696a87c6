"""Fixtures that state what they expect: a folder with a config, and `expected.txt` with all that comes of it.

`PM_NATIVE_ACCEPT=1` writes what came: for a person to read before it is committed.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from pm_native.importers.registry import importer, importers
from tests.importers.helpers import needs_node, text_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tests.importers.helpers import Read

CASES = Path(__file__).parent.parent / "cases" / "importers"
NAMES = sorted(str(path.parent.relative_to(CASES)) for path in CASES.glob("*/*/expected.txt"))
PROGRAM_SUFFIXES = {".js", ".cjs", ".mjs"}


@pytest.mark.parametrize("name", NAMES)
def test_case(name: str, tmp_path: Path, read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(4)))
    monkeypatch.setattr(os, "sysconf", {"SC_PHYS_PAGES": 1 << 21, "SC_PAGE_SIZE": 4096}.__getitem__)
    found = importer(name.partition("/")[0])
    folder = tmp_path / "shop"
    shutil.copytree(CASES / name, folder)
    (folder / "expected.txt").unlink()
    options = folder / "options.json"
    given = json.loads(options.read_text()) if options.exists() else {}
    usual = next((path for path in sorted(folder.iterdir()) if found.recognises(path)), folder)
    path = folder / given.pop("file") if "file" in given else usual
    if path.suffix in PROGRAM_SUFFIXES:
        needs_node()
    extra = {key: value.replace("$DIR", str(folder)) for key, value in given.pop("environ", {}).items()}
    text = text_of(*read(found, path, extra, **given), folder)
    expected = CASES / name / "expected.txt"
    if os.environ.get("PM_NATIVE_ACCEPT"):
        expected.write_text(text)
    assert text == expected.read_text()


def test_there_are_cases_of_each_importer() -> None:
    assert {name.partition("/")[0] for name in NAMES} == {found.name for found in importers()}
