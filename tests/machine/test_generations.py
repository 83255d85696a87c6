"""Generations on a real systemd: back by hand, back by itself, and only what differs is touched."""

from __future__ import annotations

import json

import pytest

from tests.machine.sites import new_site

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.machine.harness import Machine
    from tests.machine.sites import Site

GOOD = """
[process.web]
command = "sleep 1000"
environment = { COLOUR = "blue", API_KEY = "one" }
[process.db]
command = "sleep 2000"
"""
CHANGED = GOOD.replace("blue", "green").replace('"one"', '"two"')
BROKEN = GOOD.replace("sleep 1000", "sh -c 'echo I am broken; exit 3'")


@pytest.fixture
def site(machine: Machine) -> Iterator[Site]:
    yield from new_site(machine)


def history(site: Site) -> list[tuple[int, str, str]]:
    data = json.loads(site.pm_native("history", site.name, "--json").stdout)["data"]
    return [(item["number"], item["command"], item["result"]) for item in data]


def test_rollback_restarts_what_had_changed_and_leaves_the_rest_alone(site: Site) -> None:
    site.config(GOOD)
    site.apply()
    first = site.runs()
    site.config(CHANGED)
    site.apply()
    assert (site.environment(f"{site.name}-web.service")["COLOUR"]) == "green"
    shown = site.pm_native("diff", "--project", site.name).stdout
    assert "-Environment=COLOUR=blue\n+Environment=COLOUR=green" in shown
    assert f"{site.name}-web.env differs (its variables are not shown)" in shown
    assert "API_KEY" not in shown
    runs, files = site.runs(), site.files()
    lines = site.pm_native("rollback", "--project", site.name, "--dry-run", code=2).stdout.splitlines()
    assert "    Environment: COLOUR=green -> COLOUR=blue" in lines
    assert lines[-1] == f"{site.name}: 2 to change, 1 to restart, 3 unchanged"
    assert (site.runs(), site.files()) == (runs, files)
    site.pm_native("rollback", "--project", site.name, "--settle", "0.3")
    environment = site.environment(f"{site.name}-web.service")
    assert (environment["COLOUR"], environment["API_KEY"]) == ("blue", "one")
    assert site.runs()[f"{site.name}-db.service"] == first[f"{site.name}-db.service"]
    assert history(site) == [(1, "apply", "done"), (2, "apply", "done"), (3, "rollback to 1", "done")]
    # What is kept is taken as it was applied, or not at all.
    kept = f"/var/lib/pm-native/{site.name}/generations/2/files/{site.name}-web.service"
    site.machine.write(kept, site.machine.read(kept).replace("green", "red"), mode=0o600)
    said = site.pm_native("rollback", "2", "--project", site.name, code=1).stderr
    assert said == f"error: {kept} has changed since the generation was applied\n"
    assert site.environment(f"{site.name}-web.service")["COLOUR"] == "blue"


def test_atomic_apply_of_a_broken_change_goes_back_and_the_old_one_runs(site: Site) -> None:
    site.config(GOOD)
    site.apply()
    site.config(BROKEN)
    done = site.apply("--atomic", code=3)
    assert "I am broken" in done.stderr
    assert "going back to generation 1" in done.stderr
    web = f"{site.name}-web.service"
    assert site.machine.show(web, "ActiveState", "SubState") == {
        "ActiveState": "active",
        "SubState": "running",
    }
    assert "sleep" in site.machine.systemctl("show", "-P", "ExecStart", web).stdout
    assert [result for _, _, result in history(site)] == ["done", "failed", "done"]
    lines = site.machine.read(f"/var/lib/pm-native/{site.name}/history.jsonl").splitlines()
    assert [[*json.loads(line)["failures"]] for line in lines] == [[], [web], []]
    # The one before that went well is the first, which this is.
    back = site.pm_native("rollback", "--project", site.name)
    assert back.stdout == f"{site.name}: nothing to do, 5 files unchanged\n"


def test_atomic_first_apply_that_fails_leaves_nothing(site: Site) -> None:
    site.config(BROKEN)
    site.apply("--atomic", code=3)
    assert (site.runs(), site.files()) == ({}, {})


def test_saved_plan_is_applied_once(site: Site) -> None:
    site.config(GOOD)
    site.pm_native("plan", "-f", "pm-native.toml", "-o", "saved.plan", code=2)
    site.pm_native("apply", "saved.plan", "--settle", "0.3")
    assert len(site.runs()) >= 3
    done = site.pm_native("apply", "saved.plan", code=1)
    assert "the host is not as it was when the plan was saved" in done.stderr
