"""Moving processes from another manager: one at a time, back at once, gone on with after a kill."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field, replace

import pytest

from pm_native.apply.migrate import Migration, Move
from pm_native.bus.fake import Behaviour
from pm_native.errors import PmNativeError
from tests.apply.hosts import SHOP, Host, Told

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pm_native.apply.migrate import Moved, OldManager

MOVES = (
    Move(process="web", handles=("7", "8"), running=("7", "8")),
    Move(process="db", handles=("1",), running=("1",)),
)


@dataclass(slots=True)
class Old:
    """A manager that runs what it is told to; `refuses` are the calls that fail."""

    up: set[str] = field(default_factory=lambda: {"1", "7", "8"})
    calls: list[str] = field(default_factory=list)
    refuses: dict[str, str] = field(default_factory=dict)
    loses: frozenset[str] = frozenset()

    def stop(self, handles: Sequence[str]) -> None:
        self._do("stop", handles)
        self.up -= {*handles}

    def start(self, handles: Sequence[str]) -> None:
        self._do("start", handles)
        self.up |= {*handles} - self.loses

    def running(self) -> frozenset[str]:
        return frozenset(self.up)

    def _do(self, word: str, handles: Sequence[str]) -> None:
        call = f"{word} {' '.join(handles)}"
        self.calls.append(call)
        if call in self.refuses:
            raise PmNativeError(self.refuses[call])


class KilledError(BaseException):
    """Stands for SIGKILL: nothing of ours runs after it."""


class Watcher:
    """Who is told; `stop` is set when a process has been moved."""

    def __init__(self, stop: asyncio.Event | None = None) -> None:
        self.jobs = Told()
        self.lines: list[str] = []
        self.stop = stop

    def moving(self, move: Move) -> None:
        self.lines.append(f"moving {move.process}")

    def moved(self, result: Moved) -> None:
        self.lines.append(f"{result.process}: {result.step}")
        if self.stop is not None:
            self.stop.set()


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """A host with the units of the shop in place, and none of them started."""
    host = Host(tmp_path, monkeypatch)
    plan = host.plan(replace(SHOP, wanted_by={}))
    host.run(replace(plan, steps=tuple(step for step in plan.steps if step.action != "start")))
    host.manager.calls.clear()
    return host


def run(
    host: Host,
    old: OldManager,
    moves: Sequence[Move] = MOVES,
    *,
    keep_going: bool = False,
    stop_early: bool = False,
) -> list[tuple[str, str]]:
    async def go() -> list[Moved]:
        stop = asyncio.Event()
        migration = Migration(
            manager=host.manager,
            old=old,
            bundle=SHOP,
            layout=host.layout,
            journal=host.store.directory / "migration.json",
            progress=Watcher(stop if stop_early else None),
            settle_sec=0.001,
            keep_going=keep_going,
            stop=stop,
        )
        return await migration.run(moves)

    return [(f"{result.process}: {result.step}", result.why) for result in asyncio.run(go())]


def jobs(host: Host) -> list[str]:
    return [call for call in host.manager.calls if call.split()[0] in {"start", "stop"}]


def test_dependencies_go_first_and_each_is_stopped_just_before_it_starts(host: Host) -> None:
    old = Old()
    assert run(host, old) == [("web: moved", ""), ("db: moved", "")]
    assert old.calls == ["stop 1", "stop 7 8"]
    assert jobs(host) == ["start shop-db.service", "start shop-web.service"]
    assert not (host.store.directory / "migration.json").exists()


def test_what_does_not_stay_up_goes_back_and_the_rest_is_not_touched(host: Host) -> None:
    host.manager.units["shop-db.service"].behaviour = Behaviour.CRASHES
    old = Old()
    assert run(host, old) == [
        ("web: not touched", ""),
        ("db: went back", "shop-db.service: it ended within 0.001 s of its start"),
    ]
    assert old.calls == ["stop 1", "start 1"]
    assert old.up == {"1", "7", "8"}
    assert host.manager.units["shop-db.service"].active_state == "inactive"


def test_what_depends_on_one_that_went_back_stays(host: Host) -> None:
    host.manager.units["shop-db.service"].behaviour = Behaviour.FAILS
    assert run(host, Old(), keep_going=True)[0] == ("web: not touched", "it depends on db")


def test_others_are_moved_all_the_same_where_that_is_asked_for(host: Host) -> None:
    host.manager.units["shop-web.service"].behaviour = Behaviour.FAILS
    moves = (replace(MOVES[1], handles=("1",)), MOVES[0])
    old = Old()
    assert [step for step, _ in run(host, old, moves, keep_going=True)] == ["db: moved", "web: went back"]
    assert old.up == {"7", "8"}


def test_refusal_to_stop_is_a_way_back(host: Host) -> None:
    old = Old(refuses={"stop 1": "it will not"})
    assert run(host, old)[1] == ("db: went back", "it will not")
    assert "start shop-db.service" not in jobs(host)


@pytest.mark.parametrize(
    ("old", "why"),
    [
        (Old(refuses={"start 1": "no more"}), "the way back: no more"),
        (Old(loses=frozenset({"1"})), "1 did not come up again either"),
    ],
)
def test_way_back_that_fails_is_told(host: Host, old: Old, why: str) -> None:
    host.manager.units["shop-db.service"].behaviour = Behaviour.FAILS
    step, told = run(host, old)[1]
    assert step == "db: neither runs"
    assert told.endswith(f"; and {why}")


def test_what_did_not_run_is_not_started(host: Host) -> None:
    old = Old(up=set())
    assert [step for step, _ in run(host, old)] == ["web: not running", "db: not running"]
    assert (old.calls, jobs(host)) == ([], [])


def test_what_the_old_manager_never_had_is_started(host: Host) -> None:
    moves = (Move(process="db", handles=(), running=()),)
    assert run(host, Old(up=set()), moves) == [("db: started", "")]


def test_second_run_finds_what_was_moved(host: Host) -> None:
    old = Old()
    run(host, old)
    assert [step for step, _ in run(host, old)] == ["web: already moved", "db: already moved"]
    assert old.calls == ["stop 1", "stop 7 8"]


def test_what_runs_in_both_is_left_to_its_owner(host: Host) -> None:
    old = Old()
    run(host, old)
    old.up.add("1")
    step, why = run(host, old)[1]
    assert step == "db: runs in both"
    assert why == "shop-db.service and 1 run at the same time: stop one of them"


def test_run_that_was_killed_in_between_is_gone_on_with(host: Host) -> None:
    @dataclass(slots=True)
    class Deadly(Old):
        def stop(self, handles: Sequence[str]) -> None:
            Old.stop(self, handles)
            raise KilledError

    old: Old = Deadly()
    with pytest.raises(KilledError):
        run(host, old)
    assert json.loads((host.store.directory / "migration.json").read_text()) == {"stopped": ["1"]}
    old = Old(up=old.up)
    assert [step for step, _ in run(host, old)] == ["web: moved", "db: moved"]
    assert host.manager.units["shop-db.service"].active_state == "active"
    assert not (host.store.directory / "migration.json").exists()


def test_interrupt_ends_it_between_two_processes(host: Host) -> None:
    old = Old()
    assert [step for step, _ in run(host, old, stop_early=True)] == ["web: not touched", "db: moved"]
    assert old.up == {"7", "8"}


@pytest.mark.parametrize(
    ("status", "step"), [("", "db: moved"), ("unhealthy: http 500, 3 times", "db: went back")]
)
def test_run_that_was_killed_while_it_watched_is_gone_on_with(
    host: Host, monkeypatch: pytest.MonkeyPatch, status: str, step: str
) -> None:
    async def killed(*_: object) -> None:
        raise KilledError

    old = Old()
    with monkeypatch.context() as patch:
        patch.setattr("pm_native.apply.migrate.settle", killed)
        with pytest.raises(KilledError):
            run(host, old)
    unit = host.manager.units["shop-db.service"]
    assert (unit.active_state, old.up) == ("active", {"7", "8"})
    unit.status_text = status
    assert run(host, old)[1][0] == step
    assert ("1" in old.up) == (step == "db: went back")
    assert (unit.active_state == "active") == (step == "db: moved")


def test_what_says_that_it_is_unhealthy_goes_back(host: Host) -> None:
    host.manager.units[
        "shop-db.service"
    ].status_text = "ready (http 200 in 2 ms); unhealthy: memory, 2 times"
    assert run(host, Old())[1] == (
        "db: went back",
        "shop-db.service: it says that it is unhealthy: memory, 2 times",
    )
