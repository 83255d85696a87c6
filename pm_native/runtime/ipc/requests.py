"""What a peer asks of the broker itself: to be known, to serve, to subscribe, to be told who is there."""

from __future__ import annotations

from pm_native.runtime.ipc import codec
from pm_native.runtime.ipc.errors import AccessDenied, BadFrame, Busy
from pm_native.runtime.ipc.frames import BODY, END, ID, VERSION, head_of
from pm_native.runtime.ipc.outbox import DROP_OLDEST, POLICIES
from pm_native.runtime.ipc.peers import Subscription
from pm_native.runtime.ipc.topics import NODE_SIZE, is_pattern

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pm_native.runtime.ipc.peers import Peer, Roster

FEATURES = ("call", "gather", "send", "publish", "peers", "monitor", "gap", "sends-only")


class Requests:
    """The requests by their `op`; each is answered where it has an id."""

    __slots__ = ("_roster", "by_op")

    def __init__(self, roster: Roster) -> None:
        self._roster = roster
        self.by_op: dict[str, Callable[[Peer, bytes, Mapping[str, object]], None]] = {
            "hello": self._hello,
            "serve": self._serve,
            "sub": self._subscribe,
            "unsub": self._unsubscribe,
            "peers": self._list_peers,
            "monitor": self._monitor,
            "ping": self._ping,
        }

    def _hello(self, peer: Peer, number: bytes, fields: Mapping[str, object]) -> None:
        version = fields.get("version", VERSION)
        if isinstance(version, bool) or not isinstance(version, int) or version < 1:
            raise BadFrame("`version` is a whole number")
        if fields.get("serve") is True:
            self._start_serving(peer, fields)
        roster = self._roster
        answer: dict[str, object] = {
            "op": "hello",
            "version": min(version, VERSION),
            "broker": roster.version,
            "features": list(FEATURES),
            "limits": roster.limits.told(),
            "you": {**peer.stamp, "name": peer.identity.name},
        }
        peer.push(_with_id(answer, number))

    def _serve(self, peer: Peer, number: bytes, fields: Mapping[str, object]) -> None:
        if fields.get("on", True) is False:
            self._roster.stop_serving(peer)
        else:
            self._start_serving(peer, fields)
        peer.acknowledge(number, 1)

    def _start_serving(self, peer: Peer, fields: Mapping[str, object]) -> None:
        if not peer.identity.process:
            raise AccessDenied("only processes of the project can be called")
        self._roster.serve(peer, answers_calls=fields.get("calls", True) is not False)

    def _subscribe(self, peer: Peer, number: bytes, fields: Mapping[str, object]) -> None:
        roster, limits = self._roster, self._roster.limits
        pattern, policy = fields.get("topic"), fields.get("policy", DROP_OLDEST)
        if not isinstance(pattern, str) or not is_pattern(pattern):
            raise BadFrame(f"not a pattern of topics: {str(pattern)[:80]!r}")
        if policy not in POLICIES or not isinstance(policy, str):
            raise BadFrame(f"`policy` is one of {', '.join(POLICIES)}")
        if not peer.rights.may_subscribe(pattern):
            raise AccessDenied(f"the rules do not let it subscribe to {pattern}")
        if (known := peer.subscriptions.get(pattern)) is not None:
            known.policy = policy
        elif len(peer.subscriptions) >= limits.subscriptions:
            raise Busy(f"a connection has at most {limits.subscriptions} subscriptions")
        elif roster.subscriptions >= limits.all_subscriptions:
            raise Busy(f"all together have at most {limits.all_subscriptions} subscriptions")
        else:
            if roster.patterns_size + NODE_SIZE * pattern.count(".") > limits.patterns:
                raise Busy("there is no memory left for subscriptions")
            roster.subscribe(Subscription(peer, pattern, policy))
        peer.acknowledge(number, len(peer.subscriptions))

    def _unsubscribe(self, peer: Peer, number: bytes, fields: Mapping[str, object]) -> None:
        subscription = peer.subscriptions.get(str(fields.get("topic")))
        if subscription is None:
            raise BadFrame("there is no such subscription")
        self._roster.forget(subscription)
        peer.acknowledge(number, len(peer.subscriptions))

    def _list_peers(self, peer: Peer, number: bytes, _: Mapping[str, object]) -> None:
        listed = [
            {
                **other.stamp,
                "name": other.identity.name,
                "serves": other.is_serving or other.is_taking,
                "subscriptions": len(other.subscriptions),
                "queued": other.outbox.size,
            }
            for other in self._roster.peers.values()
        ]
        found = {"peers": listed, "broker": self._roster.figures()}
        peer.push(_with_id({"op": "reply"}, number, found))
        self._roster.is_hurried = True  # it is long

    def _monitor(self, peer: Peer, number: bytes, _: Mapping[str, object]) -> None:
        if peer.identity.uid and peer.identity.process:
            raise AccessDenied("only root, and users at their shells, may watch all messages")
        self._roster.monitor(peer)
        peer.acknowledge(number, 1)

    def _ping(self, peer: Peer, number: bytes, _: Mapping[str, object]) -> None:
        peer.acknowledge(number, 1)


def _with_id(fields: Mapping[str, object], number: bytes, body: object = None) -> bytes:
    parts = [head_of(fields)]
    if number:
        parts += [ID, number]
    if body is not None:
        parts += [BODY, codec.encode(body)]
    return b"".join((*parts, END))
