"""What stops and restarts together, as unit files and drop-ins say it."""

from __future__ import annotations

from dataclasses import replace

from pm_native.compile.bundle import BundleUnit
from pm_native.model.record import OnChange
from pm_native.plan.make import make_plan
from pm_native.plan.model import DropIn
from pm_native.plan.requires import requirements
from tests.plan.hosts import after_apply, make_bundle, service_text, steps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pm_native.compile.bundle import Bundle

DB, API, WEB = "shop-db.service", "shop-api@2.service", "shop-web.service"


def bundle(command: str = "run", on_change: OnChange = OnChange.STOP_START) -> Bundle:
    return make_bundle(
        # In the order of the config, which is not that of what needs what.
        BundleUnit(WEB, WEB, "web"),
        BundleUnit(API, "shop-api@.service", "api"),
        BundleUnit(DB, DB, "db", on_change=on_change),
        texts={
            DB: service_text(command, unit="PartOf=shop.target\n"),
            "shop-api@.service": service_text(unit="BindsTo=shop-db.service other.service\n"),
            WEB: service_text(unit="After=shop-db.service\n"),
        },
    )


def test_names_come_from_settings_of_the_instance_and_from_drop_ins() -> None:
    made = bundle()
    units = {unit.name: unit for unit in made.units}
    files = {item.name: item for item in made.files}
    drop_ins = (DropIn(path="/d/a.conf", units=(WEB,), text="[Unit]\nRequires=shop-api@%i2.service\n"),)
    assert requirements(units, files, drop_ins) == {"shop.target": (), DB: (), API: (DB,), WEB: (API,)}


def test_all_that_a_stop_takes_along_comes_back_in_order() -> None:
    drop_in = DropIn(path="/d/a.conf", units=(WEB,), text=f"[Unit]\nRequires={API}\n")
    snapshot = replace(after_apply(bundle()), drop_ins=(drop_in,))
    jobs = [line for line in steps(make_plan(bundle("run2"), snapshot)) if "shop-" in line]
    assert jobs == [
        f"stop {DB}: ExecStart= changed",
        f"write {DB}: ExecStart= changed",
        f"start {DB}: ExecStart= changed",
        f"restart {API}: requires {DB}, which restarts",
        f"restart {WEB}: requires {API}, which restarts",
    ]
