"""A project until the next boot on a real systemd: whole while it is there, and gone with all that is known of it."""

from __future__ import annotations

import json

import pytest

from tests.machine.sites import Site, new_site

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.machine.harness import Machine

CONFIG = """
[process.web]
command = "/bin/sleep {}"
environment_files = ["web.env"]
[process.pool]
command = "/bin/sleep infinity"
instances = 2
"""


@pytest.fixture
def site(fresh_machine: Machine) -> Iterator[Site]:
    yield from new_site(fresh_machine)


def test_it_is_switched_as_any_other_and_leaves_nothing_behind_a_reboot(site: Site) -> None:
    machine, name = site.machine, site.name
    web, target = f"{name}-web.service", f"{name}.target"
    apply = ("--runtime", "--settle", "0")
    site.write("web.env", "WORD=secret\n", 0o600)
    site.config(CONFIG.format(1000))
    site.apply(*apply)
    assert machine.systemctl("is-enabled", target).stdout == "enabled-runtime\n"
    assert machine.show(web, "FragmentPath", "ActiveState", "NeedDaemonReload") == {
        "FragmentPath": f"/run/systemd/system/{web}",
        "ActiveState": "active",
        "NeedDaemonReload": "no",
    }
    assert site.environment(web)["WORD"] == "secret"
    assert {path.split("/")[1] for path in site.files()} == {"run"}
    assert site.applied(*apply).steps == []
    # It is a project like any other to the other commands.
    (shown,) = json.loads(site.pm_native("status", name, "--json").stdout)["data"]["projects"]
    assert (shown["runtime"], len(shown["processes"])) == (True, 3)
    before = site.runs()
    site.config(CONFIG.format(2000))
    assert f"restart {web}" in site.applied(*apply).steps
    site.pm_native("scale", "pool=3", "--settle", "0")
    site.pm_native("rollback", "1", "--project", name, "--settle", "0")
    assert machine.show(web, "NeedDaemonReload") == {"NeedDaemonReload": "no"}
    assert "1000" in machine.read(f"/run/systemd/system/{web}")
    after = site.runs()
    assert {f"{name}-pool@{number}.service" for number in (1, 2, 3)} < after.keys()
    assert after[web] != before[web]
    said = site.apply("--settle", "0", code=1)
    assert said.stderr.startswith(
        f"error: {name} is installed until the next boot, in /run/systemd/system\n"
    )
    # With an administrator's mask in /etc, which wins over /run.
    machine.systemctl("mask", web)
    assert f"{web} is masked: left alone" in site.applied(*apply).drift
    machine.systemctl("unmask", web)
    machine.reboot()
    assert (site.files(), site.runs()) == ({}, {})
    assert machine.show(web, "LoadState") == {"LoadState": "not-found"}
    assert site.pm_native("status", code=69).stderr.startswith("error: no project is installed")
    # Neither a generation nor anything that is owed has come over from before.
    site.apply(*apply)
    assert [path.name for path in machine.path(f"/run/pm-native-projects/{name}/generations").iterdir()] == [
        "1"
    ]
    site.pm_native("remove", name)
    assert (site.files(), site.runs()) == ({}, {})


def test_users_own_is_gone_with_the_runtime_folder(host_machine: Machine) -> None:
    machine = host_machine
    site = Site(machine, "mayfly", machine.user_session("ronya"))
    machine.run(["mkdir", site.folder], user=site.user)
    uid = machine.run(["id", "-u"], user=site.user).stdout.strip()
    site.config(CONFIG.format(1000).replace('environment_files = ["web.env"]\n', ""))
    site.apply("--runtime", "--settle", "0")
    assert machine.show("mayfly-web.service", "FragmentPath", user=site.user) == {
        "FragmentPath": f"/run/user/{uid}/systemd/user/mayfly-web.service"
    }
    assert {path.split("/")[1] for path in site.files()} == {"run"}
    assert site.applied("--runtime").steps == []
    machine.systemctl("stop", f"user-runtime-dir@{uid}.service")
    machine.systemctl("start", f"user@{uid}.service")
    assert (site.files(), site.runs()) == ({}, {})
    assert site.pm_native("status", code=69).stderr.startswith("error: no project is installed")
