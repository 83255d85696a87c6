"""The message channel of a program: who holds its other end, how others reach it, the message that ends it."""

from __future__ import annotations

from pm_native.compile.health import seconds
from pm_native.unit import directive as d
from pm_native.unit.file import RUNTIME_DIRECTORY, UNIT_NAME, Setting

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pm_native.compile.options import CompileOptions
    from pm_native.model.project import Channel, Process
    from pm_native.unit.file import Text

_SOCKET: Text = ("--channel=", RUNTIME_DIRECTORY, "/pm-native/", UNIT_NAME, "/channel")


def channel_words(channel: Channel) -> Iterator[Text]:
    """What `pm-native-run` is told of the channel."""
    yield _SOCKET
    if channel.ready:
        yield "--ready-message"
        if channel.ready_timeout_usec is not None:
            yield f"--ready-after={seconds(channel.ready_timeout_usec)}"


def channel_settings(process: Process, options: CompileOptions) -> Iterator[Setting]:
    """Where the socket of the channel is, and the message by which the program is asked to end."""
    if process.channel is None:
        return
    place = process.origin("channel")
    yield Setting(
        d.RUNTIME_DIRECTORY, (("pm-native/", UNIT_NAME),), origin=place, why="the channel's socket"
    )
    yield Setting(d.RUNTIME_DIRECTORY_MODE, ("0700",), why="for the unit's user alone")
    if process.channel.shutdown:
        # Before systemd would end this, which would make the stop a failure.
        wait = f"--wait={seconds(max(process.stop.timeout_usec * 9 // 10, 1000))}"
        command = (options.python, "-I", "-S", f"{options.runtime}/send.py", _SOCKET, wait, '"shutdown"')
        why = "the stop signal follows where the message does not help"
        yield Setting(d.EXEC_STOP, command, "-:", origin=process.origin("channel.shutdown"), why=why)
