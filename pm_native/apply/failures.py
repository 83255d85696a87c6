"""A unit that did not come up, told so that its owner can mend it: what, why, its last words, its config line."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections import Counter
from dataclasses import dataclass, field
from signal import Signals

from pm_native.errors import printable
from pm_native.unit.name import Scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pm_native.bus.manager import Manager, UnitDetails, UnitState
    from pm_native.bus.scheduler import JobOutcome
    from pm_native.compile.bundle import Bundle, BundleUnit

JOURNAL_LINES = 10
DETAILED = (
    20  # failures that are told with exit status and journal: the rest is most likely more of the same
)
_CLD_EXITED = 1
_NO_DETAIL = {"", "success"}
_SIGNALS = {signal.value: signal.name for signal in Signals}

# systemd.exec(5), PROCESS EXIT CODES: what systemd itself exits with before the program runs, and what it means.
_EXIT_NAMES = {
    200: ("CHDIR", "the working directory cannot be entered"),
    201: ("NICE", "the nice level cannot be set"),
    202: ("FDS", "file descriptors cannot be set up"),
    203: ("EXEC", "the program cannot be executed"),
    204: ("MEMORY", "there was no memory"),
    205: ("LIMITS", "a resource limit cannot be set"),
    206: ("OOM_ADJUST", "the OOM score cannot be set"),
    207: ("SIGNAL_MASK", "the signal mask cannot be set"),
    208: ("STDIN", "standard input cannot be opened"),
    209: ("STDOUT", "standard output cannot be opened"),
    210: ("CHROOT", "the root directory cannot be changed"),
    214: ("SETSCHEDULER", "the scheduler cannot be set"),
    216: ("GROUP", "the group cannot be taken"),
    217: ("USER", "the user does not exist or cannot be taken"),
    218: ("CAPABILITIES", "the capabilities cannot be set"),
    219: ("CGROUP", "the cgroup cannot be set up"),
    225: ("NETWORK", "the network namespace cannot be set up"),
    226: ("NAMESPACE", "the mount namespace cannot be set up"),
    227: ("NO_NEW_PRIVILEGES", "new privileges cannot be turned off"),
    228: ("SECCOMP", "the system call filter cannot be set"),
    238: ("STATE_DIRECTORY", "the state directory cannot be made"),
    240: ("LOGS_DIRECTORY", "the logs directory cannot be made"),
    243: ("CREDENTIALS", "the credentials cannot be loaded"),
    127: ("127", "a shell did not find the command"),
    126: ("126", "a shell may not execute the command"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitFailure:
    """One unit that failed. `words` continues a sentence that begins with the unit's name."""

    unit: str
    words: str
    result: str = ""
    exit: str = ""
    process: str = ""
    where: str = ""
    journal: tuple[str, ...] = ()
    log_file: str = ""


@dataclass(slots=True, kw_only=True)
class FailureReport:
    """Collects the failures of a run: the first ones in detail, asked of the manager and of the journal at once."""

    manager: Manager
    bundle: Bundle | None
    scope: Scope
    read_journal: Callable[[UnitDetails], tuple[str, ...]]
    read_unit_file: Callable[[str], str]
    failures: list[UnitFailure] = field(default_factory=list)
    _units: dict[str, BundleUnit] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._units = {unit.name: unit for unit in self.bundle.units} if self.bundle else {}

    async def add(self, unit: str, *, job: JobOutcome | None = None, words: str = "") -> None:
        """Add the failure of a unit: how its job ended, or `words` where its job went well."""
        known = self._units.get(unit)
        details = None
        if len(self.failures) < DETAILED:
            details = (await self.manager.details([unit])).get(unit)
        result = details.result if details is not None else ""
        self.failures.append(
            UnitFailure(
                unit=unit,
                words=job.words(result) if job is not None else words,
                result=result,
                exit=exit_words(details) if details is not None else "",
                process=known.process if known is not None else "",
                where=known.where if known is not None else "",
                journal=self.read_journal(details) if details is not None else (),
                log_file=self._log_file(known) if details is not None and known is not None else "",
            )
        )

    def _log_file(self, unit: BundleUnit) -> str:
        return _log_file(self.read_unit_file(unit.file))


_LATELY_SEC = 120.0
_UNIT_FAILED = "d9b373ed55a64feb8242e02dbe79a49c"  # SD_MESSAGE_UNIT_FAILURE_RESULT of sd-messages.h


def why_down(state: UnitState, within: str) -> str:
    """Why a unit does not stay up, in words; "" where it does. `within` says in what time it was looked at."""
    if state.active_state == "failed":
        return f"it ended {within}"
    if state.is_between_runs:
        return "it ended and waits for its next restart"
    if state.sub_state in {"stop-watchdog", "final-watchdog"}:
        return "it is unhealthy, and being ended"
    return ""


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment by both clocks: that on the wall may be set while a run goes on."""

    wall: float = field(default_factory=time.time)
    monotonic: float = field(default_factory=time.monotonic)

    @property
    def epoch(self) -> float:
        """When that was, by the wall's clock as it was then or as it is now, whichever is earlier."""
        return min(self.wall, time.time() - (time.monotonic() - self.monotonic))


def journal_of(scope: Scope, since: Moment) -> Callable[[UnitDetails], tuple[str, ...]]:
    """What reads the journal of the manager of `scope`: of each unit, what was said since then."""
    return lambda details: journal_lines(details, scope=scope, since=since.epoch)


def exit_words(details: UnitDetails) -> str:
    """How the main process of a service ended, its status by name; "" where none has ended."""
    status = details.exec_main_status
    if details.exec_main_code == 0 or (details.result in _NO_DETAIL and status == 0):
        return ""
    if details.exec_main_code != _CLD_EXITED:
        return f"killed by {_SIGNALS.get(status, f'signal {status}')}"
    if status in _EXIT_NAMES:
        name, meaning = _EXIT_NAMES[status]
        shown = f"{status}/{name}" if name != str(status) else name
        return f"exit status {shown}: {meaning}"
    return f"exit status {status}"


def journal_lines(
    details: UnitDetails, scope: Scope, since: float, count: int = JOURNAL_LINES
) -> tuple[str, ...]:
    """The last lines of a unit since a time (of the epoch), its own and systemd's; none where there is no journal.

    By the unit and not by the id of its run: a unit that was restarted since has another, and journald knows none
    for the lines of a program that was gone before it could look.
    """
    is_user = scope is Scope.USER
    if not is_user and os.geteuid() == 0:
        # The last words of a program that has just ended may still be on their way.
        _journalctl("--sync")
    own, about = ("_SYSTEMD_USER_UNIT", "USER_UNIT") if is_user else ("_SYSTEMD_UNIT", "UNIT")
    match = [f"{own}={details.name}", "+", f"{about}={details.name}"]
    if not is_user:  # what root says of the unit from outside, as the monitor of a project does
        match += ["+", "_UID=0", f"OBJECT_SYSTEMD_UNIT={details.name}"]
    manager = ["--user"] if is_user else []
    # Backwards: with --since, journalctl takes the first lines of a number, not the last.
    options = [
        "--quiet",
        "--no-pager",
        "--output=cat",
        "--reverse",
        f"--lines={count}",
        f"--since=@{since:.3f}",
    ]
    return _journalctl(*manager, *options, *match)[::-1]


def failed_lately(units: Sequence[str], scope: Scope, *, times: int = 1) -> list[str]:
    """Those of the units of which systemd has said so often within the last two minutes that they failed."""
    field, options = ("USER_UNIT", ["--user"]) if scope is Scope.USER else ("UNIT", [])
    if scope is Scope.SYSTEM and os.geteuid() == 0:
        _journalctl("--sync")
    options += ["--quiet", "--no-pager", "--output=json", f"--output-fields={field}"]
    match = [f"MESSAGE_ID={_UNIT_FAILED}", *(f"{field}={name}" for name in units)]
    lines = _journalctl(*options, f"--since=@{time.time() - _LATELY_SEC:.3f}", *match)
    said = Counter(json.loads(line).get(field) for line in lines if line.startswith("{"))
    return [name for name in units if said[name] >= times]


def _journalctl(*words: str) -> tuple[str, ...]:
    try:
        run = subprocess.run(["journalctl", *words], capture_output=True, check=False, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ()  # the failure is told without them; `journalctl -u` is in the report
    return tuple(run.stdout.decode(errors="replace").splitlines())


def _log_file(text: str) -> str:
    for key in ("StandardError=append:", "StandardOutput=append:"):
        for line in text.splitlines():
            if line.startswith(key):
                return line.removeprefix(key)
    return ""


def failure_lines(failure: UnitFailure, scope: Scope) -> list[str]:
    """The failure for people, the most telling line first."""
    lines = [f"{failure.unit}: {failure.words}"]
    if failure.exit:
        lines.append(f"  {failure.exit}")
    if failure.where:
        lines.append(f"  made by {failure.where} (process {failure.process})")
    lines += [
        f"  | {printable(line, has_layout=True)}" for line in failure.journal
    ]  # a program may print anything
    if failure.log_file:
        lines.append(f"  its output is in {failure.log_file}")
    option = "--user " if scope is Scope.USER else ""
    lines.append(f"  more: journalctl {option}-u {failure.unit}")
    return lines
