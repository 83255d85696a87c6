"""The connections as routing sees them, the names by which they are called, and what the heads of their frames mean."""

from __future__ import annotations

from pm_native.runtime.ipc.frames import ID, head_of
from pm_native.runtime.ipc.outbox import Outbox

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pm_native.runtime.ipc.access import Rights
    from pm_native.runtime.ipc.identity import Identity
    from pm_native.runtime.ipc.outbox import Subscription
    from pm_native.runtime.ipc.routing import Router

    Run = Callable[["Route", "Peer", bytes, bytes], None]
    # A call that was delivered and has no answer yet: caller, its id for it, target, deadline, of which gathering.
    # A tuple, since there is one for every call.
    Pending = tuple["Peer", bytes, "Peer", float, "Gathering | None"]


class Peer:
    """One connection, as routing sees it. Its owner sends `out` when it is `dirty`, and puts it off while `is_paused`."""

    __slots__ = (
        "identity",
        "in_flight",
        "is_monitor",
        "is_paused",
        "is_serving",
        "is_taking",
        "number",
        "out",
        "outbox",
        "owed",
        "reply_head",
        "rights",
        "router",
        "routes",
        "stamp",
        "subscriptions",
    )

    def __init__(self, router: Router, number: int, identity: Identity, rights: Rights) -> None:
        self.router = router
        self.number = number
        self.identity = identity
        self.rights = rights
        self.stamp = {"peer": number, **identity.stamp()}
        self.reply_head = head_of({"op": "reply", "from": self.stamp}) + ID
        self.routes: dict[bytes, Route] = {}
        self.out: list[bytes] = []
        self.outbox = Outbox(router.pool)
        self.is_paused = False
        self.is_serving = False  # answers calls, and takes what is sent
        self.is_taking = False  # takes what is sent, where nobody of its process serves
        self.is_monitor = False
        self.in_flight = 0  # calls of its own without an answer
        self.owed = 0  # calls of others that it has not answered
        self.subscriptions: dict[str, Subscription] = {}

    def push(self, data: bytes) -> None:
        """Send a frame that is not to be dropped."""
        if self.is_paused:
            if not self.outbox.add(data):
                self.drop("its queue is full of answers that it does not read")
            return
        if not self.out:
            self.router.dirty.append(self)
        self.out.append(data)

    def acknowledge(self, number: bytes, count: int) -> None:
        """Say that what it asked for was done, where it asked with an id."""
        if number:
            self.push(b'{"op":"ok","id":%b,"count":%d}\n' % (number, count))

    def drop(self, reason: str) -> None:
        """End the connection at once."""
        raise NotImplementedError


class Target:
    """A name that can be called: a process, or an instance of it, with the peers that answer for it."""

    __slots__ = ("members", "name", "process", "serving", "taking", "turn")

    def __init__(self, name: str, process: str) -> None:
        self.name = name
        self.process = process
        self.members: list[Peer] = []
        self.serving: list[Peer] = []
        self.taking: list[Peer] = []
        self.turn = 0

    def next(self, among: list[Peer]) -> Peer | None:
        """Whose turn it is of those with room in their queue; None where none has."""
        for _ in among:
            self.turn = turn = (self.turn + 1) % len(among)
            peer = among[turn]
            if not peer.is_paused or not peer.outbox.is_full():
                return peer
        return None


NOBODY = Target("", "")


class Route:
    """What the head of a frame means for the peer that sent it."""

    __slots__ = ("begin", "needs_id", "run", "subscribers", "target", "timeout", "topic", "version")

    def __init__(self, run: Run, *, needs_id: bool = False) -> None:
        self.run = run
        self.needs_id = needs_id
        self.begin = b""  # of the frame that is delivered, up to the id or the body
        self.target = NOBODY
        self.timeout = 0.0
        self.topic = ""
        self.version = -1
        self.subscribers: list[Subscription] = []


class Gathering:
    """A call to all of a process: how many answers are still to come, and how many have."""

    __slots__ = ("answers", "left")

    def __init__(self, left: int) -> None:
        self.left = left
        self.answers = 0


class Counters:
    """What went through, since the broker began."""

    __slots__ = ("calls", "delivered", "errors", "late", "published", "replies", "sent")

    def __init__(self) -> None:
        self.calls = 0
        self.replies = 0
        self.late = 0
        self.sent = 0
        self.published = 0
        self.delivered = 0
        self.errors = 0
