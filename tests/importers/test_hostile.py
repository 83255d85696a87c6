"""Files that are huge, deep, endless or broken: an error soon, within little memory, and never a traceback."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from pm_native.errors import ConfigError, Diagnostics
from pm_native.importers.base import ImportOptions
from pm_native.importers.registry import importer
from tests.importers.test_properties import check

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

CASES = Path(__file__).parent.parent / "cases" / "importers"
SEEDS = [
    (kind, path)
    for kind, pattern in (
        ("compose", "*compose*.y*ml"),
        ("process-compose", "*compose*.y*ml"),
        ("tuix", "*.json"),
        ("procfile", "*Procfile*"),
    )
    for path in sorted((CASES / kind).glob(f"*/{pattern}"))
    if path.name != "options.json" and path.suffix != ".lock"
]
PARTS = [
    *("~", "[]", "{}", "-1", "1e99", "''", "${", "${A:-${B:?x}}", "$$", "&a ", "*a", "<<: *a", "- ", "  ", "\n", "\t"),
    *(":", "{{.X}}", "é", "\0", "9" * 20, "'", '"', "[[[", "a=b", "0x10", "!!str ", "=", "#"),
]  # fmt: skip
# Runs an importer with a bound on memory (300 MiB) and on time, and prints the first problem.
BOUNDED = """
import resource, sys
from pathlib import Path
from pm_native.errors import Diagnostics
from pm_native.importers.base import ImportOptions
from pm_native.importers.registry import importer
problems = Diagnostics()
path = Path(sys.argv[2])
project = importer(sys.argv[1]).load(path, path.name, ImportOptions(), problems)
errors = [item for item in problems if item.severity == "error"]
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
print(errors[0].code if errors else "none", peak)
"""


def mutated(text: str, chance: random.Random) -> str:
    for _ in range(chance.randint(1, 4)):
        start = chance.randrange(len(text) + 1)
        end = min(len(text), start + chance.randint(0, 30))
        text = text[:start] + chance.choice([chance.choice(PARTS), "", text[start:end] * 2]) + text[end:]
    return text


@pytest.mark.parametrize(("kind", "seed"), SEEDS, ids=[f"{kind}-{path.parent.name}" for kind, path in SEEDS])
def test_mutated_files_are_answered_with_diagnostics(kind: str, seed: Path, tmp_path: Path) -> None:
    chance = random.Random(str(seed.relative_to(CASES)))  # noqa: S311 - the same files in every run
    path = tmp_path / seed.name
    for _ in range(20):
        path.write_text(mutated(seed.read_text(), chance), encoding="utf-8")
        problems = Diagnostics()
        try:
            project = importer(kind).load(path, path.name, ImportOptions(environ={}), problems)
        except ConfigError:
            pytest.fail("an importer adds to the problems, it does not raise them")
        check(project, problems)


def huge(folder: Path) -> None:
    (folder / "compose.yaml").write_text("services:\n" + "  a: {command: b}\n" * 600_000)


def bomb(folder: Path) -> None:
    lines = ['a0: &a0 ["x", "x", "x", "x", "x", "x", "x", "x", "x"]']
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    (folder / "compose.yaml").write_text("\n".join([*lines, "services: {a: {command: *a11}}", ""]))


def deep(folder: Path) -> None:
    (folder / "compose.yaml").write_text("services: " + "[" * 100_000)


def wide_includes(folder: Path) -> None:
    (folder / "compose.yaml").write_text("include: [other.yaml, other.yaml]\nservices: {a: {command: b}}\n")
    for number in range(40):
        name = "other.yaml" if number == 0 else f"other{number}.yaml"
        text = f"include: [other{number + 1}.yaml, other{number + 1}.yaml]\n" if number < 39 else ""
        text += "services: {}\n"
        (folder / name).write_text(text)


def endless_extends(folder: Path) -> None:
    services = {f"s{n}": {"extends": f"s{(n + 1) % 500}", "command": "x"} for n in range(500)}
    (folder / "compose.yaml").write_text(json.dumps({"services": services}))


def growing_value(folder: Path) -> None:
    text = "".join(f"V{n}=${{V{n - 1}}}${{V{n - 1}}}\n" if n else "V0=xxxxxxxx\n" for n in range(40))
    (folder / ".env").write_text(text)
    (folder / "compose.yaml").write_text("services: {a: {command: 'run $V39'}}\n")


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (huge, "file-too-big"),
        (bomb, "yaml-alias"),
        (deep, "too-deep"),
        (wide_includes, "compose-files"),
        (endless_extends, "extends-cycle"),
        (growing_value, "env-reference"),
    ],
)
def test_hostile_compose_file_ends_in_an_error(
    make: Callable[[Path], None], code: str, tmp_path: Path
) -> None:
    make(tmp_path)
    run = subprocess.run(
        [sys.executable, "-c", BOUNDED, "compose", str(tmp_path / "compose.yaml")],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    told, peak = run.stdout.split()
    assert told == code
    assert int(peak) < 300


def test_file_that_extends_itself_by_others_ends(tmp_path: Path) -> None:
    for number in range(30):
        text = f"extends: process-compose{number + 1}.yaml\nprocesses: {{a: {{command: b}}}}\n"
        (tmp_path / f"process-compose{number}.yaml").write_text(text)
    problems = Diagnostics()
    path = tmp_path / "process-compose0.yaml"
    assert importer("process-compose").load(path, path.name, ImportOptions(), problems) is None
    assert [item.code for item in problems] == ["extends-cycle"]
