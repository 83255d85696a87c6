"""systemd itself has nothing to say about what is compiled: `systemd-analyze verify` is silent."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from tests.cases.case import load_cases
from tests.compile.verify import verifiable_cases, verifiable_units, verify_words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

    from tests.cases.case import Case


def own_version() -> int:
    if shutil.which("systemd-analyze") is None:
        return 0
    return int(subprocess.check_output(["systemd-analyze", "--version"], text=True).split()[1])


@pytest.mark.skipif(not own_version(), reason="no systemd-analyze on this machine")
@pytest.mark.parametrize("case", verifiable_cases(own_version()), ids=lambda case: case.path.stem)
def test_systemd_analyze_is_silent(case: Case, tmp_path: Path) -> None:
    for name, text in verifiable_units(case).items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    run = subprocess.run(
        verify_words(case, tmp_path),
        env={"PATH": "/usr/bin:/bin", "XDG_RUNTIME_DIR": str(tmp_path), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.stderr, run.stdout, run.returncode) == ("", "", 0)


@pytest.mark.skipif(not own_version(), reason="no systemd-analyze on this machine")
def test_systemd_analyze_speaks_up_when_it_should(tmp_path: Path) -> None:
    (tmp_path / "bad.service").write_text("[Service]\nExecStart=/usr/bin/true\nWobble=1\n", encoding="utf-8")
    run = subprocess.run(
        ["systemd-analyze", "--man=no", "verify", tmp_path / "bad.service"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Unknown key" in run.stderr


@pytest.mark.skipif(not own_version(), reason="no systemd-analyze on this machine")
def test_what_waits_for_a_pool_does_not_wait_for_itself(tmp_path: Path) -> None:
    (case,) = (case for case in load_cases("compile") if case.path.stem == "dependencies")
    for name, text in verifiable_units(case).items():
        (tmp_path / name).write_text(text, encoding="utf-8")

    def verified() -> str:
        run = subprocess.run(
            ["systemd-analyze", "--man=no", "verify", tmp_path / "shop.target"],
            env={"PATH": "/usr/bin:/bin", "SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
            capture_output=True,
            text=True,
            check=False,
        )
        return run.stderr

    assert not verified()
    pool = tmp_path / "shop-api.target"
    pool.write_text(pool.read_text().replace("Before=shop.target\n", ""))
    assert "Found ordering cycle" in verified()  # that is what the line is for
