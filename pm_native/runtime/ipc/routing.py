"""What the broker does with each frame: who gets what, and what is said back. No I/O: a test gives it frames and a clock.

Messages are delivered at most once, and in order for each sender and target.
"""

from __future__ import annotations

import time

from pm_native.runtime.ipc import codec
from pm_native.runtime.ipc.errors import (
    AccessDenied,
    BadFrame,
    Busy,
    IpcError,
    NoResponders,
    NoSuchTarget,
    ShuttingDown,
    TargetGone,
    Timeout,
)
from pm_native.runtime.ipc.frames import BODY, END, HEAD_MAX, ID, cut, fields_of, frame, head_of, id_of
from pm_native.runtime.ipc.outbox import OVERHEAD
from pm_native.runtime.ipc.peers import Gathering, Roster, Route
from pm_native.runtime.ipc.requests import Requests
from pm_native.runtime.ipc.topics import is_topic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pm_native.runtime.ipc.limits import Limits
    from pm_native.runtime.ipc.peers import Peer, Pending, Subscription, Target

DELIVERIES = ("call", "send", "pub", "reply")
METHOD_MAX = 128
MESSAGE_MAX = 1000
ZERO, DIGITS_MAX = ord("0"), 18
ROUTE_SIZE = 512
# Heads that one peer has sent lately, each with what it means. A peer with more topics than that is only slower.
ROUTES_MAX = 32
JOINED, LEFT = "$peer.joined", "$peer.left"


class Router(Roster):
    """All peers of one project, and what they say to each other."""

    def __init__(
        self, limits: Limits, clock: Callable[[], float] = time.monotonic, version: str = ""
    ) -> None:
        super().__init__(limits, version)
        self.clock = clock
        self.pending: dict[bytes, Pending] = {}
        self.deadline = float("inf")  # the first of all pending calls, or earlier
        # Of calls. An answer to a call of the broker before this one must not pass for that of another: its ids
        # began earlier, and there are fewer calls than microseconds.
        self._serial = time.time_ns() // 1000
        self._heads = 0  # the bytes of the routes that peers have
        self._requests = {**Requests(self).by_op, "error": self._refuse}

    # What the owner of the connections tells.

    def join(self, peer: Peer) -> None:
        """A peer has connected."""
        self.peers[peer.number] = peer
        for target in self.targets_of(peer):
            target.members.append(peer)
        self._announce(JOINED, peer)

    def leave(self, peer: Peer) -> None:
        """A peer has gone: who waits for its answers is told, and nothing of it stays."""
        if self.peers.pop(peer.number, None) is None:
            return
        for target in self.targets_of(peer):
            target.members.remove(peer)
        self.stop_serving(peer)
        for subscription in list(peer.subscriptions.values()):
            self.forget(subscription)
        if peer.is_monitor:
            self.monitors.remove(peer)
        if peer.owed or peer.in_flight:
            for token in [
                token for token, (caller, _, target, *_) in self.pending.items() if peer in (caller, target)
            ]:
                self._fail(token, TargetGone("it disconnected before it answered"))
        peer.routes.clear()
        self._announce(LEFT, peer)

    def receive(self, peer: Peer, raw: bytes) -> None:
        """A peer has sent a frame; what is wrong with it is told to the peer, and to nobody else."""
        parts = cut(raw)
        if parts is not None:
            head, number, body = parts
            route = peer.routes.get(head)
            # A plain id can be sent back as it is: it is a number as JSON has it.
            if route is not None and (
                number.isdigit() and number[0] != ZERO and len(number) <= DIGITS_MAX
                if number
                else not route.needs_id
            ):
                try:
                    codec.check(body)
                except ValueError:
                    pass  # the full parse says what is wrong, or that the guess was
                else:
                    route.run(route, peer, number, body)
                    return
        if not raw.isspace():
            self._receive_any(peer, raw, parts)

    def expire(self) -> None:
        """Answer the calls whose deadline has passed; `deadline` says when to come again."""
        now = self.clock()
        for token in [token for token, item in self.pending.items() if item[3] <= now]:
            self._fail(token, Timeout("no answer in time"))
        self.deadline = min((item[3] for item in self.pending.values()), default=float("inf"))

    def close(self) -> None:
        """Answer all calls, and tell everybody: the broker goes."""
        self.is_closing = True
        for token in list(self.pending):
            self._fail(token, ShuttingDown("the broker goes down"))
        for peer in list(self.peers.values()):
            peer.push(frame({"op": "bye"}))

    def figures(self) -> dict[str, int]:
        """The counters, and what is held now."""
        return {**super().figures(), "pending": len(self.pending)}

    # One frame.

    def _receive_any(self, peer: Peer, raw: bytes, parts: tuple[bytes, bytes, bytes] | None) -> None:
        """A frame in any order of keys, or the first one with its head."""
        number = b""
        try:
            fields = fields_of(raw)
            if "id" in fields:
                number = id_of(fields["id"])
            op = fields.get("op")
            if not isinstance(op, str):
                raise BadFrame("a frame has the key `op`, a string")
            if (request := self._requests.get(op)) is not None:
                request(peer, number, fields)
                return
            if op not in DELIVERIES:
                known = ", ".join(sorted((*DELIVERIES, *self._requests)))
                raise BadFrame(f"no `op` is called {op[:40]!r}: {known}")
            head = {key: value for key, value in fields.items() if key not in {"id", "body"}}
            route = self._route(peer, op, head)
            if route.needs_id and not number:
                raise BadFrame(f"a {op} has an `id`")
            body = codec.encode(fields.get("body"))
            codec.check(body)
            if parts is not None:
                self._keep(peer, parts[0], head, route)
            route.run(route, peer, number, body)
        except IpcError as error:
            self._tell(peer, number, error)
        except (TypeError, ValueError) as error:
            self._tell(peer, number, BadFrame(str(error)))

    def _keep(self, peer: Peer, head: bytes, fields: Mapping[str, object], route: Route) -> None:
        """Know the head from now on, if it is JSON by itself, and of just these fields."""
        if len(head) > HEAD_MAX or len(fields) > 8:
            return
        try:
            alone = codec.decode(head + b"}")
        except ValueError:
            return
        if alone == fields:
            if len(peer.routes) >= ROUTES_MAX:
                peer.routes.clear()
            peer.routes[head] = route
            self._count_head(len(head) + len(route.begin) + ROUTE_SIZE)

    def _count_head(self, size: int) -> None:
        """Count what routes hold; when it is too much, begin anew: they only save work."""
        self._heads += size
        if self._heads > self.limits.heads:
            self._heads = 0
            for peer in self.peers.values():
                peer.routes.clear()

    def _route(self, peer: Peer, op: str, fields: Mapping[str, object]) -> Route:
        """What frames with this head mean; IpcError where the peer cannot or may not."""
        if op == "pub":
            return self._topic_route(peer, fields)
        if op == "reply":
            return Route(self._reply, needs_id=True)
        name, method = fields.get("to"), fields.get("method", "")
        if not isinstance(name, str) or not name:
            raise BadFrame(f"a {op} has a target: the key `to`, a string")
        if not isinstance(method, str) or len(method) > METHOD_MAX:
            raise BadFrame(f"`method` is a string of at most {METHOD_MAX} characters")
        to_all = name.endswith("@*")
        target = self.targets.get(name.removesuffix("@*"))
        process = name.partition("@")[0]
        if not peer.rights.may_call(process):
            raise AccessDenied(f"the rules do not let it call {process[:100]}")
        if target is None or not target.members:
            raise NoSuchTarget(f"no {name[:200]} is connected")
        run = (
            (self._gather if to_all else self._call)
            if op == "call"
            else self._broadcast
            if to_all
            else self._send
        )
        route = Route(run, needs_id=op == "call")
        route.target = target
        stamped = {"op": op, **({"method": method} if method else {}), "from": peer.stamp}
        route.begin = head_of(stamped) + (ID if op == "call" else BODY)
        route.timeout = self._timeout(fields)
        return route

    def _topic_route(self, peer: Peer, fields: Mapping[str, object]) -> Route:
        topic = fields.get("topic")
        if not isinstance(topic, str) or not is_topic(topic) or topic.startswith("$"):
            raise BadFrame(f"not a topic to publish on: {str(topic)[:80]!r}")
        if not peer.rights.may_publish(topic):
            raise AccessDenied(f"the rules do not let it publish on {topic}")
        route = Route(self._publish)
        route.topic = topic
        route.begin = head_of({"op": "pub", "topic": topic, "from": peer.stamp}) + BODY
        return route

    def _timeout(self, fields: Mapping[str, object]) -> float:
        seconds = fields.get("timeout", self.limits.timeout)
        if isinstance(seconds, bool) or not isinstance(seconds, int | float):
            raise BadFrame("`timeout` is a number of seconds")
        if not 0 < seconds <= self.limits.timeout_max:
            raise BadFrame(f"`timeout` is more than 0 and at most {self.limits.timeout_max} seconds")
        return float(seconds)

    # Deliveries.

    def _call(self, route: Route, peer: Peer, number: bytes, body: bytes) -> None:
        target = route.target
        if not target.serving:
            self._tell(peer, number, self._nobody(target))
            return
        if peer.in_flight >= self.limits.calls or len(self.pending) >= self.limits.all_calls:
            self._tell(peer, number, Busy("too many calls without an answer"))
            return
        member = target.next(target.serving)
        if member is None:
            self._tell(peer, number, Busy(f"the queue of {target.name} is full"))
            return
        self.count.calls += 1
        self._deliver(route, peer, number, body, member, None)

    def _deliver(  # noqa: PLR0913, PLR0917 - what a delivery is
        self, route: Route, peer: Peer, number: bytes, body: bytes, member: Peer, gathering: Gathering | None
    ) -> None:
        deadline = self.clock() + route.timeout
        if deadline < self.deadline:  # noqa: PLR1730 - min() costs more, and this is done for every call
            self.deadline = deadline
        self._serial += 1
        token = b"%d" % self._serial
        self.pending[token] = (peer, number, member, deadline, gathering)
        peer.in_flight += 1
        member.owed += 1
        member.push(b"".join((route.begin, token, BODY, body, END)))
        if self.monitors:
            self._show("call", peer, member.identity.name, body)

    def _gather(self, route: Route, peer: Peer, number: bytes, body: bytes) -> None:
        target = route.target
        members = list(target.serving)
        if not members:
            self._tell(peer, number, self._nobody(target))
            return
        calls = max(peer.in_flight, len(self.pending) + self.limits.calls - self.limits.all_calls)
        if calls + len(members) > self.limits.calls:
            self._tell(peer, number, Busy("too many calls without an answer"))
            return
        # A call has an id of its own for each: these are copies, as a send to all has none.
        copies = len(members) * (len(body) + len(route.begin) + OVERHEAD)
        if self.pool.used + copies > self.limits.queues:
            self._tell(peer, number, Busy(f"there is no memory for {len(members)} copies"))
            return
        self.is_hurried = True
        self.count.calls += 1
        gathering = Gathering(len(members))
        for member in members:
            if member.is_paused and member.outbox.is_full():
                self._tell(
                    peer, number, Busy(f"the queue of {member.identity.name} is full"), member, more=True
                )
                self._count_down(peer, number, gathering)
            else:
                self._deliver(route, peer, number, body, member, gathering)

    def _send(self, route: Route, peer: Peer, number: bytes, body: bytes) -> None:
        target = route.target
        among = target.serving or target.taking
        if not among:
            self._tell(peer, number, self._nobody(target))
        elif (member := target.next(among)) is None:
            self._tell(peer, number, Busy(f"the queue of {target.name} is full"))
        else:
            self._hand(route, peer, body, [member])
            peer.acknowledge(number, 1)

    def _broadcast(self, route: Route, peer: Peer, number: bytes, body: bytes) -> None:
        """A send to all of a process: who has no room goes without."""
        among = route.target.serving or route.target.taking
        if not among:
            self._tell(peer, number, self._nobody(route.target))
            return
        members = [item for item in among if not item.is_paused or not item.outbox.is_full()]
        self.pool.dropped += len(among) - len(members)
        self._hand(route, peer, body, members)
        peer.acknowledge(number, len(members))

    def _hand(self, route: Route, peer: Peer, body: bytes, members: list[Peer]) -> None:
        data = b"".join((route.begin, body, END))
        self.count.sent += 1
        for member in members:
            member.push(data)
            if self.monitors:
                self._show("send", peer, member.identity.name, body)

    def _publish(self, route: Route, peer: Peer, number: bytes, body: bytes) -> None:
        if route.version != self.topics.version:
            route.version = self.topics.version
            route.subscribers = _one_each(self.topics.match(route.topic))
            self._count_head(8 * len(route.subscribers))
        subscribers = route.subscribers
        self.count.published += 1
        if subscribers:
            self._spread(b"".join((route.begin, body, END)), subscribers)
        if number:
            peer.acknowledge(number, len(subscribers))
        if self.monitors:
            self._show("pub", peer, route.topic, body)

    def _spread(self, data: bytes, subscribers: list[Subscription]) -> None:
        dirty = self.dirty
        self.count.delivered += len(subscribers)
        for subscription in subscribers:
            peer = subscription.peer
            if peer.is_paused:
                if not peer.outbox.publish(data, subscription):
                    peer.drop("it does not read fast enough, and asked to be disconnected then")
                continue
            out = peer.out
            if not out:
                dirty.append(peer)
            out.append(data)

    def _reply(self, route: Route, peer: Peer, number: bytes, body: bytes) -> None:  # noqa: ARG002 - a Run
        pending = self.pending.get(number)
        if pending is None or pending[2] is not peer:
            self.count.late += 1
            return
        caller, number, _, _, gathering = self.pending.pop(number)
        self.count.replies += 1
        peer.owed -= 1
        caller.in_flight -= 1
        if gathering is None:
            caller.push(b"".join((peer.reply_head, number, BODY, body, END)))
        else:
            gathering.answers += 1
            head = head_of({"op": "reply", "from": peer.stamp, "more": True})
            caller.push(b"".join((head, ID, number, BODY, body, END)))
            self._count_down(caller, number, gathering)
        if self.monitors:
            self._show("reply", peer, caller.identity.name, body)

    def _refuse(self, peer: Peer, number: bytes, fields: Mapping[str, object]) -> None:
        """The answer to a call is an error: by a name of the program's own, which has a dot in it, or `Failed`."""
        pending = self.pending.get(number)
        if pending is None or pending[2] is not peer:
            self.count.late += 1
            return
        name, message = fields.get("error"), fields.get("message", "")
        own = isinstance(name, str) and "." in name and len(name) <= METHOD_MAX
        self._fail(number, IpcError(str(message)[:MESSAGE_MAX], str(name) if own else "Failed"))

    # What is said.

    def _tell(
        self, peer: Peer, number: bytes, error: IpcError, source: Peer | None = None, *, more: bool = False
    ) -> None:
        self.count.errors += 1
        fields: dict[str, object] = {"op": "error"}
        if source is not None:
            fields["from"] = source.stamp
        message = error.args[0] if error.args else ""
        tail = head_of({"error": error.name, "message": message, **({"more": True} if more else {})})[1:]
        begin = head_of(fields)
        peer.push(b"".join((begin, ID if number else b"", number, b",", tail, END)))

    def _fail(self, token: bytes, error: IpcError) -> None:
        """End a call without an answer."""
        caller, number, target, _, gathering = self.pending.pop(token)
        target.owed -= 1
        caller.in_flight -= 1
        if caller.number in self.peers:
            self._tell(caller, number, error, target, more=gathering is not None)
            if gathering is not None:
                self._count_down(caller, number, gathering)

    def _count_down(self, caller: Peer, number: bytes, gathering: Gathering) -> None:
        gathering.left -= 1
        if not gathering.left:
            caller.push(b'{"op":"end","id":%b,"count":%d}\n' % (number, gathering.answers))

    def _nobody(self, target: Target) -> IpcError:
        if not target.members:
            return NoSuchTarget(f"no {target.name} is connected")
        return NoResponders(f"{target.name} is connected, and answers no calls")

    def _announce(self, topic: str, peer: Peer) -> None:
        if subscribers := _one_each(self.topics.match(topic)):
            body = {**peer.stamp, "name": peer.identity.name}
            self._spread(frame({"op": "pub", "topic": topic, "from": {}, "body": body}), subscribers)

    def _show(self, kind: str, peer: Peer, to: str, body: bytes) -> None:
        """Copy a message to those who watch."""
        head = head_of({"op": "seen", "kind": kind, "time": time.time(), "to": to, "from": peer.stamp})
        data = b"".join((head, BODY, body, END))
        for monitor in self.monitors:
            if not monitor.is_paused or not monitor.outbox.is_full():
                monitor.push(data)


def _one_each(subscriptions: list[Subscription]) -> list[Subscription]:
    """One subscription of each peer: who matches twice gets a message once."""
    return list({subscription.peer: subscription for subscription in reversed(subscriptions)}.values())
