"""The host as a plan sees it: whose files are in the way, which are masks, what systemd says."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from pm_native.apply.ownership import is_pristine
from pm_native.apply.snapshot import take_snapshot
from pm_native.bus.fake import FakeUnit
from pm_native.compile.bundle import BundleUnit
from pm_native.errors import OwnershipError
from pm_native.state.layout import user_layout
from tests.apply.hosts import compiled
from tests.plan.hosts import drift, service_text, steps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

    from tests.apply.hosts import Host

WEB = BundleUnit("shop-web.service", "shop-web.service", "web")
SHOP = compiled(WEB)


def foreign(host: Host) -> dict[str, str]:
    snapshot = asyncio.run(take_snapshot(host.layout, "shop", SHOP, host.store.load(), None))
    return {name: str(item).removeprefix(str(host.root)) for name, item in snapshot.foreign.items()}


def put(host: Host, name: str, text: str) -> Path:
    path = host.root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_all_that_is_in_the_way_is_named_with_why(host: Host) -> None:
    put(host, "etc/systemd/system/shop-web.service", "[Service]\nExecStart=/bin/true\n")
    put(host, "usr/lib/systemd/system/shop.target", "[Unit]\n")
    assert foreign(host) == {
        "shop-web.service": "/etc/systemd/system/shop-web.service (not ours)",
        "shop.target": "/usr/lib/systemd/system/shop.target (of a package: ours would hide it)",
    }
    with pytest.raises(OwnershipError, match=r"these files are in the way: .*\(of a package.*\(not ours\)"):
        host.apply(SHOP)
    assert (host.manager.calls, host.store.load()) == ([], None)


def test_file_edited_by_hand_is_in_the_way(host: Host) -> None:
    host.apply(SHOP)
    path = host.layout.units / "shop-web.service"
    path.write_text(path.read_text() + "Nice=5\n")
    assert foreign(host) == {"shop-web.service": "/etc/systemd/system/shop-web.service (edited by hand)"}


def test_what_systemd_would_take_in_place_of_ours_is_in_the_way_but_a_mask(host: Host) -> None:
    pool = BundleUnit("shop-api@1.service", "shop-api@.service", "api")
    shop = compiled(WEB, pool, replace(pool, name="shop-api@2.service"))
    why = "systemd would take it in place of ours"
    places = ("run/systemd/transient/shop-web.service", "usr/lib/systemd/system/shop-api@1.service")
    for place in places:
        put(host, place, "[Service]\n")
    (host.layout.units / "shop-api@2.service").parent.mkdir(parents=True)
    (host.layout.units / "shop-api@2.service").symlink_to("/dev/null")
    snapshot = asyncio.run(take_snapshot(host.layout, "shop", shop, None, None))
    assert {name: str(item).removeprefix(str(host.root)) for name, item in snapshot.foreign.items()} == {
        place.rpartition("/")[2]: f"/{place} ({why})" for place in places
    }
    with pytest.raises(OwnershipError, match=r"these files are in the way: .*shop-web.*shop-api@1"):
        host.plan(shop)
    # Ours goes all the same, when the project does.
    put(host, "run/systemd/transient/shop-web.service", "").unlink()
    put(host, "usr/lib/systemd/system/shop-api@1.service", "").unlink()
    host.apply(shop)
    put(host, places[0], "[Service]\n")
    assert "delete shop-web.service: the project is removed" in steps(host.plan(None))


def test_link_and_folder_in_the_place_of_a_file_are_in_the_way(host: Host) -> None:
    (host.layout.units / "shop-web.service").mkdir(parents=True)
    (host.layout.units / "shop.target").symlink_to("/srv/shop.target")
    assert foreign(host) == {
        "shop-web.service": "/etc/systemd/system/shop-web.service (a folder)",
        "shop.target": "/etc/systemd/system/shop.target (a link)",
    }


def test_mask_is_left_alone_until_it_is_taken_away(host: Host) -> None:
    host.apply(SHOP)
    path = host.layout.units / "shop-web.service"
    path.unlink()
    path.symlink_to("/dev/null")
    host.manager.units["shop-web.service"].masked = True
    plan = host.plan(compiled(WEB, texts={"shop-web.service": service_text("run2")}))
    assert steps(plan) == []
    assert drift(plan) == [
        "shop-web.service is masked: left alone (systemctl unmask shop-web.service)",
    ]
    assert foreign(host) == {}


def test_lost_record_is_made_again_from_headers(host: Host) -> None:
    host.apply(SHOP)
    host.store.forget()
    host.apply(SHOP)
    assert host.manager.calls == []
    assert host.installed.complete
    assert host.plan(SHOP).is_empty


def test_file_of_another_project_is_in_the_way_whatever_its_name(host: Host) -> None:
    host.apply(SHOP)
    host.store.forget()
    path = host.layout.units / "shop-web.service"
    path.write_text(path.read_text().replace("project=shop ", "project=sho "))
    assert foreign(host) == {"shop-web.service": "/etc/systemd/system/shop-web.service (of project sho)"}


def test_units_of_the_administrator_are_hidden_by_no_user(host: Host) -> None:
    put(host, "etc/systemd/user/shop.target", "[Unit]\n")
    layout = user_layout({"HOME": "/home/ada"}, host.root)
    snapshot = asyncio.run(take_snapshot(layout, "shop", SHOP, None, None))
    assert {name: str(item) for name, item in snapshot.foreign.items()} == {
        "shop.target": f"{host.root}/etc/systemd/user/shop.target (of a package: ours would hide it)"
    }


def test_states_are_those_of_wanted_and_installed_units_and_of_all_instances(host: Host) -> None:
    pool = compiled(BundleUnit("shop-api@1.service", "shop-api@.service", "api"))
    host.apply(pool)
    host.manager.add(FakeUnit(name="shop-api@9.service"), FakeUnit(name="other@1.service"))
    snapshot = asyncio.run(take_snapshot(host.layout, "shop", SHOP, host.store.load(), host.manager))
    assert {name: state.active_state for name, state in (snapshot.states or {}).items()} == {
        "shop.target": "active",
        "shop-web.service": "inactive",
        "shop-api@1.service": "active",
        "shop-api@9.service": "inactive",
    }


def test_pristine_is_header_and_hash_together() -> None:
    text = SHOP.files[1].text
    assert is_pristine(text, "shop")
    assert not is_pristine(text, "sho")
    assert not is_pristine(text + "#\n", "shop")
    assert not is_pristine(text.partition("\n")[2], "shop")
    assert not is_pristine("", "shop")
    assert not is_pristine("\udcff", "shop")
