"""PM2's max_memory_restart on a real systemd: a program that takes too much is ended gracefully, and comes back."""

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
        file.write("x\\n")
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
LEAKING = {"name": "leak", "script": "leak.py", "interpreter": "python3", "max_memory_restart": "48M"}


@pytest.fixture
def site(host_machine: Machine) -> Iterator[Site]:
    site = Site(host_machine, "leaking")
    host_machine.run(["mkdir", "-p", site.folder])
    yield site
    site.remove()


def test_program_that_takes_too_much_memory_is_restarted_gracefully(site: Site) -> None:
    machine = site.machine
    site.write("leak.py", LEAK)
    site.write("ecosystem.json", json.dumps({"apps": [LEAKING]}))
    site.pm_native("generate", "-f", "ecosystem.json", "-o", "units")
    # It may have been ended before the apply looks at it for the last time.
    machine.pm_native("apply", "--from", "units", check=False, cwd=site.folder)

    def lines(name: str) -> int:
        return len(machine.run(["cat", f"{site.folder}/{name}"], check=False).stdout.split())

    until(lambda: lines("started") > 1, what=lambda: "\n".join(machine.journal("leaking-leak.service")))
    assert lines("ended") >= 1  # by a signal that it could answer
