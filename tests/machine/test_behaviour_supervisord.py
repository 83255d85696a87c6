"""One supervisord.conf under supervisord and under systemd: the same programs are started, stopped and logged the same way."""

from __future__ import annotations

import pytest

from tests.machine.behaviour import (
    FAMILY,
    LISTENER,
    SERVERS,
    Supervisord,
    all_hear,
    answers_of_two,
    await_end,
    check_killed,
    check_logs,
    check_off,
    check_starts,
    is_alive,
    last_words,
    let_go,
    signals_of_stop,
    trace,
    under_systemd,
    ups,
    write_files,
)
from tests.machine.harness import until

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.machine.behaviour import Systemd, World
    from tests.machine.harness import Machine

# Per program: what the actor does, and its settings; a start that fails within 10 s would be a failed one.
PROGRAMS = {
    # An exit, and whether a start follows.
    "zero-true": ("exit=0", "autorestart=true startsecs=0"),
    "zero-unexpected": ("go exit=0", "startsecs=0"),
    "three-unexpected": ("exit=3", "startsecs=0"),
    "three-expected": ("go exit=3", "startsecs=0 exitcodes=0,3"),
    "zero-not-expected": ("exit=0", "startsecs=0 exitcodes=3"),
    "three-true-expected": ("exit=3", "startsecs=0 exitcodes=3 autorestart=true"),
    "three-false": ("go exit=3", "startsecs=0 autorestart=false"),
    "killed-unexpected": ("die=SIGKILL", "startsecs=0"),
    "terminated-unexpected": ("die=SIGTERM", "startsecs=0"),
    "killed-false": ("go die=SIGKILL", "startsecs=0 autorestart=false"),
    # Failed starts are counted, and others are not.
    "retried-twice": ("exit=3", "startsecs=10 startretries=2 autorestart=true"),
    "retried-never": ("exit=3", "startsecs=10 startretries=0 autorestart=true"),
    "ran-for-a-while": ("exit=3 after=1.5", "startsecs=1 startretries=1 autorestart=true"),
    # The stop.
    "term": ("", "startsecs=0"),
    "usr1": ("", "startsecs=0 stopsignal=USR1"),
    "deaf": ("deaf", "startsecs=0 stopwaitsecs=2 stopsignal=QUIT"),
    "as-group": ("family", "startsecs=0 stopasgroup=true stopsignal=INT"),
    "kill-as-group": ("family deaf", "startsecs=0 killasgroup=true stopwaitsecs=1"),
    "alone": ("family", "startsecs=0"),
    # The output.
    "two-files": (
        "go exit=0",
        "startsecs=0 stdout_logfile=%(here)s/two.out stderr_logfile=%(here)s/two.err",
    ),
    "one-file": ("go exit=0", "startsecs=0 stdout_logfile=%(here)s/one.log redirect_stderr=true"),
    "no-file": ("go exit=0", "startsecs=0 stdout_logfile=NONE stderr_logfile=%(here)s/no.err"),
    "off": ("", "autostart=false"),
}
NUMBERED = """
[program:numbered]
command = python3 -S %(here)s/actor.py numbered port=90%(process_num)02d
process_name = %(program_name)s-%(process_num)d
numprocs = 3
numprocs_start = 7
startsecs = 0
"""
FCGI = """
[fcgi-program:fcgi]
command = python3 -S %(here)s/listener.py 0
process_name = %(program_name)s-%(process_num)d
numprocs = 2
startsecs = 0
socket = unix://%(here)s/fcgi.sock
"""
GOES_ON = {
    "zero-true",
    "three-unexpected",
    "zero-not-expected",
    "three-true-expected",
    "killed-unexpected",
    "terminated-unexpected",
    "ran-for-a-while",
}
STARTED_ONCE = {
    "zero-unexpected",
    "three-expected",
    "three-false",
    "killed-false",
    "two-files",
    "one-file",
    "no-file",
}
GIVEN_UP = {"retried-twice": 3, "retried-never": 1}
HEARD = {
    "term": {"main": ["SIGTERM"]},
    "usr1": {"main": ["SIGUSR1"]},
    "deaf": {"main": ["SIGQUIT"]},
}


def files() -> dict[str, str]:
    parts = [SERVERS]
    for name, (words, settings) in PROGRAMS.items():
        lines = [
            f"[program:{name}]",
            f"command = python3 -S %(here)s/actor.py {name} {words}",
            *settings.split(),
        ]
        parts.append("\n".join(lines) + "\n")
    return {"supervisord.conf": "\n".join([*parts, NUMBERED, FCGI]), "listener.py": LISTENER}


@pytest.fixture
def systemd(host_machine: Machine) -> Iterator[Systemd]:
    with under_systemd(host_machine, "behaved", files()) as world:
        yield world


@pytest.fixture
def supervisord(host_machine: Machine) -> Iterator[Supervisord]:
    if host_machine.run(["sh", "-c", "command -v supervisord"], check=False).returncode:
        pytest.skip("there is no supervisord on this host")
    world = Supervisord(host_machine, "/srv/supervised")
    write_files(host_machine, world.folder, files())
    yield world
    world.end()


def check_both(world: World) -> None:
    """What is the same in both worlds."""
    let_go(world)
    check_starts(world, once=STARTED_ONCE, goes_on=GOES_ON, given_up=GIVEN_UP)
    check_off(world)

    assert {name: signals_of_stop(world, name) for name in HEARD} == HEARD
    # The child alone: what left the process group, the one manager signals and the other does not.
    assert signals_of_stop(world, "as-group", "child") == {"main": ["SIGINT"], "child": ["SIGINT"]}
    assert signals_of_stop(world, "kill-as-group", "child") == {"main": ["SIGTERM"], "child": []}
    assert signals_of_stop(world, "alone", *FAMILY, gone=False) == all_hear("SIGTERM", *FAMILY)

    check_logs(world)
    assert last_words(world, "numbered", 3) == ["port=9007", "port=9008", "port=9009"]
    answers_of_two(world, f"{world.folder}/fcgi.sock")


def family(world: World, name: str) -> dict[str, bool]:
    """Which of an actor's children are alive."""
    return {who: is_alive(world.machine, ups(world, name, who)[0]) for who in ("child", "away")}


def test_supervisord_itself_does_so(supervisord: Supervisord) -> None:
    supervisord.start()
    until(
        lambda: bool(trace(supervisord, "term")),
        timeout=60,
        what=lambda: supervisord.machine.read(f"{supervisord.folder}/supervisord.log"),
    )
    check_both(supervisord)
    # Here the two part: what left the process group, and whom it does not signal, outlives the stop.
    assert family(supervisord, "alone") == {"child": True, "away": True}
    assert family(supervisord, "as-group")["away"]


def test_units_of_its_config_do_so(systemd: Systemd) -> None:
    systemd.start("supervisord.conf")
    check_both(systemd)
    for name in ("alone", "as-group", "kill-as-group"):
        await_end(systemd, name, *FAMILY)  # nothing stays behind
    check_killed(systemd, "deaf")
