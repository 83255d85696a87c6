"""What one client, and all of them together, can make the broker hold. Every number can be set by the environment."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

MEBIBYTE = 1024 * 1024


class Limits:
    """The limits of a broker.

    `frame` bytes of one frame; `connections` in all and `unit_connections` of one unit; `subscriptions` of one
    connection and `all_subscriptions`, which take `patterns` bytes at most; `calls` unanswered of one caller and `all_calls`; `queue` bytes for one peer
    that does not read, and `queues` for all of them, unfinished frames included; `heads` bytes of what is known of
    frames that clients repeat; `timeout` seconds of a call that
    names none, at most `timeout_max`; `partial_timeout` seconds for a frame from its first byte to its last.
    """

    __slots__ = (
        "all_calls",
        "all_subscriptions",
        "calls",
        "connections",
        "frame",
        "heads",
        "partial_timeout",
        "patterns",
        "queue",
        "queues",
        "subscriptions",
        "timeout",
        "timeout_max",
        "unit_connections",
    )

    def __init__(self) -> None:
        self.frame = MEBIBYTE
        self.connections = 4096
        self.unit_connections = 1024
        self.subscriptions = 10_000
        self.all_subscriptions = 131_072
        self.patterns = 128 * MEBIBYTE
        self.calls = 1024
        self.all_calls = 65_536
        self.queue = MEBIBYTE
        self.queues = 64 * MEBIBYTE
        self.heads = 16 * MEBIBYTE
        self.timeout = 30
        self.timeout_max = 3600
        self.partial_timeout = 30

    def told(self) -> dict[str, object]:
        """What a client is told of them."""
        names = ("frame", "subscriptions", "calls", "queue", "timeout", "timeout_max")
        return {name: getattr(self, name) for name in names}


def limits_from(environ: Mapping[str, str] = os.environ) -> Limits:
    """The limits, each over its default by PM_NATIVE_IPC_NAME; ValueError names a variable that is no number."""
    limits = Limits()
    for name in Limits.__slots__:
        variable = f"PM_NATIVE_IPC_{name.upper()}"
        if text := environ.get(variable, ""):
            if not text.isascii() or not text.isdecimal() or not int(text):
                raise ValueError(f"{variable} is to be a number above 0, not {text!r}")
            setattr(limits, name, int(text))
    return limits
