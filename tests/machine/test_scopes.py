"""On a real systemd: the host's manager, a user's own, and a host below a folder have one plan, each in its own place."""

from __future__ import annotations

import pytest

from tests.machine.sites import Site, new_site

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.machine.harness import Machine

CONFIG = 'directory = "/"\n[process.a]\ncommand = "/bin/sleep infinity"\n'
SOURCE = ("-f", "pm-native.toml")
FILES = """\
+ {0}-a.service  new
+ {0}.slice  new
+ {0}.target  new
+ enable {1}.wants/{0}.target  starts at boot
"""
JOBS = """\
⟳ reload unit files  unit files have changed
▶ start {0}-a.service  new
▶ start {0}.target  new
{0}: 3 to add, 2 to start, 0 unchanged
"""
# As `sudo -u` leaves it.
BARE = ("env", "--unset=XDG_RUNTIME_DIR", "--unset=DBUS_SESSION_BUS_ADDRESS")


@pytest.fixture
def site(host_machine: Machine) -> Iterator[Site]:
    """On one systemd: which files are where is pm-native's own affair."""
    yield from new_site(host_machine)


def test_host_below_a_folder_gets_the_files_of_the_plan_and_no_job(site: Site) -> None:
    machine, name, image = site.machine, site.name, f"{site.folder}/image"
    site.config(CONFIG)
    machine.run(["mkdir", "-p", f"{image}/usr/bin", f"{image}/etc/systemd"])
    machine.run(["ln", "-s", "usr/bin", f"{image}/bin"])
    machine.write(f"{image}/usr/bin/sleep", "", mode=0o755)
    below = ("--root", "image")
    files = FILES.format(name, "multi-user.target")
    assert site.pm_native("plan", *SOURCE, code=2).stdout == files + JOBS.format(name)
    assert (
        site.pm_native("plan", *SOURCE, *below, code=2).stdout == f"{files}{name}: 3 to add, 0 unchanged\n"
    )
    site.pm_native("apply", *SOURCE, *below)
    assert (site.files(), site.runs()) == ({}, {})
    enabled = machine.run(["systemctl", f"--root={image}", "is-enabled", f"{name}.target"]).stdout
    link = machine.run(["readlink", f"{image}{site.units}/multi-user.target.wants/{name}.target"]).stdout
    assert (enabled, link) == ("enabled\n", f"{site.units}/{name}.target\n")
    again = site.pm_native("plan", *SOURCE, *below)
    assert again.stdout == f"{name}: nothing to do, 3 files unchanged\n"
    site.pm_native("remove", name, *below)
    assert machine.run(["find", image, "-name", f"*{name}*"]).stdout == ""
    # A link in it is one of the host's, as we see it.
    for folder in ("var/lib/pm-native", "etc/pm-native"):
        place = f"{folder}/{name}"
        machine.run(["mkdir", "-p", f"{image}/{folder}", f"{site.folder}/host"])
        machine.run(["ln", "-s", f"{site.folder}/host", f"{image}/{place}"])
        said = site.pm_native("apply", *SOURCE, *below, code=64).stderr
        assert f"{place} is a link that leads out of {image}\n" in said
        machine.run(["rm", f"{image}/{place}"])
    assert machine.run(["find", f"{site.folder}/host", "-printf", "%m"]).stdout == "755"


def test_own_manager_of_a_user_is_found_and_told_to_end_with_the_last_session(host_machine: Machine) -> None:
    machine = host_machine
    site = Site(machine, "own", machine.user_session("scopes"))
    machine.run(["mkdir", "-p", site.folder], user=site.user)
    site.config(CONFIG)
    plan = FILES.format("own", "default.target") + JOBS.format("own")
    assert site.pm_native("plan", *SOURCE, code=2).stdout == plan
    command: list[str | Path] = [
        *BARE,
        machine.python,
        "-m",
        "pm_native",
        "apply",
        "--user",
        *SOURCE,
        "--settle",
        "0",
    ]
    machine.run(command, user=site.user, cwd=site.folder)
    assert "own-a.service" in site.runs()
    assert (
        machine.run(["sh", "-c", "ls -d /etc/systemd/system/own* /root/.config/systemd"], check=False).stdout
        == ""
    )
    # logind looks at this file when somebody asks it to, or logs out.
    machine.run(["rm", "/var/lib/systemd/linger/scopes"])
    said = site.pm_native("plan", *SOURCE).stdout
    machine.run(["touch", "/var/lib/systemd/linger/scopes"])
    assert said == (
        "! own.target stops when you log out, and does not start at boot: your service manager does not linger"
        " (loginctl enable-linger scopes)\nown: nothing to do, 3 files unchanged\n"
    )
    assert site.pm_native("plan", *SOURCE).stdout == "own: nothing to do, 3 files unchanged\n"
    site.remove()
    # Who has none is told how to have one.
    machine.run(["useradd", "--create-home", "away"])
    done = machine.run(command, user="away", cwd=site.folder, check=False)
    folder = f"/run/user/{machine.run(['id', '-u', 'away']).stdout.strip()}"
    assert done.returncode == 69
    assert done.stderr.splitlines() == [
        f"error: there is no {folder}: this user has no service manager",
        "  hint: log in as that user, or run `loginctl enable-linger USER`",
    ]
