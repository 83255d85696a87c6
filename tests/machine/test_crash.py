"""SIGKILL at the points of an apply, on a real systemd: the next apply finishes it."""

from __future__ import annotations

import json

import pytest

from tests.machine.harness import CHECKOUT
from tests.machine.sites import new_site

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.machine.harness import Machine
    from tests.machine.sites import Site


@pytest.fixture
def site(machine: Machine) -> Iterator[Site]:
    yield from new_site(machine)


def config(name: str, instances: int, services: dict[str, str]) -> str:
    """A pool and services, each with a colour that tells which config it runs on and a file with a secret."""
    # As often as they are restarted here, systemd would take them for crashing.
    often = 'restart = { policy = "always", limit = 10000 }\n'
    parts = [f'[project]\nname = "{name}"\n']
    parts += [
        f'[process.{service}]\ncommand = "/bin/sleep infinity"\n{often}'
        f'environment = {{ COLOUR = "{colour}", API_KEY = "{colour}" }}\n'
        for service, colour in services.items()
    ]
    pool = services["s1"]
    parts.append(
        f'[process.api]\ncommand = "/bin/sleep infinity"\ninstances = {instances}\n{often}'
        f'environment = {{ COLOUR = "{pool}" }}\n'
    )
    return "".join(parts)


def test_apply_killed_at_every_third_point_of_a_large_switch_is_finished_by_the_next(site: Site) -> None:
    same = {"s9": "grey"}
    blue = {f"s{number}": "blue" for number in range(1, 5)}
    green = {f"s{number}": "green" for number in range(1, 4)}
    site.write("a.toml", config(site.name, 5, {**blue, **same}))
    site.write(
        "b.toml", config(site.name, 3, {**green, **same, "n1": "green", "n2": "green", "n3": "green"})
    )
    words: list[str | Path] = [
        site.machine.python,
        CHECKOUT / "tests/machine/kills.py",
        site.name,
        "a.toml",
        "b.toml",
    ]
    done = site.machine.run(words, cwd=site.folder, env={"PYTHONPATH": str(CHECKOUT)}, timeout=170)
    found = json.loads(done.stdout)
    assert found["faults"] == []
    assert found["steps"] >= 30
    assert found["points"] >= 40
    assert found["kills"] >= found["points"] // 3 - 4
