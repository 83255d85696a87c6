"""`--runtime`: a project below /run with all that is known of it, and nothing of it anywhere else."""

from __future__ import annotations

import json
import stat

import pytest

from pm_native.apply.ownership import is_pristine
from tests.cli.switch_host import CONFIG, SwitchHost

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

SOURCE = "--user -f pm-native.toml"
APPLY = f"apply {SOURCE} --settle 0"
CHANGED = CONFIG.replace("/bin/sleep 1000", "/bin/sleep 1001")


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> SwitchHost:
    made = SwitchHost(tmp_path, monkeypatch, capsys)
    made.manager.folder = made.units = tmp_path / "run/systemd/user"
    return made


def left(host: SwitchHost) -> list[str]:
    """What there is below the home beside the config, without what is gone at the next boot."""
    given = {"pm-native.toml", "shop.env", "linger", "run"}
    return sorted(path.name for path in host.home.iterdir() if path.name not in given)


def test_all_of_it_is_below_run(host: SwitchHost) -> None:
    said = host(f"{APPLY} --runtime")
    assert (said.code, said.err.splitlines()[-1]) == (
        0,
        (
            "from here on: systemctl --user status shop.target, journalctl --user -u UNIT; "
            "all of it is gone at the end of your last session"
        ),
    )
    assert left(host) == []
    run = host.home / "run"
    assert {path.name for path in run.iterdir()} == {
        "systemd",
        "pm-native-environment",
        "pm-native-projects",
    }
    text = (host.units / "shop-web.service").read_text()
    assert "EnvironmentFile=%t/pm-native-environment/shop/shop-web.env\n" in text
    assert is_pristine(text, "shop")
    secret = run / "pm-native-environment/shop/shop-web.env"
    assert "very secret" in secret.read_text()
    assert [stat.S_IMODE(path.stat().st_mode) for path in (secret, secret.parent)] == [0o600, 0o700]
    assert (host.units / "default.target.wants/shop.target").readlink() == host.units / "shop.target"
    assert stat.S_IMODE((run / "pm-native-projects/shop").stat().st_mode) == 0o700
    again = host(f"{APPLY} --runtime")
    assert (again.code, again.out) == (0, "shop: nothing to do, 6 files unchanged\n")
    assert host.manager.calls == []


def test_other_commands_find_it_by_themselves(host: SwitchHost) -> None:
    host(f"{APPLY} --runtime")
    host.config(CHANGED)
    host(f"{APPLY} --runtime")
    for words in ("restart web", "stop web", "start web", "reload web", "scale api=3 --settle 0"):
        said = host(f"{words.partition(' ')[0]} --user {words.partition(' ')[2]}")
        assert said.code == 0, said.err
    assert [item["number"] for item in json.loads(host("history --user --json").out)["data"]] == [1, 2, 3]
    assert "-ExecStart=:/bin/sleep 1000\n+ExecStart=:/bin/sleep 1001\n" in host("diff 1 2 --user").out
    assert host("rollback 1 --user --settle 0").code == 0
    assert "sleep 1000" in (host.units / "shop-web.service").read_text()
    (host.home / "run/pm-native-projects/shop/current.json").write_text("{")
    assert host("repair shop --user").code == 0
    assert left(host) == []
    assert host("remove shop --user").code == 0
    assert [path for path in (host.home / "run").rglob("*") if path.is_file()] == []
    assert host("status --user").err.startswith("error: no project is installed in the user manager\n")


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        (
            "",
            "--runtime",
            (
                "error: shop is installed to stay, in {home}/.config/systemd/user\n"
                "  hint: leave --runtime out, or take it away first: pm-native remove --user shop\n"
            ),
        ),
        (
            "--runtime",
            "",
            (
                "error: shop is installed until the next boot, in {home}/run/systemd/user\n"
                "  hint: give --runtime, or take it away first: pm-native remove --user shop\n"
            ),
        ),
    ],
)
def test_project_is_one_or_the_other(host: SwitchHost, first: str, second: str, told: str) -> None:
    host.manager.folder = host.home / ("run/systemd/user" if first else ".config/systemd/user")
    assert host(f"{APPLY} {first}").code == 0
    for command in (APPLY, f"plan {SOURCE}"):
        said = host(f"{command} {second}")
        assert (said.code, said.err) == (1, told.format(home=host.home))
        assert host.manager.calls == []
    assert host("remove shop --user").code == 0
    host.manager.folder = host.home / ("run/systemd/user" if second else ".config/systemd/user")
    assert host(f"{APPLY} {second}").code == 0


def test_file_that_systemd_would_take_in_its_place_stops_the_run(host: SwitchHost) -> None:
    place = host.home / ".config/systemd/user/shop-web.service"
    place.parent.mkdir(parents=True)
    place.write_text("[Service]\nExecStart=/bin/true\n")
    said = host(f"{APPLY} --runtime --adopt --force")
    assert (said.code, said.err.splitlines()[0]) == (
        1,
        f"error: this file is in the way: {place} (systemd would take it in place of ours)",
    )
    place.unlink()
    place.symlink_to("/dev/null")
    assert "! shop-web.service is masked: left alone" in host(f"plan {SOURCE} --runtime").out


def test_saved_plan_knows_for_how_long_it_is(host: SwitchHost) -> None:
    host(f"plan {SOURCE} --runtime -o for-now.plan")
    said = host("apply for-now.plan --user")
    assert (said.code, said.err) == (
        64,
        "error: the plan is for a project that is installed until the next boot\n  hint: give --runtime\n",
    )
    assert host("apply for-now.plan --user --runtime --settle 0").code == 0
    host("remove shop --user")
    host(f"plan {SOURCE} -o to-stay.plan")
    assert host("apply to-stay.plan --user --runtime").err.endswith("hint: leave --runtime out\n")


def test_host_that_does_not_run_has_no_run_time(host: SwitchHost) -> None:
    for command in (APPLY, f"plan {SOURCE}"):
        said = host(f"{command} --runtime --root {host.home}")
        assert said.err.startswith("error: --runtime and --root exclude each other\n")
