"""The monitor of a whole project: what it believes, what it is while it looks, and what it keeps."""

from __future__ import annotations

import os
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pm_native.runtime import host
from pm_native.runtime.announce import announce, announcement, read_announcement
from pm_native.runtime.arguments import parse_units
from pm_native.runtime.loop import Loop
from pm_native.runtime.outside import Here, Outside, Owner, owner_of
from pm_native.runtime.place import Beside
from pm_native.runtime.probes import prober
from pm_native.runtime.target import Target
from pm_native.runtime.tell import Notifier

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Start = Callable[[], "Monitor"]

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
PATHS = st.text(st.characters(exclude_characters="\0", codec="utf-8"))


@given(st.text("abc@.-"), st.dictionaries(PATHS, st.tuples(st.integers(0, 2**63), st.integers(0, 2**63))))
def test_word_of_a_start_is_read_as_it_was_written(unit: str, ends: dict[str, tuple[int, int]]) -> None:
    assert read_announcement(announcement(unit, ends)) == (unit, ends)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_word_or_none(message: bytes) -> None:
    try:
        read_announcement(message)
    except ValueError:
        return


def test_nobody_hears(tmp_path: Path) -> None:
    assert announce(str(tmp_path / "none.sock"), "shop-api.service", {}) == "No such file or directory"


class Monitor:
    """A monitor of shop-api@.service and shop-log.service, and this process as one of them or a stranger."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.path = str(folder / "monitor.sock")
        self.unit = ""
        self.asked: list[list[str]] = []
        self.listener = listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        listener.bind(self.path)
        monkeypatch.setattr(host, "units_of", lambda pid: {self.unit} if pid == os.getpid() else set())
        monkeypatch.setattr(host.Host, "_look", self._look)
        words = ["--unit=shop-api@.service", "--port=3000+%i", "--alive", "--tcp"]
        words += ["--unit=shop-log.service", "--ready", "--output=up", f"--log={folder}/log"]
        self.loop = Loop()
        self.host = host.Host(parse_units(words), self.loop, listener, str(folder))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        listener.setblocking(False)

    def _look(self) -> None:
        wanted = self.host._wanted
        if wanted:
            self.asked.append(sorted(wanted))
            wanted.clear()

    def hears(
        self, unit: str, ends: dict[str, tuple[int, int]] | None = None, *, of: str
    ) -> list[list[str]]:
        """Which units are looked at after a word that is of `unit`, said in unit `of`."""
        self.unit = of
        assert announce(self.path, unit, ends or {}) == ""
        self.host._hear()
        self.loop.later(host.LOOK_DELAY, self.loop.stop)
        self.loop.run()
        asked, self.asked = self.asked, []
        return asked

    def end(self) -> None:
        """As if it were killed."""
        self.listener.close()
        os.close(self.host._here.network)


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Starts a monitor, in place of the one before."""
    running: list[Monitor] = []

    def start() -> Monitor:
        while running:
            running.pop().end()
            (tmp_path / "monitor.sock").unlink()
        running.append(Monitor(tmp_path, monkeypatch))
        return running[0]

    yield start
    running[0].end()


def test_only_who_starts_is_looked_at(tmp_path: Path, start: Start) -> None:
    monitor = start()
    assert monitor.hears("shop-api@7.service", of="shop-api@7.service") == [["shop-api@7.service"]]
    assert monitor.hears("shop-api@7.service", of="shop-web.service") == []
    assert monitor.hears("shop-web.service", of="shop-web.service") == []
    assert monitor.hears("../../etc/x", of="../../etc/x") == []
    assert [path.name for path in tmp_path.iterdir()] == ["monitor.sock"]


def test_where_a_log_ended_outlives_the_monitor(tmp_path: Path, start: Start) -> None:
    unit, ends = "shop-log.service", {f"{tmp_path}/log": (5, 1000)}
    assert start().hears(unit, ends, of=unit) == [[unit]]
    another = start()
    assert another.host._log_ends(unit, os.getpid()) == ends
    assert another.host._log_ends(unit, os.getpid() + 1) == {}  # of the run before
    assert another.host._log_ends("shop-api@1.service", os.getpid()) == {}
    (tmp_path / unit).write_bytes(b"")  # killed in between
    assert start().host._log_ends(unit, os.getpid()) == {}


def test_a_crowd_of_words_makes_it_look_at_all(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monitor = start()
    monitor.unit = "nobody.service"
    monkeypatch.setattr(host, "CROWD", 3)
    for _ in range(3):
        assert announce(monitor.path, "nobody.service", {}) == ""
    assert monitor.hears("nobody.service", of="nobody.service") == [
        ["shop-api@*.service", "shop-log.service"]
    ]


@pytest.mark.parametrize(
    ("path", "units"),
    [
        ("1:name=systemd:/shop.slice/shop-api.slice/shop-api@1.service", {"shop-api@1.service"}),
        ("0::/shop.slice/shop-api.slice/shop-api@1.service/below.service", {"shop-api@1.service"}),
        ("0::/user.slice/user-0.slice/user@0.service/app.slice/shop-api@1.service", {"user@0.service"}),
        ("0::/init.scope", set()),
        ("1:name=systemd:/a.service\n0::/b.slice/b.service", {"a.service", "b.service"}),
    ],
)
def test_unit_of_a_process(path: str, units: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    paths = {name: rest for _, name, rest in (line.split(":") for line in path.splitlines())}
    monkeypatch.setattr(host, "cgroup_paths", lambda _: paths)
    assert host.units_of(1) == units


def owner(**shown: str) -> tuple[int, int, list[int], str] | None:
    found = owner_of({"User": "", "UID": "[not set]", "GID": "[not set]", "DynamicUser": "no"} | shown)
    return (found.uid, found.gid, found.groups, found.directory) if found is not None else None


def test_owner_is_whom_systemd_says() -> None:
    root = os.getgrouplist("root", 0)
    assert owner() == (0, 0, sorted(root), "/")
    daemon = os.getgrouplist("daemon", 1)
    assert owner(User="daemon", UID="1", GID="1", WorkingDirectory="!/srv") == (1, 1, sorted(daemon), "/srv")
    assert owner(UID="1", GID="2", SupplementaryGroups="bin 4242 no-such-group") == (
        1,
        2,
        sorted({*os.getgrouplist("daemon", 2), 2, 4242}),
        "/",
    )
    assert owner(UID="54321", GID="54321", DynamicUser="yes") == (54321, 54321, [54321], "/")
    assert owner(UID="1", GID="1", WorkingDirectory="~") == (1, 1, sorted(daemon), "/usr/sbin")
    # Not known yet: never taken as root.
    assert owner(User="daemon") is None
    assert owner(DynamicUser="yes") is None


@needs_root
def test_files_are_opened_as_the_user_of_the_program(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("")
    secret.chmod(0o600)
    tmp_path.chmod(0o755)
    process = os.pidfd_open(os.getpid())
    place = Outside(os.getpid(), process, Owner(1, 1, [1, 4], "/"), Here(), runs_commands=False)
    before = os.getresuid(), os.getresgid(), os.getgroups()
    with place as inside:
        assert (os.geteuid(), os.getegid(), os.getgroups()) == (1, 1, [1, 4])
        with pytest.raises(PermissionError):
            open(inside.path(str(secret)))  # noqa: PTH123, SIM115 - as the probes do
    assert (os.getresuid(), os.getresgid(), os.getgroups()) == before
    with pytest.raises(ZeroDivisionError), place:
        raise ZeroDivisionError
    assert (os.getresuid(), os.getresgid(), os.getgroups()) == before
    os.close(process)


@needs_root
def test_nothing_is_told_for_a_process_that_has_ended(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        systemd.setblocking(False)
        pid = os.posix_spawn("/bin/sleep", ["sleep", "1000"], {})
        process = os.pidfd_open(pid)
        notifier = Notifier(os.fsencode(tmp_path / "notify"), pid, process)
        assert notifier.send("READY=1")
        message, ancillary, _, _ = systemd.recvmsg(100, socket.CMSG_SPACE(12))
        assert (message, int.from_bytes(ancillary[0][2][:4], "little")) == (b"READY=1", pid)
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        assert notifier.send("WATCHDOG=trigger")
        with pytest.raises(BlockingIOError):
            systemd.recv(100)
        notifier.close()
        os.close(process)


class Apart(Beside):
    """A place that others share."""

    is_shared = True


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ("echo '127.0.0.1  STREAM there'; echo '::1  STREAM'", (True, "tcp {port}")),
        ("echo '::1  STREAM there'", (False, "tcp {port} refused")),
        ("exit 2", (False, "tcp {port} nowhere.example: name or service not known")),
    ],
)
def test_names_are_looked_up_by_another_process(
    answer: str, told: tuple[bool, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = tmp_path / "getent"
    tool.write_text(f"#!/bin/sh\ntest \"$*\" = 'ahosts nowhere.example' || exit 9\n{answer}\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    loop, notifier = Loop(), Notifier(b"")
    found: list[tuple[bool, str]] = []

    def done(passed: bool, words: str) -> None:  # noqa: FBT001 - as `Done` has it
        found.append((passed, words))
        loop.stop()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        (unit,) = parse_units(["--unit=a.service", "--alive", f"--tcp=nowhere.example:{port}"])
        target = Target(
            unit,
            unit="a.service",
            pid=0,
            program=-1,
            invocation="",
            place=Apart({}),
            notifier=notifier,
            loop=loop,
            log_ends={},
        )
        prober(unit.phases["alive"].probes[0], target, loop, done).begin()
        loop.run()
        notifier.close()
        assert found == [(told[0], told[1].format(port=port))]
