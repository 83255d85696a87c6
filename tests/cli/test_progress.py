"""What a run says of itself while it goes on: lines, and on a terminal a table below them that is drawn anew."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass

import pytest

from pm_native.apply.waiting import Wait
from pm_native.bus.manager import JobResult, JobType
from pm_native.bus.scheduler import JobEvent, JobOutcome, JobSpec, JobStage
from pm_native.cli.progress import LineProgress, LiveProgress
from pm_native.plan.model import Action, Step

DB = Wait(unit="shop-db.service", job=JobType.START, state="start-pre", seconds=12.2, limit_sec=90.0)
ENDLESS = Wait(unit="shop-task.service", job=JobType.START, state="start", seconds=3.6)
WEB = Wait(unit="shop-web.service", job=JobType.RESTART)


@dataclass(slots=True)
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


def ended(unit: str, index: int = 0) -> JobEvent:
    spec = JobSpec(unit=unit, type=JobType.START)
    outcome = JobOutcome(spec=spec, stage=JobStage.ENDED, result=JobResult.DONE, duration_sec=0.25)
    return JobEvent(index=index, spec=spec, outcome=outcome)


class Terminal:
    """A terminal that understands what a table needs: line ends, going up, erasing from here on."""

    def __init__(self) -> None:
        self.rows = [""]
        self._row = 0

    def write(self, text: str) -> int:
        for sequence, char in re.findall(r"\x1b\[([0-9;]*[A-Za-z])|(.|\n)", text):
            match sequence[-1:], char:
                case "A", _:
                    self._row -= int(sequence[:-1])
                case "J", _:
                    self.rows[self._row :] = [""]
                case "", "\n":
                    self._row += 1
                    self.rows += [""] * (self._row == len(self.rows))
                case "", "\r":
                    continue
                case "", _:
                    self.rows[self._row] += char
                case unknown:
                    assert unknown[0] == "m"
        return len(text)

    def flush(self) -> None:
        """Nothing is kept back."""

    def isatty(self) -> bool:
        return True


def test_wait_says_what_for_since_when_and_until_when() -> None:
    assert [str(wait) for wait in (DB, ENDLESS, WEB)] == [
        "shop-db.service start, 12 s of 90 s",
        "shop-task.service start, 4 s, without limit",
        "shop-web.service restart, behind others",
    ]


def test_lines_say_what_is_waited_for_once_in_a_while(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    progress = LineProgress(3, clock)
    said = []
    for seconds in (1, 3, 1, 1, 13, 1):  # 101, 104, 105, 106, 119, 120
        clock.now += seconds
        progress.waiting([DB, WEB])
        said.append(capsys.readouterr().err)
    line = "waiting for shop-db.service start, 12 s of 90 s (and 1 more)\n"
    assert said == ["", "", line, "", "", line]
    progress.job(ended("shop-web.service"))  # something was heard: the next word can wait
    clock.now += 4
    progress.waiting([DB])
    assert capsys.readouterr().err == "✓ start shop-web.service  250 ms\n"


@pytest.mark.parametrize("columns", [80, 30])
def test_table_is_drawn_below_the_lines_and_goes_when_all_is_done(
    monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("LINES", "20")
    monkeypatch.setenv("NO_COLOR", "1")
    progress = LiveProgress(3)
    progress.done(Step(Action.RELOAD_MANAGER, "systemd", "unit files have changed"))
    progress.waiting([DB, ENDLESS, WEB])
    table = [
        "  shop-db.service    start    start-pre  12 s of 90 s",
        "  shop-task.service  start    start      4 s, without limit",
        "  shop-web.service   restart  queued     behind others",
        "  0 of 3 jobs done",
    ]
    # No row is wider than the terminal, which would make two of it and leave one behind.
    db, task, web, count = (row[: columns - 1] for row in table)
    assert terminal.rows == ["manager reloaded", db, task, web, count, ""]
    progress.job(ended("t.service"))
    assert terminal.rows == ["manager reloaded", "✓ start t.service  250 ms", db, task, web, count, ""]
    progress.job(ended("shop-task.service"))
    assert terminal.rows[-4:] == [db, web, count, ""]
    progress.waiting([WEB] * 11)
    assert terminal.rows[-3:] == ["  and 3 more", "  2 of 3 jobs done", ""]
    progress.close()
    assert terminal.rows == [
        "manager reloaded",
        "✓ start t.service  250 ms",
        "✓ start shop-task.service  250 ms",
        "",
    ]
