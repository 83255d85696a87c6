"""What a fault leaves, piece by piece: swept, ended, or kept until the next run is done with it."""

from __future__ import annotations

import json

import pytest

from pm_native.bus.manager import JobRefusedError, NoSuchUnitError
from pm_native.compile.bundle import recorded
from pm_native.state import generations as module
from pm_native.state.files import sweep_scratch, write_together
from pm_native.state.generations import Generation, Generations
from tests.apply.hosts import DB, SHOP, Host, compiled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


BUSY = {"stop shop-web.service": JobRefusedError("busy", unit="shop-web.service")}
WITHOUT_WEB = compiled(DB, env={"shop-db.env": 'KEY="1"\n'})


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    return Host(tmp_path, monkeypatch)


def test_only_scratch_files_of_the_names_given_are_swept(tmp_path: Path) -> None:
    kept = [".b.service.7.new", ".a.service.new", ".a.service.x.new", "a.service", "a.service.7.new"]
    for name in (*kept, ".a.service.7.new", ".a.service.123456.new"):
        (tmp_path / name).write_text("")
    (tmp_path / ".a.service.8.new").mkdir()
    sweep_scratch(tmp_path, {"a.service"})
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*kept, ".a.service.8.new"])
    sweep_scratch(tmp_path / "none", {"a.service"})


def test_unit_whose_stop_failed_stays_in_the_record_until_it_has_stopped(host: Host) -> None:
    host.apply(SHOP)
    host.manager.refuse = dict(BUSY)
    assert [failure.unit for failure in host.apply(WITHOUT_WEB).failures] == ["shop-web.service"]
    assert "shop-web.service" in {unit.name for unit in host.installed.bundle.units}
    host.manager.refuse = {}
    steps = [f"{step.action} {step.subject}" for step in host.plan(WITHOUT_WEB).steps]
    assert steps == ["stop shop-web.service"]
    host.apply(WITHOUT_WEB)
    assert host.installed.bundle == recorded(WITHOUT_WEB)


def test_removal_whose_stop_failed_keeps_its_record(host: Host) -> None:
    host.apply(SHOP)
    host.manager.refuse = dict(BUSY)
    assert [failure.unit for failure in host.apply(None).failures] == ["shop-web.service"]
    assert {unit.name for unit in host.installed.bundle.units} == {unit.name for unit in SHOP.units}
    host.manager.refuse = {}
    host.apply(None)
    assert not host.store.directory.exists()


def test_removed_unit_that_systemd_does_not_know_counts_as_stopped(host: Host) -> None:
    host.apply(SHOP)
    host.manager.refuse = {"stop shop-web.service": NoSuchUnitError("Unit is not loaded")}
    assert host.apply(None).failures == []
    assert not host.store.directory.exists()


def test_numbers_go_on_where_the_record_was_moved_away(host: Host) -> None:
    host.apply(SHOP)
    host.apply(WITHOUT_WEB)
    (host.store.directory / "current.json").unlink()
    host.apply(WITHOUT_WEB)
    kept = Generations(host.store.directory)
    assert (kept.numbers(), host.installed.generation) == ([1, 2, 3], 3)
    assert [record.number for record in kept.history()] == [1, 2, 3]


def test_history_goes_on_on_a_line_of_its_own_below_a_torn_one(tmp_path: Path) -> None:
    kept = Generations(tmp_path)
    for number in (1, 2):
        record = Generation(number=number, when="2026-01-01T00:00:00+00:00", who="root", command="apply")
        kept.begin(record, SHOP)
        if number == 2:
            (tmp_path / "history.jsonl").write_text('{"number": 1, "wh')
        kept.finish(record)
    assert [record.number for record in kept.history()] == [2]
    assert json.loads((tmp_path / "history.jsonl").read_text().splitlines()[1])["number"] == 2


def test_full_disk_leaves_no_half_of_a_generation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:

    def full(files: Mapping[Path, tuple[bytes, int]]) -> None:
        write_together(dict(list(files.items())[:1]))
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "write_together", full)
    with pytest.raises(OSError, match="No space left"):
        Generations(tmp_path).begin(Generation(number=1, when="", who="", command=""), SHOP)
    assert list((tmp_path / "generations").iterdir()) == []
