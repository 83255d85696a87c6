"""When changes become a restart, and how a program that writes its own files is slowed down."""

from __future__ import annotations

from pm_native.runtime.watch.pace import CHAIN_MAX, LONGEST_WAIT_SEC, Pace, words_of

DELAY = 0.3


class Day:
    """A clock, and what happens on it: each change is answered by a restart when that is due."""

    def __init__(self, delay: float = DELAY) -> None:
        self.pace = Pace(delay)
        self.now = 1000.0

    def save(self, *files: str, after: float = 0.0) -> None:
        self.now += after
        for file in files:
            self.pace.change(file, self.now)

    def restart(self) -> float:
        """Go to the restart; how long the first change waited for it."""
        due = self.pace.due
        assert due is not None
        waited = due - self.now
        self.now = due
        self.pace.take(due)
        return round(waited, 3)

    def waits(self, *files: str, after: float, times: int) -> list[float]:
        """What a program gets that changes its files so long after each start."""
        waited = []
        for _ in range(times):
            self.save(*files, after=after)
            waited.append(self.restart())
        return waited


def test_nothing_is_due_without_a_change() -> None:
    assert Pace(DELAY).due is None


def test_restart_comes_after_a_moment_of_quiet() -> None:
    day = Day()
    day.save("a")
    day.save("b", after=0.2)
    day.save("a", after=0.2)
    assert day.restart() == DELAY
    assert day.pace.due is None


def test_changes_that_never_stop_do_not_hold_it_up_for_ever() -> None:
    day = Day()
    begin = day.now
    while day.pace.due is None or day.pace.due > day.now:
        day.save("a", after=0.1)
    assert 9.9 < day.now - begin < 10.2


def test_long_delay_is_held_up_by_ten_of_it() -> None:
    day = Day(delay=5)
    begin = day.now
    while day.pace.due is None or day.pace.due > day.now:
        day.save("a", after=4)
    assert 50 <= day.now - begin <= 58


def test_person_who_saves_is_never_slowed_down() -> None:
    day = Day()
    for after in (30, 12, 7, 9, 40, 6, 21, 33, 8, 17, 70, 11, 26, 5.5, 90, 13):
        assert day.waits("src/app.js", after=after, times=1) == [DELAY]


def test_person_may_save_twice_in_a_hurry() -> None:
    day = Day()
    assert day.waits("src/app.js", after=2, times=3) == [DELAY] * 3
    assert day.waits("src/app.js", after=20, times=3) == [DELAY] * 3


def test_program_that_writes_when_it_starts_is_slowed_down_more_and_more() -> None:
    day = Day()
    assert day.waits("state.db", after=0.2, times=14) == [
        *(DELAY, DELAY, DELAY),
        *(1, 2, 4, 8, 16, 32, 64, 128, 256, LONGEST_WAIT_SEC, LONGEST_WAIT_SEC),
    ]


def test_program_that_writes_always_as_long_after_its_start_is_slowed_down() -> None:
    day = Day()
    waited = day.waits("state.db", after=60, times=14)
    assert waited[:8] == [DELAY, DELAY, DELAY, DELAY, 1, 2, 4, 8]
    assert waited[-1] == LONGEST_WAIT_SEC


def test_program_that_writes_files_of_new_names_is_slowed_down() -> None:
    day = Day()
    waited = []
    for number in range(20):
        waited += day.waits(f"out/{number}", after=0.2, times=1)
    assert waited[:6] == [DELAY] * 6
    assert waited[-1] > 30


def test_another_file_does_not_wait_and_ends_it() -> None:
    day = Day()
    day.waits("state.db", after=0.2, times=8)
    day.save("state.db", after=0.2)
    assert day.pace.wait_sec == 32
    day.save("src/app.js", after=6)
    assert day.restart() == DELAY
    assert day.waits("state.db", after=0.2, times=3) == [DELAY, DELAY, 1]


def test_files_of_the_program_do_not_end_the_wait() -> None:
    day = Day()
    day.waits("state.db", "state.idx", after=0.2, times=8)
    day.save("state.db", after=0.2)
    day.save("state.idx", after=9)
    assert day.restart() == 32 - 9


def test_saves_at_other_times_halve_the_wait() -> None:
    day = Day()
    day.waits("app.js", after=1, times=6)
    assert day.waits("app.js", after=8, times=1) == [2]
    assert day.waits("app.js", after=15, times=1) == [1]
    assert day.waits("app.js", after=23, times=1) == [DELAY]
    assert day.waits("app.js", after=31, times=1) == [DELAY]


def test_it_is_forgotten_after_a_while() -> None:
    day = Day()
    day.waits("app.js", after=1, times=6)
    assert day.waits("app.js", after=61, times=1) == [DELAY]


def test_names_without_end_are_not_all_remembered() -> None:
    day = Day()
    for number in range(30):
        day.waits(*(f"out/{number}-{item}" for item in range(1000)), after=0.2, times=1)
    assert len(day.pace._chain) <= CHAIN_MAX + 1000
    assert day.pace.wait_sec == LONGEST_WAIT_SEC


def test_gap_is_the_time_since_the_last_restart() -> None:
    day = Day()
    day.save("a")
    day.restart()
    day.save("a", after=2.5)
    assert day.pace.gap_sec == 2.5


def test_words_of_what_changed() -> None:
    base = "/srv/shop"
    assert words_of(["/srv/shop/src/a.js"], base) == "src/a.js"
    assert words_of(["/srv/shop/b", "/etc/x", "/srv/shop/a"], base) == "/etc/x and 2 more"
    assert words_of([""], base) == "more than the kernel could tell"
