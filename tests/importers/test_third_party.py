"""The package of docs/importers.md, as it stands there: installed by pip, found by content, read, compiled."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parent.parent.parent
PAGE = CHECKOUT / "docs/importers.md"
# No index, no isolated build: what builds it is here, and nothing is fetched.
PIP = (
    *("-m", "pip", "install", "--no-build-isolation", "--no-deps", "--no-index", "--quiet"),
    *("--disable-pip-version-check", "--root-user-action=ignore"),
)


def block(language: str) -> str:
    """The first block of a language on the page."""
    found = re.search(
        rf"^```{language}\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    assert found is not None
    return found[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where pip has installed the package."""
    folder = tmp_path_factory.mktemp("third-party")
    package = folder / "pm-native-arrows"
    package.mkdir()
    (package / "arrows.py").write_text(block("python"), encoding="utf-8")
    (package / "pyproject.toml").write_text(block("toml"), encoding="utf-8")
    words = [sys.executable, *PIP, "--target", str(folder / "site"), str(package)]
    ran = subprocess.run(words, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return folder / "site"


def run(folder: Path, site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pm_native", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": f"{CHECKOUT}:{site}"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_importer_of_another_package_is_used(site: Path, tmp_path: Path) -> None:
    (tmp_path / "services").write_text("web -> sleep 9\nworker -> sleep 8\n")
    ran = run(tmp_path, site, "generate", "-f", "services", "-o", "units")
    assert ran.returncode == 0, ran.stderr
    assert "reading services as Arrows: it has an arrow\n" in ran.stderr
    assert "ExecStart=:/usr/bin/sleep 9\n" in (tmp_path / "units/arrows-web.service").read_text()
    imported = run(tmp_path, site, "import", "services")
    assert imported.returncode == 0, imported.stderr
    assert 'command = "sleep 8"' in (tmp_path / "pm-native.toml").read_text()


def test_its_mistakes_are_told_with_their_place(site: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.arrows").write_text("web -> sleep 9\nworker\n")
    ran = run(tmp_path, site, "check", "-f", "bad.arrows")
    assert (ran.returncode, ran.stdout) == (78, "")
    assert "bad.arrows:2:1: error: a line without an arrow [arrows]\n" in ran.stderr


def test_without_the_package_nobody_knows_the_format(tmp_path: Path) -> None:
    (tmp_path / "services.arrows").write_text("web -> sleep 9\n")
    ran = run(tmp_path, tmp_path, "check", "-f", "services.arrows")
    assert ran.returncode == 64
    assert "cannot tell the format of services.arrows" in ran.stderr
