"""A broker as a process of its own, and clients around it that come, go, and are killed."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from pm_native.runtime import ipc
from pm_native.runtime.ipc.errors import (
    AccessDenied,
    Disconnected,
    IpcError,
    NoResponders,
    NoSuchTarget,
    TooBig,
)
from tests.runtime.ipc.broker import NODE_CLIENT, PATIENCE, Broker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pm_native.runtime.ipc.reader import Message


def test_call_send_publish_and_gather(broker: Broker) -> None:
    with broker.program("worker@1"), broker.program("worker@2"), ipc.connect(broker.path) as client:
        broker.wait_for(client, "worker@1", "worker@2")
        assert client.call("worker", {"a": [1, "é"]}) == {"a": [1, "é"]}
        answers = client.gather("worker", 5)
        assert sorted((sender["instance"], body) for sender, body in answers) == [("1", 5), ("2", 5)]
        assert client.send("worker@*", 1) == 2
        client.subscribe("cache.**")
        assert client.publish("cache.user", 7, confirm=True) == 1
        (message,) = client.messages(timeout=0.2)
        assert (message.topic, message.body, message.sender["pid"]) == ("cache.user", 7, os.getpid())
        with pytest.raises(NoSuchTarget):
            client.call("mail", 1)
        with pytest.raises(TooBig):
            client.publish("cache.user", "x" * (1 << 20))


def test_killed_broker_loses_what_was_under_way_and_repeats_nothing(broker: Broker, tmp_path: Path) -> None:
    log = tmp_path / "handled"
    worker = f"""
from pm_native.runtime import ipc
log = open({str(log)!r}, "a")
def note(message):
    print(message.body, file=log, flush=True)
    return message.body
client = ipc.connect()
while True:
    try:
        client.serve({{"": note}})
    except OSError:
        pass
"""

    async def load() -> tuple[list[int], list[int]]:
        done: list[int] = []
        lost: list[int] = []
        async with ipc.connect_async(broker.path) as client:

            async def one(number: int) -> None:
                try:
                    assert await client.call("worker", number) == number
                    done.append(number)
                except IpcError:
                    lost.append(number)

            await asyncio.gather(*(one(number) for number in range(100)))
            running = [asyncio.create_task(one(number)) for number in range(100, 900)]
            await asyncio.sleep(0)
            await asyncio.to_thread(broker.end, signal.SIGKILL)
            await asyncio.to_thread(broker.start)
            await asyncio.gather(*running)
            while True:
                try:
                    await client.call("worker", 1000)
                    break
                except (NoSuchTarget, NoResponders, Disconnected):
                    await asyncio.sleep(0.01)  # the worker connects again, by its own clock
        return done, lost

    with broker.program("worker", sys.executable, "-c", worker):
        with ipc.connect(broker.path) as watching:
            broker.wait_for(watching, "worker")
        done, lost = asyncio.run(load())
    handled = [int(line) for line in log.read_text(encoding="utf-8").split()]
    assert sorted(done + lost) == list(range(900))  # each has ended, one way or the other
    assert len(handled) == len(set(handled))  # at most once
    assert set(done) <= set(handled)


def test_killed_broker_and_what_was_published(broker: Broker) -> None:
    """Counts in are counts out, those that reached nobody, and those of which nobody knows: each once, in order."""
    heard: list[int] = []
    reached: set[int] = set()
    missed: set[int] = set()
    unknown: set[int] = set()

    async def load() -> None:
        async with ipc.connect_async(broker.path) as listening, ipc.connect_async(broker.path) as telling:
            done = asyncio.Event()

            def take(message: Message) -> None:
                if message.topic == "last":
                    done.set()
                else:
                    heard.append(message.body)  # type: ignore[arg-type]

            await listening.subscribe("load", take)
            await listening.subscribe("last", take)

            async def one(number: int) -> None:
                try:
                    count = await telling.publish("load", number, confirm=True)
                    (reached if count else missed).add(number)
                except Disconnected:
                    unknown.add(number)

            for begin in range(0, 6000, 1000):
                running = [asyncio.create_task(one(number)) for number in range(begin, begin + 1000)]
                if begin in {1000, 3000}:
                    await asyncio.sleep(
                        0
                    )  # each has written, but for the last, which the next turn of the loop sends
                    broker.kill()
                    await asyncio.to_thread(broker.end, signal.SIGKILL)
                    await asyncio.to_thread(broker.start)
                await asyncio.gather(*running)
            async with asyncio.timeout(PATIENCE):
                while not done.is_set():
                    with suppress(Disconnected):
                        await telling.publish("last", confirm=True)
                    await asyncio.sleep(0)

    asyncio.run(load())
    assert len(reached) + len(missed) + len(unknown) == 6000
    assert unknown
    assert heard == sorted(set(heard))
    assert reached <= set(heard) <= reached | unknown


def test_thousand_connections_with_a_hundred_subscriptions_each(broker: Broker) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2200:
        pytest.skip("this host allows too few open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2200), hard))
    subscriptions = b"".join(b'{"op":"sub","topic":"t.%d.*"}\n' % number for number in range(100))
    peers = [socket.socket(socket.AF_UNIX) for _ in range(1000)]
    try:
        for peer in peers:
            peer.connect(broker.path)
            peer.sendall(subscriptions + b'{"op":"ping","id":1}\n')
        readers = [peer.makefile("rb") for peer in peers]
        assert {reader.readline() for reader in readers} == {b'{"op":"ok","id":1,"count":1}\n'}
        peers[0].sendall(b'{"op":"pub","topic":"t.7.x","id":2,"body":"all"}\n')
        assert {json.loads(reader.readline())["body"] for reader in readers} == {"all"}
        assert json.loads(readers[0].readline()) == {"op": "ok", "id": 2, "count": 1000}
        for reader in readers:
            reader.close()
    finally:
        for peer in peers:
            peer.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_hundred_thousand_subscriptions_that_all_differ(broker: Broker) -> None:
    with ExitStack() as open_:
        peers = [open_.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(10)]
        readers = []
        for number, peer in enumerate(peers):
            peer.settimeout(PATIENCE)
            peer.connect(broker.path)
            topics = (f"t{number}.{index}" + (".*" if index % 2 else "") for index in range(10_000))
            peer.sendall(b"".join(b'{"op":"sub","topic":"%b"}\n' % topic.encode() for topic in topics))
            peer.sendall(b'{"op":"ping","id":1}\n')
            readers.append(open_.enter_context(peer.makefile("rb")))
        assert {reader.readline() for reader in readers} == {b'{"op":"ok","id":1,"count":1}\n'}
        with ipc.connect(broker.path) as client:
            figures = client.peers()
            assert isinstance(figures, dict)
            assert figures["broker"]["subscriptions"] == 100_000
            for number in range(10):
                assert client.publish(f"t{number}.{number * 2}", number, confirm=True) == 1
                assert client.publish(f"t{number}.{number * 2 + 1}.x", number, confirm=True) == 1
                assert client.publish(f"t{number}.{number * 2 + 1}", number, confirm=True) == 0
        for number, reader in enumerate(readers):
            frames = [json.loads(reader.readline()) for _ in range(2)]
            assert [(frame["topic"], frame["body"]) for frame in frames] == [
                (f"t{number}.{number * 2}", number),
                (f"t{number}.{number * 2 + 1}.x", number),
            ]


def test_who_never_reads_and_who_dies_within_a_frame_harm_nobody(broker: Broker) -> None:
    with socket.socket(socket.AF_UNIX) as idle, ipc.connect(broker.path) as client:
        idle.connect(broker.path)
        idle.sendall(b'{"op":"sub","topic":"t","id":1}\n')
        assert b'"ok"' in idle.recv(1000)
        with socket.socket(socket.AF_UNIX) as dying:
            dying.connect(broker.path)
            dying.sendall(b'{"op":"pub","topic":"t","bo')
        for _ in range(300):
            client.publish("t", "x" * 10_000)
        found = client.peers()
        assert isinstance(found, dict)
        queued = [peer["queued"] for peer in found["peers"] if peer["subscriptions"]]
        assert 0 < queued[0] <= 2 << 20
        figures = found["broker"]
        assert figures["dropped"] > 0
        # What is not dropped is delivered, and the gap says how many are missing.
        idle.settimeout(PATIENCE)
        got = gaps = 0
        with idle.makefile("rb") as lines:
            while got + gaps < 300:
                frame = json.loads(lines.readline())
                got += frame["op"] == "pub"
                gaps += frame.get("count", 0) if frame["op"] == "gap" else 0
        assert (got + gaps, gaps) == (300, figures["dropped"])


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody else")
def test_stranger_is_told_why_it_may_not_connect() -> None:
    code = (
        "import os, socket, sys; os.setgid(65534); os.setuid(65534); s = socket.socket(socket.AF_UNIX);"
        "s.connect(sys.argv[1]); s.sendall(b'{}\\n'); print(s.makefile().readline())"
    )
    with TemporaryDirectory() as folder:  # tmp_path is closed to others
        Path(folder).chmod(0o755)
        broker = Broker(Path(folder) / "s")
        broker.start()
        Path(broker.path).chmod(0o666)
        try:
            words = [sys.executable, "-c", code, broker.path]
            run = subprocess.run(words, capture_output=True, text=True, check=True)
        finally:
            broker.end()
    assert json.loads(run.stdout)["error"] == AccessDenied.name


def test_client_in_a_few_lines_of_plain_python_by_the_documentation(broker: Broker) -> None:
    """As docs/messages-protocol.md has it: JSON lines, an id, an answer with the same id. NUL works as well."""
    with broker.program("worker"), ipc.connect(broker.path) as client:
        broker.wait_for(client, "worker")
        with socket.socket(socket.AF_UNIX) as plain:
            plain.connect(broker.path)
            first, second = ({"id": key, "body": {"x": 1}, "to": "worker", "op": "call"} for key in "ab")
            # Once NUL is the terminator, JSON may have its newlines.
            plain.sendall(json.dumps(first).encode() + b"\0" + json.dumps(second, indent=1).encode() + b"\0")
            data = b""
            while data.count(b"\0") < 2:
                data += plain.recv(4096)
        answers = [json.loads(item) for item in data.split(b"\0")[:-1]]
        assert [(item["op"], item["id"], item["body"]) for item in answers] == [
            ("reply", "a", {"x": 1}),
            ("reply", "b", {"x": 1}),
        ]


def test_stranger_with_the_documentation_alone(broker: Broker) -> None:
    words = [sys.executable, "-I", "-S", str(Path(__file__).with_name("stranger.py"))]
    with (
        broker.program("worker@1", *words, "worker"),
        broker.program("worker@2", *words, "worker"),
        ipc.connect(broker.path) as client,
    ):
        broker.wait_for(client, "worker@1", "worker@2")
        with broker.program("web", *words, "web") as asking:
            out, _ = asking.communicate(timeout=PATIENCE)
    assert out.splitlines() == [
        "web",
        "42",
        "shop.SoldOut",
        "[('1', 2), ('2', 2)] end 2",
        "ok",
        "2",
        "[('heard.by.worker.1', 'hello'), ('heard.by.worker.2', 'hello')]",
        "NoSuchTarget",
    ]


@pytest.mark.skipif(shutil.which("socat") is None, reason="needs socat")
def test_shell_through_socat(broker: Broker) -> None:
    def socat(*frames: str) -> list[dict[str, object]]:
        words = ["socat", f"-t{PATIENCE}", "-", f"UNIX:{broker.path}"]
        text = "".join(f"{frame}\n" for frame in frames)
        run = subprocess.run(words, input=text, capture_output=True, text=True, check=True)
        return [json.loads(line) for line in run.stdout.splitlines()]

    assert socat('{"op":"ping","id":1}') == [{"op": "ok", "id": 1, "count": 1}]
    with broker.program("worker"), ipc.connect(broker.path) as client:
        broker.wait_for(client, "worker")
        # The input ends long before the answer comes.
        (answer,) = socat('{"op":"call","to":"worker","id":"a","body":[7]}')
        assert (answer["op"], answer["id"], answer["body"]) == ("reply", "a", [7])
        words = ["socat", "-", f"UNIX:{broker.path}"]
        with subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        ) as watching:
            assert watching.stdin is not None
            assert watching.stdout is not None
            watching.stdin.write('{"op":"sub","topic":"progress.**","id":1}\n')
            assert json.loads(watching.stdout.readline())["op"] == "ok"
            client.publish("progress.resize", 50)
            assert json.loads(watching.stdout.readline())["body"] == 50


def test_who_shuts_down_its_half_gets_the_answers_it_waits_for(broker: Broker) -> None:
    held = """
from pm_native.runtime import ipc
client = ipc.connect()
client.subscribe("go")
def answer(message):
    client.publish("asked")
    return next(client.messages()).body
client.serve({"": answer})
"""
    with broker.program("worker", sys.executable, "-c", held), ipc.connect(broker.path) as client:
        broker.wait_for(client, "worker")
        client.subscribe("asked")
        with socket.socket(socket.AF_UNIX) as asking:
            asking.settimeout(PATIENCE)
            asking.connect(broker.path)
            asking.sendall(b'{"op":"call","to":"worker","id":1,"body":1}\n')
            asking.shutdown(socket.SHUT_WR)
            assert next(client.messages(PATIENCE)).topic == "asked"
            client.publish("go", "now")
            with asking.makefile("rb") as lines:
                assert json.loads(lines.readline())["body"] == "now"
                assert lines.read() == b""


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def test_node_client_calls_serves_and_comes_back(broker: Broker) -> None:
    script = f"""
const ipc = require({json.dumps(str(NODE_CLIENT))});
const client = ipc.connect();
client.on("error", () => {{}});
client.serve({{ double: (message) => message.body * 2, fail: () => {{ throw new Error("no"); }} }})
  .then(() => client.subscribe("t.*", (message) => client.publish("seen", [message.topic, message.body]).catch(() => {{}})));
"""
    with broker.program("api", "node", "-e", script), ipc.connect(broker.path) as client:
        for _ in range(2):
            broker.wait_for(client, "api")
            client.subscribe("seen")
            assert client.call("api", 21, method="double") == 42
            with pytest.raises(IpcError, match="Failed: no"):
                client.call("api", 21, method="fail")
            while not client.publish("t.x", 1, confirm=True):
                pass
            message = next(client.messages(timeout=PATIENCE))
            assert (message.topic, message.body) == ("seen", ["t.x", 1])
            broker.end(signal.SIGKILL)
            broker.start()
