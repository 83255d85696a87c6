"""`pm-native plan`, `apply` and `remove`: what they say and which exit code, offline and with a fake systemd."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import stat
import time
from datetime import datetime

import pytest

from pm_native.bus.fake import Behaviour
from pm_native.bus.manager import BusLostError
from pm_native.state.layout import user_layout
from pm_native.state.lock import locked
from tests.apply.hosts import DiskManager
from tests.cli.switch_host import APPLY, CONFIG, FIRST_JOBS, FIRST_PLAN, PLAN, SwitchHost

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from pm_native.bus.manager import JobHandle as Handle
    from pm_native.bus.manager import JobMode, JobType


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> SwitchHost:
    return SwitchHost(tmp_path, monkeypatch, capsys)


def test_plan_of_a_new_project_is_told_step_by_step_and_changes_nothing(host: SwitchHost) -> None:
    said = host(PLAN)
    assert said.out == f"{FIRST_PLAN}{FIRST_JOBS}shop: 6 to add, 5 to start, 0 unchanged\n"
    assert (said.code, said.err, host.manager.calls) == (2, "", [])
    assert not (host.home / ".config").exists()


def test_apply_runs_that_plan_and_says_how_to_go_on(host: SwitchHost) -> None:
    said = host(APPLY)
    assert said.out == "shop: done, 13 steps\n"
    lines = [line.rpartition("  ")[0] if line.startswith("✓") else line for line in said.err.splitlines()]
    assert lines == [
        *f"{FIRST_PLAN}{FIRST_JOBS}".splitlines(),
        "shop: 6 to add, 5 to start, 0 unchanged",
        "7 written, manager reloaded",
        "✓ start shop-web.service",
        "✓ start shop-api@1.service",
        "✓ start shop-api@2.service",
        "✓ start shop-api.target",
        "✓ start shop.target",
        "from here on: systemctl --user status shop.target, journalctl --user -u UNIT",
    ]
    assert said.code == 0


def test_second_apply_and_plan_have_nothing_to_do(host: SwitchHost) -> None:
    host(APPLY)
    said = host(APPLY)
    assert (said.code, said.out, said.err) == (0, "shop: nothing to do, 6 files unchanged\n", "")
    assert host.manager.calls == []
    said = host(PLAN)
    assert (said.code, said.out, said.err) == (0, "shop: nothing to do, 6 files unchanged\n", "")


def test_dry_run_is_the_plan_and_changes_nothing(host: SwitchHost) -> None:
    apply = "apply --user -f pm-native.toml --settle 0"
    shown = host("plan --user -f pm-native.toml")
    said = host(f"{apply} --dry-run")
    assert (said.code, said.out, said.err) == (2, shown.out, shown.err)
    assert (host.units.exists(), host.manager.calls) == (False, [])
    assert host(apply).code == 0
    assert host(f"{apply} --dry-run").code == 0
    host.config(CONFIG.replace("1000", "1001"))
    assert host(apply).code == 0
    before = (host.units / "shop-web.service").read_text()
    rollback = host("rollback --user 1 --dry-run")
    assert (rollback.code, rollback.out) == (
        2,
        (
            "~ shop-web.service  ExecStart= changed\n"
            "    ExecStart: :/bin/sleep 1001 -> :/bin/sleep 1000\n"
            "⟳ reload unit files  unit files have changed\n"
            "↻ restart shop-web.service  ExecStart= changed\n"
            "shop: 1 to change, 1 to restart, 5 unchanged\n"
        ),
    )
    with locked(user_layout(os.environ).lock("shop"), "apply"):  # who changes nothing waits for nobody
        remove = json.loads(host("remove --user shop --dry-run --json").out)
    assert (remove["command"], remove["exit_code"]) == ("remove", 2)
    assert {step["action"] for step in remove["data"]["steps"]} == {
        "stop",
        "delete",
        "unlink",
        "reload-manager",
    }
    assert (host.units / "shop-web.service").read_text() == before
    assert host.manager.calls == []


def test_change_is_told_with_old_and_new_value(host: SwitchHost) -> None:
    host(APPLY)
    host.config(CONFIG.replace("sleep 2000", "sleep 3000").replace("instances = 2", "instances = 3"))
    assert host(PLAN).out == (
        "~ shop-api.target  Wants= changed\n"
        "    Wants: + shop-api@3.service\n"
        "~ shop-api@.service  ExecStart=, Environment= changed\n"
        "    ExecStart: :/bin/sleep 2000 -> :/bin/sleep 3000\n"
        "    Environment: PM_NATIVE_INSTANCES=2 -> PM_NATIVE_INSTANCES=3\n"
        "⟳ reload unit files  unit files have changed\n"
        "↻ restart shop-api@1.service  ExecStart=, Environment= changed\n"
        "↻ restart shop-api@2.service  ExecStart=, Environment= changed\n"
        "▶ start shop-api@3.service  new\n"
        "shop: 2 to change, 1 to start, 2 to restart, 4 unchanged\n"
    )


def test_secrets_are_in_no_word_of_a_plan(host: SwitchHost) -> None:
    host(APPLY)
    (host.home / "shop.env").write_text('KEY="even more secret"\n')
    for line in (PLAN, f"{PLAN} --json", APPLY):
        said = host(line)
        assert "secret" not in said.out + said.err
    assert host.manager.calls == ["restart shop-web.service"]


def test_drift_is_told_and_left_alone(host: SwitchHost) -> None:
    host(APPLY)
    unit = host.manager.units["shop-web.service"]
    unit.active_state, unit.sub_state = "inactive", "dead"
    said = host(APPLY)
    assert said.code == 0
    assert said.out == (
        "! shop-web.service was stopped by hand: left stopped (systemctl --user start shop-web.service)\n"
        "shop: nothing to do, 6 files unchanged\n"
    )


def test_failed_unit_is_reported_whole_with_exit_code_4(host: SwitchHost) -> None:
    host.manager.behaviours = {"shop-web.service": Behaviour.FAILS}
    said = host(APPLY)
    assert said.code == 4
    assert said.out == (
        "shop-web.service: its job failed because the control process exited with error code\n"
        "  made by pm-native.toml:5 (process web)\n"
        "  more: journalctl --user -u shop-web.service\n"
        "shop: 1 unit failed\n"
    )
    words = "its job failed because the control process exited with error code"
    assert [line.rpartition("  ")[0] for line in said.err.splitlines() if line.startswith("✗")] == [
        "✗ start shop-web.service: its job failed"
    ]
    assert words not in said.err
    assert "from here on" not in said.err


MANY = CONFIG.replace("instances = 2", "instances = 250")


def test_hundreds_of_steps_failures_and_drifts_fill_no_screen(host: SwitchHost) -> None:
    host.config(MANY)
    said = host(PLAN)
    lines = said.out.splitlines()
    assert len(lines) == 202
    assert lines[-2:] == [
        "  and 61 more steps (--json has them all)",
        "shop: 6 to add, 253 to start, 0 unchanged",
    ]
    names = [f"shop-api@{number}.service" for number in range(1, 251)]
    host.manager.behaviours = dict.fromkeys(names, Behaviour.FAILS)
    said = host(APPLY)
    some = ", ".join(names[20:25])
    assert said.out.splitlines()[-2:] == [
        f"and 230 more: {some}, ... (--json has them all)",
        "shop: 250 units failed",
    ]
    assert len(said.out.splitlines()) == 20 * 3 + 2
    assert sum(line.startswith("✗") for line in said.err.splitlines()) == 20
    for name in names:
        unit = host.manager.units[name]
        unit.active_state, unit.sub_state = "inactive", "dead"
    installed = host(f"{APPLY} --json")
    assert installed.code == 4  # they are owed their start, and fail again
    for name in names:
        unit = host.manager.units[name]
        unit.behaviour = Behaviour.RUNS
    assert host(APPLY).err.splitlines()[-4:-1] == [
        "100 of 250 jobs done",
        "200 of 250 jobs done",
        "250 of 250 jobs done",
    ]
    for name in names:
        unit = host.manager.units[name]
        unit.active_state, unit.sub_state = "inactive", "dead"
    lines = host(PLAN).out.splitlines()
    assert lines[-2:] == ["! and 230 more (--json has them all)", "shop: nothing to do, 6 files unchanged"]
    assert len(lines) == 22


def test_envelope_of_a_plan(host: SwitchHost) -> None:
    host(APPLY)
    host.config(CONFIG.replace("sleep 1000", "sleep 1001"))
    unit = host.manager.units["shop-api@2.service"]
    unit.active_state, unit.sub_state = "inactive", "dead"
    said = host(f"{PLAN} --json")
    assert said.err == ""
    found = json.loads(said.out)
    assert re.fullmatch("[0-9a-f]{16}", found["data"].pop("plan"))
    assert found == {
        "version": 1,
        "command": "plan",
        "exit_code": 2,
        "data": {
            "project": "shop",
            "steps": [
                {
                    "action": "write",
                    "subject": "shop-web.service",
                    "reason": "ExecStart= changed",
                    "new": False,
                    "saved_as": "",
                    "changes": [
                        {
                            "directive": "Service.ExecStart",
                            "old": ":/bin/sleep 1000",
                            "new": ":/bin/sleep 1001",
                        }
                    ],
                },
                {
                    "action": "reload-manager",
                    "subject": "systemd",
                    "reason": "unit files have changed",
                    "new": False,
                    "saved_as": "",
                    "changes": [],
                },
                {
                    "action": "restart",
                    "subject": "shop-web.service",
                    "reason": "ExecStart= changed",
                    "new": False,
                    "saved_as": "",
                    "changes": [],
                },
            ],
            "drift": [
                {
                    "subject": "shop-api@2.service",
                    "what": "was stopped by hand: left stopped",
                    "hint": "systemctl --user start shop-api@2.service",
                }
            ],
            "unchanged": 5,
            "options": [],
        },
        "diagnostics": [],
        "error": None,
    }


def test_envelope_of_an_apply(host: SwitchHost) -> None:
    host(APPLY)
    host.manager.units["shop-web.service"].behaviour = Behaviour.FAILS
    host.manager.behaviours = {"shop-web.service": Behaviour.FAILS}
    host.config(CONFIG.replace("sleep 1000", "sleep 1001"))
    said = host(f"{APPLY} --json")
    *events, envelope = map(json.loads, said.out.splitlines())
    assert said.err == ""
    for event in events:
        datetime.fromisoformat(event.pop("time"))
        assert event.pop("version") == 1
    job = {"unit": "shop-web.service", "job": "restart"}
    assert events[-1].pop("seconds") >= 0
    assert events == [
        {"event": "begin", "jobs": 1},
        {"event": "step", "action": "write", "subject": "shop-web.service"},
        {"event": "step", "action": "reload-manager", "subject": "systemd"},
        {"event": "job-queued", **job},
        {"event": "job-ended", **job, "stage": "ended", "result": "failed"},
    ]
    assert [step["action"] for step in envelope["data"].pop("steps")] == [
        "write",
        "reload-manager",
        "restart",
    ]
    assert re.fullmatch("[0-9a-f]{16}", envelope["data"].pop("plan"))
    assert envelope == {
        "version": 1,
        "command": "apply",
        "exit_code": 4,
        "data": {
            "project": "shop",
            "drift": [],
            "unchanged": 5,
            "options": [],
            "done": 2,
            "failures": [
                {
                    "unit": "shop-web.service",
                    "words": "its job failed because the control process exited with error code",
                    "result": "exit-code",
                    "exit": "",
                    "process": "web",
                    "where": "pm-native.toml:5",
                    "journal": [],
                }
            ],
            "interrupted": False,
            "queued": [],
            "not_sent": [],
            "timed_out": False,
            "canceled": [],
            "waiting": [],
            "failed_roll": False,
            "held_back": [],
        },
        "diagnostics": [],
        "error": None,
    }


def test_lost_bus_is_told_with_a_way_out(host: SwitchHost) -> None:
    host.manager.refuse["start shop-api@1.service"] = BusLostError(
        "the connection to the bus is gone", hint="apply again"
    )
    said = host(APPLY)
    assert (said.code, said.out) == (69, "")
    assert said.err.endswith("error: the connection to the bus is gone\n  hint: apply again\n")
    host.manager.refuse.clear()
    assert host(APPLY).code == 0


def when_queued(monkeypatch: pytest.MonkeyPatch, name: str, act: Callable[[], None], times: int = 1) -> None:
    """Do something when a job of this unit was queued."""
    submit = DiskManager.submit

    async def submit_and_act(
        self: DiskManager, job: JobType, unit: str, mode: JobMode, *, along: Collection[str]
    ) -> Handle:
        handle = await submit(self, job, unit, mode, along=along)
        for _ in range(times if unit == name else 0):
            act()
            await asyncio.sleep(0)
        return handle

    monkeypatch.setattr(DiskManager, "submit", submit_and_act)


def press_ctrl_c() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def time_passes(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """What makes an hour pass for whoever waits in an event loop."""
    late = 0.0

    def pass_time() -> None:
        nonlocal late
        late += 3600

    monkeypatch.setattr(asyncio.BaseEventLoop, "time", lambda _: time.monotonic() + late)
    return pass_time


@pytest.mark.parametrize("asks", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_at_once_says_what_goes_on_and_the_next_apply_does_the_rest(
    host: SwitchHost, monkeypatch: pytest.MonkeyPatch, asks: signal.Signals
) -> None:
    host.config(CONFIG.replace("instances = 2", "instances = 40"))
    host.manager.behaviours = {f"shop-api@{number}.service": Behaviour.HANGS for number in range(1, 41)}
    submit = DiskManager.submit
    when_queued(monkeypatch, "shop-api@31.service", lambda: os.kill(os.getpid(), asks))
    said = host(APPLY)
    assert said.code == 130
    some = [
        ", ".join(f"shop-api@{number}.service" for number in range(first, first + 5)) for first in (1, 32)
    ]
    assert said.out == (
        f"shop: interrupted, 31 queued in systemd go on ({some[0]}, ...), 11 not asked for ({some[1]}, ...)\n"
    )
    assert "stopping: nothing more is asked of systemd (again to stop at once)\n" in said.err
    assert said.err.endswith("\nthe next apply goes on from here\n")
    monkeypatch.setattr(DiskManager, "submit", submit)
    for name in host.manager.queued:
        host.manager.finish(name, "done")
    for unit in host.manager.units.values():
        unit.behaviour = Behaviour.RUNS
    assert host(APPLY).code == 0
    assert host.manager.calls == [
        *(f"start shop-api@{number}.service" for number in range(32, 41)),
        "start shop-api.target",
        "start shop.target",
    ]
    assert host(PLAN).out == "shop: nothing to do, 6 files unchanged\n"


HANGING = ("shop-api@1.service", "shop-api@2.service", "shop.target")


def hanging(host: SwitchHost) -> None:
    """Make both instances of the pool, and what comes after them, never get ready."""
    host.manager.behaviours = dict.fromkeys(HANGING, Behaviour.HANGS)


def test_time_that_is_over_says_what_was_waited_for_and_leaves_it_to_systemd(
    host: SwitchHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging(host)
    when_queued(monkeypatch, "shop.target", time_passes(monkeypatch))
    said = host(f"{APPLY} --timeout 600")
    assert said.code == 4
    assert said.out == (
        "  shop-api@1.service start, 0 s of 90 s\n"
        "  shop-api@2.service start, 0 s of 90 s\n"
        "  shop.target start, 0 s of 90 s\n"
        f"shop: out of time, 3 queued in systemd go on ({', '.join(HANGING)})\n"
    )
    assert said.err.endswith("\nthe next apply goes on from here\n")
    assert host.manager.queued == [*HANGING]
    assert host(PLAN).out == "shop: nothing to do, 6 files unchanged\n"
    assert host("history --user").out.split()[3:5] == ["timed", "out"]


def test_atomic_apply_whose_time_is_over_goes_back(
    host: SwitchHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    host(APPLY)
    host.manager.behaviours = {"shop-web.service": Behaviour.HANGS}
    host.config(CONFIG.replace("sleep 1000", "sleep 1001"))
    when_queued(monkeypatch, "shop-web.service", time_passes(monkeypatch))
    said = host(f"{APPLY} --timeout 600 --atomic --json")
    assert json.loads(said.out.splitlines()[-1])["data"]["failed"]["timed_out"]
    assert "sleep 1000" in (host.units / "shop-web.service").read_text()


@pytest.mark.parametrize("how", ["out of time", "interrupted"])
def test_what_is_queued_is_taken_back_where_that_is_asked_for(
    host: SwitchHost, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    hanging(host)
    is_late = how == "out of time"
    when_queued(monkeypatch, "shop.target", time_passes(monkeypatch) if is_late else press_ctrl_c)
    said = host(f"{APPLY} --cancel-on-interrupt --timeout 600")
    assert said.out.splitlines()[-1] == f"shop: {how}, 3 taken back ({', '.join(HANGING)})"
    assert [call for call in host.manager.calls if call.startswith("cancel")] == [
        "cancel 5",
        "cancel 3",
        "cancel 2",
    ]
    assert host.manager.queued == []
    host.manager.behaviours = {}
    for unit in host.manager.units.values():
        unit.behaviour, unit.active_state = Behaviour.RUNS, "inactive"
    host(APPLY)
    assert host.manager.calls[:2] == ["start shop-api@1.service", "start shop-api@2.service"]


def test_run_waits_for_the_lock_no_longer_than_it_is_told(host: SwitchHost) -> None:
    with locked(host.home / "run/pm-native-user-shop.lock", "rollback"):
        said = host(f"{APPLY} --wait --timeout 0.5")
    holder = f"pm-native rollback (pid {os.getpid()}) is changing this project"
    assert said.code == 75
    assert said.err.splitlines()[0] == f"{holder}: waiting for its end"
    assert host.manager.calls == []


def test_second_ctrl_c_ends_at_once_and_the_next_apply_has_what_is_left(
    host: SwitchHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging(host)
    when_queued(monkeypatch, "shop-api@1.service", press_ctrl_c, times=2)
    assert host(APPLY).code == 130
    monkeypatch.undo()
    assert host.manager.queued[:2] == [*HANGING[:2]]


def test_contents_that_a_process_reads_restart_it_and_are_told_to_nobody(host: SwitchHost) -> None:
    host.config(CONFIG.replace("[process.api]", 'restart_on = ["app"]\n\n[process.api]'))
    (host.home / "app").mkdir()
    (host.home / "app/pin").write_text("1234")
    host(APPLY)
    assert host(PLAN).out == "shop: nothing to do, 6 files unchanged\n"
    (host.home / "app/pin").write_text("4321")
    for line in (PLAN, f"{PLAN} --json"):
        said = host(line)
        assert f"{host.home}/app changed" in said.out
        assert not re.search(r"[0-9a-f]{40}", said.out)
    host(APPLY)
    assert host.manager.calls == ["restart shop-web.service"]
    host(APPLY)
    assert host.manager.calls == []
    record = host.home / ".local/state/pm-native/shop/contents.json"
    assert stat.S_IMODE(record.stat().st_mode) == 0o600
    digest = json.loads(record.read_text())[f"{host.home}/app"]
    kept = [path for path in record.parent.rglob("*") if path.is_file() and path != record]
    assert {stat.S_IMODE(path.stat().st_mode) for path in kept} == {0o600}
    assert not any(digest in path.read_text() for path in kept)
    host("remove --user shop")
    assert not record.parent.exists()


def test_removal_takes_what_a_first_apply_left_that_was_killed_before_its_record(host: SwitchHost) -> None:
    host(APPLY)
    records = host.home / ".local/state/pm-native/shop"
    record = (records / "current.json").read_text()
    (records / "current.json").unlink()
    # Files of the project are there: its record is lost, and `repair` needs the generation.
    lost = host("remove --user shop")
    assert (lost.code, (records / "generations/1/manifest.json").exists()) == (64, True)
    (records / "current.json").write_text(record)
    kept = (records / "generations/1/manifest.json").read_text()
    host("remove --user shop")
    (records / "generations/1").mkdir(parents=True)
    (records / "generations/1/manifest.json").write_text(kept)
    assert host("remove --user shop").code == 0
    assert not records.exists()
    assert host("remove --user shop").code == 64
