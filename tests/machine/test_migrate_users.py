"""A PM2 or supervisord of another user than root: to root's systemd, and to the user's own."""

from __future__ import annotations

import json

import pytest

from tests.machine.behaviour import ACTOR, SERVERS
from tests.machine.harness import until

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.machine.harness import Machine

APPS = {
    "apps": [
        {"name": name, "script": "actor.py", "interpreter": "python3", "args": f"{name} show=HOME"}
        for name in ("first", "second")
    ]
}


@pytest.fixture
def with_pm2(host_machine: Machine) -> Iterator[Callable[[str], str]]:
    """What makes a user whose PM2 runs two apps in its systemd unit, as after a boot; the folder of the apps."""
    machine = host_machine
    if machine.run(["sh", "-c", "command -v pm2"], check=False).returncode:
        pytest.skip("there is no pm2 on this host")
    made: list[str] = []

    def make(name: str) -> str:
        user = machine.user_session(name)
        made.append(user)
        folder = f"/home/{user}/app"
        machine.run(["mkdir", folder], user=user)
        machine.write(f"{folder}/actor.py", ACTOR)
        machine.write(f"{folder}/ecosystem.json", json.dumps(APPS))
        machine.run(["pm2", "start", "ecosystem.json"], user=user, cwd=folder)
        machine.run(["pm2", "save"], user=user)
        machine.run(["pm2", "startup", "systemd", "-u", user, "--hp", f"/home/{user}"])
        machine.run(["pm2", "kill"], user=user)
        machine.systemctl("start", f"pm2-{user}.service")
        until(lambda: online(machine, user) == {"first", "second"}, timeout=60, what=lambda: f"of {user}'s")
        return folder

    yield make
    for user in made:
        machine.pm_native("remove", f"{user}s", check=False)
        machine.pm_native("remove", f"{user}s", "--user", user=user, check=False)
        machine.systemctl("disable", "--now", f"pm2-{user}.service", check=False)
        machine.run(["pm2", "kill"], user=user, check=False)


def online(machine: Machine, user: str) -> set[str]:
    listed = json.loads(machine.run(["pm2", "jlist"], user=user).stdout.splitlines()[-1])
    return {item["name"] for item in listed if item["pm2_env"]["status"] == "online"}


def test_root_moves_what_a_users_pm2_runs(host_machine: Machine, with_pm2: Callable[[str], str]) -> None:
    machine = host_machine
    with_pm2("carol")
    words = ("migrate", "pm2", "--project", "carols", "--settle", "0.8")
    sudo = {"SUDO_USER": "carol"}
    said = machine.pm_native(*words, env=sudo).stdout
    assert "carols: 2 of 2 moved from PM2\n" in said
    assert (
        "  sudo -u carol pm2 delete all && sudo -u carol pm2 save --force && sudo -u carol pm2 kill\n"
        in said
    )
    assert "  systemctl disable pm2-carol.service " in said
    assert machine.show("pm2-carol.service", "ActiveState", "UnitFileState") == {
        "ActiveState": "active",
        "UnitFileState": "enabled",
    }
    assert online(machine, "carol") == set()
    for name in ("first", "second"):
        unit = f"carols-{name}.service"
        assert machine.show(unit, "ActiveState", "User") == {"ActiveState": "active", "User": "carol"}
        pid = machine.show(unit, "MainPID")["MainPID"]
        uid = machine.run(["stat", "-c", "%U", f"/proc/{pid}"]).stdout.strip()
        trace = machine.read(f"/home/carol/app/{name}.trace").splitlines()
        assert (uid, trace[-1].split()[-1]) == ("carol", "/home/carol")

    said = machine.pm_native(*words, "--disable", env=sudo).stdout
    assert "PM2 has been ended:\n" in said
    machine.wait_until("pm2-carol.service", timeout=60, ActiveState="inactive", UnitFileState="disabled")
    assert json.loads(machine.read("/home/carol/.pm2/dump.pm2")) == []
    assert machine.run(["stat", "-c", "%U", "/home/carol/.pm2/dump.pm2"]).stdout == "carol\n"
    assert machine.show("carols.target", "ActiveState", "UnitFileState") == {
        "ActiveState": "active",
        "UnitFileState": "enabled",
    }


def test_user_moves_to_a_systemd_of_its_own(host_machine: Machine, with_pm2: Callable[[str], str]) -> None:
    machine = host_machine
    with_pm2("dave")
    words = ("migrate", "pm2", "--user", "--project", "daves", "--settle", "0.8")
    said = machine.pm_native(*words, "--dry-run", user="dave").stdout
    assert "  first   stop 0, start daves-first.service\n" in said
    assert online(machine, "dave") == {"first", "second"}
    said = machine.pm_native(*words, "--disable", user="dave").stdout
    assert "daves: 2 of 2 moved from PM2\n" in said
    # The unit that starts PM2 at boot is root's: what is left to do is said.
    assert "  left to do: sudo systemctl disable --now pm2-dave.service\n" in said
    assert machine.run(["pgrep", "-u", "dave", "-f", "God Daemon"], check=False).returncode == 1
    assert json.loads(machine.read("/home/dave/.pm2/dump.pm2")) == []
    for name in ("first", "second"):
        assert machine.show(f"daves-{name}.service", "ActiveState", user="dave") == {"ActiveState": "active"}
    assert machine.show("daves.target", "UnitFileState", user="dave") == {"UnitFileState": "enabled"}


def test_user_moves_a_supervisord_to_a_systemd_of_its_own(host_machine: Machine) -> None:
    machine = host_machine
    if machine.run(["sh", "-c", "command -v supervisord"], check=False).returncode:
        pytest.skip("there is no supervisord on this host")
    machine.user_session("erin")
    folder = "/home/erin/app"
    machine.run(["mkdir", folder], user="erin")
    machine.write(f"{folder}/actor.py", ACTOR)
    program = "[program:web]\ncommand = python3 -S actor.py web show=HOME\n"
    machine.write(f"{folder}/supervisord.conf", f"{SERVERS}\n{program}")
    machine.run(["supervisord", "-c", f"{folder}/supervisord.conf"], user="erin", cwd=folder)
    words = ("migrate", "supervisord", "--user", "--project", "erins", "--settle", "0.8")
    try:
        said = machine.pm_native(*words, user="erin", cwd="/home/erin").stdout
        assert "erins: 1 of 1 moved from supervisord\n" in said
        assert f"  supervisorctl -c {folder}/supervisord.conf shutdown\n" in said
        assert machine.show("erins-web.service", "ActiveState", user="erin") == {"ActiveState": "active"}
        said = machine.pm_native(*words, "--disable", user="erin", cwd="/home/erin").stdout
        assert "supervisord has been ended:\n  ended supervisord\n" in said
        until(
            lambda: machine.run(["pgrep", "-u", "erin", "supervisord"], check=False).returncode == 1,
            timeout=60,
            what=lambda: "supervisord goes on",
        )
        assert machine.show("erins.target", "UnitFileState", user="erin") == {"UnitFileState": "enabled"}
    finally:
        machine.pm_native("remove", "erins", "--user", user="erin", check=False)
        machine.run(["pkill", "-u", "erin", "supervisord"], check=False)
