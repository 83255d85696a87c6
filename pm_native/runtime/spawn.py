"""Commands that a monitor runs: in a process group of their own, which ends with them, one line of output kept."""

from __future__ import annotations

import _signal
import os

from pm_native.runtime.attempt import strerror
from pm_native.runtime.loop import READ

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pm_native.runtime.attempt import Done
    from pm_native.runtime.loop import Loop

    Start = Callable[[list[str], int], int]  # of a command whose output goes to a descriptor; its process id

OUTPUT_MAX = 4096
WHOLE_MAX = 16 << 20
# A monitor ignores these; what it runs does not.
IGNORED = (_signal.SIGHUP, _signal.SIGUSR1, _signal.SIGUSR2, _signal.SIGPIPE, _signal.SIGQUIT)


class Command:
    """A command under way: passed when it exits with 0; the words are the last line that it wrote.

    With `whole`, they are all that it wrote.
    """

    def __init__(
        self, words: list[str], start: Start, loop: Loop, done: Done, *, whole: bool = False
    ) -> None:
        self._loop = loop
        self._done = done
        self._whole = whole
        self._name = words[0].rpartition("/")[2]
        self._output = b""
        self._pid = 0
        self._process = -1
        self._is_cancelled = False
        self._pipe, write_end = output_pipe()
        try:
            self._pid = start(words, write_end)
        except OSError as error:
            os.close(self._pipe)
            done(False, f"{self._name}: {strerror(error)}")
            return
        finally:
            os.close(write_end)
        self._process = os.pidfd_open(self._pid)
        loop.watch(self._process, READ, self._ended)
        loop.watch(self._pipe, READ, self._read)

    def _read(self) -> None:
        """Take what there is: of more than is kept, the end."""
        try:
            while data := os.read(self._pipe, 65536):
                self._output = (self._output + data)[-(WHOLE_MAX if self._whole else OUTPUT_MAX) :]
        except BlockingIOError:
            return
        self._loop.forget(self._pipe)  # the end of it

    def _ended(self) -> None:
        self._read()
        end_group(self._pid)  # what it left in the background would hold up the end of the unit
        _, status = os.waitpid(self._pid, 0)
        self._close_pipe()
        self._close_process()
        code = os.waitstatus_to_exitcode(status)
        lines = self._output.decode(errors="replace").strip().splitlines()
        if self._whole:
            self._done(code == 0, "\n".join(lines))
            return
        how = "" if code == 0 else f" exited with {code}" if code > 0 else f" was ended by signal {-code}"
        self._done(code == 0, f"{self._name}{how}{': ' + lines[-1].strip() if lines else ''}")

    def cancel(self) -> None:
        """End it and all of its group. The kernel may take its time for that: nobody waits."""
        if self.is_running:
            end_group(self._pid)
            self._close_pipe()
            self._loop.watch(self._process, READ, self._reap)
            self._is_cancelled = True

    def _reap(self) -> None:
        os.waitpid(self._pid, 0)
        self._close_process()

    @property
    def is_running(self) -> bool:
        """Whether it has not told its result yet."""
        return self._process >= 0 and not self._is_cancelled

    def _close_pipe(self) -> None:
        self._loop.forget(self._pipe)
        os.close(self._pipe)

    def _close_process(self) -> None:
        self._loop.forget(self._process)
        os.close(self._process)
        self._process = -1


class CommandProber:
    """A command that is run for each attempt."""

    def __init__(self, words: list[str], start: Start, loop: Loop, done: Done) -> None:
        self._words = words
        self._start = start
        self._loop = loop
        self._done = done
        self._command: Command | None = None

    def begin(self) -> None:
        """Start it; where that fails, the result is told at once."""
        self._command = Command(self._words, self._start, self._loop, self._done)

    def cancel(self) -> None:
        """End it without a result."""
        if self._command is not None:
            self._command.cancel()


def spawn(words: list[str], environment: dict[bytes, bytes], output: int) -> int:
    """Start a command in a process group of its own; its output goes to the descriptor. Returns its process id."""
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
        (os.POSIX_SPAWN_DUP2, output, 1),
        (os.POSIX_SPAWN_DUP2, output, 2),
    ]
    return os.posix_spawnp(
        words[0], words, environment, file_actions=actions, setpgroup=0, setsigdef=(*IGNORED, _signal.SIGINT)
    )


def output_pipe() -> tuple[int, int]:
    """A pipe for what a command writes: nobody waits at our end, and a command that finds it full waits at its own."""
    read_end, write_end = os.pipe2(os.O_CLOEXEC)
    os.set_blocking(read_end, False)
    return read_end, write_end


def end_group(pid: int) -> None:
    """SIGKILL for a process group, if there still is any of it."""
    try:
        os.killpg(pid, _signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return
