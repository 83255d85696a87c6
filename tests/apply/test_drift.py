"""Drift on a disk: what is taken over is saved first, what is kept is owned, drop-ins and stale files are found."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
from dataclasses import replace

import pytest

from pm_native.apply.drop_ins import find_drop_ins
from pm_native.apply.save import save_beside
from pm_native.apply.snapshot import take_snapshot
from pm_native.compile.bundle import BundleUnit
from pm_native.errors import OwnershipError
from pm_native.plan.make import make_plan, make_removal
from pm_native.plan.model import PlanOptions
from pm_native.state.generations import Generations
from pm_native.state.layout import user_layout
from tests.apply.hosts import compiled
from tests.plan.hosts import drift, service_text, steps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

    from pm_native.compile.bundle import Bundle
    from pm_native.plan.model import Plan, Snapshot
    from tests.apply.hosts import Host

WEB = BundleUnit("shop-web.service", "shop-web.service", "web")
DB = BundleUnit("shop-db.service", "shop-db.service", "db", files=("shop-db.env",), protect=True)
SHOP = compiled(WEB, DB, env={"shop-db.env": 'KEY="1"\n'})
ONLY_WEB = compiled(WEB)
RELOAD = "reload-manager systemd: {} changed on disk since it was read"


def look(host: Host, bundle: Bundle | None) -> Snapshot:
    host.manager.known |= {unit.name: unit.file for unit in bundle.units} if bundle else {}
    return asyncio.run(take_snapshot(host.layout, "shop", bundle, host.store.load(), host.manager))


def planned(host: Host, bundle: Bundle | None, options: PlanOptions) -> Plan:
    snapshot = look(host, bundle)
    if bundle is None:
        return make_removal("shop", snapshot, options)
    return make_plan(bundle, snapshot, options)


def later(path: Path) -> None:
    """Make a file one that was changed after all that was recorded."""
    time = path.stat().st_mtime_ns + 10**10
    os.utime(path, ns=(time, time))


def test_adopted_file_is_kept_beside_its_successor_as_it_was(host: Host) -> None:
    path = host.layout.units / "shop-web.service"
    path.parent.mkdir(parents=True)
    path.write_text("[Service]\nExecStart=/bin/theirs\n")
    path.chmod(0o600)
    host.run(planned(host, ONLY_WEB, PlanOptions(adopt=True)))
    saved = path.with_name("shop-web.service.pm-native-orig")
    assert saved.read_text() == "[Service]\nExecStart=/bin/theirs\n"
    assert (stat.S_IMODE(saved.stat().st_mode), stat.S_IMODE(path.stat().st_mode)) == (0o600, 0o644)
    assert host.plan(ONLY_WEB).is_empty


def test_each_edit_is_saved_under_a_name_of_its_own_and_the_same_one_once(host: Host) -> None:
    host.apply(ONLY_WEB)
    path = host.layout.units / "shop-web.service"
    ours = path.read_text()
    for line in ("Nice=1\n", "Nice=2\n", "Nice=1\n"):
        path.write_text(ours + line)
        host.run(planned(host, ONLY_WEB, PlanOptions(force=True)))
        assert path.read_text() == ours
    name = "etc/systemd/system/shop-web.service"
    assert [item for item in host.tree() if "web.service" in item] == [
        name,
        f"{name}.pm-native-orig",
        f"{name}.pm-native-orig.2",
    ]
    assert (host.root / f"{name}.pm-native-orig.2").read_text() == f"{ours}Nice=2\n"


def test_environment_file_edited_by_hand_is_in_the_way_unless_a_run_was_cut_short(host: Host) -> None:
    host.apply(SHOP)
    path = host.layout.environment("shop") / "shop-db.env"
    path.write_text('KEY="2"\n')
    assert [str(item) for item in look(host, SHOP).foreign.values()] == [f"{path} (edited by hand)"]
    # Who edited it to what comes anyway is in nobody's way, nor is what a cut run may have written.
    assert look(host, compiled(WEB, DB, env={"shop-db.env": 'KEY="2"\n'})).foreign == {}
    host.store.save(replace(host.installed, complete=False))
    assert look(host, SHOP).foreign == {}
    host.store.save(replace(host.installed, complete=True))
    host.run(planned(host, SHOP, PlanOptions(force=True)))
    assert (path.read_text(), path.with_name("shop-db.env.pm-native-orig").read_text()) == (
        'KEY="1"\n',
        'KEY="2"\n',
    )
    assert host.plan(SHOP).is_empty


def test_save_that_was_killed_is_done_again_and_no_other_file_is_lost(tmp_path: Path) -> None:
    path, copy = tmp_path / "a.service", tmp_path / "a.service.pm-native-orig"
    path.write_text("mine")
    save_beside(path, copy)
    save_beside(path, copy)
    copy.unlink()
    copy.write_text("other")
    with pytest.raises(OwnershipError, match=r"cannot be saved: .*pm-native-orig is there"):
        save_beside(path, copy)
    assert (path.read_text(), copy.read_text()) == ("mine", "other")


def test_removal_by_force_saves_the_edit_and_leaves_nothing_else(host: Host) -> None:
    host.apply(ONLY_WEB)
    path = host.layout.units / "shop-web.service"
    path.write_text(path.read_text() + "Nice=5\n")
    host.run(planned(host, None, PlanOptions(force=True)))
    assert [item for item in host.tree() if not item.endswith("/")] == [
        "etc/systemd/system/shop-web.service.pm-native-orig"
    ]


def test_header_of_ours_that_no_record_knows_is_an_edit(host: Host) -> None:
    host.apply(ONLY_WEB)
    host.store.forget()
    path = host.layout.units / "shop-web.service"
    path.write_text(path.read_text() + "Nice=5\n")
    assert [str(item) for item in look(host, ONLY_WEB).foreign.values()] == [f"{path} (edited by hand)"]


def test_package_is_never_adopted_whatever_lies_over_it(host: Host) -> None:
    for folder in ("usr/lib/systemd/system", "etc/systemd/system"):
        (host.root / folder).mkdir(parents=True)
        (host.root / folder / "shop-web.service").write_text("[Service]\n")
    with pytest.raises(OwnershipError, match=r"of a package: ours would hide it"):
        planned(host, ONLY_WEB, PlanOptions(adopt=True, force=True))


@pytest.mark.parametrize("options", [PlanOptions(), PlanOptions(prune=False)])
def test_what_is_kept_is_recorded_with_its_generation_and_runs_on(host: Host, options: PlanOptions) -> None:
    host.apply(SHOP)
    before = host.tree()
    host.run(planned(host, compiled(WEB, texts={"shop-web.service": service_text("run2")}), options))
    assert host.manager.calls == ["daemon-reload", "restart shop-web.service"]
    link = "etc/systemd/system/shop.target.wants/shop-db.service -> /etc/systemd/system/shop-db.service"
    assert host.tree() == sorted([*before, link])
    kept = Generations(host.store.directory).bundle(2)
    assert {item.name for item in kept.files} == {item.name for item in SHOP.files}
    assert {item.name: item.text for item in kept.files if "db" in item.name} == {
        item.name: item.text for item in SHOP.files if "db" in item.name
    }
    assert {unit.name for unit in host.installed.bundle.units} == {unit.name for unit in SHOP.units}
    assert planned(host, kept, PlanOptions()).is_empty


def test_removal_keeps_what_is_protected_until_force_takes_it(host: Host) -> None:
    host.apply(SHOP)
    host.apply(None)
    assert host.manager.units["shop-db.service"].active_state == "active"
    assert [unit.name for unit in host.installed.bundle.units] == ["shop.target", "shop-db.service"]
    plan = host.plan(None)
    assert (steps(plan), drift(plan)) == ([], ["shop-db.service is protected: left alone"])
    host.run(planned(host, None, PlanOptions(force=True)))
    assert host.manager.calls == ["stop shop-db.service", "stop shop.target", "daemon-reload"]
    assert host.store.load() is None
    assert [item for item in host.tree() if not item.endswith("/")] == []


def test_drop_ins_are_found_wherever_administrators_put_them(host: Host) -> None:
    places = {
        "etc/systemd/system/shop-api@.service.d/a.conf": "[Service]\nUser=a\n",
        "etc/systemd/system/shop-api@2.service.d/b.conf": "[Service]\nUser=b\n",
        "etc/systemd/system/shop-.service.d/c.conf": "[Service]\nUser=c\n",
        "etc/systemd/system/service.d/d.conf": "[Service]\nUser=d\n",
        "etc/systemd/system.control/shop-api@1.service.d/e.conf": "[Service]\nUser=e\n",
        "run/systemd/system/shop-web.service.d/f.conf": "[Service]\nUser=f\n",
        "run/systemd/system.control/shop-web.service.d/g.conf": "[Service]\nUser=g\n",
        "etc/systemd/system/shop-web.service.d/ignored.txt": "User=no\n",
        "etc/systemd/system/other.service.d/h.conf": "[Service]\nUser=no\n",
        "etc/systemd/system/web-.service.d/i.conf": "[Service]\nUser=no\n",
    }
    for name, text in places.items():
        (host.root / name).parent.mkdir(parents=True, exist_ok=True)
        (host.root / name).write_text(text)
    units = ["shop-api@1.service", "shop-api@2.service", "shop-web.service"]
    found = find_drop_ins(host.layout, units, 2**63)
    assert {item.text: item.units for item in found.items} == {
        "[Service]\nUser=a\n": ("shop-api@1.service", "shop-api@2.service"),
        "[Service]\nUser=b\n": ("shop-api@2.service",),
        "[Service]\nUser=c\n": tuple(units),
        "[Service]\nUser=d\n": tuple(units),
        "[Service]\nUser=e\n": ("shop-api@1.service",),
        "[Service]\nUser=f\n": ("shop-web.service",),
        "[Service]\nUser=g\n": ("shop-web.service",),
    }
    assert found.changed == frozenset()
    assert find_drop_ins(host.layout, ["shop-web.service"], 0).changed == {"shop-web.service"}


def test_drop_ins_of_users_are_theirs_and_those_of_the_administrator(host: Host) -> None:
    layout = user_layout({"HOME": "/home/ada", "XDG_RUNTIME_DIR": "/run/user/7"}, host.root)
    folders = (
        "home/ada/.config/systemd/user.control",
        "run/user/7/systemd/user.control",
        "home/ada/.config/systemd/user",
        "etc/systemd/user",
        "run/user/7/systemd/user",
    )
    for folder in folders:
        path = host.root / folder / "shop-web.service.d/x.conf"
        path.parent.mkdir(parents=True)
        path.write_text("")
    found = find_drop_ins(layout, ["shop-web.service"], 2**63)
    assert [item.path.removeprefix(f"{host.root}/").partition("/shop-web")[0] for item in found.items] == [
        *folders
    ]


def test_unread_change_is_asked_of_systemd_for_what_changed_alone_and_read_once(host: Host) -> None:
    host.apply(SHOP)
    host.manager.asked.clear()
    assert (host.plan(SHOP).is_empty, host.manager.asked) == (True, [])
    later(host.layout.units / "shop-web.service")
    host.manager.units["shop-db.service"].need_daemon_reload = True
    assert (host.plan(SHOP).is_empty, host.manager.asked) == (True, ["shop-web.service"])
    host.manager.units["shop-web.service"].need_daemon_reload = True
    assert steps(host.plan(SHOP)) == [RELOAD.format("shop-web.service")]
    drop_in = host.layout.units / "shop-db.service.d/x.conf"
    drop_in.parent.mkdir()
    drop_in.write_text("[Service]\nMemoryMax=1G\n")
    later(drop_in)
    assert steps(host.plan(SHOP)) == [RELOAD.format("shop-db.service and 1 more")]
    host.manager.units["shop-db.service"].need_daemon_reload = False  # 252 has not noticed the new one yet
    assert steps(host.plan(SHOP)) == [RELOAD.format("shop-db.service and 1 more")]
    host.apply(SHOP)
    assert host.plan(SHOP).is_empty
    # A folder of drop-ins that has gone is to be seen in the one above it alone.
    shutil.rmtree(drop_in.parent)
    later(host.layout.units)
    host.manager.units["shop-db.service"].need_daemon_reload = True
    assert steps(host.plan(SHOP)) == [RELOAD.format("shop-db.service")]


def test_vanished_working_directories_are_found_where_they_can_be_told(host: Host) -> None:
    texts = {
        "gone": "WorkingDirectory=/srv/100%%\n",
        "there": "WorkingDirectory=/srv\n",
        "specifier": "WorkingDirectory=/srv/%i\n",
        "optional": "WorkingDirectory=-/srv/no\n",
        "home": "WorkingDirectory=~\n",
        "root": "RootDirectory=/srv\nWorkingDirectory=/no\n",
        "file": "WorkingDirectory=/srv/file/below\n",
    }
    (host.root / "srv").mkdir()
    (host.root / "srv/file").touch()
    units = [BundleUnit(f"shop-{name}.service", f"shop-{name}.service", name) for name in texts]
    bundle = compiled(
        *units, texts={f"shop-{name}.service": service_text(service=text) for name, text in texts.items()}
    )
    assert look(host, bundle).missing == {
        "shop-gone.service": "/srv/100%",
        "shop-file.service": "/srv/file/below",
    }
    (host.root / "srv/100%").mkdir()
    assert look(host, replace(bundle, files=bundle.files[:2])).missing == {}
