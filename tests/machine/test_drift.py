"""Drift on a real systemd: told, undone where that is asked for, and nobody's work lost."""

from __future__ import annotations

import pytest

from tests.machine.sites import new_site

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.machine.harness import Machine
    from tests.machine.sites import Site

SLEEP = 'command = "/bin/sleep infinity"\n'
TWO = f"[process.a]\n{SLEEP}[process.b]\n{SLEEP}"


@pytest.fixture
def site(machine: Machine) -> Iterator[Site]:
    yield from new_site(machine)


def command_line(site: Site, unit: str) -> list[str]:
    pid = site.machine.show(unit, "MainPID")["MainPID"]
    return site.machine.read(f"/proc/{pid}/cmdline").split("\0")[:-1]


def test_unit_of_somebody_else_is_adopted_with_its_running_process(site: Site) -> None:
    machine, unit = site.machine, f"{site.name}-a.service"
    path = f"/etc/systemd/system/{unit}"
    theirs = "[Service]\nExecStart=/bin/sleep 12345\n"
    machine.write(path, theirs)
    machine.systemctl("daemon-reload")
    machine.systemctl("start", unit)
    site.config(TWO)
    refused = site.apply(code=1)
    assert f"{path} (not ours)" in refused.stderr
    assert command_line(site, unit) == ["/bin/sleep", "12345"]
    site.apply("--adopt")
    assert command_line(site, unit) == ["/bin/sleep", "infinity"]
    assert machine.read(f"{path}.pm-native-orig") == theirs
    assert site.applied().steps == []
    # systemd takes the saved file for no unit at all.
    assert ".pm-native-orig" not in machine.systemctl("list-unit-files").stdout
    machine.run(["rm", f"{path}.pm-native-orig"])


def test_edit_by_hand_is_written_over_with_force_and_can_be_had_back(site: Site) -> None:
    machine, unit, file = site.machine, f"{site.name}-a.service", f"{site.name}-a.env"
    paths = [f"/etc/systemd/system/{unit}", f"/etc/pm-native/{site.name}/{file}"]
    site.write("a.env", "A=1\n")
    site.config(TWO.replace("[process.b]", 'environment_files = ["a.env"]\n[process.b]'))
    site.apply()
    before = site.runs()
    ours = [machine.read(path) for path in paths]
    edited = [ours[0].replace("[Service]\n", "[Service]\nNice=5\n"), ours[1].replace("1", "2")]
    for path, text in zip(paths, edited, strict=True):
        machine.run(["sh", "-c", 'printf %s "$1" >"$0"', path, text])
    said = site.apply(code=1).stderr
    assert f"in the way: {paths[1]} (edited by hand), {paths[0]} (edited by hand)\n" in said
    assert [machine.read(path) for path in paths] == edited
    # An edit of before, which was kept, is kept on.
    machine.write(f"{paths[1]}.pm-native-orig", "of before\n", mode=0o600)
    applied = site.applied("--force")
    assert applied.steps == [f"write {file}", f"write {unit}", "reload-manager systemd", f"restart {unit}"]
    assert applied.reasons[:2] == [
        f"was edited by hand, saved as {file}.pm-native-orig.2; its variables have changed",
        f"was edited by hand, saved as {unit}.pm-native-orig; Nice= changed",
    ]
    after = site.runs()
    assert {name for name in before if after[name] != before[name]} == {unit}
    assert [machine.read(path) for path in paths] == ours
    saved = [f"{paths[0]}.pm-native-orig", f"{paths[1]}.pm-native-orig.2"]
    assert [machine.read(path) for path in saved] == edited
    assert machine.read(f"{paths[1]}.pm-native-orig") == "of before\n"
    assert machine.run(["stat", "--format=%a", *saved]).stdout.split() == ["644", "600"]
    assert site.environment(unit)["A"] == "1"
    # What is edited again stays when its process goes, and is told.
    machine.run(["sh", "-c", 'printf %s "$1" >"$0"', paths[0], f"{ours[0]}# mine\n"])
    site.config(f"[process.b]\n{SLEEP}")
    applied = site.applied()
    assert applied.drift == [f"{unit} is not removed: {paths[0]} (edited by hand)"]
    assert (machine.read(paths[0]), unit in site.runs()) == (f"{ours[0]}# mine\n", False)
    machine.run(["rm", paths[0], f"{paths[1]}.pm-native-orig", *saved])


def test_reconcile_undoes_what_was_stopped_and_disabled_and_never_a_mask(site: Site) -> None:
    machine, name = site.machine, site.name
    one = f"{name}-c@2.service"  # of a pool, by a link that stands for no file of ours
    site.config(f"{TWO}[process.c]\n{SLEEP}instances = 2\n")
    site.apply()
    machine.systemctl("stop", f"{name}-a.service", f"{name}-b.service", one)
    machine.systemctl("disable", f"{name}.target")
    machine.run(["ln", "-sf", "/dev/null", f"/etc/systemd/system/{name}-b.service"])
    machine.systemctl("mask", one)
    assert site.applied().steps == []
    applied = site.applied("--reconcile")
    assert applied.steps == [
        f"link multi-user.target.wants/{name}.target",
        "reload-manager systemd",
        f"start {name}-a.service",
    ]
    assert applied.drift == [f"{unit} is masked: left alone" for unit in (f"{name}-b.service", one)]
    assert machine.systemctl("is-enabled", f"{name}.target").stdout == "enabled\n"
    assert f"{name}-a.service" in site.runs()
    assert {f"{name}-b.service", one} & site.runs().keys() == set()
    # Not even when all else of the project goes.
    site.pm_native("remove", name)
    masks = [path.rpartition("/")[2] for path in site.files()]
    assert sorted(masks) == sorted([f"{name}-b.service", one])
    machine.systemctl("unmask", *masks)


def test_what_is_not_pruned_or_protected_runs_on_through_apply_and_remove(site: Site) -> None:
    name = site.name
    pool = f"[process.p]\n{SLEEP}instances = {{}}\n"
    site.config(
        f"[process.a]\nprotect = true\n{SLEEP}[process.b]\n{SLEEP}[process.c]\n{SLEEP}{pool.format(2)}"
    )
    site.apply()
    before = site.runs()
    site.config(f"[process.c]\n{SLEEP}{pool.format(1)}")
    applied = site.applied("--no-prune")
    # Who left the pool has no link, which would bring it back after each stop of the pool.
    assert applied.steps == [
        f"write {name}-p.target",
        f"write {name}-p@.service",
        f"write {name}.target",
        f"link {name}.target.wants/{name}-a.service",
        f"link {name}.target.wants/{name}-b.service",
        "reload-manager systemd",
    ]
    assert site.runs() == before
    # The target wants them still, at the next boot too.
    wants = site.machine.show(f"{name}.target", "Wants")["Wants"].split()
    assert sorted(wants) == [*(f"{name}-{one}.service" for one in "abc"), f"{name}-p.target"]
    applied = site.applied()
    assert applied.steps[:2] == [f"stop {name}-p@2.service", f"stop {name}-b.service"]
    assert applied.drift == [f"{name}-a.service is protected: left alone"]
    site.pm_native("remove", name)
    runs = site.runs()
    assert runs[f"{name}-a.service"] == before[f"{name}-a.service"]
    assert {name for name in runs if name.endswith(".service")} == {f"{name}-a.service"}
    assert site.machine.systemctl("is-enabled", f"{name}.target").stdout == "enabled\n"
    site.pm_native("remove", name, "--force")
    assert (site.runs(), site.files()) == ({}, {})


def test_overrides_are_told_and_stay_in_force(site: Site) -> None:
    machine, unit = site.machine, f"{site.name}-a.service"
    site.config(f'[process.a]\n{SLEEP}limits = {{ open_files = 1000, memory = "100M" }}\n')
    site.apply()
    path = f"/etc/systemd/system/{unit}.d/mine.conf"
    text = "[Service]\nLimitNOFILE=2000\nMemoryHigh=1G\n"
    unread = f"⟳ reload unit files  {unit} changed on disk since it was read\n"
    machine.write(path, text)
    # Before anything else has made systemd look at its folders again: 252 does not know of the file yet.
    assert site.pm_native("plan", "-f", "pm-native.toml", code=2).stdout.startswith(unread)
    machine.systemctl("set-property", f"{site.name}-a.slice", "MemoryMax=200M")
    machine.systemctl("set-property", "--runtime", f"{site.name}-a.slice", "MemoryMax=300M")
    machine.systemctl("set-property", unit, "CPUWeight=7")
    applied = site.applied()
    # The drop-in had not been read yet: that is all there was to do.
    assert applied.steps == ["reload-manager systemd"]
    control, weight = f"{site.name}-a.slice.d/50-MemoryMax.conf", f"{unit}.d/50-CPUWeight.conf"
    assert applied.drift == [
        f"{unit} has CPUWeight= by /etc/systemd/system.control/{weight}",
        f"{site.name}-a.slice has another MemoryMax= by /etc/systemd/system.control/{control}",
        f"{site.name}-a.slice has another MemoryMax= by /run/systemd/system.control/{control}",
        f"{unit} has another LimitNOFILE= by {path}",
    ]
    assert machine.show(unit, "LimitNOFILE", "NeedDaemonReload") == {
        "LimitNOFILE": "2000",
        "NeedDaemonReload": "no",
    }
    assert site.applied().steps == []
    assert site.applied("--reconcile").steps == [
        f"revert /etc/systemd/system.control/{weight}",
        f"revert /etc/systemd/system.control/{control}",
        f"revert /run/systemd/system.control/{control}",
        "reload-manager systemd",
    ]
    assert machine.show(f"{site.name}-a.slice", "MemoryMax") == {"MemoryMax": str(100 * 2**20)}
    assert machine.show(unit, "LimitNOFILE") == {"LimitNOFILE": "2000"}
    assert site.applied("--reconcile").steps == []
    # It outlives changes of the unit and the unit itself.
    site.config('[process.a]\ncommand = "/bin/sleep 1000"\n')
    site.apply("--settle", "0")
    assert machine.read(path) == text
    machine.run(["mv", f"/etc/systemd/system/{unit}.d", site.folder])
    assert site.pm_native("plan", "-f", "pm-native.toml", code=2).stdout.startswith(unread)
    machine.run(["mv", f"{site.folder}/{unit}.d", "/etc/systemd/system"])
    site.pm_native("remove", site.name)
    assert machine.read(path) == text
    machine.run(["rm", "-r", f"/etc/systemd/system/{unit}.d"])


def test_vanished_working_directory_is_told_before_anything_stops(site: Site) -> None:
    work = f"{site.folder}/work"
    site.machine.run(["mkdir", work])
    site.config(f'[process.a]\n{SLEEP}directory = "work"\n[process.b]\n{SLEEP}')
    site.apply()
    before = site.runs()
    site.config(f'[process.a]\n{SLEEP}directory = "work"\n')
    site.pm_native("generate")
    site.machine.run(["rmdir", work])
    said = site.pm_native("apply", code=69)
    assert said.stderr.startswith(
        f"error: this working directory is not there: {work} ({site.name}-a.service)\n"
    )
    assert site.runs() == before
