"""Timing whole commands: interleaved rounds, medians, ratios. A figure without its peer of the same run says little."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

CHECKOUT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one command: seconds of wall time, and the peak of its memory in bytes."""

    seconds: float
    peak_bytes: int


@dataclass(slots=True)
class Command:
    """A command to time. `prepare` runs before each round, `check` after it: both outside of the time."""

    name: str
    argv: Sequence[str]
    cwd: Path | None = None
    prepare: Callable[[], None] = lambda: None
    check: Callable[[], None] = lambda: None
    environment: Mapping[str, str] | None = None
    exit_codes: tuple[int, ...] = (0,)
    runs: list[Run] = field(default_factory=list)

    def round(self) -> None:
        """Run it once; AssertionError where it fails or its outcome is not what it must be."""
        self.prepare()
        begin = time.perf_counter()
        process = subprocess.Popen(
            list(self.argv),
            cwd=self.cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=self.environment,
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode in self.exit_codes, f"{self.name}: exit code {process.returncode}"
        self.check()
        self.runs.append(Run(seconds, usage.ru_maxrss * 1024))

    @property
    def median(self) -> float:
        """Seconds, the median of the rounds."""
        return statistics.median(run.seconds for run in self.runs)

    @property
    def peak_bytes(self) -> int:
        """The highest peak of memory of any round."""
        return max(run.peak_bytes for run in self.runs)


def interleave(commands: Sequence[Command], rounds: int, warm_ups: int = 1) -> None:
    """Run the commands in turn, so that what else the machine does hits all of them alike."""
    for _ in range(warm_ups):
        for command in commands:
            command.round()
    for command in commands:
        command.runs.clear()
    for _ in range(rounds):
        for command in commands:
            command.round()


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table: what was measured, what came out, the bar, and whether it was reached (None: no peer)."""

    what: str
    ours: str
    peer: str
    ratio: str
    bar: str
    reached: bool | None


def milliseconds(seconds: float) -> str:
    """A time as the table shows it."""
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.2f} s"
