"""The process table, from a fake manager and recorded trees."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from pm_native.apply.failures import exit_words
from pm_native.bus.fake import FakeUnit
from pm_native.compile.bundle import BundleUnit
from pm_native.monitor.cgroup import Cgroups
from pm_native.monitor.procfs import Processes
from pm_native.monitor.table import Sources, TableReader, TimerStatus, UnitStatus, cpu_share_between
from tests.monitor.fakes import SHOP, TableManager, running
from tests.monitor.trees import PROC, UNIT, V2, V2_WITHOUT_MEMORY, plant

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

API = SHOP.units[2]
REDIS = SHOP.units[1]


def table(root: Path, manager: TableManager, units: tuple[BundleUnit, ...] = SHOP.units) -> list[UnitStatus]:
    sources = Sources(
        cgroups=Cgroups(root),
        processes=Processes(root, ticks=100, page=4096),
        top="",
        directory=str(root / "units"),
        exit_words=exit_words,
    )
    reader = TableReader(manager, SHOP, sources)
    return asyncio.run(reader.read(units))


def test_running_unit_has_all_its_figures(tmp_path: Path) -> None:
    manager = TableManager()
    manager.add(running(API.name, main_pid=812, n_restarts=3, status_text="unhealthy: http 500 x3"))
    assert table(plant(tmp_path, V2 | PROC), manager, (API,)) == [
        UnitStatus(
            unit="shop-api@1.service",
            process="api",
            label="api@1",
            where="pm-native.toml:7",
            load_state="loaded",
            active_state="active",
            sub_state="running",
            status_text="unhealthy: http 500 x3",
            pid=812,
            pids=(812, 815, 830, 831),
            uptime_sec=600.0,
            restarts=3,
            memory_bytes=54804480,
            cpu_usec=1_500_000,
        )
    ]


def test_watcher_has_a_line_of_its_own(tmp_path: Path) -> None:
    watcher = BundleUnit("shop-api-watch.service", "shop-api-watch.service", "api", helper="watch")
    manager = TableManager()
    manager.add(running(API.name), running(watcher.name))
    assert [row.label for row in table(tmp_path, manager, (API, watcher))] == ["api@1", "api-watch"]


def test_cpu_share_is_the_time_used_over_the_time_since_the_start(tmp_path: Path) -> None:
    manager = TableManager()
    manager.add(running(API.name, main_pid=812))
    (row,) = table(plant(tmp_path, V2 | PROC), manager, (API,))
    assert row.cpu_share == 1.5 / 600
    assert replace(row, cpu_usec=None).cpu_share is None
    assert replace(row, uptime_sec=None).cpu_share is None


def test_only_process_of_a_service_is_its_main_process_without_a_question(tmp_path: Path) -> None:
    tree = V2 | PROC | {f"sys/fs/cgroup{UNIT}/cgroup.procs": "812\n"}
    tree = {path: text for path, text in tree.items() if "/workers/" not in path}
    manager = TableManager()
    manager.add(running(API.name, main_pid=99))
    (row,) = table(plant(tmp_path, tree), manager, (API,))
    assert row.pid == 812
    assert manager.asked == [f"{API.name} Service.NRestarts", f"{API.name} Service.StatusText"]


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("[Service]\nType=notify\n", "ready"),
        ("[Service]\nType=exec\nNotifyAccess=all\n", "ready"),
        ("[Service]\nType=exec\n", ""),
    ],
)
def test_service_that_cannot_speak_is_not_asked_for_its_status(
    tmp_path: Path, text: str, status: str
) -> None:
    manager = TableManager()
    manager.add(running(REDIS.name, main_pid=812, status_text="ready"))
    (row,) = table(plant(tmp_path, PROC | {"units/shop-redis.service": text}), manager, (REDIS,))
    assert row.status_text == status
    assert (f"{REDIS.name} Service.StatusText" in manager.asked) == bool(status)


def test_memory_is_the_sum_of_the_processes_where_the_kernel_counts_none(tmp_path: Path) -> None:
    manager = TableManager()
    manager.add(running(API.name, main_pid=812))
    (row,) = table(plant(tmp_path, V2_WITHOUT_MEMORY | PROC), manager, (API,))
    assert (row.memory_bytes, row.memory_is_sum) == (4000 * 1024, True)


def test_group_of_a_unit_with_a_slice_of_its_own_choice_is_asked_for(tmp_path: Path) -> None:
    manager = TableManager(extra={f"{REDIS.name} Service.ControlGroup": UNIT})
    manager.add(running(REDIS.name, main_pid=812))
    (row,) = table(plant(tmp_path, V2 | PROC), manager, (REDIS,))
    assert row.memory_bytes == 54804480


def test_host_without_cgroups_still_tells_the_main_process(tmp_path: Path) -> None:
    manager = TableManager()
    manager.add(running(REDIS.name, main_pid=812))
    (row,) = table(plant(tmp_path, PROC), manager, (REDIS,))
    assert (row.pid, row.uptime_sec, row.cpu_usec) == (812, 600.0, None)
    assert (row.memory_bytes, row.memory_is_sum) == (3000 * 1024, True)


def test_failed_unit_tells_how_it_ended(tmp_path: Path) -> None:
    manager = TableManager()
    manager.add(
        FakeUnit(
            name=REDIS.name,
            active_state="failed",
            sub_state="failed",
            result="exit-code",
            exec_main_status=203,
            n_restarts=5,
        )
    )
    (row,) = table(tmp_path, manager, (REDIS,))
    assert row.is_failed
    assert not row.is_running
    assert row.exit == "exit status 203/EXEC: the program cannot be executed"
    assert (row.result, row.restarts, row.pid, row.uptime_sec) == ("exit-code", 5, None, None)
    assert (row.memory_bytes, row.cpu_usec) == (None, None)


def test_waiting_for_a_restart_is_a_failure_only_after_one(tmp_path: Path) -> None:
    manager = TableManager()
    unit = FakeUnit(name=REDIS.name, active_state="activating", sub_state="auto-restart", result="signal")
    manager.add(unit)
    assert table(tmp_path, manager, (REDIS,))[0].is_failed
    unit.result = "success"
    assert not table(tmp_path, manager, (REDIS,))[0].is_failed


def test_unit_that_systemd_does_not_find_is_a_failure(tmp_path: Path) -> None:
    (row,) = table(tmp_path, TableManager(), (REDIS,))
    assert (row.load_state, row.is_failed) == ("not-found", True)


def test_each_service_has_a_row_and_a_timer_is_told_with_its_own(tmp_path: Path) -> None:
    manager = TableManager(extra={"shop-backup.timer Timer.NextElapseUSecRealtime": 1_700_000_000_500_000})
    manager.add(*(FakeUnit(name=unit.name) for unit in SHOP.units))
    manager.units["shop-backup.timer"].active_state = "active"
    rows = table(tmp_path, manager)
    assert [row.label for row in rows] == ["redis", "api@1", "api@2", "debug", "backup"]
    assert [row.wanted for row in rows] == [True, True, True, False, True]
    assert rows[4].timer == TimerStatus(
        unit="shop-backup.timer", active_state="active", next_elapse_sec=1_700_000_000.5
    )
    assert rows[4].is_running


def test_timer_that_waits_for_nothing_has_no_next_time(tmp_path: Path) -> None:
    manager = TableManager(extra={"shop-backup.timer Timer.NextElapseUSecRealtime": 2**64 - 1})
    manager.add(*(FakeUnit(name=unit.name) for unit in SHOP.units[-3:-1]))
    manager.units["shop-backup.timer"].active_state = "active"
    (row,) = table(tmp_path, manager, SHOP.units[-3:-1])
    assert row.timer == TimerStatus(unit="shop-backup.timer", active_state="active")


def test_what_else_has_failed_gets_a_row(tmp_path: Path) -> None:
    manager = TableManager()
    manager.add(*(FakeUnit(name=unit.name) for unit in SHOP.units))
    manager.units["shop-backup.timer"].active_state = "failed"
    rows = table(tmp_path, manager)
    assert [row.label for row in rows if row.is_failed] == ["shop-backup.timer"]


def test_instance_that_somebody_started_by_hand_is_shown(tmp_path: Path) -> None:
    manager = TableManager()
    manager.add(*(FakeUnit(name=unit.name) for unit in SHOP.units), running("shop-api@9.service"))
    manager.add(FakeUnit(name="shop-api@8.service"))  # was, and is not any more
    assert [(row.label, row.wanted) for row in table(tmp_path, manager)][1:4] == [
        ("api@1", True),
        ("api@2", True),
        ("api@9", False),
    ]


def test_one_instance_alone_is_shown_alone(tmp_path: Path) -> None:
    manager = TableManager()
    manager.add(running("shop-api@1.service"), running("shop-api@2.service"))
    assert [row.label for row in table(tmp_path, manager, (API,))] == ["api@1"]


def test_share_of_an_interval_is_known_for_the_same_run_only() -> None:
    before = UnitStatus(
        unit="u",
        process="p",
        label="p",
        load_state="loaded",
        active_state="active",
        sub_state="running",
        pid=7,
        cpu_usec=1_000_000,
    )
    after = replace(before, cpu_usec=2_000_000)
    assert cpu_share_between(before, after, 2.0) == 0.5
    assert cpu_share_between(None, after, 2.0) is None
    assert cpu_share_between(before, replace(after, pid=8), 2.0) is None
    assert cpu_share_between(before, replace(after, cpu_usec=None), 2.0) is None
    assert cpu_share_between(before, replace(after, cpu_usec=0), 2.0) is None
    assert cpu_share_between(before, after, 0.0) is None


def test_helper_is_shown_without_those_of_other_projects(tmp_path: Path) -> None:
    manager = TableManager()
    helper = BundleUnit("pm-native-monitor@shop.service", "pm-native-monitor@shop.service")
    manager.add(running(helper.name, status_text="monitors 2 programs"))
    manager.add(running("pm-native-monitor@another.service"), running(API.name))
    rows = table(tmp_path, manager, (helper, API))
    assert [(row.label, row.unit, row.status_text) for row in rows] == [
        ("pm-native-monitor", helper.name, "monitors 2 programs"),
        ("api@1", API.name, ""),
    ]
