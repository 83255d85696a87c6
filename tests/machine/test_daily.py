"""status, logs, start, stop and restart against a real systemd."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass

import pytest

from tests.machine.harness import until

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from subprocess import CompletedProcess

    from tests.machine.harness import Machine

MIB = 1 << 20
CONFIG = """
[project]
name = "{name}"
directory = "{directory}"

[process.hog]
command = ["python3", "-c", '''
import time
block = b"x" * (50 << 20)
print("I hold 50 MB", flush=True)
until = time.process_time() + 0.3
while time.process_time() < until:
    pass
time.sleep(1e6)
''']

[process.api]
command = ["sh", "-c", "echo here is $0; sleep infinity & wait", "{name}"]
instances = 3

[process.after]
command = ["sleep", "infinity"]
depends_on = {{ hog = "started" }}

[process.filer]
command = ["sh", "-c", "echo to a file; exec sleep infinity"]
logs = {{ stdout = "{logs}/filer.log" }}

[process.bad]
command = ["sh", "-c", "echo last words; sleep 0.1; exit 3"]
restart = {{ policy = "no" }}
autostart = false

[process.flaky]
command = ["sh", "-c", "[ -e {directory}/calm ] && echo calm && exec sleep infinity; sleep 0.1; exit 7"]
restart = {{ policy = "always", delay = "100ms", limit = 1000 }}
autostart = false

[process.backup]
command = "true"
kind = "task"
schedule = "*-*-* 03:00:00"
"""
Row = dict[str, "object"]


@dataclass(frozen=True, slots=True)
class Project:
    """A project that is installed on a machine; `user` None: in the system manager."""

    machine: Machine
    name: str
    directory: str
    user: str | None = None

    def __call__(self, *words: str, check: bool = True) -> CompletedProcess[str]:
        verb, *rest = words
        scope = ["--user"] if self.user else []
        return self.machine.pm_native(verb, *scope, *rest, check=check, user=self.user, cwd=self.directory)

    def rows(self, *words: str) -> dict[str, Row]:
        """`status --json` by the names of its rows."""
        said = self("status", *words, "--json", check=False)
        (project,) = json.loads(said.stdout)["data"]["projects"]
        return {row["name"]: row for row in project["processes"]}

    def pids(self, *names: str) -> list[object]:
        rows = self.rows()
        return [rows[name]["pid"] for name in names]

    def install(self) -> None:
        self("generate")
        self("apply", "--settle", "0")


def installed(machine: Machine, name: str, user: str | None = None) -> Iterator[Project]:
    directory = f"/home/{user}/{name}" if user else f"/srv/{name}"
    logs = f"{directory}/logs" if user else f"/var/log/{name}"
    machine.write(f"{directory}/pm-native.toml", CONFIG.format(name=name, directory=directory, logs=logs))
    if user:
        machine.run(["chown", "--recursive", f"{user}:{user}", f"/home/{user}"])
    project = Project(machine, name, directory, user)
    project.install()
    yield project
    machine.pm_native("remove", *(["--user"] if user else []), name, user=user)


@pytest.fixture(scope="module")
def system_project(machine: Machine) -> Iterator[Project]:
    yield from installed(machine, "daily")


@pytest.fixture(scope="module")
def user_project(machine: Machine) -> Iterator[Project]:
    yield from installed(machine, "mine", machine.user_session("ada"))


@pytest.fixture
def project(system_project: Project) -> Project:
    """The system's project, all of it up."""
    system_project("start", "--settle", "0")
    return system_project


def test_figures_are_those_of_the_program(project: Project) -> None:
    until(
        lambda: (project.rows("hog")["hog"]["cpu_seconds"] or 0) >= 0.3,  # type: ignore[operator]
        what=lambda: str(project.rows("hog")),
    )
    row = project.rows("hog")["hog"]
    shown = project.machine.show("daily-hog.service", "MainPID", "MemoryCurrent", "CPUUsageNSec")
    assert row["pid"] == int(shown["MainPID"])
    assert 50 * MIB < row["memory_bytes"] < 80 * MIB  # type: ignore[operator]
    if shown["MemoryCurrent"].isdecimal():
        assert row["memory_source"] == "cgroup"
        assert abs(row["memory_bytes"] - int(shown["MemoryCurrent"])) < MIB  # type: ignore[operator]
    else:
        assert row["memory_source"] == "processes"
    assert 0.3 <= row["cpu_seconds"] < 5  # type: ignore[operator]
    assert 0 < row["uptime_seconds"] < 600  # type: ignore[operator]
    assert 0 < row["cpu_share"] < 1  # type: ignore[operator]


def test_table_names_each_process_and_instance(project: Project) -> None:
    said = project("status")
    table = [line.split() for line in said.stdout.splitlines()]
    assert [line[0] for line in table] == [
        "PROCESS", "hog", "api@1", "api@2", "api@3", "after", "filer", "bad", "flaky", "backup", "daily:",
    ]  # fmt: skip
    assert said.stdout.splitlines()[-1] == "daily: 7 of 7 up"
    assert said.stderr == "the same: systemctl status daily.target 'daily-*'\n"
    assert table[9][1:3] == ["scheduled,", "next"]


# Runs the words behind it, interrupts them after three tables, and ends as they do.
INTERRUPT = """
import signal, subprocess, sys
with subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE, text=True) as watch:
    tables = 0
    for line in watch.stdout:
        print(line, end="")
        tables += line.startswith("PROCESS")
        if tables == 3:
            watch.send_signal(signal.SIGINT)
            tables += 1
sys.exit(watch.returncode)
"""


def test_watch_repeats_the_table_and_ends_well_on_ctrl_c(project: Project) -> None:
    machine = project.machine
    watch = ["-m", "pm_native", "status", "--watch", "--interval", "200ms", "daily/hog"]
    said = machine.run([machine.python, "-c", INTERRUPT, machine.python, *watch], check=False)
    assert (said.returncode, said.stderr) == (0, "")
    blocks = said.stdout.strip().split("\n\n")
    assert len(blocks) > 2
    assert all(block.splitlines()[0].split()[-1] == "CPU" for block in blocks)
    assert all(block.splitlines()[1].endswith("%") for block in blocks[:2])


def test_tree_shows_the_children_of_a_program(project: Project) -> None:
    (row,) = project.rows("--tree", "api@1").values()
    tree = row["tree"]
    assert isinstance(tree, list)
    assert [(item["depth"], item["command"].split()[0].rpartition("/")[2]) for item in tree] == [
        (0, "sh"),
        (1, "sleep"),
    ]


def test_failure_is_told_with_its_last_words_and_shows_in_status(project: Project) -> None:
    said = project("start", "--settle", "0.5", "bad", check=False)
    assert said.returncode == 4
    assert said.stdout.startswith("daily-bad.service: it ended within 0.4 s of its start\n  exit status 3\n")
    assert "made by pm-native.toml:" in said.stdout
    assert "| last words" in said.stdout
    assert said.stdout.endswith("daily: 1 unit failed\n")
    shown = project("status", "bad", check=False)
    assert shown.returncode == 4
    assert shown.stdout.splitlines()[1].split("  ")[0] == "bad"
    assert "failed (exit status 3)" in shown.stdout
    project.machine.systemctl("reset-failed", "daily-bad.service")
    assert project("status").returncode == 0


def test_restarts_are_counted_and_a_start_by_hand_counts_anew(project: Project) -> None:
    def restarts() -> int:
        return int(str(project.rows("flaky")["flaky"]["restarts"]))

    project("start", "--settle", "0", "flaky", check=False)
    project.machine.wait_until("daily-flaky.service", SubState="auto-restart")
    until(
        lambda: int(project.machine.show("daily-flaky.service", "NRestarts")["NRestarts"]) >= 2,
        what=lambda: str(project.rows("flaky")),
    )
    project.machine.write(f"{project.directory}/calm", "")
    until(
        lambda: "calm" in project.machine.journal("daily-flaky.service"),
        what=lambda: str(project.rows("flaky")),
    )
    assert restarts() == int(project.machine.show("daily-flaky.service", "NRestarts")["NRestarts"]) >= 2
    project("restart", "--settle", "0", "flaky")
    assert restarts() == 0
    project("stop", "flaky")
    project.machine.path(f"{project.directory}/calm").unlink()


def test_waiting_for_a_restart_after_a_failure_is_exit_code_4(project: Project) -> None:
    drop_in = "/run/systemd/system/daily-flaky.service.d/slow.conf"
    project.machine.write(drop_in, "[Service]\nRestartSec=1h\n")
    project.machine.systemctl("daemon-reload")
    said = project("start", "--settle", "0.5", "flaky", check=False)
    assert said.returncode == 4
    assert "daily-flaky.service: it ended and waits for its next restart" in said.stdout
    shown = project("status", "flaky", check=False)
    assert shown.returncode == 4
    assert "waiting for restart (exit status 7)" in shown.stdout
    project("stop", "flaky")
    project.machine.path(drop_in).unlink()
    project.machine.systemctl("daemon-reload")


def test_instance_process_and_pool_are_restarted_alone(project: Project) -> None:
    names = ("hog", "api@1", "api@2", "api@3", "after")
    before = project.pids(*names)
    assert project("restart", "--settle", "0", "api@2").stdout == "daily: 1 restarted\n"
    second = project.pids(*names)
    assert [old == new for old, new in zip(before, second, strict=True)] == [True, True, False, True, True]
    assert project("restart", "--settle", "0", "api").stdout == "daily: 3 restarted\n"
    third = project.pids(*names)
    assert [old == new for old, new in zip(second, third, strict=True)] == [True, False, False, False, True]


def test_stopped_instance_stays_down_until_its_pool_starts(project: Project) -> None:
    said = project("stop", "api@3")
    assert said.stdout == "daily: 1 stopped\n"
    assert said.stderr.splitlines()[-1] == "the same: systemctl stop daily-api@3.service"
    assert [row["active_state"] for row in project.rows("api").values()] == ["active", "active", "inactive"]
    assert project("status").returncode == 0
    project("start", "--settle", "0", "api")
    assert [row["active_state"] for row in project.rows("api").values()] == ["active"] * 3


def test_project_stops_in_reverse_order_and_all_of_it(project: Project) -> None:
    project("stop")
    assert {row["active_state"] for row in project.rows().values()} == {"inactive"}
    assert project.machine.systemctl("is-active", "daily.target", check=False).stdout == "inactive\n"
    stamps = {
        name: int(project.machine.show(f"daily-{name}.service", key)[key])
        for name, key in (
            ("after", "InactiveEnterTimestampMonotonic"),
            ("hog", "ActiveExitTimestampMonotonic"),
        )
    }
    assert stamps["after"] <= stamps["hog"]  # hog began to stop when what needs it was gone


def test_restart_of_a_project_restarts_all_that_runs_once_and_starts_the_rest(project: Project) -> None:
    project("stop", "filer")
    names = ("hog", "api@1", "api@2", "api@3", "after")
    before = project.pids(*names)
    project("restart", "--settle", "0")
    rows = project.rows()
    assert not set(before) & {rows[name]["pid"] for name in names}
    assert {rows[name]["active_state"] for name in (*names, "filer")} == {"active"}
    journal = project.machine.journal("daily-hog.service")
    starts = [line for line in journal if line.startswith("Stopping ")]
    project("restart", "--settle", "0")
    journal = project.machine.journal("daily-hog.service")
    assert len([line for line in journal if line.startswith("Stopping ")]) == len(starts) + 1


def test_instance_started_by_hand_is_shown(project: Project) -> None:
    project.machine.systemctl("start", "daily-api@7.service")
    assert list(project.rows("api")) == ["api@1", "api@2", "api@3", "api@7"]
    project.machine.systemctl("stop", "daily-api@7.service")
    assert list(project.rows("api")) == ["api@1", "api@2", "api@3"]


def test_logs_of_one_process_and_of_a_pool(project: Project) -> None:
    project.machine.run(["journalctl", "--sync"])
    one = project("logs", "hog")
    assert "I hold 50 MB" in one.stdout
    assert "here is" not in one.stdout
    assert one.stderr == "journalctl --no-pager --unit daily-hog.service --lines 100\n"
    pool = project("logs", "api", "--json", "-n", "50")
    units = {json.loads(line).get("_SYSTEMD_UNIT") for line in pool.stdout.splitlines()}
    assert {f"daily-api@{number}.service" for number in (1, 2, 3)} <= units
    assert units <= {f"daily-api@{number}.service" for number in (1, 2, 3, 7)} | {"init.scope"}


def test_logs_in_a_file_are_read_from_there(project: Project) -> None:
    said = project("logs", "filer")
    assert "to a file\n" in said.stdout
    assert said.stderr == "tail --lines 100 --verbose -- /var/log/daily/filer.log\n"


def test_status_of_what_is_not_there(project: Project) -> None:
    said = project("status", "hgo", check=False)
    assert (said.returncode, said.stderr) == (
        64,
        "error: daily has no process or unit 'hgo'\n  hint: did you mean 'hog'?\n",
    )


def test_own_manager_of_a_user(user_project: Project) -> None:
    user_project("start", "--settle", "0")
    rows = user_project.rows()
    assert {rows[name]["active_state"] for name in ("hog", "api@1", "api@2", "api@3")} == {"active"}
    until(
        lambda: (user_project.rows("hog")["hog"]["memory_bytes"] or 0) > 50 * MIB,  # type: ignore[operator]
        what=lambda: str(user_project.rows("hog")),
    )
    before = user_project.pids("api@1", "api@2")
    user_project("restart", "--settle", "0", "api@2")
    after = user_project.pids("api@1", "api@2")
    assert (after[0] == before[0], after[1] == before[1]) == (True, False)
    user_project.machine.run(["journalctl", "--sync"])
    logs = user_project("logs", "api@2")
    assert "here is mine" in logs.stdout
    assert logs.stderr == "journalctl --no-pager --user --user-unit mine-api@2.service --lines 100\n"
    user_project("stop")
    assert {row["active_state"] for row in user_project.rows().values()} == {"inactive"}


def test_user_without_rights_is_told_to_use_sudo(project: Project) -> None:
    user = project.machine.user_session("ada")
    said = project.machine.pm_native("restart", "daily/api", user=user, check=False)
    assert said.returncode == 77
    assert "sudo" in said.stderr


def test_status_of_50_processes(host_machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    machine = host_machine
    machine.write(
        "/srv/many/pm-native.toml",
        '[project]\nname = "many"\ndirectory = "/srv/many"\n'
        + "".join(f'[process.nap{number}]\ncommand = "sleep infinity"\n' for number in range(50)),
    )
    warm = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": "/var/cache/pm-native-pyc"}
    machine.pm_native("generate", cwd="/srv/many")
    machine.pm_native("apply", "--settle", "0", cwd="/srv/many")
    took: list[float] = []
    for _ in range(8):
        began = time.monotonic()
        said = machine.pm_native("status", "many", env=warm)
        took.append(time.monotonic() - began)
        assert said.stdout.splitlines()[-1] == "many: 50 of 50 up"
    began = time.monotonic()
    machine.run([machine.python, "-c", "pass"], env=warm)
    bare = time.monotonic() - began
    machine.pm_native("remove", "many")
    with capsys.disabled():  # a figure to look at: a loaded machine must not fail the test
        print(f"\nstatus of 50: {min(took) * 1000:.0f} ms at best, python alone {bare * 1000:.0f} ms")  # noqa: T201
