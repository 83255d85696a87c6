"""Entries of a Procfile under systemd: signalled as their tool does it, told their ports, restarted whatever their end."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from tests.machine.behaviour import (
    ACTOR,
    FAMILY,
    Systemd,
    all_hear,
    comes_back,
    last_words,
    let_go,
    signals_of_stop,
    starts_until_rest,
    trace,
)
from tests.machine.sites import Site

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

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
def test_entries_of_a_procfile(site: Site, tool: str) -> None:
    world, way = Systemd(site), WAYS[tool]
    site.write("actor.py", ACTOR)
    site.write(
        "Procfile",
        "".join(
            f"{name}: {command}\n" for name, command in ENTRIES.items() if name != "deaf" or way.settings
        ),
    )
    for name, text in way.settings.items():
        site.write(name, text)
    formation = ("--formation", "ports=2") if tool == "honcho" else ()
    words = ("-f", "Procfile", "--project", site.name, "--dialect", tool, *formation)
    site.apply(*words, code=4)  # what fails is told

    let_go(world)
    goes_on = ["zero", "three"] if way.dies else ["zero", "three", "dies"]
    assert {name: comes_back(world, name, 3) for name in goes_on} == dict.fromkeys(goes_on, True)
    if way.dies:
        assert starts_until_rest(world, "dies") == 1
    assert last_words(world, "ports", 2) == ["5500", "5501"]
    assert (trace(world, "release"), world.is_at_rest("release")) == ([], True)

    assert signals_of_stop(world, "direct", *FAMILY) == all_hear(way.signal, *way.unheard)
    # Behind a shell, which dies of the signal, all hear it.
    assert signals_of_stop(world, "shell", *FAMILY) == all_hear(way.signal)
    if way.settings:
        assert signals_of_stop(world, "deaf") == {"main": ["SIGQUIT" if tool == "overmind" else way.signal]}
        assert site.machine.show(world.unit("deaf"), "Result")["Result"] == "timeout"
        assert world.stop_usec("deaf") > 1_000_000  # of the two seconds


@pytest.fixture
def site(host_machine: Machine) -> Iterator[Site]:
    made = Site(host_machine, "behaved8")
    yield made
    made.remove()
    host_machine.run(["rm", "-r", made.folder])
