"""SIGKILL and power cuts at the points of apply and rollback, on a real systemd: what follows finishes or undoes it."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from tests.machine import power
from tests.machine.harness import CHECKOUT, Machine
from tests.machine.sites import new_site

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.machine.sites import Site

PARTS = 3  # of the points: several can run at the same time
SAMPLE = (
    12  # each so many of a part, on the second systemd and of a first apply; all of them where this is set
)
CUTS = 20  # each so many points
IS_ALL = os.environ.get("PM_NATIVE_ALL_KILLS", "0") not in {"", "0"}
SICK = "sick"


@pytest.fixture
def site(machine: Machine) -> Iterator[Site]:
    yield from new_site(machine)


@pytest.fixture
def disk_site(disk: str) -> Iterator[Site]:
    """A site on a machine whose files and records are to be on a disk of its own."""
    if reason := power.why_not(disk):
        pytest.skip(reason)
    with Machine.boot() as machine:
        yield from new_site(machine)


def config(name: str, instances: int, services: dict[str, str]) -> str:
    """A pool that is rolled and services, each with a colour that tells which config it runs on, some with a secret.

    One is only reloaded, one is killed before each switch, and what is protected stays where B has it no more, behind a
    link of its own, which goes when A has it again.
    """
    # As often as they are restarted here, systemd would take them for crashing.
    often = 'restart = { policy = "always", limit = 10000 }\n'
    sleep = 'command = "/bin/sleep infinity"\n'
    parts = [f'[project]\nname = "{name}"\n']
    parts += [
        f"[process.{service}]\n{sleep}{often}"
        f'environment = {{ KILLS_COLOUR = "{colour}", API_KEY = "{colour}" }}\n'
        for service, colour in services.items()
    ]
    grey = 'environment = { KILLS_COLOUR = "grey" }\n'
    parts.append(
        f'[process.api]\n{sleep}{often}instances = {instances}\non_change = "reload"\n'
        f'environment = {{ KILLS_COLOUR = "{services["s1"]}" }}\n'
    )
    parts.append(
        f'[process.loads]\n{sleep}{often}{grey}on_change = "reload"\n'
        f'systemd.Service = {{ ExecReload = "/bin/true", LimitCORE = "{instances}" }}\n'
    )
    parts.append(f'[process.{SICK}]\n{sleep}{grey}restart = {{ policy = "no", limit = 10000 }}\n')
    return "".join(parts)


@pytest.mark.parametrize("part", range(1, PARTS + 1))
def test_kill_at_any_point_of_a_large_switch_is_finished_or_undone_by_what_follows(
    site: Site, part: int
) -> None:
    step = PARTS if IS_ALL or site.machine.root.name == "host" else PARTS * SAMPLE
    steps = {"switch": step, "whole": step if IS_ALL else PARTS * SAMPLE}
    found = kills(site, part, steps["switch"], steps["whole"])
    assert "\n".join(found["faults"]) == ""
    for way, each in steps.items():
        points = found[way]["points"]
        assert found[way]["kills"] == sum(len(range(part, number + 1, each)) for number in points)
    assert min(found["switch"]["steps"]) >= 30
    assert min(found["switch"]["points"]) >= 140
    assert min(found["whole"]["points"]) >= 70
    jobs = ["ReloadUnit", "ResetFailedUnit", "RestartUnit", "StartUnit", "StopUnit"]
    disk = ["fchmod", "link", "mkdir", "open", "rename", "rmdir", "symlink", "unlink", "write"]
    assert found["switch"]["kinds"] == sorted(["Reload", *jobs, *disk])
    assert {"Reload", "StartUnit", "StopUnit", "ResetFailedUnit"} <= {*found["whole"]["kinds"]}


@pytest.mark.usefixtures("bootable")
@pytest.mark.parametrize(("disk", "first"), [("ext4", 1), ("btrfs", 1 + CUTS // 2)])
def test_power_cut_at_any_point_of_a_large_switch_is_finished_or_undone_by_what_follows(
    disk_site: Site, disk: str, first: int
) -> None:
    """Also after each run that came to its end: what it said is done is done."""
    first, step = (1, 1) if IS_ALL else (first, CUTS)
    found = kills(disk_site, first, step, step, disk)
    assert "\n".join(found["faults"]) == ""
    for way in ("switch", "whole"):
        points = found[way]["points"]
        assert found[way]["kills"] == sum(len(range(first, number + 1, step)) for number in points)
    assert min(found["switch"]["points"]) >= 140


def kills(site: Site, first: int, step: int, whole_step: int, disk: str = "") -> Any:
    """Kill at these points, with a `disk` of that kind by cutting its power; what came of it."""
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
        *(
            site.name,
            "a.toml",
            "b.toml",
            SICK,
            str(first),
            str(step),
            str(whole_step),
            *([disk] if disk else []),
        ),
    ]
    # Without systemd-analyze, which reads and changes nothing: it would be most of the time.
    env = {"PYTHONPATH": str(CHECKOUT), "PATH": "/nowhere"}
    done = machine.run(words, cwd=site.folder, env=env, timeout=1800)
    return json.loads(done.stdout)
