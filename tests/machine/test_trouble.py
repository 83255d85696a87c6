"""What goes wrong on a real systemd: told so that it can be mended, refused in time, finished by the next apply."""

from __future__ import annotations

import json
import re
import signal

import pytest

from tests.machine.harness import until
from tests.machine.sites import new_site, processes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.machine.harness import Machine
    from tests.machine.sites import Site


@pytest.fixture
def site(machine: Machine) -> Iterator[Site]:
    yield from new_site(machine)


BROKEN = """
[process.gone]
command = "/srv/{name}/gone"
systemd.Service.StandardOutput = "append:/srv/{name}/gone.log"
restart = {{ policy = "no" }}

[process.ill]
command = ["sh", "-c", "sleep 0.3; echo >ill; exec sleep infinity"]
health.alive = {{ exec = "test ! -e ill", interval = "100ms", retries = 1, action = "status" }}

[process.once]
command = ["sh", "-c", "seq 101 120; echo I cannot begin >&2; exit 3"]
restart = {{ policy = "no" }}

[process.ends]
command = ["sh", "-c", "sleep 2; exit 7"]
restart = {{ policy = "no" }}

[process.later]
command = ["sh", "-c", "echo I begin; sleep 0.3; exit 1"]
restart = {{ policy = "always", delay = "200ms", limit = 100 }}

[process.stranger]
command = "/bin/sleep infinity"
user = "nobody-of-that-name"
restart = {{ policy = "no" }}

[process.silent]
command = "/bin/sleep infinity"
notify = true
start_timeout = "500ms"
restart = {{ policy = "no" }}

[process.fine]
command = "/bin/sleep infinity"
"""


def test_broken_processes_are_told_with_all_that_it_takes_to_mend_them(site: Site) -> None:
    site.config(BROKEN.format(name=site.name))
    text = site.machine.read(f"{site.folder}/pm-native.toml").splitlines()
    failures = site.applied("--allow-missing", "--settle", "3", code=4).failures
    shown = {
        str(item["process"]): (item["words"], item["result"], item["exit"], item["where"])
        for item in failures.values()
    }
    where = {name: f"pm-native.toml:{text.index(f'[process.{name}]') + 1}" for name in shown}
    later, once, ends, ill = (shown.pop(name) for name in ("later", "once", "ends", "ill"))
    assert ill == ("it says that it is unhealthy: test exited with 1", "success", "", where["ill"])
    assert shown == {
        "gone": (
            "its job failed because the control process exited with error code",
            "exit-code",
            "exit status 203/EXEC: the program cannot be executed",
            where["gone"],
        ),
        "stranger": (
            "its job failed because the control process exited with error code",
            "exit-code",
            "exit status 217/USER: the user does not exist or cannot be taken",
            where["stranger"],
        ),
        "silent": (
            "its job failed because a timeout was exceeded",
            "timeout",
            "killed by SIGTERM",
            where["silent"],
        ),
    }
    # By when it is looked at, and how busy the host is.
    assert re.fullmatch(
        r"it ended and waits for its next restart|it was restarted (once|\d+ times) within 3 s of its start",
        str(later[0]),
    )
    # It is up at the first look.
    assert ends[1:] == ("exit-code", "exit status 7", where["ends"])
    assert ends[0] in {"it ended within 3 s of its start", "it ended within 0.4 s of its start"}
    assert once[1:] == ("exit-code", "exit status 3", where["once"])
    assert once[0] in {  # by whether systemd sees its end before or after it calls the start done
        "it ended within 0.4 s of its start",
        "its job failed because the control process exited with error code",
    }
    journal = failures[f"{site.name}-once.service"]["journal"]
    assert isinstance(journal, list)
    # The last lines of it, its own and systemd's.
    assert "I cannot begin" in journal
    assert f"{site.name}-once.service: Failed with result 'exit-code'." in journal
    assert (len(journal), "101" in journal) == (10, False)
    assert f"{site.name}-fine.service" in site.runs()
    said = site.apply("--allow-missing", code=4)
    assert "  exit status 203/EXEC: the program cannot be executed\n" in said.stdout
    assert f"  made by {where['gone']} (process gone)\n" in said.stdout
    assert f"  its output is in {site.folder}/gone.log\n" in said.stdout
    # What a run before this one has left in the journal is not told again.
    assert said.stdout.count(f"{site.name}-gone.service: Failed with result 'exit-code'.") == 1
    # Nothing of what has failed is left when they go.
    site.pm_native("remove", site.name)
    units = ("list-units", "--all", "--plain", "--no-legend", f"{site.name}*")
    until(
        lambda: not site.machine.systemctl(*units).stdout, what=lambda: site.machine.systemctl(*units).stdout
    )
    assert f"▶ start {site.name}-gone.service  it has failed\n" in said.stderr


def test_missing_program_is_refused_before_anything_is_touched(site: Site) -> None:
    site.write("tool", "#!/bin/sh\nexec sleep infinity\n", 0o755)
    site.config('[process.web]\ncommand = "./tool"\n')
    site.pm_native("generate")
    site.machine.run(["rm", f"{site.folder}/tool"])
    said = site.pm_native("apply", code=78)
    path = f"{site.folder}/tool"
    assert (
        f"pm-native.toml:3:1: error: {site.name}-web.service: Command {path} is not executable"
        in said.stderr
    )
    assert (site.files(), site.runs()) == ({}, {})


def test_value_that_systemd_would_ignore_is_refused_at_its_config_line(site: Site) -> None:
    site.config(
        '[process.web]\ncommand = "/bin/sleep infinity"\n[process.web.systemd.Service]\nLimitCORE = "lots"\n'
        '[process.ok]\ncommand = "/bin/sleep infinity"\n'
    )
    envelope = json.loads(site.apply("--json", code=78).stdout.splitlines()[-1])
    (item,) = envelope["diagnostics"]
    assert (item["file"], item["line"], item["code"]) == ("pm-native.toml", 3, "systemd-verify")
    assert item["message"].startswith(f"{site.name}-web.service, line ")
    assert "lots" in item["message"]
    assert (site.files(), site.runs()) == ({}, {})


def test_stopped_disabled_and_masked_by_hand_stay_so_and_are_told(site: Site) -> None:
    machine, name = site.machine, site.name
    site.config("".join(f'[process.{one}]\ncommand = "/bin/sleep infinity"\n' for one in ("a", "b")))
    site.apply()
    machine.systemctl("stop", f"{name}-a.service")
    machine.systemctl("disable", f"{name}.target")
    machine.run(["ln", "-sf", "/dev/null", f"/etc/systemd/system/{name}-b.service"])
    machine.systemctl("daemon-reload")
    done = site.applied()
    assert done.steps == []
    assert set(done.drift) == {
        f"{name}-a.service was stopped by hand: left stopped",
        f"{name}.target was disabled by hand",
        f"{name}-b.service is masked: left alone",
    }
    assert str(machine.path("/etc/systemd/system").joinpath(f"{name}-b.service").readlink()) == "/dev/null"
    machine.run(["rm", f"/etc/systemd/system/{name}-b.service"])


def test_unit_that_hit_its_start_limit_starts_again_with_its_mended_config(site: Site) -> None:
    bad = '[process.web]\ncommand = ["sh", "-c", "{}"]\nrestart = {{ policy = "always", delay = "10ms", limit = 3 }}\n'
    site.config(bad.format("exit 1"))
    site.apply(code=4)
    unit = f"{site.name}-web.service"
    site.machine.wait_until(unit, ActiveState="failed")
    site.config(bad.format("exec sleep infinity"))
    assert site.applied().steps[-2:] == [f"reset-failed {unit}", f"start {unit}"]
    assert site.machine.show(unit, "SubState") == {"SubState": "running"}


SLOW = """
[process.fast]
command = "/bin/sleep infinity"

[process.slow]
command = ["sh", "-c", "until [ -e go ]; do sleep 0.05; done; systemd-notify --ready; exec sleep infinity"]
notify = true

[process.last]
command = "/bin/sleep infinity"
depends_on = { slow = "started" }
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_apply_that_is_cut_short_is_finished_by_the_next(site: Site, how: signal.Signals) -> None:
    machine, name = site.machine, site.name
    site.config(SLOW)
    with site.in_background("apply", "-f", "pm-native.toml", narrow=True) as run:
        machine.wait_until(f"{name}-slow.service", ActiveState="activating")
        pid = processes(machine, "narrow.py apply")[0]
        machine.run(["kill", f"-{how.value}", pid])
        out, err = run.communicate(timeout=60)
    if how is signal.SIGINT:
        assert run.returncode == 130
        assert f"{name}: interrupted, " in out
        assert f"{name}-slow.service" in out
        assert err.endswith("the next apply goes on from here\n")
        assert "2 not asked for" in out
        assert "failed" not in out
    # Of one that was killed it is known that it was not through, of the other what it did not come to.
    record = json.loads(machine.read(f"/var/lib/pm-native/{name}/current.json"))
    assert record["complete"] is (how is signal.SIGINT)
    assert record["to_start"][-2:] == [f"{name}-last.service", f"{name}.target"]
    site.write("go", "")
    machine.wait_until(f"{name}-slow.service", ActiveState="active")
    assert site.reasons()[f"start {name}-last.service"] == "the last apply did not get to it"
    assert {f"{name}-{one}.service" for one in ("fast", "slow", "last")} <= site.runs().keys()
    assert site.applied().steps == []
