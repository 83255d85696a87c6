"""Services of compose and processes of process-compose under systemd: started, ended, killed and stopped as they are there."""

from __future__ import annotations

import json

import pytest

from tests.machine.behaviour import (
    FAMILY,
    all_hear,
    check_killed,
    check_off,
    check_starts,
    comes_back,
    last_words,
    let_go,
    logs,
    signals_of_stop,
    starts_until_rest,
    trace,
    under_systemd,
    ups,
)
from tests.machine.harness import until

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.machine.behaviour import Systemd
    from tests.machine.harness import Machine

ALONE = all_hear("SIGTERM", *FAMILY)

# Per service: what the actor does, and its fields. Everything is JSON, which is YAML.
SERVICES: dict[str, tuple[str, dict[str, object]]] = {
    "usual": ("go exit=3", {}),
    "no": ("go exit=0", {"restart": "no"}),
    "always": ("exit=0", {"restart": "always"}),
    "unless-stopped": ("exit=3", {"restart": "unless-stopped"}),
    "on-failure-zero": ("go exit=0", {"restart": "on-failure"}),
    "on-failure-three": ("exit=3", {"restart": "on-failure"}),
    "on-failure-term": ("die=SIGTERM", {"restart": "on-failure"}),
    "on-failure-twice": ("exit=3", {"restart": "on-failure:2"}),
    "swarm-any": ("exit=0", {"deploy": {"restart_policy": {"condition": "any", "delay": "100ms"}}}),
    "swarm-none": ("go exit=3", {"restart": "always", "deploy": {"restart_policy": {"condition": "none"}}}),
    "swarm-twice": (
        "exit=3",
        {"deploy": {"restart_policy": {"condition": "on-failure", "max_attempts": 2}}},
    ),
    "term": ("family", {}),
    "quit": ("deaf", {"stop_signal": "SIGQUIT", "stop_grace_period": "2s"}),
    "sick": (
        "",
        {
            "restart": "always",
            "healthcheck": {"test": "test -e well", "interval": "1s", "start_interval": "1s", "retries": 2},
        },
    ),
    "copies": ("", {"scale": 2}),
    "migrate": ("exit=0 after=0.3", {}),
    "broken": ("exit=4", {}),
    "after-migrate": ("", {"depends_on": {"migrate": {"condition": "service_completed_successfully"}}}),
    "after-broken": ("", {"depends_on": {"broken": {"condition": "service_completed_successfully"}}}),
    "after-start": ("", {"depends_on": ["usual"]}),
}
ON_FAILURE = {"restart": "on_failure", "backoff_seconds": 1}


def probe(file: str) -> dict[str, object]:
    return {"exec": {"command": f"test -e {file}"}, "period_seconds": 1, "failure_threshold": 2}


WELL = {"ill.well": "", "once.well": "", "dead.well": ""}
PROCESSES: dict[str, tuple[str, dict[str, object]]] = {
    "usual": ("go exit=3", {}),
    "always": ("exit=0", {"availability": {"restart": "always"}}),
    "on-failure-zero": ("go exit=0", {"availability": ON_FAILURE}),
    "on-failure-three": ("exit=3", {"availability": ON_FAILURE}),
    "on-failure-term": ("die=SIGTERM", {"availability": ON_FAILURE}),
    "on-failure-code": ("go exit=3", {"availability": ON_FAILURE, "success_exit_codes": [3]}),
    "always-code": ("exit=3", {"availability": {"restart": "always"}, "success_exit_codes": [3]}),
    "twice": ("exit=3", {"availability": {**ON_FAILURE, "max_restarts": 2}}),
    "always-twice": ("exit=0", {"availability": {"restart": "always", "max_restarts": 2}}),
    "group": ("family", {}),
    "parent": ("family", {"shutdown": {"parent_only": True}}),
    "deaf": ("deaf", {"shutdown": {"signal": 3, "timeout_seconds": 2}}),
    "told": ("", {"shutdown": {"command": "kill -USR1 $$(cut -d ' ' -f 3 told.trace)"}}),
    "ill": ("", {"readiness_probe": probe("ill.well"), "availability": {"restart": "always"}}),
    "ill-once": ("", {"readiness_probe": probe("once.well")}),
    "dead": ("", {"liveness_probe": probe("dead.well"), "availability": {"restart": "always"}}),
    "says": ("after=0.5", {"ready_log_line": "out of says"}),
    "after-says": ("", {"depends_on": {"says": {"condition": "process_log_ready"}}}),
    "after-ill": ("", {"depends_on": {"ill": {"condition": "process_healthy"}}}),
    "copies": ("show=PC_REPLICA_NUM", {"replicas": 2}),
    "timed": ("exit=0", {"schedule": {"cron": "0 0 1 1 *", "run_on_start": True}}),
    "off": ("", {"disabled": True}),
    "logged": ("", {"log_location": "logged.log"}),
}


def command(name: str, words: str) -> str:
    return f"python3 -S actor.py {name} {words}"


def is_stopped_in_its_own_way(world: Systemd, name: str, signal: str) -> None:
    """A deaf one with two seconds: it hears one signal, and is killed after them."""
    assert signals_of_stop(world, name) == {"main": [signal]}
    check_killed(world, name)


@pytest.fixture
def composed(host_machine: Machine) -> Iterator[Systemd]:
    services = {
        name: {"command": command(name, words), "working_dir": "/srv/behaved4", **more}
        for name, (words, more) in SERVICES.items()
    }
    files = {"compose.yaml": json.dumps({"services": services}, indent=1), "well": ""}
    with under_systemd(host_machine, "behaved4", files) as world:
        yield world


def test_services_of_compose(composed: Systemd) -> None:
    world, machine, site = composed, composed.machine, composed.site
    world.start("compose.yaml")

    let_go(world)
    check_starts(
        world,
        once=["usual", "no", "on-failure-zero", "swarm-none"],
        goes_on=["always", "unless-stopped", "on-failure-three", "on-failure-term", "swarm-any"],
        given_up={"on-failure-twice": 3, "swarm-twice": 3},
    )
    for name, count in {"copies": 2, "after-migrate": 1, "migrate": 1, "after-start": 1}.items():
        last_words(world, name, count)
    check_off(world, "after-broken")

    # The first process of a container is signalled alone, and what is left is killed.
    assert signals_of_stop(world, "term", *FAMILY) == ALONE
    is_stopped_in_its_own_way(world, "quit", "SIGQUIT")

    # What is not healthy is told, and never restarted.
    site.shows(world.unit("sick"), "alive.*")
    machine.run(["rm", f"{site.folder}/well"])
    site.shows(world.unit("sick"), "unhealthy.*")
    site.write("well", "")
    site.shows(world.unit("sick"), "alive.*")
    assert (len(ups(world, "sick")), world.is_at_rest("sick")) == (1, False)


@pytest.fixture
def process_composed(host_machine: Machine) -> Iterator[Systemd]:
    processes = {
        name: {"command": command(name, words), **more} for name, (words, more) in PROCESSES.items()
    }
    config = json.dumps({"processes": processes}, indent=1)
    with under_systemd(host_machine, "behaved5", {"process-compose.yaml": config, **WELL}) as world:
        yield world


def test_processes_of_process_compose(process_composed: Systemd) -> None:
    world, machine, site = process_composed, process_composed.machine, process_composed.site
    world.start("process-compose.yaml")

    let_go(world)
    check_starts(
        world,
        once=["usual", "on-failure-zero", "on-failure-code", "timed"],
        goes_on=["always", "on-failure-three", "on-failure-term", "always-code"],
        given_up={"twice": 3, "always-twice": 3},
    )
    check_off(world)
    assert last_words(world, "copies", 2) == ["0", "1"]
    logs(world, "logged.log", "out of logged", "err of logged")

    assert signals_of_stop(world, "group", *FAMILY) == all_hear("SIGTERM")
    assert signals_of_stop(world, "parent", *FAMILY) == ALONE
    is_stopped_in_its_own_way(world, "deaf", "SIGQUIT")
    assert signals_of_stop(world, "told") == {"main": ["SIGUSR1"]}

    # A probe that fails too often ends the program, and the policy decides.
    for name in ("after-ill", "after-says"):
        machine.wait_until(world.unit(name), timeout=60, ActiveState="active")
    for file in WELL:
        machine.run(["rm", f"{site.folder}/{file}"])
    comes_back(world, "ill", 2)
    comes_back(world, "dead", 2)
    assert starts_until_rest(world, "ill-once") == 1
    for name in ("ill", "ill-once", "dead"):
        assert ["main", "SIGTERM"] in trace(world, name)


# The end of one is the end of all: of one that ends well, and of one that is never started.
OTHER_IS_UP = "until test -s other.trace; do sleep 0.05; done"
ENDS: dict[str, dict[str, object]] = {
    "behaved6": {
        "last": {"command": OTHER_IS_UP, "availability": {"exit_on_end": True}},
    },
    "behaved7": {
        "broken": {"command": f"{OTHER_IS_UP}; exit 3"},
        "skipped": {
            "command": command("skipped", ""),
            "depends_on": {"broken": {"condition": "process_completed_successfully"}},
            "availability": {"exit_on_skipped": True},
        },
    },
}


@pytest.mark.parametrize("project", ENDS)
def test_end_of_a_process_of_process_compose_is_the_end_of_all(host_machine: Machine, project: str) -> None:
    processes = {**ENDS[project], "other": {"command": command("other", "")}}
    config = json.dumps({"processes": processes})
    with under_systemd(host_machine, project, {"process-compose.yaml": config}) as world:
        done = world.machine.pm_native(
            *("apply", "-f", "process-compose.yaml", "--project", project, "--settle", "0"),
            cwd=world.folder,
            check=False,
        )
        until(lambda: bool(trace(world, "other")), timeout=60, what=lambda: done.stdout + done.stderr)
        for unit in (f"{project}.target", world.unit("other")):
            world.machine.wait_until(unit, timeout=60, ActiveState="inactive")
        assert trace(world, "other")[1:] == [["main", "SIGTERM"]]
        assert trace(world, "skipped") == []


def test_restart_is_no_end_of_all(machine: Machine) -> None:  # RestartMode= came with 254
    processes = {
        "flaky": {
            "command": command("flaky", "exit=3"),
            "availability": {**ON_FAILURE, "exit_on_skipped": True},
        },
        "other": {"command": command("other", "")},
    }
    config = json.dumps({"processes": processes})
    with under_systemd(machine, "behaved9", {"process-compose.yaml": config}) as world:
        world.start("process-compose.yaml")
        comes_back(world, "flaky")
        assert [words[1] for words in trace(world, "other")] == ["up"]
