"""Telling systemd how a program is, from within the program (sd_notify(3)).

    from pm_native.runtime import notify

    notify.ready("serving on port 3000")

Needs `notify = true` in the config of the process. Where nobody listens each call does nothing and returns False, so
that a program needs no second way of running by hand.
"""

from __future__ import annotations

import os
import socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sdnotify import SystemdNotifier

# systemd reads no longer datagram (NOTIFY_BUFFER_MAX).
MESSAGE_MAX = 4095


def ready(status: str = "") -> bool:
    """Say that start-up is over (READY=1); what depends on this process starts now. Returns whether it was sent."""
    return send("READY=1", f"STATUS={one_line(status)}" if status else "")


def status(text: str) -> bool:
    """Say in one line what the program is at; `systemctl status` shows it. Returns whether it was sent."""
    return send(f"STATUS={one_line(text)}")


def stopping(text: str = "") -> bool:
    """Say that the program is on its way out (STOPPING=1). Returns whether it was sent."""
    return send("STOPPING=1", f"STATUS={one_line(text)}" if text else "")


def extend_timeout(seconds: float) -> bool:
    """Ask for so many more seconds to start or stop, from now on. Returns whether it was sent."""
    return send(f"EXTEND_TIMEOUT_USEC={int(seconds * 1_000_000)}")


def send(*assignments: str) -> bool:
    """Send assignments (`READY=1`) in one message, empty ones left out. Returns whether systemd has it.

    Never waits: a message that finds no room is dropped, as the program's own work comes first. ValueError for an
    assignment that systemd would misread or not read at all.
    """
    message = "\n".join(part for part in assignments if part).encode()
    if b"\0" in message or len(message) > MESSAGE_MAX:
        raise ValueError(f"a notification is at most {MESSAGE_MAX} bytes without NUL: {message[:80]!r}")
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address or (address.startswith("/") and not os.path.exists(address)):  # noqa: PTH110 - pathlib is heavy
        return False
    notifier = _connected()
    if notifier.socket is None:
        return False
    # Not notifier.notify(): it encodes as Latin-1, which systemd refuses, and hides every error.
    with notifier.socket as channel:
        try:
            return bool(channel.send(message, socket.MSG_DONTWAIT))
        except (BlockingIOError, ConnectionRefusedError, FileNotFoundError):
            return False


def _connected() -> SystemdNotifier:
    from sdnotify import SystemdNotifier  # noqa: PLC0415 - only where somebody listens

    return SystemdNotifier()


def one_line(text: str) -> str:
    """The text without line breaks, which would begin another assignment."""
    return " ".join(text.split())
