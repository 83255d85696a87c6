"""`pm-native start`, `stop`, `restart` and `logs`: which jobs they run, what they say, which exit code."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import replace

import pytest

from pm_native.bus.fake import Behaviour, FakeUnit
from pm_native.bus.manager import UnitMaskedError
from pm_native.bus.scheduler import run_jobs
from pm_native.errors import AccessError
from tests.cli.host import CommandHost
from tests.monitor.fakes import SHOP

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandHost:
    made = CommandHost(tmp_path, monkeypatch, capsys)
    made.install(SHOP)
    made.manager.add(*(FakeUnit(name=unit.name) for unit in SHOP.units))
    return made


def jobs(host: CommandHost) -> list[str]:
    """The jobs that were submitted, in order."""
    return [call for call in host.manager.calls if not call.startswith("reset-failed")]


def test_start_of_a_project_starts_what_starts_with_it_dependencies_first(host: CommandHost) -> None:
    said = host("start --user --settle 0")
    assert jobs(host) == [
        "start shop-redis.service",
        "start shop-api@1.service",
        "start shop-api@2.service",
        "start shop-api.target",
        "start shop-backup.timer",
        "start shop.target",
    ]
    assert (said.code, said.out) == (0, "shop: 4 started\n")
    assert said.err.splitlines()[-1] == "the same: systemctl --user start shop.target"


def test_start_forgets_earlier_failures_first(host: CommandHost) -> None:
    host("start --user --settle 0 redis")
    assert host.manager.calls == ["reset-failed shop-redis.service", "start shop-redis.service"]


def test_stop_of_a_project_goes_through_its_target_and_waits_for_all_of_it(host: CommandHost) -> None:
    said = host("stop --user")
    assert host.manager.calls == [
        "stop shop.target",
        "stop shop-backup.timer",
        "stop shop-backup.service",
        "stop shop-debug.service",
        "stop shop-api.target",
        "stop shop-api@2.service",
        "stop shop-api@1.service",
        "stop shop-redis.service",
    ]
    assert (said.code, said.out) == (0, "shop: 6 stopped\n")


def wire(host: CommandHost) -> None:
    """Have the targets want what they do in a unit file; redis runs no longer than it takes to start it."""
    units = host.manager.units
    units["shop-api.target"].wants = ("shop-api@1.service", "shop-api@2.service")
    units["shop.target"].wants = ("shop-redis.service", "shop-api.target", "shop-backup.timer")
    units["shop-redis.service"].behaviour = Behaviour.ENDS


def test_restart_of_a_project_is_one_job_and_the_others_learn_its_results(host: CommandHost) -> None:
    wire(host)
    said = host("restart --user --settle 0")
    assert jobs(host) == ["restart shop.target"]
    assert (said.code, said.out) == (0, "shop: 4 restarted\n")
    assert host.manager.units["shop-redis.service"].starts == 1


def test_restart_starts_what_its_target_does_not_want_any_more(host: CommandHost) -> None:
    said = host("restart --user --settle 0")
    assert jobs(host) == [
        "restart shop.target",
        "start shop-redis.service",
        "start shop-api@1.service",
        "start shop-api@2.service",
        "start shop-api.target",
        "start shop-backup.timer",
    ]
    assert (said.code, said.out) == (0, "shop: 4 restarted\n")


@pytest.mark.parametrize(("others", "starts"), [((), 1), (("theirs.service",), 2)])
def test_start_runs_what_ends_at_once_a_single_time_where_the_targets_are_ours_alone(
    host: CommandHost, monkeypatch: pytest.MonkeyPatch, others: tuple[str, ...], starts: int
) -> None:
    defaults = run_jobs.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "window", 1)  # by the time of the target's job it has ended
    wire(host)
    host.manager.units["shop.target"].wants += others
    said = host("start --user --settle 0")
    assert (said.code, said.out) == (0, "shop: 4 started\n")
    assert host.manager.units["shop-redis.service"].starts == starts


@pytest.mark.parametrize(
    ("line", "submitted"),
    [
        ("start api", ["start shop-api@1.service", "start shop-api@2.service", "start shop-api.target"]),
        (
            "restart api",
            ["restart shop-api@1.service", "restart shop-api@2.service", "start shop-api.target"],
        ),
        ("stop api", ["stop shop-api.target", "stop shop-api@2.service", "stop shop-api@1.service"]),
        ("restart api@2", ["restart shop-api@2.service"]),
        ("stop api@2", ["stop shop-api@2.service"]),
        ("start debug", ["start shop-debug.service"]),
        ("start backup", ["start shop-backup.timer"]),
        ("stop backup", ["stop shop-backup.timer", "stop shop-backup.service"]),
        ("start shop-backup.service", ["start shop-backup.service"]),
        (
            "restart api redis",
            [
                "restart shop-redis.service",
                "restart shop-api@1.service",
                "restart shop-api@2.service",
                "start shop-api.target",
            ],
        ),
    ],
)
def test_jobs_of_what_is_named(host: CommandHost, line: str, submitted: list[str]) -> None:
    verb, _, words = line.partition(" ")
    said = host(f"{verb} --user {'' if verb == 'stop' else '--settle 0'} {words}")
    assert (said.code, jobs(host)) == (0, submitted)


@pytest.mark.parametrize(
    ("line", "same"),
    [
        ("stop api", "systemctl --user stop shop-api.target"),
        ("stop api@2", "systemctl --user stop shop-api@2.service"),
        ("stop api backup", "systemctl --user stop shop-api.target shop-backup.timer"),
    ],
)
def test_how_systemctl_would_do_it(host: CommandHost, line: str, same: str) -> None:
    verb, _, words = line.partition(" ")
    assert host(f"{verb} --user {words}").err.splitlines()[-1] == f"the same: {same}"


def test_failed_start_is_told_with_its_config_line_and_log_file(host: CommandHost) -> None:
    host.manager.units["shop-redis.service"].behaviour = Behaviour.FAILS
    host.unit_file("shop-redis.service", "[Service]\nStandardOutput=append:/var/log/redis.log\n")
    said = host("start --user redis")
    assert said.code == 4
    assert (
        said.out
        == (
            "shop-redis.service: its job failed because the control process exited with error code\n"
            "  exit status 1\n"
            "  made by pm-native.toml:4 (process redis)\n"
            "  more: journalctl --user -u shop-redis.service\n"
            "shop: 1 unit failed\n"
        ).replace("failed because the control process exited with error code", "failed")
        or said.out
    )


def test_program_that_ends_at_once_is_a_failure_though_its_job_was_done(
    host: CommandHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pm_native.apply.failures.journal_lines", lambda *_, **__: ("I am out of it",))
    host.manager.units["shop-redis.service"].behaviour = Behaviour.CRASHES
    said = host("start --user --settle 0.01 redis")
    assert said.code == 4
    assert said.out == (
        "shop-redis.service: it ended within 0.01 s of its start\n"
        "  exit status 3\n"
        "  made by pm-native.toml:4 (process redis)\n"
        "  | I am out of it\n"
        "  more: journalctl --user -u shop-redis.service\n"
        "shop: 1 unit failed\n"
    )


def test_json_tells_each_job_and_each_failure(host: CommandHost) -> None:
    host.manager.units["shop-redis.service"].behaviour = Behaviour.FAILS
    said = host("start --user --settle 0 redis --json")
    data = json.loads(said.out)
    assert (said.code, said.err, data["exit_code"], data["command"]) == (4, "", 4, "start")
    (project,) = data["data"]["projects"]
    (job,) = project["jobs"]
    assert job.pop("seconds") >= 0
    assert job == {"unit": "shop-redis.service", "job": "start", "stage": "ended", "result": "failed"}
    assert [failure["unit"] for failure in project["failures"]] == ["shop-redis.service"]


def test_refusal_of_systemd_is_told(host: CommandHost) -> None:
    host.manager.refuse["start shop-redis.service"] = UnitMaskedError("unit is masked")
    said = host("start --user --settle 0 redis")
    assert said.code == 4
    assert said.out.splitlines()[0] == "shop-redis.service: unit is masked"


def test_without_the_right_to_it_the_way_out_is_said(
    host: CommandHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object) -> None:
        raise AccessError("not allowed: interactive authentication required", hint="run it as root: sudo x")

    monkeypatch.setattr("tests.monitor.fakes.TableManager.reset_failed", refuse)
    said = host("restart --user redis")
    assert (said.code, said.out) == (77, "")
    assert said.err == (
        "error: not allowed: interactive authentication required\n  hint: run it as root: sudo x\n"
    )


def test_several_projects_need_a_name(host: CommandHost) -> None:
    host.install(replace(SHOP, project="blog", units=()))
    said = host("stop --user")
    assert (said.code, said.err) == (
        64,
        "error: several projects are installed: blog, shop\n  hint: name one of them\n",
    )
    assert host("stop --user shop").code == 0


class Commands:
    """Takes the place of what runs commands."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ran: list[list[str]] = []
        monkeypatch.setattr(os, "execvp", self.exec)
        monkeypatch.setattr(subprocess, "run", self.run)

    def exec(self, file: str, words: list[str]) -> None:
        assert file == words[0]
        self.ran.append(words)
        raise SystemExit(0)  # it does not return

    def run(self, words: list[str], *, check: bool) -> subprocess.CompletedProcess[str]:
        assert not check
        self.ran.append(words)
        return subprocess.CompletedProcess(words, len(self.ran) - 1)


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> Commands:
    return Commands(monkeypatch)


def ran(host: CommandHost, commands: Commands, line: str) -> list[str]:
    with pytest.raises(SystemExit):
        host(line)
    return [" ".join(words) for words in commands.ran]


@pytest.mark.parametrize(
    ("words", "command"),
    [
        ("redis", "--user-unit shop-redis.service --lines 100"),
        ("api", "--user-unit shop-api@*.service --lines 100"),
        ("api@2", "--user-unit shop-api@2.service --lines 100"),
        ("redis api@2 -n 5", "--user-unit shop-redis.service --user-unit shop-api@2.service --lines 5"),
        ("redis -f", "--user-unit shop-redis.service --lines 100 --follow"),
        ("redis --since today", "--user-unit shop-redis.service --since today"),
        ("redis --since today -n 7", "--user-unit shop-redis.service --lines 7 --since today"),
        ("redis --json", "--user-unit shop-redis.service --lines 100 --output json"),
        ("backup", "--user-unit shop-backup.service --lines 100"),
        (
            "",
            " ".join(f"--user-unit shop-{name}.service" for name in ("redis", "api@*", "debug", "backup"))
            + " --lines 100",
        ),
    ],
)
def test_logs_become_journalctl(host: CommandHost, commands: Commands, words: str, command: str) -> None:
    assert ran(host, commands, f"logs --user {words}") == [f"journalctl --no-pager --user {command}"]


def test_logs_say_the_line_they_run(
    host: CommandHost, commands: Commands, capsys: pytest.CaptureFixture[str]
) -> None:
    ran(host, commands, "logs --user api")
    assert capsys.readouterr().err == (
        "journalctl --no-pager --user --user-unit 'shop-api@*.service' --lines 100\n"
    )


FILED = "[Service]\nStandardOutput=append:/var/log/shop/%i.log\n"
SPLIT = "[Service]\nStandardOutput=append:/var/log/redis.log\nStandardError=journal\n"


def test_logs_in_files_are_tailed_by_name(host: CommandHost, commands: Commands) -> None:
    host.unit_file("shop-api@.service", FILED)
    assert ran(host, commands, "logs --user api -f") == [
        "tail --lines 100 -F --verbose -- /var/log/shop/1.log /var/log/shop/2.log"
    ]


def test_logs_in_files_and_in_the_journal_are_shown_one_after_the_other(
    host: CommandHost, commands: Commands
) -> None:
    host.unit_file("shop-redis.service", SPLIT)
    said = host("logs --user redis -n 3")
    assert commands.ran == [
        ["tail", "--lines", "3", "--verbose", "--", "/var/log/redis.log"],
        ["journalctl", "--no-pager", "--user", "--user-unit", "shop-redis.service", "--lines", "3"],
    ]
    assert said.code == 1  # the second command of these failed


@pytest.mark.parametrize("option", ["--json", "--since today"])
def test_what_only_the_journal_can_do_is_refused_for_files(
    host: CommandHost, commands: Commands, option: str
) -> None:
    host.unit_file("shop-api@.service", FILED)
    said = host(f"logs --user api {option}")
    files = "/var/log/shop/1.log, /var/log/shop/2.log"
    assert (said.code, said.err, commands.ran) == (
        64,
        f"error: {option[:7].strip()} is for the journal, and this is in files: {files}\n",
        [],
    )


def test_unit_file_that_cannot_be_read_is_named(host: CommandHost, commands: Commands) -> None:
    host.unit_file("shop-redis.service", "StandardOutput=append:/x\n")
    said = host("logs --user redis")
    assert (said.code, commands.ran) == (69, [])
    assert "shop-redis.service: line 1: outside of any section" in said.err


def test_host_without_journalctl_is_told(host: CommandHost, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(file: str, _: list[str]) -> None:
        raise FileNotFoundError(2, "No such file or directory", file)

    monkeypatch.setattr(os, "execvp", missing)
    said = host("logs --user redis")
    assert (said.code, said.err.splitlines()[-1]) == (69, "error: there is no journalctl on this host")
