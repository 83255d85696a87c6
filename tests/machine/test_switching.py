"""What stays open, what is in force at once and what comes back, when a project changes on a real systemd."""

from __future__ import annotations

import pytest

from tests.machine.harness import Machine, until
from tests.machine.sites import new_site

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.machine.sites import Site

# Takes the socket that it was given, or opens a port of its own, and says which of its versions it is. The second instance
# of the version `two` takes its time to end: by then the first is back where nobody waits for both.
SERVER = """\
import os, signal, socket, sys, time
def end(*_):
    time.sleep(0.4 if sys.argv[1] == "two" and "@2." in open("/proc/self/cgroup").read() else 0)
    os._exit(0)
signal.signal(signal.SIGTERM, end)
if os.environ.get("LISTEN_FDS"):
    listener = socket.socket(fileno=3)
else:
    listener = socket.create_server(("127.0.0.1", int(os.environ["PORT"])))
while True:
    connection, _ = listener.accept()
    connection.sendall(sys.argv[1].encode())
    connection.close()
"""
# Connects again and again while the command runs that follows, and says what came of it.
CALLER = """\
import socket, subprocess, sys
run = subprocess.Popen(sys.argv[2:], stdout=subprocess.DEVNULL)
found = {}
while run.poll() is None or not found:
    try:
        with socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=10) as client:
            answer = client.recv(100).decode() or "cut"
    except OSError as error:
        answer = type(error).__name__
    found[answer] = found.get(answer, 0) + 1
print(*sorted(found), run.returncode)
"""


@pytest.fixture
def site(machine: Machine) -> Iterator[Site]:
    for made in new_site(machine):
        made.write("server.py", SERVER)
        made.write("caller.py", CALLER)
        yield made


def answers_during_apply(site: Site, port: int) -> list[str]:
    """What clients of the port were answered while an apply ran, and its exit code."""
    apply = ["-m", "pm_native", "apply", "-f", "pm-native.toml", "--settle", "0.6"]
    words: list[str | Path] = ["python3", "caller.py", str(port), site.machine.python, *apply]
    return site.machine.run(words, cwd=site.folder).stdout.split()


def jobs(site: Site) -> list[str]:
    """The jobs of an apply."""
    return [line for line in site.applied().steps if line.split()[0] in {"stop", "start", "restart"}]


def test_shared_socket_stays_open_when_programs_change_and_is_closed_behind_them_when_it_does(
    site: Site,
) -> None:
    name = f"{site.name}-api"
    pool = (
        '[process.api]\ncommand = "python3 server.py {0}"\ninstances = 2\n'
        "listen = {{ port = 3410, share = true{1} }}\n"
    )
    site.config(pool.format("one", ""))
    site.apply()
    socket = site.machine.show(f"{name}.socket", "InvocationID")
    # Those that wait for an answer while both restart are kept waiting, in the queue of the socket; what of its
    # settings is not of the descriptor changes meanwhile.
    limit = 'systemd.Socket.TriggerLimitBurst = "123"\n'
    site.config(pool.format("two", "") + limit)
    answers = answers_during_apply(site, 3410)
    assert set(answers) <= {"one", "two", "ConnectionResetError", "cut", "0"}
    assert {"one", "two"} & {*answers}
    assert site.machine.show(f"{name}.socket", "InvocationID", "TriggerLimitBurst") == {
        **socket,
        "TriggerLimitBurst": "123",
    }

    site.config(pool.format("two", ", backlog = 7") + limit)
    why, holds = "Backlog= changed", f"{name}.socket is opened anew, and it holds the address"
    assert [*site.reasons().items()] == [
        (f"stop {name}@2.service", holds),
        (f"stop {name}@1.service", holds),
        (f"stop {name}.socket", f"{why}: connections are refused until it is open again"),
        (f"write {name}.socket", why),
        ("reload-manager systemd", "unit files have changed"),
        (f"start {name}.socket", why),
        (f"start {name}@1.service", holds),
        (f"start {name}@2.service", holds),
    ]
    assert site.machine.show(f"{name}.socket", "Backlog") == {"Backlog": "7"}
    assert site.applied().steps == []

    # Each a port of its own, the first of which the socket had, and back: nobody is in the other's way.
    own = '[process.api]\ncommand = "python3 server.py three"\ninstances = 2\nlisten = { port = 3410 }\n'
    for text in (own, pool.format("four", "")):
        site.config(text)
        site.apply()
        assert site.applied().steps == []
        assert {f"{name}@1.service", f"{name}@2.service"} <= site.runs().keys()


def test_removed_instances_do_not_come_back_with_their_target(site: Site) -> None:
    machine, name = site.machine, site.name
    pool = '[process.api]\ncommand = "/bin/sleep infinity"\ninstances = {}\n'
    site.config(pool.format(10))
    site.apply()
    site.config(pool.format(8))
    assert jobs(site) == [f"stop {name}-api@10.service", f"stop {name}-api@9.service"]
    machine.systemctl("restart", f"{name}.target", f"{name}-api.target")
    assert (
        machine.systemctl("list-units", "--all", "--plain", "--no-legend", f"{name}-api@*").stdout.count(
            ".service"
        )
        == 8
    )
    site.config('[process.other]\ncommand = "/bin/sleep infinity"\n')
    site.apply()
    machine.systemctl("restart", f"{name}.target")
    assert machine.systemctl("list-units", "--all", "--plain", "--no-legend", f"{name}-api*").stdout == ""


# Each of a process of its own: what a program has from its start, and keeps until it is started again.
SETTLED = {
    "CPUAffinity": ("0", "0 1"),
    "Delegate": ("no", "pids"),
    "LimitNOFILE": ("1000", "1001"),
    "Nice": ("5", "6"),
    "OOMScoreAdjust": ("100", "101"),
    "ProtectSystem": ("yes", "full"),
    "SyslogIdentifier": ("one", "two"),
    "Type": ("exec", "simple"),
    "UMask": ("0022", "0027"),
    "User": ("root", "daemon"),
}


def test_what_runs_on_has_its_new_limits_and_times_at_once_and_what_a_start_settles_is_had_by_a_restart(
    site: Site,
) -> None:
    machine, unit = site.machine, f"{site.name}-a.service"
    text = (
        '[process.a]\ncommand = "/bin/sleep infinity"\n[process.a.systemd.Service]\n'
        'MemoryMax = "{}"\nCPUWeight = "{}"\nTasksMax = "{}"\nTimeoutStopSec = "{}s"\nRestartSec = "{}s"\nKillSignal = "{}"\n'
    )

    def settled(which: int) -> str:
        return "".join(
            f'[process.{key.lower()}]\ncommand = "/bin/sleep infinity"\nsystemd.Service.{key} = "{values[which]}"\n'
            for key, values in SETTLED.items()
        )

    site.config(text.format("100M", 50, 20, 7, 8, "SIGHUP") + settled(0))
    site.apply()
    before = site.runs()
    site.config(text.format("200M", 60, 30, 8, 9, "SIGINT") + settled(1))
    restarted = [f"{site.name}-{key.lower()}.service" for key in SETTLED]
    steps = site.applied().steps
    assert steps[-len(restarted) :] == [f"restart {name}" for name in restarted]
    assert steps[: -len(restarted)] == [
        *(f"write {name}" for name in (unit, *restarted)),
        "reload-manager systemd",
    ]
    now = site.runs()
    assert {name for name in before if now.get(name) != before[name]} == {*restarted}
    pid = machine.show(f"{site.name}-limitnofile.service", "MainPID")["MainPID"]
    assert "Max open files            1001 " in machine.read(f"/proc/{pid}/limits")
    wanted = {
        "MemoryMax": str(200 << 20),
        "CPUWeight": "60",
        "TasksMax": "30",
        "TimeoutStopUSec": "8s",
        "RestartUSec": "9s",
        "KillSignal": "2",
    }
    assert machine.show(unit, *wanted) == wanted
    machine.systemctl("daemon-reload")
    machine.systemctl("restart", unit)
    assert machine.show(unit, *wanted) == wanted
    assert machine.show(unit, "DropInPaths") == {"DropInPaths": ""}


def test_what_requires_a_unit_comes_back_when_that_stops_and_starts_and_runs_on_when_it_goes(
    site: Site,
) -> None:
    machine, name = site.machine, site.name
    db, bound = f"{name}-db.service", f"{name}-bound.service"
    needs = {"web": "Requires", "bound": "BindsTo", "pool": "PartOf"}
    sleeps = {key: f'[process.{key}]\ncommand = "/bin/sleep infinity"\n' for key in (*needs, "far")}
    sleeps["pool"] += "instances = 1\n"
    with_db = (
        '[process.db]\ncommand = ["sh", "-c", ": {}; exec sleep infinity"]\non_change = "stop-start"\n'
        + "".join(
            f'{text}systemd.Unit = {{{{ {needs[key]} = "{db}", After = "{db}" }}}}\n'
            if key in needs
            else text
            for key, text in sleeps.items()
        )
    )
    drop_in = f"/etc/systemd/system/{name}-far.service.d"
    machine.write(f"{drop_in}/mine.conf", f"[Unit]\nRequires={name}-web.service\n")
    site.config(with_db.format("one"))
    site.apply()
    machine.systemctl("start", f"{name}-pool@7.service")
    before = site.runs()
    site.config(with_db.format("two"))
    why = site.reasons()
    assert why[f"restart {name}-web.service"] == f"requires {db}, which restarts"
    assert why[f"restart {name}-far.service"] == f"requires {name}-web.service, which restarts"
    after = site.runs()
    assert after.keys() == before.keys()
    assert {unit for unit in after if unit.endswith(".service") and after[unit] == before[unit]} == set()
    assert site.applied().steps == []
    # Without it, and without a word of it in the config: only what is bound to it ends with it, and comes back.
    site.config("".join(sleeps.values()))
    site.apply()
    now = site.runs()
    services = {unit for unit in after if unit.endswith(".service")}
    assert {unit for unit in services if now.get(unit) != after[unit]} == {db, bound}
    assert bound in now
    assert site.applied().steps == []
    machine.run(["rm", "-r", drop_in])


def test_contents_that_a_program_reads_are_a_change_of_it(site: Site) -> None:
    machine, name = site.machine, site.name
    site.write("app/settings", "one")
    site.write("site.env", "A=1\n")
    site.config(
        f"""
[process.reads]
command = "/bin/sleep infinity"
restart_on = ["app"]
[process.reloads]
command = ["sh", "-c", "trap 'echo again' HUP; while :; do sleep 0.1; done"]
on_change = "reload"
restart_on = ["app/settings"]
systemd.Service.ExecReload = "/bin/kill -HUP $MAINPID"
[process.env]
command = ["sh", "-c", "exec sleep 100$A"]
systemd.Service.EnvironmentFile = "{site.folder}/site.env"
[process.other]
command = "/bin/sleep infinity"
"""
    )
    site.apply()
    files = site.files()
    assert site.applied().steps == []
    assert site.files() == files
    site.write("app/settings", "two")
    assert site.applied().steps == [f"restart {name}-reads.service", f"reload {name}-reloads.service"]
    until(
        lambda: "again" in machine.journal(f"{name}-reloads.service"),
        what=lambda: str(machine.journal(f"{name}-reloads.service")),
    )
    site.write("site.env", "A=2\n")
    assert site.applied().steps == [f"restart {name}-env.service"]
    assert site.environment(f"{name}-env.service")["A"] == "2"
    assert site.applied().steps == []
    # Who may not read the record is told so, and not that there is no change.
    plan = machine.pm_native(
        "plan", "-f", "pm-native.toml", user="nobody", cwd=site.folder, check=False
    ).stdout
    assert (
        f"! {name}-reads.service reads {site.folder}/app, which you cannot compare: taken as unchanged"
        in plan
    )
    machine.run(["rm", f"{site.folder}/app/settings"])
    gone = site.applied()
    assert gone.steps == [f"restart {name}-reads.service", f"reload {name}-reloads.service"]
    assert gone.drift == [f"{name}-reloads.service reads {site.folder}/app/settings, which is not there"]


def test_instance_beyond_the_pool_lets_go_of_a_socket_that_changes(site: Site) -> None:
    machine, name = site.machine, f"{site.name}-api"
    pool = (
        '[process.api]\ncommand = "python3 server.py one"\ninstances = 1\n'
        "listen = {{ port = 3411, share = true, backlog = {} }}\n"
    )
    site.config(pool.format(5))
    site.apply()
    machine.systemctl("start", f"{name}@7.service")
    site.config(pool.format(6))
    assert jobs(site) == [
        f"stop {name}@7.service",
        f"stop {name}@1.service",
        f"stop {name}.socket",
        f"start {name}.socket",
        f"start {name}@1.service",
        f"start {name}@7.service",
    ]
    assert machine.show(f"{name}.socket", "Backlog") == {"Backlog": "6"}
    assert {f"{name}@1.service", f"{name}@7.service", f"{name}.socket"} <= site.runs().keys()
    assert site.applied().steps == []
    # What is to be kept keeps the socket that it has.
    before = site.runs()
    site.config(pool.format(7) + 'on_change = "keep"\n')
    kept = site.applied()
    assert kept.steps == [f"write {name}.socket", "reload-manager systemd"]
    why = "runs on old settings, as on_change = keep says: Backlog= changed"
    assert kept.drift == [f"{name}.socket {why}"]
    assert site.runs() == before


def test_task_at_work_ends_on_its_old_settings_and_its_next_run_has_the_new(site: Site) -> None:
    machine, unit = site.machine, f"{site.name}-tick.service"
    task = """
[process.tick]
command = ["sh", "-c", "echo {0} begins; until [ -e go ]; do sleep 0.05; done; echo {0} ends"]
schedule = "{1}"
systemd.Timer.Persistent = "true"
"""
    site.config(task.format("old", "*:*:*"))
    site.apply()
    machine.wait_until(unit, ActiveState="activating")
    run = machine.show(unit, "InvocationID")
    site.config(task.format("new", "*:*:0/1"))
    done = site.applied()
    assert done.steps == [
        f"write {unit}",
        f"write {site.name}-tick.timer",
        "reload-manager systemd",
    ]
    assert done.drift == [
        f"{unit} is at work on its old settings, its next run takes the new: ExecStart= changed"
    ]
    assert machine.show(unit, "InvocationID", "ActiveState") == {**run, "ActiveState": "activating"}
    site.write("go", "")
    until(lambda: "new ends" in machine.journal(unit), timeout=60, what=lambda: str(machine.journal(unit)))
    said = [line for line in machine.journal(unit) if line in {"old begins", "old ends", "new begins"}]
    assert said[:3] == ["old begins", "old ends", "new begins"]
    timer = f"{site.name}-tick.timer"
    before = machine.show(timer, "InvocationID", "Persistent")
    assert before["Persistent"] == "yes"
    site.config(task.format("new", "2099-01-02 03:04:05"))
    assert site.applied().steps == [f"write {timer}", "reload-manager systemd"]
    assert machine.show(timer, "InvocationID", "Persistent") == before
    assert "2099" in machine.show(timer, "NextElapseUSecRealtime")["NextElapseUSecRealtime"]
    assert machine.path(f"/var/lib/systemd/timers/stamp-{timer}").exists()


GROWS = """\
import os, time
while not os.path.exists("grow"):
    time.sleep(0.02)
block = bytearray(100 << 20)
block[::4096] = b"x" * len(block[::4096])
print("grown", flush=True)
time.sleep(1e6)
"""


@pytest.fixture
def limited_site(bootable: None) -> Iterator[Site]:  # noqa: ARG001 - a skip where none can be booted
    """On a machine of its own, whose limits are those of the kernel."""
    with Machine.boot("host", limits=True) as machine:
        yield from new_site(machine)


def limits_in_kernel(site: Site, process: str) -> list[str]:
    """What the kernel allows a process of memory and of tasks; nothing where it counts neither."""
    group = f"{site.name}.slice/{site.name}-{process}.slice"
    names = ("memory/{}/memory.limit_in_bytes", "{}/memory.max", "pids/{}/pids.max", "{}/pids.max")
    places = [f"/sys/fs/cgroup/{name.format(group)}" for name in names]
    return [site.machine.read(place).strip() for place in places if site.machine.path(place).exists()]


def test_limit_that_is_raised_is_the_kernels_for_a_process_that_runs_on(limited_site: Site) -> None:
    site, machine = limited_site, limited_site.machine
    site.write("grows.py", GROWS)
    text = "".join(
        f'[process.{name}]\ncommand = "python3 grows.py"\nrestart = {{{{ policy = "no" }}}}\n'
        f'limits = {{{{ memory = "{memory}", tasks = {tasks} }}}}\n'
        for name, memory, tasks in (("wide", "{0}", "{1}"), ("narrow", "40M", "20"))
    )
    site.config(text.format("40M", 20))
    site.apply()
    if not limits_in_kernel(site, "wide"):
        pytest.skip("this host has no cgroups of memory and pids to give away")
    assert limits_in_kernel(site, "wide") == [str(40 << 20), "20"]
    before = site.runs()
    site.config(text.format("300M", 25))
    assert site.applied().steps == [f"write {site.name}-wide.slice", "reload-manager systemd"]
    assert (limits_in_kernel(site, "wide"), site.runs()) == ([str(300 << 20), "25"], before)
    # What the one may have by now the other may not: the kernel ends it.
    site.write("grow", "")
    machine.wait_until(f"{site.name}-narrow.service", ActiveState="failed", timeout=60)
    wide = f"{site.name}-wide.service"
    until(lambda: "grown" in machine.journal(wide), timeout=60, what=lambda: str(machine.journal(wide)))
    assert site.runs()[wide] == before[wide]
