"""A run of a plan: every call to systemd, every file, the record; and what is left when it is cut short."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from errno import ENOSPC
from pathlib import Path

import pytest

from pm_native.apply.outcome import RunOptions
from pm_native.bus.fake import Behaviour
from pm_native.bus.manager import BusLostError, NoSuchUnitError
from pm_native.bus.scheduler import WINDOW, JobStage
from pm_native.compile.bundle import BundleUnit, LogDirectory, recorded
from pm_native.errors import AccessError, StateError, UnavailableError
from pm_native.model.record import OnChange, SourceFile
from tests.apply.hosts import DB, ENV, SHOP, WEB, Told, changed, compiled
from tests.plan.hosts import service_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pm_native.compile.bundle import Bundle
    from tests.apply.hosts import Host


def pool(count: int) -> Bundle:
    names = [f"shop-api@{number}.service" for number in range(1, count + 1)]
    return compiled(*(BundleUnit(name, "shop-api@.service", "api", "shop.toml:9") for name in names))


def test_first_apply_writes_then_reloads_once_then_starts(host: Host) -> None:
    outcome = host.apply(SHOP)
    assert host.manager.calls == [
        "daemon-reload",
        "start shop.target",
        "start shop-db.service",
        "start shop-web.service",
    ]
    assert host.tree() == [
        "etc/pm-native/shop/shop-db.env",
        "etc/systemd/system/multi-user.target.wants/shop.target -> /etc/systemd/system/shop.target",
        "etc/systemd/system/shop-db.service",
        "etc/systemd/system/shop-web.service",
        "etc/systemd/system/shop.target",
        "var/lib/pm-native/shop/current.json",
    ]
    assert (outcome.done, outcome.failures, outcome.is_interrupted) == (9, [], False)
    assert host.installed.bundle == recorded(SHOP)
    assert (host.installed.generation, host.installed.complete) == (1, True)
    assert host.told.lines[-4:] == [
        "ended start shop.target",
        "ended start shop-db.service",
        "ended start shop-web.service",
        "settling 0.001 s",
    ]


def test_environment_files_are_for_root_alone(host: Host) -> None:
    host.apply(SHOP)
    folder = host.layout.environment("shop")
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (folder, folder / "shop-db.env")]
    assert modes == [0o700, 0o600]
    assert stat.S_IMODE((host.layout.units / "shop-db.service").stat().st_mode) == 0o644


def test_second_apply_asks_nothing_and_writes_nothing(host: Host) -> None:
    host.apply(SHOP)
    before = {path: path.stat(follow_symlinks=False).st_mtime_ns for path in host.root.rglob("*")}
    outcome = host.apply(SHOP)
    assert (host.manager.calls, host.told.lines, outcome.done) == ([], [], 0)
    assert {path: path.stat(follow_symlinks=False).st_mtime_ns for path in host.root.rglob("*")} == before


def test_change_restarts_one_unit(host: Host) -> None:
    host.apply(SHOP)
    runs = host.manager.units["shop-db.service"].invocation_id
    host.apply(changed("web"))
    assert host.manager.calls == ["daemon-reload", "restart shop-web.service"]
    assert host.manager.units["shop-db.service"].invocation_id == runs


def test_unit_that_failed_is_tried_again_until_it_stays_up(host: Host) -> None:
    host.manager.behaviours["shop-web.service"] = Behaviour.CRASHES
    assert [item.unit for item in host.apply(SHOP).failures] == ["shop-web.service"]
    assert host.installed.failed == ("shop-web.service",)
    again = host.apply(SHOP)
    assert host.manager.calls == ["reset-failed shop-web.service", "start shop-web.service"]
    assert [item.words for item in again.failures] == ["it ended within 0.001 s of its start"]
    # By itself it came up since: it is left to run, and looked at.
    unit = host.manager.units["shop-web.service"]
    unit.active_state, unit.sub_state, unit.n_restarts = "active", "running", 7
    last = host.apply(SHOP)
    assert (host.manager.calls, last.failures, last.done) == ([], [], 1)
    assert host.told.lines == ["settling 0.001 s"]
    assert [*host.installed.failed] == []
    assert host.plan(SHOP).is_empty


def test_unit_that_failed_and_restarts_while_it_is_watched_has_failed_again(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.manager.behaviours["shop-web.service"] = Behaviour.CRASHES
    host.apply(SHOP)
    unit = host.manager.units["shop-web.service"]
    unit.active_state, unit.sub_state, unit.n_restarts = "active", "running", 7
    plan = host.plan(SHOP)

    async def pause(*_: object) -> None:
        unit.n_restarts += 2

    monkeypatch.setattr("pm_native.apply.settle._pause", pause)
    outcome = host.run(plan)
    assert [item.words for item in outcome.failures] == [
        "it was restarted 2 times within 0.001 s of being watched"
    ]
    assert (host.manager.calls, host.installed.failed) == ([], ("shop-web.service",))


def test_unit_that_nobody_watched_stays_unproven(host: Host) -> None:
    host.manager.behaviours["shop-web.service"] = Behaviour.CRASHES
    host.apply(SHOP)
    unit = host.manager.units["shop-web.service"]
    unit.active_state, unit.sub_state = "active", "running"
    assert host.apply(SHOP, options=RunOptions(settle_sec=0)).failures == []
    assert host.installed.failed == ("shop-web.service",)


def test_run_that_is_left_on_old_settings_is_recorded_until_another_one_is_there(host: Host) -> None:
    unit = "shop-web.service"
    old = compiled(replace(WEB, on_change=OnChange.KEEP), DB, env=ENV)
    new = changed("web", on_change=OnChange.KEEP)
    host.apply(old)
    host.apply(new)
    run = host.manager.units[unit].invocation_id
    assert host.installed.held == {unit: run}
    host.apply(new)
    assert host.installed.held == {unit: run}
    host.manager.units[unit].invocation_id = "ab" * 16
    host.apply(new)
    assert host.installed.held == {}


def test_stop_start_stops_before_the_file_changes(host: Host) -> None:
    host.apply(changed(on_change=OnChange.STOP_START))
    host.apply(changed("web", on_change=OnChange.STOP_START))
    assert host.manager.calls == ["stop shop-web.service", "daemon-reload", "start shop-web.service"]
    assert [line for line in host.told.lines if "shop-web.service" in line] == [
        "ended stop shop-web.service",
        "done write shop-web.service",
        "ended start shop-web.service",
    ]


def test_changed_environment_file_needs_no_reload(host: Host) -> None:
    host.apply(SHOP)
    host.apply(compiled(WEB, DB, env={"shop-db.env": 'KEY="2"\n'}))
    assert host.manager.calls == ["restart shop-db.service"]


def test_what_needs_no_step_is_recorded_all_the_same(host: Host) -> None:
    host.apply(SHOP)
    moved = replace(SHOP, sources=(SourceFile(path="/srv/other.toml", sha256="0"),))
    host.apply(moved)
    assert host.manager.calls == []
    assert [source.path for source in host.installed.bundle.sources] == ["/srv/other.toml"]
    assert host.installed.generation == 1


def test_removal_goes_through_the_window_and_leaves_nothing(host: Host) -> None:
    host.apply(pool(100))
    host.manager.most_queued = 0
    host.apply(None)
    assert host.manager.calls == [
        *(f"stop shop-api@{number}.service" for number in range(100, 0, -1)),
        "stop shop.target",
        "daemon-reload",
    ]
    assert host.manager.most_queued == WINDOW
    assert host.tree() == ["etc/systemd/system/", "var/lib/"]
    assert host.store.load() is None


def test_removal_keeps_what_others_put_beside_it(host: Host) -> None:
    host.apply(SHOP)
    (host.layout.environment("shop") / "mine.env").touch()
    (host.layout.units / "multi-user.target.wants" / "other.service").symlink_to("/x")
    host.apply(None)
    assert host.tree() == [
        "etc/pm-native/shop/mine.env",
        "etc/systemd/system/multi-user.target.wants/other.service -> /x",
        "var/lib/",
    ]


def test_removed_unit_that_did_not_end_well_is_forgotten_by_systemd(host: Host) -> None:
    host.apply(SHOP)
    host.manager.stops_badly = {"shop-web.service"}
    host.apply(compiled(DB, env=ENV))
    assert host.manager.calls == ["stop shop-web.service", "daemon-reload", "reset-failed shop-web.service"]


def test_unit_that_vanished_before_its_stop_is_stopped(host: Host) -> None:
    host.apply(SHOP)
    plan = host.plan(compiled(DB, env=ENV))
    host.manager.refuse["stop shop-web.service"] = NoSuchUnitError("Unit shop-web.service not loaded.")
    outcome = host.run(plan)
    assert (outcome.failures, host.installed.complete) == ([], True)


def test_folders_for_logs_are_made_and_stay_roots_own(host: Host) -> None:
    folders = tuple(LogDirectory(path) for path in ("/var/log/shop/a", "/var/log/b", "/srv"))
    (host.root / "srv").mkdir()
    host.apply(compiled(directories=folders))
    assert [line for line in host.tree() if "log" in line] == ["var/log/b/", "var/log/shop/a/"]
    assert (host.root / "var/log/b").stat().st_uid == os.geteuid()


def test_offline_writes_files_and_owes_the_rest(host: Host) -> None:
    host.apply(SHOP, offline=True)
    assert (host.manager.calls, host.installed.complete) == ([], False)
    assert host.plan(SHOP, offline=True).is_empty
    host.apply(SHOP, offline=True)
    assert (host.manager.calls, host.installed.complete) == ([], False)
    host.apply(SHOP)
    assert host.manager.calls == [
        "daemon-reload",
        "start shop.target",
        "start shop-db.service",
        "start shop-web.service",
    ]
    assert host.installed.complete
    host.apply(None, offline=True)
    assert host.tree() == ["etc/systemd/system/", "var/lib/"]


def test_lost_bus_ends_the_run_with_its_name_and_the_next_run_goes_on(host: Host) -> None:
    host.apply(pool(3))
    new = compiled(*pool(3).units[1:], texts={"shop-api@.service": service_text("run2")})
    host.manager.refuse["restart shop-api@2.service"] = BusLostError("the connection to the bus is gone")
    with pytest.raises(BusLostError, match="the connection to the bus is gone"):
        host.apply(new)
    assert (host.installed.complete, host.installed.to_restart) == (True, ("shop-api@2.service",))
    host.manager.refuse.clear()
    host.apply(new)
    assert host.manager.calls == ["restart shop-api@2.service"]
    assert host.installed.to_restart == ()
    assert host.plan(new).is_empty


def test_polkit_that_refuses_the_first_stop_ends_the_run_before_any_file_changes(host: Host) -> None:
    host.apply(SHOP)
    before = host.tree()
    host.manager.refuse["stop shop-web.service"] = AccessError("not allowed", hint="sudo pm-native apply")
    with pytest.raises(AccessError) as caught:
        host.apply(compiled(DB, env=ENV))
    assert caught.value.hint == "sudo pm-native apply"
    assert host.tree() == before
    assert not host.installed.complete
    host.manager.refuse.clear()
    host.apply(compiled(DB, env=ENV))
    assert host.manager.calls == ["stop shop-web.service", "daemon-reload"]


@pytest.mark.parametrize("closed", ["etc/systemd/system", "etc/pm-native/shop", "var/log"])
def test_folder_that_cannot_be_written_is_told_before_anything_happens(
    host: Host, monkeypatch: pytest.MonkeyPatch, closed: str
) -> None:
    host.apply(SHOP)
    (host.root / "var/log").mkdir()
    before = host.tree()
    real = os.access
    monkeypatch.setattr(
        os, "access", lambda path, mode: str(path) != f"{host.root}/{closed}" and real(path, mode)
    )
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    new = compiled(WEB, env={"shop-web.env": ""}, directories=(LogDirectory("/var/log/shop"),))
    with pytest.raises(AccessError) as caught:
        host.apply(new)
    assert caught.value.message == f"cannot write to {host.root}/{closed}: permission denied"
    assert caught.value.hint == "use sudo for the system manager, or --user for your own"
    assert (host.manager.calls, host.tree(), host.installed.complete) == ([], before, True)


def test_records_that_cannot_be_written_are_told_before_any_job(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.apply(SHOP)

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied", "/var/lib/pm-native/shop/current.json")

    monkeypatch.setattr("pm_native.state.store.write_atomic", refuse)
    with pytest.raises(AccessError, match=r"cannot write /var/lib/pm-native/shop/current\.json"):
        host.apply(changed("web"))
    assert host.manager.calls == []


def test_full_disk_names_the_file_and_the_next_run_goes_on(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.apply(SHOP)
    new = changed("web", "db")
    real = os.fsync
    left = [2]  # the first unit file with its folder; then the disk is full

    def fill(descriptor: int) -> None:
        if Path(os.readlink(f"/proc/self/fd/{descriptor}")).is_relative_to(host.layout.units):  # noqa: PTH115
            left[0] -= 1
        if left[0] < 0:
            raise OSError(ENOSPC, os.strerror(ENOSPC))
        real(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fill)
        with pytest.raises(UnavailableError) as caught:
            host.apply(new)
    assert caught.value.message.startswith(f"cannot write {host.layout.units}/shop-")
    assert caught.value.message.endswith(": No space left on device")
    assert host.manager.calls == []
    assert (host.installed.complete, host.installed.to_restart) == (
        False,
        ("shop-db.service", "shop-web.service"),
    )
    host.apply(new)
    assert host.manager.calls == ["daemon-reload", "restart shop-db.service", "restart shop-web.service"]
    assert host.plan(new).is_empty


def test_interrupted_run_says_what_goes_on_and_the_next_run_does_the_rest(host: Host) -> None:
    bundle = pool(WINDOW + 10)
    host.manager.behaviours = {f"shop-api@{number}.service": Behaviour.HANGS for number in range(2, 60)}
    outcome = host.run(host.plan(bundle), told=Told("ended start shop-api@1.service"))
    queued, unsent = outcome.units(JobStage.LEFT), outcome.units(JobStage.UNSENT)
    assert outcome.is_interrupted
    assert queued == [f"shop-api@{number}.service" for number in range(2, len(queued) + 2)]
    assert unsent == [f"shop-api@{number}.service" for number in range(len(queued) + 2, WINDOW + 11)]
    assert host.installed.to_start == tuple(unsent)
    for unit in host.manager.units.values():
        unit.behaviour = Behaviour.RUNS
    for name in queued:
        host.manager.finish(name, "done")
    host.apply(bundle)
    assert host.manager.calls == [f"start {name}" for name in unsent]


def test_interrupted_removal_is_no_removal_and_the_next_one_ends_it(host: Host) -> None:
    host.apply(SHOP)
    host.manager.units["shop-web.service"].stop_hangs = True
    before = host.tree()
    outcome = host.run(host.plan(None), told=Told("ended stop shop.target"))
    assert (outcome.is_interrupted, host.tree(), host.installed.complete) == (True, before, False)
    host.manager.units["shop-web.service"].stop_hangs = False
    host.manager.finish("shop-web.service", "done")
    host.apply(None)
    assert host.tree() == ["etc/systemd/system/", "var/lib/"]


def test_damaged_record_stops_everything(host: Host) -> None:
    host.apply(SHOP)
    (host.store.directory / "current.json").write_text("{")
    with pytest.raises(StateError, match=r"current\.json is damaged"):
        host.apply(SHOP)
