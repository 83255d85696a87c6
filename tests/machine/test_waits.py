"""What an apply says of jobs that take their time on a real systemd, and how it lets go of them."""

from __future__ import annotations

import json
from itertools import groupby

import pytest

from tests.machine.sites import new_site

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.machine.harness import Machine
    from tests.machine.sites import Site

OVER = "8"  # long enough for all that comes before the jobs, also on a busy host
# Ready once there is a file called go.
SLOW = """
[process.slow]
command = ["sh", "-c", "until [ -e go ]; do sleep 0.05; done; systemd-notify --ready; exec sleep infinity"]
notify = true
start_timeout = "1min"

[process.last]
command = "/bin/sleep infinity"
depends_on = { slow = "ready" }
"""


@pytest.fixture
def site(machine: Machine) -> Iterator[Site]:
    yield from new_site(machine)


def test_events_say_what_is_waited_for_and_time_that_is_over_leaves_it_to_systemd(site: Site) -> None:
    name = site.name
    site.config(SLOW)
    *events, envelope = map(json.loads, site.apply("--json", "--timeout", OVER, code=4).stdout.splitlines())
    assert [key for key, _ in groupby(event["event"] for event in events)] == [
        "begin",
        "step",
        "job-queued",
        "waiting",
        "job-ended",
    ]
    slow, last, target = next(event["jobs"] for event in events if event["event"] == "waiting")
    assert 0.5 < slow.pop("seconds") < float(OVER)
    assert slow == {"unit": f"{name}-slow.service", "job": "start", "state": "start", "limit_seconds": 60}
    assert [(wait["unit"], wait["state"]) for wait in (last, target)] == [
        (f"{name}-last.service", ""),
        (f"{name}.target", ""),
    ]
    data = envelope["data"]
    assert (data["timed_out"], data["interrupted"], data["failures"]) == (True, False, [])
    assert data["queued"] == [f"{name}-slow.service", f"{name}-last.service", f"{name}.target"]
    # Queued behind the other, it is neither stopped by hand nor asked for a second time.
    plan = json.loads(site.pm_native("plan", "-f", "pm-native.toml", "--json").stdout)["data"]
    assert (plan["steps"], [item["what"] for item in plan["drift"]]) == (
        [],
        ["has a start job in systemd's queue: left to it"] * 2,
    )
    site.write("go", "")
    site.machine.wait_until(f"{name}.target", ActiveState="active")
    assert site.applied().steps == []


def test_jobs_that_are_taken_back_are_not_done_and_are_had_again_by_the_next_apply(site: Site) -> None:
    name = site.name
    site.config(SLOW)
    said = site.apply("--timeout", OVER, "--cancel-on-interrupt", code=4)
    assert said.stdout.splitlines()[-1] == (
        f"{name}: out of time, 3 taken back ({name}-slow.service, {name}-last.service, {name}.target)"
    )
    assert name not in site.machine.systemctl("list-jobs").stdout
    # What was starting goes on doing so; what had not begun does not.
    site.write("go", "")
    site.machine.wait_until(f"{name}-slow.service", ActiveState="active")
    assert f"{name}-last.service" not in site.runs()
    assert f"start {name}-last.service" in site.applied().steps
    assert f"{name}-last.service" in site.runs()
