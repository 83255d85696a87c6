"""Files that appear whole or not at all, and outlive a power cut once they appeared."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def write_atomic(path: Path, data: bytes, mode: int) -> None:
    """Make `path` hold `data`: through a scratch file beside it, synced, renamed, its folder synced."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}.new")
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
    try:
        with open(descriptor, "wb") as stream:  # noqa: PTH123 - a descriptor, not a path
            os.fchmod(descriptor, mode)  # whatever the umask
            stream.write(data)
            stream.flush()
            os.fsync(descriptor)
        scratch.rename(path)
    except BaseException:
        with suppress(FileNotFoundError):
            scratch.unlink()
        raise
    sync_directory(path.parent)


def link_atomic(path: Path, target: str) -> None:
    """Make `path` a symbolic link to `target`, replacing what is there in one step."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}.new")
    with suppress(FileNotFoundError):
        scratch.unlink()
    scratch.symlink_to(target)
    scratch.rename(path)
    sync_directory(path.parent)


def remove(path: Path) -> None:
    """Remove the file or link at `path`; that it is gone already is fine."""
    with suppress(FileNotFoundError):
        path.unlink()
        sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make the names in a directory outlive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_text(path: Path) -> str | None:
    """The text of a file, None where there is none; what is not UTF-8 is kept apart by surrogates."""
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape")
    except (FileNotFoundError, NotADirectoryError):
        return None
