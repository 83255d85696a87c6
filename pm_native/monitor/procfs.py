"""What /proc tells of single processes: when they began, and the memory that is theirs."""

from __future__ import annotations

import os
from pathlib import Path

from pm_native.monitor.cgroup import read_kernel_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_KIB = 1024


class Processes:
    """The processes below `root`/proc; `ticks` are the kernel's ticks a second, `page` the bytes of a page."""

    def __init__(self, root: Path = Path("/"), *, ticks: int = 0, page: int = 0) -> None:
        self._proc = str(root / "proc")
        self._ticks = ticks or os.sysconf("SC_CLK_TCK")
        self._page = page or os.sysconf("SC_PAGE_SIZE")

    def boot_age_sec(self) -> float | None:
        """The seconds since the host was booted."""
        text = self._read("uptime")
        return float(text.split()[0]) if text else None

    def began_sec(self, pid: int) -> float | None:
        """When the process began, in seconds after the boot; None where there is no such process."""
        text = self._read(f"{pid}/stat")
        if not text:
            return None
        # The name is in parentheses and may hold any character, ")" too; starttime is the 20th field behind it.
        return int(text.rpartition(")")[2].split()[19]) / self._ticks

    def memory_bytes(self, pids: Iterable[int]) -> int | None:
        """The memory of these processes together, what they share counted once; None where none can be read.

        Where the kernel does not tell the share of each (only root and the owner may ask), all of it counts.
        """
        found = [size for pid in pids if (size := self._memory(pid)) is not None]
        return sum(found) if found else None

    def _memory(self, pid: int) -> int | None:
        for line in (self._read(f"{pid}/smaps_rollup") or "").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * _KIB
        resident = self._read(f"{pid}/statm")
        return int(resident.split()[1]) * self._page if resident else None

    def _read(self, name: str) -> str | None:
        return read_kernel_file(f"{self._proc}/{name}")
