from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.machine import nspawn
from tests.machine.harness import CHECKOUT, Machine, until

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

# Boots, says its name, and is killed while it waits for a line that never comes.
VICTIM = """
import sys
from tests.machine.harness import Machine
with Machine.boot() as machine:
    print(machine.name, machine.leader, flush=True)
    sys.stdin.readline()
"""
ECHO = "[Service]\nType=oneshot\nExecStart=echo {}\n"


@pytest.fixture
def sentinels(bootable: None) -> Iterator[list[Path]]:  # noqa: ARG001
    """Files in the host's own /tmp and /var, which a systemd that sees them would remove."""
    names = [Path(top) / f"pm-native-sentinel-{os.getpid()}" for top in ("/tmp", "/var/tmp", "/var/lib")]
    for name in names:
        name.write_text("mine\n")
        os.utime(name, (0, 0))  # older than any age that systemd-tmpfiles keeps
    yield names
    for name in names:
        name.unlink()


def traces(name: str) -> list[str]:
    """What is left on the host of the machine `name`: processes, mounts, cgroups, directories."""
    commands = {
        f"process {entry.name}"
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and name in command_line(entry)
    }
    mounts = {f"mount {line}" for line in Path("/proc/mounts").read_text().splitlines() if name in line}
    places = [
        Path("/run/systemd/nspawn/propagate") / name,
        CHECKOUT / ".machine" / name,
        *nspawn.own_cgroups(name),
    ]
    return sorted(commands | mounts | {f"directory {place}" for place in places if place.exists()})


def command_line(process: Path) -> str:
    try:
        return (process / "cmdline").read_text()
    except (FileNotFoundError, ProcessLookupError):  # it has ended since
        return ""


def test_pid_1_is_the_systemd_of_the_root_and_all_is_well(fresh_machine: Machine) -> None:
    machine = fresh_machine
    assert machine.run(["cat", "/proc/1/comm"]).stdout == "systemd\n"
    assert machine.systemctl("--version").stdout.startswith(f"systemd {machine.version} ")
    assert machine.systemctl("is-system-running").stdout == "running\n"
    assert machine.systemctl("list-units", "--failed", "--no-legend").stdout == ""


def test_host_keeps_its_tmp_and_var(sentinels: list[Path], fresh_machine: Machine) -> None:
    fresh_machine.run(["systemd-tmpfiles", "--create", "--remove", "--clean", "--boot"])
    assert [name.read_text() for name in sentinels] == ["mine\n"] * 3
    assert "sentinel" not in fresh_machine.run(["ls", "/tmp"]).stdout


@pytest.mark.parametrize("top", ["/etc", "/var/lib", "/tmp", "/run", "/var/run"])
def test_file_written_inside_stays_inside(machine: Machine, top: str) -> None:
    inside = f"{top}/pm-native-{machine.name}/deep/file"
    machine.write(inside, "within\n", mode=0o640)
    assert machine.run(["stat", "--format=%a", inside]).stdout == "640\n"
    assert machine.run(["cat", inside]).stdout == machine.read(inside) == "within\n"
    assert not Path(inside).exists()


def test_host_path_of_a_link_stays_inside(machine: Machine) -> None:
    machine.run(["ln", "-sf", "/etc/../../../etc/hostname", "/srv/link"])
    assert machine.path("/srv/link") == Path(f"/proc/{machine.leader}/root/etc/hostname")
    assert machine.read("/srv/link") == f"{machine.name}\n"


def test_unit_runs_and_its_journal_is_read(machine: Machine) -> None:
    machine.write("/etc/systemd/system/hello.service", ECHO.format("'grüße → you'"))
    machine.systemctl("daemon-reload")
    machine.systemctl("start", "hello.service")
    # What the program wrote comes by another way than what systemd says of it, so its place may vary.
    assert sorted(machine.journal("hello.service")) == [
        "Finished hello.service.",
        "Starting hello.service...",
        "grüße → you",
        "hello.service: Deactivated successfully.",
    ]


def test_waiting_for_a_unit_ends_when_it_is_so_and_tells_what_was_instead(machine: Machine) -> None:
    machine.run(["systemd-run", "--unit=nap", "sleep", "60"])
    assert machine.wait_until("nap.service", ActiveState="active", SubState="running") == {
        "ActiveState": "active",
        "SubState": "running",
    }
    with pytest.raises(TimeoutError, match=r"nap.service has {'ActiveState': 'active'}, not .*failed"):
        machine.wait_until("nap.service", timeout=0.1, ActiveState="failed")
    machine.systemctl("stop", "nap.service")


def test_user_has_a_manager_a_bus_and_a_journal(machine: Machine) -> None:
    user = machine.user_session("ada")
    assert machine.systemctl("is-system-running", user=user).stdout == "running\n"
    machine.run(["mkdir", "-p", ".config/systemd/user"], user=user)
    # It stays: journald asks /proc whose line it has got, and of a program that is gone it cannot tell.
    command = "/bin/sh -c 'echo of ada; exec sleep infinity'"
    machine.write("/home/ada/.config/systemd/user/mine.service", f"[Service]\nExecStart={command}\n")
    machine.systemctl("daemon-reload", user=user)
    machine.systemctl("start", "mine.service", user=user)
    until(
        lambda: "of ada" in machine.journal("mine.service", user=user),
        what=lambda: f"the journal has {machine.journal('mine.service', user=user)}",
    )
    assert "of ada" not in machine.journal("mine.service")
    machine.systemctl("stop", "mine.service", user=user)


def test_command_gets_a_clean_environment_its_input_and_its_own_cgroup(machine: Machine) -> None:
    script = 'cat; env | cut -d= -f1 | sort | tr "\\n" " "; pwd; grep ^0 /proc/self/cgroup'
    done = machine.run(["sh", "-c", script], input="in, ", env={"EXTRA": "1"}, cwd="/srv")
    names = "EXTRA HOME LANG LOGNAME PATH PWD PYTHONDONTWRITEBYTECODE SHELL USER"
    assert done.stdout == f"in, {names} /srv\n0::/harness\n"


def test_failing_command_tells_its_output(machine: Machine) -> None:
    assert machine.run(["sh", "-c", "exit 3"], check=False).returncode == 3
    with pytest.raises(AssertionError, match=r"sh -c 'echo why; exit 3': exit status 3\nwhy\n"):
        machine.run(["sh", "-c", "echo why; exit 3"])


def test_command_that_takes_too_long_is_killed_inside(machine: Machine) -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        machine.run(["sleep", "1234"], timeout=0.2)
    until(
        lambda: machine.run(["pgrep", "-f", "sleep 1234"], check=False).stdout == "",
        what=lambda: "sleep still runs",
    )


def test_checkout_is_importable_for_root_and_users_and_cannot_be_written(machine: Machine) -> None:
    words = [str(machine.python), "-c", "import pm_native.errors, jinja2; print(pm_native.errors.__file__)"]
    here = f"{CHECKOUT}/pm_native/errors.py\n"
    assert machine.run(words).stdout == here
    assert machine.run(words, user=machine.user_session("ada")).stdout == here
    assert machine.run(["touch", f"{CHECKOUT}/tests/mark"], check=False).returncode == 1
    points = "import importlib.metadata as m; print(*m.entry_points(group='pm_native.importers').names)"
    assert "pm2" in machine.run([machine.python, "-c", points]).stdout


def test_machines_share_no_port_cgroup_or_identity(machine: Machine) -> None:
    serve = "import socket, sys; socket.create_server(('127.0.0.1', 3000)); print('up'); sys.stdin.read()"
    with Machine.boot() as other:
        assert machine.read("/etc/machine-id") != other.read("/etc/machine-id")
        assert set(nspawn.cgroup_paths(machine.leader)).isdisjoint(nspawn.cgroup_paths(other.leader))
        for each in (machine, other):
            each.write(
                "/etc/systemd/system/port.service", f'[Service]\nExecStart={each.python} -c "{serve}"\n'
            )
            each.write(
                "/etc/systemd/system/port.service.d/in.conf", "[Service]\nStandardInput=file:/dev/zero\n"
            )
            each.systemctl("daemon-reload")
            each.systemctl("start", "port.service")
            each.wait_until("port.service", ActiveState="active")
        machine.systemctl("stop", "port.service")
        assert other.show("port.service", "ActiveState") == {"ActiveState": "active"}


def test_enabled_unit_starts_again_after_a_reboot(fresh_machine: Machine) -> None:
    boot_id = fresh_machine.read("/proc/sys/kernel/random/boot_id")
    fresh_machine.write(
        "/etc/systemd/system/stay.service",
        "[Service]\nExecStart=sleep infinity\n[Install]\nWantedBy=multi-user.target\n",
    )
    fresh_machine.systemctl("enable", "stay.service")
    fresh_machine.reboot()
    assert fresh_machine.show("stay.service", "ActiveState") == {"ActiveState": "active"}
    assert fresh_machine.read("/proc/sys/kernel/random/boot_id") != boot_id


@pytest.mark.usefixtures("bootable")
def test_stopped_machine_leaves_nothing_and_is_quick_about_it() -> None:
    with Machine.boot() as machine:
        machine.run(["systemd-run", "-p", "TimeoutStopSec=60", "sh", "-c", "trap '' TERM; sleep 99 & wait"])
        assert traces(machine.name) != []
        began = time.monotonic()
    assert time.monotonic() - began < 50  # seconds: not the 60 that the program would take
    assert traces(machine.name) == []


@pytest.mark.usefixtures("bootable")
def test_machine_ends_with_the_process_that_booted_it_and_the_next_one_mops_up() -> None:
    victim = subprocess.Popen(
        [sys.executable, "-c", VICTIM],
        cwd=CHECKOUT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with victim:
        assert victim.stdout is not None
        name, leader = victim.stdout.readline().split()
        ended = os.pidfd_open(int(leader))
        victim.send_signal(signal.SIGKILL)
    assert select.select([ended], [], [], 5)[0] == [ended]
    os.close(ended)
    with Machine.boot():
        assert traces(name) == []
