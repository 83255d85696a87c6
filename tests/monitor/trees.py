"""Trees of files, as recorded on hosts: what is not of interest left out."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

UNIT = "/shop.slice/shop-api.slice/shop-api@1.service"

# Debian 13, booted as it is delivered.
V2 = {
    "sys/fs/cgroup/cgroup.controllers": "cpuset cpu io memory hugetlb pids rdma misc\n",
    "sys/fs/cgroup/cgroup.procs": "",
    f"sys/fs/cgroup{UNIT}/cgroup.procs": "812\n815\n",
    f"sys/fs/cgroup{UNIT}/memory.current": "54804480\n",
    f"sys/fs/cgroup{UNIT}/cpu.stat": "usage_usec 1500000\nuser_usec 1200000\nsystem_usec 300000\n",
    f"sys/fs/cgroup{UNIT}/workers/cgroup.procs": "830\n",
    f"sys/fs/cgroup{UNIT}/workers/deep/cgroup.procs": "831\n",
}
# The same kernel in a container that has no memory controller to give.
V2_WITHOUT_MEMORY = {path: text for path, text in V2.items() if not path.endswith("memory.current")}
# systemd.unified_cgroup_hierarchy=0 systemd.legacy_systemd_cgroup_controller=1
V1 = {
    "sys/fs/cgroup/systemd/cgroup.procs": "",
    "sys/fs/cgroup/cpu,cpuacct/cgroup.procs": "",
    "sys/fs/cgroup/memory/cgroup.procs": "",
    f"sys/fs/cgroup/systemd{UNIT}/cgroup.procs": "812\n815\n",
    f"sys/fs/cgroup/cpu,cpuacct{UNIT}/cpuacct.usage": "1500000999\n",
    f"sys/fs/cgroup/memory{UNIT}/memory.usage_in_bytes": "54804480\n",
}
# systemd.unified_cgroup_hierarchy=0, and the host of a v1 container: v2 beside v1, without controllers.
HYBRID = {
    "sys/fs/cgroup/unified/cgroup.controllers": "\n",
    "sys/fs/cgroup/systemd/cgroup.procs": "",
    "sys/fs/cgroup/cpuacct/cgroup.procs": "",
    "sys/fs/cgroup/memory/cgroup.procs": "",
    f"sys/fs/cgroup/unified{UNIT}/cgroup.procs": "812\n815\n",
    f"sys/fs/cgroup/unified{UNIT}/cpu.stat": "usage_usec 1500000\nuser_usec 1200000\nsystem_usec 300000\n",
    f"sys/fs/cgroup/systemd{UNIT}/cgroup.procs": "812\n815\n",
    f"sys/fs/cgroup/memory{UNIT}/memory.usage_in_bytes": "54804480\n",
}

PROC = {
    "proc/uptime": "1000.50 1900.00\n",
    # A name with blanks and parentheses; the 22nd field is the start, in ticks after the boot.
    "proc/812/stat": "812 (node (worker) 1) S 1 812 812 0 -1 4194560 100 0 0 0 120 30 0 0 20 0 11 0 40050 "
    "1000000 500 18446744073709551615\n",
    "proc/812/smaps_rollup": "55d0-7ffe ---p 00000000 00:00 0 [rollup]\nRss:  4000 kB\nPss:  3000 kB\n",
    "proc/815/smaps_rollup": "55d0-7ffe ---p 00000000 00:00 0 [rollup]\nRss:  4000 kB\nPss:  1000 kB\n",
    "proc/820/statm": "9000 500 300 1 0 400 0\n",
}


def plant(root: Path, files: Mapping[str, str]) -> Path:
    """Make the files below `root`."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root
