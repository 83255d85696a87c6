"""The folders that are watched: found at the beginning, and kept up to date by what the kernel tells.

The kernel watches one folder at a time, not what is below it. So a new folder is watched, then read: what was put into
it meanwhile is found by one of the two.
"""

from __future__ import annotations

import errno
import os
import stat

from pm_native.runtime.watch import kernel as k
from pm_native.runtime.watch.patterns import is_within

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pm_native.runtime.watch.patterns import Selection

    Tell = Callable[[str], None]

LOST = ""  # the path of changes that the kernel had no room to tell of
_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
_CLOSED = (errno.EACCES, errno.EPERM)
_TOLD_MAX = 100  # who may write there could have it say new things without end


class Tree:
    """Calls `changed` with the path of each file of the selection that changes, `warn` with what cannot be watched.

    A link to a folder is followed where the config names it, or where it stays within the folders that the config
    names: who may write there cannot have anything else watched. OSError (ENOSPC) where the kernel watches no more.
    """

    def __init__(self, selection: Selection, kernel: k.Kernel, changed: Tell, warn: Tell) -> None:
        self._selection = selection
        self._kernel = kernel
        self._changed = changed
        self._warn = warn
        self._told: set[str] = set()
        # The paths by watch: several where the config names one folder by several.
        self._folders: dict[int, list[str]] = {}
        self._watches: dict[str, int] = {}

    @property
    def folders(self) -> list[str]:
        """What is watched now."""
        return sorted(self._watches)

    @property
    def count(self) -> int:
        """How many folders are watched."""
        return len(self._watches)

    def scan(self, *, is_new: bool = False) -> None:
        """Watch all that there is; `is_new`: the files in it are changes."""
        for top in sorted({self._top(root) for root in self._selection.roots}):
            self._enter(top, is_new=is_new)

    def _top(self, root: str) -> str:
        """The folder from which the way to the root is watched: where that is not there, or a link, what it is in."""
        base = self._selection.base
        top = base if is_within(root, base) else root
        while top != "/" and (os.path.islink(top) or not os.path.isdir(top)):
            top = os.path.dirname(top)
        return top

    def handle(self, events: Iterable[k.Event]) -> None:
        """Follow what the kernel tells."""
        is_lost = is_away = False
        for watch, mask, name in events:
            folders = tuple(self._folders.get(watch, ()))  # none: it was left already
            is_lost |= bool(mask & k.LOST)
            is_away |= bool(folders and mask & k.ITSELF)
            for folder in folders:
                if mask & (k.NO_MORE | k.ITSELF):
                    self._leave(folder)
                else:
                    self._happened(f"{folder.rstrip('/')}/{name}", mask)
        if is_lost:
            self._changed(LOST)
        if is_lost or is_away:
            self.scan(is_new=is_away)

    def _happened(self, path: str, mask: int) -> None:
        selection = self._selection
        has_come = bool(mask & (k.CREATED | k.MOVED_HERE))
        if mask & k.IS_FOLDER:
            if has_come and selection.holds(path):
                self._leave(path)
                self._enter(path, is_new=True)
            elif mask & k.MOVED_AWAY and self._leave(path) and selection.is_inside(path):
                self._changed(path)
            return
        if mask & k.NAMES:
            self._leave(path)  # a link to a folder was there, if that was watched
        if has_come and selection.holds(path) and os.path.islink(path) and self._may_follow(path):
            self._enter(path, is_new=True)
        if selection.wants(path) and (not mask & k.CREATED or is_whole(path)):
            self._changed(path)

    def _enter(self, folder: str, *, is_new: bool) -> None:
        """Watch the folder and all below it that can hold files of the selection; links come last."""
        selection = self._selection
        pending, links = [(folder, os.path.islink(folder))], list[str]()
        is_found = False  # by a link that the config does not name
        while pending or links:
            is_found |= not pending
            here, is_link = pending.pop() if pending else (links.pop(), True)
            if not self._watch(here, follow=is_link, is_found=is_found):
                continue
            for path, kind in self._entries(here):
                if selection.holds(path) and kind is not stat.S_IFREG:
                    if kind is stat.S_IFDIR or selection.leads(path):
                        pending.append((path, kind is stat.S_IFLNK))
                    elif self._may_follow(path):
                        links.append(path)
                if is_new and kind is not stat.S_IFDIR and selection.wants(path):
                    self._changed(path)

    def _entries(self, folder: str) -> Iterator[tuple[str, int]]:
        """What is in a folder, with its kind: all, or above the roots only what leads to one."""
        try:
            if self._selection.is_inside(folder):
                with os.scandir(folder) as found:
                    names = [
                        (item.path, _kind(item.is_symlink(), item.is_dir(follow_symlinks=False)))
                        for item in found
                    ]
                yield from names
                return
        except OSError:
            return  # gone again: its parent tells
        start = len(folder.rstrip("/")) + 1
        roots = (root for root in self._selection.roots if is_within(root, folder))
        for path in sorted({root[: (root + "/").index("/", start)] for root in roots}):
            try:
                mode = os.lstat(path).st_mode
            except OSError:
                continue  # not yet there
            yield path, _kind(stat.S_ISLNK(mode), stat.S_ISDIR(mode))

    def _watch(self, folder: str, *, follow: bool, is_found: bool) -> bool:
        """Watch one folder. Whether that makes a difference: not where it is gone, closed, or found a second time."""
        if len(self._folders) >= self._kernel.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), folder)
        try:
            watch = self._kernel.add(folder, self._mask(folder) | (0 if follow else k.DO_NOT_FOLLOW))
        except OSError as error:
            if error.errno in _CLOSED:
                self._tell(f"{folder} is not watched: {error.strerror}")
            elif error.errno not in _GONE:
                raise
            return False
        if self._watches.get(folder, watch) != watch:
            self._leave(folder)  # another folder had this name
        names = self._folders.setdefault(watch, [])
        for stale in [name for name in names if name != folder and not _is_same(name, folder)]:
            names.remove(stale)  # what was there has another name by now
            del self._watches[stale]
        if folder in names:
            return True
        if names and is_found:
            return False  # links may lead in a circle
        names.append(folder)
        self._watches[folder] = watch
        return True

    def _mask(self, folder: str) -> int:
        """What of a folder is told: above the roots, names alone; where nothing tells of the folder itself, that too."""
        roots = self._selection.roots
        is_near = self._selection.is_inside(folder) or any(os.path.dirname(root) == folder for root in roots)
        is_top = os.path.dirname(folder) not in self._watches
        return k.NAMES | (k.WRITTEN if is_near else 0) | (k.ITSELF if is_top else 0)

    def _leave(self, folder: str) -> bool:
        """Watch the folder and what is below it no more. Whether it was watched."""
        if folder not in self._watches:
            return False
        for path in [path for path in self._watches if is_within(path, folder)]:
            watch = self._watches.pop(path)
            self._folders[watch].remove(path)
            if not self._folders[watch]:
                del self._folders[watch]
                self._kernel.remove(watch)
        return True

    def _may_follow(self, link: str) -> bool:
        """Whether the link leads to a folder that may be watched."""
        if self._selection.leads(link):
            return True
        target = os.path.realpath(link)
        if not os.path.isdir(target):
            return False
        named = (self._selection.base, *self._selection.roots)
        if any(is_within(target, os.path.realpath(folder)) for folder in named):
            return True
        self._tell(
            f"{link} leads out of the folder and is not followed; to watch {target}, name it in `watch`"
        )
        return False

    def _tell(self, message: str) -> None:
        if message not in self._told and len(self._told) < _TOLD_MAX:
            self._told.add(message)
            self._warn(message)


def is_whole(path: str) -> bool:
    """Whether a file that was just made is all there: one that is being written is told of when it is closed.

    Sockets and pipes are no files of a program; the program makes them itself.
    """
    try:
        status = os.lstat(path)
    except OSError:
        return False  # gone again, and that is told, too
    return stat.S_ISLNK(status.st_mode) or (stat.S_ISREG(status.st_mode) and status.st_nlink > 1)


def _kind(is_link: bool, is_folder: bool) -> int:  # noqa: FBT001 - two facts of one entry
    return stat.S_IFLNK if is_link else stat.S_IFDIR if is_folder else stat.S_IFREG


def _is_same(one: str, other: str) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False
