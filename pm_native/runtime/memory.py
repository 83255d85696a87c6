"""The memory probe: what the processes of a unit use, on any of the layouts of cgroups that hosts have."""

from __future__ import annotations

import os

TYPE_CHECKING = False

CGROUPS = "/sys/fs/cgroup"


def judge(limit: int, pid: int, root: str = "") -> tuple[bool, str]:
    """Whether the unit of process `pid` uses no more than `limit` bytes."""
    used = used_memory(pid, root)
    if used is None:
        return True, "memory cannot be read"  # nothing says that it is too much
    above = "" if used <= limit else f", above {readable(limit)}"
    return used <= limit, f"memory {readable(used)}{above}"


def readable(size: int) -> str:
    """A size as people read it."""
    return f"{size / (1 << 20):.1f} MiB" if size >= 1 << 20 else f"{size / 1024:.1f} KiB"


def used_memory(pid: int, root: str = "") -> int | None:
    """Bytes in use, files that are only cached left out; None where nothing tells.

    From the memory controller where the unit has a cgroup of its own there: v2's, or v1's beside systemd's tree.
    Else, as with a user's manager on v1, what the processes of the unit have resident.
    """
    paths = cgroup_paths(pid, root)
    used = None
    if paths.get("memory") and paths["memory"] == paths.get("name=systemd"):
        folder = f"{root}{CGROUPS}/memory{paths['memory']}"
        used = _controller(folder, "memory.usage_in_bytes", "total_inactive_file")
    if used is None and "" in paths:
        used = _controller(f"{root}{CGROUPS}{paths['']}", "memory.current", "inactive_file")
    return used if used is not None else _resident(paths, root)


def cgroup_paths(pid: int, root: str = "") -> dict[str, str]:
    """The cgroup of a process in each hierarchy, by controller; "" is v2's."""
    found: dict[str, str] = {}
    try:
        with open(f"{root}/proc/{pid}/cgroup", encoding="utf-8", errors="surrogateescape") as file:  # noqa: PTH123
            lines = file.read().splitlines()
    except OSError:
        return found
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        for name in controllers.split(","):
            found[name] = path.rstrip("/")
    return found


def _controller(folder: str, usage: str, cached: str) -> int | None:
    try:
        used = int(_read(f"{folder}/{usage}"))
        for line in _read(f"{folder}/memory.stat").splitlines():
            name, _, value = line.partition(" ")
            if name == cached:
                return max(0, used - int(value))
    except (OSError, ValueError):
        return None
    return used


def _resident(paths: dict[str, str], root: str) -> int | None:
    """What the processes of the cgroup have resident, together; shared pages count for each."""
    total = 0
    for top, hierarchy in (("/systemd", "name=systemd"), ("/unified", ""), ("", "")):
        folder = f"{root}{CGROUPS}{top}{paths.get(hierarchy, '')}"
        try:
            pids = _read(f"{folder}/cgroup.procs").split()
        except OSError:
            continue
        for pid in pids:
            try:
                total += int(_read(f"{root}/proc/{pid}/statm").split()[1])
            except (OSError, ValueError, IndexError):
                continue  # it ended just now
        return total * os.sysconf("SC_PAGE_SIZE") if total else None
    return None


def _read(path: str) -> str:
    with open(path, encoding="ascii", errors="replace") as file:  # noqa: PTH123 - pathlib is heavy
        return file.read()
