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
from pm_native.runtime.ipc.frames import (
    BODY,
    END,
    HEAD_MAX,
    ID,
    VERSION,
    cut,
    fields_of,
    frame,
    head_of,
    id_of,
)
from pm_native.runtime.ipc.outbox import DROP_OLDEST, POLICIES, Outbox, Pool, Subscription
from pm_native.runtime.ipc.topics import Topics, is_pattern, is_topic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pm_native.runtime.ipc.access import Rights
    from pm_native.runtime.ipc.identity import Identity
    from pm_native.runtime.ipc.limits import Limits

    Run = Callable[["Route", "Peer", bytes, bytes], None]
    # A call that was delivered and has no answer yet: caller, its id for it, target, deadline, of which gathering.
    # A tuple, since there is one for every call.
    Pending = tuple["Peer", bytes, "Peer", float, "Gathering | None"]

FEATURES = ("call", "gather", "send", "publish", "peers", "monitor", "gap")
DELIVERIES = ("call", "send", "pub", "reply")
METHOD_MAX = 128
MESSAGE_MAX = 1000
ZERO, DIGITS_MAX = ord("0"), 18
# Heads that one peer has sent lately, each with what it means. A peer with more topics than that is only slower.
ROUTES_MAX = 32
JOINED, LEFT = "$peer.joined", "$peer.left"


class Peer:
    """One connection, as routing sees it. Its owner sends `out` when it is `dirty`, and puts it off while `is_paused`."""

    __slots__ = (
        "identity",
        "in_flight",
        "is_monitor",
        "is_paused",
        "is_serving",
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
        self.is_serving = False
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

    def drop(self, reason: str) -> None:
        """End the connection at once."""
        raise NotImplementedError


class Target:
    """A name that can be called: a process, or an instance of it, with the peers that answer for it."""

    __slots__ = ("members", "name", "process", "serving", "turn")

    def __init__(self, name: str, process: str) -> None:
        self.name = name
        self.process = process
        self.members: list[Peer] = []
        self.serving: list[Peer] = []
        self.turn = 0

    def next(self) -> Peer | None:
        """Whose turn it is of those with room in their queue; None where none has."""
        serving = self.serving
        for _ in serving:
            self.turn = turn = (self.turn + 1) % len(serving)
            peer = serving[turn]
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


class Router:
    """All peers of one project."""

    def __init__(
        self, limits: Limits, clock: Callable[[], float] = time.monotonic, version: str = ""
    ) -> None:
        self.limits = limits
        self.clock = clock
        self.version = version
        self.pool = Pool(limits)
        self.count = Counters()
        self.peers: dict[int, Peer] = {}
        self.dirty: list[Peer] = []
        self.targets: dict[str, Target] = {}
        self.topics: Topics[Subscription] = Topics()
        self.pending: dict[bytes, Pending] = {}
        self.deadline = float("inf")  # the first of all pending calls, or earlier
        self.is_closing = False
        # Of calls. An answer to a call of the broker before this one must not pass for that of another: its ids
        # began earlier, and there are fewer calls than microseconds.
        self._serial = time.time_ns() // 1000
        self._subscriptions = 0
        self._monitors: list[Peer] = []
        self._requests: dict[str, Callable[[Peer, bytes, Mapping[str, object]], None]] = {
            "hello": self._hello,
            "serve": self._serve,
            "sub": self._subscribe,
            "unsub": self._unsubscribe,
            "error": self._refuse,
            "peers": self._list_peers,
            "monitor": self._monitor,
            "ping": self._ping,
        }

    # What the owner of the connections tells.

    def join(self, peer: Peer) -> None:
        """A peer has connected."""
        self.peers[peer.number] = peer
        for target in self._targets_of(peer):
            target.members.append(peer)
        self._announce(JOINED, peer)

    def leave(self, peer: Peer) -> None:
        """A peer has gone: who waits for its answers is told, and nothing of it stays."""
        if self.peers.pop(peer.number, None) is None:
            return
        for target in self._targets_of(peer):
            target.members.remove(peer)
            if peer.is_serving:
                target.serving.remove(peer)
                target.turn = 0
        for subscription in list(peer.subscriptions.values()):
            self._forget(subscription)
        if peer.is_monitor:
            self._monitors.remove(peer)
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
        member = target.next()
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
        if self._monitors:
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
        if not target.serving:
            self._tell(peer, number, self._nobody(target))
        elif (member := target.next()) is None:
            self._tell(peer, number, Busy(f"the queue of {target.name} is full"))
        else:
            self._hand(route, peer, body, [member])
            self._acknowledge(peer, number, 1)

    def _broadcast(self, route: Route, peer: Peer, number: bytes, body: bytes) -> None:
        """A send to all of a process: who has no room goes without."""
        target = route.target
        if not target.serving:
            self._tell(peer, number, self._nobody(target))
            return
        members = [item for item in target.serving if not item.is_paused or not item.outbox.is_full()]
        self.pool.dropped += len(target.serving) - len(members)
        self._hand(route, peer, body, members)
        self._acknowledge(peer, number, len(members))

    def _hand(self, route: Route, peer: Peer, body: bytes, members: list[Peer]) -> None:
        data = b"".join((route.begin, body, END))
        self.count.sent += 1
        for member in members:
            member.push(data)
            if self._monitors:
                self._show("send", peer, member.identity.name, body)

    def _publish(self, route: Route, peer: Peer, number: bytes, body: bytes) -> None:
        if route.version != self.topics.version:
            route.version = self.topics.version
            route.subscribers = _one_each(self.topics.match(route.topic))
        subscribers = route.subscribers
        self.count.published += 1
        if subscribers:
            self._spread(b"".join((route.begin, body, END)), subscribers)
        if number:
            self._acknowledge(peer, number, len(subscribers))
        if self._monitors:
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
        if self._monitors:
            self._show("reply", peer, caller.identity.name, body)

    # Requests to the broker itself.

    def _hello(self, peer: Peer, number: bytes, fields: Mapping[str, object]) -> None:
        version = fields.get("version", VERSION)
        if isinstance(version, bool) or not isinstance(version, int) or version < 1:
            raise BadFrame("`version` is a whole number")
        if fields.get("serve") is True:
            self._start_serving(peer)
        answer: dict[str, object] = {
            "op": "hello",
            "version": min(version, VERSION),
            "broker": self.version,
            "features": list(FEATURES),
            "limits": self.limits.told(),
            "you": {**peer.stamp, "name": peer.identity.name},
        }
        peer.push(_with_id(answer, number))

    def _serve(self, peer: Peer, number: bytes, fields: Mapping[str, object]) -> None:
        if fields.get("on", True) is False:
            self._stop_serving(peer)
        else:
            self._start_serving(peer)
        self._acknowledge(peer, number, 1)

    def _start_serving(self, peer: Peer) -> None:
        if not peer.identity.process:
            raise AccessDenied("only processes of the project can be called")
        if not peer.is_serving:
            peer.is_serving = True
            for target in self._targets_of(peer):
                target.serving.append(peer)

    def _stop_serving(self, peer: Peer) -> None:
        if peer.is_serving:
            peer.is_serving = False
            for target in self._targets_of(peer):
                target.serving.remove(peer)
                target.turn = 0

    def _subscribe(self, peer: Peer, number: bytes, fields: Mapping[str, object]) -> None:
        pattern, policy = fields.get("topic"), fields.get("policy", DROP_OLDEST)
        if not isinstance(pattern, str) or not is_pattern(pattern):
            raise BadFrame(f"not a pattern of topics: {str(pattern)[:80]!r}")
        if policy not in POLICIES or not isinstance(policy, str):
            raise BadFrame(f"`policy` is one of {', '.join(POLICIES)}")
        if not peer.rights.may_subscribe(pattern):
            raise AccessDenied(f"the rules do not let it subscribe to {pattern}")
        if (known := peer.subscriptions.get(pattern)) is not None:
            known.policy = policy
        elif len(peer.subscriptions) >= self.limits.subscriptions:
            raise Busy(f"a connection has at most {self.limits.subscriptions} subscriptions")
        elif self._subscriptions >= self.limits.all_subscriptions:
            raise Busy(f"all together have at most {self.limits.all_subscriptions} subscriptions")
        else:
            subscription = peer.subscriptions[pattern] = Subscription(peer, pattern, policy)
            self.topics.add(pattern, subscription)
            self._subscriptions += 1
        self._acknowledge(peer, number, len(peer.subscriptions))

    def _unsubscribe(self, peer: Peer, number: bytes, fields: Mapping[str, object]) -> None:
        subscription = peer.subscriptions.get(str(fields.get("topic")))
        if subscription is None:
            raise BadFrame("there is no such subscription")
        self._forget(subscription)
        self._acknowledge(peer, number, len(peer.subscriptions))

    def _forget(self, subscription: Subscription) -> None:
        del subscription.peer.subscriptions[subscription.pattern]
        self.topics.remove(subscription.pattern, subscription)
        self._subscriptions -= 1

    def _refuse(self, peer: Peer, number: bytes, fields: Mapping[str, object]) -> None:
        """The answer to a call is an error: by a name of the program's own, which has a dot in it, or `Failed`."""
        pending = self.pending.get(number)
        if pending is None or pending[2] is not peer:
            self.count.late += 1
            return
        name, message = fields.get("error"), fields.get("message", "")
        own = isinstance(name, str) and "." in name and len(name) <= METHOD_MAX
        self._fail(number, IpcError(str(message)[:MESSAGE_MAX], str(name) if own else "Failed"))

    def _list_peers(self, peer: Peer, number: bytes, _: Mapping[str, object]) -> None:
        listed = [
            {
                **other.stamp,
                "name": other.identity.name,
                "serves": other.is_serving,
                "subscriptions": len(other.subscriptions),
                "queued": other.outbox.size,
            }
            for other in self.peers.values()
        ]
        peer.push(_with_id({"op": "reply"}, number, {"peers": listed, "broker": self.figures()}))

    def figures(self) -> dict[str, int]:
        """The counters, and what is held now."""
        counts = {name: getattr(self.count, name) for name in Counters.__slots__}
        return {
            **counts,
            "dropped": self.pool.dropped,
            "queued": self.pool.used,
            "pending": len(self.pending),
            "subscriptions": self._subscriptions,
        }

    def _monitor(self, peer: Peer, number: bytes, _: Mapping[str, object]) -> None:
        if peer.identity.uid and peer.identity.process:
            raise AccessDenied("only root, and users at their shells, may watch all messages")
        if not peer.is_monitor:
            peer.is_monitor = True
            self._monitors.append(peer)
        self._acknowledge(peer, number, 1)

    def _ping(self, peer: Peer, number: bytes, _: Mapping[str, object]) -> None:
        self._acknowledge(peer, number, 1)

    # What is said.

    def _acknowledge(self, peer: Peer, number: bytes, count: int) -> None:
        if number:
            peer.push(b'{"op":"ok","id":%b,"count":%d}\n' % (number, count))

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
        for monitor in self._monitors:
            if not monitor.is_paused or not monitor.outbox.is_full():
                monitor.push(data)

    def _targets_of(self, peer: Peer) -> list[Target]:
        identity = peer.identity
        if not identity.process:
            return []
        names = [identity.process] + ([identity.name] if identity.instance else [])
        return [self.targets.setdefault(name, Target(name, identity.process)) for name in names]


def _one_each(subscriptions: list[Subscription]) -> list[Subscription]:
    """One subscription of each peer: who matches twice gets a message once."""
    return list({subscription.peer: subscription for subscription in reversed(subscriptions)}.values())


def _with_id(fields: Mapping[str, object], number: bytes, body: object = None) -> bytes:
    parts = [head_of(fields)]
    if number:
        parts += [ID, number]
    if body is not None:
        parts += [BODY, codec.encode(body)]
    return b"".join((*parts, END))
