"""One run at a time for each project: an advisory lock that dies with its holder."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import contextmanager

from pm_native.errors import AccessError, LockedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


_LOOK_SEC = 0.1  # between two looks whether the lock is free


@contextmanager
def locked(
    path: Path,
    command: str = "",
    *,
    until: float | None = 0.0,
    on_wait: Callable[[str], None] | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[None]:
    """Hold the lock at `path` as the run of `command`; LockedError names the run that holds it already.

    It is waited for until that time of the monotonic clock (None: for ever), and `on_wait` is told who holds it.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = _wait_for(path, until, on_wait, sleep)
    except PermissionError as error:
        raise AccessError(
            f"cannot write {error.filename}: permission denied", hint="use sudo", needs_root=True
        ) from error
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{f'pm-native {command}'.strip()} (pid {os.getpid()})".encode(), 0)
        yield
    finally:
        path.unlink(missing_ok=True)  # before the lock goes: who opened the file meanwhile looks again
        os.close(descriptor)


def _wait_for(
    path: Path,
    until: float | None,
    on_wait: Callable[[str], None] | None,
    sleep: Callable[[float], None],
) -> int:
    told = ""
    while True:
        try:
            return _open_current(path)
        except LockedError as error:
            if until is not None and time.monotonic() >= until:
                raise
            if on_wait is not None and error.message != told:
                on_wait(error.message)
                told = error.message
            sleep(_LOOK_SEC)


def _open_current(path: Path) -> int:
    """A descriptor that holds the lock of the file that `path` names at that moment: its holders remove it."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(descriptor, path):
                return descriptor
        except BlockingIOError:
            holder = os.pread(descriptor, 200, 0).decode(errors="replace").strip() or "another run"
            os.close(descriptor)
            raise LockedError(
                f"{holder} is changing this project", hint="try again when it is done, or give --wait"
            ) from None
        os.close(descriptor)


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat(follow_symlinks=False))
    except FileNotFoundError:
        return False
