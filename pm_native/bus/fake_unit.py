"""The units of the fake manager: what they are, and what they do when a job comes."""

from __future__ import annotations

import asyncio
import time
import uuid
from dataclasses import dataclass
from enum import StrEnum

from pm_native.bus.manager import JobResult, JobType


class Behaviour(StrEnum):
    """What a unit does when it is started."""

    RUNS = "runs"  # becomes active and stays so
    FAILS = "fails"  # its start job fails: exit status 1
    TIMES_OUT = "times-out"  # its start job fails: TimeoutStartSec= is over
    CRASHES = "crashes"  # its start job is done, and then it fails
    ENDS = "ends"  # its start job is done, and then it ends well
    HANGS = "hangs"  # its start job does not end
    SKIPS = "skips"  # a Condition...= is false: the job is done, and nothing runs
    ASSERTS = "asserts"  # an Assert...= is false


@dataclass(slots=True, kw_only=True)
class FakeUnit:
    """A unit of the fake: what it is, what it does, and how it is."""

    name: str
    behaviour: Behaviour = Behaviour.RUNS
    can_reload: bool = False
    masked: bool = False
    requires: tuple[str, ...] = ()
    wants: tuple[str, ...] = ()  # as a target does: these are PartOf= it, and it is After= them
    stop_hangs: bool = False
    unit_file_state: str = "static"  # without [Install]; "disabled" for a unit that can be enabled
    fragment_path: str = ""
    drop_in_paths: tuple[str, ...] = ()
    need_daemon_reload: bool = False
    active_state: str = "inactive"
    sub_state: str = "dead"
    result: str = "success"
    main_pid: int = 0
    n_restarts: int = 0
    exec_main_status: int = 0
    invocation_id: str = ""
    status_text: str = ""
    state_change_usec: int = 0
    starts: int = 0

    @property
    def load_state(self) -> str:
        """As systemd names it."""
        return "masked" if self.masked else "loaded"

    @property
    def file_state(self) -> str:
        """As `systemctl is-enabled` tells it."""
        return "masked" if self.masked else self.unit_file_state


def start(unit: FakeUnit) -> JobResult | None:
    """Do what a start job does; its result, or None where it does not end."""
    unit.starts += 1
    match unit.behaviour:
        case Behaviour.RUNS:
            become(unit, JobType.START)
            return JobResult.DONE
        case Behaviour.FAILS:
            fail(unit, "exit-code", status=1)
            return JobResult.FAILED
        case Behaviour.TIMES_OUT:
            fail(unit, "timeout")
            return JobResult.FAILED
        case Behaviour.CRASHES:
            become(unit, JobType.START)
            asyncio.get_running_loop().call_soon(fail, unit, "exit-code", 3)
            return JobResult.DONE
        case Behaviour.ENDS:
            become(unit, JobType.START)
            asyncio.get_running_loop().call_soon(become, unit, JobType.STOP)
            return JobResult.DONE
        case Behaviour.HANGS:
            unit.active_state, unit.sub_state = "activating", "start"
            return None
        case Behaviour.SKIPS:
            unit.active_state, unit.sub_state = "inactive", "dead"
            return JobResult.DONE
        case Behaviour.ASSERTS:
            return JobResult.ASSERT


def become(unit: FakeUnit, job: JobType) -> None:
    """Put the unit into the state in which a finished job leaves it."""
    if job is JobType.STOP:
        unit.active_state, unit.sub_state, unit.main_pid, unit.invocation_id = "inactive", "dead", 0, ""
        unit.state_change_usec = now_usec()
    elif job is not JobType.START or unit.active_state != "active":
        unit.state_change_usec = now_usec()
        unit.active_state, unit.sub_state, unit.result = "active", "running", "success"
        unit.invocation_id = uuid.uuid4().hex
        unit.main_pid = int(unit.invocation_id[:4], 16) + 300
        unit.n_restarts = unit.exec_main_status = 0


def fail(unit: FakeUnit, result: str, status: int = 0) -> None:
    """Put the unit into the failed state."""
    unit.active_state, unit.sub_state, unit.result = "failed", "failed", result
    unit.main_pid, unit.exec_main_status = 0, status
    unit.state_change_usec = now_usec()


def now_usec() -> int:
    """The clock of `state_change_usec`."""
    return time.monotonic_ns() // 1000
