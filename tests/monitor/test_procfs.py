"""Figures from /proc, and the tree of live processes."""

from __future__ import annotations

import os
import subprocess
import sys

from pm_native.monitor.procfs import Processes
from pm_native.monitor.tree import process_tree
from tests.monitor.trees import PROC, plant

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path


def test_process_began_so_many_seconds_after_the_boot(tmp_path: Path) -> None:
    processes = Processes(plant(tmp_path, PROC), ticks=100)
    assert processes.boot_age_sec() == 1000.5
    assert processes.began_sec(812) == 400.5


def test_process_that_has_ended_is_not_known(tmp_path: Path) -> None:
    processes = Processes(plant(tmp_path, PROC))
    assert processes.began_sec(99) is None
    assert processes.memory_bytes([99]) is None
    assert processes.memory_bytes([]) is None


def test_memory_counts_what_processes_share_once_where_the_kernel_tells(tmp_path: Path) -> None:
    processes = Processes(plant(tmp_path, PROC), page=4096)
    assert processes.memory_bytes([812, 815]) == 4000 * 1024
    assert processes.memory_bytes([812, 820, 99]) == 3000 * 1024 + 500 * 4096


def test_this_process_began_after_the_boot_and_has_memory() -> None:
    processes = Processes()
    began, age = processes.began_sec(os.getpid()), processes.boot_age_sec()
    assert began is not None
    assert age is not None
    assert 0 < began <= age + 1
    assert (processes.memory_bytes([os.getpid()]) or 0) > 1 << 20


def test_tree_has_each_process_below_its_parent_and_not_those_that_ended() -> None:
    # A shell that waits for its child: two levels, until its input ends.
    script = [sys.executable, "-S", "-c", "import sys; sys.stdin.read()"]
    with subprocess.Popen(
        ["sh", "-c", 'exec 3<&0; "$@" <&3 & echo $!; wait', "sh", *script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as shell:
        assert shell.stdout is not None
        child = int(shell.stdout.readline())
        tree = process_tree([child, shell.pid, 2**22 + 1])
        assert shell.stdin is not None
        shell.stdin.close()
    assert [(row.pid, row.depth) for row in tree] == [(shell.pid, 0), (child, 1)]
    assert tree[0].command.startswith("sh -c ")
    assert tree[0].user
    assert (tree[0].memory_bytes or 0) > 0
    assert tree[0].cpu_sec is not None
