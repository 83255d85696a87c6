"""Starts the program in this very process, and leaves its monitor behind, a process that the program knows nothing of.

Two forks: the program has no child that it did not make. It keeps the process id that systemd started, and gets the
environment, the signals and the descriptors that systemd gave, as if nothing had stood in between.
"""

from __future__ import annotations

import _signal
import os
import sys

from pm_native.runtime.arguments import ArgumentsError, parse_arguments

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pm_native.runtime.arguments import Arguments

# As systemd says them (systemd.exec(5), Process Exit Codes).
EXIT_ARGUMENTS = 2
EXIT_EXEC = 203
EXIT_CREDENTIALS = 243
# By these a program would think that it is asked to tell how it is.
_NOT_FOR_THE_PROGRAM = (b"NOTIFY_SOCKET", b"WATCHDOG_PID", b"WATCHDOG_USEC")


def main() -> None:
    """Run `pm-native-run OPTIONS -- COMMAND`: becomes the program, or exits with a message."""
    try:
        arguments = parse_arguments(sys.argv[1:])
    except ArgumentsError as error:
        _exit(f"{error}", EXIT_ARGUMENTS)
    environment = first_environment()
    try:
        add_secrets(arguments.secrets, environment)
    except SecretError as error:
        _exit(f"{error}", EXIT_CREDENTIALS)
    started = prepare(arguments, environment)
    for number in (
        _signal.SIGPIPE,
        _signal.SIGXFSZ,
    ):  # Python ignores both, and what is ignored is inherited
        if number not in arguments.ignored:
            _signal.signal(number, _signal.SIG_DFL)
    try:
        os.execvpe(arguments.command[0], arguments.command, environment)  # noqa: S606 - the very purpose
    except OSError as error:
        if started >= 0:
            os.write(started, b"!")
        _exit(f"cannot run {arguments.command[0]}: {error.strerror}", EXIT_EXEC)


def prepare(arguments: Arguments, environment: dict[bytes, bytes]) -> int:
    """Leave what stays beside the program, and finish its environment; what `leave_monitor` returns, or -1."""
    started = -1
    if arguments.has_monitor:
        channel = open_channel(environment) if arguments.channel else -1
        # Where the unit has another one (by a drop-in, or since systemd has no right to lower it), that is for all.
        if arguments.oom_scores is not None and oom_score() != arguments.oom_scores[0]:
            arguments.oom_scores = None
        started = leave_monitor(arguments, environment, channel)
        if arguments.oom_scores is not None:
            raise_oom_score(arguments.oom_scores[1])
    if arguments.announce:
        announce_program(arguments)
    if arguments.is_listening_ready:
        offer_notification(environment)
    if not arguments.keeps_notify:
        for name in _NOT_FOR_THE_PROGRAM:
            environment.pop(name, None)
    return started


def first_environment() -> dict[bytes, bytes]:
    """The environment as systemd gave it: Python adds LC_CTYPE to its own where there is no locale."""
    try:
        with open("/proc/self/environ", "rb") as file:  # noqa: PTH123 - pathlib is heavy
            block = file.read()
    except OSError:  # no /proc: no better knowledge
        return dict(os.environb)
    pairs = [entry.partition(b"=") for entry in block.split(b"\0") if b"=" in entry]
    return {name: value for name, _, value in pairs}


class SecretError(Exception):
    """A secret that cannot be had, in words that hold nothing of it."""


def add_secrets(names: list[str], environment: dict[bytes, bytes]) -> None:
    """Set each secret as a variable: the text of its file in $CREDENTIALS_DIRECTORY, less the line ends at its end."""
    folder = os.fsdecode(environment.get(b"CREDENTIALS_DIRECTORY", b""))
    for name in names:
        try:
            with open(f"{folder}/{name}", "rb") as file:  # noqa: PTH123 - pathlib is heavy
                text = file.read().rstrip(b"\r\n")
        except OSError as error:
            raise SecretError(f"cannot read the secret {name}: {error.strerror}") from error
        if b"\0" in text:
            raise SecretError(f"the secret {name} holds a NUL, which no variable can: take it without `env`")
        environment[name.encode()] = text


def open_channel(environment: dict[bytes, bytes]) -> int:
    """A channel as Node gives it to its children: the program's end in the environment, the other one returned."""
    import _socket  # noqa: PLC0415 - for this alone

    ours, its = _socket.socketpair()
    os.set_inheritable(its.fileno(), True)
    environment[b"NODE_CHANNEL_FD"] = str(its.detach()).encode()
    environment[b"NODE_CHANNEL_SERIALIZATION_MODE"] = b"json"
    return ours.detach()


def offer_notification(environment: dict[bytes, bytes]) -> None:
    """Give the program a descriptor by which it can tell systemd, since Node has no datagram sockets of its own.

    What is loaded into it and takes the shared listener is told of it, and tells when it listens.
    """
    import _socket  # noqa: PLC0415 - for this alone

    address = environment.get(b"NOTIFY_SOCKET", b"")
    if not address:
        return
    channel = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM)
    channel.connect(b"\0" + address[1:] if address.startswith(b"@") else address)
    os.set_inheritable(channel.fileno(), True)
    environment[b"PM_NATIVE_LISTEN"] += b" notify=%d" % channel.detach()


def leave_monitor(arguments: Arguments, environment: dict[bytes, bytes], channel: int) -> int:
    """Fork twice; the grandchild monitors this process. Returns what to write to when the program cannot be run.

    `channel` is the other end of the program's (-1: it has none).
    """
    pid = os.getpid()
    program = os.pidfd_open(pid)
    # What is written from here on is this program's.
    log_ends = {
        probe.log: log_end(probe.log)
        for check in arguments.phases.values()
        for probe in check.probes
        if probe.log
    }
    has_started, started = os.pipe()
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        os.close(program)
        os.close(has_started)
        if channel >= 0:
            os.close(channel)
        return started
    if os.fork():
        os._exit(0)
    os.close(started)
    os.setsid()  # what the program sends to its own process group is not for the monitor
    from pm_native.runtime.instance import Started, monitor_program  # noqa: PLC0415 - the program need not wait for it

    monitor_program(arguments, environment, Started(pid, program, has_started, log_ends, channel))
    os._exit(0)


def oom_score() -> int | None:
    """The adjustment of this process's OOM score; None where there is no /proc to tell it."""
    try:
        with open("/proc/self/oom_score_adj", "rb") as file:  # noqa: PTH123 - pathlib is heavy
            return int(file.read())
    except OSError:
        return None


def raise_oom_score(score: int) -> None:
    """Raise the OOM score of this process from the unit's, which its monitor keeps, to the program's own."""
    try:
        with open("/proc/self/oom_score_adj", "wb", buffering=0) as file:  # noqa: PTH123 - pathlib is heavy
            file.write(b"%d" % score)
    except OSError as error:
        told = f"the program keeps the OOM score of its monitor: {error.strerror}"
        os.write(2, f"pm-native-run: {told}\n".encode())


def announce_program(arguments: Arguments) -> None:
    """Tell the monitor of the project that this program starts, and where its log files end now."""
    from pm_native.runtime.announce import announce  # noqa: PLC0415 - for this alone

    log_ends = {path: log_end(path) for path in arguments.log_files}
    if problem := announce(arguments.announce, arguments.unit, log_ends):
        told = f"{arguments.announce}: {problem}: the monitor is not told, and finds the program by itself"
        os.write(2, f"pm-native-run: {told}\n".encode(errors="surrogateescape"))


def log_end(path: str) -> tuple[int, int]:
    """Which file a log is and where it ends now."""
    try:
        status = os.stat(path)  # noqa: PTH116 - pathlib is heavy
    except OSError:
        return 0, 0
    return status.st_ino, status.st_size


def _exit(message: str, code: int) -> None:
    os.write(2, f"pm-native-run: {message}\n".encode(errors="surrogateescape"))
    os._exit(code)
