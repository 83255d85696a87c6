"""Calls, turns, sends, topics, gatherings and who is there, against a model of what docs/messages-protocol.md says."""

from __future__ import annotations

from dataclasses import dataclass, field

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.runtime.ipc.peers import Stage, is_match

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tests.runtime.ipc.peers import FakePeer

NAMES = ["web", "worker@1", "worker@2", "worker@3", "cache"]
TARGETS = ["web", "worker", "worker@2", "cache", "mail"]
TOPICS = ["a", "a.b", "a.b.c", "b"]
PATTERNS = ["a", "a.*", "a.**", "**", "*.b", "a.b", "$peer.*"]
PICK = st.integers(0, 1 << 16)


@dataclass(eq=False)
class Known:
    """What the model knows of a peer."""

    peer: FakePeer
    name: str
    serves: str = ""  # "", "sends" or "all"
    patterns: set[str] = field(default_factory=set)

    def is_called(self, target: str) -> bool:
        return target in (self.name, self.name.partition("@")[0])

    def hears(self, topic: str) -> bool:
        return any(is_match(pattern, topic) for pattern in self.patterns)


@dataclass(eq=False)
class Waiting:
    """A call that has no answer yet; `gathering` are all of the same gathering, the answered ones too."""

    caller: Known
    id: int
    target: Known
    token: object
    gathering: list[Waiting] | None = None
    is_answered: bool = False


class Routing(RuleBasedStateMachine):
    """After each step, everybody has heard what the model says, and nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self.stage = Stage()
        self.known: list[Known] = []
        self.waiting: list[Waiting] = []
        self.turns: dict[str, dict[Known, int]] = {}
        self.serial = 0
        for pick, name in enumerate(NAMES[:4]):
            self.join(name)
            self.serve(pick, "all")

    # What was heard, as the model writes it.

    def heard(self) -> dict[Known, list[tuple[object, ...]]]:
        found = {}
        for one in self.known:
            frames = [plain(frame) for frame in self.stage.heard(one.peer)]
            if frames:
                found[one] = frames
        return found

    def candidates(self, target: str, *, sends: bool) -> list[Known]:
        serving = [one for one in self.known if one.serves == "all" and one.is_called(target)]
        if serving or not sends:
            return serving
        return [one for one in self.known if one.serves == "sends" and one.is_called(target)]

    def why_not(self, target: str) -> str:
        is_there = any(one.is_called(target) for one in self.known)
        return "NoResponders" if is_there else "NoSuchTarget"

    def number(self) -> int:
        self.serial += 1
        return self.serial

    def some(self, pick: int) -> Known:
        return self.known[pick % len(self.known)]

    def told(self, topic: str, about: Known) -> dict[Known, list[tuple[object, ...]]]:
        return {one: [("pub", topic, None, about.name)] for one in self.known if one.hears(topic)}

    # Who comes and goes.

    @rule(name=st.sampled_from(NAMES))
    def join(self, name: str) -> None:
        if len(self.known) >= 8:
            return
        made = Known(self.stage.peer(name), name)
        expected = self.told("$peer.joined", made)
        self.known.append(made)
        assert self.heard() == expected

    @precondition(lambda self: len(self.known) > 2)
    @rule(pick=PICK)
    def leave(self, pick: int) -> None:
        gone = self.some(pick)
        self.known.remove(gone)
        self.turns.clear()
        self.stage.router.leave(gone.peer)
        expected: dict[Known, list[tuple[object, ...]]] = {}
        for item in [item for item in self.waiting if gone in (item.caller, item.target)]:
            self.waiting.remove(item)
            item.is_answered = True
            if item.caller is not gone:
                self.expect_error(expected, item, "TargetGone")
        for one, frames in self.told("$peer.left", gone).items():
            expected.setdefault(one, []).extend(frames)
        heard = self.heard()
        assert {one: sorted(map(str, frames)) for one, frames in heard.items()} == {
            one: sorted(map(str, frames)) for one, frames in expected.items()
        }

    @rule(pick=PICK, serves=st.sampled_from(["all", "all", "sends", ""]))
    def serve(self, pick: int, serves: str) -> None:
        one = self.some(pick)
        one.serves = serves
        self.turns.clear()
        self.stage.say(one.peer, op="serve", on=bool(serves), calls=serves == "all", id=1)
        assert self.heard() == {one: [("ok", 1, 1)]}

    # Topics.

    @rule(pick=PICK, pattern=st.sampled_from(PATTERNS))
    def subscribe(self, pick: int, pattern: str) -> None:
        one = self.some(pick)
        one.patterns.add(pattern)
        self.stage.say(one.peer, op="sub", topic=pattern, id=2)
        assert self.heard() == {one: [("ok", 2, len(one.patterns))]}

    @rule(pick=PICK, pattern=st.sampled_from(PATTERNS))
    def unsubscribe(self, pick: int, pattern: str) -> None:
        one = self.some(pick)
        is_there = pattern in one.patterns
        one.patterns.discard(pattern)
        self.stage.say(one.peer, op="unsub", topic=pattern, id=3)
        assert self.heard() == {
            one: [("ok", 3, len(one.patterns)) if is_there else ("error", 3, "BadFrame", None)]
        }

    @rule(pick=PICK, topic=st.sampled_from(TOPICS), has_id=st.booleans())
    def publish(self, pick: int, topic: str, *, has_id: bool) -> None:
        one, body = self.some(pick), self.number()
        self.stage.say(one.peer, op="pub", topic=topic, **({"id": 4} if has_id else {}), body=body)
        expected: dict[Known, list[tuple[object, ...]]] = {
            other: [("pub", topic, one.peer.number, body)] for other in self.known if other.hears(topic)
        }
        count = len(expected)
        if has_id:
            expected.setdefault(one, []).append(("ok", 4, count))
        assert self.heard() == expected

    # To a process.

    @rule(pick=PICK, to=st.sampled_from(TARGETS))
    def send(self, pick: int, to: str) -> None:
        one, body = self.some(pick), self.number()
        self.stage.say(one.peer, op="send", to=to, id=5, body=body)
        self.went_to_one(to, one, ("send", one.peer.number, body), [("ok", 5, 1)], 5, sends=True)

    @rule(pick=PICK, to=st.sampled_from(TARGETS))
    def broadcast(self, pick: int, to: str) -> None:
        one, body = self.some(pick), self.number()
        self.stage.say(one.peer, op="send", to=f"{to}@*", id=6, body=body)
        among = self.candidates(to, sends=True)
        expected: dict[Known, list[tuple[object, ...]]] = {
            other: [("send", one.peer.number, body, None)] for other in among
        }
        answer = ("ok", 6, len(among)) if among else ("error", 6, self.why_not(to), None)
        expected.setdefault(one, []).append(answer)
        assert self.heard() == expected

    @rule(pick=PICK, to=st.sampled_from(TARGETS), seconds=st.integers(1, 9))
    def call(self, pick: int, to: str, seconds: int) -> None:
        one, number = self.some(pick), self.number()
        self.stage.say(one.peer, op="call", to=to, timeout=seconds, id=number, body=number)
        found = self.went_to_one(to, one, ("call", one.peer.number, number), [], number, sends=False)
        if found is not None:
            self.waiting.append(Waiting(one, number, *found))

    @rule(pick=PICK, to=st.sampled_from(TARGETS))
    def gather(self, pick: int, to: str) -> None:
        one, number = self.some(pick), self.number()
        self.stage.say(one.peer, op="call", to=f"{to}@*", id=number, body=number)
        among = self.candidates(to, sends=False)
        heard = self.heard()
        if not among:
            assert heard == {one: [("error", number, self.why_not(to), None)]}
            return
        assert {other: [frame[:3] for frame in frames] for other, frames in heard.items()} == {
            other: [("call", one.peer.number, number)] for other in among
        }
        gathering = [Waiting(one, number, other, heard[other][0][3]) for other in among]
        for item in gathering:
            item.gathering = gathering
        self.waiting += gathering

    def went_to_one(
        self,
        target: str,
        sender: Known,
        frame: tuple[object, ...],
        answer: list[tuple[object, ...]],
        number: int,
        *,
        sends: bool,
    ) -> tuple[Known, object] | None:
        """Exactly one of those who may get it has got it, in turn; who that is, and the id that it has there."""
        among = self.candidates(target, sends=sends)
        heard = self.heard()
        if not among:
            assert heard == {sender: [("error", number, self.why_not(target), None)]}
            return None
        (chosen,) = [one for one, frames in heard.items() if any(item[:3] == frame for item in frames)]
        assert chosen in among
        token = heard[chosen].pop(0)[3]
        assert {one: frames for one, frames in heard.items() if frames} == (
            {sender: answer} if answer else {}
        )
        turns = self.turns.setdefault(target, dict.fromkeys(among, 0))
        turns[chosen] += 1
        assert max(turns.values()) - min(turns.values()) <= 1
        return chosen, token

    # Answers.

    @precondition(lambda self: self.waiting)
    @rule(pick=PICK, is_error=st.booleans())
    def answer(self, pick: int, *, is_error: bool) -> None:
        item = self.waiting.pop(pick % len(self.waiting))
        item.is_answered = True
        expected: dict[Known, list[tuple[object, ...]]] = {}
        if is_error:
            self.stage.say(item.target.peer, op="error", id=item.token, error="shop.SoldOut", message="no")
            self.expect_error(expected, item, "shop.SoldOut")
        else:
            self.stage.say(item.target.peer, op="reply", id=item.token, body="yes")
            more = item.gathering is not None or None
            self.expect(expected, item, ("reply", item.id, item.target.peer.number, "yes", more))
        assert self.heard() == expected

    @precondition(lambda self: self.waiting)
    @rule(pick=PICK)
    def answer_of_another(self, pick: int) -> None:
        item = self.waiting[pick % len(self.waiting)]
        for other in self.known:
            if other is not item.target:
                self.stage.say(other.peer, op="reply", id=item.token, body="mine")
        assert self.heard() == {}

    @precondition(lambda self: self.waiting)
    @rule()
    def time_passes(self) -> None:
        self.stage.now += 3600
        self.stage.router.expire()
        expected: dict[Known, list[tuple[object, ...]]] = {}
        for item in self.waiting:
            item.is_answered = True
            self.expect_error(expected, item, "Timeout")
        self.waiting.clear()
        assert {one: sorted(map(str, frames)) for one, frames in self.heard().items()} == {
            one: sorted(map(str, frames)) for one, frames in expected.items()
        }

    def expect_error(
        self, expected: dict[Known, list[tuple[object, ...]]], item: Waiting, name: str
    ) -> None:
        self.expect(expected, item, ("error", item.id, name, item.gathering is not None or None))

    def expect(
        self, expected: dict[Known, list[tuple[object, ...]]], item: Waiting, frame: tuple[object, ...]
    ) -> None:
        """The caller hears it; and the end of the gathering, when this was the last of it."""
        frames = expected.setdefault(item.caller, [])
        frames.append(frame)
        item.token = frame[0]  # of a gathering, what became of it
        if item.gathering and all(other.is_answered for other in item.gathering):
            done = [("end", item.id, sum(other.token == "reply" for other in item.gathering))]
            if not any(other[:2] == ("end", item.id) for other in frames):
                frames += done

    @invariant()
    def nothing_is_left_over(self) -> None:
        router = self.stage.router
        assert len(router.pending) == len(self.waiting)
        for one in self.known:
            assert one.peer.in_flight == sum(item.caller is one for item in self.waiting)
            assert one.peer.owed == sum(item.target is one for item in self.waiting)
        figures = router.figures()
        assert figures["subscriptions"] == sum(len(one.patterns) for one in self.known)
        assert (figures["queued"], figures["dropped"]) == (0, 0)
        if not figures["subscriptions"]:
            assert router.topics.nodes == 0
        assert {one.peer.number for one in self.known} == set(router.peers)


def plain(frame: dict[str, object]) -> tuple[object, ...]:
    """A frame without what the model does not know: texts, and facts of the sender but its number."""
    op, sender = frame["op"], frame.get("from")
    number = sender.get("peer") if isinstance(sender, dict) else None
    match op:
        case "pub":
            body = frame["body"]
            return op, frame["topic"], number, body["name"] if isinstance(body, dict) else body
        case "call":
            return op, number, frame["body"], frame["id"]
        case "send":
            return op, number, frame["body"], None
        case "reply":
            return op, frame["id"], number, frame["body"], frame.get("more")
        case "error":
            return op, frame["id"], frame["error"], frame.get("more")
        case _:
            return op, frame["id"], frame["count"]


TestRouting = Routing.TestCase
TestRouting.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
