"""From a real supervisord and a real PM2 to systemd: each process in turn, with one in the middle that does not come up."""

from __future__ import annotations

import json

import pytest

from tests.machine.harness import pm2_folder, until

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.machine.harness import Machine

NODE = "require('http').createServer((q, a) => a.end(process.env.WORD)).listen(7103, '127.0.0.1')\n"
PYTHON = "import http.server\nhttp.server.HTTPServer(('127.0.0.1', 7101), http.server.BaseHTTPRequestHandler).serve_forever()\n"
# Comes up under the manager that sets this variable, and nowhere else.
PICKY = '#!/bin/sh\n[ -n "$MARK" ] || { echo "no mark" >&2; exit 3; }\nexec sleep 1000000\n'
SETTLED = "#!/bin/sh\nexec sleep 1000000\n"
SUPERVISORD = """\
[program:first]
command = python3 /srv/MOVED/first.py
directory = /srv/MOVED
process_name = %(program_name)s_%(process_num)02d
autorestart = true

[program:picky]
command = /srv/MOVED/picky.sh
directory = /srv/MOVED
startsecs = 0

[program:pair]
command = /bin/sh -c "sleep 1000001 & wait"
directory = /srv/MOVED
process_name = %(program_name)s_%(process_num)02d
numprocs = 2
stopasgroup = true

[program:last]
command = node /srv/MOVED/last.js
directory = /srv/MOVED
environment = WORD="of supervisord"

[program:off]
command = sleep 1000002
directory = /srv/MOVED
autostart = false
"""
PM2 = """\
module.exports = { apps: [
  { name: 'first', script: 'first.py' },
  { name: 'picky', script: './picky.sh' },
  { name: 'last', script: 'last.js', env: { WORD: 'of PM2' } },
  { name: 'off', script: 'sleep 1000002' },
] }
"""


def needs(machine: Machine, program: str) -> None:
    if machine.run(["sh", "-c", f"command -v {program}"], check=False).returncode:
        pytest.skip(f"there is no {program} on this host")


def write_programs(machine: Machine, name: str, mark: str) -> None:
    machine.write(f"/srv/{name}/first.py", PYTHON)
    machine.write(f"/srv/{name}/last.js", NODE)
    machine.write(f"/srv/{name}/picky.sh", PICKY.replace("MARK", mark), mode=0o755)


def migrate(machine: Machine, *words: str, code: int) -> dict[str, str]:
    """What became of each process."""
    done = machine.pm_native("migrate", *words, "--settle", "0.8", "--json", check=False)
    assert done.returncode == code, f"{done.returncode}\n{done.stdout}{done.stderr}"
    data = json.loads(done.stdout.splitlines()[-1])["data"]
    return {item["process"]: item["step"] for item in data["moves"]}


def up(machine: Machine, project: str) -> set[str]:
    """The services of the project that run."""
    listed = machine.systemctl(
        "list-units", "--state=active", "--plain", "--no-legend", f"{project}-*.service"
    ).stdout
    return {
        line.split()[0].removeprefix(f"{project}-").removesuffix(".service") for line in listed.splitlines()
    }


def word(machine: Machine) -> str:
    code = "import urllib.request as r; print(r.urlopen('http://127.0.0.1:7103').read().decode())"
    return machine.run(["python3", "-c", code]).stdout.strip()


@pytest.fixture
def supervisord(machine: Machine) -> Iterator[Machine]:
    needs(machine, "supervisord")
    write_programs(machine, "moved", "SUPERVISOR_ENABLED")
    machine.write("/etc/supervisor/conf.d/moved.conf", SUPERVISORD.replace("MOVED", "moved"))
    machine.systemctl("enable", "--now", "supervisor.service")
    yield machine
    machine.pm_native("remove", "moved", check=False)
    machine.systemctl("disable", "--now", "supervisor.service", check=False)


def supervised(machine: Machine) -> set[str]:
    """What runs under supervisord."""
    lines = machine.run(["supervisorctl", "status"], check=False).stdout.splitlines()
    return {line.split()[0] for line in lines if line.split()[1:2] == ["RUNNING"]}


def test_supervisord_is_left_process_by_process(supervisord: Machine) -> None:
    machine = supervisord
    everything = {"first:first_00", "picky", "pair:pair_00", "pair:pair_01", "last"}
    until(lambda: supervised(machine) == everything, what=lambda: f"{supervised(machine)} run")
    said = machine.pm_native("migrate", "supervisord", "--project", "moved", "--dry-run").stdout
    assert (
        "  pair   stop pair:pair_00, pair:pair_01, start moved-pair@0.service, moved-pair@1.service\n"
        in said
    )
    assert "  off    does not run in supervisord: its units are installed and not started\n" in said
    assert (up(machine, "moved"), supervised(machine)) == (set(), everything)

    words = ("supervisord", "--project", "moved")
    assert migrate(machine, *words, code=4) == {
        "first": "moved",
        "picky": "went back",
        "pair": "not touched",
        "last": "not touched",
        "off": "not touched",
    }
    assert up(machine, "moved") == {"first"}
    assert supervised(machine) == everything - {"first:first_00"}
    assert machine.show("moved.target", "UnitFileState")["UnitFileState"] == "disabled"

    assert migrate(machine, *words, "--keep-going", code=4) == {
        "first": "already moved",
        "picky": "went back",
        "pair": "moved",
        "last": "moved",
        "off": "not running",
    }
    assert word(machine) == "of supervisord"
    said = machine.pm_native("migrate", *words, "--keep-going", "--settle", "0.8", check=False).stdout
    assert said.endswith(
        "nothing of this starts at boot here before all is moved: until then supervisord starts what it has\n"
    )
    machine.write("/srv/moved/picky.sh", SETTLED, mode=0o755)
    said = machine.pm_native("migrate", *words, "--settle", "0.8").stdout
    assert said.splitlines()[-3:] == [
        "supervisord still runs, and starts at boot what it has: when all is well, take it away",
        "  systemctl disable --now supervisor.service",
        "  apt-get remove supervisor    (where it came from there)",
    ]
    assert machine.show("supervisor.service", "ActiveState", "UnitFileState") == {
        "ActiveState": "active",
        "UnitFileState": "enabled",
    }
    assert set(migrate(machine, *words, "--disable", code=0).values()) == {
        "already moved",
        "not running",
    }
    assert up(machine, "moved") == {"first", "picky", "pair@0", "pair@1", "last"}
    assert machine.show("moved.target", "UnitFileState", "ActiveState") == {
        "UnitFileState": "enabled",
        "ActiveState": "active",
    }
    machine.wait_until("supervisor.service", ActiveState="inactive", UnitFileState="disabled")
    assert (
        json.loads(
            machine.pm_native(
                "plan", "-f", "/etc/supervisor/supervisord.conf", "--project", "moved", "--json", check=False
            ).stdout
        )["data"]["steps"]
        == []
    )


@pytest.fixture
def pm2(machine: Machine) -> Iterator[Machine]:
    if (folder := pm2_folder()) is None:
        pytest.skip("there is no pm2 on this host")
    needs(machine, "node")
    machine.run(["ln", "-sfn", f"{folder}/bin/pm2", "/usr/local/bin/pm2"])
    write_programs(machine, "moved2", "PM2_HOME")
    machine.write("/srv/moved2/ecosystem.config.js", PM2)
    machine.run(["pm2", "start", "ecosystem.config.js"], cwd="/srv/moved2")
    machine.run(["pm2", "stop", "off"])
    machine.run(["pm2", "save"])
    yield machine
    machine.pm_native("remove", "moved2", check=False)
    machine.run(["pm2", "kill"], check=False)


def online(machine: Machine) -> set[str]:
    """What runs under PM2."""
    listed = json.loads(machine.run(["pm2", "jlist"]).stdout.splitlines()[-1])
    return {item["name"] for item in listed if item["pm2_env"]["status"] == "online"}


def test_pm2_is_left_process_by_process(pm2: Machine) -> None:
    machine = pm2
    words = ("pm2", "--project", "moved2")
    assert migrate(machine, *words, code=4) == {
        "first": "moved",
        "picky": "went back",
        "last": "not touched",
        "off": "not touched",
    }
    assert (up(machine, "moved2"), online(machine)) == ({"first"}, {"picky", "last"})
    said = machine.pm_native("migrate", *words, "--settle", "0.8", check=False)
    assert "✗ picky: went back (moved2-picky.service: it" in said.stdout
    machine.write("/srv/moved2/picky.sh", SETTLED, mode=0o755)
    config = "/srv/moved2/pm-native.toml"
    machine.pm_native("import", "--running", "pm2", "--project", "moved2", "-o", config)
    assert migrate(machine, "pm2", "-f", config, code=0) == {
        "first": "already moved",
        "picky": "moved",
        "last": "moved",
        "off": "not running",
    }
    assert (up(machine, "moved2"), online(machine)) == ({"first", "picky", "last"}, set())
    assert word(machine) == "of PM2"
    assert migrate(machine, *words, "--disable", code=0)["last"] == "already moved"
    assert json.loads(machine.read("/root/.pm2/dump.pm2")) == []
    assert machine.run(["pgrep", "-f", "God Daemon"], check=False).returncode == 1
