"""One run at a time for each project: an advisory lock that dies with its holder."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager

from pm_native.errors import AccessError, LockedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock at `path`; LockedError names the run that holds it already."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except PermissionError as error:
        raise AccessError(f"cannot write {error.filename}: permission denied", hint="use sudo") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 200, 0).decode(errors="replace").strip() or "another run"
            raise LockedError(
                f"{holder} is changing this project", hint="try again when it is done"
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"pm-native, pid {os.getpid()}".encode(), 0)
        yield
    finally:
        os.close(descriptor)
