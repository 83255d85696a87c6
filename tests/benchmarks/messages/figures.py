"""Messages a second through a broker, beside pyzmq's proxy, redis' pub/sub and dbus-daemon; all in turn, five times."""

from __future__ import annotations

import json
import os
import select
import shutil
import statistics
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from tests.benchmarks.measure import CHECKOUT, Figure
from tests.benchmarks.messages import dbus

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

ROUNDS = 5
PATIENCE_SEC = 20.0
PLAIN = {"STAGE_CODEC": "json", "PM_NATIVE_IPC_UVLOOP": "0"}
FAST = {"STAGE_CODEC": "orjson", "PM_NATIVE_IPC_UVLOOP": "1", "STAGE_SSL": "1"}
MODULE = "tests.benchmarks.messages"
ONE, HUNDRED, TOPIC = (
    "round trips/s, 1 in flight",
    "round trips/s, 100 in flight",
    "published to 10, messages/s",
)


@dataclass(slots=True)
class Stack:
    """A broker with its clients: what starts it, by the load, and what was measured of each load."""

    name: str
    module: str
    environment: dict[str, str] = field(default_factory=dict)
    loads: tuple[str, ...] = (ONE, HUNDRED, TOPIC)
    runs: dict[str, list[dict[str, float]]] = field(default_factory=dict)

    def median(self, what: str, key: str = "rate") -> float:
        """Of the rounds."""
        return statistics.median(run[key] for run in self.runs[what])

    def text(self, what: str) -> str:
        """Rate and latencies, as the table shows them."""
        p50, p99 = (f"{self.median(what, key) * 1000:.2f}" for key in ("p50", "p99"))
        return f"{self.median(what):,.0f}; p50 {p50} ms, p99 {p99} ms"


class Program:
    """A program that takes part, and what it says, a line each."""

    def __init__(self, *words: str, environment: dict[str, str]) -> None:
        # Unbuffered, so that select() knows of each line.
        self._running = subprocess.Popen(
            [*words], cwd=CHECKOUT, env={**os.environ, **environment}, stdout=subprocess.PIPE, bufsize=0
        )

    def has_said(self, seconds: float) -> bool:
        """Whether it says something, or ends, within that time."""
        assert self._running.stdout is not None
        return bool(select.select([self._running.stdout], [], [], seconds)[0])

    def line(self) -> str:
        """The next line that it says; AssertionError where none comes."""
        assert self._running.stdout is not None
        assert self.has_said(PATIENCE_SEC), "a program of a load is stuck"
        line = self._running.stdout.readline().decode()
        assert line, "a program of a load has ended"
        return line

    @property
    def pid(self) -> int:
        """Its process."""
        return self._running.pid

    def end(self) -> None:
        """Kill it."""
        self._running.kill()
        self._running.communicate()


@contextmanager
def program(*words: str, environment: dict[str, str], name: str = "") -> Iterator[Program]:
    """A program that runs until the end; our broker knows it as the process `name`."""
    started = Program(*words, environment={**environment, "STAGE_NAME": name})
    try:
        yield started
    finally:
        started.end()


def broker_words(module: str, what: str, path: str) -> list[str]:
    """The command that starts the broker."""
    if module == "ours":
        return [sys.executable, "-m", "tests.runtime.ipc.stage", path]
    if module == "zeromq":
        role = "proxy_topics" if what is TOPIC else "proxy_calls"
        return [sys.executable, "-m", MODULE, "zeromq", role, path]
    if module == "redis_pubsub":
        limits = ["--client-output-buffer-limit", "pubsub", "0", "0", "0"]
        return ["redis-server", "--port", "0", "--unixsocket", path, "--save", "", *limits]
    config = Path(f"{path}.conf")
    config.write_text(dbus.CONFIG.format(path=path), encoding="utf-8")
    # It complains of limits that it may not raise, and does without.
    return ["sh", "-c", f"exec dbus-daemon --config-file={config} --nofork --print-address 2>/dev/null"]


@contextmanager
def broker(stack: Stack, what: str, path: str) -> Iterator[Program]:
    """The broker of a stack, listening."""
    with program(*broker_words(stack.module, what, path), environment=stack.environment) as started:
        line = started.line()
        while stack.module == "redis_pubsub" and "ready to accept connections" not in line:
            line = started.line()
        yield started


def measure(stack: Stack, what: str, path: str) -> dict[str, float]:
    """One round of one load."""
    roles = [sys.executable, "-m", MODULE, stack.module]
    environment = stack.environment
    with ExitStack() as running:
        if stack.module == "echo":
            roles[-1] = "ours"
            running.enter_context(program(*roles, "echo", path, environment=environment)).line()
        else:
            running.enter_context(broker(stack, what, path))
            role = "listen" if what is TOPIC else "answer"
            alone = ["1"] if stack.module == "ours" and what is ONE else []
            other = running.enter_context(
                program(*roles, role, path, *alone, environment=environment, name="worker")
            )
            other.line()
        words = ["publish", path] if what is TOPIC else ["ask", path, "1" if what is ONE else "100"]
        own = running.enter_context(program(*roles, *words, environment=environment, name="web"))
        found: dict[str, float] = json.loads(own.line())
        if what is TOPIC:
            found |= json.loads(other.line())
    return found


def message_figures(scratch: Path) -> Iterator[Figure]:
    """All loads of all stacks; AssertionError where an answer is wrong or a message is lost."""
    plain, fast = Stack("stdlib", "ours", PLAIN), Stack("orjson and uvloop", "ours", FAST)
    peers = [Stack(f"pyzmq {version('pyzmq')} proxy", "zeromq")]
    if shutil.which("redis-server"):
        peers.append(Stack("redis pub/sub", "redis_pubsub"))
    if shutil.which("dbus-daemon"):
        peers.append(Stack("dbus-daemon, dbus-next", "dbus"))
    floors = [Stack("the same client, bare echo", "echo", given, (ONE, HUNDRED)) for given in (PLAIN, FAST)]
    number = 0
    for _ in range(ROUNDS):
        for stack in (plain, fast, *peers, *floors):
            for what in stack.loads:
                number += 1
                run = measure(stack, what, str(scratch / f"m{number}"))
                stack.runs.setdefault(what, []).append(run)
    for ours, floor, bars in (
        (plain, floors[0], {ONE: 4_000, HUNDRED: 40_000, TOPIC: 25_000}),
        (fast, floors[1], {ONE: 10_000, HUNDRED: 110_000, TOPIC: 70_000}),
    ):
        for what, bar in bars.items():
            for peer in peers:
                yield figure(ours, what, peer, bar, must_lead=True)
            if what in floor.loads:
                yield figure(ours, what, floor, bar, must_lead=False)


def figure(ours: Stack, what: str, peer: Stack, bar: int, *, must_lead: bool) -> Figure:
    """A row: ours against one peer, and against the bar."""
    rate, other = ours.median(what), peer.median(what)
    return Figure(
        f"messages ({ours.name}): {what}",
        ours.text(what),
        f"{peer.text(what)} ({peer.name})",
        f"{rate / other:.2f}",
        f"{bar:,}, ahead" if must_lead else f"{bar:,}",
        rate >= bar and (rate > other or not must_lead),
    )
