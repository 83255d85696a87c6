"""Every apply is a generation: kept whole, numbered, with its record; removed with the project."""

from __future__ import annotations

import os
import re
import stat
from errno import EPERM

import pytest

from pm_native.apply.outcome import RunOptions
from pm_native.bus.fake import Behaviour
from pm_native.compile.bundle import recorded
from pm_native.errors import StateError, UsageError
from pm_native.state.generations import Generation, Generations
from tests.apply.hosts import SHOP, changed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

    from tests.apply.hosts import Host


def generations(host: Host) -> Generations:
    return Generations(host.store.directory)


def test_apply_is_kept_whole_with_its_record(host: Host) -> None:
    host.apply(SHOP)
    kept = generations(host)
    assert kept.numbers() == [1]
    assert kept.bundle(1) == SHOP
    record = kept.record(1)
    assert (record.number, record.command, record.result, record.failures) == (1, "apply", "done", {})
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", record.when)
    assert record.steps[0] == "write shop-db.env: new"
    assert record.steps[-1] == "start shop-web.service: new"
    assert kept.history() == [record]


def test_second_apply_makes_no_generation(host: Host) -> None:
    host.apply(SHOP)
    host.apply(SHOP)
    assert generations(host).numbers() == [1]


def test_failed_apply_says_which_units_failed(host: Host) -> None:
    host.manager.behaviours = {"shop-web.service": Behaviour.FAILS}
    host.apply(SHOP)
    record = generations(host).record(1)
    assert (record.result, list(record.failures)) == ("failed", ["shop-web.service"])


def test_the_newest_are_kept_and_the_history_has_all(host: Host) -> None:
    for number in range(4):
        host.apply(changed("web") if number % 2 else SHOP, options=RunOptions(settle_sec=0.001, keep=2))
    kept = generations(host)
    assert kept.numbers() == [3, 4]
    assert [record.number for record in kept.history()] == [1, 2, 3, 4]
    with pytest.raises(UsageError, match="generation 1 is not kept") as caught:
        kept.bundle(1)
    assert caught.value.hint == "kept are: 3, 4"


def test_secrets_of_a_generation_are_for_its_owner_alone(host: Host) -> None:
    host.apply(SHOP)
    folder = host.store.directory / "generations"
    modes = {
        str(path.relative_to(folder)): stat.S_IMODE(path.stat().st_mode)
        for path in (folder, folder / "1", folder / "1/files", folder / "1/files/shop-db.env")
    }
    assert modes == {".": 0o700, "1": 0o700, "1/files": 0o700, "1/files/shop-db.env": 0o600}


def test_file_that_is_as_it_was_is_shared_and_outlives_its_first_generation(host: Host) -> None:
    for bundle in (SHOP, changed("web"), SHOP):
        host.apply(bundle, options=RunOptions(settle_sec=0.001, keep=2))
    kept = generations(host)
    folder = host.store.directory / "generations"
    inodes = {
        name: [(folder / number / "files" / name).stat().st_ino for number in ("2", "3")]
        for name in ("shop-db.service", "shop-db.env", "shop-web.service")
    }
    assert {name for name, (one, other) in inodes.items() if one == other} == {
        "shop-db.service",
        "shop-db.env",
    }
    assert (kept.numbers(), kept.bundle(2), kept.bundle(3)) == ([2, 3], changed("web"), SHOP)


@pytest.mark.parametrize("why", ["edited", "opened", "no links"])
def test_file_that_somebody_touched_or_that_cannot_be_shared_is_written(
    host: Host, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    host.apply(SHOP)
    path = host.store.directory / "generations/1/files/shop-db.env"
    if why == "edited":
        path.write_text("KEY=2\n")
    elif why == "opened":
        path.chmod(0o644)
    else:
        monkeypatch.setattr(os, "link", refuse)
    host.apply(changed("web"))
    written = host.store.directory / "generations/2/files/shop-db.env"
    assert (generations(host).bundle(2), stat.S_IMODE(written.stat().st_mode)) == (changed("web"), 0o600)


def refuse(*_: object, **__: object) -> None:
    raise OSError(EPERM, "no links here")


def test_file_of_a_generation_that_was_changed_is_refused(host: Host) -> None:
    host.apply(SHOP)
    path = host.store.directory / "generations/1/files/shop-web.service"
    path.write_text("[Service]\nExecStart=/bin/evil\n", encoding="utf-8")
    with pytest.raises(StateError, match="has changed since the generation was applied"):
        generations(host).bundle(1)


def test_applying_an_old_generation_leads_back_to_it(host: Host) -> None:
    host.apply(SHOP)
    host.apply(changed("web"))
    host.apply(generations(host).bundle(1))
    assert host.installed.generation == 3
    assert host.installed.bundle == recorded(SHOP)
    assert generations(host).bundle(3) == SHOP
    assert host.plan(SHOP).is_empty


def test_removed_project_leaves_no_generation(host: Host) -> None:
    host.apply(SHOP)
    host.apply(None)
    assert not host.store.directory.exists()


def test_torn_line_of_the_history_is_left_out(tmp_path: Path) -> None:
    kept = Generations(tmp_path)
    for number in (1, 2):
        record = Generation(number=number, when="2026-01-01T00:00:00+00:00", who="root", command="apply")
        kept.begin(record, SHOP)
        kept.finish(record)
    text = (tmp_path / "history.jsonl").read_text()
    (tmp_path / "history.jsonl").write_text(text[:20] + "\n" + text.splitlines()[1] + "\n")
    assert [record.number for record in kept.history()] == [2]


def test_generation_that_was_not_finished_is_begun_again(tmp_path: Path) -> None:
    kept = Generations(tmp_path)
    record = Generation(number=1, when="2026-01-01T00:00:00+00:00", who="root", command="apply")
    kept.begin(record, changed("web"))
    kept.begin(record, SHOP)
    assert kept.bundle(1) == SHOP
