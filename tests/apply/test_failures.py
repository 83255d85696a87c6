"""Units that do not come up, told so that their owner can mend them."""

from __future__ import annotations

import os
import re
from dataclasses import replace

import pytest

from pm_native.apply.failures import DETAILED, UnitFailure, exit_words, failure_lines, journal_lines
from pm_native.apply.outcome import RunOptions
from pm_native.bus.fake import Behaviour
from pm_native.bus.manager import JobRefusedError, UnitDetails
from pm_native.compile.bundle import BundleUnit
from pm_native.unit.name import Scope
from tests.apply.hosts import Told, compiled
from tests.plan.hosts import service_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pm_native.bus.scheduler import JobEvent
    from tests.apply.hosts import Host

WEB = BundleUnit("shop-web.service", "shop-web.service", "web", "shop.toml:7")
SHOP = compiled(WEB)
# As journalctl --reverse: the last line first.
JOURNAL = 'echo "$@" >>"$0.calls"; echo "Main process exited"; echo "web: cannot listen"'


def lines(failure: UnitFailure, scope: Scope = Scope.SYSTEM) -> list[str]:
    return failure_lines(failure, scope)


def test_unit_whose_start_fails_is_told_with_result_exit_status_journal_and_config_line(host: Host) -> None:
    host.program("journalctl", JOURNAL)
    host.manager.behaviours = {"shop-web.service": Behaviour.CRASHES}
    outcome = host.apply(SHOP)
    (failure,) = outcome.failures
    assert failure == UnitFailure(
        unit="shop-web.service",
        words="it ended within 0.001 s of its start",
        result="exit-code",
        exit="",
        process="web",
        where="shop.toml:7",
        journal=("web: cannot listen", "Main process exited"),
    )
    asked = (host.programs / "journalctl.calls").read_text().splitlines()[-1]
    assert re.sub(r"@\d+\.\d{3} ", "@NOW ", asked) == (
        "--quiet --no-pager --output=cat --reverse --lines=10 --since=@NOW"
        " _SYSTEMD_UNIT=shop-web.service + UNIT=shop-web.service + _UID=0 OBJECT_SYSTEMD_UNIT=shop-web.service"
    )
    assert host.installed.complete  # its files are in place; that it failed, systemd knows


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        (Behaviour.FAILS, "its job failed because the control process exited with error code"),
        (Behaviour.TIMES_OUT, "its job failed because a timeout was exceeded"),
        (Behaviour.ASSERTS, "an assertion of its unit file failed"),
    ],
)
def test_job_that_fails_is_told_in_the_words_of_systemctl(
    host: Host, behaviour: Behaviour, words: str
) -> None:
    host.manager.behaviours = {"shop-web.service": behaviour}
    assert [(item.unit, item.words) for item in host.apply(SHOP).failures] == [("shop-web.service", words)]


def test_job_that_systemd_refuses_is_told_and_owed(host: Host) -> None:
    host.manager.refuse["start shop-web.service"] = JobRefusedError("Transaction order is cyclic")
    assert [item.words for item in host.apply(SHOP).failures] == ["Transaction order is cyclic"]
    assert host.installed.to_start == ("shop-web.service",)


def test_condition_that_is_not_met_is_no_failure(host: Host) -> None:
    host.manager.behaviours = {"shop-web.service": Behaviour.SKIPS}
    assert host.apply(SHOP).failures == []


class Restarting(Told):
    """Has systemd restart a unit while it is watched."""

    def __init__(self, host: Host, times: int) -> None:
        super().__init__()
        self._unit, self._times = host.manager.units, times

    def settling(self, seconds: float) -> None:
        super().settling(seconds)
        self._unit["shop-web.service"].n_restarts = self._times


@pytest.mark.parametrize(("times", "words"), [(1, "once"), (4, "4 times")])
def test_unit_that_was_restarted_while_it_was_watched_has_failed(host: Host, times: int, words: str) -> None:
    outcome = host.run(host.plan(SHOP), told=Restarting(host, times))
    assert [item.words for item in outcome.failures] == [
        f"it was restarted {words} within 0.001 s of its start"
    ]


def test_nothing_is_watched_where_nobody_wants_it(host: Host) -> None:
    host.manager.behaviours = {"shop-web.service": Behaviour.CRASHES}
    assert host.apply(SHOP, options=RunOptions(settle_sec=0)).failures == []


def test_the_first_failures_are_told_in_detail_and_the_others_by_name(host: Host) -> None:
    host.program("journalctl", JOURNAL)
    names = [f"shop-api@{number}.service" for number in range(1, 51)]
    bundle = compiled(*(BundleUnit(name, "shop-api@.service", "api", "shop.toml:9") for name in names))
    host.manager.behaviours = dict.fromkeys(names, Behaviour.CRASHES)
    outcome = host.apply(bundle)
    assert [item.unit for item in outcome.failures] == names
    assert [name for name in host.manager.asked if "@" in name] == names[:DETAILED]
    assert [bool(item.journal) for item in outcome.failures] == [True] * DETAILED + [False] * 30
    assert outcome.failures[-1].where == "shop.toml:9"


def test_output_that_goes_to_a_file_is_found_there(host: Host) -> None:
    text = service_text(service="StandardOutput=append:/var/log/shop/out.log\n")
    host.manager.behaviours = {"shop-web.service": Behaviour.FAILS}
    (failure,) = host.apply(compiled(WEB, texts={"shop-web.service": text})).failures
    assert failure.log_file == "/var/log/shop/out.log"


FAILURE = UnitFailure(
    unit="shop-web.service",
    words="it ended within 1 s of its start",
    result="exit-code",
    exit="exit status 203/EXEC: the program cannot be executed",
    process="web",
    where="shop.toml:7",
    journal=("one", "two"),
    log_file="/var/log/web.log",
)


def test_report_for_people_is_whole() -> None:
    assert lines(FAILURE) == [
        "shop-web.service: it ended within 1 s of its start",
        "  exit status 203/EXEC: the program cannot be executed",
        "  made by shop.toml:7 (process web)",
        "  | one",
        "  | two",
        "  its output is in /var/log/web.log",
        "  more: journalctl -u shop-web.service",
    ]
    assert lines(UnitFailure(unit="x.service", words="it is frozen"), Scope.USER) == [
        "x.service: it is frozen",
        "  more: journalctl --user -u x.service",
    ]


DETAILS = UnitDetails(
    name="x.service", load_state="loaded", active_state="failed", sub_state="failed", result="exit-code"
)


@pytest.mark.parametrize(
    ("code", "status", "result", "words"),
    [
        (0, 0, "exit-code", ""),
        (1, 1, "exit-code", "exit status 1"),
        (1, 3, "success", "exit status 3"),
        (1, 0, "success", ""),
        (1, 0, "protocol", "exit status 0"),
        (1, 203, "exit-code", "exit status 203/EXEC: the program cannot be executed"),
        (1, 217, "exit-code", "exit status 217/USER: the user does not exist or cannot be taken"),
        (1, 127, "exit-code", "exit status 127: a shell did not find the command"),
        (2, 9, "signal", "killed by SIGKILL"),
        (3, 11, "core-dump", "killed by SIGSEGV"),
        (2, 60, "signal", "killed by signal 60"),
    ],
)
def test_end_of_a_process_in_words(code: int, status: int, result: str, words: str) -> None:
    details = replace(DETAILS, exec_main_code=code, exec_main_status=status, result=result)
    assert exit_words(details) == words


RUN = replace(DETAILS, name="shop-web.service", invocation_id="ab" * 16)


def test_journal_of_a_user_is_asked_for_by_its_own_names(host: Host) -> None:
    host.program("journalctl", JOURNAL)
    assert journal_lines(RUN, Scope.USER, 1700000000.25, 3) == ("web: cannot listen", "Main process exited")
    assert (host.programs / "journalctl.calls").read_text() == (
        "--user --quiet --no-pager --output=cat --reverse --lines=3 --since=@1700000000.250"
        " _SYSTEMD_USER_UNIT=shop-web.service + USER_UNIT=shop-web.service\n"
    )


def test_journal_is_brought_up_to_date_by_root_before_it_is_read(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.program("journalctl", JOURNAL)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    journal_lines(RUN, Scope.SYSTEM, 1700000000)
    assert (host.programs / "journalctl.calls").read_text() == (
        "--sync\n"
        "--quiet --no-pager --output=cat --reverse --lines=10 --since=@1700000000.000"
        " _SYSTEMD_UNIT=shop-web.service + UNIT=shop-web.service + _UID=0 OBJECT_SYSTEMD_UNIT=shop-web.service\n"
    )


def test_host_without_a_journal_has_no_lines(host: Host) -> None:
    assert host.programs.is_dir()
    assert journal_lines(RUN, Scope.SYSTEM, 0) == ()


def test_every_job_is_told_as_it_ends(host: Host) -> None:
    seen: list[JobEvent] = []

    class Watching(Told):
        def job(self, event: JobEvent) -> None:
            seen.append(event)

    host.run(host.plan(SHOP), told=Watching())
    assert [(event.spec.unit, event.outcome is not None) for event in seen if event.outcome is not None] == [
        ("shop.target", True),
        ("shop-web.service", True),
    ]
