"""What a shell offers after a command: the names of what is installed."""

from __future__ import annotations

import pytest
from click.shell_completion import ShellComplete

from pm_native.cli.commands import COMMANDS, COMPLETION_VARIABLE
from pm_native.cli.main import cli
from tests.cli.switch_host import CONFIG, SwitchHost

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> SwitchHost:
    return SwitchHost(tmp_path, monkeypatch, capsys)


def offered(*words: str, begun: str = "") -> list[str]:
    shell = ShellComplete(cli, {}, "pm-native", COMPLETION_VARIABLE)
    return [item.value for item in shell.get_completions(list(words), begun)]


def test_processes_and_instances_are_offered(host: SwitchHost) -> None:
    host("apply --user -f pm-native.toml --settle 0")
    assert offered("status", "--user") == ["api", "api@1", "api@2", "shop", "web"]
    assert offered("restart", "--user", begun="api@") == ["api@1", "api@2"]
    assert offered("explain", "--user") == ["api", "web"]
    assert offered("scale", "--user") == ["api="]
    assert offered("ipc", "call", "--user", begun="w") == ["web"]


@pytest.mark.parametrize("command", ["history", "remove", "repair"])
def test_projects_are_offered(command: str, host: SwitchHost) -> None:
    host("apply --user -f pm-native.toml --settle 0")
    assert offered(command, "--user") == ["shop"]
    record = host.home / ".local/state/pm-native/shop/current.json"
    record.write_text("{")
    assert offered(command, "--user") == ["shop"]


def test_generations_are_offered_the_newest_first(host: SwitchHost) -> None:
    host("apply --user -f pm-native.toml --settle 0")
    host.config(CONFIG.replace("instances = 2", "instances = 3"))
    host("apply --user -f pm-native.toml --settle 0")
    assert offered("rollback", "--user") == ["2", "1"]
    assert offered("diff", "--user", "--project", "shop") == ["2", "1"]
    assert offered("diff", "--user", "--project", "other") == []


def test_commands_are_offered_with_their_help_and_without_being_loaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pm_native.cli.main.LazyGroup.get_command", None)
    shell = ShellComplete(cli, {}, "pm-native", COMPLETION_VARIABLE)
    found = {item.value: item.help for item in shell.get_completions([], "re")}
    assert found == {name: text for name, text in COMMANDS.items() if name.startswith("re")}


def test_nothing_is_offered_where_nothing_is_installed(host: SwitchHost) -> None:
    assert host.home.is_dir()
    assert offered("stop", "--user") == []
    assert offered("history", "--user") == []


def test_damaged_record_does_not_speak_into_the_command_line(host: SwitchHost) -> None:
    record = host.home / ".local/state/pm-native/shop/current.json"
    record.parent.mkdir(parents=True)
    record.write_text("{")
    assert offered("stop", "--user") == []
