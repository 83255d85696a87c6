"""What monitors tell systemd and the journal: by the C part of `socket` alone, without ever waiting."""

from __future__ import annotations

import _signal
import _socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    Ancillary = Iterable[tuple[int, int, bytes]]

JOURNAL_SOCKET = "/run/systemd/journal/socket"
# systemd reads no longer datagram (NOTIFY_BUFFER_MAX), and one that is cut within a character not at all.
MESSAGE_MAX = 4095
NOTICE = 5
WARNING = 4
ERROR = 3


class Notifier:
    """systemd's notification socket. With `pid` and its pidfd `process`, what is told is told for that process.

    That takes CAP_SYS_ADMIN: the kernel vouches for who sends.
    """

    def __init__(self, address: bytes, pid: int = 0, process: int = -1) -> None:
        self._address = b"\0" + address[1:] if address.startswith(b"@") else address
        self._socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
        self._process = process
        self._ancillary: Ancillary = ()
        if pid:
            from _struct import pack  # noqa: PLC0415 - for the monitor of a project alone

            self._ancillary = ((_socket.SOL_SOCKET, _socket.SCM_CREDENTIALS, pack("3i", pid, 0, 0)),)

    def send(self, *assignments: str) -> bool:
        """Send the assignments in one message. Returns whether systemd has it; it may when it is tried again."""
        message = "\n".join(assignments).encode(errors="replace")[:MESSAGE_MAX]
        message = message.decode(errors="ignore").encode()
        try:
            if self._process >= 0:  # by now its number may be another's
                _signal.pidfd_send_signal(self._process, 0)
            self._socket.sendmsg([message], self._ancillary, _socket.MSG_DONTWAIT, self._address)
        except ProcessLookupError:
            return True  # it has ended: there is nothing to tell any more
        except (BlockingIOError, ConnectionRefusedError, FileNotFoundError):
            return False
        return True

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()


def log(
    message: str, priority: int, unit: str = "", identifier: str = "pm-native-run", *fields: str
) -> bool:
    """Put a line into the journal, under this process's unit or `unit`. Returns whether the journal has it.

    `fields` are further ones (systemd.journal-fields(7)). Where there is no journal, the status of the unit has to do.
    """
    lines = [
        f"MESSAGE={one_line(message)}",
        f"PRIORITY={priority}",
        f"SYSLOG_IDENTIFIER={identifier}",
        *fields,
    ]
    if unit:  # believed of root: what `journalctl -u` looks for
        lines.append(f"OBJECT_SYSTEMD_UNIT={unit}")
    text = "\n".join(lines) + "\n"
    channel = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
    try:
        channel.sendto(text.encode(errors="replace"), _socket.MSG_DONTWAIT, JOURNAL_SOCKET)
    except (BlockingIOError, ConnectionRefusedError, FileNotFoundError, PermissionError):
        return False
    finally:
        channel.close()
    return True


def one_line(text: str) -> str:
    """The text without line breaks and NULs, which would begin another assignment or end the message."""
    return " ".join(text.replace("\0", " ").split())
