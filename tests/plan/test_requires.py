"""What stops and restarts together, as unit files and drop-ins say it."""

from __future__ import annotations

from dataclasses import replace

from pm_native.compile.bundle import BundleUnit
from pm_native.model.record import OnChange
from pm_native.plan.make import make_plan, make_removal
from pm_native.plan.model import Action, DropIn
from pm_native.plan.requires import Requirements, requirements
from tests.plan.hosts import after_apply, make_bundle, service_text, state, steps, with_states

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
    texts = {item.name: item.text for item in made.files}
    drop_ins = (DropIn(path="/d/a.conf", units=(WEB,), text="[Unit]\nRequires=shop-api@%i2.service\n"),)
    assert requirements(units, texts, drop_ins) == Requirements(
        of={"shop.target": (), DB: (), API: (DB,), WEB: (API,)}, bound={API: (DB,)}
    )


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


def test_what_requires_a_unit_that_goes_runs_on_and_what_is_bound_to_it_comes_back() -> None:
    """Both by what the files say that systemd has read, and the new ones do not any more."""
    before = bundle()
    cache = BundleUnit("shop-cache.service", "shop-cache.service", "cache", requires=(DB,))
    more = make_bundle(cache, texts={cache.file: service_text()}).files[1:]
    before = replace(before, units=(*before.units, cache), files=(*before.files, *more))
    after = make_bundle(
        BundleUnit(WEB, WEB, "web"),
        BundleUnit(API, "shop-api@.service", "api"),
        texts={"shop-api@.service": service_text(), WEB: service_text()},
    )
    drop_in = DropIn(path="/d/a.conf", units=(WEB,), text="[Unit]\nRequires=shop-cache.service\n")
    beyond = "shop-api@7.service"
    host = after_apply(before)
    plan = make_plan(after, with_states(replace(host, drop_ins=(drop_in,)), state(beyond)))
    # Both alone, since the end of the database would be the cache's, and that the website's.
    stops = {step.subject: step.is_alone for step in plan.of(Action.STOP)}
    assert stops == {"shop-cache.service": True, DB: True, beyond: False, API: False}
    why = f"is bound to {DB}, which goes"
    jobs = [line for line in steps(plan) if line.startswith(("start", "restart"))]
    assert jobs == [f"start {API}: {why}", f"start {beyond}: {why}"]
    # Nothing stays that could run on.
    assert not any(step.is_alone for step in make_removal("shop", host).steps)


def test_what_required_a_unit_that_stops_first_and_does_not_any_more_comes_back_with_all_behind_it() -> None:
    drop_in = DropIn(path="/d/a.conf", units=(WEB,), text=f"[Unit]\nRequires={API}\n")
    snapshot = replace(after_apply(bundle()), drop_ins=(drop_in,))
    after = bundle("run2")
    files = {item.name: item for item in after.files}
    files["shop-api@.service"] = make_bundle(
        BundleUnit(API, "shop-api@.service", "api"), texts={"shop-api@.service": service_text()}
    ).files[1]
    plan = make_plan(replace(after, files=(*files.values(),)), snapshot)
    assert [line for line in steps(plan) if line.startswith("restart")] == [
        f"restart {API}: requires {DB}, which restarts",
        f"restart {WEB}: requires {API}, which restarts",
    ]
