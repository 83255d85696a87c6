"""The message channel of a program: `pm-native-run --channel`, and what systemd runs to end a program by a message."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from pm_native.runtime.channel import Channel
from pm_native.runtime.lines import PENDING_MAX
from pm_native.runtime.loop import Loop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

RUNTIME = Path(__file__).parents[2] / "pm_native/runtime"
SEND = str(RUNTIME / "send.py")
PATIENCE = 60  # seconds that only what has failed takes


class Ends:
    """A channel whose program is this test."""

    def __init__(self, path: Path) -> None:
        self.loop = Loop()
        self.ready = 0
        self.path = path
        ours, self.program = socket.socketpair()
        self.program.settimeout(PATIENCE)
        self.channel = Channel(ours.detach(), str(path), self.loop, self._said_ready)
        self.clients: list[socket.socket] = []

    def _said_ready(self) -> None:
        self.ready += 1

    def connect(self) -> socket.socket:
        """Somebody who takes part."""
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(PATIENCE)
        client.connect(str(self.path))
        self.clients.append(client)
        self.loop.step()
        return client

    def close(self) -> None:
        self.channel.close()
        for end in (self.program, *self.clients):
            end.close()


@pytest.fixture
def ends(tmp_path: Path) -> Iterator[Ends]:
    made = Ends(tmp_path / "channel")
    yield made
    made.close()
    assert not made.path.exists()


def test_word_that_it_is_ready(ends: Ends) -> None:
    ends.program.sendall(b'"rea')
    ends.loop.step()
    assert ends.ready == 0
    ends.program.sendall(b'dy"\n{"topic":"ready"}\n')
    ends.loop.step()
    assert ends.ready == 1


def test_messages_both_ways(ends: Ends) -> None:
    one, other = ends.connect(), ends.connect()
    one.sendall(b'"shut')
    ends.loop.step()
    one.sendall(b'down"\n')
    ends.loop.step()
    assert ends.program.recv(100) == b'"shutdown"\n'
    ends.program.sendall('{"type":"é"}\n'.encode())
    ends.loop.step()
    assert [client.recv(100).decode() for client in (one, other)] == ['{"type":"é"}\n'] * 2


def test_who_leaves_is_forgotten(ends: Ends) -> None:
    one, other = ends.connect(), ends.connect()
    one.close()
    ends.loop.step()
    ends.program.sendall(b"1\n")
    ends.loop.step()
    assert other.recv(100) == b"1\n"


def test_long_message_arrives_whole(ends: Ends) -> None:
    client = ends.connect()
    line = b'"' + b"x" * 500_000 + b'"\n'
    client.setblocking(False)
    sent = received = 0
    while received < len(line):
        with contextlib.suppress(BlockingIOError):
            sent += client.send(line[sent:])
        ends.loop.step()
        ends.program.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            received += len(ends.program.recv(1 << 20))
    assert received == len(line)


def test_client_that_does_not_read_is_let_go(ends: Ends) -> None:
    deaf, other = ends.connect(), ends.connect()
    line = b"x" * 60_000 + b"\n"
    for _ in range(2 * PENDING_MAX // len(line)):
        ends.program.sendall(line)
        ends.loop.step()
        got = b""
        while len(got) < len(line):
            got += other.recv(len(line))
            if len(got) < len(line):
                ends.loop.step()
    received = 0
    while data := deaf.recv(1 << 20):
        received += len(data)
    assert received < 2 * PENDING_MAX


def test_line_without_an_end_ends_the_connection(ends: Ends) -> None:
    client = ends.connect()
    sent = 0
    while sent < 2 * PENDING_MAX:
        try:
            sent += client.send(b"x" * 60_000)
        except (BrokenPipeError, ConnectionResetError):
            break
        ends.loop.step()
    assert PENDING_MAX <= sent < 2 * PENDING_MAX


def run(tmp_path: Path, *options: str, program: str, told: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a Python program behind pm-native-run, which tells systemd this and no more; how it ended.

    Its standard input ends when all has been told.
    """
    address = tmp_path / "notify"
    words = [
        sys.executable,
        "-I",
        "-S",
        str(RUNTIME / "run.py"),
        *options,
        "--",
        sys.executable,
        "-c",
        program,
    ]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(address))
        listener.settimeout(PATIENCE)
        with subprocess.Popen(
            words,
            env={
                "PATH": os.environ["PATH"],
                "NOTIFY_SOCKET": str(address),
                "PM_NATIVE_LISTEN": "stop=SIGTERM",
            },
            cwd=tmp_path,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                assert [listener.recv(4096).decode() for _ in told] == told
            finally:
                output, errors = process.communicate(timeout=PATIENCE)
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.recv(4096)
        return subprocess.CompletedProcess(words, process.returncode, output, errors)


PROGRAM = """
import os, socket, sys
channel = socket.socket(fileno=int(os.environ["NODE_CHANNEL_FD"]))
print(os.environ["NODE_CHANNEL_SERIALIZATION_MODE"], "NOTIFY_SOCKET" in os.environ)
other = socket.socket(socket.AF_UNIX)
while True:
    try:
        other.connect("channel")
        break
    except OSError:
        pass
other.sendall(b'"hello"\\n')
print(channel.recv(100))
channel.sendall(b'"ready"\\n')
print(other.recv(100))
"""


def test_program_has_a_channel(tmp_path: Path) -> None:
    told = ["STATUS=waiting for its message that it is ready", "READY=1\nSTATUS=started"]
    done = run(tmp_path, "--channel=channel", "--ready-message", program=PROGRAM, told=told)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["json False", "b'\"hello\"\\n'", "b'\"ready\"\\n'"]


def test_program_that_says_nothing_is_ready_in_time(tmp_path: Path) -> None:
    options = ("--channel=channel", "--ready-message", "--ready-after=0.05s")
    told = ["STATUS=waiting for its message that it is ready", "READY=1\nSTATUS=started"]
    assert run(tmp_path, *options, program="import sys; sys.stdin.read()", told=told).returncode == 0


def test_program_may_tell_systemd_by_a_descriptor(tmp_path: Path) -> None:
    program = (
        "import os; words = os.environ['PM_NATIVE_LISTEN'].split();"
        "os.write(int(words[-1].removeprefix('notify=')), b'READY=1'); print(words[0], len(words))"
    )
    done = run(tmp_path, "--listening", program=program, told=["READY=1"])
    assert done.stdout == "stop=SIGTERM 2\n"


def test_end_by_a_message(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "channel"))
        listener.listen()
        with subprocess.Popen(
            [sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE
        ) as program:
            words = [
                sys.executable,
                "-I",
                "-S",
                SEND,
                f"--channel={tmp_path}/channel",
                "--wait=60s",
            ]
            with subprocess.Popen([*words, '"shutdown"'], env={"MAINPID": str(program.pid)}) as sender:
                client, _ = listener.accept()
                with client:
                    assert client.recv(100) == b'"shutdown"\n'
                assert sender.poll() is None
                assert program.stdin is not None
                program.stdin.close()
                assert sender.wait(timeout=PATIENCE) == 0


@pytest.mark.parametrize(
    ("pid", "code", "words"),
    [
        ("", 0, ""),
        ("own", 1, "pm-native-send: gone/channel: No such file or directory\n"),
    ],
)
def test_nobody_to_ask(pid: str, code: int, words: str) -> None:
    run = subprocess.run(
        [
            sys.executable,
            "-I",
            "-S",
            SEND,
            "--channel=gone/channel",
            "--wait=60s",
            '"shutdown"',
        ],
        env={"MAINPID": pid.replace("own", str(os.getpid()))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stderr) == (code, words)


def test_program_that_goes_on(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "channel"))
        listener.listen()
        run = subprocess.run(
            [
                sys.executable,
                "-I",
                "-S",
                SEND,
                f"--channel={tmp_path}/channel",
                "--wait=0.01s",
                "1",
            ],
            env={"MAINPID": str(os.getpid())},
            capture_output=True,
            text=True,
            check=False,
        )
    assert (run.returncode, run.stderr) == (1, "pm-native-send: it goes on, 0.01s after the message\n")
