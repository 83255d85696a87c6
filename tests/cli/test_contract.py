"""What scripts rely on: the JSON envelope, its keys, the exit codes. A change here is a change of the contract."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from pm_native.errors import ExitCode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tests.cli.shop import Shop

ENVELOPE = ["version", "command", "exit_code", "data", "diagnostics", "error"]
DIAGNOSTIC = ["severity", "code", "message", "hint", "file", "line", "column", "end_column", "path"]
OPTIONS = ("-f", "pm-native.toml", "--systemd-version", "252", "--json")


def test_exit_codes() -> None:
    assert {code.name: code.value for code in ExitCode} == {
        "OK": 0,
        "FAILURE": 1,
        "CHANGES": 2,
        "ROLLED_BACK": 3,
        "UNITS_FAILED": 4,
        "USAGE": 64,
        "UNAVAILABLE": 69,
        "LOCKED": 75,
        "ACCESS": 77,
        "CONFIG": 78,
        "INTERRUPTED": 130,
    }


def test_envelope_of_generate(shop: Shop) -> None:
    ran = shop.run("generate", *OPTIONS)
    assert (ran.code, ran.err, ran.out.count("\n")) == (0, "", 1)
    found = json.loads(ran.out)
    assert [*found] == ENVELOPE
    assert found == {
        "version": 1,
        "command": "generate",
        "exit_code": 0,
        "data": {
            "project": "shop",
            "scope": "system",
            "systemd_version": 252,
            "output": "build/systemd",
            "created": [
                "shop-web.service",
                "shop-worker.target",
                "shop-worker@.service",
                "shop.slice",
                "shop.target",
            ],
            "changed": [],
            "removed": [],
            "unchanged": 0,
        },
        "diagnostics": [],
        "error": None,
    }


def test_envelope_of_check(shop: Shop) -> None:
    ran = shop.run("check", *OPTIONS)
    assert (ran.code, ran.err) == (0, "")
    assert json.loads(ran.out) == {
        "version": 1,
        "command": "check",
        "exit_code": 0,
        "data": {"project": "shop", "processes": 2, "files": 5},
        "diagnostics": [],
        "error": None,
    }


def test_envelope_of_explain(shop: Shop) -> None:
    ran = shop.run("explain", "web", *OPTIONS)
    assert (ran.code, ran.err) == (0, "")
    found = json.loads(ran.out)
    assert [*found] == ENVELOPE
    assert {tuple(row) for row in found["data"]} == {
        ("unit", "section", "setting", "file", "line", "because")
    }
    assert [row for row in found["data"] if row["setting"].startswith("ExecStart=")] == [
        {
            "unit": "shop-web.service",
            "section": "Service",
            "setting": 'ExecStart=:/bin/sh -c "exec sleep 9"',
            "file": "pm-native.toml",
            "line": 5,
            "because": "pm-native.toml:5",
        }
    ]


def test_envelope_of_init(shop: Shop) -> None:
    (shop.folder / "pm-native.toml").unlink()
    ran = shop.run("init", "--json")
    assert json.loads(ran.out)["data"] == {"path": "pm-native.toml"}


@pytest.mark.parametrize("command", ["generate", "check", "explain"])
def test_envelope_of_a_wrong_config(shop: Shop, command: str) -> None:
    shop.write('[project]\nname = "shop"\n\n[process.web]\ncommand = "/bin/true"\nkind = "servise"\n')
    ran = shop.run(command, *OPTIONS)
    assert (ran.code, ran.err) == (78, "")
    found = json.loads(ran.out)
    assert [*found] == ENVELOPE
    assert [*found["diagnostics"][0]] == DIAGNOSTIC
    assert found == {
        "version": 1,
        "command": command,
        "exit_code": 78,
        "data": None,
        "diagnostics": [
            {
                "severity": "error",
                "code": "unknown-value",
                "message": "unknown value 'servise'",
                "hint": "did you mean 'service'?",
                "file": "pm-native.toml",
                "line": 6,
                "column": 8,
                "end_column": 17,
                "path": "",
            }
        ],
        "error": None,
    }


def test_envelope_of_a_failure_without_a_place(shop: Shop) -> None:
    ran = shop.run("generate", "-f", "pm-native.toml", "--systemd-version", "12", "--json")
    assert (ran.code, ran.err) == (64, "")
    assert json.loads(ran.out) == {
        "version": 1,
        "command": "generate",
        "exit_code": 64,
        "data": None,
        "diagnostics": [],
        "error": {
            "message": "--systemd-version: not a version to compile for: '12'",
            "hint": "auto, or a number from 249 on",
        },
    }


def test_output_that_cannot_be_written_is_an_error_and_no_traceback() -> None:
    words = [sys.executable, "-m", "pm_native", "schema"]
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        run = subprocess.run(
            words,
            cwd=Path(__file__).parent.parent.parent,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert (run.returncode, run.stderr) == (
        1,
        "error: cannot write the output: No space left on device\n",
    )


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_streams_that_are_closed_change_nothing_else(closed: str) -> None:
    words = f"exec {shlex.quote(sys.executable)} -m pm_native schema {closed}"
    run = subprocess.run(
        ["sh", "-c", words],
        cwd=Path(__file__).parent.parent.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stderr, bool(run.stdout)) == (0, "", closed == "2>&-")
