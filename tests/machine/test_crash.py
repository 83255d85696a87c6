"""SIGKILL at the points of apply and rollback, on a real systemd: what follows finishes or undoes it."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from tests.machine.harness import CHECKOUT
from tests.machine.sites import new_site

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.machine.harness import Machine
    from tests.machine.sites import Site

PARTS = 3  # of the points: several can run at the same time
SAMPLE = 12  # each so many of a part, on the second systemd; all of them where this is set
ALL = "PM_NATIVE_ALL_KILLS"


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
        f'environment = {{ KILLS_COLOUR = "{colour}", API_KEY = "{colour}" }}\n'
        for service, colour in services.items()
    ]
    pool = services["s1"]
    parts.append(
        f'[process.api]\ncommand = "/bin/sleep infinity"\ninstances = {instances}\n{often}'
        f'environment = {{ KILLS_COLOUR = "{pool}" }}\n'
    )
    return "".join(parts)


@pytest.mark.parametrize("part", range(1, PARTS + 1))
def test_kill_at_any_point_of_a_large_switch_is_finished_or_undone_by_what_follows(
    site: Site, part: int
) -> None:
    is_whole = site.machine.root.name == "host" or os.environ.get(ALL, "0") not in {"", "0"}
    step = PARTS if is_whole else PARTS * SAMPLE
    found = kills(site, part, step)
    assert found["faults"] == []
    assert min(found["steps"]) >= 30
    assert min(found["points"]) >= 140
    assert found["kills"] == sum(len(range(part, points + 1, step)) for points in found["points"])
    assert {"StartUnit", "StopUnit", "RestartUnit", "Reload"} <= {*found["kinds"]}
    assert {"open", "write", "rename", "unlink", "symlink", "mkdir", "rmdir"} <= {*found["kinds"]}


def kills(site: Site, first: int, step: int) -> Any:
    """Kill at these points; what came of it."""
    # Protected: kept when B has it no more, behind a link of its own, which goes when A has it again.
    kept = '[process.kept]\ncommand = "/bin/sleep infinity"\nprotect = true\n'
    same = {"s9": "grey"}
    blue = {f"s{number}": "blue" for number in range(1, 5)}
    green = {f"s{number}": "green" for number in range(1, 4)}
    site.write("a.toml", config(site.name, 5, {**blue, **same}) + kept)
    site.write(
        "b.toml", config(site.name, 3, {**green, **same, "n1": "green", "n2": "green", "n3": "green"})
    )
    machine = site.machine
    machine.write("/etc/systemd/system/other.service", "[Service]\nExecStart=/bin/sleep infinity\n")
    machine.write("/etc/systemd/system/.other.service.77.new", "somebody's")
    machine.write("/etc/pm-native/notes", "somebody's")
    machine.systemctl("daemon-reload")
    machine.systemctl("start", "other.service")
    words: list[str | Path] = [
        machine.python,
        CHECKOUT / "tests/machine/kills.py",
        *(site.name, "a.toml", "b.toml", str(first), str(step)),
    ]
    # Without systemd-analyze, which reads and changes nothing: it would be most of the time.
    env = {"PYTHONPATH": str(CHECKOUT), "PATH": "/nowhere"}
    done = machine.run(words, cwd=site.folder, env=env, timeout=600)
    return json.loads(done.stdout)
