"""Who is at the other end of a Unix socket: what the kernel and systemd's cgroups say, never what the peer says."""

from __future__ import annotations

import os
import select
import socket
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

# Since Linux 6.5 (asm-generic/socket.h); Python has no name for it yet.
SO_PEERPIDFD = 77
_UCRED = struct.Struct("3i")
NAMED = "name=systemd"
_UNIT_SUFFIXES = (".service", ".scope")


class Identity:
    """A peer: pid, uid and gid as it connected, its unit and slices, and what it is in the project.

    `process` is "" for a peer that is not of the project, `instance` "" for one that is not of a pool; such a peer of
    a login session `is_session`.
    """

    __slots__ = ("gid", "instance", "is_session", "pid", "process", "uid", "unit")

    def __init__(  # noqa: PLR0913 - one per fact
        self,
        *,
        pid: int,
        uid: int,
        gid: int = 0,
        unit: str = "",
        process: str = "",
        instance: str = "",
        is_session: bool = False,
    ) -> None:
        self.pid = pid
        self.uid = uid
        self.gid = gid
        self.unit = unit
        self.process = process
        self.instance = instance
        self.is_session = is_session

    @property
    def name(self) -> str:
        """`web`, `worker@3`; "" for who is not of the project."""
        return f"{self.process}@{self.instance}" if self.instance else self.process

    def stamp(self) -> dict[str, object]:
        """What others are told of it."""
        facts: dict[str, object] = {"pid": self.pid, "uid": self.uid, "unit": self.unit}
        if self.process:
            facts["process"] = self.process
        if self.instance:
            facts["instance"] = self.instance
        return facts


class Unidentified(Exception):  # noqa: N818 - said of the peer
    """The peer was gone, or another had its pid, before it could be told who it is."""


class Identifier:
    """Tells who peers are, for the project `project` with the slice `slice_name`; `read` gets files of /proc."""

    def __init__(
        self, project: str, slice_name: str, read: Callable[[str], str] | None = None, *, user: bool = False
    ) -> None:
        self._prefix = f"{project}-"
        self._slice = slice_name
        self._read = read or _read
        self._is_user = user
        self._hierarchy, manager = systemd_hierarchy(self._read("/proc/1/cgroup"))
        # Below this path are the units, where the cgroups of a container are seen from outside.
        self._root = manager.removesuffix("/init.scope").rstrip("/")

    def identify(self, peer: socket.socket) -> Identity:
        """The peer of a connected socket; Unidentified where it has gone already."""
        pid, uid, gid = _UCRED.unpack(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
        pidfd = peer_pidfd(peer)
        try:
            began = self._start_time(pid)
            path = cgroup_paths(self._read(f"/proc/{pid}/cgroup")).get(self._hierarchy, "")
            # The pid may have been given to another process between connect() and now: a pidfd cannot be.
            if self._start_time(pid) != began or (pidfd is not None and has_ended(pidfd)):
                raise Unidentified(f"pid {pid} has gone")
        except OSError as error:
            raise Unidentified(f"pid {pid} has gone") from error
        finally:
            if pidfd is not None:
                os.close(pidfd)
        return self.locate(path, pid=pid, uid=uid, gid=gid)

    def locate(self, path: str, *, pid: int, uid: int, gid: int = 0) -> Identity:
        """The identity that a cgroup path gives."""
        parts = [part for part in path.removeprefix(self._root).split("/") if part]
        slices: list[str] = []
        unit = ""
        for part in parts:
            if part.endswith(_UNIT_SUFFIXES) and not (self._is_user and part.startswith("user@")):
                unit = part
                break
            slices.append(part)
        is_session = self._is_user or "user.slice" in slices
        identity = Identity(pid=pid, uid=uid, gid=gid, unit=unit, is_session=is_session)
        if self._slice in slices and unit.startswith(self._prefix) and unit.endswith(".service"):
            name = unit.removeprefix(self._prefix).removesuffix(".service")
            identity.process, _, identity.instance = name.partition("@")
        return identity

    def _start_time(self, pid: int) -> str:
        # Field 22 of proc_pid_stat(5); the second, the name, may hold spaces and brackets.
        return self._read(f"/proc/{pid}/stat").rpartition(")")[2].split()[19]


def cgroup_paths(text: str) -> dict[str, str]:
    """The paths in the text of /proc/PID/cgroup by the name of the hierarchy; "" is the unified one."""
    paths: dict[str, str] = {}
    for line in text.splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        paths[controllers] = path
    return paths


def systemd_hierarchy(text: str) -> tuple[str, str]:
    """The hierarchy in which systemd keeps its units, and PID 1's path in it, by the text of /proc/1/cgroup.

    The unified one, or in a legacy tree the one called `name=systemd`; a hybrid tree has both, and they agree. PID 1
    itself is in init.scope of the one that it uses.
    """
    paths = cgroup_paths(text)
    for name in ("", NAMED):
        if paths.get(name, "").endswith("/init.scope"):
            return name, paths[name]
    name = NAMED if NAMED in paths else ""
    return name, paths.get(name, "")


def peer_pidfd(peer: socket.socket) -> int | None:
    """A pidfd of the peer as it connected; None on a kernel that has none to give. Unidentified: it has gone."""
    import errno  # noqa: PLC0415 - its words are needed here alone

    try:
        return peer.getsockopt(socket.SOL_SOCKET, SO_PEERPIDFD)
    except OSError as error:
        if error.errno == errno.ENOPROTOOPT:
            return None
        raise Unidentified(f"the peer has gone: {error.strerror}") from error


def has_ended(pidfd: int) -> bool:
    """Whether the process has ended."""
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    return bool(poller.poll(0))


def _read(path: str) -> str:
    with open(path, encoding="utf-8", errors="surrogateescape") as file:  # noqa: PTH123 - pathlib is heavy
        return file.read()
