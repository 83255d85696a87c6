"""The linters as tests: what they find is a failure. Skipped where a tool is missing, unless CI asks for all."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parent.parent
COMMANDS = {
    "ruff": ["ruff", "check", "--no-fix", "pm_native", "tests"],
    "ruff-format": ["ruff", "format", "--check", "pm_native", "tests"],
    "mypy": ["mypy"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_linter_finds_nothing(name: str) -> None:
    words = COMMANDS[name]
    if find_spec(words[0]) is None and not os.environ.get("CI"):
        pytest.skip(f"{words[0]} is not installed")
    run = subprocess.run(
        [sys.executable, "-m", *words], cwd=CHECKOUT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
