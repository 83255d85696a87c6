"""The monitor of all programs of a project: one process of root's, apart from them.

It learns of a start by a word of `pm-native-run` (announce.py), and asks systemd which process it is. It holds nothing
that is lost with it: when it ends the programs go on, and the next one finds them, and in which phase they are, by the
same question. It speaks to systemd in the name of each program's main process, so that NotifyAccess=main is enough.
"""

from __future__ import annotations

import _socket
import os
import sys
from _struct import unpack
from time import monotonic

from pm_native.runtime import tell
from pm_native.runtime.announce import MESSAGE_MAX, read_announcement
from pm_native.runtime.arguments import ArgumentsError, parse_units
from pm_native.runtime.instance import told_error
from pm_native.runtime.loop import READ, Loop
from pm_native.runtime.memory import cgroup_paths
from pm_native.runtime.outside import Here, Outside, owner_of
from pm_native.runtime.spawn import Command, spawn
from pm_native.runtime.target import Target

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pm_native.runtime.announce import LogEnds
    from pm_native.runtime.arguments import Arguments

EXIT_ARGUMENTS = 2
LISTENER = 3
# systemd's own, of the system manager: another one does not let root speak for its processes.
NOTIFY_SOCKET = b"/run/systemd/notify"
# Starts come in crowds: one question is for all that come until it is asked, and while the one before is answered.
LOOK_DELAY = 0.005
LOOK_AGAIN = 1.0
# For what no word came of.
LOOK_EVERY = 30.0
# Of so many words at once some may have been lost.
CROWD = 128
ASK_TIMEOUT = 20.0
BEGUN_DELAY = 0.01
PROPERTIES = (
    "Id",
    "MainPID",
    "ActiveState",
    "SubState",
    "InvocationID",
    "ControlGroup",
    "ExecMainStartTimestampMonotonic",
    "User",
    "DynamicUser",
    "UID",
    "GID",
    "SupplementaryGroups",
    "WorkingDirectory",
)


class Program:
    """A program that is monitored: the main process of a run of a unit, and its pidfd."""

    __slots__ = ("invocation", "notifier", "pid", "place", "process", "target", "unit")

    def __init__(self, unit: str, pid: int, invocation: str) -> None:
        self.unit = unit
        self.pid = pid
        self.invocation = invocation
        self.process = os.pidfd_open(pid)
        self.place: Outside | None = None
        self.notifier: tell.Notifier | None = None
        self.target: Target | None = None

    def close(self) -> None:
        """Let go of it."""
        if self.target is not None:
            self.target.stop()
        for held in (self.notifier, self.place):
            if held is not None:
                held.close()
        os.close(self.process)


class Host:
    """Finds the programs of `units`, and monitors each until it ends. `folder` keeps what a restart must not lose."""

    def __init__(self, units: list[Arguments], loop: Loop, listener: _socket.socket, folder: str) -> None:
        self._units = {unit.unit: unit for unit in units}
        self._loop = loop
        self._listener = listener
        self._folder = folder
        self._here = Here()
        self._programs: dict[str, Program] = {}
        self._announced: dict[str, tuple[int, LogEnds]] = {}
        self._wanted: set[str] = set()
        self._asking: Command | None = None
        address = os.environb.get(b"NOTIFY_SOCKET", b"")
        watchdog = os.environb.get(b"WATCHDOG_USEC", b"")
        self._notifier = tell.Notifier(address) if address else None
        self._watchdog = int(watchdog) / 1_000_000 if watchdog.isdigit() else 0.0

    def start(self) -> None:
        """Find what runs already, and listen for what starts."""
        self._listener.setsockopt(_socket.SOL_SOCKET, _socket.SO_PASSCRED, 1)
        self._listener.setblocking(False)
        self._loop.watch(self._listener.fileno(), READ, self._hear)
        self._look_at_all()
        if self._watchdog:
            self._keep_alive()

    def _keep_alive(self) -> None:
        if self._notifier is not None:
            self._notifier.send("WATCHDOG=1")
        self._loop.later(self._watchdog / 3, self._keep_alive)

    def _tell(self) -> None:
        """How many programs there are, for `systemctl status`; and that the first look is over."""
        if self._notifier is not None:
            count = len(self._programs)
            self._notifier.send("READY=1", f"STATUS=monitors {count} program{'' if count == 1 else 's'}")

    def _hear(self) -> None:
        """Take the words that have come."""
        heard = 0
        while heard < CROWD:
            try:
                message, ancillary, _, _ = self._listener.recvmsg(MESSAGE_MAX, _socket.CMSG_SPACE(12))
            except BlockingIOError:
                break
            heard += 1
            pid = next((unpack("3i", data[:12])[0] for _, _, data in ancillary), 0)
            self._take_word(message, pid)
        if heard == CROWD:
            self._look_soon(self._patterns())

    def _take_word(self, message: bytes, pid: int) -> None:
        """Look at the unit that a word is of, if a process of that very unit has said it."""
        try:
            unit, log_ends = read_announcement(message)
        except ValueError:
            return
        if self._arguments(unit) is None or unit not in units_of(pid):
            return
        if log_ends:
            self._announced[unit] = (pid, log_ends)
            try:
                with open(f"{self._folder}/{unit}", "wb") as file:  # noqa: PTH123 - pathlib is heavy
                    file.write(b"%d\0" % pid + message)
            except OSError as error:
                tell.log(
                    f"a restart of the monitor will lose where its log ended: {error}", tell.WARNING, unit
                )
        self._look_soon({unit})

    def _log_ends(self, unit: str, pid: int) -> LogEnds:
        """Where the log files of a unit ended when its process started, as far as it has told."""
        if unit not in self._announced:
            try:
                with open(f"{self._folder}/{unit}", "rb") as file:  # noqa: PTH123 - pathlib is heavy
                    number, _, message = file.read().partition(b"\0")
                self._announced[unit] = (int(number), read_announcement(message)[1])
            except (FileNotFoundError, ValueError):  # nothing was kept, or a part of it
                return {}
        of_pid, log_ends = self._announced[unit]
        return log_ends if of_pid == pid else {}

    def _arguments(self, unit: str) -> Arguments | None:
        """What is to be done for a unit, an instance by its template."""
        prefix, at, rest = unit.partition("@")
        return self._units.get(f"{prefix}@.{rest.rpartition('.')[2]}" if at else unit)

    def _patterns(self) -> set[str]:
        return {unit.replace("@.", "@*.") for unit in self._units}

    def _look_at_all(self) -> None:
        self._look_soon(self._patterns(), 0.0)
        self._loop.later(LOOK_EVERY, self._look_at_all)

    def _look_soon(self, units: set[str], delay: float = LOOK_DELAY) -> None:
        def look() -> None:
            self._wanted |= units
            self._look()

        self._loop.later(delay, look)

    def _look(self) -> None:
        """Ask systemd about the units that are to be looked at."""
        if self._asking is not None or not self._wanted:
            return
        asked, self._wanted = self._wanted, set()
        words = ["systemctl", "show", f"--property={','.join(PROPERTIES)}", "--", *sorted(asked)]
        give_up = self._loop.later(ASK_TIMEOUT, lambda: answered(False, "no answer"))

        def answered(passed: bool, said: str) -> None:  # noqa: FBT001 - as `Done` has it
            give_up.cancel()
            if self._asking is not None:
                self._asking.cancel()
                self._asking = None
            if not passed:
                tell.log(f"systemd cannot be asked: {said}", tell.ERROR)
                self._look_soon(asked, LOOK_AGAIN)
                return
            for block in said.split("\n\n"):
                pairs = [line.partition("=") for line in block.splitlines()]
                self._consider({name: value for name, _, value in pairs})
            self._tell()
            self._look()

        asking = Command(words, self._ask, self._loop, answered, whole=True)
        if asking.is_running:
            self._asking = asking

    def _ask(self, words: list[str], output: int) -> int:
        return spawn(words, self._here.environment, output)

    def _consider(self, shown: dict[str, str]) -> None:
        """Monitor what runs, if it is not monitored yet."""
        unit, invocation = shown.get("Id", ""), shown.get("InvocationID", "")
        pid = int(shown.get("MainPID") or 0)
        known = self._programs.get(unit)
        if known is not None:
            if (known.pid, known.invocation) == (pid, invocation):
                return
            self._forget(known)
        arguments = self._arguments(unit)
        runs = shown.get("ActiveState") in {"active", "reloading", "refreshing", "activating"}
        if arguments is None or not pid or not runs:
            return
        try:
            program = Program(unit, pid, invocation)
        except ProcessLookupError:
            self._look_soon({unit}, LOOK_AGAIN)
            return
        self._programs[unit] = program
        self._loop.watch(program.process, READ, lambda: self._ended(program))
        try:
            self._take(program, arguments, shown)
        except (FileNotFoundError, ProcessLookupError):  # of /proc: it is ending just now
            self._ended(program)
        except OSError as error:
            tell.log(f"it cannot be monitored: {error}", tell.ERROR, unit)
            self._forget(program)

    def _take(self, program: Program, arguments: Arguments, shown: dict[str, str]) -> None:
        """Begin with a program. Its pidfd is held, so that it is the one that systemd means if it is in the unit."""
        unit, pid = program.unit, program.pid
        owner = owner_of(shown)
        cgroup = shown.get("ControlGroup") or "?"
        if not any(f"{path}/".startswith(f"{cgroup}/") for path in cgroups_of(pid)):
            self._forget(program)  # its number is another's by now: the next start is told
            return
        if owner is None:
            self._forget(program)
            self._look_soon({unit}, LOOK_AGAIN)
            return
        program.place = Outside(
            pid, program.process, owner, self._here, runs_commands=arguments.runs_commands
        )
        program.notifier = tell.Notifier(NOTIFY_SOCKET, pid, program.process)
        alive = arguments.phases.get("alive")
        try:
            program.target = Target(
                arguments,
                unit=unit,
                pid=pid,
                program=program.process,
                invocation=program.invocation,
                place=program.place,
                notifier=program.notifier,
                loop=self._loop,
                log_ends=self._log_ends(unit, pid),
                watchdog=alive.patience if arguments.strict and alive is not None else 0.0,
            )
        except ValueError:  # an instance that somebody has started by hand
            tell.log(f"no port {arguments.port} for this instance: it is not monitored", tell.ERROR, unit)
            return
        is_active = shown["ActiveState"] != "activating" or shown.get("SubState") == "start-post"
        started = int(shown.get("ExecMainStartTimestampMonotonic") or 0) / 1_000_000
        self._begin(program, is_active=is_active, started=started)

    def _begin(self, program: Program, *, is_active: bool, started: float) -> None:
        """Begin with the checks when the program itself runs."""
        if (
            self._programs.get(program.unit) is not program
            or program.place is None
            or program.target is None
        ):
            return
        try:
            has_begun = program.place.has_begun()
        except (FileNotFoundError, ProcessLookupError):
            return  # its pidfd tells that it has ended
        if has_begun:
            program.target.start(is_active=is_active, age=max(0.0, monotonic() - started))
        else:
            self._loop.later(BEGUN_DELAY, lambda: self._begin(program, is_active=is_active, started=started))

    def _ended(self, program: Program) -> None:
        """The program is no more; systemd may start it anew."""
        self._forget(program)
        self._look_soon({program.unit}, LOOK_AGAIN)
        self._tell()

    def _forget(self, program: Program) -> None:
        if self._programs.get(program.unit) is program:
            del self._programs[program.unit]
            self._loop.forget(program.process)
            program.close()


def cgroups_of(pid: int) -> list[str]:
    """The cgroup of a process in the hierarchies that systemd may keep its units in; none where it has ended."""
    paths = cgroup_paths(pid)
    return [paths[name] for name in ("name=systemd", "") if name in paths]


def units_of(pid: int) -> set[str]:
    """The unit of the system manager that a process is of: what is below it may be named by anybody."""
    services = ([part for part in path.split("/") if part.endswith(".service")] for path in cgroups_of(pid))
    return {found[0] for found in services if found}


def main() -> None:
    """Run `monitor.py --unit=NAME OPTIONS...`, with the socket as descriptor 3: until it is killed."""
    problem = ""
    units = []
    try:
        units = [unit for unit in parse_units(sys.argv[1:]) if unit.phases]
    except ArgumentsError as error:
        problem = str(error)
    if not units or os.environ.get("LISTEN_FDS") != "1":
        problem = problem or "usage: monitor.py --unit=NAME OPTIONS..., with a socket from systemd"
        os.write(2, f"pm-native monitor: {problem}\n".encode(errors="surrogateescape"))
        os._exit(EXIT_ARGUMENTS)
    os.set_inheritable(LISTENER, False)
    loop = Loop()
    folder = os.environ.get("RUNTIME_DIRECTORY", "/run")
    try:
        Host(units, loop, _socket.socket(fileno=LISTENER), folder).start()
        loop.run()
    except Exception as error:  # noqa: BLE001 - the last place where anybody would hear of it
        told_error(error)
        os._exit(1)
