"""One run at a time for each project."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from pm_native.errors import AccessError, ExitCode, LockedError
from pm_native.state.lock import locked

if TYPE_CHECKING:
    from pathlib import Path

HOLD = """
import sys
from pathlib import Path
from pm_native.state.lock import locked
with locked(Path(sys.argv[1]), "apply"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_second_run_is_told_who_holds_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "run" / "shop.lock"
    words = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(LockedError) as caught, locked(path):
            raise AssertionError("held twice")
        assert caught.value.message == f"pm-native apply (pid {holder.pid}) is changing this project"
        assert (caught.value.hint, caught.value.exit_code) == (
            "try again when it is done, or give --wait",
            ExitCode.LOCKED,
        )
        holder.kill()
    with locked(path):  # the lock of the dead is free, whatever its file says
        assert path.read_text() == f"pm-native (pid {os.getpid()})"


def test_lock_leaves_no_file_even_when_the_run_fails(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), locked(tmp_path / "shop.lock"):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_lock_of_a_file_that_was_removed_meanwhile_is_no_lock(tmp_path: Path) -> None:
    """Who waits at the door when the holder leaves must not hold a lock that nobody can see."""
    path = tmp_path / "shop.lock"
    with locked(path):
        path.unlink()
        with locked(path):
            assert path.exists()
    assert not path.exists()


def test_link_in_the_place_of_the_lock_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("precious")
    (tmp_path / "shop.lock").symlink_to("victim")
    with pytest.raises(OSError, match="Too many levels"), locked(tmp_path / "shop.lock"):
        raise AssertionError("followed")
    assert (tmp_path / "victim").read_text() == "precious"


def test_run_that_may_not_lock_is_told_to_use_sudo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, *_: object) -> int:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(AccessError) as caught, locked(tmp_path / "shop.lock"):
        raise AssertionError("not refused")
    assert (caught.value.message, caught.value.hint) == (
        f"cannot write {tmp_path}/shop.lock: permission denied",
        "use sudo",
    )
