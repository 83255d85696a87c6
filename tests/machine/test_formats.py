"""Foreign configs on a real systemd; and the ways to a host: a user's own manager, files alone, a boot."""

from __future__ import annotations

import pytest

from tests.machine.sites import Site

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.machine.harness import Machine

PM2 = """\
const seconds = 1e6
module.exports = {
  apps: [
    { name: 'web', script: 'app.js', args: ['--name', 'the web'], instances: 2, env: { WORD: 'WEB_WORD' } },
    { name: 'other', script: 'app.js', env: { WORD: 'same' } }
  ]
}
"""
APP = "setInterval(() => {}, 1000); console.log('here', process.env.WORD, process.argv.slice(2).join('|'))\n"
PROCFILE = "web: sleep infinity\nother: exec sleep 1000000 # $WORD\n"


@pytest.fixture
def make_site(machine: Machine) -> Iterator[Callable[[str], Site]]:
    made: list[Site] = []

    def make(name: str) -> Site:
        made.append(Site(machine, name))
        machine.run(["mkdir", "-p", made[-1].folder])
        return made[-1]

    yield make
    for site in made:
        site.remove()


def restarted(site: Site, before: dict[str, str]) -> set[str]:
    """The units that run anew, of those that ran before."""
    after = site.runs()
    return {name.removeprefix(f"{site.name}-") for name in before if after.get(name) != before[name]}


def test_pm2_project_runs_changes_shrinks_and_goes(make_site: Callable[[str], Site]) -> None:
    site = make_site("pmtwo")
    source = ("-f", "ecosystem.config.js", "--project", "pmtwo")
    site.write("app.js", APP)
    site.write("ecosystem.config.js", PM2.replace("WEB_WORD", "one"))
    site.apply(*source)
    before = site.runs()
    assert {name for name in before if name.endswith(".service")} == {
        "pmtwo-other.service",
        "pmtwo-web@1.service",
        "pmtwo-web@2.service",
    }
    assert site.environment("pmtwo-web@1.service")["WORD"] == "one"
    assert "here one --name|the web" in site.machine.journal("pmtwo-web@1.service")
    assert site.applied(*source).steps == []
    assert restarted(site, before) == set()
    site.write("ecosystem.config.js", PM2.replace("WEB_WORD", "two"))
    site.apply(*source)
    assert restarted(site, before) == {"web@1.service", "web@2.service"}
    assert site.environment("pmtwo-web@1.service")["WORD"] == "two"
    site.write("ecosystem.config.js", PM2.replace("WEB_WORD", "two").replace("instances: 2", "instances: 1"))
    site.apply(*source)
    assert not {"pmtwo-web@1.service", "pmtwo-web@2.service"} & site.runs().keys()
    site.pm_native("remove", "pmtwo")
    assert (site.files(), site.runs()) == ({}, {})


def test_procfile_project_runs_scales_changes_and_goes(make_site: Callable[[str], Site]) -> None:
    site = make_site("market")
    source = ("-f", "Procfile", "--project", "market")
    site.write("Procfile", PROCFILE)
    site.write(".env", "WORD='one $two'\n")
    site.apply(*source, "--formation", "web=2,other=1")
    before = site.runs()
    assert site.environment("market-web@2.service")["WORD"] == "one $two"
    assert site.environment("market-web@1.service")["PORT"] == "5000"
    assert site.environment("market-web@2.service")["PORT"] == "5001"
    assert site.applied(*source, "--formation", "web=2,other=1").steps == []
    steps = site.applied(*source, "--formation", "web=3,other=1").steps
    assert [line for line in steps if line.split()[0] in {"start", "stop", "restart"}] == [
        "start market-web@3.service"
    ]
    assert restarted(site, before) == set()
    site.write("Procfile", PROCFILE.replace("1000000", "2000000"))
    site.apply(*source, "--formation", "web=3,other=1")
    assert {name for name in restarted(site, before) if name.endswith(".service")} == {"other.service"}
    site.pm_native("remove", "market")
    assert (site.files(), site.runs()) == ({}, {})


SMALL = """
[process.web]
command = "/bin/sleep infinity"
environment_files = ["web.env"]

[process.pool]
command = "/bin/sleep infinity"
instances = 2
"""


def test_users_own_manager_runs_a_project_of_its_own(machine: Machine) -> None:
    user = machine.user_session("ada")
    site = Site(machine, "mine", user)
    machine.run(["mkdir", "-p", site.folder], user=user)
    site.write("web.env", "WORD=mine\n")
    site.config(SMALL)
    try:
        site.apply()
        before = site.runs()
        assert {
            "mine-web.service",
            "mine-pool@1.service",
            "mine-pool@2.service",
            "mine.target",
        } <= before.keys()
        assert site.environment("mine-web.service")["WORD"] == "mine"
        assert machine.run(["systemctl", "list-units", "--no-legend", "mine*"]).stdout == ""
        assert site.applied().steps == []
        assert site.runs() == before
        site.config(SMALL.replace('"/bin/sleep infinity"\nenv', '"/bin/sleep 1000000"\nenv'))
        site.apply()
        assert restarted(site, before) == {"web.service"}
    finally:
        site.pm_native("remove", "mine")
    assert (site.files(), site.runs()) == ({}, {})


def test_failure_in_a_users_manager_has_its_journal_and_hints(machine: Machine) -> None:
    user = machine.user_session("ada")
    site = Site(machine, "sad", user)
    machine.run(["mkdir", "-p", site.folder], user=user)
    site.config('[process.web]\ncommand = ["sh", "-c", "exit 3"]\nrestart = { policy = "no" }\n')
    try:
        said = site.apply(code=4)
    finally:
        site.pm_native("remove", "sad")
    assert "  exit status 3\n" in said.stdout
    assert "  more: journalctl --user -u sad-web.service\n" in said.stdout


def test_files_alone_are_taken_up_by_the_next_boot_and_by_the_next_apply(fresh_machine: Machine) -> None:
    machine = fresh_machine
    site = Site(machine, "cold")
    site.write("web.env", "WORD=cold\n")
    site.config(SMALL)
    said = site.apply("--root", "/")
    assert said.stderr.splitlines()[-1] == "files only: systemd below / takes them up when it starts"
    assert site.runs() == {}
    machine.systemctl("daemon-reload")
    assert machine.show("cold.target", "LoadState", "UnitFileState") == {
        "LoadState": "loaded",
        "UnitFileState": "enabled",
    }
    machine.reboot()
    machine.wait_until("cold.target", ActiveState="active")
    before = site.runs()
    assert {"cold-web.service", "cold-pool@1.service", "cold-pool@2.service"} <= before.keys()
    assert site.environment("cold-web.service")["WORD"] == "cold"
    assert site.applied().steps == ["reload-manager systemd"]
    assert site.runs() == before
    assert site.applied().steps == []


def test_project_is_up_again_after_a_boot_and_apply_has_nothing_to_do(fresh_machine: Machine) -> None:
    machine = fresh_machine
    site = Site(machine, "warm")
    site.write("web.env", "WORD=warm\n")
    site.config(SMALL + '[process.past]\ncommand = "/bin/sleep infinity"\n')
    site.apply()
    site.config(SMALL)
    site.apply()
    files = site.files()
    machine.reboot()
    machine.wait_until("warm.target", ActiveState="active")
    assert {"warm-web.service", "warm-pool@1.service", "warm-pool@2.service"} <= site.runs().keys()
    assert machine.show("warm-past.service", "LoadState") == {"LoadState": "not-found"}
    done = site.applied()
    assert (done.steps, done.drift, site.files()) == ([], [], files)
