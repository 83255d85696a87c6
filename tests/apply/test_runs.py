"""A crash loop that began after a good apply is noticed when it is up by the next one: by its runs, few calls, no guess."""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass, field

import pytest

from pm_native.apply.outcome import RunOptions
from pm_native.apply.runs import relapsed
from pm_native.bus.fake import FakeManager, FakeUnit
from tests.apply.hosts import SHOP, Host

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from pm_native.bus.manager import Property
    from pm_native.plan.model import Plan

WEB, DB = "shop-web.service", "shop-db.service"
FAILED = "d9b373ed55a64feb8242e02dbe79a49c"
SAYS = """case "$*" in
    --sync) ;;
    *MESSAGE_ID={0}*) echo "$@" >>"$0.calls"; for unit in {1}; do echo "{{\\"UNIT\\":\\"$unit\\"}}"; done ;;
esac"""


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    return Host(tmp_path, monkeypatch)


def enter(host: Host, unit: str, run: str, age: float = 0.0) -> None:
    """Have a unit be in this run, which began so many seconds ago, as systemd tells it."""
    link = host.layout.runtime / f"systemd/units/invocation:{unit}"
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(run)
    began = time.time() - age
    os.utime(link, (began, began), follow_symlinks=False)


def relapse(host: Host, unit: str, age: float = 0.0, restarts: int = 1) -> Plan:
    """Have systemd restart a unit after an apply that went well, and plan the same again."""
    for name in (WEB, DB):
        enter(host, name, "first")
    host.apply(SHOP)
    enter(host, unit, "second", age)
    host.manager.units[unit].n_restarts = restarts
    return host.plan(SHOP)


def test_what_failed_and_is_up_again_is_watched_until_it_was_seen_to_stay(host: Host) -> None:
    host.program("journalctl", SAYS.format(FAILED, f"{WEB} {WEB}"))
    plan = relapse(host, WEB)
    (step,) = plan.steps
    assert f"{step.action} {step.subject}: {step.reason}" == (
        f"watch {WEB}: it has failed more than once since the last apply"
    )
    call = (host.programs / "journalctl.calls").read_text().split()
    assert call[:4] == ["--quiet", "--no-pager", "--output=json", "--output-fields=UNIT"]
    assert call[5:] == [f"MESSAGE_ID={FAILED}", f"UNIT={WEB}"]
    assert time.time() - 200 < float(call[4].removeprefix("--since=@")) < time.time() - 110
    # Without a watch it stays a suspect.
    host.run(plan, options=RunOptions(settle_sec=0))
    assert [step.action for step in host.plan(SHOP).steps] == ["watch"]
    assert host.run(host.plan(SHOP)).failures == []
    assert host.plan(SHOP).is_empty
    assert host.store.load_runs() == {WEB: "second", DB: "first"}


@pytest.mark.parametrize(
    ("failed", "age", "restarts"),
    [
        (f"{DB} {DB}", 0, 1),  # it ended well: what failed is another one
        (WEB, 0, 1),  # a single failure is no loop
        (f"{WEB} {WEB}", 61, 1),  # it has been up for a minute
        (f"{WEB} {WEB}", 0, 0),  # somebody restarted it
    ],
)
def test_what_did_not_fail_just_now_is_none(host: Host, failed: str, age: float, restarts: int) -> None:
    host.program("journalctl", SAYS.format(FAILED, failed))
    assert relapse(host, WEB, age, restarts).is_empty


def test_clock_that_was_set_back_hides_none(host: Host) -> None:
    host.program("journalctl", SAYS.format(FAILED, f"{WEB} {WEB}"))
    assert [step.action for step in relapse(host, WEB, age=-3600).steps] == ["watch"]


def test_what_ends_between_two_looks_at_it_is_none_the_less(host: Host) -> None:
    host.program("journalctl", SAYS.format(FAILED, f"{WEB} {WEB}"))
    relapse(host, WEB)
    (
        host.layout.runtime / f"systemd/units/invocation:{WEB}"
    ).unlink()  # as systemd does when a run has ended
    assert [step.action for step in host.plan(SHOP).steps] == ["watch"]


def test_what_never_gets_ready_is_none_the_less(host: Host) -> None:
    host.program("journalctl", SAYS.format(FAILED, f"{WEB} {WEB}"))
    relapse(host, WEB)
    host.manager.units[WEB].active_state, host.manager.units[WEB].sub_state = "activating", "start"
    assert [step.action for step in host.plan(SHOP).steps] == ["watch"]


@pytest.mark.parametrize(("failed", "actions"), [(WEB, ["restart"]), (DB, [])])
def test_what_was_started_again_before_it_could_be_asked_how_it_ended_is_known_by_the_journal(
    host: Host, failed: str, actions: list[str]
) -> None:
    host.program("journalctl", SAYS.format(FAILED, failed))
    host.apply(SHOP)
    unit = host.manager.units[WEB]
    unit.active_state, unit.sub_state, unit.result = "activating", "auto-restart", "success"
    assert [step.action for step in host.plan(SHOP).steps if step.action.is_job] == actions


def test_second_apply_asks_about_nobody_and_writes_nothing(host: Host) -> None:
    host.program("journalctl", 'echo "$@" >>"$0.calls"')
    for name in (WEB, DB):
        enter(host, name, "first")
    host.apply(SHOP)
    record = host.store.directory / "runs.json"
    assert record.stat().st_mode & 0o777 == 0o600
    before = record.stat().st_mtime_ns
    assert host.apply(SHOP).done == 0
    assert record.stat().st_mtime_ns == before
    assert not (host.programs / "journalctl.calls").exists()
    host.apply(None)
    assert not host.store.directory.exists()


@dataclass(slots=True)
class CountingManager(FakeManager):
    """Counts who is asked about."""

    looked_at: list[str] = field(default_factory=list)

    async def properties(self, name: str, interface: str, names: Iterable[str]) -> Mapping[str, Property]:
        """See `Manager`."""
        self.looked_at.append(name)
        return await FakeManager.properties(self, name, interface, names)


def test_after_a_reboot_only_the_latest_are_asked_about(host: Host) -> None:
    manager = CountingManager()
    names = [f"u{number:03}.service" for number in range(100)]
    for number, name in enumerate(names):
        manager.add(FakeUnit(name=name, active_state="active", sub_state="running"))
        enter(host, name, "second", age=number / 10)

    async def go() -> list[str]:
        states = (await manager.states(names)).values()
        return await relapsed(manager, host.layout, states, dict.fromkeys(names, "first"))

    assert asyncio.run(go()) == []
    assert manager.looked_at == names[:50]
