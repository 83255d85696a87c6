"""The memory probe on each layout of cgroups, from recorded trees."""

from __future__ import annotations

import os

import pytest

from pm_native.runtime.memory import judge, used_memory
from tests.monitor.trees import HYBRID, UNIT, V1, V2, V2_WITHOUT_MEMORY, plant

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PAGE = os.sysconf("SC_PAGE_SIZE")
ON_V2 = f"0::{UNIT}\n"
ON_V1 = f"9:memory:{UNIT}\n5:cpu,cpuacct:{UNIT}\n1:name=systemd:{UNIT}\n"
ON_HYBRID = f"{ON_V1}0::{UNIT}\n"
# A user's manager on v1 has no say in the memory controller: its units are in their parent's cgroup there.
ON_V1_OF_A_USER = f"9:memory:/user.slice\n1:name=systemd:{UNIT}\n"
# What a container of v2 alone sees of a kernel that has v1's hierarchies mounted elsewhere.
ON_V2_BESIDE_V1 = f"9:memory:/\n1:name=systemd:/\n0::{UNIT}\n"
STATM = {"proc/812/statm": "9000 500 300 1 0 400 0\n", "proc/815/statm": "9000 700 300 1 0 400 0\n"}
V2_STAT = {f"sys/fs/cgroup{UNIT}/memory.stat": "anon 1\ninactive_file 4804480\nactive_file 9\n"}
V1_STAT = {
    f"sys/fs/cgroup/memory{UNIT}/memory.stat": "cache 1\ninactive_file 7\ntotal_cache 2\ntotal_inactive_file 4804480\n"
}


@pytest.mark.parametrize(
    ("tree", "cgroup", "used"),
    [
        (V2 | V2_STAT, ON_V2, 50_000_000),
        (V1 | V1_STAT, ON_V1, 50_000_000),
        (HYBRID | V1_STAT, ON_HYBRID, 50_000_000),
        (V2_WITHOUT_MEMORY | STATM, ON_V2, 1200 * PAGE),
        (V2_WITHOUT_MEMORY | STATM, ON_V2_BESIDE_V1, 1200 * PAGE),
        (V1 | V1_STAT | STATM, ON_V1_OF_A_USER, 1200 * PAGE),
        ({}, ON_V2, None),
        ({}, "", None),
    ],
    ids=["v2", "v1", "hybrid", "v2-no-controller", "v2-beside-v1", "v1-user", "empty", "nothing"],
)
def test_used(tmp_path: Path, tree: Mapping[str, str], cgroup: str, used: int | None) -> None:
    plant(tmp_path, {**tree, "proc/812/cgroup": cgroup})
    assert used_memory(812, str(tmp_path)) == used


def test_verdict(tmp_path: Path) -> None:
    plant(tmp_path, {**V2, **V2_STAT, "proc/812/cgroup": ON_V2})
    assert judge(50_000_000, 812, str(tmp_path)) == (True, "memory 47.7 MiB")
    assert judge(49_999_999, 812, str(tmp_path)) == (False, "memory 47.7 MiB, above 47.7 MiB")
    assert judge(1, 99, str(tmp_path)) == (True, "memory cannot be read")
