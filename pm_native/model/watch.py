"""What of a process's files restarts it when it changes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """Which files are watched, by patterns that begin at the process's folder (`src/**`), and which of them are not.

    A restart comes when nothing has changed for `delay_usec`. In `ignore` a pattern without a slash means the name, in
    whatever folder.
    """

    patterns: tuple[str, ...]
    ignore: tuple[str, ...] = ()
    delay_usec: int = 300_000
