"""A damaged record made anew: from the last generation, or from what the headers of unit files say."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest

from pm_native.apply.repair import Repair, repair
from pm_native.bus.fake import FakeUnit
from pm_native.compile.bundle import BundleUnit, recorded
from pm_native.errors import StateError, TooNewError, UsageError
from tests.apply.hosts import SHOP, compiled
from tests.plan.hosts import steps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

    from tests.apply.hosts import Host

NAMES = [f"shop-api@{number}.service" for number in (1, 2, 3)]
POOL = [BundleUnit(name, "shop-api@.service", "api", "shop.toml:9") for name in NAMES]
TARGET = BundleUnit("shop-api.target", "shop-api.target", "api", "shop.toml:9", after=tuple(NAMES))
WANTS = "[Unit]\n" + "".join(f"Wants={name}\n" for name in NAMES)
WITH_POOL = compiled(
    *SHOP.units, *POOL, TARGET, texts={"shop-api.target": WANTS}, env={"shop-db.env": 'KEY="1"\n'}
)


def record(host: Host) -> Path:
    return host.store.directory / "current.json"


def repaired(host: Host) -> Repair:
    with pytest.raises(StateError):
        host.store.load()
    return repair(host.layout, host.store, "shop")


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"format": 1}', '{"format": 1, "bundle": {"project": "../x"}}']
)
def test_record_is_that_of_the_last_generation_where_its_files_are_there(host: Host, text: str) -> None:
    host.apply(SHOP)
    host.apply(WITH_POOL)
    before = record(host).read_bytes()
    record(host).write_text(text)
    done = repaired(host)
    assert (done.installed, done.generation) == (host.installed, 2)
    assert record(host).read_bytes() == before
    damaged = record(host).with_name("current.json.damaged")
    assert (done.saved_as, damaged.read_text()) == (str(damaged), text)
    assert host.plan(WITH_POOL).is_empty
    host.apply(None)
    assert not host.store.directory.exists()


def test_an_edit_by_hand_is_found_still(host: Host) -> None:
    host.apply(SHOP)
    path = host.layout.units / "shop-web.service"
    path.write_text(path.read_text() + "Nice=5\n")
    record(host).write_text("")
    assert repaired(host).generation == 1
    host.apply(None)
    assert path.exists()  # edited: left, and told


@pytest.mark.parametrize("generations", ["gone", "of a run that was killed", "damaged", "of other files"])
def test_without_a_generation_to_go_by_the_headers_say_what_is_ours(host: Host, generations: str) -> None:
    host.apply(WITH_POOL)
    (host.layout.units / "other.service").write_text("[Service]\nExecStart=/bin/other\n")
    (host.layout.units / "blog.service").write_text(
        "# Made by pm-native: project=blog source=x sha256=1\n#\n[Unit]\n"
    )
    (host.layout.units / "shop-link.service").symlink_to("shop-web.service")
    kept = host.store.directory / "generations"
    last = kept / "1/record.json"
    if generations == "gone":
        shutil.rmtree(kept)
    elif generations == "damaged":
        (kept / "1/files/shop-web.service").write_text("[Service]\n")
    elif generations == "of other files":
        (host.layout.units / "shop-web.service").unlink()
    else:
        last.write_text(json.dumps({**json.loads(last.read_text()), "result": "pending"}))
    record(host).write_text("")
    done = repaired(host)
    assert done.installed is not None
    assert (done.generation, done.installed.complete) == (0, False)
    bundle = done.installed.bundle
    lost = {"shop-web.service"} if generations == "of other files" else set()
    files = {item.name: item.sha256 for item in recorded(WITH_POOL).files if item.name not in lost}
    assert {item.name: item.sha256 for item in bundle.files} == files
    assert {(unit.name, unit.file, unit.process) for unit in bundle.units} == {
        (unit.name, unit.file, unit.process) for unit in WITH_POOL.units if unit.name not in lost
    }
    assert bundle.wanted_by == WITH_POOL.wanted_by
    assert [source.path for source in bundle.sources] == ["shop.toml"]
    # The next apply looks at everything, restarts nothing that runs as it should, and takes away what is too much.
    host.manager.add(FakeUnit(name="other.service", active_state="active", sub_state="running"))
    plan = host.plan(WITH_POOL)
    if not lost:
        assert steps(plan) == ["reload-manager systemd: the last apply did not get to it"]
    host.apply(SHOP)
    assert host.installed == replace(host.installed, bundle=recorded(SHOP), complete=True)
    assert not [path.name for path in host.layout.units.glob("shop-api*")]
    assert {name for name, unit in host.manager.units.items() if unit.active_state == "active"} == {
        "other.service",
        *(unit.name for unit in SHOP.units),
    }


def test_record_that_is_gone_is_made_anew_too(host: Host) -> None:
    host.apply(SHOP)
    before = host.installed
    record(host).unlink()
    done = repair(host.layout, host.store, "shop")
    assert (done.installed, done.saved_as) == (before, "")


def test_record_that_is_fine_is_left_alone(host: Host) -> None:
    host.apply(SHOP)
    before = record(host).stat()
    assert repair(host.layout, host.store, "shop") == Repair()
    after = record(host).stat()  # but for the time of the last look, which is ours
    assert (after.st_ino, after.st_ctime_ns) == (before.st_ino, before.st_ctime_ns)


def test_record_or_generation_of_a_newer_version_is_not_damaged(host: Host) -> None:
    host.apply(SHOP)
    newer = record(host).read_text().replace('"format": 1', '"format": 2', 1)
    record(host).write_text(newer)
    with pytest.raises(TooNewError):
        repair(host.layout, host.store, "shop")
    assert record(host).read_text() == newer
    manifest = host.store.directory / "generations/1/manifest.json"
    manifest.write_text(manifest.read_text().replace('"format": 1', '"format": 2', 1))
    record(host).write_text("")
    with pytest.raises(TooNewError):
        repair(host.layout, host.store, "shop")


def test_project_of_which_nothing_is_there_cannot_be_repaired(host: Host) -> None:
    host.layout.units.mkdir(parents=True)
    with pytest.raises(UsageError, match="no file of a project 'shop'"):
        repair(host.layout, host.store, "shop")
