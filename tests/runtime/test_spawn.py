"""Commands of checks: what is kept of their output, and that one attempt is over before the next begins."""

from __future__ import annotations

from pm_native.runtime.loop import Loop
from pm_native.runtime.place import Beside
from pm_native.runtime.spawn import OUTPUT_MAX, Command, CommandProber

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

PLACE = Beside({b"PATH": b"/usr/bin:/bin"})
LOUD = "i=0; while [ $i -lt 3000 ]; do echo 'a line of a probe that says much'; i=$((i+1)); done; echo the last; exit 3"


def test_of_what_a_command_says_the_last_line_is_kept_and_not_all_of_it() -> None:
    loop = Loop()
    told: list[tuple[bool, str]] = []
    kept = 0

    def done(passed: bool, words: str) -> None:  # noqa: FBT001 - as `Done` has it
        nonlocal kept
        told.append((passed, words))
        kept = len(command._output)
        loop.stop()

    command = Command(["/bin/sh", "-c", LOUD], PLACE.run, loop, done)
    loop.run()
    assert told == [(False, "sh exited with 3: the last")]
    assert kept == OUTPUT_MAX


def test_a_command_that_was_given_up_says_nothing_to_the_next_attempt(tmp_path: Path) -> None:
    loop = Loop()
    told: list[tuple[bool, str]] = []
    mark = tmp_path / "mark"

    def done(passed: bool, words: str) -> None:  # noqa: FBT001 - as `Done` has it
        told.append((passed, words))
        loop.stop()

    words = ["/bin/sh", "-c", f"test -e {mark} && echo mine || sleep 1000"]
    prober = CommandProber(words, PLACE.run, loop, done)
    prober.begin()
    prober.cancel()
    mark.touch()
    prober.begin()
    loop.run()
    assert told == [(True, "sh: mine")]
