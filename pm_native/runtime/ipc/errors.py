"""What can go wrong with a message, by the names that the protocol has for it."""

from __future__ import annotations


class IpcError(Exception):
    """A message came to nothing. `name` is the protocol's word for why; other names are the answering program's own.

    IpcError
    ├── NoSuchTarget        no process of this name is connected
    ├── NoResponders        it is connected, and answers no calls; or none of a pool does
    ├── TargetGone          it went away before it answered
    ├── Timeout             the deadline has passed
    ├── Busy                its queue is full, or the caller has too many calls unanswered
    ├── AccessDenied        the rules of the project do not allow it
    ├── TooBig              the frame is larger than the broker takes
    ├── BadFrame            the frame is not what the protocol has
    ├── Failed              the answering program failed to answer
    ├── ShuttingDown        the broker goes down before there was an answer
    └── Disconnected        the connection was lost: what was under way may or may not have arrived
    """

    name = "Failed"

    def __init__(self, message: str = "", name: str = "") -> None:
        super().__init__(message)
        self.name = name or type(self).name

    def __str__(self) -> str:
        text = super().__str__()
        return f"{self.name}: {text}" if text else self.name


class NoSuchTarget(IpcError):  # noqa: N818 - the protocol's words, here and below
    """No process of this name is connected."""

    name = "NoSuchTarget"


class NoResponders(IpcError):  # noqa: N818
    """The process is connected, and answers no calls."""

    name = "NoResponders"


class TargetGone(IpcError):  # noqa: N818
    """The process went away before it answered."""

    name = "TargetGone"


class Timeout(IpcError, TimeoutError):  # noqa: N818
    """The deadline has passed."""

    name = "Timeout"


class Busy(IpcError):  # noqa: N818
    """The queue of the target is full, or the caller has too many calls unanswered."""

    name = "Busy"


class AccessDenied(IpcError, PermissionError):  # noqa: N818
    """The rules of the project do not allow it."""

    name = "AccessDenied"


class TooBig(IpcError):  # noqa: N818
    """The frame is larger than the broker takes."""

    name = "TooBig"


class BadFrame(IpcError, ValueError):  # noqa: N818
    """The frame is not what the protocol has."""

    name = "BadFrame"


class Failed(IpcError):  # noqa: N818
    """The answering program failed to answer."""

    name = "Failed"


class ShuttingDown(IpcError):  # noqa: N818
    """The broker goes down before there was an answer."""

    name = "ShuttingDown"


class Disconnected(IpcError, ConnectionError):  # noqa: N818
    """The connection was lost: what was under way may or may not have arrived."""

    name = "Disconnected"


BY_NAME: dict[str, type[IpcError]] = {
    kind.name: kind
    for kind in (
        NoSuchTarget,
        NoResponders,
        TargetGone,
        Timeout,
        Busy,
        AccessDenied,
        TooBig,
        BadFrame,
        Failed,
        ShuttingDown,
        Disconnected,
    )
}


def error_named(name: str, message: str) -> IpcError:
    """The exception for the error of a frame."""
    return BY_NAME[name](message) if name in BY_NAME else IpcError(message, name)
