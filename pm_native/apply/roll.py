"""Rolling restarts: which instances of a pool go together, and how it is known that they are back."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import TypeVar

    Item = TypeVar("Item")


def batches(items: Sequence[Item], at_once: int) -> Iterator[Sequence[Item]]:
    """The items, so many at a time."""
    for begin in range(0, len(items), at_once):
        yield items[begin : begin + at_once]


def watch_sec(unit_file: str, settle_sec: float) -> float:
    """How long the instances of this template are watched before the next: not at all if they say when they are ready.

    Then the job that started one ended with that word; else as long as what was started is watched in any case.
    """
    return 0.0 if "\nType=notify" in unit_file else settle_sec
