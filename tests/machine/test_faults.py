"""Faults around an apply on a real systemd: told by type and exit code, and the next apply is right."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import cast

import pytest

from tests.machine.sites import SETTLE, new_site

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from tests.machine.harness import Machine
    from tests.machine.sites import Site

FINE = '[process.{}]\ncommand = "/bin/sleep infinity"\n'
# Ready once there is a file NAME.go.
SLOW = """
[process.{0}]
command = ["sh", "-c", "until [ -e {0}.go ]; do sleep 0.05; done; systemd-notify --ready; exec sleep infinity"]
notify = true
"""
APPLY = ("apply", "-f", "pm-native.toml")
STUBBORN = """
[process.stubborn]
command = ["sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"]
stop = { timeout = "800ms" }
"""


@pytest.fixture
def site(machine: Machine) -> Iterator[Site]:
    yield from new_site(machine)


@pytest.fixture
def own_site(fresh_machine: Machine) -> Iterator[Site]:
    """A site on a machine whose bus or systemd the test takes down."""
    yield from new_site(fresh_machine)


@contextmanager
def applying(site: Site, waits_for: str) -> Iterator[subprocess.Popen[str]]:
    """An apply in the background, at the moment when it waits for a unit to become ready."""
    with site.in_background(*APPLY) as run:
        site.machine.wait_until(waits_for, ActiveState="activating")
        yield run


def error_of(text: str) -> str:
    """The line that says what went wrong, below the plan."""
    (line,) = [line for line in text.splitlines() if line.startswith("error: ")]
    return line.removeprefix("error: ")


def record(site: Site) -> str:
    return f"/var/lib/pm-native/{site.name}/current.json"


def scratch(site: Site) -> list[str]:
    """Scratch files that an apply left."""
    places = ["/etc/systemd/system", "/etc/pm-native", "/var/lib/pm-native"]
    return site.machine.run(["find", *places, "-name", ".*.new"], check=False).stdout.split()


def test_second_apply_at_the_same_time_names_the_holder_which_goes_on_when_nobody_looks(site: Site) -> None:
    site.config(SLOW.format("slow"))
    with applying(site, f"{site.name}-slow.service") as run:
        said = site.apply(code=75).stderr
        for command in (
            ["rollback", "--project", site.name],
            ["remove", site.name],
            ["repair", site.name],
            ["scale", "slow=2"],
        ):
            assert site.pm_native(*command, code=75).stderr == said
        holder, _, rest = said.partition(") is changing this project")
        words, _, pid = holder.rpartition(" ")
        # Its terminal is closed.
        site.machine.run(["kill", "-HUP", pid])
        site.pm_native(*APPLY, "--dry-run", code=2)  # who only looks waits for nobody
        site.write("slow.go", "")
        _, err = run.communicate(timeout=60)
    assert (run.returncode, "error" in err) == (0, False)
    assert (words, rest) == (
        "error: pm-native apply (pid",
        "\n  hint: try again when it is done, or give --wait\n",
    )
    site.config(SLOW.format("slow") + SLOW.format("late"))
    with applying(site, f"{site.name}-late.service") as run, site.in_background(*APPLY, "--wait") as second:
        assert second.stderr is not None
        assert any("waiting for its end" in line for line in second.stderr)
        # Whoever read what it says has left.
        for stream in (run.stdout, run.stderr):
            assert stream is not None
            stream.close()
        site.write("late.go", "")
        assert run.wait(60) == 0
        out, _ = second.communicate(timeout=60)
    # It has waited for the other's end, and then there was nothing left to do.
    assert (second.returncode, out) == (0, f"{site.name}: nothing to do, 4 files unchanged\n")
    assert site.applied().steps == []


@pytest.mark.parametrize("fault", ["bus", "systemd"])
def test_apply_goes_on_when_bus_or_systemd_is_back_and_no_job_is_repeated(
    own_site: Site, fault: str
) -> None:
    site, machine = own_site, own_site.machine
    names = [f"{site.name}-{name}.service" for name in ("fast", "slow", "also")]
    site.config(FINE.format("fast") + SLOW.format("slow") + SLOW.format("also"))
    with applying(site, names[1]) as run:
        for name in names[1:]:
            machine.wait_until(name, ActiveState="activating")
        began = site.runs()
        if fault == "bus":
            machine.systemctl("restart", "dbus.service")
        else:
            machine.systemctl("daemon-reexec", check=False)
        for name in ("slow", "also"):
            site.write(f"{name}.go", "")
        _, err = run.communicate(timeout=60)
    assert run.returncode == 0, err
    waits = ": waiting for it to come back; no job is asked for twice"
    (told,) = {line.removesuffix(waits) for line in err.splitlines() if line.endswith(waits)}
    assert told in {  # by which of the two is seen to go first
        "the connection to the bus is gone: it hung up",
        "systemd left the bus (it was executed again, or dropped off)",
    }
    after = site.runs()
    assert {name: after[name] for name in names} == {name: began[name] for name in names}
    assert site.applied().steps == []


@pytest.mark.parametrize("folder", ["/etc/systemd/system", "/var/lib/pm-native"])
def test_full_disk_is_told_by_the_name_of_the_file_and_the_next_apply_goes_on(
    own_site: Site, folder: str
) -> None:
    site, machine = own_site, own_site.machine
    machine.run(["mkdir", "-p", folder])
    machine.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder])
    machine.systemctl("daemon-reload")
    padding = 'description = "{}"\n'.format("x" * 900)
    site.config("".join(f"{FINE.format(f'p{number}')}{padding}" for number in range(30)))
    said = error_of(site.apply(code=69).stderr)
    assert said.startswith(f"cannot write {folder}/")
    assert said.endswith(": No space left on device")
    assert scratch(site) == []
    machine.run(["mount", "-o", "remount,size=8m", folder])
    site.apply()
    assert len([name for name in site.runs() if name.endswith(".service")]) == 30
    assert site.applied().steps == []


def test_read_only_folder_is_refused_before_anything_is_done(own_site: Site) -> None:
    site, machine = own_site, own_site.machine
    site.config(FINE.format("a"))
    site.apply()
    before, runs = site.files(), site.runs()
    site.config(FINE.format("b"))
    machine.run(["mount", "--bind", "/etc/systemd/system", "/etc/systemd/system"])
    machine.run(["mount", "-o", "remount,bind,ro", "/etc/systemd/system"])
    said = error_of(site.apply(code=77).stderr)
    assert said == "cannot write to /etc/systemd/system: read-only file system"
    assert (site.files(), site.runs()) == (before, runs)
    machine.run(["umount", "/etc/systemd/system"])
    site.apply()
    assert f"{site.name}-b.service" in site.runs()


def test_unit_that_ignores_sigterm_is_gone_when_its_time_is_over(site: Site) -> None:
    machine, unit = site.machine, f"{site.name}-stubborn.service"
    site.config(FINE.format("fine") + STUBBORN)
    site.apply()
    site.config(FINE.format("fine"))
    assert f"stop {unit}" in site.applied().steps
    assert machine.show(unit, "LoadState", "ActiveState") == {
        "LoadState": "not-found",
        "ActiveState": "inactive",
    }
    assert any("Killing process" in line for line in machine.journal(unit))
    assert site.applied().steps == []


def test_unit_that_never_gets_ready_is_told_when_its_time_is_over(site: Site) -> None:
    machine, unit = site.machine, f"{site.name}-mute.service"
    mute = SLOW.format("mute").replace("until", "echo not yet; until")
    site.config(FINE.format("fine") + mute + '[process.mute.systemd.Service]\nTimeoutStartSec = "800ms"\n')
    failure = site.applied(code=4).failures[unit]
    assert (failure["words"], failure["result"]) == (
        "its job failed because a timeout was exceeded",
        "timeout",
    )
    assert "not yet" in cast("list[str]", failure["journal"])
    assert machine.show(f"{site.name}-fine.service", "ActiveState") == {"ActiveState": "active"}
    site.write("mute.go", "")
    site.config(FINE.format("fine") + mute)
    site.apply()
    assert machine.show(unit, "ActiveState") == {"ActiveState": "active"}
    assert site.applied().steps == []


def test_clock_that_was_set_back_since_the_last_apply(site: Site) -> None:
    """As the disk is then: all that was written is from tomorrow."""
    machine, unit = site.machine, f"{site.name}-a.service"
    site.config(FINE.format("a"))
    site.apply()
    machine.run(["touch", "--no-dereference", "--date=+1 day", *site.files()])
    history = f"/var/lib/pm-native/{site.name}/history.jsonl"
    machine.write(history, machine.read(history).replace('"when": "20', '"when": "21'))
    machine.systemctl("daemon-reload")
    runs = site.runs()
    assert site.applied().steps == []
    machine.write(f"/etc/systemd/system/{unit}.d/50-mine.conf", "[Service]\nNice=5\n")
    assert site.applied().steps == ["reload-manager systemd"]
    assert site.runs() == runs
    site.config(
        FINE.format("a").replace("infinity", "1000")
        + '[process.b]\ncommand = ["sh", "-c", "echo last words; exit 3"]\n'
    )
    failure = site.applied(code=4).failures[f"{site.name}-b.service"]
    assert "last words" in cast("list[str]", failure["journal"])
    assert site.runs()[unit] != runs[unit]
    records = json.loads(site.pm_native("history", site.name, "--json").stdout)["data"]
    assert [(item["number"], item["result"]) for item in records] == [
        (1, "done"),
        (2, "done"),
        (3, "failed"),
    ]
    site.pm_native("rollback", "--project", site.name, "--settle", SETTLE)
    assert [name for name in site.runs() if name.endswith(".service")] == [unit]
    machine.run(["rm", "-r", f"/etc/systemd/system/{unit}.d"])


def test_job_that_somebody_cancels_is_told_and_started_by_the_next_apply(site: Site) -> None:
    machine, unit = site.machine, f"{site.name}-slow.service"
    site.config(SLOW.format("slow"))
    with applying(site, unit) as run:
        machine.systemctl("cancel")
        out, _ = run.communicate(timeout=60)
    assert run.returncode == 4
    assert f"{unit}: its job was cancel" in out
    site.write("slow.go", "")
    site.apply()
    assert machine.show(unit, "ActiveState") == {"ActiveState": "active"}
    assert site.applied().steps == []


def test_stop_that_somebody_cancels_leaves_the_unit_ours_until_it_has_stopped(site: Site) -> None:
    machine, unit = site.machine, f"{site.name}-stubborn.service"
    site.config(FINE.format("fine") + STUBBORN.replace("800ms", "60s"))
    site.apply()
    site.config(FINE.format("fine"))
    with site.in_background(*APPLY) as run:
        machine.wait_until(unit, ActiveState="deactivating")
        machine.systemctl("cancel")
        out, _ = run.communicate(timeout=60)
    assert (run.returncode, f"{unit}: its job was cancel" in out) == (4, True)
    assert unit in machine.read(record(site))
    machine.systemctl("kill", "--signal=KILL", unit)
    site.apply()
    assert unit not in machine.read(record(site))
    assert site.applied().steps == []


def test_damaged_record_says_what_to_do_and_the_way_out_works(site: Site) -> None:
    machine = site.machine
    site.config("".join(FINE.format(name) for name in ("a", "b")))
    site.apply()
    runs = site.runs()
    text = machine.read(record(site))
    machine.write(record(site), text[: len(text) // 2])
    error, hint = site.apply(code=1).stderr.splitlines()
    assert error.startswith(f"error: {record(site)} is damaged: JSONDecodeError(")
    command = hint.split("`")[1]
    assert command == f"pm-native repair {site.name}"
    assert site.pm_native(*command.split()[1:]).stdout == (
        f"{site.name}: the record is made anew from generation 1: 4 files, 6 units\n"
        f"  what was there is in {record(site)}.damaged\n"
    )
    assert machine.read(record(site)) == text
    assert machine.read(f"{record(site)}.damaged") == text[: len(text) // 2]
    assert (site.applied().steps, site.runs()) == ([], runs)
    # No generation to go by, and a process less in the config: it is known by its header, and goes.
    machine.write(record(site), "")
    machine.run(["rm", "-r", f"/var/lib/pm-native/{site.name}/generations"])
    site.pm_native(*command.split()[1:])
    site.config(FINE.format("a"))
    gone = f"{site.name}-b.service"
    steps = site.applied().steps
    assert [step for step in steps if gone in step] == [f"stop {gone}", f"delete {gone}"]
    assert [step for step in steps if step.startswith(("start", "restart"))] == []
    del runs[gone]
    assert site.runs() == runs
    assert site.applied().steps == []


def test_record_of_a_newer_version_is_refused(site: Site) -> None:
    site.config(FINE.format("a"))
    site.apply()
    before = site.runs()
    text = site.machine.read(record(site))
    newer = text.replace('"format": 1', '"format": 99', 1)
    site.machine.write(record(site), newer)
    said = site.apply(code=1).stderr
    assert said == (
        f"error: {record(site)}: it is from a newer pm-native (format 99, this one knows 1)\n"
        "  hint: use that pm-native, or a newer one\n"
    )
    assert (site.runs(), site.machine.read(record(site))) == (before, newer)
    site.machine.write(record(site), text)
