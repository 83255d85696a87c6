"""Who gets what: the router with peers that are not there, and frames as bytes."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pm_native.runtime.ipc.access import Rights
from pm_native.runtime.ipc.identity import Identifier
from pm_native.runtime.ipc.limits import Limits
from pm_native.runtime.ipc.outbox import OVERHEAD
from pm_native.runtime.ipc.topics import Topics, covers, is_pattern
from tests.runtime.ipc.peers import Stage, is_match


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_call_goes_to_who_serves_and_its_answer_back(stage: Stage) -> None:
    web, worker = stage.peer("web"), stage.peer("worker@1")
    stage.say(worker, op="serve")
    for number in (7, 8):  # by the full parse, then by the head that is known
        stage.say(web, op="call", to="worker", method="m", id=number, body={"a": [1]})
        (call,) = stage.heard(worker)
        expected = {"op": "call", "method": "m", "from": web.stamp, "id": call["id"], "body": {"a": [1]}}
        assert call == expected
        stage.say(worker, op="reply", id=call["id"], body="yes")
        assert stage.heard(web) == [{"op": "reply", "from": worker.stamp, "id": number, "body": "yes"}]
    assert (web.in_flight, worker.owed, stage.router.pending) == (0, 0, {})


def test_answer_to_a_call_of_the_broker_before_answers_no_other(stage: Stage) -> None:
    later = Stage()
    for one in (stage, later):
        web, worker = one.peer("web"), one.peer("worker")
        one.say(worker, op="serve")
        one.say(web, op="call", to="worker", id=1, body=1)
    old = next(iter(stage.router.pending)).decode()
    later.say(worker, op="reply", id=int(old), body="stale")
    assert later.heard(web) == []
    assert later.router.count.late == 1


def test_calls_that_cannot_be_answered_say_why(stage: Stage) -> None:
    web = stage.peer("web", Rights(call=("worker", "db")))
    errors = []
    stage.say(web, op="call", to="worker", id=1, body=1)
    worker = stage.peer("worker")
    stage.say(web, op="call", to="worker", id=2, body=1)
    stage.say(web, op="call", to="mail", id=3, body=1)
    stage.say(worker, op="serve")
    stage.say(web, op="call", to="worker", id=4, timeout=2, body=1)
    stage.now = 2
    stage.router.expire()
    stage.say(web, op="call", to="worker", id=5, body=1)
    stage.router.leave(worker)
    errors = [(item["id"], item["error"]) for item in stage.heard(web)]
    assert errors == [
        (1, "NoSuchTarget"),
        (2, "NoResponders"),
        (3, "AccessDenied"),
        (4, "Timeout"),
        (5, "TargetGone"),
    ]


def test_pool_takes_turns_and_all_of_it_can_be_asked(stage: Stage) -> None:
    web, pool = stage.peer("web"), [stage.peer(f"worker@{number}") for number in (1, 2, 3)]
    for member in pool:
        stage.say(member, op="serve")
    for number in range(1, 7):
        stage.say(web, op="call", to="worker", id=number, body=None)
    assert [len(stage.heard(member)) for member in pool] == [2, 2, 2]
    stage.say(web, op="call", to="worker@*", id="all", body=None)
    calls = [stage.heard(member)[0] for member in pool]
    stage.say(pool[0], op="reply", id=calls[0]["id"], body=1)
    stage.say(pool[1], op="error", id=calls[1]["id"], error="shop.SoldOut", message="none left")
    stage.router.leave(pool[2])
    answers = [item for item in stage.heard(web) if item["id"] == "all"]
    assert [(item["op"], item.get("error"), item.get("more")) for item in answers] == [
        ("reply", None, True),
        ("error", "shop.SoldOut", True),
        ("error", "TargetGone", True),
        ("end", None, None),
    ]
    assert answers[-1]["count"] == 1


def test_sender_cannot_stamp_itself(stage: Stage) -> None:
    web, cache = stage.peer("web"), stage.peer("cache")
    stage.say(cache, op="sub", topic="t")
    evil = b'{"op":"pub","topic":"t","body":1,"from":{"process":"root"}}'
    twice = b'{"op":"pub","topic":"t","body":1},{"from":{"process":"root"}}'
    for raw in (evil, b'{"op":"pub","topic":"t","body":0}', evil, twice):
        stage.router.receive(web, raw)
    assert [item["from"] for item in stage.heard(cache)] == [web.stamp] * 3
    assert [item["error"] for item in stage.heard(web)] == ["BadFrame"]


@pytest.mark.parametrize("policy", ["drop-oldest", "drop-newest", "disconnect"])
def test_slow_subscriber_loses_by_its_policy_and_is_told(policy: str) -> None:
    limits = Limits()
    limits.queue = 10 * (OVERHEAD + 200)
    stage = Stage(limits)
    web, cache = stage.peer("web"), stage.peer("cache")
    stage.say(cache, op="sub", topic="t", policy=policy)
    stage.heard(cache)
    cache.is_paused = True
    for number in range(1000):
        stage.say(web, op="pub", topic="t", body=number)
    assert stage.router.pool.used <= limits.queue
    if policy == "disconnect":
        assert cache.number not in stage.router.peers
        return
    got = [json.loads(data) for data in cache.outbox.take(1 << 30)]
    bodies = [item["body"] for item in got if item["op"] == "pub"]
    gaps = [(index, item["count"]) for index, item in enumerate(got) if item["op"] == "gap"]
    lost = 1000 - len(bodies)
    first = lost if policy == "drop-oldest" else 0
    assert bodies == list(range(first, first + len(bodies)))
    assert gaps == [(0 if policy == "drop-oldest" else len(bodies), lost)]
    assert stage.router.pool.used == 0


@given(
    st.lists(
        st.binary(max_size=60)
        | st.sampled_from([b'{"op":"pub","topic":"t","body":', b"1}", b'{"op":"call"}'])
    )
)
def test_no_bytes_break_the_router(pieces: list[bytes]) -> None:
    stage = Stage()
    web, other = stage.peer("web"), stage.peer("other")
    stage.say(other, op="sub", topic="**")
    stage.heard(other)
    stage.router.receive(web, b"".join(pieces).replace(b"\n", b" ") or b"x")
    for item in (*stage.heard(web), *stage.heard(other)):
        assert item["op"] in {"error", "pub"}
    assert stage.router.pending == {}


_TOPICS = st.lists(st.sampled_from(["a", "b", "$a"]), min_size=1, max_size=4).map(".".join)
_PATTERNS = (
    st.lists(st.sampled_from(["a", "b", "$a", "*", "**"]), min_size=1, max_size=4)
    .map(".".join)
    .filter(is_pattern)
)


@given(st.lists(_PATTERNS, max_size=12), st.lists(st.integers(0, 11)), _TOPICS)
def test_topics_match_as_a_simple_model_does(patterns: list[str], removed: list[int], topic: str) -> None:
    topics: Topics[int] = Topics()
    kept = dict(enumerate(patterns))
    for number, pattern in kept.items():
        topics.add(pattern, number)
    for number in removed:
        if number in kept:
            topics.remove(kept.pop(number), number)
    assert sorted(topics.match(topic)) == [
        number for number, pattern in kept.items() if is_match(pattern, topic)
    ]
    assert all(covers(pattern, topic) == is_match(pattern, topic) for pattern in patterns)


@pytest.mark.parametrize(
    ("one", "cgroup"),
    [
        ("0::/init.scope\n", "0::/shop.slice/shop-web.slice/shop-web@3.service/sub\n"),
        (
            "9:name=systemd:/\n8:pids:/\n0::/init.scope\n",
            "9:name=systemd:/\n8:pids:/\n0::/shop.slice/shop-web.slice/shop-web@3.service\n",
        ),
        (
            "4:memory:/\n1:name=systemd:/init.scope\n",
            "4:memory:/x\n1:name=systemd:/shop.slice/shop-web.slice/shop-web@3.service\n",
        ),
        (
            "0::/machine.slice/m.scope/init.scope\n",
            "0::/machine.slice/m.scope/shop.slice/shop-web.slice/shop-web@3.service\n",
        ),
    ],
    ids=["unified", "hybrid", "legacy", "container"],
)
def test_unit_and_instance_come_from_the_cgroup(one: str, cgroup: str) -> None:
    from pm_native.runtime.ipc.identity import cgroup_paths, systemd_hierarchy

    identifier = Identifier("shop", "shop.slice", {"/proc/1/cgroup": one}.__getitem__)
    path = cgroup_paths(cgroup)[systemd_hierarchy(one)[0]]
    found = identifier.locate(path, pid=1, uid=33)
    assert (found.unit, found.process, found.instance) == ("shop-web@3.service", "web", "3")
    outside = identifier.locate(path.replace("shop.slice", "other.slice"), pid=1, uid=33)
    assert (outside.process, outside.is_session) == ("", False)
