"""Where a switch begins and what refuses it: sets, files, roots, locks, others' files; and removal."""

from __future__ import annotations

import os

import pytest

from pm_native.state.lock import locked
from tests.cli.switch_host import APPLY, CONFIG, FIRST_PLAN, SwitchHost

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> SwitchHost:
    return SwitchHost(tmp_path, monkeypatch, capsys)


def test_foreign_file_is_refused_by_name(host: SwitchHost) -> None:
    host.units.mkdir(parents=True)
    (host.units / "shop.target").write_text("[Unit]\n")
    said = host(APPLY)
    assert (said.code, said.out) == (1, "")
    assert said.err == (
        f"error: this file is in the way: {host.units}/shop.target (not ours)\n"
        "  hint: move them away; a change of yours belongs in a drop-in (systemctl edit) or in the config; "
        "apply --adopt takes over what is not ours, and keeps the old text\n"
    )


def test_run_beside_another_is_refused(host: SwitchHost) -> None:
    with locked(host.home / "run/pm-native-user-shop.lock"):
        said = host(APPLY)
    assert (said.code, said.err) == (
        75,
        f"error: pm-native (pid {os.getpid()}) is changing this project\n  hint: try again when it is done, or give --wait\n",
    )


def test_remove_takes_all_of_it_away(host: SwitchHost) -> None:
    host(APPLY)
    said = host("remove shop --user")
    assert (said.code, said.out) == (0, "shop: done, 13 steps\n")
    assert host.manager.calls == [
        "stop shop.target",
        "stop shop-api.target",
        "stop shop-api@2.service",
        "stop shop-api@1.service",
        "stop shop-web.service",
        "daemon-reload",
    ]
    assert [path for path in host.home.rglob("*") if "shop" in path.name and path.parent != host.home] == []
    assert "from here on" not in said.err


def test_remove_of_what_is_not_there_and_of_no_name_are_told_apart(host: SwitchHost) -> None:
    said = host("remove shop --user")
    assert (said.code, said.err) == (
        64,
        "error: 'shop' is not installed in the user manager\n  hint: pm-native status lists what is\n",
    )
    said = host("remove ../shop --user")
    assert (said.code, said.err.splitlines()[0]) == (64, "error: not a project's name: '../shop'")


def test_generated_set_is_applied_unless_its_source_has_changed(host: SwitchHost) -> None:
    assert host("generate --user").code == 0
    assert host("apply --user --settle 0").code == 0
    host.config(CONFIG.replace("1000", "1001"))
    said = host("apply --user --settle 0")
    assert said.code == 1
    assert said.err == (
        f"error: {host.home}/pm-native.toml has changed since the units were generated\n"
        "  hint: run `pm-native generate` again\n"
    )
    said = host("plan --from build/systemd")
    assert (said.code, said.err.splitlines()[0]) == (
        1,
        f"error: {host.home}/pm-native.toml has changed since the units were generated",
    )


def test_set_of_another_manager_is_refused(host: SwitchHost) -> None:
    host("generate --user")
    said = host("plan --root .")
    assert (said.code, said.err) == (
        64,
        "error: the set was generated for the user manager\n  hint: give --user, or run `pm-native generate` first\n",
    )


def test_set_and_file_exclude_each_other(host: SwitchHost) -> None:
    said = host("plan --user -f pm-native.toml --from build/systemd")
    assert (said.code, said.err) == (
        64,
        "error: --from and --file exclude each other\n  hint: a set is generated, or compiled now\n",
    )


def test_warnings_are_told_before_the_run_and_once(host: SwitchHost) -> None:
    host.config(CONFIG.replace("/bin/sleep 1000", "/bin/no-such-program"))
    said = host(f"{APPLY} --allow-missing")
    lines = said.err.splitlines()
    assert said.code == 0
    assert sum("no-such-program" in line and "warning" in line for line in lines) == 1
    assert next(index for index, line in enumerate(lines) if "warning" in line) < lines.index(
        "+ shop-web.env  new"
    )


OFFLINE = "-f pm-native.toml --root mnt"


def test_offline_plan_apply_and_remove_need_no_systemd(host: SwitchHost) -> None:
    root = host.home / "mnt"
    (root / "bin").mkdir(parents=True)
    (root / "bin/sleep").write_text("#!/bin/sh\n")
    (root / "bin/sleep").chmod(0o755)
    host.config(CONFIG.replace("{home}", "/").replace("shop.env", "{home}/shop.env"))
    said = host(f"plan {OFFLINE}")
    assert said.out == FIRST_PLAN.replace("default", "multi-user") + "shop: 6 to add, 0 unchanged\n"
    said = host(f"apply {OFFLINE}")
    assert (said.code, said.out) == (0, "shop: done, 7 steps\n")
    assert said.err.splitlines()[-1] == f"files only: systemd below {root} takes them up when it starts"
    link = root / "etc/systemd/system/multi-user.target.wants/shop.target"
    assert str(link.readlink()) == "/etc/systemd/system/shop.target"
    assert (root / "etc/pm-native/shop/shop-web.env").stat().st_mode & 0o777 == 0o600
    said = host(f"apply {OFFLINE}")
    assert (said.code, said.out, said.err) == (0, "shop: nothing to do, 6 files unchanged\n", "")
    said = host("remove shop --root mnt")
    assert (said.code, said.out) == (0, "shop: done, 7 steps\n")
    assert sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()) == ["bin/sleep"]
    assert host.manager.calls == []


def test_root_that_is_not_there_is_a_usage_error(host: SwitchHost) -> None:
    said = host("plan --root nowhere -f pm-native.toml")
    assert (said.code, said.err) == (64, "error: --root: there is no folder nowhere\n")
