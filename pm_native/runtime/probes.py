"""Probes of one program, made again and again: none waits, each attempt tells its result once, in words, or is cancelled.

What is the same for every attempt is found out once, and little is left to do for each: a monitor wakes up for it, and
all that it touches has gone from the caches of the CPU by then.
"""

from __future__ import annotations

import os
import time

from pm_native.runtime.attempt import strerror

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pm_native.runtime.arguments import Probe
    from pm_native.runtime.attempt import Done, Prober, Program
    from pm_native.runtime.loop import Loop


def prober(probe: Probe, program: Program, loop: Loop, done: Done) -> Prober:
    """What makes the attempts of a probe; `done(passed, words)` gets the result of each."""
    match probe.kind:
        case "tcp":
            from pm_native.runtime.connect import Connection, tcp_address  # noqa: PLC0415 - only where it is asked for

            return Connection(tcp_address(probe.target, program.port), program.place, loop, done, "tcp")
        case "unix":
            from pm_native.runtime.connect import Connection  # noqa: PLC0415 - as above

            return Connection(probe.target, program.place, loop, done, "unix")
        case "http":
            from pm_native.runtime.http import HttpProber  # noqa: PLC0415 - as above

            return HttpProber(probe, program, loop, done)
        case "exec":
            from pm_native.runtime.spawn import CommandProber  # noqa: PLC0415 - as above

            return CommandProber([probe.target, *probe.arguments], program.place.run, loop, done)
        case "output":
            from pm_native.runtime.output import look  # noqa: PLC0415 - as above

            return Look(lambda: look(probe, program), done)
        case "memory":
            from pm_native.runtime.arguments import size  # noqa: PLC0415 - as above
            from pm_native.runtime.memory import judge  # noqa: PLC0415 - as above

            limit = size(probe.target)
            return Look(lambda: judge(limit, program.pid), done)
        case _:
            return Look(lambda: file_in_place(probe, program), done)


class Look:
    """A probe that knows at once."""

    __slots__ = ("_done", "_look")

    def __init__(self, look: Callable[[], tuple[bool, str]], done: Done) -> None:
        self._look = look
        self._done = done

    def begin(self) -> None:
        """Look, and tell."""
        self._done(*self._look())

    def cancel(self) -> None:
        """Nothing is under way."""


def file_in_place(probe: Probe, program: Program) -> tuple[bool, str]:
    """Whether the program sees the file, and it is young enough."""
    with program.place as place:
        return look_at_file(place.path(probe.target), probe.max_age)


def look_at_file(path: str, max_age: float) -> tuple[bool, str]:
    """Whether the file is there and young enough."""
    name = path.rpartition("/")[2]
    try:
        changed = os.stat(path).st_mtime  # noqa: PTH116 - pathlib is heavy
    except OSError as error:
        return False, f"file {name}: {strerror(error)}"
    age = time.time() - changed
    if max_age and age > max_age:
        return False, f"file {name}: changed {age:.0f} s ago"
    return True, f"file {name}"
