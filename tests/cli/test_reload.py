"""`pm-native reload`, and pools that `apply` reloads: which jobs, what is said, the way back."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from pm_native.bus.fake import Behaviour, FakeUnit
from pm_native.compile.bundle import BundleUnit
from tests.cli.host import CommandHost
from tests.cli.switch_host import SwitchHost
from tests.monitor.fakes import SHOP, running

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

CONFIG = """\
[project]
name = "shop"
directory = "{home}"

[process.api]
command = "/bin/sleep 2000"
instances = 3
on_change = "reload"
"""
APPLY = "apply --user -f pm-native.toml --settle 0.01 --allow-missing"


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandHost:
    made = CommandHost(tmp_path, monkeypatch, capsys)
    made.install(SHOP)
    made.manager.add(*(running(unit.name) for unit in SHOP.units if unit.name != "shop-debug.service"))
    for name in ("shop-backup.service", "shop-redis.service"):
        made.unit_file(name, "[Service]\nType=oneshot\n" if "backup" in name else "[Service]\nType=exec\n")
    return made


@pytest.fixture
def switch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> SwitchHost:
    made = SwitchHost(tmp_path, monkeypatch, capsys)
    made.config(CONFIG)
    assert made(APPLY).code == 0
    return made


def jobs(host: CommandHost | SwitchHost) -> list[str]:
    """The jobs that were submitted, in order."""
    return [
        call
        for call in host.manager.calls
        if not call.startswith("reset-failed") and call != "daemon-reload"
    ]


def test_pool_one_instance_after_the_other(host: CommandHost) -> None:
    said = host("reload --user --settle 0.01 api")
    assert jobs(host) == ["restart shop-api@1.service", "restart shop-api@2.service"]
    assert (said.code, said.out) == (0, "shop: 2 reloaded\n")
    lines = said.err.splitlines()
    assert [line.partition(" service")[0].rpartition("  ")[0] or line for line in lines] == [
        "✓ restart shop-api@1.service",
        "watching what was started for 0.01 s",
        "✓ restart shop-api@2.service",
        "watching what was started for 0.01 s",
    ]


def test_project_without_its_tasks(host: CommandHost) -> None:
    said = host("reload --user --settle 0.01")
    assert jobs(host) == [
        "restart shop-redis.service",
        "restart shop-api@1.service",
        "restart shop-api@2.service",
    ]
    assert (said.code, said.out) == (0, "shop: 3 reloaded\n")


def test_watchers_are_left_alone(host: CommandHost) -> None:
    watcher = BundleUnit("shop-api-watch.service", "shop-api-watch.service", "api", helper="watch")
    host.install(replace(SHOP, units=(*SHOP.units, watcher)))
    host.manager.add(running(watcher.name))
    assert host("reload --user --settle 0.01 api").out == "shop: 2 reloaded\n"
    assert jobs(host) == ["restart shop-api@1.service", "restart shop-api@2.service"]
    assert watcher.name in " ".join(jobs_of_stop(host))


def jobs_of_stop(host: CommandHost) -> list[str]:
    """What `stop` of a process asks for."""
    host.manager.calls.clear()
    assert host("stop --user api").code == 0
    return jobs(host)


def test_several_at_a_time(host: CommandHost) -> None:
    said = host("reload --user --settle 0.01 --max-unavailable 2 api")
    assert said.err.count("watching") == 1
    assert said.out == "shop: 2 reloaded\n"


def test_canary_leaves_the_others(host: CommandHost) -> None:
    said = host("reload --user --settle 0.01 --canary api")
    assert jobs(host) == ["restart shop-api@1.service"]
    assert (said.code, said.out) == (0, "shop: 1 reloaded, 1 left as they were\n")
    assert said.err.splitlines()[-1] == "for the rest: pm-native reload --user api"


def test_first_failure_ends_it(host: CommandHost) -> None:
    host.manager.units["shop-api@1.service"].behaviour = Behaviour.FAILS
    said = host("reload --user --settle 0.01 --json api")
    assert jobs(host) == ["restart shop-api@1.service"]
    data = json.loads(said.out)["data"]["projects"][0]
    assert [item["unit"] for item in data["failures"]] == ["shop-api@1.service"]
    assert (said.code, data["left"]) == (4, ["shop-api@2.service"])
    host.manager.units["shop-api@1.service"].behaviour = Behaviour.CRASHES
    said = host("reload --user --settle 0.01 api")
    assert said.out.splitlines()[-1] == "shop: 1 unit failed, 1 left as they were"


def test_what_is_stopped_stays_so_and_what_was_added_takes_part(host: CommandHost) -> None:
    host.manager.add(FakeUnit(name="shop-api@1.service"), running("shop-api@7.service"))
    assert host("reload --user --settle 0.01 api").code == 0
    assert jobs(host) == ["restart shop-api@2.service", "restart shop-api@7.service"]
    host.manager.calls.clear()
    assert host("reload --user --settle 0.01 api@2").code == 0
    assert jobs(host) == ["restart shop-api@2.service"]


def test_process_with_a_reload_of_its_own(host: CommandHost) -> None:
    host.unit_file("shop-redis.service", "[Service]\nType=notify\nExecReload=/bin/kill -HUP $MAINPID\n")
    host.unit_file("shop-api@.service", "[Service]\nExecReload=/bin/kill -HUP $MAINPID\n")
    for unit in host.manager.units.values():
        unit.can_reload = True
    assert host("reload --user --settle 0.01 redis api").code == 0
    assert jobs(host) == [
        "reload shop-redis.service",
        "reload shop-api@1.service",
        "reload shop-api@2.service",
    ]


def test_apply_rolls_a_pool(switch: SwitchHost) -> None:
    switch.config(CONFIG.replace("2000", "3000"))
    said = switch(APPLY)
    assert jobs(switch) == [f"restart shop-api@{number}.service" for number in (1, 2, 3)]
    assert (said.code, said.out) == (0, "shop: done, 5 steps\n")
    assert "↻ roll shop-api@1.service  ExecStart= changed\n" in said.err
    assert "shop: 1 to change, 3 to roll, 3 unchanged\n" in said.err


def test_apply_goes_back_when_an_instance_does_not_come_back(switch: SwitchHost) -> None:
    before = (switch.units / "shop-api@.service").read_text()
    switch.config(CONFIG.replace("2000", "3000"))
    switch.manager.fails_with = "3000"
    said = switch(APPLY)
    # The other two have never been touched: they run on what it goes back to.
    assert jobs(switch) == ["restart shop-api@1.service", "start shop-api@1.service"]
    assert said.code == 3
    assert (switch.units / "shop-api@.service").read_text() == before
    switch.config(CONFIG)
    assert "nothing to do" in switch(APPLY).out


def test_apply_with_a_canary(switch: SwitchHost) -> None:
    switch.config(CONFIG.replace("2000", "3000"))
    said = switch(f"{APPLY} --canary")
    assert jobs(switch) == ["restart shop-api@1.service"]
    assert said.out == (
        "canary: shop-api@2.service, shop-api@3.service wait on their old settings\nshop: done, 3 steps\n"
    )
    assert said.err.splitlines()[-1] == (
        "once it is known to be well: apply again, for the rest; or pm-native rollback"
    )
    assert switch(APPLY).code == 0
    assert jobs(switch) == ["restart shop-api@2.service", "restart shop-api@3.service"]
