"""Files that appear whole or not at all, and outlive a power cut once they appeared."""

from __future__ import annotations

import os
from contextlib import suppress
from errno import EEXIST, ENOTEMPTY

from pm_native.errors import AccessError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path


def write_atomic(path: Path, data: bytes, mode: int) -> None:
    """Make `path` hold `data`: through a scratch file beside it, synced, renamed, its folder synced.

    An OSError names the path, also where the kernel names none (a full disk).
    """
    scratch = _scratch(path)
    try:
        _write_synced(scratch, data, mode)
        scratch.rename(path)
        sync_directory(path.parent)
    except OSError as error:
        scratch.unlink(missing_ok=True)
        raise type(error)(error.errno, error.strerror, str(path)) from error
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise


def _write_synced(path: Path, data: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
    with open(descriptor, "wb") as stream:  # noqa: PTH123 - a descriptor, not a path
        os.fchmod(descriptor, mode)  # whatever the umask
        stream.write(data)
        stream.flush()
        os.fsync(descriptor)


def _scratch(path: Path) -> Path:
    """A name beside `path` that nobody else writes to; what a killed run of the same pid left is removed."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}.new")
    scratch.unlink(missing_ok=True)
    return scratch


def link_atomic(path: Path, target: str) -> None:
    """Make `path` a symbolic link to `target`, replacing what is there in one step."""
    scratch = _scratch(path)
    scratch.symlink_to(target)
    try:
        scratch.rename(path)
    except OSError:
        scratch.unlink()
        raise
    sync_directory(path.parent)


def remove(path: Path) -> None:
    """Remove the file or link at `path`; that it is gone already is fine."""
    with suppress(FileNotFoundError):
        path.unlink()
        sync_directory(path.parent)


def remove_empty(directory: Path) -> None:
    """Remove a folder that may hold what others put there: then it stays."""
    try:
        directory.rmdir()
    except FileNotFoundError:
        return
    except OSError as error:
        if error.errno not in {ENOTEMPTY, EEXIST}:
            raise


def sync_directory(path: Path) -> None:
    """Make the names in a directory outlive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_text(path: Path) -> str | None:
    """The text of a file, None where there is none; what is not UTF-8 is kept apart by surrogates.

    AccessError where the caller may not read it.
    """
    try:
        return path.read_bytes().decode("utf-8", errors="surrogateescape")  # line ends as they are
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError as error:
        raise AccessError(f"cannot read {path}: permission denied", hint="use sudo") from error
