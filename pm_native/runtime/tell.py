"""What monitors tell systemd and the journal: by the C part of `socket` alone, without ever waiting."""

from __future__ import annotations

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
    """systemd's notification socket. `pid` and its ids: for whom it is told, where that is another process."""

    def __init__(self, address: bytes, of_process: tuple[int, int, int] | None = None) -> None:
        self._address = b"\0" + address[1:] if address.startswith(b"@") else address
        self._socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
        self._ancillary: Ancillary = ()
        if of_process is not None:
            from _struct import pack  # noqa: PLC0415 - for the monitor of a project alone

            self._ancillary = ((_socket.SOL_SOCKET, _socket.SCM_CREDENTIALS, pack("3i", *of_process)),)

    def send(self, *assignments: str) -> bool:
        """Send the assignments in one message. Returns whether systemd has it; it may when it is tried again."""
        message = "\n".join(assignments).encode(errors="replace")[:MESSAGE_MAX]
        message = message.decode(errors="ignore").encode()
        try:
            self._socket.sendmsg([message], self._ancillary, _socket.MSG_DONTWAIT, self._address)
        except (BlockingIOError, ConnectionRefusedError, FileNotFoundError):
            return False
        return True

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()


def log(
    message: str, priority: int, about_pid: int = 0, identifier: str = "pm-native-run", *fields: str
) -> bool:
    """Put a line into the journal, under this unit or that of process `about_pid`. Returns whether the journal has it.

    `fields` are further ones (systemd.journal-fields(7)). Where there is no journal, the status of the unit has to do.
    """
    lines = [
        f"MESSAGE={one_line(message)}",
        f"PRIORITY={priority}",
        f"SYSLOG_IDENTIFIER={identifier}",
        *fields,
    ]
    if about_pid:
        lines.append(f"OBJECT_PID={about_pid}")
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
