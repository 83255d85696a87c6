"""What a monitor knows of one program: its phases, what systemd is told of it, and what is done about it.

A check of `startup` comes first, then that of `ready`; when both have passed systemd hears READY=1, and that of
`alive` begins. Where the program speaks to systemd itself, its own READY=1 counts, and `alive` begins at once.
"""

from __future__ import annotations

import _signal

from pm_native.runtime import tell
from pm_native.runtime.checker import Checker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pm_native.runtime.arguments import Arguments, Check
    from pm_native.runtime.attempt import Follower, Place
    from pm_native.runtime.loop import Loop, Timer
    from pm_native.runtime.spawn import Command

RETRY_DELAY = 0.1
# How much longer than the next attempt systemd is asked to wait.
EXTEND_MARGIN = 5.0
ASK_TIMEOUT = 5.0
# Where ends what systemd may be told of a probe.
WORDS_MAX = 1000


class Target:
    """One program under a monitor.

    `program` is its pidfd, `unit` its unit, `invocation` the run of it, `place` where its checks are made from,
    `log_ends` where its log files ended when it was started, `watchdog` the seconds after which systemd misses a ping.
    """

    def __init__(  # noqa: PLR0913 - what a monitor beside the program and one apart from it know differently
        self,
        arguments: Arguments,
        *,
        unit: str,
        pid: int,
        program: int,
        invocation: str,
        place: Place,
        notifier: tell.Notifier,
        loop: Loop,
        log_ends: dict[str, tuple[int, int]],
        watchdog: float = 0.0,
    ) -> None:
        self.arguments = arguments
        self.pid = pid
        self.program = program
        self.invocation = invocation
        self.place = place
        self.port = own_port(arguments, unit)
        self.followers: dict[int, Follower] = {}
        self.log_ends = log_ends
        self._watchdog = watchdog
        self._notifier = notifier
        self._loop = loop
        self._unit = unit
        self._checkers: dict[str, Checker] = {}
        speaks = arguments.keeps_notify or arguments.is_listening_ready
        self._is_ready = self._has_told_ready = speaks
        self._waits_for_word = arguments.is_message_ready
        self._status = self._told_status = ""
        self._retry: Timer | None = None
        self._ping: Timer | None = None
        self._asking: Command | None = None
        self._give_up: Timer | None = None
        self._acted: set[str] = set()
        self._age = 0.0

    def start(self, *, is_active: bool = False, age: float = 0.0) -> None:
        """Begin with the first phase, `age` seconds after the program; where the unit is active, with what follows that."""
        self._age = age
        if is_active:
            self._is_ready = self._has_told_ready = True
            self._keep_alive()
        elif self._waits_for_word:
            self._tell("waiting for its message that it is ready")
            if self.arguments.ready_after:
                self._loop.later(self.arguments.ready_after, self._had_its_time)
        self._go_on()

    def said_ready(self) -> None:
        """The program has said over its channel that it is ready."""
        if self._waits_for_word:
            self._waits_for_word = False
            self._go_on()

    def _had_its_time(self) -> None:
        if self._waits_for_word:
            reason = f"no message that it is ready within {self.arguments.ready_after:g} s: taken as ready"
            tell.log(reason, tell.WARNING, self._unit)
            self.said_ready()

    def stop(self) -> None:
        """End all that is under way."""
        for checker in self._checkers.values():
            checker.stop()
        for follower in self.followers.values():
            follower.close()
        for timer in (self._retry, self._ping, self._give_up):
            if timer is not None:
                timer.cancel()
        if self._asking is not None:
            self._asking.cancel()

    def _go_on(self) -> None:
        """Begin what comes next."""
        phases = self.arguments.phases
        startup = phases.get("startup")
        if not self._is_ready and startup is not None and not self._has_passed("startup"):
            self._begin(startup, self._startup_told)
            return
        if self._waits_for_word and not self._is_ready:
            return
        if "ready" in phases and "ready" not in self._checkers:
            self._begin(phases["ready"], self._ready_told)
        elif "ready" not in phases and not self._is_ready:
            self._become_ready()
        if self._is_ready and "alive" in phases and "alive" not in self._checkers:
            self._begin(phases["alive"], self._alive_told)

    def _has_passed(self, phase: str) -> bool:
        checker = self._checkers.get(phase)
        return checker is not None and checker.is_healthy is True

    def _begin(self, check: Check, told: Callable[[Checker], None]) -> None:
        if check.phase not in self._checkers:
            self._checkers[check.phase] = checker = Checker(check, self, self._loop, told)
            checker.start(0.0 if self._is_ready else self._age)

    def _startup_told(self, checker: Checker) -> None:
        if checker.is_healthy:
            checker.stop()
            self._go_on()
            return
        self._tell(self._waiting("startup", checker))
        self._ask_for_time(checker)
        if checker.is_healthy is False:
            self._act(checker, "activating", f"did not start: {checker.words}")

    def _ready_told(self, checker: Checker) -> None:
        if not self._is_ready:
            if checker.is_healthy:
                self._become_ready()
                self._go_on()
                return
            self._tell(self._waiting("ready", checker))
            self._ask_for_time(checker)
        else:
            self._tell(self._summary())
            if checker.is_healthy is False and checker.check.action != "status":
                self._act(checker, "active", f"not ready: {checker.words}")
            elif checker.is_healthy:
                self._acted.discard("ready")

    def _alive_told(self, checker: Checker) -> None:
        if checker.is_healthy:
            self._acted.discard("alive")
        self._tell(self._summary())
        if checker.is_healthy is False:
            times = f", {checker.failures} times" if checker.failures > 1 else ""
            self._act(checker, "active", f"unhealthy: {checker.words}{times}")

    def _become_ready(self) -> None:
        self._is_ready = True
        self._status = self._summary() or "started"
        self._flush()
        self._keep_alive()

    def _keep_alive(self) -> None:
        """Tell systemd that this monitor is there (`strict`), three times in the time that it waits."""
        if not (self.arguments.strict and self._watchdog):
            return
        if self._has_told_ready:  # a ping before READY=1 would start the clock at once
            self._notifier.send("WATCHDOG=1")
        self._ping = self._loop.later(self._watchdog / 3, self._keep_alive)

    def _waiting(self, phase: str, checker: Checker) -> str:
        return f"waiting for {phase}: {checker.words} (attempt {checker.failures})"

    def _summary(self) -> str:
        """How it is, of all checks that go on after READY=1."""
        parts = []
        for phase, good, bad in (("ready", "ready", "not ready"), ("alive", "alive", "unhealthy")):
            checker = self._checkers.get(phase)
            if checker is None or not checker.words:
                continue
            if checker.is_healthy is False:
                parts.append(f"{bad}: {checker.words}")
            elif checker.failures:
                of = f" ({checker.failures} of {checker.check.retries})" if checker.is_healthy else ""
                parts.append(f"{good} so far, {checker.words}{of}" if checker.is_healthy else checker.words)
            else:
                parts.append(f"{good} ({checker.words})")
        return "; ".join(parts)

    def _ask_for_time(self, checker: Checker) -> None:
        """While there is time left in which it may start, keep systemd from giving up before this monitor does."""
        check = checker.check
        if checker.is_starting and checker.age + check.interval < self.arguments.start_timeout:
            wait = check.start_interval + check.timeout + EXTEND_MARGIN
            self._notifier.send(f"EXTEND_TIMEOUT_USEC={int(wait * 1_000_000)}")

    def _tell(self, status: str) -> None:
        """Show the status, where it says something new: how long an answer took is not news."""
        if without_amounts(status) != without_amounts(self._status):
            self._status = status
            self._flush()

    def _flush(self) -> None:
        """Bring systemd up to what it should know; again later where it could not take it."""
        parts = []
        if self._is_ready and not self._has_told_ready:
            parts.append("READY=1")
        if self._status != self._told_status:
            parts.append(f"STATUS={tell.one_line(self._status)[:WORDS_MAX]}")
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        if not parts:
            return
        if self._notifier.send(*parts):
            self._has_told_ready = self._is_ready
            self._told_status = self._status
        else:
            self._retry = self._loop.later(RETRY_DELAY, self._flush)

    def _act(self, checker: Checker, state: str, reason: str) -> None:
        """Do what is to be done, once, if the unit is in this state: never to one that is on its way out."""
        phase = checker.check.phase
        if phase in self._acted or self._asking is not None:
            return
        from pm_native.runtime.spawn import Command  # noqa: PLC0415 - for when something is wrong

        words = ["systemctl", *(["--user"] if self.arguments.user else []), "show", "--property=ActiveState"]
        words += ["--value", self._unit]
        give_up = self._give_up = self._loop.later(ASK_TIMEOUT, lambda: answered(False, "no answer"))

        def answered(passed: bool, said: str) -> None:  # noqa: FBT001 - as `Done` has it
            give_up.cancel()
            if self._asking is not None and not passed:
                self._asking.cancel()
            self._asking = None
            if checker.is_healthy or (passed and said != state):
                return  # asked again with the next failure
            doubt = "" if passed else f" (its state cannot be asked: {tell.one_line(said)})"
            self._acted.add(phase)
            self._do(checker.check, reason, doubt)

        asking = Command(words, self.place.ask, self._loop, answered, whole=True)
        if asking.is_running:
            self._asking = asking

    def _do(self, check: Check, reason: str, doubt: str) -> None:
        action = check.action
        done = (
            f"signal {check.signal}" if action == "signal" else check.run[0] if action == "exec" else action
        )
        tell.log(f"{reason}: {done}{doubt}", tell.WARNING, self._unit)
        if action in {"restart", "stop"}:
            self._status = reason
            status = f"STATUS={tell.one_line(reason)[:WORDS_MAX]}"
            if self._notifier.send(status, "WATCHDOG=trigger"):
                self.stop()  # its end has begun: nothing is to take the place of the reason
            else:
                self._acted.discard(check.phase)  # with the next failure
        elif action == "signal":
            self._signal(check.signal)
        elif action == "exec":
            self._run(check, reason)

    def _signal(self, number: int) -> None:
        try:
            _signal.pidfd_send_signal(self.program, number)
        except OSError as error:
            tell.log(f"signal {number} cannot be sent: {error.strerror}", tell.ERROR, self._unit)

    def _run(self, check: Check, reason: str) -> None:
        from pm_native.runtime.spawn import Command  # noqa: PLC0415 - for when something is wrong

        more = {
            b"PM_NATIVE_HEALTH": tell.one_line(reason).encode(errors="replace"),
            b"MAINPID": str(self.pid).encode(),
        }

        def start(words: list[str], output: int) -> int:
            return self.place.run(words, output, more)

        def ended(passed: bool, said: str) -> None:  # noqa: FBT001 - as `Done` has it
            tell.log(said, tell.NOTICE if passed else tell.ERROR, self._unit)

        Command(check.run, start, self._loop, ended)


def own_port(arguments: Arguments, unit: str) -> int:
    """The port of the program in `unit`; 0 where it has none. ValueError for an instance that is no number."""
    from pm_native.runtime.arguments import port_number  # noqa: PLC0415 - beside what calls it

    instance = unit.partition("@")[2].rpartition(".")[0]
    return port_number(arguments.port.replace("%i", instance)) if arguments.port else 0


def without_amounts(status: str) -> list[str]:
    """The words of a status without times and sizes: these differ from one answer to the next."""
    words = status.split()
    following = [*words[1:], ""][: len(words)]
    units = ("ms", "MiB", "KiB")
    return [word for word, unit in zip(words, following, strict=True) if not unit.startswith(units)]
