"""What a client can do to the broker, whatever it does: nothing that others would notice."""

from __future__ import annotations

import json
import signal
import socket
import sys
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from pm_native.runtime import ipc
from pm_native.runtime.ipc.limits import Limits, limits_from
from tests.runtime.ipc.broker import PATIENCE, Broker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

MIB = 1 << 20
LIMITS = {
    "PM_NATIVE_IPC_CONNECTIONS": "300",
    "PM_NATIVE_IPC_QUEUES": str(16 * MIB),
    "PM_NATIVE_IPC_PATTERNS": str(8 * MIB),
    "PM_NATIVE_IPC_HEADS": str(MIB),
}
# What these limits add up to, 300 connections with it, and what one frame at its worst takes while it is looked at.
BOUND_MIB = 16 + 8 + 1 + 5 + 50


@pytest.fixture
def limited(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Broker]:
    """A broker with the limits that the test names."""
    made = Broker(tmp_path / "s")
    made.start(**request.param)
    yield made
    made.end()


def memory(broker: Broker, name: str) -> float:
    assert broker.running is not None
    status = Path(f"/proc/{broker.running.pid}/status").read_text(encoding="ascii")
    return int(status.partition(f"{name}:")[2].split()[0]) / 1024


@pytest.mark.parametrize("limited", [LIMITS], indirect=True, ids=["small"])
def test_memory_has_a_bound_and_others_are_served(limited: Broker) -> None:
    idle = memory(limited, "VmRSS")
    with limited.program(
        "worker@1", sys.executable, "-m", "tests.runtime.ipc.hostile", limited.path
    ) as running:
        out, _ = running.communicate(timeout=4 * PATIENCE)
    assert running.returncode == 0, out
    outcomes = {item["attack"]: item["outcome"] for item in map(json.loads, out.splitlines())}
    assert outcomes == {
        "many_connections": "Busy after 300",
        "never_reading": outcomes["never_reading"],  # its own connection may be the one that has to go
        "half_frames": outcomes["half_frames"],
        "giant_frames": "TooBig",
        "deep_and_wide_json": " ".join(["BadFrame"] * 8),
        "deep_patterns": "Busy: there is no memory left for subscriptions",
        "many_heads": "all sent",
        "copies": "Busy: there is no memory for 200 copies",
        "calls_without_answer": "all sent",
        "answers_not_read": "evicted",
    }
    assert memory(limited, "VmHWM") - idle < BOUND_MIB


@pytest.mark.parametrize("limited", [{"PM_NATIVE_IPC_PARTIAL_TIMEOUT": "1"}], indirect=True, ids=["1s"])
def test_frame_that_does_not_end_ends_the_connection(limited: Broker) -> None:
    with socket.socket(socket.AF_UNIX) as slow, socket.socket(socket.AF_UNIX) as idle:
        for peer in (slow, idle):
            peer.settimeout(PATIENCE)
            peer.connect(limited.path)
        idle.sendall(b'{"op":"ping","id":1}\n')
        slow.sendall(b'{"op":"ping","id":1}\n{"op":"pi')
        with slow.makefile("rb") as lines:
            assert json.loads(lines.readline()) == {"op": "ok", "id": 1, "count": 1}
            assert lines.read() == b""
        # Who has no frame begun may be silent for as long as it likes.
        assert idle.recv(100) == b'{"op":"ok","id":1,"count":1}\n'
        idle.sendall(b'{"op":"ping","id":2}\n')
        assert idle.recv(100) == b'{"op":"ok","id":2,"count":1}\n'


@pytest.mark.parametrize("limited", [{"PM_NATIVE_IPC_QUEUES": str(4 * MIB)}], indirect=True, ids=["4MiB"])
def test_who_holds_the_most_has_to_go(limited: Broker) -> None:
    sizes = [600_000] * 5 + [1000, 1_000_000]
    with ExitStack() as held, ipc.connect(limited.path) as client:
        peers = [held.enter_context(socket.socket(socket.AF_UNIX)) for _ in sizes]
        for peer, size in zip(peers, sizes, strict=True):
            peer.settimeout(PATIENCE)
            peer.connect(limited.path)
            peer.sendall(b'{"op":"pub","body":"' + b"x" * size)
        while sum(peer["queued"] for peer in client.peers()["peers"]) < sum(sizes):  # type: ignore[index]
            pass
        with suppress(OSError):  # it may be cut off in the middle
            peers[0].sendall(b"x" * 300_000)
            peers[-1].sendall(b"x" * 40_000)
        *others, greedy = peers
        with suppress(ConnectionResetError):
            assert greedy.recv(1) == b""
        for peer in others:
            peer.sendall(b'"}\n')
            assert b"BadFrame" in peer.recv(1000)  # a message without a topic, but a whole frame


def test_call_that_waits_when_the_broker_goes_down_is_told(broker: Broker) -> None:
    silent = "import sys; from pm_native.runtime import ipc; ipc.connect().serve({'': lambda message: sys.stdin.read()})"
    with broker.program("worker", sys.executable, "-c", silent), socket.socket(socket.AF_UNIX) as caller:
        caller.settimeout(PATIENCE)
        caller.connect(broker.path)
        with caller.makefile("rb") as lines:
            while True:
                caller.sendall(b'{"op":"call","to":"worker","id":1,"body":1}\n{"op":"ping","id":2}\n')
                first = json.loads(lines.readline())
                if first["op"] == "ok":  # nothing is wrong with the call: it waits
                    break
                assert first["error"] in {"NoSuchTarget", "NoResponders"}
                lines.readline()
            broker.end(signal.SIGTERM)
            told = json.loads(lines.readline())
            assert (told["op"], told["id"], told["error"]) == ("error", 1, "ShuttingDown")
            assert [json.loads(line) for line in lines.readlines()] == [{"op": "bye"}]
        broker.start()


def test_limits_come_from_the_environment() -> None:
    assert {name: getattr(limits_from({}), name) for name in Limits.__slots__} == {
        name: getattr(Limits(), name) for name in Limits.__slots__
    }
    found = limits_from({"PM_NATIVE_IPC_FRAME": "2048", "PM_NATIVE_IPC_TIMEOUT": "", "PM_NATIVE_IPC": "/x"})
    assert (found.frame, found.timeout, found.queue) == (2048, 30, MIB)


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "many", "1e3", "\u0664", " 7"])
def test_limit_that_is_no_number_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="PM_NATIVE_IPC_CALLS is to be a number above 0, not "):
        limits_from({"PM_NATIVE_IPC_CALLS": text})
