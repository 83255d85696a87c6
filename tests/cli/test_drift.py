"""What plan, apply and remove say of drift, and what their options make of it, with a fake systemd."""

from __future__ import annotations

import json

import pytest

from pm_native.bus.fake import Behaviour
from tests.cli.switch_host import APPLY, CONFIG, PLAN, SwitchHost

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

NOTHING = "shop: nothing to do, 6 files unchanged\n"
ONLY_API = CONFIG[: CONFIG.index("[process.web]")] + CONFIG[CONFIG.index("[process.api]") :]
PROTECTED = CONFIG.replace('command = "/bin/sleep 1000"\n', 'command = "/bin/sleep 1000"\nprotect = true\n')


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> SwitchHost:
    return SwitchHost(tmp_path, monkeypatch, capsys)


def stop_by_hand(host: SwitchHost, name: str) -> None:
    unit = host.manager.units[name]
    unit.active_state, unit.sub_state = "inactive", "dead"


def test_edit_by_hand_is_shown_saved_and_written_over_with_force(host: SwitchHost) -> None:
    host(APPLY)
    path = host.units / "shop-web.service"
    edited = path.read_text().replace("[Service]\n", "[Service]\nNice=5\n")
    path.write_text(edited)
    assert host(PLAN).code == 1
    said = host(f"{PLAN} --force")
    why = "was edited by hand, saved as shop-web.service.pm-native-orig; Nice= changed"
    assert (said.code, said.out) == (
        2,
        (
            f"~ shop-web.service  {why}\n"
            "    Nice: 5 -> (none)\n"
            "⟳ reload unit files  unit files have changed\n"
            f"↻ restart shop-web.service  {why}\n"
            "shop: 1 to change, 1 to restart, 5 unchanged\n"
        ),
    )
    assert host(f"{APPLY} --force").code == 0
    assert (host.units / "shop-web.service.pm-native-orig").read_text() == edited
    assert host(PLAN).out == NOTHING


def test_foreign_file_is_adopted_when_that_is_asked_for(host: SwitchHost) -> None:
    host.units.mkdir(parents=True)
    (host.units / "shop.target").write_text("[Unit]\nDescription=theirs\n")
    said = host(f"{PLAN} --adopt --json")
    data = json.loads(said.out)["data"]
    (step,) = (step for step in data["steps"] if step["saved_as"])
    assert (data["options"], step) == (
        ["adopt"],
        {
            "action": "write",
            "subject": "shop.target",
            "reason": "adopted: was not ours, saved as shop.target.pm-native-orig;"
            " Description=, Wants= changed",
            "new": False,
            "saved_as": "shop.target.pm-native-orig",
            "changes": [
                {"directive": "Unit.Description", "old": "theirs", "new": "shop"},
                {"directive": "Unit.Wants", "old": "", "new": "shop-web.service\nshop-api.target"},
            ],
        },
    )
    assert host(f"{APPLY} --adopt").code == 0
    assert (host.units / "shop.target.pm-native-orig").read_text() == "[Unit]\nDescription=theirs\n"
    assert host(PLAN).out == NOTHING


def test_saved_plan_keeps_its_options_and_takes_no_others(host: SwitchHost) -> None:
    host.units.mkdir(parents=True)
    (host.units / "shop.target").write_text("[Unit]\n")
    assert host(f"{PLAN} --adopt -o shop.plan").code == 2
    said = host("apply shop.plan --user --settle 0 --adopt --no-prune")
    assert (said.code, said.err) == (
        64,
        "error: a saved plan says what to apply\n  hint: leave --adopt, --no-prune out, or plan with it\n",
    )
    assert host("apply shop.plan --user --settle 0").code == 0


def test_adoption_that_could_not_be_undone_is_refused(host: SwitchHost) -> None:
    said = host(f"{APPLY} --adopt --atomic")
    assert (said.code, said.err) == (
        64,
        "error: --adopt and --atomic exclude each other\n  hint: adopt first; what follows can be atomic\n",
    )


def test_reconcile_starts_what_was_stopped_by_hand(host: SwitchHost) -> None:
    host(APPLY)
    stop_by_hand(host, "shop-web.service")
    (host.units / "default.target.wants/shop.target").unlink()
    assert host(PLAN).out == (
        "! shop.target was disabled by hand (systemctl --user enable shop.target)\n"
        "! shop-web.service was stopped by hand: left stopped (systemctl --user start shop-web.service)\n"
        f"{NOTHING}"
    )
    assert host(f"{PLAN} --reconcile").out == (
        "+ enable default.target.wants/shop.target  was disabled by hand\n"
        "⟳ reload unit files  unit files have changed\n"
        "▶ start shop-web.service  was stopped by hand\n"
        "shop: 1 to start, 6 unchanged\n"
    )
    assert host(f"{APPLY} --reconcile").code == 0
    assert (host.manager.units["shop-web.service"].active_state, host(PLAN).out) == ("active", NOTHING)


def test_project_under_its_old_name_is_told_until_it_is_removed(host: SwitchHost) -> None:
    host(APPLY)
    host.config(CONFIG.replace('name = "shop"', 'name = "store"'))
    known = host.manager.known
    host.manager.known = known | {
        unit.replace("shop", "store"): file.replace("shop", "store") for unit, file in known.items()
    }
    told = (
        "! shop was made by the same config under another name, and stays installed"
        " (pm-native remove --user shop)\n"
    )
    for command in (PLAN, APPLY, PLAN):
        said = host(command)
        assert told in said.out + said.err, command
    assert (said.code, said.out) == (0, f"{told}store: nothing to do, 6 files unchanged\n")
    # A config of the same environment files is another one.
    (host.home / "other.toml").write_text(
        (host.home / "pm-native.toml").read_text().replace("store", "third")
    )
    assert "under another name" not in host("plan --user -f other.toml").out
    assert host("remove --user shop").code == 0
    assert host(PLAN).out == "store: nothing to do, 6 files unchanged\n"


def test_user_whose_manager_ends_with_the_session_is_told_how_to_keep_it(host: SwitchHost) -> None:
    (mark,) = host.linger.iterdir()
    mark.unlink()
    said = host(APPLY)
    told = (
        "! shop.target stops when you log out, and does not start at boot: your service manager does not linger"
        f" (loginctl enable-linger {mark.name})\n"
    )
    assert (said.code, told in said.err) == (0, True)
    assert host(PLAN).out == told + NOTHING


def test_no_prune_leaves_what_has_gone_and_the_next_apply_without_it_prunes(host: SwitchHost) -> None:
    host(APPLY)
    host.config(ONLY_API)
    said = host(f"{APPLY} --no-prune")
    assert (said.code, host.manager.calls) == (0, ["daemon-reload"])
    told = "! shop-web.service is no longer in the config: left as it is, as --no-prune says\n"
    assert host(f"{PLAN} --no-prune").out == f"{told}{NOTHING}"
    assert host(APPLY).code == 0
    assert host.manager.calls == ["stop shop-web.service", "daemon-reload"]
    assert not (host.units / "shop-web.service").exists()


def test_protected_process_is_left_alone_by_apply_and_remove_but_for_force(host: SwitchHost) -> None:
    host.config(PROTECTED)
    host(APPLY)
    host.config(ONLY_API)
    told = "! shop-web.service is protected: left alone\n"
    assert host(APPLY).code == 0
    assert host(PLAN).out == f"{told}{NOTHING}"
    assert host("remove shop --user").code == 0
    assert "stop shop-web.service" not in host.manager.calls
    assert [item["command"] for item in json.loads(host("history --user --json").out)["data"]] == [
        "apply",
        "apply",
        "remove",
    ]
    assert host("remove shop --user").out == f"{told}shop: nothing to do, 4 files unchanged\n"
    assert host("remove shop --user --force").code == 0
    assert host.manager.calls[0] == "stop shop-web.service"
    assert [path for path in host.units.rglob("*") if path.is_file()] == []


def test_failed_atomic_apply_takes_its_own_new_process_back_though_it_is_protected(host: SwitchHost) -> None:
    host.config(PROTECTED)
    host.manager.behaviours = {"shop-api@1.service": Behaviour.FAILS}
    assert host(f"{APPLY} --atomic").code == 3
    assert "stop shop-web.service" in host.manager.calls
    assert [path for path in host.units.rglob("*") if path.is_file()] == []


def test_drop_in_that_overrides_is_told_with_its_path(host: SwitchHost) -> None:
    host(APPLY)
    path = host.units / "shop-web.service.d/override.conf"
    path.parent.mkdir()
    path.write_text("[Service]\nExecStart=\nExecStart=/bin/sleep 7\n")
    host.manager.units["shop-web.service"].drop_in_paths = (str(path),)  # read by now
    assert host(PLAN).out == (
        f"! shop-web.service has another ExecStart= by {path} (a drop-in counts more than the config)\n{NOTHING}"
    )


def test_vanished_working_directory_ends_plan_and_apply_before_anything_happens(host: SwitchHost) -> None:
    folder = host.home / "work"
    folder.mkdir()
    host.config(CONFIG.replace("[process.api]\n", '[process.api]\ndirectory = "work"\n'))
    host("generate --user -f pm-native.toml")
    folder.rmdir()
    for command in ("plan", "apply"):
        said = host(f"{command} --user --from build/systemd")
        assert (said.code, said.out, said.err) == (
            69,
            "",
            (
                f"error: this working directory is not there: {folder} (shop-api@.service)\n"
                "  hint: make it, or change `directory`; --allow-missing applies all the same\n"
            ),
        )
    assert not host.units.exists()
    assert host("plan --user --from build/systemd --allow-missing").code == 2
