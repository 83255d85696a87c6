"""Files that appear whole or not at all, and outlive a power cut once they appeared."""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager, suppress
from errno import EBUSY, EEXIST, ENOTEMPTY

from pm_native.errors import AccessError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping
    from pathlib import Path

PRIVATE = 0o700


def write_atomic(path: Path, data: bytes, mode: int) -> None:
    """Make `path` hold `data`: through a scratch file beside it, synced, renamed, its folder synced.

    An OSError names the path, also where the kernel names none (a full disk).
    """
    scratch = _scratch(path)
    with _errors_name(path):
        try:
            _write(scratch, data, mode)
            _sync(scratch, 0)
            scratch.rename(path)
        except BaseException:
            scratch.unlink(missing_ok=True)
            raise
        sync_directory(path.parent)


def write_together(files: Mapping[Path, tuple[bytes, int]]) -> None:
    """Write new files, each with its data and mode, where nobody looks yet; all of them are synced in the end.

    One file system commit serves them all, where a sync after each file would make one each. An OSError names the
    path that it met.
    """
    for path, (data, mode) in files.items():
        with _errors_name(path):
            _write(path, data, mode)
    for path in files:
        with _errors_name(path):
            _sync(path, 0)


def append_line(path: Path, line: str, mode: int) -> None:
    """Add a line to a file, synced, as its name is; on a line of its own also where a killed run left one without its end.

    An OSError names the path.
    """
    with _errors_name(path):
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(path, flags, mode)
        try:
            size = os.fstat(descriptor).st_size
            is_torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
            rest = f"{chr(10) * is_torn}{line}\n".encode()
            while rest:  # a disk that is nearly full takes a part of it, and says so the next time
                rest = rest[os.write(descriptor, rest) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if not size:
            sync_directory(path.parent)


def _write(path: Path, data: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
    with open(descriptor, "wb") as stream:  # noqa: PTH123 - a descriptor, not a path
        os.fchmod(descriptor, mode)  # whatever the umask
        stream.write(data)


def _scratch(path: Path) -> Path:
    """A name beside `path` that nobody else writes to; what a killed run of the same pid left is removed."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}.new")
    scratch.unlink(missing_ok=True)
    return scratch


def make_folder(path: Path, mode: int = 0o755) -> None:
    """Make a folder of this mode, and those above it for all to look into, whatever the umask is.

    One that is there stays as it is, but that what should be private (0700) is closed to others.
    """
    if path.is_dir():
        if mode == PRIVATE and stat.S_IMODE(path.stat().st_mode) & 0o077:
            path.chmod(mode)
        return
    if not path.parent.exists():
        make_folder(path.parent)
    # By the mask, not by a chmod: where others can write, the name may lead anywhere by then.
    mask = os.umask(0o777 & ~mode)
    try:
        path.mkdir(mode=mode)
    finally:
        os.umask(mask)
    sync_directory(path.parent)


def sweep_scratch(directory: Path, names: Container[str]) -> None:
    """Remove what killed runs left beside the files of these names in `directory`: `.NAME.PID.new`, nothing else.

    The caller holds the lock of whoever writes these files. An OSError names the path.
    """
    try:
        entries = list(os.scandir(directory))
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in entries:
        if not (entry.name.startswith(".") and entry.name.endswith(".new")):
            continue
        name, _, pid = entry.name[1 : -len(".new")].rpartition(".")
        if name in names and pid.isdecimal() and not entry.is_dir(follow_symlinks=False):
            remove(directory / entry.name)


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
    """Remove a folder that may hold what others put there, or have a file system of its own: then it stays."""
    try:
        directory.rmdir()
    except FileNotFoundError:
        return
    except OSError as error:
        if error.errno not in {ENOTEMPTY, EEXIST, EBUSY}:
            raise
        return
    sync_directory(directory.parent)


def sync_directory(path: Path) -> None:
    """Make the names in a directory outlive a power cut."""
    _sync(path, os.O_DIRECTORY)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _errors_name(path: Path) -> Iterator[None]:
    """Let an OSError name the path, also where the kernel names none (a full disk)."""
    try:
        yield
    except OSError as error:
        raise type(error)(error.errno, error.strerror, str(path)) from error


def read_text(path: Path) -> str | None:
    """The text of a file, None where there is none; what is not UTF-8 is kept apart by surrogates.

    AccessError where the caller may not read it.
    """
    try:
        return path.read_bytes().decode("utf-8", errors="surrogateescape")  # line ends as they are
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError as error:
        raise AccessError(
            f"cannot read {path}: permission denied", hint="use sudo", needs_root=True
        ) from error
