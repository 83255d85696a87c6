"""Watchers of circus under systemd: started, given up, stopped and logged as circus does it."""

from __future__ import annotations

import pytest

from tests.machine.behaviour import (
    ACTOR,
    FAMILY,
    LISTENER,
    Systemd,
    all_hear,
    answers_of_two,
    check_starts,
    last_words,
    let_go,
    logs,
    signals_of_stop,
    trace,
)
from tests.machine.harness import until
from tests.machine.sites import Site

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.machine.harness import Machine

HEAD = """\
[circus]
endpoint = ipc://FOLDER/circus.sock
pubsub_endpoint = ipc://FOLDER/circus.pub
check_delay = 0.5
[plugin:flapping]
use = circus.plugins.flapping.Flapping
attempts = 2
window = 20
retry_in = 1
max_retry = 1
[socket:listener]
path = FOLDER/listener.sock
family = AF_UNIX
"""
OFF = "flapping.active=False"  # the plugin would give up what is meant to come back
WATCHERS = {
    "zero": ("exit=0 after=0.3", OFF),
    "three": ("exit=3 after=0.3", OFF),
    "killed": ("die=SIGKILL after=0.3", OFF),
    "once": ("go exit=0", "respawn=False"),
    "once-three": ("go exit=3", "respawn=False"),
    "aged": ("after=1", f"max_age=1 max_age_variance=0 {OFF}"),
    "flaps": ("exit=3", ""),
    "term": ("", ""),
    "usr1": ("", "stop_signal=USR1"),
    "deaf": ("deaf", "graceful_timeout=2 stop_signal=QUIT"),
    "alone": ("family", ""),
    "with-children": ("family", "stop_children=True"),
    "hup": ("deaf", "send_hup=True graceful_timeout=1"),
    "counted": ("wid=$(circus.wid)", "numprocesses=3"),
    "off": ("", "autostart=False"),
    "files": (
        "",
        "stdout_stream.class=FileStream stdout_stream.filename=FOLDER/files.out stderr_stream.class=FileStream stderr_stream.filename=FOLDER/files.err",
    ),
}
SOCKET = """
[watcher:listener]
cmd = python3 -S FOLDER/listener.py $(circus.sockets.listener)
numprocesses = 2
use_sockets = True
copy_env = True
"""
GOES_ON = {"zero", "three", "killed", "aged"}
STARTED_ONCE = {"once", "once-three"}
HEARD = {"term": {"main": ["SIGTERM"]}, "usr1": {"main": ["SIGUSR1"]}, "deaf": {"main": ["SIGQUIT"]}}


def config(folder: str) -> str:
    parts = [HEAD, SOCKET]
    for name, (words, settings) in WATCHERS.items():
        lines = [f"[watcher:{name}]", f"cmd = python3 -S FOLDER/actor.py {name} {words}", *settings.split()]
        parts.append("\n".join([*lines, "copy_env = True", ""]))
    return "\n".join(parts).replace("FOLDER", folder)


def write(machine: Machine, folder: str) -> None:
    machine.write(f"{folder}/circus.ini", config(folder))
    machine.write(f"{folder}/actor.py", ACTOR)
    machine.write(f"{folder}/listener.py", LISTENER)


@pytest.fixture
def systemd(host_machine: Machine) -> Iterator[Systemd]:
    site = Site(host_machine, "behaved3")
    write(host_machine, site.folder)
    yield Systemd(site)
    site.remove()


def test_watchers_of_circus(systemd: Systemd) -> None:
    world = systemd
    world.site.apply("-f", "circus.ini", "--project", "behaved3", code=4)  # what fails is told
    let_go(world)
    check_starts(world, once=STARTED_ONCE, goes_on=GOES_ON, given_up={"flaps": 3})
    assert [words[1] for words in trace(world, "aged")][:3] == ["up", "SIGTERM", "up"]
    assert (trace(world, "off"), world.is_at_rest("off")) == ([], True)
    assert last_words(world, "counted", 3) == ["wid=1", "wid=2", "wid=3"]
    logs(world, "files.out", "out of files")
    logs(world, "files.err", "err of files")
    answers_of_two(world, f"{world.folder}/listener.sock")

    assert {name: signals_of_stop(world, name) for name in HEARD} == HEARD
    assert world.machine.show("behaved3-deaf.service", "Result")["Result"] == "timeout"
    assert world.stop_usec("deaf") > 1_000_000  # of the two seconds
    assert signals_of_stop(world, "with-children", *FAMILY) == all_hear("SIGTERM")
    assert signals_of_stop(world, "alone", *FAMILY) == all_hear("SIGTERM", *FAMILY)
    world.machine.systemctl("reload", "behaved3-hup.service")
    until(lambda: ["main", "SIGHUP"] in trace(world, "hup"), timeout=60, what=lambda: "no SIGHUP")
