"""sd_notify from within a program: what systemd's end of the socket receives."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from pm_native.runtime import notify

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

HEAVY = {"asyncio", "click", "dataclasses", "dbus_next", "jinja2", "json", "logging", "psutil", "typing"}


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """systemd's end of the notification socket."""
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(path))
        listener.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))
        yield listener


def test_ready_and_status_go_in_one_message(systemd: socket.socket) -> None:
    assert notify.ready("serving on port 3000")
    assert systemd.recv(5000) == b"READY=1\nSTATUS=serving on port 3000"


def test_ready_alone(systemd: socket.socket) -> None:
    assert notify.ready()
    assert systemd.recv(5000) == b"READY=1"


def test_status_is_utf8(systemd: socket.socket) -> None:
    assert notify.status("café → 3 waiting")
    assert systemd.recv(5000) == "STATUS=café → 3 waiting".encode()


def test_status_cannot_begin_another_assignment(systemd: socket.socket) -> None:
    assert notify.status("a\nWATCHDOG=trigger\r\nb")
    assert systemd.recv(5000) == b"STATUS=a WATCHDOG=trigger b"


def test_stopping_and_more_time(systemd: socket.socket) -> None:
    assert notify.stopping("draining")
    assert systemd.recv(5000) == b"STOPPING=1\nSTATUS=draining"
    assert notify.extend_timeout(2.5)
    assert systemd.recv(5000) == b"EXTEND_TIMEOUT_USEC=2500000"


@pytest.mark.parametrize("text", ["STATUS=a\0b", "STATUS=" + "x" * 4089])
def test_what_systemd_would_not_read_is_refused(systemd: socket.socket, text: str) -> None:
    with pytest.raises(ValueError, match="at most 4095 bytes without NUL"):
        notify.send(text)
    with pytest.raises(BlockingIOError):
        systemd.recv(1)


def test_the_longest_message_arrives_whole(systemd: socket.socket) -> None:
    text = "STATUS=" + "x" * 4088
    assert notify.send(text)
    assert systemd.recv(5000) == text.encode()


def test_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert not notify.ready("anybody?")


def test_the_socket_is_gone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    assert not notify.ready()


def test_a_full_socket_does_not_hold_the_program_up(systemd: socket.socket) -> None:
    sent = 0
    while notify.status("x" * 4000):
        sent += 1
        assert sent < 100_000, "the socket never fills up"
    assert systemd.recv(5000) == b"STATUS=" + b"x" * 4000


def test_it_imports_little() -> None:
    code = "import sys, pm_native.runtime.notify; print(*sys.modules)"
    checkout = Path(__file__).parents[2]
    loaded = subprocess.check_output(
        [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(checkout)!r}); {code}"]
    )
    assert not HEAVY & set(loaded.decode().split())
