"""Frames out of a stream, and JSON as the wire has it, whatever comes."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pm_native.runtime.ipc import codec
from pm_native.runtime.ipc.errors import TooBig
from pm_native.runtime.ipc.frames import Splitter, cut
from tests.runtime.ipc.peers import Stage

WORDS = [
    "op",
    "id",
    "to",
    "topic",
    "body",
    "method",
    "timeout",
    "serve",
    "calls",
    "policy",
    "version",
    "error",
]
OPS = [
    "hello",
    "serve",
    "call",
    "send",
    "pub",
    "sub",
    "unsub",
    "reply",
    "error",
    "peers",
    "monitor",
    "ping",
    "x",
]
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(
        [*OPS, "worker", "worker@*", "worker@1", "a.b", "a.*", "**", "$peer.left", "drop-newest"]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
FRAMES = st.dictionaries(st.sampled_from(WORDS), VALUES, max_size=6).flatmap(
    lambda fields: st.sampled_from(OPS).map(lambda op: {"op": op, **fields})
)


@given(st.lists(st.binary(max_size=20).map(lambda data: data.replace(b"\n", b"")), max_size=8), st.data())
def test_stream_gives_the_same_frames_wherever_it_is_cut(frames: list[bytes], data: st.DataObject) -> None:
    for mark in (b"\n", b"\0"):
        expected = [item.replace(b"\0", b"") for item in frames]
        stream = b"".join(item + mark for item in expected)
        cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
        splitter = Splitter()
        found = []
        for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
            found += splitter.feed(stream[begin:end])
        assert found == expected
        assert splitter.waiting == 0


@given(st.integers(1, 200), st.integers(1, 50))
def test_no_frame_is_longer_than_the_limit_however_it_comes(size: int, step: int) -> None:
    splitter = Splitter(100)
    stream = b"x" * size + b"\n"
    found = []
    try:
        for begin in range(0, len(stream), step):
            found += splitter.feed(stream[begin : begin + step])
    except TooBig:
        assert size > 100
    else:
        assert [len(item) for item in found] == [size]
        assert size <= 100


@given(st.lists(FRAMES, max_size=30), st.booleans())
@example([{"op": "call", "to": "worker", "id": 1, "body": 2}, {"op": "reply", "id": 1, "body": 2}], True)
def test_no_frames_break_the_router_and_every_fault_is_told_to_its_sender(
    frames: list[dict[str, object]],
    is_compact: bool,  # noqa: FBT001 - of hypothesis
) -> None:
    stage = Stage()
    sender, worker = stage.peer("web"), stage.peer("worker@1")
    stage.say(worker, op="serve")
    stage.say(worker, op="sub", topic="**")
    for fields in frames:
        separators = (",", ":") if is_compact else None
        stage.router.receive(sender, json.dumps(fields, separators=separators).encode())
    for frame in stage.heard(worker):
        assert frame["op"] in {"call", "send", "pub"}
        assert frame["from"] == sender.stamp
    known = {"ok", "error", "reply", "hello", "end", "seen", "gap", "call", "send", "pub"}
    assert {frame["op"] for frame in stage.heard(sender)} <= known
    for peer in (sender, worker):
        stage.router.leave(peer)
    figures = stage.router.figures()
    assert (figures["queued"], figures["pending"], figures["subscriptions"]) == (0, 0, 0)
    assert stage.router.topics.nodes == 0


@given(VALUES, st.data())
def test_both_codecs_take_and_refuse_the_same(value: object, data: st.DataObject) -> None:
    orjson = pytest.importorskip("orjson")
    text = bytearray(json.dumps(value, ensure_ascii=data.draw(st.booleans())).encode(errors="surrogatepass"))
    for _ in range(data.draw(st.integers(0, 2))):
        place = data.draw(st.integers(0, len(text)))
        text[place:place] = data.draw(
            st.sampled_from(
                [
                    b"",
                    b" ",
                    b"0",
                    b"-",
                    b"[",
                    b"}",
                    b",",
                    b'"',
                    b"\\ud800",
                    b"\xff",
                    b"e9",
                    b"\0",
                    b"\t",
                    b"7" * 320,
                ]
            )
        )
    raw = bytes(text).strip()

    def taken(decode: object) -> bool:
        try:
            decode(raw)  # type: ignore[operator]
        except ValueError:
            return False
        return True

    assert taken(codec.std_decode) == taken(orjson.loads), raw


@given(st.binary(max_size=40), st.binary(max_size=20), st.binary(max_size=40))
def test_what_is_cut_out_is_what_was_put_together(head: bytes, number: bytes, body: bytes) -> None:
    raw = b'%b,"id":%b,"body":%b}' % (head, number, body)
    parts = cut(raw)
    assert parts is None or b"\n" not in raw
    if parts is not None and parts[1]:
        assert b'%b,"id":%b,"body":%b}' % parts == raw
