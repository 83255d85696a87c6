"""inotify(7) through the library `inotify`: which folders the kernel tells of, and what it tells."""

from __future__ import annotations

import errno
import os
from _struct import unpack_from

from inotify import calls, constants

TYPE_CHECKING = False
if TYPE_CHECKING:
    Event = tuple[int, int, str]  # the watch, the mask, the name in its folder

IS_FOLDER: int = constants.IN_ISDIR
CREATED: int = constants.IN_CREATE
REMOVED: int = constants.IN_DELETE
WRITTEN: int = constants.IN_CLOSE_WRITE
MOVED_AWAY: int = constants.IN_MOVED_FROM
MOVED_HERE: int = constants.IN_MOVED_TO
# The folder itself: it was moved or removed; the watch is no more.
ITSELF: int = constants.IN_DELETE_SELF | constants.IN_MOVE_SELF | constants.IN_UNMOUNT
NO_MORE: int = constants.IN_IGNORED
LOST: int = constants.IN_Q_OVERFLOW
NAMES: int = CREATED | REMOVED | MOVED_AWAY | MOVED_HERE
DO_NOT_FOLLOW: int = constants.IN_DONT_FOLLOW

_ALWAYS: int = constants.IN_ONLYDIR | constants.IN_MASK_ADD
_HEAD = "iIII"
_HEAD_BYTES = 16
_BUFFER_BYTES = 65536


_LIMIT = "/proc/sys/fs/inotify/max_user_watches"


class Kernel:
    """One queue of events. OSError with ENOSPC or EMFILE where the kernel gives no more.

    `room` is how many folders it may be told of: half of what all programs of one user have together, so that no tree
    takes everything from the others.
    """

    def __init__(self) -> None:
        with open(_LIMIT, encoding="ascii") as stream:  # noqa: PTH123 - pathlib is heavy
            self.room = int(stream.read()) // 2
        try:
            self.descriptor: int = calls.inotify_init()
        except calls.InotifyError as error:
            # This process has few files open: it is the user who has no queue left.
            number = error.errno or errno.EMFILE
            raise OSError(number, os.strerror(number)) from error
        os.set_inheritable(self.descriptor, False)
        os.set_blocking(self.descriptor, False)

    def add(self, folder: str, mask: int) -> int:
        """Tell of the folder, in addition to what it is told of already. The number of the watch; OSError."""
        try:
            return int(calls.inotify_add_watch(self.descriptor, os.fsencode(folder), mask | _ALWAYS))
        except calls.InotifyError as error:
            number = error.errno or why_not(folder)
            raise OSError(number, os.strerror(number), folder) from error

    def remove(self, watch: int) -> None:
        """Tell of it no more; it may have ended by itself."""
        try:
            calls.inotify_rm_watch(self.descriptor, watch)
        except calls.InotifyError:
            return

    def read(self) -> list[Event]:
        """What has happened, as much as comes at once; never waits."""
        try:
            data = os.read(self.descriptor, _BUFFER_BYTES)
        except BlockingIOError:
            return []
        found: list[Event] = []
        position = 0
        while position < len(data):
            watch, mask, _, size = unpack_from(_HEAD, data, position)
            position += _HEAD_BYTES
            name = data[position : position + size].rstrip(b"\0")
            position += size
            found.append((watch, mask, os.fsdecode(name)))
        return found

    def close(self) -> None:
        """End all watches."""
        os.close(self.descriptor)


def why_not(folder: str) -> int:
    """Why a folder cannot be watched, as errno: the library forgets it before version 0.2.12.

    What can be opened could be watched, if there were a watch left.
    """
    try:
        os.close(os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NONBLOCK))
    except OSError as error:
        return error.errno or errno.EIO
    return errno.ENOSPC
