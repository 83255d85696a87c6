"""Shared listeners on a booted systemd: one socket, held by systemd, in every instance."""

from __future__ import annotations

import json
import random

import pytest

from tests.machine.harness import until
from tests.machine.load import Load
from tests.machine.sites import new_site, processes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.machine.harness import Machine
    from tests.machine.sites import Site

# Answers with its instance, from the socket that it was given, after a word about what it was given.
SERVER = r"""
import os, socket, sys
from pathlib import Path
if Path("/tmp/crash" + os.environ.get("PM_NATIVE_INSTANCE", "")).exists():
    sys.exit(3)
given = f"{os.environ['LISTEN_FDS']} {os.environ['LISTEN_PID'] == str(os.getpid())} {os.environ['PORT']}"
listener = socket.socket(fileno=3)
while True:
    connection, _ = listener.accept()
    connection.recv(1000)
    connection.sendall(f"{os.environ.get('PM_NATIVE_INSTANCE', '-')} {given}".encode())
    connection.close()
"""
ASK = r"""
import socket, sys
where, patience = sys.argv[1], float(sys.argv[3])
found = set()
for _ in range(int(sys.argv[2])):
    try:
        if where.startswith("/"):
            client = socket.socket(socket.AF_UNIX)
            client.settimeout(patience)
            client.connect(where)
        else:
            client = socket.create_connection(("127.0.0.1", int(where)), timeout=patience)
        with client:
            client.sendall(b"?")
            found.add(client.recv(1000).decode())
    except OSError as error:
        found.add(type(error).__name__)
print(*sorted(found), sep="\n")
"""
FETCH = """
import sys, urllib.request
for _ in range(20):
    print(urllib.request.urlopen(f"http://127.0.0.1:{sys.argv[1]}/", timeout=30).read().decode())
"""


@pytest.fixture
def site(machine: Machine) -> Iterator[Site]:
    for made in new_site(machine):
        made.write("server.py", SERVER)
        yield made


def answers(site: Site, where: str, times: int = 40, patience_sec: float = 30) -> list[str]:
    """All the different answers that so many clients of a port or path have, in turn."""
    words = ["python3", "-c", ASK, where, str(times), str(patience_sec)]
    return site.machine.run(words).stdout.splitlines()


def states(site: Site, *names: str) -> list[str]:
    """The state of units of the site, in a word."""
    return [site.machine.show(f"{site.name}-{name}", "ActiveState")["ActiveState"] for name in names]


def test_pool_on_one_port(site: Site) -> None:
    machine = site.machine
    site.config(
        '[process.api]\ncommand = "python3 server.py"\ninstances = 2\nlisten = { port = 3400, share = true }\n'
    )
    site.apply()
    both = ["1 1 True 3400", "2 1 True 3400"]
    assert set(answers(site, "3400")) <= set(both)
    assert site.applied().steps == []

    # One started by hand beyond the pool takes part, and stops with the pool.
    machine.systemctl("start", f"{site.name}-api@7.service")
    told = site.environment(f"{site.name}-api@7.service")
    assert (told["PM_NATIVE_INSTANCE"], told["PM_NATIVE_INSTANCES"]) == ("7", "2")
    machine.systemctl("stop", f"{site.name}-api@1.service", f"{site.name}-api@2.service")
    assert answers(site, "3400") == ["7 1 True 3400"]

    # With the last one stopped by hand, traffic starts none: it waits for one.
    machine.systemctl("stop", f"{site.name}-api@7.service")
    assert answers(site, "3400", 1, 0.5) == ["TimeoutError"]
    assert states(site, "api@1.service", "api@2.service", "api@7.service", "api.socket") == [
        "inactive",
        "inactive",
        "inactive",
        "active",
    ]
    machine.systemctl("start", f"{site.name}-api@2.service")
    assert answers(site, "3400") == ["2 1 True 3400"]

    # The pool as a whole: the port is closed and opened with it.
    site.pm_native("stop", "api")
    assert answers(site, "3400", 1) == ["ConnectionRefusedError"]
    site.pm_native("start", "api")
    assert set(answers(site, "3400")) <= set(both)
    site.pm_native("restart", "api")
    assert set(answers(site, "3400")) <= set(both)
    site.pm_native("restart", site.name)
    assert set(answers(site, "3400")) <= set(both)
    machine.systemctl("stop", f"{site.name}.target")
    assert answers(site, "3400", 1) == ["ConnectionRefusedError"]
    machine.systemctl("start", f"{site.name}.target")
    assert set(answers(site, "3400")) <= set(both)


def test_instance_that_keeps_ending_leaves_the_socket_to_the_others(site: Site) -> None:
    """systemd closes the socket of a service that meets its start limit: a pool has none."""
    site.config(
        '[process.api]\ncommand = "python3 server.py"\ninstances = 2\nlisten = { port = 3401, share = true }\n'
        'restart = { delay = "50ms" }\n'
    )
    site.apply()
    site.machine.write("/tmp/crash2", "")
    site.machine.systemctl("restart", "--no-block", f"{site.name}-api@2.service")
    unit = f"{site.name}-api@2.service"
    for restarts in (5, 10, 15, 20):
        site.machine.run(
            ["sh", "-c", f"until [ $(systemctl show -P NRestarts {unit}) -ge {restarts} ]; do :; done"]
        )
        assert answers(site, "3401", 10) == ["1 1 True 3401"]
    assert states(site, "api.socket") == ["active"]
    site.machine.run(["rm", "/tmp/crash2"])
    site.machine.wait_until(unit, ActiveState="active", SubState="running")
    assert answers(site, "3401") == ["1 1 True 3401", "2 1 True 3401"]


def test_instances_that_are_killed_are_back_and_leave_nothing(site: Site) -> None:
    """While clients ask: what a killed one had under way is lost, and nothing else."""
    machine = site.machine
    site.config(
        '[process.api]\ncommand = "python3 server.py"\ninstances = 3\nrestart = { delay = "50ms" }\n'
        "listen = { port = 3406, share = true }\nhealth.alive = { file = '/', interval = '200ms' }\n"
    )
    site.apply()
    chance = random.Random(20)  # noqa: S311 - the same kills each time
    kills = dict.fromkeys((f"{site.name}-api@{number}.service" for number in (1, 2, 3)), 0)
    for _ in range(20):
        unit = chance.choice([*kills])
        kills[unit] += 1
        machine.systemctl("kill", "--signal=KILL", "--kill-who=main", unit)
        machine.wait_until(unit, ActiveState="active", SubState="running", NRestarts=str(kills[unit]))
        (answer,) = answers(site, "3406", 1)
        assert answer[:1] in {"1", "2", "3"}
    assert set(answers(site, "3406")) <= {f"{number} 1 True 3406" for number in (1, 2, 3)}
    assert states(site, "api.socket") == ["active"]
    monitors = f"--unit={site.name}-api@"
    until(lambda: len(processes(machine, monitors)) == 3, what=lambda: str(processes(machine, monitors)))
    assert len(processes(machine, "server.py")) == 6  # the programs, and the monitors that name them
    listed = ["ps", "-eo", "stat=,args="]
    until(
        lambda: "Z" not in machine.run(["ps", "-eo", "stat="]).stdout,
        what=lambda: machine.run(listed).stdout,
    )


def test_unix_socket_with_its_owner(site: Site) -> None:
    path = f"/run/{site.name}/web.sock"
    site.config(
        f'[process.web]\ncommand = "python3 server.py"\n'
        f'listen = {{ path = "{path}", mode = "0660", user = "www-data", group = "games" }}\n'
    )
    site.apply()
    assert answers(site, path) == [f"- 1 True {path}"]
    assert site.machine.run(["stat", "-c", "%A %U %G", path]).stdout == "srw-rw---- www-data games\n"
    site.pm_native("stop")
    assert site.machine.run(["test", "-e", path], check=False).returncode == 1


NODE = """
const http = require("node:http");
http.createServer((request, response) => {
  response.end(`${process.env.PM_NATIVE_INSTANCE} ${process.env.NODE_OPTIONS}`);
}).listen(process.env.PORT);
"""


def test_unmodified_program_of_node(site: Site) -> None:
    site.write("server.cjs", NODE)
    site.machine.run(["useradd", "--system", site.name])
    site.config(
        f'[process.api]\ncommand = "node server.cjs"\ninstances = 3\nuser = "{site.name}"\n'
        "listen = { port = 3402, share = true }\n"
    )
    site.apply()
    seen: set[str] = set()
    while len(seen) < 3:
        seen.update(site.machine.run(["python3", "-c", FETCH, "3402"]).stdout.splitlines())
    assert seen == {f"{number} undefined" for number in (1, 2, 3)}
    counted = [
        site.environment(f"{site.name}-api@{number}.service")["NODE_APP_INSTANCE"] for number in (1, 2, 3)
    ]
    assert counted == ["0", "1", "2"]
    began = site.runs()
    site.machine.systemctl("restart", f"{site.name}-api@2.service")
    assert [name for name, run in site.runs().items() if began[name] != run] == [
        f"{site.name}-api@2.service"
    ]


def test_rolling_reload_loses_no_connection(site: Site) -> None:
    """While clients come and go, some of them keeping their connection; then an instance that does not come back."""
    site.write("server.cjs", NODE)
    config = (
        '[process.api]\ncommand = "node server.cjs"\ninstances = 3\non_change = "reload"\n'
        'listen = { port = 3403, share = true }\nenvironment = { ROUND = "1" }\n'
    )
    site.config(config)
    site.apply()
    load = Load(site.machine, 3403)
    began = site.runs()
    site.pm_native("reload", "api", "--settle", "0.3")
    now = site.runs()
    changed = sorted(name for name, run in now.items() if began[name] != run)
    assert changed == [f"{site.name}-api@{number}.service" for number in (1, 2, 3)]

    # By apply, with the same care.
    site.config(config.replace('"1"', '"2"'))
    roll = [f"roll {site.name}-api@{number}.service" for number in (1, 2, 3)]
    assert site.applied().steps[-3:] == roll
    assert {site.environment(f"{site.name}-api@{number}.service")["ROUND"] for number in (1, 2, 3)} == {"2"}

    # One that does not come back: the others have not been touched, and it goes back by itself.
    began = site.runs()
    site.config(config.replace("server.cjs", "gone.cjs"))
    failed = json.loads(site.apply("--json", code=3).stdout.splitlines()[-1])["data"]["failed"]
    assert [item["unit"] for item in failed["failures"]] == [f"{site.name}-api@1.service"]
    now = site.runs()
    assert [name for name, run in now.items() if began[name] != run] == [f"{site.name}-api@1.service"]

    answered, lost = load.end()
    assert (answered > 300, lost) == (True, 0)


PM2_STYLE = """
const http = require("node:http");
process.on("message", (message) => {
  if (message !== "shutdown") return process.send({ type: "answer", data: message });
  console.log("told to end");
  server.close(() => process.exit(0));
});
const server = http.createServer((request, response) => response.end("hello")).listen(process.env.PORT, () => {
  setTimeout(() => { console.log("up"); process.send("ready"); }, 200);
});
"""
TALK = """
import socket, sys
channel = socket.socket(socket.AF_UNIX)
channel.connect(sys.argv[1])
channel.sendall(b'{"topic": "caf\\\\u00e9"}\\n')
print(channel.makefile().readline(), end="")
"""


def test_program_written_for_pm2_says_when_it_is_ready_and_ends_by_a_message(site: Site) -> None:
    machine = site.machine
    site.write("server.cjs", PM2_STYLE)
    machine.run(["useradd", "--system", site.name])
    site.config(
        f'[process.api]\ncommand = "node server.cjs"\nuser = "{site.name}"\n'
        "listen = 3404\nchannel = { ready = true, shutdown = true }\n"
        '[process.late]\ncommand = "node -e setInterval(String,1e9)"\n'
        'channel = { ready = true, ready_timeout = "300ms" }\n'
    )
    site.apply()
    unit = f"{site.name}-api.service"
    shown = machine.show(unit, "ActiveState", "StatusText", "Type")
    assert shown == {"Type": "notify", "ActiveState": "active", "StatusText": "started"}
    said = [line for line in machine.journal(unit) if line == "up" or line.startswith("Started")]
    assert said[0] == "up"  # before systemd took it as started
    path = f"/run/pm-native/{unit}/channel"
    answer = machine.run(["python3", "-c", TALK, path], user=site.name, cwd="/").stdout
    assert json.loads(answer) == {"type": "answer", "data": {"topic": "café"}}
    assert machine.run(["python3", "-c", TALK, path], user="nobody", cwd="/", check=False).returncode == 1
    machine.systemctl("stop", unit)
    assert machine.journal(unit)[-3:-1] == ["told to end", f"{unit}: Deactivated successfully."]
    assert machine.show(unit, "Result") == {"Result": "success"}
    assert processes(machine, "runtime/run.py") != []  # that of the other process
    machine.systemctl("stop", f"{site.name}-late.service")
    assert processes(machine, "runtime/run.py") == []
    late = machine.journal(f"{site.name}-late.service")
    assert "no message that it is ready within 0.3 s: taken as ready" in late


def test_scale_is_kept_over_apply_and_reboot(fresh_machine: Machine) -> None:
    for site in new_site(fresh_machine):
        site.write("server.py", SERVER)
        site.config(
            '[process.api]\ncommand = "python3 server.py"\ninstances = 2\n'
            "listen = { port = 3405, share = true }\n"
        )
        site.apply()
        began = site.runs()
        site.pm_native("scale", "api=4", "--settle", "0.3")
        assert site.applied().steps == []
        four = {f"{site.name}-api@{number}.service" for number in (1, 2, 3, 4)}
        now = site.runs()
        assert {name for name in now if "@" in name} == four
        assert {name: now[name] for name in began} == began
        # Those that ran before were told of two, and those that start of four.
        counts = [site.environment(name)["PM_NATIVE_INSTANCES"] for name in sorted(four)]
        assert counts == ["2", "2", "4", "4"]
        fresh_machine.reboot()
        fresh_machine.wait_until(f"{site.name}-api@4.service", ActiveState="active")
        assert {name for name in site.runs() if "@" in name} == four
        site.pm_native("scale", "api=1", "--settle", "0.3")
        assert {name for name in site.runs() if "@" in name} == {f"{site.name}-api@1.service"}
        assert answers(site, "3405", 5) == ["1 1 True 3405"]
