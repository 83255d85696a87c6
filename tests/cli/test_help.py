"""What people meet first: the help, names that are nearly right, completion."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pm_native.cli.commands import COMMANDS
from tests.cli.shop import Ran

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tests.cli.shop import Shop

HELP = """\
Usage: pm-native [OPTIONS] COMMAND [ARGS]...

  Turn process-manager configs into systemd units, and switch to them safely.

Commands:
  init        Write a commented pm-native.toml to start from.
  import      Write the pm-native.toml that a foreign config amounts to.
  check       Check a config and show every problem in it.
  generate    Compile a config to systemd units, in a directory.
  explain     Show each setting with the config line it came from.
  plan        Show what apply would do, and why.
  apply       Switch the running system to the generated units.
  migrate     Move what runs under PM2 or supervisord to systemd.
  rollback    Go back to a generation that was applied before.
  history     Show every apply: who, when, what came of it.
  diff        Show what differs between two generations.
  repair      Make a damaged record anew, from what is installed.
  status      Show state, memory and CPU of each process.
  logs        Show what the processes wrote.
  start       Start processes.
  stop        Stop processes.
  restart     Restart processes.
  reload      Restart processes without an interruption.
  scale       Change how many instances a pool has.
  ipc         Send and watch the messages of a project.
  remove      Stop a project and take its units away.
  package     Make a .deb or an .rpm of a project.
  schema      Print the JSON Schema of the native config.
  completion  Print the completion script of a shell.

Options:
  --version   Print the version.
  -h, --help  Show this message; after a command, its own.

Examples:
  pm-native init                          a config to start from
  pm-native generate && pm-native apply   compile, then switch
  pm-native import ecosystem.config.js    a config of ours from one of PM2's
  pm-native status --watch

Day to day, use systemctl and journalctl: the units are yours.

Exit codes: 0 done, 1 failed, 2 plan has changes, 4 units failed, 64 usage,
69 no systemd, 75 another run is at work, 77 not allowed, 78 bad config.
More: man pm-native, docs/commands.md.
"""


@pytest.mark.parametrize("arguments", [(), ("-h",), ("--help",)])
def test_help_of_the_whole(shop: Shop, arguments: tuple[str, ...]) -> None:
    assert shop.run(*arguments) == Ran(0, HELP, "")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_each_command_says_what_it_does_and_shows_it(shop: Shop, command: str) -> None:
    ran = shop.run(command, "--help")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith(f"Usage: pm-native {command} ")
    assert f"  {COMMANDS[command]}\n" in ran.out
    assert f"pm-native {command}" in ran.out.partition("\n  Examples:\n    ")[2]
    assert "\b" not in ran.out


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("generte", "; did you mean 'generate'?"),
        ("statsu", "; did you mean 'status'?"),
        ("frobnicate", ""),
    ],
)
def test_nearly_right_commands_are_suggested(shop: Shop, word: str, hint: str) -> None:
    ran = shop.run(word)
    assert (ran.code, ran.out) == (64, "")
    assert ran.err.endswith(f"\nError: there is no command {word!r}{hint}\n")


def test_nearly_right_options_are_suggested(shop: Shop) -> None:
    ran = shop.run("generate", "--outptu", "x")
    assert (ran.code, ran.out) == (64, "")
    assert "--output" in ran.err


def test_version(shop: Shop) -> None:
    ran = shop.run("--version")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("pm-native 0.")


def test_schema_is_printed_as_json(shop: Shop) -> None:
    ran = shop.run("schema")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith('{\n  "$schema": "https://json-schema.org/draft/2020-12/schema",\n')


def test_starter_config_is_written_once_and_is_right(shop: Shop) -> None:
    (shop.folder / "pm-native.toml").unlink()
    assert shop.run("init", "--project", "shop") == Ran(
        0, "wrote pm-native.toml\n", "next: edit it, then pm-native check\n"
    )
    text = (shop.folder / "pm-native.toml").read_text(encoding="utf-8")
    assert shop.run("init", "--project", "shop", "--print") == Ran(0, text, "")
    assert shop.run("check", "-f", "pm-native.toml", "--allow-missing", "--format", "json").code == 0
    again = shop.run("init")
    assert again == Ran(
        64, "", "error: pm-native.toml is there already\n  hint: --print shows the starter\n"
    )
    assert (shop.folder / "pm-native.toml").read_text(encoding="utf-8") == text


@pytest.mark.parametrize(("shell", "check"), [("bash", "-n"), ("zsh", "-n"), ("fish", "--no-execute")])
def test_completion_scripts_are_of_their_shell(shop: Shop, shell: str, check: str) -> None:
    ran = shop.run("completion", shell)
    assert (ran.code, ran.err) == (0, "")
    assert "_PM_NATIVE_COMPLETE" in ran.out
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell} to ask")
    checked = subprocess.run([shell, check], input=ran.out, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ("pm-native gen", ["plain,generate"]),
        ("pm-native generate --out", ["plain,--output"]),
        ("pm-native completion f", ["plain,fish"]),
        ("pm-native frob", []),
    ],
)
def test_completion_is_answered(words: str, answer: list[str]) -> None:
    """The shell runs the bare command and asks through the environment."""
    run = subprocess.run(
        [sys.executable, "-m", "pm_native"],
        cwd=Path(__file__).parent.parent.parent,
        env={
            "_PM_NATIVE_COMPLETE": "bash_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(words.count(" ")),
            "PATH": "/usr/bin:/bin",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stdout.split(), run.stderr) == (0, answer, "")
