"""What of the units is restarted, and by which commands."""

from __future__ import annotations

import pytest

from pm_native.runtime.watch.restart import PROPERTIES, Restarter, parse_show, verb_for

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def unit(state: str, name: str = "shop-web.service", **more: str) -> str:
    values = {"Id": name, "LoadState": "loaded", "ActiveState": state, "Result": "success", **more}
    return "\n".join(f"{key}={value}" for key, value in values.items())


def times(began: int, left: int, ended: int) -> dict[str, str]:
    return {
        "ExecMainStartTimestampMonotonic": str(began),
        "ActiveExitTimestampMonotonic": str(left),
        "ExecMainExitTimestampMonotonic": str(ended),
    }


@pytest.mark.parametrize(
    ("state", "more", "verb"),
    [
        ("active", {}, "try-restart"),
        ("reloading", {}, "try-restart"),
        ("refreshing", {}, "try-restart"),
        ("activating", {}, "restart"),  # it waits for its restart, or for being ready
        ("inactive", {}, ""),
        ("deactivating", {}, ""),
        ("active", {"LoadState": "masked"}, ""),
        ("inactive", {"LoadState": "not-found"}, ""),
        ("failed", {}, "restart"),
        # It ended by itself, and left its active state for that.
        ("failed", {"Result": "exit-code", **times(100, 900, 800)}, "restart"),
        ("failed", {"Result": "signal", **times(100, 900, 900)}, "restart"),
        # It never was active: an exit in an earlier run says nothing.
        ("failed", {"Result": "exit-code", **times(500, 400, 600)}, "restart"),
        ("failed", {"Result": "exit-code", **times(500, 0, 600)}, "restart"),
        # It was asked to end, and then failed.
        ("failed", {"Result": "exit-code", **times(100, 800, 900)}, ""),
        ("failed", {"Result": "signal", **times(100, 800, 900)}, ""),
        ("failed", {"Result": "core-dump", **times(100, 800, 900)}, ""),
        # systemd ended it since it was ill: nobody else asked for that.
        ("failed", {"Result": "watchdog", **times(100, 800, 900)}, "restart"),
        ("failed", {"Result": "oom-kill", **times(100, 800, 900)}, "restart"),
        ("failed", {"Result": "start-limit-hit", **times(100, 800, 900)}, "restart"),
    ],
)
def test_verb_for(state: str, more: dict[str, str], verb: str) -> None:
    (found,) = parse_show(unit(state, **more) + "\n")
    assert verb_for(found) == verb


def test_nothing_is_found_in_no_output() -> None:
    assert parse_show("") == []


class Systemctl:
    """Answers as it is told, and remembers what it was asked."""

    def __init__(self, shown: str, *failing: str) -> None:
        self.shown = shown
        self.failing = failing
        self.ran: list[str] = []

    def run(self, words: list[str], done: Callable[[bool, str], None]) -> None:
        if words[0] == "show":
            assert words[1] == f"--property={','.join(PROPERTIES)}"
            done(self.shown != "no bus", self.shown)
            return
        line = " ".join(words).replace(" --", "", 1) if "--no-block" not in words else " ".join(words)
        self.ran.append(line)
        done(line not in self.failing, "Job failed." if line in self.failing else "")


def restarted(systemctl: Systemctl, *, one_by_one: bool = False) -> list[tuple[str, tuple[str, ...]]]:
    """Restart; what is told, about which units."""
    told: list[tuple[str, tuple[str, ...]]] = []
    ends: list[bool] = []
    restarter = Restarter(
        systemctl.run, "shop-web.service", lambda *words: told.append(words), one_by_one=one_by_one
    )
    restarter.restart("app.js changed", lambda: ends.append(restarter.is_busy))
    assert ends == [False]
    return told


POOL = "\n\n".join(unit("active", f"api@{number}.service") for number in (3, 1, 2))


def test_failures_of_before_are_forgotten_first() -> None:
    systemctl = Systemctl(unit("active"))
    assert restarted(systemctl) == [
        ("app.js changed: restarting shop-web.service", ("shop-web.service",)),
    ]
    assert systemctl.ran == ["reset-failed shop-web.service", "try-restart --no-block -- shop-web.service"]


def test_instances_restart_together_each_as_it_is() -> None:
    states = {10: "active", 2: "failed", 1: "active", 3: "inactive"}
    systemctl = Systemctl(
        "\n\n".join(unit(state, f"api@{number}.service") for number, state in states.items())
    )
    restarted(systemctl)
    assert systemctl.ran == [
        "reset-failed api@1.service api@2.service api@10.service",
        "try-restart --no-block -- api@1.service api@10.service",
        "restart --no-block -- api@2.service",
    ]


def test_instances_restart_one_by_one_up_to_the_first_that_does_not_come_back() -> None:
    systemctl = Systemctl(POOL, "try-restart api@2.service")
    assert restarted(systemctl, one_by_one=True)[1:] == [
        (
            "systemctl try-restart api@2.service: Job failed; left as they are: api@3.service",
            ("api@2.service",),
        )
    ]
    assert systemctl.ran == [
        *("reset-failed api@1.service", "try-restart api@1.service"),
        *("reset-failed api@2.service", "try-restart api@2.service"),
    ]


def test_what_does_not_run_is_left_so_and_that_is_told() -> None:
    systemctl = Systemctl(unit("inactive"))
    assert restarted(systemctl) == [
        ("app.js changed: nothing is restarted, shop-web.service does not run", ())
    ]
    assert systemctl.ran == []


def test_systemd_that_cannot_be_asked_is_told() -> None:
    systemctl = Systemctl("no bus")
    assert restarted(systemctl) == [("app.js changed: systemd cannot be asked: no bus", ())]
    assert systemctl.ran == []
