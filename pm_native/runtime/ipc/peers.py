"""Who is there: the connections as routing sees them, the names by which they are called, what they subscribe to."""

from __future__ import annotations

from pm_native.runtime.ipc.frames import ID, head_of
from pm_native.runtime.ipc.outbox import DROP_OLDEST, Backlog, Outbox, Pool
from pm_native.runtime.ipc.topics import NODE_SIZE, Topics

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pm_native.runtime.ipc.access import Rights
    from pm_native.runtime.ipc.identity import Identity
    from pm_native.runtime.ipc.limits import Limits

    Run = Callable[["Route", "Peer", bytes, bytes], None]
    # A call that was delivered and has no answer yet: caller, its id for it, target, deadline, of which gathering.
    # A tuple, since there is one for every call.
    Pending = tuple["Peer", bytes, "Peer", float, "Gathering | None"]


# What a subscription takes, with a pattern that is not short and its places in dictionaries.
SUBSCRIPTION_SIZE = 640


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
        "roster",
        "routes",
        "stamp",
        "subscriptions",
    )

    def __init__(self, roster: Roster, number: int, identity: Identity, rights: Rights) -> None:
        self.roster = roster
        self.number = number
        self.identity = identity
        self.rights = rights
        self.stamp = {"peer": number, **identity.stamp()}
        self.reply_head = head_of({"op": "reply", "from": self.stamp}) + ID
        self.routes: dict[bytes, Route] = {}
        self.out: list[bytes] = []
        self.outbox = Outbox(roster.pool)
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
            self.roster.dirty.append(self)
        self.out.append(data)

    def acknowledge(self, number: bytes, count: int) -> None:
        """Say that what it asked for was done, where it asked with an id."""
        if number:
            self.push(b'{"op":"ok","id":%b,"count":%d}\n' % (number, count))

    def drop(self, reason: str) -> None:
        """End the connection at once."""
        raise NotImplementedError


class Subscription(Backlog):
    """A pattern of one peer."""

    __slots__ = ("peer",)

    def __init__(self, peer: Peer, pattern: str, policy: str = DROP_OLDEST) -> None:
        super().__init__(pattern, policy)
        self.peer = peer


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


class Roster:
    """All peers of one project, and what all of them hold together. `dirty` are those that something is put out for."""

    def __init__(self, limits: Limits, version: str = "") -> None:
        self.limits = limits
        self.version = version
        self.pool = Pool(limits)
        self.count = Counters()
        self.peers: dict[int, Peer] = {}
        self.dirty: list[Peer] = []
        self.targets: dict[str, Target] = {}
        self.topics: Topics[Subscription] = Topics()
        self.subscriptions = 0
        self.monitors: list[Peer] = []
        # What is put out is so much that it is to be sent before the next frame is read.
        self.is_hurried = False

    def serve(self, peer: Peer, *, answers_calls: bool) -> None:
        """Calls and sends to its process may go to the peer from now on; or only sends, while nobody serves."""
        if (peer.is_serving, peer.is_taking) == (answers_calls, not answers_calls):
            return
        self.stop_serving(peer)
        peer.is_serving, peer.is_taking = answers_calls, not answers_calls
        for target in self.targets_of(peer):
            (target.serving if answers_calls else target.taking).append(peer)

    def stop_serving(self, peer: Peer) -> None:
        """Nothing goes to the peer any more."""
        if peer.is_serving or peer.is_taking:
            for target in self.targets_of(peer):
                (target.serving if peer.is_serving else target.taking).remove(peer)
                target.turn = 0
            peer.is_serving = peer.is_taking = False

    def subscribe(self, subscription: Subscription) -> None:
        """A peer has a subscription that it did not have."""
        subscription.peer.subscriptions[subscription.pattern] = subscription
        self.topics.add(subscription.pattern, subscription)
        self.subscriptions += 1

    def forget(self, subscription: Subscription) -> None:
        """A subscription has ended."""
        del subscription.peer.subscriptions[subscription.pattern]
        self.topics.remove(subscription.pattern, subscription)
        self.subscriptions -= 1

    @property
    def patterns_size(self) -> int:
        """The bytes that all subscriptions take, or a few more."""
        return SUBSCRIPTION_SIZE * self.subscriptions + NODE_SIZE * self.topics.nodes

    def monitor(self, peer: Peer) -> None:
        """The peer sees every message from now on."""
        if not peer.is_monitor:
            peer.is_monitor = True
            self.monitors.append(peer)

    def targets_of(self, peer: Peer) -> list[Target]:
        """The names that it answers to: its process, its instance."""
        identity = peer.identity
        if not identity.process:
            return []
        names = [identity.process] + ([identity.name] if identity.instance else [])
        return [self.targets.setdefault(name, Target(name, identity.process)) for name in names]

    def figures(self) -> dict[str, int]:
        """The counters, and what is held now."""
        counts = {name: getattr(self.count, name) for name in Counters.__slots__}
        return {
            **counts,
            "dropped": self.pool.dropped,
            "queued": self.pool.used,
            "subscriptions": self.subscriptions,
        }
