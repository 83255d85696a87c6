"""What a second apply of the same config finds on a real systemd: what failed, what was masked, what was kept."""

from __future__ import annotations

import pytest

from tests.machine.harness import until
from tests.machine.sites import new_site

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.machine.harness import Machine
    from tests.machine.sites import Site

SLEEP = 'command = "/bin/sleep infinity"\n'


@pytest.fixture
def site(machine: Machine) -> Iterator[Site]:
    yield from new_site(machine)


CRASHES = """
[process.once]
command = ["sh", "-c", "test -e {folder}/well || exit 3; exec sleep infinity"]
restart = {{ policy = "no" }}

[process.loops]
command = ["sh", "-c", "test -e {folder}/well || exit 4; exec sleep infinity"]
restart = {{ policy = "always", delay = "1h", limit = 100 }}

[process.fine]
command = "/bin/sleep infinity"
"""
# It is mostly up when somebody looks.
QUICK = """
[process.quick]
command = ["sh", "-c", "sleep 0.2; test -e {folder}/well || exit 5; exec sleep infinity"]
restart = {{ policy = "always", delay = "20ms", limit = 1000 }}
"""


def test_what_failed_is_tried_again_by_each_apply_until_it_is_well(site: Site) -> None:
    once, loops, quick, fine = (f"{site.name}-{name}.service" for name in ("once", "loops", "quick", "fine"))
    config = (CRASHES + QUICK).format(folder=site.folder)
    site.config(config)
    assert set(site.applied(code=4).failures) == {once, loops, quick}
    up = site.runs()[fine]
    again = site.applied(code=4)
    assert set(again.failures) == {once, loops, quick}
    assert [again.failures[name]["exit"] for name in (once, loops)] == ["exit status 3", "exit status 4"]
    why = again.why
    assert (why[f"start {once}"], why[f"restart {loops}"]) == (
        "it has failed",
        "keeps failing: tried once more",
    )
    assert {f"watch {quick}", f"restart {quick}"} & set(again.steps)
    plan = site.pm_native("plan", "-f", "pm-native.toml", code=2)
    assert plan.stderr == ""
    tried = {
        f"? watch {quick}  it failed in the last apply",
        f"↻ restart {quick}  keeps failing: tried once more",  # between two starts at that moment
    }
    assert tried & {*plan.stdout.splitlines()}
    site.write("well", "")
    assert {f"start {once}", f"restart {loops}"} < set(site.applied().steps)
    runs = site.runs()
    assert {once, loops, quick} < runs.keys()
    assert runs[fine] == up
    assert site.applied().steps == []
    assert site.runs() == runs
    # A loop that began after that, and is up whenever somebody looks.
    machine = site.machine
    machine.run(["rm", f"{site.folder}/well"])
    machine.systemctl("kill", "--kill-who=main", "--signal=KILL", quick)
    until(
        lambda: int(machine.show(quick, "NRestarts")["NRestarts"]) > 2,
        timeout=60,
        what=lambda: str(machine.show(quick, "NRestarts", "SubState")),
    )
    assert set(site.applied(code=4).failures) == {quick}
    site.write("well", "")
    site.apply()
    assert site.applied().steps == []
    assert site.runs()[fine] == up


def test_unit_that_changed_while_it_was_masked_restarts_when_it_is_unmasked(site: Site) -> None:
    machine, unit = site.machine, f"{site.name}-a.service"
    site.config(f"[process.a]\n{SLEEP}[process.b]\n{SLEEP}")
    site.apply()
    before = site.runs()
    machine.run(["ln", "-sf", "/dev/null", f"/etc/systemd/system/{unit}"])
    machine.systemctl("daemon-reload")
    site.config(f'[process.a]\ncommand = "/bin/sleep 4000"\n[process.b]\n{SLEEP}')
    applied = site.applied()
    assert (applied.steps, applied.drift) == ([], [f"{unit} is masked: left alone"])
    machine.systemctl("unmask", unit)
    assert site.applied().steps == [f"write {unit}", "reload-manager systemd", f"restart {unit}"]
    pid = machine.show(unit, "MainPID")["MainPID"]
    assert machine.read(f"/proc/{pid}/cmdline").split("\0")[:-1] == ["/bin/sleep", "4000"]
    after = site.runs()
    assert {name for name in before if name.endswith(".service") and after[name] != before[name]} == {unit}
    assert site.applied().steps == []


def test_process_that_is_kept_is_told_until_it_was_restarted(site: Site) -> None:
    machine, unit = site.machine, f"{site.name}-a.service"
    text = '[process.a]\ncommand = "/bin/sleep {}"\non_change = "keep"\n'
    site.config(text.format(4000))
    site.apply()
    before = site.runs()
    site.config(text.format(5000))
    why = "runs on old settings, as on_change = keep says:"
    assert site.applied().drift == [f"{unit} {why} ExecStart= changed"]
    for _ in range(2):
        applied = site.applied()
        assert (applied.steps, applied.drift) == (
            [],
            [f"{unit} {why} its settings changed in an apply before"],
        )
    assert site.runs() == before
    machine.systemctl("restart", unit)
    applied = site.applied()
    assert (applied.steps, applied.drift) == ([], [])
