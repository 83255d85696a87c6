"""`pm-native scale`: kept over applies until it is changed, told by plan, and what cannot be asked."""

from __future__ import annotations

import pytest

from tests.cli.switch_host import SwitchHost

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

APPLY = "apply --user -f pm-native.toml --settle 0 --allow-missing"
PLAN = "plan --user -f pm-native.toml --allow-missing"


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> SwitchHost:
    made = SwitchHost(tmp_path, monkeypatch, capsys)
    assert made(APPLY).code == 0
    return made


def jobs(host: SwitchHost) -> list[str]:
    return [call for call in host.manager.calls if call != "daemon-reload"]


def wants(host: SwitchHost) -> list[str]:
    """The instances that the pool's target starts."""
    text = (host.units / "shop-api.target").read_text()
    return [line.partition("=")[2] for line in text.splitlines() if line.startswith("Wants=")]


def names(*numbers: int) -> list[str]:
    return [f"shop-api@{number}.service" for number in numbers]


def test_more_start_and_the_others_run_on(host: SwitchHost) -> None:
    said = host("scale --user --settle 0 api=4")
    assert said.code == 0
    assert jobs(host) == ["start shop-api@3.service", "start shop-api@4.service"]
    assert wants(host) == names(1, 2, 3, 4)


def test_fewer_the_highest_go_first(host: SwitchHost) -> None:
    host("scale --user --settle 0 api=4")
    assert host("scale --user --settle 0 api=1").code == 0
    assert jobs(host) == [f"stop {name}" for name in names(4, 3, 2)]
    assert wants(host) == names(1)


def test_apply_keeps_to_it_and_plan_says_so(host: SwitchHost) -> None:
    host("scale --user --settle 0 api=+2")
    said = host(PLAN)
    assert said.code == 0
    assert (
        "! api has 4 instances, as `pm-native scale` asked for, in place of 2 (pm-native scale --user api=config)"
        in said.out
    )
    assert host(APPLY).code == 0
    assert (jobs(host), wants(host)) == ([], names(1, 2, 3, 4))


def test_config_has_its_say_again(host: SwitchHost) -> None:
    host("scale --user --settle 0 api=-1")
    assert wants(host) == names(1)
    said = host("scale --user --settle 0 api=config")
    assert said.code == 0
    assert "the number of the config holds from the next apply on" in said.err
    assert host(APPLY).code == 0
    assert wants(host) == names(1, 2)
    assert not list(host.home.rglob("scale.json"))


def test_none_and_back(host: SwitchHost) -> None:
    assert host("scale --user --settle 0 api=0").code == 0
    assert (jobs(host), wants(host)) == ([f"stop {name}" for name in names(2, 1)], [])
    assert host("scale --user --settle 0 api=2").code == 0
    assert (jobs(host), wants(host)) == ([f"start {name}" for name in names(1, 2)], names(1, 2))


def test_removed_project_forgets_it(host: SwitchHost) -> None:
    host("scale --user --settle 0 api=4")
    assert host("remove --user shop").code == 0
    assert not list(host.home.rglob("scale.json"))


@pytest.mark.parametrize(
    ("word", "error"),
    [
        ("api", "not PROCESS=NUMBER: 'api'"),
        ("api=many", "not PROCESS=NUMBER: 'api=many'"),
        ("web=2", "'web' is no pool"),
        ("api=-3", "api cannot have -1 instances"),
        ("api=99999", "api cannot have 99999 instances"),
        ("nope=2", "shop has no process or unit 'nope'"),
    ],
)
def test_what_cannot_be_asked(host: SwitchHost, word: str, error: str) -> None:
    said = host(f"scale --user --settle 0 {word}")
    assert (said.code, said.err.splitlines()[0]) == (64, f"error: {error}")
    assert (jobs(host), wants(host)) == ([], names(1, 2))


def test_damaged_file_is_told(host: SwitchHost) -> None:
    host("scale --user --settle 0 api=4")
    (path,) = host.home.rglob("scale.json")
    path.write_text('{"instances": {"api": "x"}}')
    said = host(PLAN)
    assert said.code != 0
    assert "scale.json is damaged" in said.err
