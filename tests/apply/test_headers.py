"""What is installed, as somebody sees it who may not read the records: by the unit files alone."""

from __future__ import annotations

from typing import NoReturn

from pm_native.apply.headers import installed_as_seen
from pm_native.compile.bundle import BundleUnit
from pm_native.errors import AccessError
from pm_native.state.store import Store
from tests.apply.hosts import DB, ENV, WEB, compiled
from tests.plan.hosts import service_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    import pytest

    from tests.apply.hosts import Host

NAMES = [f"shop-api@{number}.service" for number in (1, 2)]
BUNDLE = compiled(
    WEB,
    DB,
    *(BundleUnit(name, "shop-api@.service", "api", "shop.toml:9") for name in NAMES),
    BundleUnit("shop-api.target", "shop-api.target", "api", "shop.toml:9", after=tuple(NAMES)),
    BundleUnit("shop-nightly.service", "shop-nightly.service", "nightly", "shop.toml:11", start=False),
    BundleUnit("shop-nightly.timer", "shop-nightly.timer", "nightly", "shop.toml:11"),
    texts={
        "shop.target": "[Unit]\nWants=shop-web.service shop-db.service shop-api.target\n",
        "shop-api.target": "[Unit]\n" + "".join(f"Wants={name}\n" for name in NAMES),
        "shop-nightly.service": service_text("nightly"),
        "shop-nightly.timer": "[Timer]\nOnCalendar=daily\n",
    },
    env=ENV,
)


def refuse(_: Store) -> NoReturn:
    raise AccessError("cannot read the record: permission denied")


def test_unit_files_tell_which_units_there_are_and_whose(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.apply(BUNDLE)
    installed, is_recorded = installed_as_seen(host.layout, "shop")
    assert (installed, is_recorded) == (host.installed, True)
    monkeypatch.setattr(Store, "load", refuse)
    seen, is_recorded = installed_as_seen(host.layout, "shop")
    assert seen is not None
    assert not is_recorded
    assert {(unit.name, unit.file, unit.process, unit.start) for unit in seen.bundle.units} == {
        (unit.name, unit.file, unit.process, unit.start) for unit in BUNDLE.units
    }
    assert seen.bundle.wanted_by == BUNDLE.wanted_by
    assert [item.path for item in seen.bundle.sources] == ["shop.toml"]


def test_nothing_is_seen_of_a_project_without_unit_files(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Store, "load", refuse)
    assert installed_as_seen(host.layout, "shop") == (None, False)
