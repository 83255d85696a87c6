"""How a monitor that is apart from the programs hears of a start: a word from `pm-native-run`, before the program runs.

The word only makes the monitor ask systemd, which knows: nothing in it is believed but where log files ended, and that
of the main process alone. A word that is lost costs time, since the monitor also looks by itself.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    LogEnds = dict[str, tuple[int, int]]

MESSAGE_MAX = 8192


def announce(path: str, unit: str, log_ends: LogEnds) -> str:
    """Tell the monitor behind the socket at `path` that the unit's program starts in this process; "" or the problem."""
    import _socket  # noqa: PLC0415 - for this alone

    message = announcement(unit, log_ends)
    channel = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
    try:
        channel.sendto(message, _socket.MSG_DONTWAIT, path)
    except OSError as error:
        return error.strerror or str(error)
    finally:
        channel.close()
    return ""


def announcement(unit: str, log_ends: LogEnds) -> bytes:
    """The word that a unit starts: its name, and for each log file the inode and the size."""
    parts = [unit, *(f"{inode} {size} {path}" for path, (inode, size) in sorted(log_ends.items()))]
    return "\0".join(parts).encode(errors="surrogateescape")


def read_announcement(message: bytes) -> tuple[str, LogEnds]:
    """The unit and the ends of log files of a word; from anybody: ValueError where it is none."""
    unit, *parts = message.decode(errors="surrogateescape").split("\0")
    log_ends = {}
    for part in parts:
        inode, _, rest = part.partition(" ")
        size, _, path = rest.partition(" ")
        log_ends[path] = (int(inode), int(size))
    return unit, log_ends
