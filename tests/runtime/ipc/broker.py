"""The broker of tests that need no systemd, as a process of its own, and programs around it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

from pm_native.runtime import ipc
from tests.runtime.ipc.stage import NAME

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pm_native.runtime.ipc.client import Client

CHECKOUT = Path(__file__).parents[3]
WORKER = 'from pm_native.runtime import ipc; ipc.connect().serve({"": lambda message: message.body})'
NODE_CLIENT = Path(ipc.__file__).with_name("client.cjs")
PATIENCE = 60  # seconds that only what has failed takes


class Broker:
    """The broker on one path; started again, it is another process on the same path."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.running: subprocess.Popen[str] | None = None

    def start(self, **environment: str) -> None:
        Path(self.path).unlink(missing_ok=True)
        self.running = subprocess.Popen(
            [sys.executable, "-m", "tests.runtime.ipc.stage", self.path],
            cwd=CHECKOUT,
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self.running.stdout is not None
        assert self.running.stdout.readline() == "listening\n"

    def kill(self) -> None:
        """Kill it at once; `end` waits for it."""
        assert self.running is not None
        self.running.kill()

    def end(self, number: int = signal.SIGTERM) -> None:
        assert self.running is not None
        assert self.running.stdout is not None
        self.running.send_signal(number)
        self.running.wait(PATIENCE)
        self.running.stdout.close()

    @contextmanager
    def program(self, name: str, *argv: str) -> Iterator[subprocess.Popen[str]]:
        """A program that the broker knows as the process `name`."""
        environment = {**os.environ, NAME: name, "PM_NATIVE_IPC": self.path, "PYTHONPATH": str(CHECKOUT)}
        words = argv or (sys.executable, "-c", WORKER)
        with subprocess.Popen(
            words, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as running:
            try:
                yield running
            finally:
                running.kill()

    def wait_for(self, client: Client, *names: str) -> None:
        """Return when these serve: the broker itself says who comes."""
        deadline = time.monotonic() + PATIENCE
        while not set(names) <= {peer["name"] for peer in client.peers()["peers"] if peer["serves"]}:  # type: ignore[index]
            assert time.monotonic() < deadline, f"no {' and '.join(names)} in time"
            next(client.messages(timeout=0.05), None)
