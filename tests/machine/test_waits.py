"""What an apply says of jobs that take their time on a real systemd, and how it lets go of them."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
from itertools import groupby

import pytest

from tests.machine.harness import PATIENCE_SEC
from tests.machine.sites import new_site, processes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.machine.harness import Machine
    from tests.machine.sites import Site

APPLY = ("apply", "-f", "pm-native.toml")
STYLE = re.compile(r"\x1b\[[0-9;]*m")
OVER = "8"  # long enough for all that comes before the jobs, also on a busy host
# Through once there is a file called go.
SLOW = """
[process.slow]
command = ["sh", "-c", "until [ -e go ]; do sleep 0.05; done"]
kind = "task"
start_timeout = "1min"

[process.last]
command = "/bin/sleep infinity"
depends_on = { slow = "completed" }
"""


@pytest.fixture
def site(machine: Machine) -> Iterator[Site]:
    yield from new_site(machine)


@pytest.fixture
def host_site(host_machine: Machine) -> Iterator[Site]:
    """On one systemd, for what takes its time."""
    yield from new_site(host_machine)


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
    assert [wait["unit"] for wait in data["waiting"]] == data["queued"]
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
    machine, name = site.machine, site.name
    site.config(SLOW)
    with site.in_background(*APPLY, "--cancel-on-interrupt") as run:
        assert run.stderr is not None
        # Without a terminal a line says what is waited for, when nothing else was said for a while.
        said = next(line for line in run.stderr if line.startswith("waiting for "))
        (pid,) = processes(machine, f"{machine.python} -m pm_native apply")
        machine.run(["kill", f"-{signal.SIGINT.value}", pid])
        out, _ = run.communicate(timeout=60)
    assert re.fullmatch(rf"waiting for {name}-slow\.service start, \d+ s of 60 s \(and 2 more\)\n", said)
    assert (run.returncode, out) == (
        130,
        f"{name}: interrupted, 3 taken back ({name}-slow.service, {name}-last.service, {name}.target)\n",
    )
    assert name not in site.machine.systemctl("list-jobs").stdout
    # What was starting goes on doing so; what had not begun does not.
    site.write("go", "")
    site.machine.wait_until(f"{name}-slow.service", ActiveState="active")
    assert f"{name}-last.service" not in site.runs()
    assert f"start {name}-last.service" in site.applied().steps
    assert f"{name}-last.service" in site.runs()


def test_table_on_a_terminal_shows_what_is_waited_for_and_goes_with_it(host_site: Site) -> None:
    site, machine, name = host_site, host_site.machine, host_site.name
    site.config(SLOW)
    terminal, other_end = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    command = machine.command([str(machine.python), "-m", "pm_native", *APPLY], cwd=site.folder)
    data, text = b"", ""
    table = re.compile(
        rf"  {name}-slow\.service  start  start   \d+ s of 60 s\r\n"
        rf"  {name}-last\.service  start  queued  behind others\r\n"
        rf"  {name}\.target {{8}}start  queued  behind others\r\n"
        r"  0 of 3 jobs done"
    )
    with subprocess.Popen(command, stdin=other_end, stdout=other_end, stderr=other_end) as run:
        os.close(other_end)
        while chunk := read(terminal):
            data += chunk
            text = STYLE.sub("", data.decode(errors="replace"))
            if table.search(text):
                site.write("go", "")
    os.close(terminal)
    assert (run.returncode, table.search(text) is not None) == (0, True), text
    assert text.count(" jobs done\r\n") == text.count("\x1b[J")
    assert text.rpartition("\x1b[J")[2].splitlines()[0] == "watching what was started for 1.3 s"


def read(terminal: int) -> bytes:
    """What has been written to the other end of a terminal, nothing once it is closed."""
    if not select.select([terminal], [], [], PATIENCE_SEC)[0]:
        raise TimeoutError("nothing was written")
    try:
        return os.read(terminal, 4096)
    except OSError as error:
        if error.errno != errno.EIO:  # the other end is closed
            raise
        return b""


def test_job_behind_somebody_elses_that_never_ends_is_let_go_of_when_its_own_time_is_over(
    host_site: Site,
) -> None:
    site, machine, name = host_site, host_site.machine, host_site.name
    machine.write(
        f"/etc/systemd/system/{name}x.service", "[Service]\nType=oneshot\nExecStart=/bin/sleep infinity\n"
    )
    machine.systemctl("daemon-reload")
    machine.systemctl("start", "--no-block", f"{name}x.service")
    machine.wait_until(f"{name}x.service", ActiveState="activating")
    site.config(
        '[process.web]\ncommand = "/bin/sleep infinity"\nstart_timeout = "1s"\n'
        f'systemd.Unit.After = "{name}x.service"\n'
        '[process.free]\ncommand = "/bin/sleep infinity"\n'
    )
    said = site.apply(code=4)
    web = f"{name}-web.service"
    assert f"{web}: its job did not end within " in said.stdout
    assert f"  waited for {web} start, behind others" in said.stdout
    assert said.stderr.splitlines()[-1] == (
        "systemctl list-jobs shows what waits for what; the next apply goes on from here"
    )
    assert f"{name}-free.service" in site.runs()
    # Left in the queue, where it goes on as soon as it can.
    assert web in machine.systemctl("list-jobs").stdout
    machine.systemctl("stop", f"{name}x.service")
    machine.wait_until(web, ActiveState="active")
    site.apply()
    assert site.applied().steps == []
    machine.run(["rm", f"/etc/systemd/system/{name}x.service"])
