"""Watchers of circus under systemd: started, given up, stopped and logged as circus does it."""

from __future__ import annotations

import pytest

from tests.machine.behaviour import (
    FAMILY,
    LISTENER,
    all_hear,
    answers_of_two,
    check_killed,
    check_off,
    check_starts,
    last_words,
    let_go,
    logs,
    signals_of_stop,
    trace,
    under_systemd,
)
from tests.machine.harness import until

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.machine.behaviour import Systemd
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


def files(folder: str) -> dict[str, str]:
    parts = [HEAD, SOCKET]
    for name, (words, settings) in WATCHERS.items():
        lines = [f"[watcher:{name}]", f"cmd = python3 -S FOLDER/actor.py {name} {words}", *settings.split()]
        parts.append("\n".join([*lines, "copy_env = True", ""]))
    return {"circus.ini": "\n".join(parts).replace("FOLDER", folder), "listener.py": LISTENER}


@pytest.fixture
def systemd(host_machine: Machine) -> Iterator[Systemd]:
    with under_systemd(host_machine, "behaved3", files("/srv/behaved3")) as world:
        yield world


def test_watchers_of_circus(systemd: Systemd) -> None:
    world = systemd
    world.start("circus.ini")
    let_go(world)
    check_starts(world, once=STARTED_ONCE, goes_on=GOES_ON, given_up={"flaps": 3})
    assert [words[1] for words in trace(world, "aged")][:3] == ["up", "SIGTERM", "up"]
    check_off(world)
    assert last_words(world, "counted", 3) == ["wid=1", "wid=2", "wid=3"]
    logs(world, "files.out", "out of files")
    logs(world, "files.err", "err of files")
    answers_of_two(world, f"{world.folder}/listener.sock")

    assert {name: signals_of_stop(world, name) for name in HEARD} == HEARD
    check_killed(world, "deaf")
    assert signals_of_stop(world, "with-children", *FAMILY) == all_hear("SIGTERM")
    assert signals_of_stop(world, "alone", *FAMILY) == all_hear("SIGTERM", *FAMILY)
    world.machine.systemctl("reload", "behaved3-hup.service")
    until(lambda: ["main", "SIGHUP"] in trace(world, "hup"), timeout=60, what=lambda: "no SIGHUP")
