"""Whose files a run acts on: root takes none that somebody else could have written (as sshd reads authorized_keys).

Each step of a path is opened from the descriptor of the step before, never followed blindly, and looked at by its own
descriptor: what was looked at is what is read, whatever is renamed or linked meanwhile.
"""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from dataclasses import dataclass
from errno import EINVAL, EISDIR, ELOOP
from typing import Self

from pm_native.errors import AccessError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_LINKS_MAX = 40  # as the kernel's own limit, path_resolution(7)
_STEP = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK  # a FIFO must not hold us
_ACL = "system.posix_acl_access"


@dataclass(frozen=True, slots=True)
class Trust:
    """The users whose files are acted on; `owners` None: everybody's, for who is not root harms himself alone.

    What is not trusted raises AccessError, what is not there FileNotFoundError or another OSError.
    """

    owners: frozenset[int] | None = None

    @classmethod
    def of_caller(cls, environ: Mapping[str, str], uid: int) -> Self:
        """What the caller trusts: root trusts itself, and the user who called it by sudo."""
        if uid:
            return cls()
        caller = environ.get("SUDO_UID", "")
        return cls(frozenset({0, int(caller)} if caller.isascii() and caller.isdecimal() else {0}))

    def read(self, path: Path) -> bytes:
        """The bytes of a file."""
        with self._open(path) as step:
            # The very file that was looked at: no name is looked up again.
            return self._read(os.open(f"/proc/self/fd/{step}", _READ & ~os.O_NOFOLLOW), path)

    def check(self, path: Path) -> None:
        """Nothing, where the file or folder may be acted on."""
        with self._open(path):
            pass

    @contextmanager
    def folder(self, path: Path) -> Iterator[Folder]:
        """A folder, to read files of."""
        with self._open(path) as step:
            yield Folder(self, path, step)

    @contextmanager
    def _open(self, path: Path) -> Iterator[int]:
        descriptor = (
            os.open(path, _STEP & ~os.O_NOFOLLOW) if self.owners is None else _walk(path, self.owners)
        )
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _read(self, descriptor: int, path: Path) -> bytes:
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                code = EISDIR if stat.S_ISDIR(status.st_mode) else EINVAL
                raise OSError(code, os.strerror(code) if code == EISDIR else "not a file", str(path))
            if self.owners is not None:
                _check(status, descriptor, str(path.absolute()), self.owners)
            with open(descriptor, "rb", buffering=0, closefd=False) as stream:
                return stream.read()
        finally:
            os.close(descriptor)


class Folder:
    """A folder that is open; whoever renames it or puts a link in its place changes nothing any more."""

    def __init__(self, trust: Trust, path: Path, descriptor: int) -> None:
        self.path = path
        self._trust = trust
        self._descriptor = descriptor

    def read(self, name: str) -> bytes:
        """The bytes of a file in it, which is no link."""
        path = self.path / name
        try:
            descriptor = os.open(name, _READ, dir_fd=self._descriptor)
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(path)) from error
        return self._trust._read(descriptor, path)  # noqa: SLF001 - one class in two


def _walk(path: Path, owners: frozenset[int]) -> int:
    """The descriptor (O_PATH) of what is at `path`, each folder and link on the way there looked at."""
    todo = _parts(os.path.join(os.getcwd(), path))  # noqa: PTH109, PTH118 - ".." behind a link stays as it is
    steps = [os.open("/", os.O_PATH | os.O_CLOEXEC)]
    names = [""]
    links = 0
    try:
        _check(os.fstat(steps[0]), steps[0], "/", owners)
        while todo:
            name = todo.pop()
            if name == "..":
                if len(steps) > 1:
                    os.close(steps.pop())
                    names.pop()
                continue
            here = "/".join([*names, name])
            steps.append(os.open(name, _STEP, dir_fd=steps[-1]))
            names.append(name)
            status = os.fstat(steps[-1])
            _check(status, steps[-1], here, owners)
            if stat.S_ISLNK(status.st_mode):
                links += 1
                if links > _LINKS_MAX:
                    raise OSError(ELOOP, os.strerror(ELOOP), here)
                target = os.readlink("", dir_fd=steps[-1])
                keep = 1 if target.startswith("/") else len(steps) - 1
                for step in steps[keep:]:
                    os.close(step)
                del steps[keep:], names[keep:]
                todo += _parts(target)
        return steps.pop()
    finally:
        for step in steps:
            os.close(step)


def _parts(path: str) -> list[str]:
    """The names in a path, the first one last."""
    return [part for part in reversed(path.split("/")) if part not in {"", "."}]


def _check(status: os.stat_result, descriptor: int, path: str, owners: frozenset[int]) -> None:
    """AccessError where somebody else could change what is open here."""
    if status.st_uid not in owners:
        user = _user(status.st_uid)
        hint = f"give it to root (chown root {path})" + (
            f", or run this as {user}, by sudo" if status.st_uid else ""
        )
        raise AccessError(f"root acts on nothing of others: {path} belongs to {user}", hint=hint)
    mode = status.st_mode
    # Of a sticky folder (/tmp) only the owner of a file can take it away: the next step tells whose it is.
    if stat.S_ISLNK(mode) or (stat.S_ISDIR(mode) and mode & stat.S_ISVTX):
        return
    if mode & stat.S_IWOTH or (mode & stat.S_IWGRP and not _is_private(status.st_gid, descriptor, owners)):
        whom = "everybody" if mode & stat.S_IWOTH else f"group {_group(status.st_gid)}"
        raise AccessError(
            f"root acts on nothing that others can write: {path} is open to {whom}",
            hint=f"close it: chmod go-w {path}",
        )


def _is_private(gid: int, descriptor: int, owners: frozenset[int]) -> bool:
    """Whether a group has trusted members alone, as the one that Debian makes for each user has."""
    import grp  # noqa: PLC0415 - for files that a group may write alone
    import pwd  # noqa: PLC0415 - as above

    try:
        if _ACL in os.listxattr(f"/proc/self/fd/{descriptor}"):
            return False  # then the mode says what any of a list of users may do, at most
        members = {pwd.getpwnam(name).pw_uid for name in grp.getgrgid(gid).gr_mem}
    except (KeyError, OSError):
        return False
    return members | {entry.pw_uid for entry in pwd.getpwall() if entry.pw_gid == gid} <= owners


def _user(uid: int) -> str:
    import pwd  # noqa: PLC0415 - on the way to an error

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def _group(gid: int) -> str:
    import grp  # noqa: PLC0415 - on the way to an error

    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
