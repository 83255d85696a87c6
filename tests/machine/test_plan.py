"""What `plan` says of a host on which somebody has been, word for word, and the exit code that it says it with."""

from __future__ import annotations

import pytest

from tests.machine.conftest import booted
from tests.machine.sites import new_site

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.machine.harness import Machine
    from tests.machine.sites import Site

SLEEP = 'command = "/bin/sleep infinity"\n'
CONFIG = f"""
[process.binary]
command = ["./tool", "infinity"]
restart_on = ["tool"]
[process.disabled]
{SLEEP}
[process.masked]
{SLEEP}
[process.overridden]
{SLEEP}limits = {{ open_files = 1000 }}
[process.limited]
{SLEEP}limits = {{ memory = "100M" }}
[process.stopped]
{SLEEP}
[process.variables]
{SLEEP}systemd.Service.EnvironmentFile = "-/srv/{{0}}/passed.*"
[process.watched]
{SLEEP}restart_on = ["watched"]
"""
PLAN = """\
⟳ reload unit files  {0}-overridden.service changed on disk since it was read
↻ restart {0}-binary.service  /srv/{0}/tool changed
↻ restart {0}-variables.service  /srv/{0}/passed.* changed
↻ restart {0}-watched.service  /srv/{0}/watched changed
! {0}-masked.service is masked: left alone (systemctl unmask {0}-masked.service)
! {0}.target was disabled by hand (systemctl enable {0}.target)
! {0}-stopped.service was stopped by hand: left stopped (systemctl start {0}-stopped.service)
! {0}-disabled.slice has CPUWeight= by /etc/systemd/system.control/{0}-disabled.slice.d/50-CPUWeight.conf (--reconcile takes it back)
! {0}-limited.slice has another MemoryMax= by /etc/systemd/system.control/{0}-limited.slice.d/50-MemoryMax.conf (--reconcile takes it back)
! {0}-overridden.service has another LimitNOFILE= by /etc/systemd/system/{0}-overridden.service.d/mine.conf (a drop-in counts more than the config)
{0}: 3 to restart, 11 unchanged
"""
IN_THE_WAY = """\
error: these files are in the way: {1}/{0}-stopped.service (edited by hand), {1}/{0}-theirs.service (not ours)
  hint: move them away; a change of yours belongs in a drop-in (systemctl edit) or in the config; \
apply --adopt takes over what is not ours, and keeps the old text; apply --force writes over what was edited by hand, and keeps the edit
"""


@pytest.fixture
def site(host_machine: Machine) -> Iterator[Site]:
    yield from new_site(host_machine)


def test_plan_tells_each_kind_of_drift_and_what_it_would_do_about_it(site: Site) -> None:
    machine, name = site.machine, site.name
    machine.run(["cp", "/bin/sleep", f"{site.folder}/tool"])
    for file in ("passed.env", "watched"):
        site.write(file, "A=1\n")
    config = CONFIG.replace("{0}", name)
    site.config(config)
    plan = ("plan", "-f", "pm-native.toml")
    site.apply("--settle", "0")
    assert site.pm_native(*plan).stdout == f"{name}: nothing to do, 11 files unchanged\n"
    # A program that is put in the place of another one, as by an upgrade: the same name, another file.
    machine.run(["sh", "-c", "cp /bin/sleep new && printf x >>new && mv new tool"], cwd=site.folder)
    for file in ("passed.env", "watched"):
        site.write(file, "A=2\n")
    machine.systemctl("stop", f"{name}-stopped.service")
    machine.systemctl("disable", f"{name}.target")
    machine.systemctl("set-property", f"{name}-limited.slice", "MemoryMax=200M")
    machine.systemctl("set-property", f"{name}-disabled.slice", "CPUWeight=7")
    machine.run(["ln", "-sf", "/dev/null", f"{site.units}/{name}-masked.service"])
    machine.systemctl("daemon-reload")
    machine.write(f"{site.units}/{name}-overridden.service.d/mine.conf", "[Service]\nLimitNOFILE=2000\n")
    runs = site.runs()
    assert site.pm_native(*plan, code=2).stdout == PLAN.format(name)
    assert site.runs() == runs
    # What is in the way ends it, before the rest is told.
    edited = f"{site.units}/{name}-stopped.service"
    text = machine.read(edited)
    machine.write(edited, f"{text}# mine\n")
    machine.write(f"{site.units}/{name}-theirs.service", "[Service]\nExecStart=/bin/true\n")
    site.config(f"{config}[process.theirs]\n{SLEEP}")
    assert site.pm_native(*plan, code=1).stderr == IN_THE_WAY.format(name, site.units)
    machine.write(edited, text)
    machine.run(["rm", f"{site.units}/{name}-theirs.service", f"{site.units}/{name}-masked.service"])
    # Under another name it is another project, and this one is told to be there still.
    site.write("pm-native.toml", f'[project]\nname = "{name}x"\n[process.a]\n{SLEEP}')
    assert site.pm_native(*plan, code=2).stdout.splitlines()[-2:] == [
        f"! {name} was made by the same config under another name, and stays installed (pm-native remove {name})",
        f"{name}x: 3 to add, 2 to start, 0 unchanged",
    ]
    machine.run(["rm", "-r", f"{site.units}/{name}-overridden.service.d"])
    machine.systemctl("revert", f"{name}-limited.slice", f"{name}-disabled.slice")


@pytest.fixture
def limited_site() -> Iterator[Site]:
    """On a systemd that reloads once in four seconds; older ones than Debian 13's know no such limit."""
    for machine in booted("trixie"):
        limit = "[Manager]\nReloadLimitIntervalSec=4s\nReloadLimitBurst=1\n"
        machine.write("/etc/systemd/system.conf.d/limit.conf", limit)
        machine.systemctl("daemon-reexec", check=False)  # it hangs up
        yield from new_site(machine)


def test_reload_that_systemd_puts_off_is_had_in_the_end(limited_site: Site) -> None:
    site, machine, unit = limited_site, limited_site.machine, f"{limited_site.name}-a.service"
    site.config(f"[process.a]\n{SLEEP}")
    site.apply("--settle", "0")
    site.config('[process.a]\ncommand = "/bin/sleep 4000"\n')
    # Here and now the second one is refused; on a host that is slow enough the four seconds are over.
    site.apply("--settle", "0")
    pid = machine.show(unit, "MainPID")["MainPID"]
    assert machine.read(f"/proc/{pid}/cmdline").split("\0")[:-1] == ["/bin/sleep", "4000"]
    assert machine.show(unit, "NeedDaemonReload") == {"NeedDaemonReload": "no"}
