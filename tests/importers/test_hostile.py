"""Files that are huge, deep, endless or broken: an error soon, within little memory, and never a traceback."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from pm_native.errors import ConfigError, Diagnostics
from pm_native.importers.base import ImportOptions
from pm_native.importers.files import max_bytes
from pm_native.importers.registry import importer
from tests.importers.test_properties import check

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

CHECKOUT = Path(__file__).parent.parent.parent
CASES = CHECKOUT / "tests/cases/importers"
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
# Runs a command within bounds that the kernel keeps, so that a busy host changes nothing: seconds of CPU time and memory.
# What is above ends the process by a signal, or by a MemoryError and its traceback.
BOUNDED = """
import resource, runpy, sys
cpu_sec, memory = 10, 300 << 20
resource.setrlimit(resource.RLIMIT_CPU, (cpu_sec, cpu_sec))
resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
sys.argv = ["pm-native", *sys.argv[1:]]
runpy.run_module("pm_native", run_name="__main__")
"""


@dataclass(frozen=True, slots=True)
class Told:
    """What a command said: its exit code, and the codes of its errors."""

    exit_code: int
    errors: tuple[str, ...]
    text: str


def bounded(folder: Path, *arguments: str) -> Told:
    """Run a command of pm-native in the folder, within the bounds."""
    ran = subprocess.run(
        [sys.executable, "-c", BOUNDED, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        check=False,
    )
    errors = re.findall(r": error: .* \[([a-z0-9-]+)\]$", ran.stderr, re.MULTILINE)
    return Told(ran.returncode, tuple(dict.fromkeys(errors)), ran.stderr)


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


def endless_anchor(folder: Path) -> None:
    (folder / "compose.yaml").write_text("services: &s\n  a: {command: b, depends_on: *s}\n")


def merged_bomb(folder: Path) -> None:
    lines = ["x0: &m0 {" + ", ".join(f"k{n}: 1" for n in range(500)) + "}"]
    lines += [f"x{n}: &m{n} {{<<: [{', '.join([f'*m{n - 1}'] * 9)}]}}" for n in range(1, 9)]
    (folder / "compose.yaml").write_text("\n".join([*lines, "services: {a: {command: b}}", ""]))


def growing_value(folder: Path) -> None:
    text = "".join(f"V{n}=${{V{n - 1}}}${{V{n - 1}}}\n" if n else "V0=xxxxxxxx\n" for n in range(40))
    (folder / ".env").write_text(text)
    (folder / "compose.yaml").write_text("services: {a: {command: 'run $V39'}}\n")


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (bomb, "yaml-alias"),
        (merged_bomb, "yaml-alias"),
        (endless_anchor, "yaml-alias"),
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
    told = bounded(tmp_path, "generate", "-f", "compose.yaml", "-o", "units", "--allow-missing")
    assert (told.exit_code, told.errors) == (78, (code,)), told.text
    assert not (tmp_path / "units").exists()


# A file of 10 MB, and one of nearly as much as is read, full of the smallest processes that there are.
HUGE = {
    "Procfile": ("p{}: a\n", ""),
    "supervisord.conf": ("[program:p{}]\ncommand=a\n", ""),
    "circus.ini": ("[watcher:p{}]\ncmd=a\n", ""),
    "compose.yaml": ("  p{}: {{command: a}}\n", "services:\n"),
    "process-compose.yaml": ("  p{}: {{command: a}}\n", "processes:\n"),
    "ecosystem.json": ('{{"name":"p{}","script":"a"}},\n', '{"apps":[\n'),
    "ecosystem.config.yml": ("  - {{name: p{}, script: a}}\n", "apps:\n"),
    "tuix.config.json": ('{{"name":"p{}","command":"a"}},\n', '{"processManager":{"processes":[\n'),
}
END = {"ecosystem.json": "null]}", "tuix.config.json": '{"name":"z","command":"a"}]}}'}


def many(name: str, size: int) -> str:
    """The text of a config of so many bytes, or a little less."""
    line, before = HUGE[name]
    count = size // (len(line) + 4)
    lines = "".join(line.format(number) for number in range(count))
    return before + lines[: size - 100].rpartition("\n")[0] + "\n" + END.get(name, "")


@pytest.mark.parametrize("name", HUGE)
def test_file_of_10_mb_ends_in_an_error(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(many(name, 10_000_000))
    told = bounded(tmp_path, "generate", "-f", name, "-o", "units")
    assert (told.exit_code, told.errors) == (78, ("file-too-big",)), told.text


@pytest.mark.parametrize("name", HUGE)
def test_file_of_processes_without_end_ends_in_an_error(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(many(name, max_bytes(Path(name))))
    told = bounded(tmp_path, "generate", "-f", name, "-o", "units")
    assert (told.exit_code, told.errors) == (78, ("too-many-processes",)), told.text


def test_file_that_extends_itself_by_others_ends(tmp_path: Path) -> None:
    for number in range(30):
        text = f"extends: process-compose{number + 1}.yaml\nprocesses: {{a: {{command: b}}}}\n"
        (tmp_path / f"process-compose{number}.yaml").write_text(text)
    problems = Diagnostics()
    path = tmp_path / "process-compose0.yaml"
    assert importer("process-compose").load(path, path.name, ImportOptions(), problems) is None
    assert [item.code for item in problems] == ["extends-cycle"]
