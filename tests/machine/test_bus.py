"""The bus client against real managers: the contract it shares with the fake, and what only a real one can do."""

from __future__ import annotations

import json

from tests.bus import contract
from tests.machine.harness import CHECKOUT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tests.machine.harness import Machine


def told(machine: Machine, *words: str, timeout: float = 120) -> dict[str, object]:
    """What a module of tests.bus tells after it ran inside."""
    done = machine.run([machine.python, "-W", "error", "-m", *words], cwd=CHECKOUT, timeout=timeout)
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


def test_the_system_manager_keeps_the_contract(machine: Machine) -> None:
    assert told(machine, "tests.bus.contract") == dict.fromkeys(contract.CASES, "")


def test_a_user_manager_keeps_the_contract_without_any_help_from_the_environment(machine: Machine) -> None:
    user = machine.user_session("bususer")
    assert told(machine, "tests.bus.contract", user) == dict.fromkeys(contract.CASES, "")


def test_units_start_in_order_through_a_window_smaller_than_their_chain(machine: Machine) -> None:
    assert told(machine, "tests.bus.inside", "order") == {"results": {"done": 20}, "overlaps": []}


def test_no_more_jobs_are_queued_than_the_window_holds(host_machine: Machine) -> None:
    """With more than 512 systemd would drop off the bus."""
    assert told(host_machine, "tests.bus.inside", "held") == {"queued": 32, "results": {"done": 601}}


def test_a_job_that_waits_for_jobs_behind_the_window_does_not_lock_it(machine: Machine) -> None:
    assert told(machine, "tests.bus.inside", "pulled_in") == {"results": {"done": 61}}


def test_who_is_not_root_may_look_and_is_refused_once(machine: Machine) -> None:
    assert told(machine, "tests.bus.inside", "access") == {
        "may read": True,
        "stages": ["refused", "unsent"],
        "errors": ["AccessError", "AccessError"],
        "reload": ["AccessError", "run it as root: sudo pm-native apply"],
    }


def test_a_systemd_that_is_executed_again_is_a_lost_bus_and_the_job_goes_on(fresh_machine: Machine) -> None:
    assert told(fresh_machine, "tests.bus.inside", "reexec") == {
        "told": "systemd left the bus (it was executed again, or dropped off)",
        "same job": True,
        "stopped": "done",
    }


def test_a_bus_that_is_killed_loses_no_outcome_and_the_rest_can_be_done(fresh_machine: Machine) -> None:
    assert told(fresh_machine, "tests.bus.inside", "kill_dbus") == {
        "stages": ["ended", "left", "unsent"],
        "errors": ["BusLostError"],
        "in time": True,
        "closed": True,
        "again": ["done"],
        "active": {"active": 300},
    }


def test_a_thousand_units_start_and_stop_through_one_connection(host_machine: Machine) -> None:
    """All of them, as `tests.bus.many` checks: 128 replies in waiting and 512 match rules are what a bus has room for."""
    seconds = told(host_machine, "tests.bus.many", "1000", "1", "32", timeout=300)
    assert seconds.keys() == {"start 32", "stop 32", "start systemctl", "stop systemctl"}
