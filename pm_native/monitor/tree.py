"""The processes of a unit as a tree: who started whom, with names and figures."""

from __future__ import annotations

from dataclasses import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    import psutil


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeProcess:
    """One process of a unit. `depth` is 0 for those whose parent is not of the unit; None: not known."""

    pid: int
    depth: int
    command: str
    user: str | None = None
    memory_bytes: int | None = None  # resident: pages that it shares count in full
    cpu_sec: float | None = None


def process_tree(pids: Iterable[int]) -> list[TreeProcess]:
    """The processes, each behind its parent; those that have ended since are left out."""
    import psutil  # noqa: PLC0415 - 25 ms, and for --tree only

    alive: dict[int, psutil.Process] = {}
    parents: dict[int, int] = {}
    for pid in pids:
        try:
            process = psutil.Process(pid)
            parents[pid] = process.ppid()
        except psutil.NoSuchProcess:
            continue
        alive[pid] = process
    rows: list[TreeProcess] = []

    def add(pid: int, depth: int) -> None:
        row = _row(alive[pid], depth)
        if row is not None:
            rows.append(row)
        for child in sorted(child for child, parent in parents.items() if parent == pid):
            add(child, depth + 1)

    for top in sorted(pid for pid, parent in parents.items() if parent not in alive):
        add(top, 0)
    return rows


def _row(process: psutil.Process, depth: int) -> TreeProcess | None:
    import psutil  # noqa: PLC0415 - see process_tree

    try:
        found = process.as_dict(["cmdline", "name", "username", "memory_info", "cpu_times"], ad_value=None)
    except psutil.NoSuchProcess:
        return None
    memory, cpu = found["memory_info"], found["cpu_times"]
    return TreeProcess(
        pid=process.pid,
        depth=depth,
        command=" ".join(found["cmdline"] or []) or f"[{found['name']}]",
        user=found["username"],
        memory_bytes=memory.rss if memory else None,
        cpu_sec=cpu.user + cpu.system if cpu else None,
    )
