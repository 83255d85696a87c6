"""Figures from cgroup files, on every layout that a host can have."""

from __future__ import annotations

import pytest

from pm_native.monitor.cgroup import Cgroups, Usage, manager_group, slice_group, user_manager_group
from tests.monitor.trees import HYBRID, UNIT, V1, V2, V2_WITHOUT_MEMORY, plant

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@pytest.mark.parametrize(
    ("tree", "pids"),
    [(V2, (812, 815, 830, 831)), (V1, (812, 815)), (HYBRID, (812, 815))],
    ids=["v2", "v1", "hybrid"],
)
def test_memory_cpu_and_processes_of_a_unit(
    tmp_path: Path, tree: Mapping[str, str], pids: tuple[int, ...]
) -> None:
    cgroups = Cgroups(plant(tmp_path, tree))
    assert cgroups.is_mounted
    assert cgroups.usage(UNIT) == Usage(memory_bytes=54804480, cpu_usec=1_500_000, pids=pids)


@pytest.mark.parametrize("tree", [V2, V1, HYBRID], ids=["v2", "v1", "hybrid"])
def test_unit_that_does_not_run_has_no_usage(tmp_path: Path, tree: Mapping[str, str]) -> None:
    assert Cgroups(plant(tmp_path, tree)).usage("/shop.slice/shop-api.slice/shop-api@2.service") is None


def test_what_the_kernel_does_not_count_is_absent_and_not_zero(tmp_path: Path) -> None:
    assert Cgroups(plant(tmp_path, V2_WITHOUT_MEMORY)).usage(UNIT) == Usage(
        memory_bytes=None, cpu_usec=1_500_000, pids=(812, 815, 830, 831)
    )


def test_v1_without_controllers_tells_the_processes_alone(tmp_path: Path) -> None:
    tree = {path: text for path, text in V1.items() if "/systemd" in path}
    assert Cgroups(plant(tmp_path, tree)).usage(UNIT) == Usage(pids=(812, 815))


def test_hybrid_takes_the_cpu_from_v1_where_v2_has_no_group(tmp_path: Path) -> None:
    tree = {path: text for path, text in HYBRID.items() if f"unified{UNIT}" not in path}
    tree[f"sys/fs/cgroup/cpuacct{UNIT}/cpuacct.usage"] = "2000000\n"
    usage = Cgroups(plant(tmp_path, tree)).usage(UNIT)
    assert usage == Usage(memory_bytes=54804480, cpu_usec=2000, pids=(812, 815))


def test_file_that_holds_no_number_is_absent(tmp_path: Path) -> None:
    tree = V2 | {f"sys/fs/cgroup{UNIT}/memory.current": "max\n", f"sys/fs/cgroup{UNIT}/cpu.stat": ""}
    usage = Cgroups(plant(tmp_path, tree)).usage(UNIT)
    assert usage == Usage(pids=(812, 815, 830, 831))


def test_processes_of_another_pid_namespace_are_left_out(tmp_path: Path) -> None:
    tree = V2 | {f"sys/fs/cgroup{UNIT}/cgroup.procs": "0\n812\n"}
    usage = Cgroups(plant(tmp_path, tree)).usage(UNIT)
    assert usage is not None
    assert usage.pids == (812, 830, 831)


def test_host_without_cgroups_has_nothing_to_read(tmp_path: Path) -> None:
    cgroups = Cgroups(tmp_path)
    assert not cgroups.is_mounted
    assert cgroups.usage(UNIT) is None


@pytest.mark.parametrize(
    ("text", "group"),
    [
        ("0::/init.scope\n", ""),
        ("0::/\n", ""),
        ("0::/system.slice/docker-1.scope/init.scope\n", "/system.slice/docker-1.scope"),
        ("4:memory:/elsewhere\n1:name=systemd:/docker/1/init.scope\n0::/docker/1/init.scope\n", "/docker/1"),
        ("0::/../../init.scope\n", ""),  # outside of our cgroup namespace: nothing to be said
        ("", ""),
    ],
)
def test_where_the_manager_puts_its_units(tmp_path: Path, text: str, group: str) -> None:
    assert manager_group(plant(tmp_path, {"proc/1/cgroup": text})) == group


def test_where_the_manager_of_a_user_puts_its_units() -> None:
    assert user_manager_group(1000) == "/user.slice/user-1000.slice/user@1000.service"


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("shop.slice", "/shop.slice"),
        ("shop-api.slice", "/shop.slice/shop-api.slice"),
        ("my\\x2dshop-api\\x2dv2.slice", "/my\\x2dshop.slice/my\\x2dshop-api\\x2dv2.slice"),
    ],
)
def test_group_of_a_slice_has_a_level_for_each_dash(name: str, group: str) -> None:
    assert slice_group(name) == group
