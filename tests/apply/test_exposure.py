"""What systemd-analyze says of the exposure of units, and what becomes of it when it does not."""

from __future__ import annotations

import json

import pytest

from pm_native.apply.exposure import Cost, Exposure, exposure_costs, overall_exposures
from pm_native.compile.bundle import FileKind, bundle_file
from pm_native.errors import UnavailableError
from pm_native.unit.name import Scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FILES = [
    bundle_file(FileKind.UNIT, name, "[Service]\nExecStart=/bin/true\n")
    for name in ("a.service", "b@.service")
]
OVERALL = """\
  NAME           DESCRIPTION                EXPOSURE
✗ User=          Service runs as root user       0.4

→ Overall exposure level for 0-a.service: 9.6 UNSAFE 😨
  NAME           DESCRIPTION                EXPOSURE

→ Overall exposure level for 1-b@i.service: 1.4 OK 🙂
"""
ROWS = [
    {
        "json_field": "PrivateTmp",
        "name": "PrivateTmp=",
        "description": "shared",
        "exposure": "0.2",
        "set": False,
    },
    {
        "json_field": "RemoveIPC",
        "name": "RemoveIPC=",
        "description": "no matter",
        "exposure": None,
        "set": None,
    },
    {
        "json_field": "UserOrDynamicUser",
        "name": "User=",
        "description": "as root",
        "exposure": "0.4",
        "set": False,
    },
]


@pytest.fixture
def analyze(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Put a systemd-analyze on PATH that prints a text and keeps its arguments; returns where."""

    def make(text: str, code: int = 0, said: str = "") -> Path:
        (tmp_path / "text").write_text(text, encoding="utf-8")
        program = tmp_path / "systemd-analyze"
        program.write_text(
            f'#!/bin/sh\nprintf "%s\\n" "$@" >{tmp_path}/words\ncat {tmp_path}/text\necho "{said}" >&2\nexit {code}\n',
            encoding="utf-8",
        )
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
        return tmp_path

    return make


def test_figures_are_in_the_order_of_the_files(analyze: Callable[..., Path]) -> None:
    folder = analyze(OVERALL)
    assert overall_exposures(FILES, Scope.USER) == [Exposure(9.6, "unsafe"), Exposure(1.4, "ok")]
    words = (folder / "words").read_text(encoding="utf-8").splitlines()
    assert words[:4] == ["--user", "--no-pager", "--offline=yes", "security"]
    assert [word.rpartition("/")[2] for word in words[4:]] == ["0-a.service", "1-b@.service"]


def test_costs_are_the_most_first_without_what_costs_nothing(analyze: Callable[..., Path]) -> None:
    analyze(f"{json.dumps(ROWS)}\n[]\n")
    tmp, user = Cost("PrivateTmp=", 0.2, "shared"), Cost("User=", 0.4, "as root")
    assert exposure_costs(FILES, Scope.SYSTEM) == [(user, tmp), ()]
    assert exposure_costs(FILES, Scope.USER) == [(tmp,), ()]


def test_no_files_ask_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert overall_exposures([], Scope.SYSTEM) == []
    assert exposure_costs([], Scope.SYSTEM) == []


def test_missing_program_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UnavailableError, match="there is no systemd-analyze on this host"):
        overall_exposures(FILES, Scope.SYSTEM)


def test_older_program_is_told_with_its_last_words(analyze: Callable[..., Path]) -> None:
    analyze("", 1, "systemd-analyze: unrecognized option '--offline=yes'")
    with pytest.raises(UnavailableError, match="unrecognized option '--offline=yes'") as raised:
        overall_exposures(FILES, Scope.SYSTEM)
    assert raised.value.hint == "it can look at unit files from systemd 250 on"


@pytest.mark.parametrize("ask", [overall_exposures, exposure_costs])
def test_answer_that_lacks_a_unit_is_no_answer(
    analyze: Callable[..., Path], ask: Callable[..., list[object]]
) -> None:
    analyze(OVERALL.partition("  NAME")[0] + "→ Overall exposure level for a.service: 9.6 UNSAFE 😨\n[]\n")
    with pytest.raises(UnavailableError, match="1 of 2 units"):
        ask(FILES, Scope.SYSTEM)
