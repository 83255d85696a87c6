"""What a switch promises, on a real systemd: the plan that was shown, in its order, and nothing else."""

from __future__ import annotations

import json
import signal
import subprocess
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import groupby

import pytest

from tests.machine.harness import until
from tests.machine.sites import new_site, processes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.machine.harness import Machine
    from tests.machine.sites import Site

SLEEP = 'command = "/bin/sleep infinity"\n'
# A process for each thing that a change can come to; {0} is what changes.
EACH = f"""
[process.restarts]
command = "/bin/sleep {{0}}000"
[process.reloads]
{SLEEP}on_change = "reload"
environment = {{{{ LEVEL = "{{0}}" }}}}
systemd.Service.ExecReload = "/bin/true"
[process.halts]
command = "/bin/sleep {{0}}000"
on_change = "stop-start"
[process.keeps]
command = "/bin/sleep {{0}}000"
on_change = "keep"
[process.named]
{SLEEP}description = "number {{0}}"
[process.limited]
{SLEEP}systemd.Service.TasksMax = "{{0}}0"
[process.same]
{SLEEP}
"""
BEFORE = EACH.format(1) + f"[process.gone]\n{SLEEP}[process.pool]\n{SLEEP}instances = 3\n"
AFTER = EACH.format(2) + f"[process.new]\n{SLEEP}[process.pool]\n{SLEEP}instances = 1\n"
PLAN = """\
- stop {0}-pool@3.service  no longer in the config
- stop {0}-pool@2.service  no longer in the config
- stop {0}-gone.service  no longer in the config
- stop {0}-gone.slice  no longer in the config
- stop {0}-halts.service  ExecStart= changed
~ {0}-halts.service  ExecStart= changed
    ExecStart: :/bin/sleep 1000 -> :/bin/sleep 2000
~ {0}-keeps.service  ExecStart= changed
    ExecStart: :/bin/sleep 1000 -> :/bin/sleep 2000
~ {0}-limited.service  TasksMax= changed, in force with the reload
    TasksMax: 10 -> 20
~ {0}-named.service  Description= changed
    Description: number 1 -> number 2
+ {0}-new.service  new
~ {0}-pool.target  Wants= changed
    Wants: - {0}-pool@2.service, {0}-pool@3.service
~ {0}-pool@.service  Environment= changed
    Environment: PM_NATIVE_INSTANCES=3 -> PM_NATIVE_INSTANCES=1
~ {0}-reloads.service  Environment= changed
    Environment: LEVEL=1 -> LEVEL=2
~ {0}-restarts.service  ExecStart= changed
    ExecStart: :/bin/sleep 1000 -> :/bin/sleep 2000
~ {0}.target  Wants= changed
    Wants: {0}-gone.service -> {0}-new.service
- {0}-gone.service  no longer in the config
⟳ reload unit files  unit files have changed
↻ restart {0}-restarts.service  ExecStart= changed
⟳ reload {0}-reloads.service  Environment= changed
▶ start {0}-halts.service  ExecStart= changed
▶ start {0}-new.service  new
! {0}-keeps.service runs on old settings, as on_change = keep says: ExecStart= changed (systemctl restart {0}-keeps.service)
{0}: 1 to add, 9 to change, 1 to remove, 2 to start, 1 to restart, 1 to reload, 5 to stop, 2 unchanged
"""
READS = {"Get", "GetAll", "ListUnitsByNames", "ListUnitsByPatterns", "Subscribe"}
# When PID 1 was started, and with what: it would be another process image after it was executed again.
REEXEC = ("systemctl", "show", "--property=UserspaceTimestampMonotonic,FinishTimestampMonotonic")
ASK = ("busctl", "call", "org.freedesktop.systemd1", "/org/freedesktop/systemd1")


@pytest.fixture
def site(machine: Machine) -> Iterator[Site]:
    yield from new_site(machine)


@pytest.fixture
def host_site(host_machine: Machine) -> Iterator[Site]:
    """On one systemd, for what is pm-native's own affair."""
    yield from new_site(host_machine)


@contextmanager
def bus_calls(machine: Machine) -> Iterator[list[str]]:
    """The methods of systemd that are called over the bus in the block, in order; to be read behind it."""
    log = "/run/calls"
    match = "--match=type='method_call',destination='org.freedesktop.systemd1'"
    words: list[str | Path] = ["sh", "-c", f'exec busctl monitor --json=short "$0" >{log}', match]

    def marked(name: str) -> bool:
        machine.run([*ASK, "org.freedesktop.systemd1.Manager", "GetUnit", "s", name], check=False)
        return name in machine.read(log)

    def mark(name: str) -> None:
        until(lambda: marked(name), timeout=60, what=lambda: machine.read(log))

    found: list[str] = []
    machine.write(log, "")
    with subprocess.Popen(machine.command(words)) as monitor:
        try:
            mark("begin.service")
            yield found
            mark("end.service")
        finally:
            monitor.kill()
    calls = [json.loads(line) for line in machine.read(log).splitlines() if line.endswith("}")]
    named = [call["member"] for call in calls if call.get("member") != "GetUnit"]
    found += [name for name in named if name]


def test_switch_does_what_its_plan_says_in_that_order_and_a_second_one_asks_for_nothing(site: Site) -> None:
    machine, name = site.machine, site.name
    site.config(BEFORE)
    site.apply()
    runs, files = site.runs(), site.files()
    site.config(AFTER)
    assert site.pm_native("plan", "-f", "pm-native.toml", code=2).stdout == PLAN.format(name)
    assert site.pm_native("apply", "-f", "pm-native.toml", "--dry-run", code=2).stdout == PLAN.format(name)
    assert (site.runs(), site.files()) == (runs, files)
    with bus_calls(machine) as calls:
        # Whatever the umask, systemd and everybody else read unit files.
        words: list[str | Path] = [
            "sh",
            "-c",
            'umask 077; exec "$@"',
            "sh",
            machine.python,
            "-m",
            "pm_native",
        ]
        out = machine.run(
            [*words, "apply", "-f", "pm-native.toml", "--settle", "0.6", "--json"], cwd=site.folder
        ).stdout
    asked = [call for call in calls if call not in READS]
    assert asked == ["StopUnit"] * 5 + ["Reload", "RestartUnit", "ReloadUnit", "StartUnit", "StartUnit"]
    *events, envelope = map(json.loads, out.splitlines())
    told = [f"{event['event']} {event.get('job', event.get('action', ''))}".strip() for event in events]
    order = [key for key, _ in groupby(word for word in told if not word.startswith("job-queued"))]
    assert order[:5] == ["begin", "job-ended stop", "step write", "step delete", "step reload-manager"]
    assert {*order[5:-1]} == {f"job-ended {job}" for job in ("restart", "reload", "start")}
    assert (order[-1], events[-1]["seconds"]) == ("settling", 0.6)
    assert envelope["exit_code"] == 0
    # Who got another run, and who goes on as it was.
    now = site.runs()
    changed = {
        unit.removeprefix(f"{name}-") for unit in runs.keys() | now.keys() if runs.get(unit) != now.get(unit)
    }
    assert changed == {
        *("restarts.service", "halts.service", "new.service", "new.slice", "gone.service", "gone.slice"),
        *("pool@2.service", "pool@3.service"),
    }
    assert machine.show(f"{name}-named.service", "Description") == {"Description": "number 2"}
    assert machine.show(f"{name}-limited.service", "TasksMax") == {"TasksMax": "20"}
    # What is not written keeps its time.
    units = {path: stamp for path, stamp in site.files().items() if path.startswith(site.units)}
    assert {path.rpartition("/")[2] for path, stamp in units.items() if files.get(path) == stamp} == {
        f"{name}-same.service",
        f"{name}.slice",
    } | {path.rpartition("/")[2] for path in units if ".wants/" in path}
    modes = machine.run(["stat", "--format=%a", *(path for path in units if "wants" not in path)]).stdout
    assert set(modes.split()) == {"644"}
    # The record has each file with its hash, and what is enabled, by which the next apply and a removal go.
    record = json.loads(machine.read(f"/var/lib/pm-native/{name}/current.json"))["bundle"]
    sums = machine.run(["sha256sum", *(path for path in units if "wants" not in path)]).stdout.splitlines()
    assert {item["name"]: item["sha256"] for item in record["files"]} == {
        path.rpartition("/")[2]: digest for digest, path in (line.split() for line in sums)
    }
    assert {unit["name"] for unit in record["units"]} >= now.keys()
    assert record["wanted_by"] == {f"{name}.target": "multi-user.target"}
    assert record["systemd_version"] == machine.version
    # The file says where it comes from.
    (line,) = [
        number
        for number, text in enumerate(machine.read(f"{site.folder}/pm-native.toml").splitlines(), 1)
        if text == "[process.named]"
    ]
    shown = machine.systemctl("cat", f"{name}-named.service").stdout
    assert f"project={name} source={site.folder}/pm-native.toml:{line} sha256=" in shown
    with bus_calls(machine) as calls:
        assert site.applied().steps == []
    assert calls
    assert {*calls} <= READS
    assert site.pm_native("plan", "-f", "pm-native.toml").stdout.splitlines()[-1] == (
        f"{name}: nothing to do, 12 files unchanged"
    )


def test_what_is_not_in_the_record_is_not_ours_whatever_its_name(host_site: Site) -> None:
    site, machine, name = host_site, host_site.machine, host_site.name
    theirs = {f"{name}-other.service": "/bin/sleep infinity", f"{name}-broken.service": "/bin/false"}
    for unit, command in theirs.items():
        machine.write(
            f"{site.units}/{unit}",
            f"[Service]\nExecStart={command}\n[Install]\nWantedBy=multi-user.target\n",
        )
    machine.systemctl("daemon-reload")
    machine.systemctl("enable", *theirs)
    machine.systemctl("start", *theirs)
    machine.wait_until(f"{name}-broken.service", ActiveState="failed")
    everybody = ["list-units", "--state=active", "--plain", "--no-legend", "--type=service,socket,target"]

    def others() -> object:
        files = [path for path in site.files() if any(unit in path for unit in theirs)]
        active = [line for line in machine.systemctl(*everybody).stdout.splitlines() if name not in line]
        states = [machine.show(unit, "ActiveState", "Result", "InvocationID") for unit in theirs]
        return files, active, states, machine.run([*REEXEC]).stdout

    before = others()
    site.config(f"[process.a]\n{SLEEP}[process.b]\n{SLEEP}")
    site.apply()
    site.config(f"[process.a]\n{SLEEP}")
    site.apply()
    machine.systemctl("kill", "--signal=KILL", f"{name}-a.service")
    site.apply("--reconcile")
    site.pm_native("rollback", "--project", name, "--settle", "0")
    site.pm_native("remove", name)
    assert others() == before
    machine.systemctl("disable", "--now", *theirs)
    machine.run(["rm", *(f"{site.units}/{unit}" for unit in theirs)])
    machine.systemctl("reset-failed", f"{name}-broken.service")


def test_saved_plan_is_refused_when_the_host_is_another(host_site: Site) -> None:
    site, machine, name = host_site, host_site.machine, host_site.name
    site.write("watched", "one")
    watches = f'[process.a]\n{SLEEP}restart_on = ["watched"]\n[process.b]\n{SLEEP}'
    site.config(watches)
    site.apply("--settle", "0")
    site.config(f"{watches}[process.c]\n{SLEEP}")
    site.pm_native("plan", "-f", "pm-native.toml", "-o", "saved.plan", code=2)
    runs = site.runs()
    unit = f"{site.units}/{name}-a.service"
    text = machine.read(unit)

    def refused(words: str) -> None:
        assert words in site.pm_native("apply", "saved.plan", code=1).stderr
        assert site.runs().keys() <= runs.keys()

    machine.write(unit, f"{text}# mine\n")
    refused("edited by hand")
    machine.write(unit, text)
    machine.run(["rm", unit])
    refused("the host is not as it was when the plan was saved: what would be done now differs\n")
    first, *_ = site.pm_native("plan", "-f", "pm-native.toml", code=2).stdout.splitlines()
    assert first == f"+ {name}-a.service  it has gone"
    machine.write(unit, text)
    site.write("watched", "other")
    refused("the host is not as it was when the plan was saved: what would be done now differs\n")
    site.write("watched", "one")
    machine.write(f"{unit}.d/mine.conf", "[Service]\nNice=5\n")
    refused(f"the host is not as it was when the plan was saved: {unit}.d/mine.conf is another\n")
    machine.run(["rm", "-r", f"{unit}.d"])
    machine.systemctl("stop", f"{name}-b.service")
    refused(f"the plan was saved: {name}-b.service was stopped by hand: left stopped\n")
    machine.systemctl("start", f"{name}-b.service")
    # Another apply came in between, after which all is as it was.
    for config in (f"{watches}[process.d]\n{SLEEP}", watches):
        site.config(config)
        site.apply("--settle", "0")
    refused("the host is not as it was when the plan was saved: the last apply is another\n")
    # It holds to its own options, and to the files that were seen.
    site.config(f"{watches}[process.c]\n{SLEEP}")
    machine.systemctl("stop", f"{name}-b.service")
    site.pm_native("plan", "-f", "pm-native.toml", "--reconcile", "-o", "saved.plan", code=2)
    saved = machine.read(f"{site.folder}/saved.plan")
    assert machine.run(["stat", "--format=%a", f"{site.folder}/saved.plan"]).stdout == "600\n"
    site.write("saved.plan", saved.replace("sleep infinity", "sleep 77777"))
    refused(f"{name}-a.service in the plan saved.plan has changed since it was saved\n")
    site.write("saved.plan", saved)
    site.pm_native("apply", "saved.plan", "--settle", "0")
    assert {f"{name}-b.service", f"{name}-c.service"} < site.runs().keys()


def test_each_command_has_one_envelope_and_the_history_tells_who_did_what(site: Site) -> None:
    machine, name = site.machine, site.name
    pool = (
        f'[process.pool]\n{SLEEP}instances = 2\nrestart = {{{{ policy = "always", max_delay = "10s" }}}}\n'
        'environment = {{ NUMBER = "{}" }}\n'
    )

    def envelope(*words: str, code: int = 0) -> dict[str, object]:
        lines = site.pm_native(*words, "--json", code=code).stdout.splitlines()
        found: dict[str, object] = json.loads(lines[-1])
        assert {json.loads(line)["version"] for line in lines} == {1}
        assert (found["command"], found["exit_code"], found["error"]) == (words[0], code, None)
        return found

    source = ("-f", "pm-native.toml")
    began = datetime.now(UTC).replace(microsecond=0)
    site.config(pool.format(10))
    told = envelope("check", *source)["diagnostics"]
    assert isinstance(told, list)
    # What this systemd lacks is told at its line, with what it gets in its place; a newer one has it.
    lacks = [item["line"] for item in told if "RestartSteps" in str(item) or "max_delay" in str(item)]
    assert lacks == ([] if machine.version >= 254 else [6])
    shown = site.pm_native("generate", *source, "--systemd-version", "257").stderr
    assert "max_delay" not in shown
    made = envelope("generate", *source)["data"]
    assert isinstance(made, dict)
    assert made["systemd_version"] == machine.version  # auto: that of the host
    envelope("explain", *source)
    plan = envelope("plan", *source, code=2)["data"]
    assert isinstance(plan, dict)
    envelope("apply", *source, "--settle", "0")
    for words in (
        ["status"],
        ["stop", "pool@2"],
        ["start", "pool@2"],
        ["restart", "pool"],
        ["reload", "pool"],
    ):
        envelope(*words)
    envelope("scale", "pool=3", "--settle", "0")
    kept = machine.path(f"/var/lib/pm-native/{name}/generations")
    for number, options, numbers in (
        (11, (), {"1", "2", "3"}),
        (12, ("--keep", "3"), {"2", "3", "4"}),
        (13, (), {"2", "3", "4", "5"}),
        (14, (), {"2", "3", "4", "5", "6"}),
    ):
        site.config(pool.format(number))
        envelope("apply", *source, "--settle", "0", *options)
        assert {path.name for path in kept.iterdir()} == numbers
    envelope("rollback", "--project", name, "--settle", "0")
    envelope("diff", "--project", name)
    history = envelope("history", name)["data"]
    assert isinstance(history, list)
    assert [(item["command"], item["who"], item["result"]) for item in history] == [
        (command, "root", "done") for command in ("apply", "scale pool=3", *["apply"] * 4, "rollback to 5")
    ]
    assert history[0]["plan"] == plan["plan"]
    assert len({item["plan"] for item in history}) == len(history)
    assert all(began <= datetime.fromisoformat(item["when"]) <= datetime.now(UTC) for item in history)
    lines = machine.read(f"/var/lib/pm-native/{name}/history.jsonl").splitlines()
    assert [json.loads(line)["number"] for line in lines] == [1, 2, 3, 4, 5, 6, 7]
    # A rollback keeps five, as an apply that says nothing does.
    assert [item["number"] for item in history if item["kept"]] == [3, 4, 5, 6, 7]
    envelope("remove", name)


def test_second_ctrl_c_ends_it_at_once_and_the_record_is_fit_for_the_next(host_site: Site) -> None:
    site, machine, name = host_site, host_site.machine, host_site.name
    # Before the switch begins systemd reads the files, which takes its time here.
    verify = (
        f'#!/bin/sh\necho "$@" >>/run/{name}.verifies\n'
        'test -e slow/go || exec sleep 98765\nexec /usr/bin/systemd-analyze "$@"\n'
    )
    site.write("slow/systemd-analyze", verify, 0o755)
    site.config(f"[process.a]\n{SLEEP}")
    env = {"PATH": f"{site.folder}/slow:/usr/bin:/bin"}
    with site.in_background("apply", "-f", "pm-native.toml", env=env) as run:
        until(lambda: machine.path(f"/run/{name}.verifies").exists(), timeout=60, what=lambda: "no verify")
        (pid,) = processes(machine, f"{machine.python} -m pm_native apply")
        machine.run(["kill", f"-{signal.SIGINT.value}", pid])
        assert run.stderr is not None
        assert any(line.startswith("stopping: ") for line in run.stderr)
        machine.run(["kill", f"-{signal.SIGINT.value}", pid])
        assert run.wait(60) == 130
    until(lambda: not processes(machine, "sleep 98765"), timeout=60, what=lambda: "it verifies still")
    assert (site.runs(), len(site.files())) == ({}, 0)
    site.write("slow/go", "")
    machine.pm_native("apply", "-f", "pm-native.toml", "--settle", "0", env=env, cwd=site.folder)
    assert f"{name}-a.service" in site.runs()
    # It was asked once, about all of them, where nobody else reads unit files.
    _, asked = machine.read(f"/run/{name}.verifies").splitlines()
    files = [word.rpartition("/") for word in asked.split() if "/" in word]
    assert [file for _, _, file in files] == [f"{name}-a.service", f"{name}.slice", f"{name}.target"]
    assert all(folder.startswith("/tmp/pm-native-") for folder, _, _ in files)


def test_failure_is_told_with_its_last_words_when_the_clock_is_set_back_in_the_middle_of_a_run(
    host_site: Site,
) -> None:
    """All that pm-native has seen of the clock before its jobs is an hour ahead of what systemd writes then."""
    site, machine = host_site, host_site.machine
    site.write(
        "ahead.py",
        "import sys, time\n"
        "from pm_native.apply import run as runs\n"
        "from pm_native.cli.main import run\n"
        "known = runs.Moment\n"
        "runs.Moment = lambda: known(wall=time.time() + 3600)\n"
        "sys.exit(run(sys.argv[1:]))\n",
    )
    site.config(
        '[process.bad]\ncommand = ["sh", "-c", "echo last words; exit 3"]\nrestart = { policy = "no" }\n'
    )
    words: list[str | Path] = [
        machine.python,
        "ahead.py",
        "apply",
        "-f",
        "pm-native.toml",
        "--settle",
        "0.6",
    ]
    done = machine.run(words, cwd=site.folder, check=False)
    assert (done.returncode, "  | last words\n" in done.stdout) == (4, True), done.stdout + done.stderr
