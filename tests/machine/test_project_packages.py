"""A project as a .deb and as an .rpm, on clean machines: installing starts it, an upgrade switches what differs, and no more."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass

import pytest

from tests.machine.conftest import give_up
from tests.machine.harness import CHECKOUT, Machine, MachineUnavailableError, until
from tests.machine.test_packages import needs_tools, put

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = needs_tools

# Answers with its version, one request at a time; SIGTERM lets the one at hand be answered.
SERVER = """
import os, signal, socket, sys
listener = socket.socket(fileno=3)
ending = False
def end(*_):
    global ending
    ending = True
    listener.setblocking(False)
signal.signal(signal.SIGTERM, end)
signal.siginterrupt(signal.SIGTERM, False)
while True:
    listener.settimeout(0.05)
    try:
        peer, _ = listener.accept()
    except TimeoutError:
        if ending:
            sys.exit(0)
        continue
    with peer:
        peer.settimeout(5)
        peer.recv(1000)
        peer.sendall(b"VERSION")
    if ending:
        sys.exit(0)
"""
# Asks with a new connection each time until /run/enough is there; prints how many answers of each kind came.
LOAD = """
import collections, os, socket, threading
counts = collections.Counter()
def ask():
    while not os.path.exists("/run/enough"):
        try:
            with socket.create_connection(("127.0.0.1", 3000), timeout=10) as peer:
                peer.sendall(b"?")
                answer = peer.recv(100)
            counts[answer.decode() or "nothing"] += 1
        except OSError as error:
            counts[type(error).__name__] += 1
threads = [threading.Thread(target=ask) for _ in range(8)]
[thread.start() for thread in threads]
open("/run/asking", "w").close()
[thread.join() for thread in threads]
print(dict(counts))
"""
CONFIG = """
[project]
name = "corner"
user = "corner"

[process.api]
command = ["python3", "server.py"]
instances = 3
listen = { port = 3000, share = true }
on_change = "reload"
environment = { API_KEY = "very-hush" }

[process.clock]
command = ["/bin/sleep", "infinity"]
directory = "/var"

[process.EXTRA]
command = ["/bin/sleep", "1000"]
directory = "/var"

[process.ill]
command = "/bin/BODY"
restart = "no"
directory = "/var"

[package]
maintainer = "Ann Ops <ann@corner.example>"
homepage = "https://corner.example"
directory = "/srv/corner"
users = ["corner"]
files = [
  { from = ".", to = "/srv/corner", exclude = ["dist", "*.toml"] },
]
"""
# A file of another package, which dpkg does not let go.
TAKEN = 'files = [\n  { from = "server.py", to = "/usr/bin/env" },\n'
UNINSTALLABLE = "3.0.0"
API = tuple(f"corner-api@{number}.service" for number in (1, 2, 3))


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of package, with the words that install and remove it."""

    option: str
    root: str
    install: tuple[str, ...]
    remove: tuple[str, ...]


KINDS = {
    "deb-12": Kind("--deb", "bookworm", ("dpkg", "--install"), ("dpkg", "--purge", "corner")),
    "deb-13": Kind("--deb", "trixie", ("dpkg", "--install"), ("dpkg", "--purge", "corner")),
    "rpm": Kind(
        "--rpm", "trixie", ("rpm", "--upgrade", "--nodeps"), ("rpm", "--erase", "--nodeps", "corner")
    ),
}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    return KINDS[request.param]


@pytest.fixture
def clean(kind: Kind) -> Iterator[Machine]:
    """A Debian without pm-native."""
    try:
        machine = Machine.boot(kind.root, clean=True)
    except MachineUnavailableError as error:
        give_up(str(error))
    with machine:
        yield machine


def package(folder: Path, kind: Kind, version: str, extra: str, *, body: str = "false") -> Path:
    """The package of the project at this version, with one process called `extra`, and one that runs `body`."""
    source = folder / version
    source.mkdir()
    (source / "server.py").write_text(SERVER.replace("VERSION", version), encoding="utf-8")
    config = CONFIG.replace("EXTRA", extra).replace("BODY", body)
    if version == UNINSTALLABLE:
        config = config.replace("files = [\n", TAKEN)
    (source / "pm-native.toml").write_text(config, encoding="utf-8")
    words = [sys.executable, "-m", "pm_native", "package", kind.option, "--version", version]
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    run = subprocess.run(words, cwd=source, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    return source / run.stdout.strip()


def pids(machine: Machine, *units: str) -> list[str]:
    return [machine.show(unit, "MainPID")["MainPID"] for unit in units]


def check_that_a_failed_upgrade_leaves_all_running(clean: Machine, kind: Kind, folder: Path) -> None:
    """What it has stopped for the files of its own, which did not come, runs again."""
    api = pids(clean, *API)
    refused = clean.run(
        [*kind.install, put(clean, package(folder, kind, UNINSTALLABLE, "newer"))], check=False
    )
    assert "trying to overwrite '/usr/bin/env'" in refused.stderr
    assert pids(clean, *API) == api
    clean.wait_until("corner-new.service", ActiveState="active")
    assert clean.run(["sh", "-c", "ls /run/corner.* || true"]).stdout == ""


def test_project_is_installed_upgraded_under_load_and_removed(
    clean: Machine, kind: Kind, tmp_path: Path
) -> None:
    first = package(tmp_path, kind, "1.0.0", "old")
    second = package(tmp_path, kind, "2.0.0", "new", body="sleep 1000")
    clean.run([*kind.install, put(clean, first)])
    for unit in (*API, "corner-clock.service", "corner-old.service"):
        clean.wait_until(unit, ActiveState="active")
    assert clean.run(["systemctl", "is-enabled", "corner.target"]).stdout == "enabled\n"
    clean.wait_until("corner-ill.service", ActiveState="failed")
    clock, api = pids(clean, "corner-clock.service"), pids(clean, *API)
    readable = "find /usr/share /usr/lib/systemd /var/lib/dpkg/info -perm -004 -type f 2>/dev/null"
    assert clean.run(["sh", "-c", f"grep -l very-hush $({readable})"], check=False).stdout == ""

    load = subprocess.Popen(clean.command(["python3", "-c", LOAD]), stdout=subprocess.PIPE, text=True)
    until(lambda: clean.path("/run/asking").exists(), what=lambda: "the load does not start")
    upgraded = clean.run([*kind.install, put(clean, second)])
    clean.write("/run/enough", "")
    said, _ = load.communicate(timeout=60)
    counts: dict[str, int] = eval(said)  # noqa: S307 - what LOAD printed
    assert set(counts) == {"1.0.0", "2.0.0"}, (counts, upgraded.stdout + upgraded.stderr)

    assert pids(clean, "corner-clock.service") == clock
    assert set(pids(clean, *API)).isdisjoint(api)
    assert clean.show("corner-old.service", "LoadState") == {"LoadState": "not-found"}
    clean.wait_until("corner-new.service", ActiveState="active")
    clean.wait_until("corner-ill.service", ActiveState="active")
    if kind.option == "--deb":
        check_that_a_failed_upgrade_leaves_all_running(clean, kind, tmp_path)

    clean.run(kind.remove)
    assert clean.run(["sh", "-c", "ls /run/corner.* || true"]).stdout == ""
    left = clean.run(["systemctl", "list-units", "--all", "--plain", "--no-legend", "corner*"]).stdout
    assert left == ""
    assert clean.run(["sh", "-c", "pgrep -u corner || echo none"]).stdout == "none\n"
    gone = ("/srv/corner", "/etc/pm-native", "/usr/lib/systemd/system/corner.target")
    assert [path for path in gone if clean.path(path).exists()] == []
    assert clean.run(["systemctl", "is-enabled", "corner.target"], check=False).stdout != "enabled\n"


def test_project_that_pm_native_applied_is_not_installed_beside_it(
    clean: Machine, kind: Kind, tmp_path: Path
) -> None:
    clean.write("/etc/systemd/system/corner.target", "[Unit]\nDescription=by hand\n")
    refused = clean.run([*kind.install, put(clean, package(tmp_path, kind, "1.0.0", "old"))], check=False)
    assert refused.returncode != 0
    assert "take it away first: pm-native remove corner\n" in refused.stderr
    assert not clean.path("/usr/lib/systemd/system/corner.target").exists()
