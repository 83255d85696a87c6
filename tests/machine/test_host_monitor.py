"""`monitor = "host"` on a real systemd: one process of root's looks at each program as that program could itself."""

from __future__ import annotations

import pytest

from tests.machine.harness import until
from tests.machine.sites import new_site

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.machine.harness import Machine
    from tests.machine.sites import Site

FAST = 'interval = "200ms", timeout = "5s", start_interval = "100ms"'
# What a command of a check is: its user and groups, folder, cgroup, privileges, and what the program has in its environment.
ASK = """\
echo $(id -u):$(id -g):$(id -G) $(pwd) $(sed -n 's/^0:.*-boxed.service$/in/p;s/^1:name=.*-boxed.service$/in/p' \
/proc/self/cgroup | head -1) $(sed -n 's/NoNewPrivs:\\t//p' /proc/self/status) $COLOUR ${NOTIFY_SOCKET:-unset} $(ls /tmp)
"""
COMMANDS = """\
monitor = "host"

[process.boxed]
command = ["/bin/sh", "-c", "touch /tmp/inside; exec sleep 1000"]
user = "daemon"
environment = {{ COLOUR = "green" }}
[process.boxed.health]
ready = {{ exec = ["/bin/sh", "{folder}/ask"], {fast} }}
alive = {{ file = "/tmp/inside", {fast} }}
[process.boxed.systemd.Service]
PrivateTmp = true
NoNewPrivileges = true
SupplementaryGroups = "bin"
"""
CONFIG = """\
monitor = "host"

[process.alone]
command = "/usr/bin/python3 -u -m http.server --bind 127.0.0.1 4301"
health = {{ http = "http://127.0.0.1:4301/", {fast} }}
[process.alone.systemd.Service]
PrivateNetwork = true
DynamicUser = true

[process.behind]
command = ["/usr/bin/python3", "-c", \"\"\"
import os, socket, struct
s = socket.socket(socket.AF_UNIX); s.bind("/tmp/behind.sock"); s.listen()
while True:
    c = s.accept()[0]
    with open("/tmp/peer", "w") as file:
        file.write(str(struct.unpack("3i", c.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[1]))
    c.close()
\"\"\"]
user = "daemon"
health = {{ unix = "/tmp/behind.sock", {fast} }}
[process.behind.systemd.Service]
PrivateTmp = true

[process.pool]
command = "exec python3 -m http.server --bind 127.0.0.1 $PORT"
shell = true
instances = 2
listen = 4310
health = {{ http = "/", {fast} }}

[process.told]
command = ["/bin/sh", "-c", "sleep 1; echo now serving; exec sleep 1000"]
user = "daemon"
logs = {{ stdout = "/var/log/{name}/told.log" }}
health.ready = {{ output = "serving", {fast} }}

[process.written]
command = ["/bin/sh", "-c", "echo now serving; exec sleep 1000"]
user = "daemon"
health.ready = {{ output = "serving", {fast} }}

[process.strict]
command = "sleep 1000"
health = {{ strict = true, alive = {{ file = "/", interval = "20s", retries = 3 }} }}

[process.ill]
command = "sleep 1000"
health.alive = {{ file = "{folder}/alive", {fast} }}

[process.own]
command = "/bin/sh -c 'systemd-notify --ready --status=mine; exec sleep 1000'"
health = {{ ready.notify = true, alive = {{ file = "/", {fast} }} }}

[process.linked]
command = ["/bin/sh", "-c", "ln -sf {folder}/closed/secret /tmp/{name}-link; exec sleep 1000"]
user = "daemon"
autostart = false
health.alive = {{ file = "/tmp/{name}-link", action = "status", retries = 1, {fast} }}

[process.late]
command = ["/bin/sh", "-c", "exec sleep 1000"]
autostart = false
health.ready = {{ file = "{folder}/late", {fast} }}
"""
NAMES = ("alone", "behind", "pool@1", "pool@2", "told", "written", "strict", "ill", "own")


@pytest.fixture
def site(machine: Machine) -> Iterator[Site]:
    yield from new_site(machine)


def monitor_of(site: Site) -> str:
    return f"pm-native-monitor@{site.name}.service"


def test_one_monitor_looks_as_each_program_could_and_is_not_missed(site: Site) -> None:
    machine = site.machine
    for name in ("alive", "closed/secret"):
        site.write(name, "")
    machine.run(["chmod", "700", f"{site.folder}/closed"])
    machine.run(["mkdir", "-p", f"/var/log/{site.name}"])
    machine.write(f"/var/log/{site.name}/told.log", "serving, in a former life\n")
    site.config(CONFIG.format(name=site.name, folder=site.folder, fast=FAST))
    site.apply()
    units = {name: f"{site.name}-{name}.service" for name in (*NAMES, "linked", "late")}
    monitor = monitor_of(site)

    # Nothing of a monitor's is in the units of the programs, and each is asked as it could ask itself.
    for name in NAMES:
        shown = machine.show(units[name], "ActiveState", "NotifyAccess", "MainPID")
        assert shown["ActiveState"] == "active"
        assert shown["NotifyAccess"] == ("all" if name == "own" else "main")
        assert "run.py" not in machine.read(f"/proc/{shown['MainPID']}/cmdline")
    site.shows(units["alone"], r"ready \(http 200 in \d+ ms\); alive \(http 200 in \d+ ms\)")
    site.shows(units["behind"], r"ready \(unix /tmp/behind.sock\); alive \(unix /tmp/behind.sock\)")
    for name in ("pool@1", "pool@2"):
        site.shows(units[name], r"ready \(http 200 in \d+ ms\); alive \(http 200 in \d+ ms\)")
    site.shows(units["told"], r"ready \(output 'now serving'\)")
    site.shows(units["written"], r"ready \(output 'now serving'\)")
    # What root could see and the user of the program cannot is not told.
    machine.systemctl("start", units["linked"])
    site.shows(units["linked"], r"unhealthy: file .*-link: permission denied")
    machine.systemctl("stop", units["linked"])
    behind = machine.show(units["behind"], "MainPID")["MainPID"]
    assert machine.run(["cat", f"/proc/{behind}/root/tmp/peer"]).stdout == "1"  # daemon
    assert not {"NOTIFY_SOCKET", "WATCHDOG_USEC"} & site.environment(units["strict"]).keys()
    site.shows(monitor, f"monitors {len(NAMES)} programs")
    kill(site, units)
    change(site, units)
    site.remove()
    assert machine.run(["pgrep", "-f", "runtime/monitor.py"], check=False).stdout == ""


def restarted(site: Site, unit: str) -> None:
    """Wait until systemd has restarted a unit."""
    machine = site.machine
    until(
        lambda: machine.show(unit, "NRestarts")["NRestarts"] != "0",
        what=lambda: "\n".join(machine.journal(unit)),
    )
    machine.wait_until(unit, ActiveState="active")


def kill(site: Site, units: dict[str, str]) -> None:
    """The monitor is killed, while one program starts: nobody misses it, and the next one goes on where it was."""
    machine, monitor = site.machine, monitor_of(site)
    machine.systemctl("start", "--no-block", units["late"])
    site.shows(units["late"], r"waiting for ready: file late: no such file or directory \(attempt \d+\)")
    before = {name: machine.show(unit, "MainPID", "NRestarts") for name, unit in units.items()}
    old = machine.show(monitor, "MainPID")["MainPID"]
    machine.run(["kill", "-KILL", old])
    until(lambda: machine.show(monitor, "MainPID")["MainPID"] not in {"0", old}, what=lambda: monitor)
    site.shows(monitor, f"monitors {len(NAMES) + 1} programs")
    site.write("late", "")
    machine.wait_until(units["late"], ActiveState="active")
    machine.run(["kill", "-TERM", before["pool@2"]["MainPID"]])
    restarted(site, units["pool@2"])
    machine.run(["rm", f"{site.folder}/alive"])
    restarted(site, units["ill"])
    site.write("alive", "")
    after = {name: machine.show(unit, "MainPID", "NRestarts") for name, unit in units.items()}
    assert {name for name in units if after[name] != before[name]} == {"pool@2", "ill"}
    assert [line for line in machine.journal(units["ill"]) if line.startswith("unhealthy: file alive:")]


def change(site: Site, units: dict[str, str]) -> None:
    """Another check: another monitor, and the same programs. And back: a monitor beside each."""
    machine, monitor = site.machine, monitor_of(site)
    text = CONFIG.format(name=site.name, folder=site.folder, fast=FAST)
    site.config(text.replace('file = "/", interval', 'file = "/", jitter = "0%", interval'))
    # What a monitor has had restarted a moment ago may be watched, and nothing is done to it.
    steps = [step for step in site.applied().steps if not step.startswith("watch ")]
    assert steps[-2:] == ["reload-manager systemd", f"restart {monitor}"]
    assert not [step for step in steps[:-2] if step.split()[0] in {"start", "stop", "restart", "roll"}]
    site.shows(monitor, f"monitors {len(NAMES) + 1} programs")

    site.config(text.replace('monitor = "host"', 'monitor = "instance"'))
    site.apply()
    assert machine.show(monitor, "LoadState", "ActiveState") == {
        "LoadState": "not-found",
        "ActiveState": "inactive",
    }
    site.shows(units["pool@1"], r"ready \(http 200 in \d+ ms\); alive \(http 200 in \d+ ms\)")


def test_commands_of_checks_are_what_processes_of_the_unit_are(site: Site) -> None:
    site.write("ask", ASK)
    site.config(COMMANDS.format(folder=site.folder, fast=FAST))
    site.apply()
    assert site.shows(f"{site.name}-boxed.service", r"ready \(.*\); alive \(file inside\)") == (
        f"ready (sh: 1:1:1 2 {site.folder} in 1 green unset inside); alive (file inside)"
    )
