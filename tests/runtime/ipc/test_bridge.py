"""Programs that speak by Node's channel, as members of their project: `process.send()` and `process.on("message")`."""

from __future__ import annotations

import json
import shutil
import socket
import sys
import time
from contextlib import contextmanager

import pytest

from pm_native.runtime import ipc
from pm_native.runtime.bridge import topic_of
from pm_native.runtime.ipc.errors import IpcError, NoResponders
from tests.runtime.ipc.broker import CHECKOUT, PATIENCE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from subprocess import Popen

    from pm_native.runtime.ipc.client import Client
    from tests.runtime.ipc.broker import Broker

RUN = str(CHECKOUT / "pm_native/runtime/run.py")
# Says what it hears, and then what it was told to say at its start.
PROGRAM = """
import os, sys
channel = open(int(os.environ["NODE_CHANNEL_FD"]), "r+b", buffering=0)
channel.write(sys.argv[1].encode() + b"\\n")
while line := channel.readline():
    print(line.decode(), end="", flush=True)
    if line == b'"end"\\n':
        channel.write(b'"last"\\n')
        break
"""
NODE = """
process.on("message", (message) => process.send({ type: "process:msg", data: { heard: message } }));
process.send({ type: "up", data: { pid: process.pid } });
"""


@pytest.mark.parametrize(
    ("line", "topic"),
    [
        ('{"type":"process:msg","data":{"success":true}}', "process:msg"),
        ('{"type":"order.paid","data":7}', "order.paid"),
        ('{"data":1,"type":"caf\\u00e9"}', "process:msg"),
        ('{"type":"a b","data":1}', "process:msg"),
        ('{"type":"$peer.left","data":1}', "process:msg"),
        ('{"type":"cache.*","data":1}', "process:msg"),
        ('{"type":"say\\"it","data":1}', "process:msg"),
        ('{"type":"order.paid"}', "process:msg"),
        ('{"type":["data"],"data":1}', "process:msg"),
        ('{"note":"\\"type\\"","data":1}', "process:msg"),
        ('{"type":"x","data":', "process:msg"),
        ('"type data"', "process:msg"),
        ("[" * 100_000, "process:msg"),
        ('{"type":"x","data":' + "[" * 100_000, "process:msg"),
    ],
)
def test_topic_is_the_type_of_a_message_as_on_the_bus_of_pm2(line: str, topic: str) -> None:
    assert topic_of(line.encode()) == topic


@contextmanager
def channelled(broker: Broker, folder: Path, *command: str) -> Iterator[Popen[str]]:
    """A program with a channel, under its monitor, that the broker knows as the process `api`."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(folder / "notify"))
        words = ["env", f"NOTIFY_SOCKET={folder}/notify", sys.executable, "-I", "-S", RUN]
        words += [f"--channel={folder}/channel", "--", *command]
        with broker.program("api", *words) as running:
            yield running


def heard(client: Client) -> tuple[str, object, object]:
    message = next(client.messages(timeout=PATIENCE))
    return message.topic, message.body, message.sender["process"]


def test_what_is_sent_comes_by_the_channel_and_what_is_said_is_published(
    broker: Broker, tmp_path: Path
) -> None:
    first = '{"type":"up","data":1}'
    with ipc.connect(broker.path) as client:
        client.subscribe("**")
        with channelled(broker, tmp_path, sys.executable, "-c", PROGRAM, first) as program:
            assert heard(client) == ("up", {"type": "up", "data": 1}, "api")
            broker.wait_for(client, "api")
            # It takes messages, and answers no calls.
            with pytest.raises(NoResponders):
                client.call("api", 1)
            packet = {"topic": "café", "data": {"a": [1, "}", "\n"]}, "type": "process:msg"}
            assert client.send("api", packet) == 1
            assert client.send("api@*", "end") == 1
            assert program.stdout is not None
            assert [json.loads(program.stdout.readline()) for _ in range(2)] == [packet, "end"]
            # What it said to the last is published, though it has ended.
            assert heard(client) == ("process:msg", "last", "api")


def wait_until_called(client: Client, *, is_answered: bool) -> None:
    """Call until there is an answer, or no longer one."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            if client.call("api", 5) == 5 and is_answered:
                return
        except IpcError as error:
            if not is_answered and isinstance(error, NoResponders):
                return
        assert time.monotonic() < deadline
        next(client.messages(timeout=0.05), None)


def test_who_serves_gets_what_is_sent_and_the_channel_does_not(broker: Broker, tmp_path: Path) -> None:
    with (
        ipc.connect(broker.path) as client,
        channelled(broker, tmp_path, sys.executable, "-c", PROGRAM, "1") as program,
    ):
        broker.wait_for(client, "api")
        with broker.program("api"):
            wait_until_called(client, is_answered=True)
            assert client.send("api", "to who serves") == 1
        wait_until_called(client, is_answered=False)
        client.send("api", "end")
        assert program.stdout is not None
        lines = program.stdout.read().split("\n")
    assert '"to who serves"' not in lines
    assert lines[-2] == '"end"'


def test_broker_that_comes_back_finds_the_channel_again(broker: Broker, tmp_path: Path) -> None:
    with channelled(broker, tmp_path, sys.executable, "-c", PROGRAM, "1") as program:
        with ipc.connect(broker.path) as client:
            broker.wait_for(client, "api")
            broker.end()
            broker.start()
            broker.wait_for(client, "api")
            client.send("api", "end")
        assert program.stdout is not None
        assert program.stdout.read() == '"end"\n'


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def test_node_program_of_pm2_as_it_is(broker: Broker, tmp_path: Path) -> None:
    with ipc.connect(broker.path) as client:
        client.subscribe("up")
        client.subscribe("process:msg")
        with channelled(broker, tmp_path, "node", "-e", NODE) as program:
            assert heard(client) == ("up", {"type": "up", "data": {"pid": program.pid}}, "api")
            broker.wait_for(client, "api")
            packet = {"id": 0, "type": "process:msg", "topic": "greet", "data": {"hello": "wörld"}}
            client.send("api", packet)
            body = {"type": "process:msg", "data": {"heard": packet}}
            assert heard(client) == ("process:msg", body, "api")
