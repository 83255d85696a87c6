"""Programs started as systemd would: the listener as file descriptor 3, LISTEN_PID their own process id."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

PATIENCE = 60  # seconds that only what has failed takes


@dataclass
class Program:
    """A program under systemd's terms."""

    process: subprocess.Popen[str]
    address: tuple[str, int]
    notified: socket.socket
    clients: ExitStack

    def line(self) -> str:
        """The next line that it prints."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def connect(self) -> http.client.HTTPConnection:
        """A client that keeps its connection."""
        client = self.clients.enter_context(
            closing(http.client.HTTPConnection(*self.address, timeout=PATIENCE))
        )
        client.connect()
        return client

    def connect_raw(self) -> socket.socket:
        """A client that speaks for itself."""
        return self.clients.enter_context(socket.create_connection(self.address, timeout=PATIENCE))

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Send the stop signal."""
        self.process.send_signal(number)

    def ended(self) -> int:
        """Its exit status, once it has one."""
        return self.process.wait(timeout=PATIENCE)

    def hears(self) -> str:
        """The next notification."""
        self.notified.settimeout(PATIENCE)
        return self.notified.recv(4096).decode()

    def told(self) -> list[str]:
        """The notifications so far."""
        self.notified.setblocking(False)
        found = []
        while True:
            try:
                found.append(self.notified.recv(4096).decode())
            except BlockingIOError:
                return found


class Programs:
    """Starts programs, and ends them with the test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.started: list[Program] = []
        self.listener = socket.create_server(("127.0.0.1", 0))

    def run(
        self, *words: str, stop: str = "SIGTERM", timeout: int = 4000, idle: int = 1000, **environment: str
    ) -> Program:
        """A program that shares the listener; PORT is that of it where nothing is given."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        address = self.listener.getsockname()
        script = 'exec 3<&"$1" 4<&"$2"; shift 2; LISTEN_PID=$$ exec "$@"'
        descriptors = (self.listener.fileno(), theirs.fileno())
        process = subprocess.Popen(
            ["bash", "-c", script, "sh", *map(str, descriptors), *words],
            cwd=self.folder,
            pass_fds=descriptors,
            stdout=subprocess.PIPE,
            text=True,
            env={
                "PATH": os.environ["PATH"],
                "PORT": str(address[1]),
                "LISTEN_FDS": "1",
                "PM_NATIVE_LISTEN": f"stop={stop} timeout={timeout} backlog=64 notify=4 idle={idle}",
            }
            | environment,
        )
        theirs.close()
        program = Program(process, address, ours, ExitStack())
        self.started.append(program)
        return program

    def end(self) -> None:
        self.listener.close()
        for program in self.started:
            program.process.kill()
            program.process.wait()
            assert program.process.stdout is not None
            program.process.stdout.close()
            program.notified.close()
            program.clients.close()


def get(client: http.client.HTTPConnection, path: str = "/") -> tuple[str, str | None]:
    """What is answered, and what the answer says of the connection."""
    client.request("GET", path)
    response = client.getresponse()
    return response.read().decode(), response.getheader("Connection")


def is_closed(client: http.client.HTTPConnection) -> bool:
    """Whether the server closes the connection, sooner or later."""
    assert client.sock is not None
    return client.sock.recv(1) == b""


def last_answer(client: http.client.HTTPConnection, kept: str | None = "keep-alive") -> str:
    """The answer of a program that was sent its signal, once that is there: the last one of this connection."""
    while (answer := get(client))[1] == kept:
        pass
    assert answer[1] == "close"
    return answer[0]
