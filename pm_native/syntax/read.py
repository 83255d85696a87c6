"""Files to sources: whatever is wrong with the file itself is told here, with a way out."""

from __future__ import annotations

import os
import stat
from difflib import get_close_matches
from errno import EINVAL
from hashlib import sha256

from pm_native.errors import Source, Span
from pm_native.syntax.places import BOM

TYPE_CHECKING = False
if TYPE_CHECKING:
    from io import BufferedReader
    from pathlib import Path

    from pm_native.errors import Diagnostics

MAX_BYTES = 4 * 1024 * 1024
UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff")


def read_source(  # noqa: PLR0913 - each has its default
    path: Path,
    name: str,
    problems: Diagnostics,
    *,
    max_bytes: int = MAX_BYTES,
    allow_empty: bool = False,
    is_secret: bool = False,
    asked_at: Span | None = None,
) -> Source | None:
    """The UTF-8 text of the file at `path`, called `name` in diagnostics; None after adding an error.

    That there is none is told at the place that asked for it, where there is one. A byte order mark is dropped, line ends stay as they are. A file of white space alone is an error
    unless `allow_empty`, a file of more than `max_bytes` bytes always. No diagnostic shows a line of a file that
    `is_secret`.
    """
    whole = Source(name, "").whole()
    try:
        with open_file(path) as file:
            data = file.read(max_bytes + 1)
    except (FileNotFoundError, NotADirectoryError):
        message = "there is no such file" if asked_at is None else f"there is no file {name}"
        problems.error(asked_at or whole, message, code="file-missing", hint=_neighbour(path))
    except IsADirectoryError:
        hint = "give the file in it"
        problems.error(whole, "this is a directory, not a file", code="file-is-directory", hint=hint)
    except PermissionError:
        hint = "check the mode and the owner of the file and of the directories above it"
        problems.error(whole, "this file may not be read", code="file-unreadable", hint=hint)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        problems.error(whole, f"this file cannot be read: {reason}", code="file-unreadable")
    else:
        if len(data) > max_bytes:
            size = f"{max_bytes // 1024} KiB" if max_bytes >= 1024 else f"{max_bytes} bytes"
            hint = "is this the right file?"
            problems.error(whole, f"this file has more than {size}", code="file-too-big", hint=hint)
            return None
        return _decode(data, name, problems, allow_empty=allow_empty, is_secret=is_secret)
    return None


def open_file(path: Path) -> BufferedReader:
    """The file at `path`, to be read; OSError where it is a pipe or a device, which could be waited on for ever."""
    return open(path, "rb", opener=_open_file)


def _open_file(path: str, flags: int) -> int:
    descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        return descriptor
    os.close(descriptor)
    raise OSError(EINVAL, "it is a pipe, a socket or a device", path)


def _neighbour(path: Path) -> str:
    """The hint that names a file of nearly the same name in the same directory; "" where there is none."""
    try:
        names = os.listdir(path.parent)  # noqa: PTH208 - only the names are of interest
    except (OSError, ValueError):  # there is nothing to suggest in a directory that cannot be read
        return ""
    close = get_close_matches(path.name, sorted(names), n=1, cutoff=0.7)
    return f"did you mean {close[0]}?" if close else ""


def _decode(
    data: bytes, name: str, problems: Diagnostics, *, allow_empty: bool, is_secret: bool
) -> Source | None:
    if data.startswith(UTF16_BOMS):
        problems.error(
            Source(name, "").whole(),
            "this file is UTF-16 text",
            code="file-binary",
            hint="save it as UTF-8",
        )
        return None
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        span = _place(name, data[: error.start].decode("utf-8"), is_secret=is_secret)
        problems.error(
            span,
            f"byte 0x{data[error.start]:02x} is not UTF-8",
            code="file-binary",
            hint="save the file as UTF-8; if it is not text at all, it is the wrong file",
        )
        return None
    nul = text.find("\0")
    if nul >= 0:
        span = _place(name, text[:nul], is_secret=is_secret)
        problems.error(span, "a NUL byte: this is no text file", code="file-binary")
        return None
    text = text.removeprefix(BOM)
    if not allow_empty and not text.strip():
        problems.error(Source(name, text).whole(), "this file is empty", code="file-empty")
        return None
    return Source(name, text, is_secret=is_secret, sha256=sha256(data).hexdigest())


def _place(name: str, before: str, *, is_secret: bool) -> Span:
    """The place after the text `before`, in a source that holds no more than that."""
    before = before.removeprefix(BOM)
    line = before.count("\n") + 1
    column = len(before) - before.rfind("\n")
    return Span(Source(name, before, is_secret=is_secret), line, column, column + 1)
