"""The life of a watcher: what it is told, what it tells, and how it ends."""

from __future__ import annotations

import errno
import os
import sys
from time import monotonic

from pm_native.runtime import tell
from pm_native.runtime.loop import READ, Loop
from pm_native.runtime.place import Beside
from pm_native.runtime.spawn import Command
from pm_native.runtime.watch.pace import Pace, words_of
from pm_native.runtime.watch.patterns import Selection
from pm_native.runtime.watch.restart import Restarter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pm_native.runtime.attempt import Done
    from pm_native.runtime.loop import Timer
    from pm_native.runtime.watch.kernel import Kernel

# Exit codes (sysexits.h): none of these is mended by starting again.
UNAVAILABLE, SYSTEM, CONFIG = 69, 71, 78
NO_LIBRARY = (
    "the Python library inotify is not there:"
    " apt-get install python3-inotify, or pip install inotify beside pm-native"
)
_LIMITS = {
    errno.ENOSPC: ("max_user_watches", "folders that may be watched", 524288),
    errno.EMFILE: ("max_user_instances", "watchers that may run", 1024),
}


class WishError(Exception):
    """The command line makes no sense."""


class Wish:
    """What the command line asks for; WishError for what it cannot mean."""

    def __init__(self, arguments: Sequence[str]) -> None:
        self.unit = self.directory = self.library = ""
        self.patterns: list[str] = []
        self.ignore: list[str] = []
        self.delay_sec = 0.3
        self.user = self.one_by_one = False
        for argument in arguments:
            self._take(*argument.partition("=")[::2])
        if not (self.unit and self.directory.startswith("/") and self.patterns):
            raise WishError("it takes --unit=, --directory= with an absolute path, and --watch=")

    def _take(self, name: str, value: str) -> None:
        match name:
            case "--unit":
                self.unit = value
            case "--directory":
                self.directory = value
            case "--watch":
                self.patterns.append(value)
            case "--ignore":
                self.ignore.append(value)
            case "--delay":
                self.delay_sec = _seconds(value)
            case "--library":
                self.library = value
            case "--user":
                self.user = True
            case "--one-by-one":
                self.one_by_one = True
            case _:
                raise WishError(f"there is no option {name}")


def _seconds(text: str) -> float:
    try:
        return max(0.0, float(text.removesuffix("s")))
    except ValueError:
        raise WishError(f"--delay={text}: a number of seconds, such as 0.3s") from None


class Watcher:
    """Watches files and restarts the unit; `run` ends with an OSError where the kernel watches no more."""

    def __init__(self, wish: Wish, kernel: Kernel, loop: Loop) -> None:
        from pm_native.runtime.watch.tree import Tree  # noqa: PLC0415 - after the library was found

        self._loop = loop
        self._kernel = kernel
        self._base = wish.directory.rstrip("/")
        self._unit = wish.unit
        self._user = wish.user
        self._identifier = wish.unit.partition("@")[0].removesuffix(".service") + "-watch"
        self._pace = Pace(wish.delay_sec)
        self._timer: Timer | None = None
        self._waited_sec = 0.0
        environment = dict(os.environb)
        address = environment.pop(b"NOTIFY_SOCKET", b"")
        self._place = Beside(environment)
        self._notifier = tell.Notifier(address) if address else None
        self._systemctl = ["systemctl", *(["--user"] if wish.user else [])]
        self._restarter = Restarter(self._run, wish.unit, self._tell, one_by_one=wish.one_by_one)
        selection = Selection(wish.directory, wish.patterns, wish.ignore)
        self._tree = Tree(selection, kernel, lambda path: self._pace.change(path, monotonic()), self._warn)

    def start(self) -> None:
        """Watch what there is, and say that it is watched."""
        self._tree.scan()
        self._loop.watch(self._kernel.descriptor, READ, self._read)
        self._notify("READY=1", self._status())

    def _read(self) -> None:
        self._tree.handle(self._kernel.read())
        self._arm()

    def _arm(self) -> None:
        """Have the restart come when it is due; while one is under way it is due later."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = self._pace.due
        if due is None or self._restarter.is_busy:
            return
        if self._pace.wait_sec > self._waited_sec:
            self._explain()
        self._waited_sec = self._pace.wait_sec
        self._timer = self._loop.later(due - monotonic(), self._fire)

    def _explain(self) -> None:
        wait, gap = self._pace.wait_sec, self._pace.gap_sec
        files = words_of(self._pace.files, self._base)
        message = (
            f"{files} changed {gap:.1f} s after the last restart, as after those before:"
            f" the program seems to write it itself, so the restart waits {wait:g} s."
            " `ignore` it in the config of `watch`, or have the program write elsewhere"
        )
        self._log(message, tell.WARNING, ())

    def _fire(self) -> None:
        self._timer = None
        files = self._pace.take(monotonic())
        why = f"{words_of(files, self._base)} changed"
        self._notify(self._status(), "")
        self._restarter.restart(why, self._arm)

    def _run(self, words: list[str], done: Done) -> None:
        Command([*self._systemctl, *words], self._place.ask, self._loop, done, whole=True)

    def _status(self) -> str:
        count = self._tree.count
        return f"STATUS=watching {count} folder{'' if count == 1 else 's'} for {self._unit}"

    def _notify(self, *assignments: str) -> None:
        if self._notifier is not None:
            self._notifier.send(*assignments)

    def _tell(self, message: str, units: tuple[str, ...]) -> None:
        self._log(message, tell.NOTICE, units)

    def _warn(self, message: str) -> None:
        self._log(message, tell.WARNING, ())

    def _log(self, message: str, priority: int, units: tuple[str, ...]) -> None:
        """A line for the journal of this unit; with `units`, also for theirs: journalctl and systemctl status show it."""
        message = printable(message)
        about = "OBJECT_SYSTEMD_USER_UNIT" if self._user else "OBJECT_SYSTEMD_UNIT"
        fields = [f"{about}={unit}" for unit in units]
        # By hand it says all on standard error, which is the journal's where systemd has started it.
        is_in_journal = units and b"JOURNAL_STREAM" in os.environb
        if not (is_in_journal and tell.log(message, priority, "", self._identifier, *fields)):
            say(message, priority)


def say(message: str, priority: int) -> None:
    """A line on standard error, with its priority as the journal reads it (sd-daemon(3))."""
    sys.stderr.write(f"<{priority}>{printable(message)}\n")


def printable(text: str) -> str:
    """The text with what is no character for a terminal written out: names of files may hold anything."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def main(arguments: Sequence[str]) -> int:
    """Watch until it is ended; the exit code where that is not to be."""
    try:
        wish = Wish(arguments)
        if wish.library:
            sys.path.append(wish.library)
        from pm_native.runtime.watch.kernel import Kernel  # noqa: PLC0415 - needs the library
    except WishError as error:
        return _end(str(error), CONFIG)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "inotify":
            raise
        return _end(NO_LIBRARY, UNAVAILABLE)
    loop = Loop()
    try:
        watcher = Watcher(wish, Kernel(), loop)
        watcher.start()
        loop.run()
    except OSError as error:
        return _end(limit_words(error), SYSTEM)
    return 0


def limit_words(error: OSError) -> str:
    """What a limit of the kernel is raised by; the error itself where it is none."""
    if error.errno not in _LIMITS:
        return f"{error.filename or 'inotify'}: {error.strerror}"
    name, what, enough = _LIMITS[error.errno]
    at = f" at {error.filename}" if error.filename else ""
    return (
        f"the kernel has no more{at}: fs.inotify.{name}, the number of {what} for one user, is too low. Raise it:"
        f" sysctl -w fs.inotify.{name}={enough}, and for good:"
        f" echo fs.inotify.{name}={enough} >/etc/sysctl.d/60-inotify.conf"
    )


def _end(message: str, code: int) -> int:
    say(message, tell.ERROR)
    return code
