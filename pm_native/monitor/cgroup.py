"""What the kernel counts for a unit, read from its cgroup: right on v2, on v1, and where both are mounted.

A file that is not there is a figure that is not known: None, never zero. Which controllers count is decided by the
host (a v1 host gives a container none, a user's manager has few), so each figure is looked for on its own.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_V2 = "sys/fs/cgroup"
_UNIFIED = "sys/fs/cgroup/unified"  # where systemd mounts v2 beside v1 ("hybrid")
_CPU = ("sys/fs/cgroup/cpuacct", "sys/fs/cgroup/cpu,cpuacct")  # one mount with two names, or two mounts
_MEMORY = "sys/fs/cgroup/memory"
_NAMED = "sys/fs/cgroup/systemd"  # v1 without controllers: systemd's own record of who belongs where


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a cgroup uses; None: the kernel does not count it here.

    `memory_bytes` has the page cache in it, as in `systemctl status`. `cpu_usec` counts from the creation of the
    cgroup, which is the start of the unit. `pids` are all processes in it, those of sub-groups too.
    """

    memory_bytes: int | None = None
    cpu_usec: int | None = None
    pids: tuple[int, ...] = ()


class Cgroups:
    """The cgroup trees below `root`, as they are mounted now."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root
        self._v2 = self._mounted("cgroup.controllers", _V2, _UNIFIED)
        self._cpu = self._mounted("cgroup.procs", *_CPU)
        self._memory = self._mounted("cgroup.procs", _MEMORY)
        self._named = self._mounted("cgroup.procs", _NAMED)

    def _mounted(self, mark: str, *places: str) -> str:
        """The first of the places that has the file which tells a cgroup tree from an empty folder; else ""."""
        return next(
            (f"{self._root / place}" for place in places if (self._root / place / mark).exists()), ""
        )

    @property
    def is_mounted(self) -> bool:
        """Whether there is a tree to read at all."""
        return bool(self._named or self._v2)

    def usage(self, group: str) -> Usage | None:
        """What the cgroup at the absolute path `group` uses; None where there is none, so nothing runs in it."""
        # In the hybrid layout the named hierarchy is the one that systemd itself goes by.
        tree = self._named or self._v2
        own = read_kernel_file(f"{tree}{group}/cgroup.procs") if tree else None
        if own is None:
            return None
        found = own.split()
        for below in _subgroups(f"{tree}{group}"):
            found += (read_kernel_file(f"{below}/cgroup.procs") or "").split()
        return Usage(
            memory_bytes=self._memory_bytes(group),
            cpu_usec=self._cpu_usec(group),
            pids=tuple(int(pid) for pid in found if pid != "0"),  # 0: a process of another PID namespace
        )

    def _memory_bytes(self, group: str) -> int | None:
        if self._v2 and (count := _number(f"{self._v2}{group}/memory.current")) is not None:
            return count
        return _number(f"{self._memory}{group}/memory.usage_in_bytes") if self._memory else None

    def _cpu_usec(self, group: str) -> int | None:
        if self._v2:
            for line in (read_kernel_file(f"{self._v2}{group}/cpu.stat") or "").splitlines():
                if line.startswith("usage_usec "):
                    return int(line.split()[1])
        nanoseconds = _number(f"{self._cpu}{group}/cpuacct.usage") if self._cpu else None
        return nanoseconds // 1000 if nanoseconds is not None else None


def _subgroups(folder: str) -> Iterator[str]:
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.path for entry in entries if entry.is_dir(follow_symlinks=False))
    except OSError:
        return  # it went away since
    for name in names:
        yield name
        yield from _subgroups(name)


def manager_group(root: Path = Path("/"), pid: int = 1) -> str:
    """The cgroup below which the manager `pid` puts its units: "" at the top, else an absolute path.

    It is not the top in a container that shares its host's cgroup namespace, and in a user's manager.
    """
    for line in (read_kernel_file(f"{root / 'proc'}/{pid}/cgroup") or "").splitlines():
        number, controllers, path = line.split(":", 2)
        if controllers == "name=systemd" or (number == "0" and not controllers):
            path = path.removesuffix("/init.scope").rstrip("/")
            return "" if path.startswith("/..") else path
    return ""


def user_manager_group(uid: int) -> str:
    """The cgroup below which the manager of the user `uid` puts its units (user@.service(5))."""
    return f"/user.slice/user-{uid}.slice/user@{uid}.service"


def slice_group(slice_name: str) -> str:
    r"""The cgroup of a slice below its manager's: each "-" in the name is a level (systemd.slice(5)).

    >>> slice_group("shop-api\\x2dv2.slice")
    '/shop.slice/shop-api\\x2dv2.slice'
    """
    parts = slice_name.removesuffix(".slice").split("-")
    return "".join(f"/{'-'.join(parts[:count])}.slice" for count in range(1, len(parts) + 1))


def _number(path: str) -> int | None:
    text = (read_kernel_file(path) or "").strip()
    return int(text) if text.isdecimal() else None


def read_kernel_file(path: str) -> str | None:
    """The text of a small file of /sys or /proc; None where it is not to be had."""
    # Straight through the kernel: some hundred of these make a table, and pathlib's way takes four times as long.
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None  # not counted here, gone since, or not ours to see: not known, all of them
    try:
        parts = []
        while part := os.read(descriptor, 1 << 16):
            parts.append(part)
        return b"".join(parts).decode("ascii", "replace")
    except OSError:
        return None  # ENODEV: the cgroup went away after it was opened
    finally:
        os.close(descriptor)
