"""When a change becomes a restart: after a moment of quiet, and later and later where the program makes it itself."""

from __future__ import annotations

from collections import Counter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

# A change so soon after a restart is probably the program's own.
ECHO_SEC = 5.0
# So many of them in a row are no accident.
FREE = 3
LONGEST_WAIT_SEC = 300.0
# Changes that never stop hold up a restart no longer than this, or ten times the delay.
LONGEST_HOLD_SEC = 10.0
# A chain of echoes is over after so long a time without one, or four times the last wait.
FORGOTTEN_SEC = 60.0
# Files of new names in one folder, from which on any name there is one of the program's.
NAMES_IN_FOLDER = 3
CHAIN_MAX = 10_000  # what is remembered of a program that never uses a name twice


class Pace:
    """Collects changes until a restart is due. All times are seconds of one clock, which is given.

    A restart that makes the program write a file that is watched would be followed by the next one, for ever. Such an
    echo is told from a person's save by its time: it comes soon after the restart, or always as long after it. From the
    third in a row on the restart waits, 1 s and then twice as long each time. A change of another file does not wait.
    """

    def __init__(self, delay_sec: float) -> None:
        self._delay_sec = delay_sec
        self._hold_sec = max(LONGEST_HOLD_SEC, 10 * delay_sec)
        self.files: set[str] = set()
        self.wait_sec = 0.0
        self._first = self._last = 0.0
        self._restarted: float | None = None
        self._gap = 0.0  # from the restart to the first change after it, for the last restart
        self._chain: set[str] = set()
        self._crowded: set[str] = set()  # folders with several of the chain
        self._echoes = 0.0

    def change(self, path: str, now: float) -> None:
        """A file has changed."""
        if not self.files:
            self._first = now
            self._begin(path, now)
        elif self.wait_sec and not self._is_suspect(path, now):
            self._calm()
        self._last = now
        self.files.add(path)

    def _begin(self, path: str, now: float) -> None:
        """The first change after a restart: whether it is an echo of it."""
        gap = float("inf") if self._restarted is None else now - self._restarted
        is_known = path in self._chain
        is_regular = is_known and self._echoes > 0 and abs(gap - self._gap) <= max(0.5, 0.05 * gap)
        if gap < ECHO_SEC or is_regular:
            self._echoes += 1.0 if is_known else 0.5
        elif self._echoes >= FREE and self._is_suspect(path, now) and gap < self._memory_sec():
            self._echoes -= 1
        else:
            # Of a file that comes again the time is remembered: the next one tells whether it is regular.
            self._echoes = 0.5 if is_known else 0.0
        self._gap = gap
        strikes = int(self._echoes) - FREE
        self.wait_sec = min(2.0**strikes, LONGEST_WAIT_SEC) if strikes >= 0 else 0.0

    def _memory_sec(self) -> float:
        return max(FORGOTTEN_SEC, 4 * self.wait_sec)

    def _is_suspect(self, path: str, now: float) -> bool:
        """Whether the change may be the program's own, now that it is known to make some."""
        if path in self._chain or (self._restarted is not None and now - self._restarted < ECHO_SEC):
            return True
        return _folder(path) in self._crowded

    def _calm(self) -> None:
        self._echoes = self.wait_sec = 0.0
        self._chain.clear()
        self._crowded.clear()

    @property
    def due(self) -> float | None:
        """When the restart is to be; None: there is no reason for one."""
        if not self.files:
            return None
        return max(
            self._first + self.wait_sec, min(self._last + self._delay_sec, self._first + self._hold_sec)
        )

    @property
    def gap_sec(self) -> float:
        """How long after the last restart the first change came."""
        return self._gap

    def take(self, now: float) -> list[str]:
        """The files that have changed: the restart is now."""
        files = sorted(self.files)
        is_longer = self._echoes and len(self._chain) < CHAIN_MAX
        self._chain = {*self._chain, *self.files} if is_longer else set(self.files)
        folders = Counter(map(_folder, self._chain))
        self._crowded = {folder for folder, count in folders.items() if count >= NAMES_IN_FOLDER}
        self.files.clear()
        self._restarted = now
        return files


def _folder(path: str) -> str:
    return path.rpartition("/")[0]


def words_of(files: Iterable[str], base: str) -> str:
    """The files in words, those below `base` by their names from there on."""
    names = [path.removeprefix(f"{base}/") for path in sorted(files)]
    first = names[0] or "more than the kernel could tell"
    return f"{first} and {len(names) - 1} more" if names[1:] else first
