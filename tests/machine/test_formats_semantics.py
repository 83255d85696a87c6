"""What process-compose's and compose's words do on a real systemd: conditions, exit codes, counts, the end of all."""

from __future__ import annotations

import pytest

from tests.machine.sites import Site

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.machine.harness import Machine

# Every process runs a step that leaves a trace in the order of its run.
PROCESS_COMPOSE = """\
processes:
  migrate: { command: "echo migrated >>order" }
  fails: { command: "exit 7" }
  web:
    command: "echo web >>order; exec sleep 1000"
    depends_on: { migrate: { condition: process_completed_successfully } }
  after_failure:
    command: "echo after >>order; exec sleep 1000"
    depends_on: { fails: { condition: process_completed } }
  never:
    command: "echo never >>order; exec sleep 1000"
    depends_on: { fails: { condition: process_completed_successfully } }
  counted:
    command: "echo counted >>counts; exit 9"
    availability: { restart: on_failure, backoff_seconds: 1, max_restarts: 2 }
  expected:
    command: "echo expected >>counts; exit 3"
    availability: { restart: on_failure }
    success_exit_codes: [3]
  killed:
    command: exec sleep 1000
    availability: { restart: on_failure }
  vital:
    command: "until test -e end; do sleep 0.1; done; exit 5"
    availability: { restart: exit_on_failure }
"""
COMPOSE = """\
services:
  slow:
    command: ["/bin/sh", "-c", "sleep 1; touch /srv/composed/up; exec sleep 1000"]
    healthcheck: { test: test -e /srv/composed/up, interval: 1s, start_interval: 1s, timeout: 5s, start_period: 10s }
  waits:
    command: ["/bin/sh", "-c", "ls /srv/composed/up >/srv/composed/seen; exec sleep 1000"]
    depends_on: { slow: { condition: service_healthy } }
"""


@pytest.fixture
def site(machine: Machine) -> Iterator[Site]:
    site = Site(machine, "composed")
    machine.run(["mkdir", "-p", site.folder])
    yield site
    site.remove()


def test_process_compose_project_behaves_as_it_does_there(site: Site) -> None:
    machine = site.machine
    site.write("process-compose.yaml", PROCESS_COMPOSE)
    site.apply("-f", "process-compose.yaml", "--project", "composed", code=4)  # what fails is told

    machine.wait_until("composed-web.service", ActiveState="active")
    machine.wait_until("composed-after_failure.service", ActiveState="active")
    order = machine.read(f"{site.folder}/order").split()
    assert order.index("migrated") < order.index("web")
    assert "never" not in order
    assert machine.show("composed-never.service", "ActiveState") == {"ActiveState": "inactive"}

    machine.wait_until("composed-counted.service", ActiveState="failed")
    counts = machine.read(f"{site.folder}/counts").split()
    assert (counts.count("counted"), counts.count("expected")) == (3, 1)
    assert machine.show("composed-expected.service", "ActiveState") == {"ActiveState": "inactive"}

    before = machine.show("composed-killed.service", "MainPID")["MainPID"]
    machine.run(["kill", "-TERM", before])
    machine.wait_until("composed-killed.service", NRestarts="1", ActiveState="active")

    machine.run(["touch", f"{site.folder}/end"])
    machine.wait_until("composed.target", ActiveState="inactive")
    machine.wait_until("composed-web.service", ActiveState="inactive")
    assert machine.show("composed-vital.service", "Result", "ActiveState") == {
        "Result": "exit-code",
        "ActiveState": "failed",
    }


def test_compose_service_waits_until_the_other_is_healthy(site: Site) -> None:
    site.write("compose.yaml", COMPOSE)
    site.apply("-f", "compose.yaml", "--project", "composed")
    site.machine.wait_until("composed-waits.service", ActiveState="active")
    assert site.machine.read(f"{site.folder}/seen") == "/srv/composed/up\n"
