"""What the compiler may know of the host that will run the units: programs, users, folders, CPUs.

All looks go through one root, so that a host that is not booted (`--root`) can be compiled for.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from functools import cache
from pathlib import Path

# The PATH of system services (systemd.exec(5), Environment Variables in Spawned Processes).
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_LINKS_MAX = 40  # as the kernel: MAXSYMLINKS


@dataclass(frozen=True, slots=True)
class Account:
    """A user of the host: its ids, all its groups, its home."""

    name: str
    uid: int
    groups: frozenset[int]
    home: str


@dataclass(frozen=True, slots=True)
class Program:
    """Where a program was looked for and found; `problem` says why it cannot be run, "" when it can."""

    path: str
    problem: str = ""


class Host:
    """The host below `root`. Looks, never changes; answers are kept, so that one run sees one state."""

    def __init__(self, root: Path = Path("/")) -> None:
        self.root = root
        self.find_program = cache(self._find_program)
        self.account = cache(self._account)
        self.has_group = cache(self._has_group)
        self.is_directory = cache(self._is_directory)

    @property
    def cpu_count(self) -> int:
        """The CPUs that this process may use."""
        return len(os.sched_getaffinity(0))

    def _find_program(self, program: str, search: str, directory: str, user: str | None) -> Program:
        """The file that `program` means to `user` in `directory`, as execvp(3) would find it on the path `search`."""
        account = self.account(user) if user else None
        if "/" in program:
            path = os.path.normpath(os.path.join(directory, program))
            return Program(path, self._why_not(path, account))
        closed = ""
        for folder in search.split(":"):
            path = os.path.normpath(os.path.join(directory, folder, program))
            problem = self._why_not(path, account)
            if not problem:
                return Program(path)
            if problem != "there is no such file":
                closed = closed or f"{path}: {problem}"
        return Program(program, closed or f"not found on {search}")

    def _why_not(self, path: str, account: Account | None) -> str:
        """Why the file cannot be executed by `account` (None: by root); "" when it can."""
        try:
            real = self._resolve(path, account)
            status = os.stat(real)
        except PermissionError as error:
            return f"{account.name if account else 'the caller'} may not enter {error.filename}"
        except (OSError, ValueError):  # ValueError: a NUL, or what no file name can hold
            return "there is no such file"
        if stat.S_ISDIR(status.st_mode):
            return "it is a folder"
        if not _allows(status, account, 0o1):
            whom = f"user {account.name}" if account else "anyone"
            return f"it is not executable for {whom}"
        return ""

    def why_not_readable(self, path: str, user: str | None) -> str:
        """Why a file cannot be read by `user` (None: by root); "" when it can."""
        account = self.account(user) if user else None
        try:
            status = os.stat(self._resolve(path, account))
        except PermissionError as error:
            return f"{account.name if account else 'the caller'} may not enter {error.filename}"
        except (OSError, ValueError):  # as in _why_not
            return "there is no such file"
        is_open = account is None or _allows(status, account, 0o4)
        return "" if is_open else f"user {account.name if account else ''} may not read it"

    def _resolve(self, path: str, account: Account | None) -> str:
        """The real path on this machine, links followed inside the root and each folder open to `account`."""
        done = ""
        parts = [part for part in reversed(path.split("/")) if part]
        links = 0
        while parts:
            part = parts.pop()
            if part == "..":
                done = done.rpartition("/")[0]
                continue
            here = f"{done}/{part}"
            real = self._real(here)
            status = os.lstat(real)
            if stat.S_ISLNK(status.st_mode):
                links += 1
                if links > _LINKS_MAX:
                    raise OSError("too many symbolic links")
                target = os.readlink(real)
                if target.startswith("/"):
                    done = ""
                parts += [piece for piece in reversed(target.split("/")) if piece not in {"", "."}]
                continue
            if stat.S_ISDIR(status.st_mode) and not _allows(status, account, 0o1):
                raise PermissionError(13, "closed", here)
            done = here
        return self._real(done or "/")

    def _real(self, path: str) -> str:
        return path if self.root == Path("/") else f"{self.root}{path}"

    def _is_directory(self, path: str) -> bool:
        """Whether there is such a folder on the host."""
        try:
            return stat.S_ISDIR(os.stat(self._resolve(path, None)).st_mode)
        except (OSError, ValueError):  # as above
            return False

    def real_path(self, path: str) -> str:
        """The path as the host has it with all links followed, as far as it is there."""
        try:
            real = self._resolve(path, None)
        except (OSError, ValueError):  # as above
            return path
        return real if self.root == Path("/") else real.removeprefix(str(self.root))

    def exists(self, path: str) -> bool:
        """Whether there is such a file or folder on the host."""
        try:
            os.stat(self._resolve(path, None))
        except (OSError, ValueError):  # as above
            return False
        return True

    def is_open(self, path: str) -> bool:
        """Whether everybody on the host can read the file."""
        try:
            return bool(os.stat(self._resolve(path, _NOBODY)).st_mode & 0o004)
        except (OSError, ValueError):  # as above
            return False

    def foreign_owner(self, path: str) -> str:
        """Who but root can put a file into the folder: `user 33`, `a group`, `everybody`; "" where nobody can."""
        try:
            status = os.stat(self._resolve(path, None))
        except OSError:
            return ""  # not there: apply makes it, for root
        if status.st_uid != 0:
            return f"user {status.st_uid}"
        if status.st_mode & 0o020 and status.st_gid != 0:
            return f"group {status.st_gid}"
        return "everybody" if status.st_mode & 0o002 else ""

    def _account(self, name: str) -> Account | None:
        """The user of this name or number; None where the host has none."""
        if self.root != Path("/"):
            return self._account_below_root(name)
        import grp  # noqa: PLC0415 - only where a user is named
        import pwd  # noqa: PLC0415 - only where a user is named

        try:
            entry = pwd.getpwuid(int(name)) if _is_id(name) else pwd.getpwnam(name)
        except (KeyError, ValueError):  # ValueError: a NUL
            return None
        groups = {entry.pw_gid, *(group.gr_gid for group in grp.getgrall() if entry.pw_name in group.gr_mem)}
        return Account(entry.pw_name, entry.pw_uid, frozenset(groups), entry.pw_dir)

    def _has_group(self, name: str) -> bool:
        """Whether the host has the group of this name or number."""
        if self.root != Path("/"):
            return any(name in {row[0], row[2]} for row in self._database("group", 4))
        import grp  # noqa: PLC0415 - only where a group is named

        try:
            grp.getgrgid(int(name)) if _is_id(name) else grp.getgrnam(name)
        except (KeyError, ValueError):  # as above
            return False
        return True

    def _account_below_root(self, name: str) -> Account | None:
        for fields in self._database("passwd", 7):
            if name in {fields[0], fields[2]}:
                groups = {int(fields[3])}
                groups |= {
                    int(row[2]) for row in self._database("group", 4) if fields[0] in row[3].split(",")
                }
                return Account(fields[0], int(fields[2]), frozenset(groups), fields[5])
        return None

    def _database(self, name: str, width: int) -> list[list[str]]:
        try:
            text = (self.root / "etc" / name).read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return []
        rows = [line.split(":") for line in text.splitlines()]
        return [row for row in rows if len(row) >= width and row[2].isdecimal()]


# In no group, and the owner of nothing (systemd's UID_INVALID): has what everybody has.
_NOBODY = Account("nobody", 2**32 - 1, frozenset(), "/")


def _is_id(name: str) -> bool:
    return name.isascii() and name.isdecimal()


def _allows(status: os.stat_result, account: Account | None, bit: int) -> bool:
    """Whether the mode grants `bit` (of rwx) to the account; root needs any execute bit, None means root."""
    mode = status.st_mode
    if account is None or account.uid == 0:
        return stat.S_ISDIR(mode) or bool(mode & 0o111)
    if account.uid == status.st_uid:
        return bool(mode >> 6 & bit)
    if status.st_gid in account.groups:
        return bool(mode >> 3 & bit)
    return bool(mode & bit)


def is_version_manager_path(path: str) -> str:
    """The name of the version manager that owns this path, "" where none does."""
    for part, name in _VERSION_MANAGERS:
        if part in path:
            return name
    return ""


_VERSION_MANAGERS = (
    ("/.nvm/", "nvm"),
    ("/.pyenv/", "pyenv"),
    ("/.asdf/", "asdf"),
    ("/.rbenv/", "rbenv"),
    ("/.rvm/", "rvm"),
    ("/.volta/", "volta"),
    ("/.fnm/", "fnm"),
    ("/fnm_multishells/", "fnm"),
    ("/share/mise/", "mise"),
    ("/.sdkman/", "sdkman"),
    ("/.nodenv/", "nodenv"),
    ("/n/versions/", "n"),
)
