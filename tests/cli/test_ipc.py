"""`pm-native ipc`, as a shell runs it, with a broker that needs no systemd."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager

import pytest

from pm_native.runtime import ipc
from tests.runtime.ipc.broker import CHECKOUT, NODE_CLIENT, PATIENCE, Broker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DESK = """
from pm_native.runtime import ipc
from pm_native.runtime.ipc.errors import IpcError
def fail(message):
    raise IpcError("none left", "shop.SoldOut")
client = ipc.connect()
client.serve({"": lambda message: message.body, "who": lambda message: message.sender["unit"], "sell": fail})
"""


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    made = Broker(tmp_path / "s")
    made.start()
    yield made
    made.end()


@pytest.fixture
def desk(broker: Broker) -> Iterator[Broker]:
    """Two instances of `desk`, that serve."""
    words = (sys.executable, "-c", DESK)
    with (
        broker.program("desk@1", *words),
        broker.program("desk@2", *words),
        ipc.connect(broker.path) as client,
    ):
        broker.wait_for(client, "desk@1", "desk@2")
        yield broker


def run(broker: Broker, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "pm_native", "ipc", *words]
    environment = {**os.environ, "PM_NATIVE_IPC": broker.path, "NO_COLOR": "1"}
    return subprocess.run(
        argv,
        input=stdin,
        env=environment,
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )


def output(broker: Broker, *words: str, stdin: str = "") -> str:
    done = run(broker, *words, stdin=stdin)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@contextmanager
def watching(broker: Broker, *words: str) -> Iterator[subprocess.Popen[str]]:
    """A command that goes on until it has seen what it waits for."""
    argv = [sys.executable, "-m", "pm_native", "ipc", *words]
    environment = {**os.environ, "PM_NATIVE_IPC": broker.path}
    with subprocess.Popen(
        argv, env=environment, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_call_prints_the_answer(desk: Broker) -> None:
    assert output(desk, "call", "desk", '{"a": [1, "é"]}') == '{"a": [1, "é"]}\n'
    assert output(desk, "call", "desk@2", "-", "--text", stdin="two words\n") == '"two words"\n'
    assert output(desk, "call", "desk@*", "7") == "desk@1: 7\ndesk@2: 7\n"
    data = json.loads(output(desk, "call", "desk@*", "7", "--json"))["data"]
    assert [(row["from"]["instance"], row["body"], row["error"]) for row in data] == [
        ("1", 7, ""),
        ("2", 7, ""),
    ]


def test_what_goes_wrong_is_said_by_its_name(desk: Broker) -> None:
    for words, said in (
        (("call", "desk", "-m", "sell"), "error: shop.SoldOut: none left\n"),
        (("call", "mail"), "error: NoSuchTarget: no mail is connected\n"),
        (("send", "mail", "1"), "error: NoSuchTarget: no mail is connected\n"),
        (("pub", "a..b"), "error: BadFrame: not a topic to publish on: 'a..b'\n"),
        (("call", "desk@*", "-m", "sell"), "error: 2 of 2 did not answer\n"),
    ):
        done = run(desk, *words)
        assert (done.returncode, done.stderr) == (1, said)
    done = run(desk, "call", "desk", "words")
    assert (done.returncode, "the message is not JSON" in done.stderr) == (64, True)


def test_send_and_pub_say_to_how_many(desk: Broker) -> None:
    assert output(desk, "send", "desk", "1") == "sent to 1\n"
    assert output(desk, "send", "desk@*", "1") == "sent to 2\n"
    assert output(desk, "pub", "cache.user", "1") == "published to 0\n"
    with ipc.connect(desk.path) as client:
        client.subscribe("cache.*")
        assert json.loads(output(desk, "pub", "cache.user", '{"id": 7}', "--json"))["data"] == {"count": 1}
        assert next(client.messages(PATIENCE)).body == {"id": 7}


def test_monitor_shows_every_message_as_it_passes(desk: Broker) -> None:
    with ipc.connect(desk.path) as client:
        words = ("monitor", "--count", "3")
        with watching(desk, *words) as shown, watching(desk, *words, "--json") as listed:
            for process in (shown, listed):
                assert process.stderr is not None
                assert process.stderr.readline() == "watching all messages\n"
            client.call("desk@1", [1], method="who")
            client.publish("cache.user", "x")
            assert shown.stdout is not None
            assert listed.stdout is not None
            lines = shown.stdout.read().splitlines()
            items = [json.loads(line) for line in listed.stdout.read().splitlines()]
    me = client.info["you"]["unit"] or "broker"  # type: ignore[index]
    assert lines == [
        f"call  {me} -> desk@1 [1]",
        f'reply desk@1 -> - "{me if me != "broker" else ""}"',
        f'pub   {me} -> cache.user "x"',
    ]
    assert [(item["kind"], item["to"], item["body"]) for item in items] == [
        ("call", "desk@1", [1]),
        ("reply", "", me if me != "broker" else ""),
        ("pub", "cache.user", "x"),
    ]


def test_sub_ends_after_so_many_or_so_long(desk: Broker) -> None:
    with ipc.connect(desk.path) as client, watching(desk, "sub", "a.*", "b", "--count", "2") as process:
        assert process.stderr is not None
        assert process.stdout is not None
        assert process.stderr.readline() == "subscribed to a.*, b\n"
        client.publish("a.x", [1])
        client.publish("c", 0)
        client.publish("b", None)
        assert process.stdout.read() == "a.x [1]\nb null\n"
    done = run(desk, "sub", "a", "--timeout", "0.1")
    assert (done.returncode, done.stdout) == (0, "")


def test_peers_shows_who_is_there(desk: Broker) -> None:
    output(desk, "call", "desk", "1")
    lines = output(desk, "peers").splitlines()
    assert lines[0].split() == ["NAME", "PID", "UID", "SERVES", "TOPICS", "QUEUED", "UNIT"]
    assert sorted(line.split()[0] for line in lines[1:-1]) == ["-", "-", "desk@1", "desk@2"]
    assert lines[-1] == "calls 1  replies 1"


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def test_client_prints_the_file_that_node_loads(broker: Broker, tmp_path: Path) -> None:
    text = output(broker, "client")
    assert text == NODE_CLIENT.read_text(encoding="utf-8")
    (tmp_path / "client.cjs").write_text(text, encoding="utf-8")
    script = "const c = require(process.argv[1]).connect(); c.peers().then((found) => { console.log(found.peers.length); c.close(); })"
    words = ("node", "-e", script, str(tmp_path / "client.cjs"))
    with broker.program("web", *words) as running:
        assert running.communicate(timeout=PATIENCE)[0] == "1\n"


def test_no_broker_is_said_with_what_to_look_at(tmp_path: Path) -> None:
    done = run(Broker(tmp_path / "none"), "peers")
    assert done.returncode == 69
    assert "cannot connect to" in done.stderr
    assert "systemctl status" in done.stderr
