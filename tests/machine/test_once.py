"""Each program is run once by each command on a real systemd, however long after its own job the others come."""

from __future__ import annotations

import pytest

from tests.machine.sites import NARROW, new_site

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.machine.harness import Machine
    from tests.machine.sites import Site

# The target's job comes after that of `late`, by which time `once` has ended; that of `top`, which restarts along with
# `base`, comes after that of `mid`, by which time it has done so.
CONFIG = """
[process.once]
command = ["sh", "-c", "echo >>once"]
restart = {{ policy = "no" }}

[process.late]
command = ["sh", "-c", "until [ -s once ] && ! systemctl -q is-active {0}-once.service; do sleep 0.05; done; systemd-notify --ready; exec sleep infinity"]
notify = true
start_timeout = "1min"

[process.base]
command = "/bin/sleep {1}000"

[process.mid]
command = ["sh", "-c", "until [ {1} = 1 ] || [ -s top ]; do sleep 0.05; done; systemd-notify --ready; exec sleep infinity"]
notify = true
start_timeout = "1min"

[process.top]
command = ["sh", "-c", "echo >>top; systemd-notify --ready; exec sleep infinity"]
notify = true
depends_on = {{ base = "started" }}
systemd.Unit.Requires = "{0}-base.service"
"""


@pytest.fixture
def site(machine: Machine) -> Iterator[Site]:
    yield from new_site(machine)


def test_program_that_has_ended_or_restarted_by_the_time_of_another_job_is_not_run_again(site: Site) -> None:
    machine, name = site.machine, site.name
    site.write("narrow.py", NARROW)

    def runs(of: str, *words: str) -> int:
        """How often a program is run by a command."""
        site.write(of, "")
        machine.run([machine.python, "narrow.py", *words, "--settle", "0"], cwd=site.folder)
        machine.wait_until(f"{name}-once.service", ActiveState="inactive")
        return len(machine.read(f"{site.folder}/{of}"))

    site.config(CONFIG.format(name, 1))
    apply = ("apply", "-f", "pm-native.toml")
    assert runs("once", *apply) == 1
    assert runs("once", "restart", name) == 1
    site.pm_native("stop", name)
    assert runs("once", "start", name) == 1
    site.config(CONFIG.format(name, 2))
    assert runs("top", *apply) == 1
    # What the administrator has the target want beside them is started with it, as ever.
    site.pm_native("stop", name)
    machine.write(f"/etc/systemd/system/{name}.target.d/more.conf", f"[Unit]\nWants={name}x.service\n")
    machine.write(f"/etc/systemd/system/{name}x.service", "[Service]\nExecStart=/bin/sleep infinity\n")
    machine.systemctl("daemon-reload")
    site.pm_native("start", name, "--settle", "0")
    assert f"{name}x.service" in site.runs()
    machine.systemctl("stop", f"{name}x.service")
    machine.run(["rm", "-r", *(f"/etc/systemd/system/{name}{rest}" for rest in (".target.d", "x.service"))])
