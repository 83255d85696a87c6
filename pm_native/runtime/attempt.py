"""What all probes have in common: what an attempt is, how its result is told, and what is known of the program."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol, Self

    Done = Callable[[bool, str], None]  # whether it has passed, in words

    class Prober(Protocol):
        """One probe of one program."""

        def begin(self) -> None:
            """Make an attempt: its result is told, at once or later, unless it is cancelled. One at a time."""

        def cancel(self) -> None:
            """End the attempt, if one is under way, without a result; nothing is left open or running."""

    class Place(Protocol):
        """Within `with`, what is opened and connected is what the program could open and connect.

        `is_shared`: other programs would wait for what takes its time.
        """

        is_shared: bool

        def __enter__(self) -> Self:
            """Be as the program is."""

        def __exit__(self, *_: object) -> None:
            """Be oneself again."""

        def path(self, path: str) -> str:
            """How a path of the program is named within `with`."""

        def run(self, words: list[str], output: int, more: dict[bytes, bytes] | None = None) -> int:
            """Start a command as the program would, `more` in its environment; its process id."""

        def ask(self, words: list[str], output: int) -> int:
            """Start a command of systemd's as the monitor itself; its process id."""

    class Follower(Protocol):
        """Reads what a program writes, from one attempt to the next."""

        def look(self) -> tuple[bool, str]:
            """Whether it has been found up to now, in words."""

        def close(self) -> None:
            """Follow it no more."""

    class Program(Protocol):
        """The program that is probed, in the run `invocation` of its unit. `log_ends`: where its log files ended before that."""

        pid: int
        port: int
        invocation: str
        place: Place
        followers: dict[int, Follower]
        log_ends: dict[str, tuple[int, int]]


def strerror(error: OSError) -> str:
    """What the system says, begun with a small letter."""
    text = error.strerror or str(error)
    return text[:1].lower() + text[1:]
