"""Managers that run: spoken to as they speak, and told of where they do not."""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path
from xmlrpc.server import SimpleXMLRPCServer

import pytest

from pm_native.errors import Diagnostics
from pm_native.importers.base import ImportOptions
from pm_native.importers.managers import running_manager
from pm_native.importers.pm2.axon import call, decode_message, encode_message
from pm_native.importers.pm2.daemon import Pm2Daemon
from pm_native.importers.running import Member, RunningManagerError
from pm_native.importers.supervisord import daemon as supervisord_daemon
from pm_native.importers.supervisord.daemon import Found, SupervisordDaemon

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PROCESSES = [
    {
        "pm_id": number,
        "name": "web",
        "pid": 100 + number,
        "pm2_env": {
            "name": "web",
            "pm_exec_path": "/bin/sleep",
            "pm_cwd": "/srv/web",
            "exec_interpreter": "none",
            "args": ["9"],
            "status": "online" if number else "stopped",
            "env": {"WORD": "one", "PATH": "/bin"},
        },
    }
    for number in (0, 1)
]


def answers(path: Path, answer: Callable[[dict[str, object]], bytes]) -> None:
    """A PM2 that answers each call as told."""
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    server.bind(str(path))
    server.listen()

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                received = b""
                while (message := decode_message(received)) is None:
                    received += connection.recv(65536)
                told = message[0][0]
                assert isinstance(told, dict)
                connection.sendall(answer(told))

    threading.Thread(target=serve, daemon=True).start()


def honest(told: dict[str, object]) -> bytes:
    if told["method"] == "getMonitorData":
        return encode_message({"args": [PROCESSES]}, "1:1")
    if told["method"] == "stopProcessId" and told["args"] == [9]:
        return encode_message({"error": "9 : id unknown", "stack": ""}, "1:1")
    return encode_message({"args": [{}]}, "1:1")


def test_messages_are_read_as_they_were_written() -> None:
    data = encode_message({"type": "call", "args": [1, "é"]}, "text")
    assert data[0] == 0x12
    assert decode_message(data + b"more") == ([{"type": "call", "args": [1, "é"]}, "text"], len(data))
    assert all(decode_message(data[:length]) is None for length in range(len(data)))


@pytest.mark.parametrize("data", [b"\x21\0\0\0\x02s:", b"\x11\xff\xff\xff\xffs:", b"\x11\0\0\0\x05j:{[}"])
def test_what_is_no_message_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - json's and our own
        decode_message(data)


def test_pm2_is_a_project_with_a_handle_for_each_process(tmp_path: Path) -> None:
    answers(tmp_path / "rpc.sock", honest)
    found = running_manager("pm2", {"PM2_HOME": str(tmp_path)})
    problems = Diagnostics()
    running = found.load(ImportOptions(environ={"PATH": "/bin"}), problems)
    assert running is not None
    (process,) = running.project.processes
    assert (process.name, process.command, process.instances) == ("web", ("/bin/sleep", "9"), 2)
    assert {name: item.value for name, item in process.environment.items()} == {"WORD": "one"}
    assert running.members == {
        "web": (Member(handle="0", is_running=False), Member(handle="1", is_running=True))
    }
    assert found.running() == {"1"}
    found.stop(["1"])
    with pytest.raises(RunningManagerError, match="PM2 refuses stopProcessId: 9 : id unknown"):
        found.stop(["9"])


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"", "PM2 closed the connection without an answer to list"),
        (b"HTTP/1.1 400 Bad Request", "is no PM2: version 4 of AMP"),
        (encode_message("text"), "what answers to list is no PM2"),
    ],
)
def test_what_is_no_pm2_is_told(tmp_path: Path, answer: bytes, message: str) -> None:
    answers(tmp_path / "rpc.sock", lambda _: answer)
    with pytest.raises(RunningManagerError, match=message):
        call(str(tmp_path / "rpc.sock"), "list")


def test_pm2_that_does_not_answer_is_waited_for_no_longer(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(str(tmp_path / "rpc.sock"))
        server.listen()
        with pytest.raises(RunningManagerError, match="PM2 did not answer to list within"):
            call(str(tmp_path / "rpc.sock"), "list", timeout_sec=0.05)


def test_pm2_that_is_not_there_is_told_with_the_places(tmp_path: Path) -> None:
    with pytest.raises(RunningManagerError) as raised:
        Pm2Daemon.find({"HOME": str(tmp_path)})
    assert raised.value.message == f"no PM2 runs: there is no rpc.sock in {tmp_path}/.pm2"


CONFIG = """\
[inet_http_server]
port = 127.0.0.1:PORT
[supervisorctl]
[program:web]
command = /bin/sleep 9
process_name = web_%(process_num)d
numprocs = 2
[program:new]
command = /bin/sleep %(ENV_WORD)s
[eventlistener:ear]
command = ear
events = TICK_5
"""


@pytest.fixture
def supervisord(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleXMLRPCServer]:
    """A supervisord that knows two of its programs' processes, an event listener and one that is gone."""
    server = SimpleXMLRPCServer(("127.0.0.1", 0), logRequests=False, allow_none=True)
    known = [
        ("web", "web_0", "RUNNING"),
        ("web", "web_1", "STOPPED"),
        ("ear", "ear", "RUNNING"),
        ("old", "old", "FATAL"),
    ]
    info = [{"group": group, "name": name, "statename": state} for group, name, state in known]
    server.register_function(lambda: info, "supervisor.getAllProcessInfo")
    server.register_function(lambda name, wait: name == "web:web_0" and wait, "supervisor.stopProcess")
    (tmp_path / "s.conf").write_text(CONFIG.replace("PORT", str(server.server_address[1])))
    found = Found(pid=1, config=tmp_path / "s.conf", directory=Path("/srv"), environ={"WORD": "7"})
    monkeypatch.setattr(supervisord_daemon, "_running", lambda _: [found])
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.usefixtures("supervisord")
def test_supervisord_is_its_config_as_it_was_started(tmp_path: Path) -> None:
    found = running_manager("supervisord", {})
    problems = Diagnostics()
    running = found.load(ImportOptions(environ={"WORD": "of the caller"}), problems)
    assert running is not None
    commands = {
        process.name: (process.command, str(process.directory)) for process in running.project.processes
    }
    assert commands == {"web": (("/bin/sleep", "9"), "/srv"), "new": (("/bin/sleep", "7"), "/srv")}
    assert running.members == {
        "web": (Member(handle="web:web_0", is_running=True), Member(handle="web:web_1", is_running=False)),
        "new": (),
    }
    said = [item.message for item in problems if item.code == "supervisord-running"]
    assert said == [
        "supervisord runs what its config no longer has: old:old",
        "the config has what supervisord does not know yet: new:new",
    ]
    assert found.running() == {"web:web_0", "ear:ear"}
    found.stop(["web:web_0"])
    with pytest.raises(RunningManagerError, match="supervisord refuses web:web_0"):
        found.start(["web:web_0"])
    assert found.place.startswith("http://127.0.0.1:")
    assert json.loads((tmp_path / "s.conf").read_text().partition("port = 127.0.0.1:")[2].split()[0]) > 0


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["/usr/bin/python3", "/usr/bin/supervisord", "-n", "-c", "/etc/s.conf"], "/etc/s.conf"),
        (["supervisord", "-cown.conf"], "/srv/own.conf"),
        (["supervisord", "--configuration=etc/s.conf"], "/srv/etc/s.conf"),
        (["vim", "supervisord"], None),
        (["python3", "-m", "pm_native", "migrate", "supervisord"], None),
    ],
)
def test_config_of_a_running_supervisord_is_that_of_its_command_line(
    words: list[str], expected: str | None
) -> None:
    is_one = supervisord_daemon._is_supervisord(words)
    assert is_one is (expected is not None)
    if is_one:
        assert str(supervisord_daemon._config_of(words, Path("/srv"))) == expected


def test_supervisord_that_is_not_clear_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [
        Found(pid=number, config=Path(f"/etc/{number}.conf"), directory=Path("/"), environ={})
        for number in (1, 2)
    ]
    monkeypatch.setattr(supervisord_daemon, "_running", lambda _: found)
    with pytest.raises(RunningManagerError, match=r"several run, with /etc/1.conf, /etc/2.conf"):
        SupervisordDaemon.find({})
    with pytest.raises(RunningManagerError, match=r"no supervisord runs with /etc/3.conf"):
        SupervisordDaemon.find({}, "/etc/3.conf")
    monkeypatch.setattr(supervisord_daemon, "_running", lambda _: [])
    with pytest.raises(RunningManagerError, match="no supervisord runs here"):
        SupervisordDaemon.find({})
