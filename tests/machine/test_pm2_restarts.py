"""What restarts PM2's programs besides their own end, on a real systemd: too much memory, and the clock."""

from __future__ import annotations

import json

import pytest

from tests.machine.harness import until
from tests.machine.sites import Site

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.machine.harness import Machine

LEAK = """\
import signal
import sys
import time

def end(number, frame):
    with open("ended", "a") as file:
        file.write(f"{number}\\n")
    sys.exit(0)

signal.signal(signal.SIGINT, end)
signal.signal(signal.SIGTERM, end)
kept = bytearray(96 << 20)
kept[::4096] = b"x" * len(kept[::4096])
with open("started", "a") as file:
    file.write("x\\n")
while True:
    time.sleep(60)
"""
APPS = [
    {"name": "leak", "script": "leak.py", "interpreter": "python3", "max_memory_restart": "48M"},
    {"name": "clock", "script": "sleep", "args": "infinity", "cron_restart": "*/2 * * * * *"},
]


@pytest.fixture
def site(host_machine: Machine) -> Iterator[Site]:
    site = Site(host_machine, "restarts")
    host_machine.run(["mkdir", "-p", site.folder])
    yield site
    site.remove()


def test_memory_and_the_clock_restart_gracefully(site: Site) -> None:
    machine = site.machine
    site.write("leak.py", LEAK)
    site.write("ecosystem.json", json.dumps({"apps": APPS}))
    site.apply("-f", "ecosystem.json")
    first = machine.show("restarts-clock.service", "InvocationID")["InvocationID"]

    def lines(name: str) -> int:
        return len(machine.run(["cat", f"{site.folder}/{name}"], check=False).stdout.split())

    until(lambda: lines("started") > 1, what=lambda: "\n".join(machine.journal("restarts-leak.service")))
    assert lines("ended") >= 1  # by a signal that it could answer
    until(
        lambda: machine.show("restarts-clock.service", "InvocationID")["InvocationID"] not in {first, ""},
        what=lambda: "\n".join(machine.journal("restarts-clock-cron-restart.service")),
    )
    machine.systemctl("stop", "restarts-clock.service")
    done = machine.show("restarts-clock-cron-restart.service", "InvocationID")["InvocationID"]
    until(
        lambda: machine.show("restarts-clock-cron-restart.service", "InvocationID")["InvocationID"] != done,
        what=lambda: "\n".join(machine.journal("restarts-clock-cron-restart.service")),
    )
    machine.wait_until("restarts-clock-cron-restart.service", ActiveState="inactive")
    # What was stopped by hand stays so when its time comes.
    assert machine.show("restarts-clock.service", "ActiveState")["ActiveState"] == "inactive"
