"""What files and folders hold, as one digest each: a change of it is a change of the process that reads them."""

from __future__ import annotations

import os
import stat
from glob import glob
from hashlib import sha256
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MISSING = ""
_CHUNK = 1 << 20


def digests(root: Path, paths: Iterable[str]) -> dict[str, str | None]:
    """The digest of each path below `root`: of a file by what it holds, of a folder by all names and files in it.

    MISSING where there is nothing of that name, None where the caller may not read it all. A link to a file counts
    as the file; within a folder a link counts by where it leads to, and what is no file only by its name. A path that
    is not there may be a pattern, as those of EnvironmentFile=: then it stands for all that it matches.
    """
    found: dict[str, str | None] = {}
    for path in paths:
        try:
            found[path] = _digest(root / path.lstrip("/"))
        except (FileNotFoundError, NotADirectoryError):
            found[path] = _pattern_digest(root, path.lstrip("/"))
        except PermissionError:
            found[path] = None
    return found


def _digest(path: Path) -> str:
    return _digest_of(_tree(path, "")) if path.is_dir() else _file_digest(path)


def _pattern_digest(root: Path, pattern: str) -> str | None:
    is_pattern = any(sign in pattern for sign in "*?[")
    # As systemd: what begins with a dot is matched by no sign.
    names = sorted(glob(pattern, root_dir=root)) if is_pattern else []  # noqa: PTH207 - see above
    try:
        return _digest_of((name, _digest(root / name).encode()) for name in names) if names else MISSING
    except FileNotFoundError:
        return MISSING  # a link to nothing, or one that has just gone
    except PermissionError:
        return None


def _digest_of(parts: Iterable[tuple[str, bytes]]) -> str:
    total = sha256()
    for name, what in parts:
        # Each part under its length: no two trees have the same sequence of bytes.
        for part in (os.fsencode(name), what):
            total.update(len(part).to_bytes(8, "big") + part)
    return total.hexdigest()


def _tree(folder: Path, prefix: str) -> Iterator[tuple[str, bytes]]:
    """All names below a folder, sorted, each with what stands for its contents."""
    with os.scandir(folder) as entries:
        ordered = sorted(entries, key=lambda entry: os.fsencode(entry.name))
    for entry in ordered:
        name = f"{prefix}{entry.name}"
        if entry.is_symlink():
            yield name, b"link " + os.fsencode(Path(entry.path).readlink())
        elif entry.is_dir():
            yield name, b"folder"
            yield from _tree(Path(entry.path), f"{name}/")
        else:
            yield name, _file_digest(Path(entry.path)).encode()


def _file_digest(path: Path) -> str:
    """The digest of a file; of what is none (a pipe, a device, which could be read for ever) its kind."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    with open(descriptor, "rb", buffering=0) as stream:  # noqa: PTH123 - a descriptor, not a path
        kind = stat.S_IFMT(os.fstat(descriptor).st_mode)
        if kind != stat.S_IFREG:
            return f"of kind {kind:o}"
        total = sha256()
        while chunk := stream.read(_CHUNK):
            total.update(chunk)
    return total.hexdigest()
