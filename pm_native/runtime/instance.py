"""The monitor of one program, beside it in its unit."""

from __future__ import annotations

import _signal
import os

from pm_native.runtime import tell
from pm_native.runtime.loop import READ, Loop
from pm_native.runtime.place import Beside
from pm_native.runtime.spawn import IGNORED
from pm_native.runtime.target import Target

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pm_native.runtime.arguments import Arguments


class Started:
    """A program that is about to be executed: its process, the pidfd of it, and what was noted before.

    `channel` ends when it runs; a byte before says that it cannot be run. `messages` is the other end of its message
    channel (-1: it has none).
    """

    __slots__ = ("channel", "log_ends", "messages", "pid", "process")

    def __init__(
        self, pid: int, process: int, channel: int, log_ends: dict[str, tuple[int, int]], messages: int
    ) -> None:
        self.pid = pid
        self.process = process
        self.channel = channel
        self.log_ends = log_ends
        self.messages = messages


def monitor_program(arguments: Arguments, environment: dict[bytes, bytes], program: Started) -> None:
    """Monitor the program until it ends."""
    try:
        stand_apart((program.process, program.channel, program.messages))
        if program.messages >= 0:
            # The program may have something to say to the last, and to write to a channel that is closed ends it.
            for number in (_signal.SIGTERM, _signal.SIGINT):
                _signal.signal(number, _signal.SIG_IGN)
        address = environment.pop(b"NOTIFY_SOCKET", b"")
        if address:
            _monitor(arguments, environment, program, address)
    except Exception as error:  # noqa: BLE001 - the last place where anybody would hear of it
        told_error(error)


def _monitor(
    arguments: Arguments, environment: dict[bytes, bytes], program: Started, address: bytes
) -> None:
    loop = Loop()
    environment.pop(b"WATCHDOG_PID", None)
    watchdog = environment.pop(b"WATCHDOG_USEC", b"")
    target = Target(
        arguments,
        unit=arguments.unit,
        pid=program.pid,
        program=program.process,
        invocation=environment.get(b"INVOCATION_ID", b"").decode(),
        place=Beside(environment, arguments.oom_scores[1] if arguments.oom_scores else None),
        notifier=tell.Notifier(address),
        loop=loop,
        log_ends=program.log_ends,
        watchdog=int(watchdog) / 1_000_000 if watchdog.isdigit() else 0.0,
    )

    def has_started() -> None:
        loop.forget(program.channel)
        if os.read(program.channel, 1):
            loop.stop()
        else:
            os.close(program.channel)
            target.start()

    channel = None
    if program.messages >= 0:
        from pm_native.runtime.channel import Channel  # noqa: PLC0415 - only where there is one

        broker = os.fsdecode(environment.get(b"PM_NATIVE_IPC", b""))
        channel = Channel(program.messages, arguments.channel, loop, target.said_ready, broker)
    loop.watch(program.process, READ, loop.stop)
    loop.watch(program.channel, READ, has_started)
    loop.run()
    target.stop()
    if channel is not None:
        channel.close()


def stand_apart(keep: tuple[int, ...]) -> None:
    """Hold nothing that is the program's, and survive the signals that are meant for it.

    SIGTERM stays what it is: systemd sends it to the whole unit, and a monitor of a program that is being stopped has
    nothing left to do. Whatever else ends the program ends the monitor as well, by the pidfd.
    """
    for number in IGNORED:
        _signal.signal(number, _signal.SIG_IGN)
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
    null = os.open("/dev/null", os.O_RDWR)
    for descriptor in range(3):
        os.dup2(null, descriptor)
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - pathlib is heavy
        descriptor = int(name)
        if descriptor > 2 and descriptor not in keep:
            try:
                os.close(descriptor)
            except OSError:
                continue  # the one of this listing


def told_error(error: Exception) -> None:
    """Put into the journal what ends a monitor that should not end: the program goes on without it."""
    import traceback  # noqa: PLC0415 - for this alone

    lines = [line.strip() for line in traceback.format_exception(error)]
    tell.log(f"the monitor has failed: {' | '.join(lines)}", tell.ERROR)
