"""Secrets that `pm-native-run` sets as variables: the text of their files, exactly."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pm_native.runtime.arguments import ArgumentsError, parse_arguments

RUN = Path(__file__).parent.parent.parent / "pm_native/runtime/run.py"
SHOW = 'import os, sys; sys.stdout.buffer.write(os.environb.get(b"WORD", b"(none)"))'


def run(folder: Path | None, *words: str) -> subprocess.CompletedProcess[bytes]:
    environment = {"PATH": "/usr/bin:/bin"} | (
        {"CREDENTIALS_DIRECTORY": os.fspath(folder)} if folder else {}
    )
    command: list[str] = [sys.executable, "-I", "-S", str(RUN), *words, "--", sys.executable, "-c", SHOW]
    return subprocess.run(command, env=environment, capture_output=True, check=False, timeout=30)


@pytest.mark.parametrize(
    ("written", "given"),
    [
        (b"word", b"word"),
        (b"word\n", b"word"),
        (b"word\r\n\n", b"word"),
        (b" \ttwo\nlines \n", b" \ttwo\nlines "),
        (b"\xff$HOME `id` %n\\", b"\xff$HOME `id` %n\\"),
        (b"\n", b""),
    ],
)
def test_variable_is_the_text_of_the_file_without_the_line_ends_at_its_end(
    tmp_path: Path, written: bytes, given: bytes
) -> None:
    (tmp_path / "WORD").write_bytes(written)
    done = run(tmp_path, "--secret=WORD")
    assert (done.returncode, done.stdout, done.stderr) == (0, given, b"")


def test_secret_that_was_not_asked_for_stays_a_file(tmp_path: Path) -> None:
    for name in ("WORD", "OTHER"):
        (tmp_path / name).write_bytes(b"x")
    assert run(tmp_path, "--secret=OTHER").stdout == b"(none)"


def test_secret_that_cannot_be_had_ends_with_the_status_of_systemd_and_without_a_word_of_it(
    tmp_path: Path,
) -> None:
    (tmp_path / "NUL").write_bytes(b"hunter2\0")
    for folder, name, said in (
        (tmp_path, "NUL", "the secret NUL holds a NUL, which no variable can: take it without `env`"),
        (tmp_path, "GONE", "cannot read the secret GONE: No such file or directory"),
        (None, "GONE", "cannot read the secret GONE: No such file or directory"),
    ):
        done = run(folder, f"--secret={name}")
        assert (done.returncode, done.stdout, done.stderr.decode()) == (243, b"", f"pm-native-run: {said}\n")


@pytest.mark.parametrize("value", ["", "../x", "a=b"])
def test_name_that_leads_elsewhere_is_refused(value: str) -> None:
    with pytest.raises(ArgumentsError, match="--secret: not a value for it"):
        parse_arguments([f"--secret={value}", "--", "true"])
