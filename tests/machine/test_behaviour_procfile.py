"""Entries of a Procfile under systemd: signalled as their tool does it, told their ports, restarted whatever their end."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from tests.machine.behaviour import (
    FAMILY,
    all_hear,
    check_killed,
    check_off,
    comes_back,
    last_words,
    let_go,
    signals_of_stop,
    starts_until_rest,
    under_systemd,
    write_files,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.machine.behaviour import Systemd
    from tests.machine.harness import Machine

ENTRIES = {
    "zero": "python3 -S actor.py zero exit=0",
    "three": "python3 -S actor.py three exit=3",
    "dies": "python3 -S actor.py dies go exit=3",
    "direct": "python3 -S actor.py direct family",
    "shell": "WORD=1 python3 -S actor.py shell family; true",
    "ports": "python3 -S actor.py ports $PORT",
    "release": "python3 -S actor.py release exit=0",
    "deaf": "python3 -S actor.py deaf deaf",
}


@dataclass(frozen=True, kw_only=True)
class Way:
    """How a tool ends a program: the signal, who does not hear it, and where the two seconds before SIGKILL are set."""

    signal: str = "SIGTERM"
    unheard: tuple[str, ...] = ()
    settings: dict[str, str] = field(default_factory=dict)
    dies: bool = False


WAYS = {
    "foreman": Way(unheard=FAMILY, settings={".foreman": "timeout: 2\nformation: all=1,ports=2\n"}),
    "honcho": Way(),
    "overmind": Way(
        signal="SIGINT",
        settings={
            ".overmind.env": "OVERMIND_TIMEOUT=2\nOVERMIND_CAN_DIE=dies\nOVERMIND_AUTO_RESTART=all\n"
            "OVERMIND_STOP_SIGNALS=deaf=QUIT\nOVERMIND_FORMATION=ports=2\n"
        },
        dies=True,
    ),
}


@pytest.mark.parametrize("tool", WAYS)
def test_entries_of_a_procfile(world: Systemd, tool: str) -> None:
    way = WAYS[tool]
    entries = [f"{name}: {command}\n" for name, command in ENTRIES.items() if name != "deaf" or way.settings]
    write_files(world.machine, world.folder, {"Procfile": "".join(entries), **way.settings})
    formation = ("--formation", "ports=2") if tool == "honcho" else ()
    world.start("Procfile", "--dialect", tool, *formation)

    let_go(world)
    goes_on = ["zero", "three"] if way.dies else ["zero", "three", "dies"]
    assert {name: comes_back(world, name, 3) for name in goes_on} == dict.fromkeys(goes_on, True)
    if way.dies:
        assert starts_until_rest(world, "dies") == 1
    assert last_words(world, "ports", 2) == ["5500", "5501"]
    check_off(world, "release")

    assert signals_of_stop(world, "direct", *FAMILY) == all_hear(way.signal, *way.unheard)
    # Behind a shell, which dies of the signal, all hear it.
    assert signals_of_stop(world, "shell", *FAMILY) == all_hear(way.signal)
    if way.settings:
        assert signals_of_stop(world, "deaf") == {"main": ["SIGQUIT" if tool == "overmind" else way.signal]}
        check_killed(world, "deaf")


@pytest.fixture
def world(host_machine: Machine) -> Iterator[Systemd]:
    with under_systemd(host_machine, "behaved8") as made:
        yield made
