"""Completion in real shells on a terminal: what is typed, a TAB, and the command that is run then."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

import pexpect
import pytest

from tests.cli.switch_host import CONFIG, SwitchHost

CHECKOUT = Path(__file__).resolve().parents[2]
SHELLS = {
    "bash": (["--norc", "--noprofile", "-i"], "source '{script}'; echo rea''dy"),
    "zsh": (
        ["-f", "-i"],
        "autoload -U compinit; compinit -u -D; source '{script}'; unsetopt prompt_cr prompt_sp; echo rea''dy",
    ),
    "fish": (["--no-config", "--interactive"], "source '{script}'; echo rea''dy"),
}
# Completes as pm-native does, and otherwise tells with what it was run.
COMMAND = """#!/bin/sh
[ "$_PM_NATIVE_COMPLETE" ] || { echo "ran:$*:"; exit; }
PYTHONPATH="@CHECKOUT@" exec "@PYTHON@" -m pm_native "$@"
"""


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> SwitchHost:
    """A home in which the processes web and api, with one instance, are installed, and a pm-native on PATH."""
    host = SwitchHost(tmp_path, monkeypatch, capsys)
    host.config(CONFIG.replace("instances = 2", "instances = 1"))
    assert host("apply --user -f pm-native.toml --settle 0").code == 0
    command = tmp_path / "bin/pm-native"
    command.parent.mkdir()
    text = COMMAND.replace("@CHECKOUT@", str(CHECKOUT)).replace("@PYTHON@", sys.executable)
    command.write_text(text, encoding="utf-8")
    command.chmod(0o755)
    return host


@pytest.mark.parametrize("name", SHELLS)
def test_tab_completes_commands_processes_and_instances(name: str, host: SwitchHost) -> None:
    if shutil.which(name, path="/usr/bin:/bin") is None:
        pytest.skip(f"there is no {name} to type in")
    script = host.home / "script"
    script.write_text(host(f"completion {name}").out, encoding="utf-8")
    options, setup = SHELLS[name]
    path = f"{host.home}/bin:/usr/bin:/bin"
    environment = {**os.environ, "PATH": path, "TERM": "dumb", "LANG": "C.UTF-8"}
    shell: pexpect.spawn[str] = pexpect.spawn(
        f"/usr/bin/{name}",
        options,
        env=environment,
        cwd=host.home,
        encoding="utf-8",
        timeout=60,
        dimensions=(24, 200),
    )
    try:
        shell.sendline(setup.format(script=script))
        shell.expect("ready")
        for typed, runs in {
            "pm-native hist": "history",
            "pm-native restart --user we": "restart --user web",
            "pm-native restart --user api@": "restart --user api@1",
            "pm-native completion fi": "completion fish",
            "pm-native scale --user a\t3": "scale --user api=3",
            "pm-native rollback --user --project sh": "rollback --user --project shop",
            "pm-native generate -f scri": "generate -f script",
        }.items():
            shell.send(f"{typed}\r" if "\t" in typed else f"{typed}\t\r")
            shell.expect(r"ran:(.*?) ?:")
            assert isinstance(shell.match, re.Match)
            assert shell.match[1] == runs
    finally:
        shell.close(force=True)
