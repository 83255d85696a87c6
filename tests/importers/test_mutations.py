"""Files of ours with a piece cut out, doubled, moved or spoiled: an importer answers with diagnostics."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pm_native.importers.registry import importer
from tests.importers.test_properties import check, load

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

CASES = Path(__file__).parent.parent / "cases" / "importers"
SPOILS = [
    b"",
    b"\0",
    b"\xff",
    b"%",
    b"%(",
    b"$(",
    b'"',
    b"'",
    b"[",
    b"]",
    b"{",
    b"}",
    b"=",
    b":",
    b"\n",
    b"\n  ",
    b"\t",
    b"#",
    b"&a",
    b"*a",
    b"- ",
    b"9" * 30,
]


def sources() -> Iterator[tuple[str, Path]]:
    """Per format the longest of its files that is read without running it."""
    for folder in sorted(CASES.iterdir()):
        found = importer(folder.name)
        files = [
            path
            for path in folder.glob("*/*")
            if path.is_file() and found.recognises(path) and path.suffix not in {".js", ".cjs", ".mjs"}
        ]
        if files:
            yield folder.name, max(files, key=lambda path: path.stat().st_size)


@pytest.mark.parametrize(("name", "path"), [pytest.param(*item, id=item[0]) for item in sources()])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_no_mutation_makes_an_importer_fail(name: str, path: Path, data: st.DataObject) -> None:
    text = path.read_bytes()
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        end = min(len(text), start + data.draw(st.integers(0, 60)))
        piece = data.draw(st.sampled_from(SPOILS) | st.just(text[start:end] * 2) | st.just(text[:40]))
        text = text[:start] + piece + text[end:]
    check(*load(importer(name), path.name, text))
