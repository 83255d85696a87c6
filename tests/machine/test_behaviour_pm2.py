"""One ecosystem file under PM2 and under systemd: the same programs are started, stopped and logged the same way."""

from __future__ import annotations

import json

import pytest

from tests.machine.behaviour import (
    FAMILY,
    NODE_ACTOR,
    Pm2,
    all_hear,
    await_end,
    check_killed,
    check_logs,
    check_off,
    check_starts,
    comes_back,
    is_alive,
    last_words,
    let_go,
    logs,
    signals_of_stop,
    starts_until_given_up,
    trace,
    under_systemd,
    ups,
    write_files,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.machine.behaviour import Systemd, World
    from tests.machine.harness import Machine

# Up for 100 ms is up; 10 s: a program that ends sooner counts as one that failed.
LIVES: dict[str, object] = {"min_uptime": 100}
FAILS: dict[str, object] = {"min_uptime": "10s"}
LONG = "exit=0 after=0.5"
# Per app: what the actor does, and its fields.
APPS: dict[str, tuple[str, dict[str, object]]] = {
    # An exit, and whether a start follows.
    "zero": (LONG, LIVES),
    "three": ("exit=3 after=0.5", LIVES),
    "killed": ("die=SIGKILL after=0.5", LIVES),
    "never": ("go exit=3", {"autorestart": False}),
    "never-zero": ("go exit=0", {"autorestart": False}),
    "stop-code": ("go exit=3", {"stop_exit_codes": [3, 4]}),
    "other-code": ("exit=3 after=0.5", {**LIVES, "stop_exit_codes": [4]}),
    "delayed": (LONG, {**LIVES, "restart_delay": 200}),
    "backing-off": (LONG, {**LIVES, "exp_backoff_restart_delay": 150}),
    "by-the-clock": ("", {"cron_restart": "*/2 * * * * *"}),
    # Starts that failed are counted.
    "limit": ("exit=3", {**FAILS, "max_restarts": 3}),
    "limit-delayed": ("exit=0", {**FAILS, "max_restarts": 2, "restart_delay": 300}),
    "later": ("exit=3 first=4", {"max_restarts": 3, "restart_delay": 200}),
    # The stop.
    "int": ("", {}),
    "deaf": ("deaf", {"kill_timeout": 2000}),
    "tree": ("family", {}),
    "deaf-tree": ("family deaf", {"kill_timeout": 1000}),
    "parent": ("family", {"treekill": False}),
    # The output, and what instances are told.
    "two-files": ("", {"out_file": "two.out", "error_file": "two.err"}),
    "one-file": ("", {"out_file": "one.log", "error_file": "one.log"}),
    "no-file": ("", {"out_file": "/dev/null", "error_file": "no.err"}),
    "counted": (
        "show=NODE_APP_INSTANCE",
        {"instances": 2, "exec_mode": "fork", "merge_logs": True, "out_file": "counted.out"},
    ),
    "ports": (
        "show=PORT",
        {"instances": 2, "exec_mode": "fork", "increment_var": "PORT", "env": {"PORT": 9100}},
    ),
    "off": ("", {"autostart": False}),
}
NODE_APPS: dict[str, tuple[str, dict[str, object]]] = {
    "ready": ("ready", {"wait_ready": True, "listen_timeout": 60_000}),
    "silent": ("", {"wait_ready": True, "listen_timeout": 900}),
    "message": ("", {"shutdown_with_message": True}),
}
GOES_ON = {"zero", "three", "killed", "other-code", "delayed", "backing-off", "by-the-clock"}
STARTED_ONCE = {"never", "never-zero", "stop-code"}
GIVEN_UP = {"limit": 3}
HEARD = {"int": {"main": ["SIGINT"]}, "deaf": {"main": ["SIGINT"]}}


def files() -> dict[str, str]:
    python = {"script": "actor.py", "interpreter": "python3", "interpreter_args": "-S"}
    apps = [
        {"name": name, **python, "args": f"{name} {words}", **more} for name, (words, more) in APPS.items()
    ]
    apps += [
        {"name": name, "script": "actor.js", "args": f"{name} {words}", **more}
        for name, (words, more) in NODE_APPS.items()
    ]
    return {"ecosystem.json": json.dumps({"apps": apps}, indent=2), "actor.js": NODE_ACTOR}


@pytest.fixture
def systemd(machine: Machine) -> Iterator[Systemd]:  # RestartSteps= and others came with 254
    with under_systemd(machine, "behaved2", files()) as world:
        yield world


@pytest.fixture
def pm2(host_machine: Machine) -> Iterator[Pm2]:
    if host_machine.run(["sh", "-c", "command -v pm2"], check=False).returncode:
        pytest.skip("there is no pm2 on this host")
    world = Pm2(host_machine, "/srv/pm-two")
    write_files(host_machine, world.folder, files())
    yield world
    world.end()


def check_both(world: World) -> None:
    """What is the same in both worlds."""
    let_go(world)
    check_starts(world, once=STARTED_ONCE, goes_on=GOES_ON, given_up=GIVEN_UP)
    check_off(world)

    assert [words[1] for words in trace(world, "by-the-clock")][:3] == ["up", "SIGINT", "up"]
    assert {name: signals_of_stop(world, name) for name in HEARD} == HEARD
    for name in ("tree", "deaf-tree"):
        assert signals_of_stop(world, name, *FAMILY) == all_hear("SIGINT")
    assert signals_of_stop(world, "parent", *FAMILY, gone=False) == all_hear("SIGINT", *FAMILY)
    assert signals_of_stop(world, "message") == {"main": ["shutdown"]}

    check_logs(world)
    logs(world, "counted.out", "out of counted", "out of counted")
    assert last_words(world, "counted", 2) == ["0", "1"]
    assert last_words(world, "ports", 2) == ["9100", "9101"]


def test_pm2_itself_does_so(pm2: Pm2) -> None:
    pm2.pm2("start", "ecosystem.json")
    check_both(pm2)
    # Here the two part. PM2 counts no more of an app that was up for a while, and with a delay it gives up and never says
    # it; and it leaves the children of `parent` alone.
    comes_back(pm2, "later", 12)
    assert (pm2.state("limit-delayed"), len(ups(pm2, "limit-delayed"))) == ("waiting restart", 2)
    assert [is_alive(pm2.machine, ups(pm2, "parent", who)[0]) for who in ("main", *FAMILY)] == [
        False,
        True,
        True,
    ]


def test_units_of_its_config_do_so(systemd: Systemd) -> None:
    systemd.start("ecosystem.json")
    check_both(systemd)
    assert starts_until_given_up(systemd, "limit-delayed") == (2, True)
    assert starts_until_given_up(systemd, "later")[1]
    await_end(systemd, "parent", *FAMILY)  # nothing stays behind
    check_killed(systemd, "deaf")
    show = systemd.machine.show
    # Active at the message, and without one at listen_timeout.
    active = "ActiveEnterTimestampMonotonic"
    (said,) = map(int, last_words(systemd, "ready", 1))
    assert int(show("behaved2-ready.service", active)[active]) > said
    began, up = (
        int(show("behaved2-silent.service", stamp)[stamp])
        for stamp in ("ExecMainStartTimestampMonotonic", active)
    )
    assert up - began > 800_000  # of the 900 ms
