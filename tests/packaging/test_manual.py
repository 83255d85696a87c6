"""The manual pages: one for each command, well-formed for both formatters, and of what the tables say."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pm_native.cli.commands import COMMANDS
from pm_native.config.keys import PROCESS
from pm_native.errors import ExitCode
from pm_native.runtime import arguments

PACKAGING = Path(__file__).resolve().parents[2] / "packaging"


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the pages, made as the wheel makes them."""
    folder = tmp_path_factory.mktemp("man")
    run = subprocess.run(
        [sys.executable, PACKAGING / "manual.py", folder],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(PACKAGING.parent), "PATH": "/usr/bin:/bin"},
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
    return folder


def shown(page: Path) -> str:
    """The page as a reader sees it, in wide lines."""
    run = subprocess.run(
        ["mandoc", "-O", "width=900", "-T", "ascii", page], capture_output=True, text=True, check=True
    )
    return "".join(letter for index, letter in enumerate(run.stdout) if not overstruck(run.stdout, index))


def overstruck(text: str, index: int) -> bool:
    """Whether the letter at `index` is part of how a terminal prints bold and underlined: X, backspace, X."""
    return text[index] == "\b" or text[index + 1 : index + 2] == "\b"


def test_there_is_a_page_for_each_command_and_for_the_config(pages: Path) -> None:
    names = sorted(str(path.relative_to(pages)) for path in pages.rglob("*.[15]"))
    commands = [f"man1/pm-native-{name}.1" for name in COMMANDS]
    assert names == sorted(["man1/pm-native.1", "man1/pm-native-run.1", *commands, "man5/pm-native.toml.5"])


@pytest.mark.skipif(shutil.which("mandoc") is None, reason="there is no mandoc to ask")
def test_mandoc_finds_nothing_to_mend(pages: Path) -> None:
    run = subprocess.run(
        ["mandoc", "-T", "lint", *sorted(pages.rglob("*.[15]"))], capture_output=True, text=True, check=False
    )
    assert (run.stdout + run.stderr, run.returncode) == ("", 0)


@pytest.mark.skipif(
    shutil.which("man") is None or shutil.which("groff") is None, reason="there is no man-db and groff"
)
def test_groff_warns_of_nothing(pages: Path) -> None:
    for page in sorted(pages.rglob("*.[15]")):
        command = ["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", str(page)]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (run.returncode, run.stderr) == (0, ""), page


@pytest.mark.skipif(shutil.which("mandoc") is None, reason="there is no mandoc to ask")
def test_pages_say_what_the_tables_say(pages: Path) -> None:
    config = shown(pages / "man5/pm-native.toml.5")
    assert [
        key.name
        for key in PROCESS.keys
        if not key.planned and not re.search(rf"^       {key.name}( |$)", config, re.MULTILINE)
    ] == []
    main = shown(pages / "man1/pm-native.1")
    assert [code for code in ExitCode if f"       {int(code)}" not in main] == []
    assert [
        name for name, text in COMMANDS.items() if f"pm-native-{name}(1)\n              {text}\n" not in main
    ] == []
    apply = shown(pages / "man1/pm-native-apply.1")
    assert "       --atomic\n              Go back to the generation before when a unit fails.\n" in apply
    assert "\n       sudo pm-native apply --atomic      back by itself when a unit fails\n" in apply


def test_page_of_the_runner_has_the_options_that_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(PACKAGING)
    import run_manual

    assert set(run_manual.UNIT) == {"unit", *arguments._OF_UNIT}
    assert tuple(run_manual.PHASES) == arguments.PHASES
    assert set(run_manual.CHECK) == set(arguments._OF_CHECK)
    assert tuple(run_manual.PROBES) == arguments.PROBES
    assert set(run_manual.PROBE) == {"arg", *arguments._OF_PROBE}


def test_documentation_and_manual_explain_the_same_exit_codes() -> None:
    page = (PACKAGING.parent / "docs" / "commands.md").read_text(encoding="utf-8")
    assert [
        f"| {int(code)} | {code.meaning} |"
        for code in ExitCode
        if f"\n| {int(code)} | {code.meaning} |\n" not in page
    ] == []
