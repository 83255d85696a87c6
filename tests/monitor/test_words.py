from __future__ import annotations

from dataclasses import replace

import pytest

from pm_native.errors import printable
from pm_native.monitor.table import TimerStatus, UnitStatus
from pm_native.monitor.words import duration_words, share_words, size_words, state_words

ROW = UnitStatus(
    unit="shop-api.service",
    process="api",
    label="api",
    load_state="loaded",
    active_state="active",
    sub_state="running",
)
TIMER = TimerStatus(unit="shop-api.timer", active_state="active", next_elapse_sec=4600.0)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (ROW, "active (running)"),
        (replace(ROW, sub_state="exited"), "active (exited)"),
        (replace(ROW, active_state="inactive", sub_state="dead"), "inactive (dead)"),
        (replace(ROW, job="restart"), "active (running), restart queued"),
        (
            replace(ROW, active_state="activating", sub_state="start", job="start"),
            "activating (start)",
        ),
        (
            replace(
                ROW, active_state="failed", sub_state="failed", result="exit-code", exit="exit status 3"
            ),
            "failed (exit status 3)",
        ),
        (
            replace(
                ROW,
                active_state="failed",
                sub_state="failed",
                result="exit-code",
                exit="exit status 203/EXEC: the program cannot be executed",
            ),
            "failed (exit status 203/EXEC)",
        ),
        (
            replace(
                ROW,
                active_state="failed",
                sub_state="failed",
                result="start-limit-hit",
                exit="killed by SIGKILL",
            ),
            "failed (restarted too often, killed by SIGKILL)",
        ),
        (
            replace(ROW, active_state="failed", sub_state="failed", result="oom-kill"),
            "failed (out of memory)",
        ),
        (replace(ROW, active_state="failed", sub_state="failed", result="new"), "failed (new)"),
        (
            replace(
                ROW,
                active_state="activating",
                sub_state="auto-restart",
                result="exit-code",
                exit="exit status 1",
            ),
            "waiting for restart (exit status 1)",
        ),
        (
            replace(ROW, active_state="activating", sub_state="auto-restart", result="success"),
            "waiting for restart (it ended)",
        ),
        (replace(ROW, load_state="masked", active_state="inactive", sub_state="dead"), "masked"),
        (replace(ROW, load_state="not-found", active_state="inactive", sub_state="dead"), "not loaded"),
        (
            replace(ROW, load_state="bad-setting", active_state="inactive", sub_state="dead"),
            "unit file cannot be loaded",
        ),
        (
            replace(ROW, active_state="inactive", sub_state="dead", timer=TIMER),
            "scheduled, next in 1h",
        ),
        (
            replace(
                ROW,
                active_state="inactive",
                sub_state="dead",
                timer=replace(TIMER, active_state="inactive", next_elapse_sec=None),
            ),
            "schedule stopped",
        ),
        (
            replace(
                ROW,
                active_state="failed",
                sub_state="failed",
                result="exit-code",
                exit="exit status 1",
                timer=TIMER,
            ),
            "failed (exit status 1), next in 1h",
        ),
    ],
)
def test_state_in_words(row: UnitStatus, words: str) -> None:
    assert state_words(row, now_sec=1000.0) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "-"),
        (0.4, "0s"),
        (59.9, "59s"),
        (60, "1min"),
        (302, "5min 2s"),
        (3600, "1h"),
        (3605, "1h"),
        (93784, "1d 2h"),
        (86400 * 400 + 59, "400d"),
    ],
)
def test_duration_has_two_units_at_most(seconds: float | None, words: str) -> None:
    assert duration_words(seconds) == words


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (None, "-"),
        (0, "0B"),
        (1023, "1023B"),
        (1024, "1.0K"),
        (54804480, "52.3M"),
        (3 << 30, "3.0G"),
        (5000 << 40, "5000.0T"),
    ],
)
def test_size_has_one_decimal(size: int | None, words: str) -> None:
    assert size_words(size) == words


@pytest.mark.parametrize(("share", "words"), [(None, "-"), (0.0, "0.0%"), (0.1234, "12.3%"), (1.5, "150%")])
def test_share_in_percent(share: float | None, words: str) -> None:
    assert share_words(share) == words


def test_text_of_others_cannot_move_the_cursor() -> None:
    assert printable("ok → \x1b[2J\r\nbye\t!") == "ok → �[2J��bye�!"
