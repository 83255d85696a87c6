"""The wheel, installed into an environment of its own away from the checkout: it has all that it needs."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from pm_native.cli.commands import COMMANDS

CHECKOUT = Path(__file__).resolve().parents[2]


def run(*words: str | Path, cwd: Path) -> str:
    """What a command prints; AssertionError with all of it where it fails."""
    environment = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
    done = subprocess.run(
        list(map(str, words)), cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel in it, and with the dependencies of the one that tests."""
    folder = tmp_path_factory.mktemp("wheel")
    tree = folder / "tree"
    run(CHECKOUT / "packaging/tree.sh", tree, cwd=CHECKOUT)
    run(sys.executable, "-m", "hatchling", "build", "-d", folder, cwd=tree)
    (wheel,) = folder.glob("pm_native-*-py3-none-any.whl")
    assert [path.name for path in folder.glob("*.tar.gz")] == [
        wheel.name.replace("-py3-none-any.whl", ".tar.gz")
    ]
    place = folder / "env"
    venv.create(place, with_pip=False)
    python = place / "bin/python"
    run(
        sys.executable,
        "-m",
        "pip",
        "--python",
        python,
        "install",
        "--no-deps",
        "--no-index",
        wheel,
        cwd=folder,
    )
    # As a path and not as a folder of its own: what is installed in place there, this checkout, stays out.
    purelib = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).strip()
    Path(purelib, "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return place


def test_main_job_runs_from_the_installed_wheel(installed: Path, tmp_path: Path) -> None:
    command = installed / "bin/pm-native"
    project = tmp_path / "shop"
    project.mkdir()
    (project / "pm-native.toml").write_text(
        '[project]\nname = "shop"\ndirectory = "/"\n\n[process.clock]\ncommand = ["/bin/sleep", "infinity"]\n',
        encoding="utf-8",
    )
    where = run(installed / "bin/python", "-c", "import pm_native; print(*pm_native.__path__)", cwd=project)
    assert Path(where.strip()).is_relative_to(installed)
    run(command, "check", cwd=project)
    run(command, "generate", cwd=project)
    run(command, "apply", "--root", tmp_path, cwd=project)
    units = sorted(path.name for path in (tmp_path / "etc/systemd/system").glob("*.*") if path.is_file())
    assert units == ["shop-clock.service", "shop.slice", "shop.target"]


def test_runner_becomes_the_program(installed: Path, tmp_path: Path) -> None:
    assert run(installed / "bin/pm-native-run", "--", "/bin/echo", "here", cwd=tmp_path) == "here\n"


def test_starter_template_and_shipped_units_are_found(installed: Path, tmp_path: Path) -> None:
    assert run(installed / "bin/pm-native", "init", "--print", cwd=tmp_path).startswith("# ")
    shipped = run(
        installed / "bin/python",
        "-c",
        "from pm_native.resources import data_directory as d; print(*sorted(p.name for p in d('units').iterdir()))",
        cwd=tmp_path,
    ).split()
    assert shipped == sorted(path.name for path in (CHECKOUT / "units").iterdir())


def test_manual_and_completions_are_in_share(installed: Path) -> None:
    share = installed / "share"
    pages = {path.name for path in (share / "man/man1").iterdir()}
    assert {f"pm-native-{name}.1" for name in COMMANDS} | {"pm-native.1"} <= pages
    assert (share / "man/man5/pm-native.toml.5").is_file()
    for place in (
        "bash-completion/completions/pm-native",
        "zsh/site-functions/_pm-native",
        "fish/vendor_completions.d/pm-native.fish",
    ):
        assert "_PM_NATIVE_COMPLETE" in (share / place).read_text(encoding="utf-8")


def test_version_is_that_of_the_one_place_it_stands_in(installed: Path, tmp_path: Path) -> None:
    stated = run(sys.executable, CHECKOUT / "packaging/changelog.py", "version", cwd=tmp_path).strip()
    assert run(installed / "bin/pm-native", "--version", cwd=tmp_path) == f"pm-native {stated}\n"
