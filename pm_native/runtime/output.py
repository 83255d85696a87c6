"""The output probe: whether the program has written a line in which a pattern is found.

A log file is read from where it ended when the program was started. The journal is followed by `journalctl`, by the
invocation of the unit, until the pattern was found; the program's output never passes through the monitor.
"""

from __future__ import annotations

import os
import re

from pm_native.runtime.attempt import strerror
from pm_native.runtime.spawn import end_group, output_pipe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pm_native.runtime.arguments import Probe
    from pm_native.runtime.attempt import Program

LINE_MAX = 64 * 1024


def look(probe: Probe, program: Program) -> tuple[bool, str]:
    """Read what is new, and say whether the pattern has been found since the program was started."""
    follower = program.followers.get(id(probe))
    if follower is None:
        follower = program.followers[id(probe)] = Follower(probe, program)
    return follower.look()


class Follower:
    """Reads the output of one program, for one pattern."""

    def __init__(self, probe: Probe, program: Program) -> None:
        self._pattern = re.compile(probe.target)
        self._text = probe.target
        self._rest = b""
        self._found = ""
        self._source: _File | _Journal = _File(probe.log, program) if probe.log else _Journal(program)

    def look(self) -> tuple[bool, str]:
        """Whether the pattern has been found up to now."""
        if self._found:
            return True, self._found
        try:
            data = self._source.read()
        except OSError as error:
            return False, f"output: {strerror(error)}"
        *lines, self._rest = (self._rest + data).split(b"\n")
        self._rest = self._rest[-LINE_MAX:]
        for line in lines:
            text = line.decode(errors="replace")
            if self._pattern.search(text):
                self._found = f"output {text.strip()!r}"
                self._source.close()
                return True, self._found
        return False, f"output without {self._text!r} so far"

    def close(self) -> None:
        """Follow it no more."""
        self._source.close()


class _File:
    """A log file that is appended to, rotated or cut."""

    def __init__(self, path: str, program: Program) -> None:
        self._path = path
        self._place = program.place
        self._inode, self._position = program.log_ends.get(path, (0, 0))

    def read(self) -> bytes:
        with self._place as place:
            # What is no file is not waited for.
            descriptor = os.open(place.path(self._path), os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            status = os.fstat(descriptor)
            if status.st_ino != self._inode or status.st_size < self._position:
                self._inode, self._position = status.st_ino, 0
            data = os.pread(descriptor, 1 << 20, self._position)
        finally:
            os.close(descriptor)
        self._position += len(data)
        return data

    def close(self) -> None:
        """Nothing is held open."""


class _Journal:
    """`journalctl --follow` for one invocation of a unit."""

    def __init__(self, program: Program) -> None:
        words = ["journalctl", "--quiet", "--follow", "--no-tail", "--output=cat"]
        words.append(f"_SYSTEMD_INVOCATION_ID={program.invocation}")
        self._pipe, write_end = output_pipe()
        self._pid = 0
        try:
            self._pid = program.place.ask(words, write_end)
        finally:
            os.close(write_end)

    def read(self) -> bytes:
        data = b""
        try:
            while piece := os.read(self._pipe, 65536):
                data += piece
        except BlockingIOError:
            return data
        if not data:
            raise OSError(0, "journalctl has ended")
        return data

    def close(self) -> None:
        if self._pid:
            end_group(self._pid)
            os.waitpid(self._pid, 0)
            os.close(self._pipe)
            self._pid = 0
