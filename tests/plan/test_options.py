"""What a plan may do beyond following the config: each option, and what stays without it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pm_native.compile.bundle import BundleUnit, FileKind
from pm_native.errors import OwnershipError, UnavailableError
from pm_native.plan.make import make_plan, make_removal
from pm_native.plan.model import DropIn, Foreign, PlanOptions, Snapshot, TakenBy
from tests.plan.hosts import (
    FAILED,
    INACTIVE,
    after_apply,
    drift,
    make_bundle,
    one,
    pool,
    seen,
    service_text,
    state,
    steps,
    with_states,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pm_native.compile.bundle import Bundle

RELOAD = "reload-manager systemd: unit files have changed"
BOOT = "link shop.target.wants/shop-{}.service: starts at boot"
NO_PRUNE = PlanOptions(prune=False)
FORCE = PlanOptions(force=True)
ETC = "/etc/systemd/system"


def in_the_way(why: str, taken_by: TakenBy) -> dict[str, Foreign]:
    name = "shop-web.service"
    path = f"{ETC}/{name}"
    return {name: Foreign(path=path, why=why, taken_by=taken_by, save_as=f"{name}.pm-native-orig")}


def shop(*processes: str, protect: str = "", requires: dict[str, str] | None = None) -> Bundle:
    """A project whose processes have a slice each; `protect` names the one that is protected."""
    units = [BundleUnit("shop.slice", "shop.slice", start=False)]
    for process in processes:
        name = f"shop-{process}"
        needs = (requires or {}).get(process)
        units += [
            BundleUnit(f"{name}.slice", f"{name}.slice", process, start=False),
            BundleUnit(
                f"{name}.service",
                f"{name}.service",
                process,
                requires=(f"shop-{needs}.service",) if needs else (),
                files=(f"{name}.env",),
                protect=process == protect,
            ),
        ]
    return make_bundle(
        *units,
        texts={f"shop-{process}.service": service_text() for process in processes},
        env={f"shop-{process}.env": "" for process in processes},
    )


def test_adopted_file_is_saved_written_and_its_unit_restarted() -> None:
    text = service_text("theirs").partition("\n")[2]
    host = Snapshot(
        files={"shop-web.service": text},
        foreign=in_the_way("not ours", TakenBy.ADOPT),
        states={
            "shop.target": state("shop.target", INACTIVE),
            "shop-web.service": state("shop-web.service"),
        },
    )
    plan = make_plan(one(), host, PlanOptions(adopt=True))
    why = "adopted: was not ours, saved as shop-web.service.pm-native-orig; ExecStart= changed"
    assert steps(plan) == [
        "write shop.target: new",
        f"write shop-web.service: {why}",
        "link multi-user.target.wants/shop.target: starts at boot",
        RELOAD,
        "start shop.target: new",
        f"restart shop-web.service: {why}",
    ]
    assert [step.saved_as for step in plan.steps[:2]] == ["", "shop-web.service.pm-native-orig"]


@pytest.mark.parametrize(
    ("taken_by", "options"),
    [
        (TakenBy.ADOPT, FORCE),
        (TakenBy.FORCE, PlanOptions(adopt=True)),
        (TakenBy.NONE, PlanOptions(adopt=True, force=True)),
    ],
)
def test_each_option_takes_its_own_kind_alone_and_none_a_link_or_a_package(
    taken_by: TakenBy, options: PlanOptions
) -> None:
    with pytest.raises(OwnershipError):
        make_plan(one(), Snapshot(foreign=in_the_way("somebody's", taken_by), states={}), options)


def test_edit_by_hand_is_shown_by_directive_saved_and_written_over() -> None:
    host = after_apply(one())
    edited = f"{service_text()}Nice=5\n"
    host = replace(
        host,
        files={**host.files, "shop-web.service": edited},
        foreign=in_the_way("edited by hand", TakenBy.FORCE),
    )
    plan = make_plan(one(), host, FORCE)
    why = "was edited by hand, saved as shop-web.service.pm-native-orig; Nice= changed"
    assert steps(plan) == [f"write shop-web.service: {why}", RELOAD, f"restart shop-web.service: {why}"]
    assert [(change.directive, change.old, change.new) for change in plan.steps[0].changes] == [
        ("Service.Nice", "5", "")
    ]


def test_edit_of_a_comment_is_undone_too_and_restarts_nothing() -> None:
    host = after_apply(one())
    host = replace(
        host,
        files={**host.files, "shop-web.service": f"# mine\n{service_text()}"},
        foreign=in_the_way("edited by hand", TakenBy.FORCE),
    )
    why = "was edited by hand, saved as shop-web.service.pm-native-orig; [Install] or its layout changed"
    assert steps(make_plan(one(), host, FORCE)) == [f"write shop-web.service: {why}", RELOAD]


def test_edited_file_of_a_removed_process_is_saved_and_deleted_with_force() -> None:
    host = replace(after_apply(one()), foreign=in_the_way("edited by hand", TakenBy.FORCE))
    for plan, why in (
        (make_plan(make_bundle(texts={}), host, FORCE), "no longer in the config"),
        (make_removal("shop", host, FORCE), "the project is removed"),
    ):
        (step,) = (step for step in plan.steps if step.subject == "shop-web.service" and step.kind)
        assert step.reason == f"{why}; was edited by hand, saved as shop-web.service.pm-native-orig"
        assert step.saved_as == "shop-web.service.pm-native-orig"
        assert drift(plan) == []


def test_reconcile_starts_and_enables_again_and_leaves_masks() -> None:
    host = replace(after_apply(pool(2), **{"api@1": INACTIVE}), links={})
    host = with_states(host, state("shop-api@2.service", INACTIVE, "masked"))
    plan = make_plan(pool(2), host, PlanOptions(reconcile=True))
    assert steps(plan) == [
        "link multi-user.target.wants/shop.target: was disabled by hand",
        RELOAD,
        "start shop-api@1.service: was stopped by hand",
    ]
    assert drift(plan) == ["shop-api@2.service is masked: left alone (systemctl unmask shop-api@2.service)"]


def test_without_pruning_what_has_gone_from_the_config_stays_and_is_owned_on() -> None:
    old, new = shop("db", "web"), shop("web")
    host = with_states(after_apply(old), state("shop-db.service", FAILED))
    plan = make_plan(new, host, NO_PRUNE)
    assert steps(plan) == [BOOT.format("db"), RELOAD]
    assert drift(plan) == [
        "shop-db.service is no longer in the config: left as it is, as --no-prune says",
    ]
    assert plan.bundle is not None
    assert {unit.name for unit in plan.bundle.units} == {unit.name for unit in old.units}
    assert {(item.name, item.text) for item in plan.bundle.files} == {
        (item.name, item.text) for item in old.files
    }
    assert plan.bundle.wanted_by == {**old.wanted_by, "shop-db.service": "shop.target"}
    assert make_plan(new, after_apply(plan.bundle), NO_PRUNE).is_empty
    # And with pruning the next plan takes it away.
    assert [step.subject for step in make_plan(new, after_apply(plan.bundle)).steps][:3] == [
        "shop-db.service",
        "shop-db.env",
        "shop-db.service",
    ]


def test_without_pruning_a_smaller_pool_keeps_its_instances_and_one_line_tells_so() -> None:
    plan = make_plan(pool(2), after_apply(pool(5)), NO_PRUNE)
    assert steps(plan) == ["write shop-api.target: Wants= changed", RELOAD]
    assert drift(plan) == [
        "shop-api@3.service is no longer in the config: left as it is, as --no-prune says (with 2 more units)"
    ]


def test_protected_process_outlives_its_place_in_the_config() -> None:
    old = shop("db", "web", protect="db")
    plan = make_plan(shop("web"), after_apply(old))
    told = ["shop-db.service is protected: left alone"]
    assert (steps(plan), drift(plan)) == ([BOOT.format("db"), RELOAD], told)
    assert plan.bundle is not None
    assert [unit.name for unit in plan.bundle.units if unit.protect] == ["shop-db.service"]
    again = make_plan(shop("web"), after_apply(plan.bundle))
    assert (steps(again), drift(again)) == ([], ["shop-db.service is protected: left alone"])
    assert steps(make_plan(shop("web"), after_apply(old), FORCE))[0] == (
        "stop shop-db.service: no longer in the config"
    )


def test_protected_process_that_comes_back_is_the_targets_own_again() -> None:
    old = shop("db", "web", protect="db")
    away = make_plan(shop("web"), after_apply(old)).bundle
    assert away is not None
    assert steps(make_plan(old, after_apply(away))) == [
        "unlink shop.target.wants/shop-db.service: no longer in the config",
        RELOAD,
    ]


def test_protected_process_keeps_what_it_requires() -> None:
    old = shop("db", "migrate", "web", protect="db", requires={"db": "migrate"})
    plan = make_plan(shop("web"), after_apply(old))
    assert steps(plan) == [BOOT.format("db"), BOOT.format("migrate"), RELOAD]
    assert drift(plan) == [
        "shop-db.service is protected: left alone",
        "shop-migrate.service is protected: left alone",
    ]


def test_protected_process_can_change_and_restart_while_it_is_in_the_config() -> None:
    plan = make_plan(one(service_text("run2"), protect=True), after_apply(one(protect=True)))
    assert steps(plan)[2:] == ["restart shop-web.service: ExecStart= changed"]


def test_removal_leaves_what_is_protected_with_its_target_and_slice() -> None:
    old = shop("db", "web", protect="db")
    plan = make_removal("shop", after_apply(old))
    assert steps(plan) == [
        "stop shop-web.service: the project is removed",
        "delete shop-web.env: the project is removed",
        "delete shop-web.service: the project is removed",
        RELOAD,
    ]
    assert drift(plan) == ["shop-db.service is protected: left alone"]
    assert plan.bundle is not None
    assert [item.name for item in plan.bundle.files] == ["shop-db.env", "shop.target", "shop-db.service"]
    assert plan.bundle.wanted_by == {"shop.target": "multi-user.target"}
    again = make_removal("shop", after_apply(plan.bundle))
    assert (steps(again), drift(again)) == ([], ["shop-db.service is protected: left alone"])
    forced = make_removal("shop", after_apply(plan.bundle), FORCE)
    assert (forced.bundle, steps(forced)[:2]) == (
        None,
        ["stop shop-db.service: the project is removed", "stop shop.target: the project is removed"],
    )


def test_kept_file_that_somebody_edited_or_may_not_be_read_stays_as_it_is() -> None:
    host = after_apply(shop("db", "web", protect="db"))
    files = {**host.files, "shop-db.service": "mine: \udcff\n"}
    del files["shop-db.env"]
    host = replace(host, files=files, unreadable=frozenset({"shop-db.env"}))
    plan = make_plan(shop("web"), host)
    assert steps(plan) == [BOOT.format("db"), RELOAD]
    assert plan.bundle is not None
    texts = {item.name: (item.kind, item.text) for item in plan.bundle.files if "db" in item.name}
    assert texts == {
        "shop-db.env": (FileKind.ENVIRONMENT, ""),
        "shop-db.service": (FileKind.UNIT, "mine: ?\n"),
    }


def test_drop_ins_that_override_are_told_and_those_that_add_are_not() -> None:
    bundle = one(service_text(service='Environment="A=1"\nNice=5\n'))
    texts = {
        "adds.conf": '[Service]\nMemoryMax=1G\nEnvironment="B=2"\n[Unit]\nAfter=x.service\n',
        "variable.conf": '[Service]\nEnvironment="A=secret"\n',
        "command.conf": "[Service]\nExecStart=\nExecStart=/bin/other\nNice=\n",
        "broken.conf": "[Service]\nNice\n",
    }
    drop_ins = [
        DropIn(path=f"/d/{name}", units=("shop-web.service",), text=text) for name, text in texts.items()
    ]
    drop_ins += [
        DropIn(path="/d/hidden.conf", units=("shop-web.service",), text=None),
        DropIn(path="/d/no-file-of-ours.conf", units=("shop-web.slice",), text="[Slice]\nMemoryMax=1G\n"),
        DropIn(
            path="/etc/systemd/system.control/shop-web.service.d/50-Tasks.conf",
            units=("shop-web.service",),
            text="[Service]\nTasksMax=9\n",
        ),
    ]
    plan = make_plan(bundle, replace(after_apply(bundle), drop_ins=tuple(drop_ins)))
    why = "(a drop-in counts more than the config)"
    assert steps(plan) == []
    assert drift(plan) == [
        f"shop-web.service has another Environment= by /d/variable.conf {why}",
        f"shop-web.service has another ExecStart=, Nice= by /d/command.conf {why}",
        (
            "shop-web.service has a drop-in that systemd cannot read: /d/broken.conf, "
            f"line 2: neither a section nor a setting: 'Nice' {why}"
        ),
        f"shop-web.service has a drop-in that cannot be read by you: /d/hidden.conf {why}",
        (
            "shop-web.service has TasksMax= by /etc/systemd/system.control/shop-web.service.d/50-Tasks.conf "
            "(--reconcile takes it back)"
        ),
    ]


@pytest.mark.parametrize(
    ("path", "is_taken"),
    [
        ("/etc/systemd/system.control/shop-web.service.d/50-Nice.conf", True),
        ("/run/systemd/system.control/shop-web.service.d/50-Nice.conf", True),
        ("/home/ada/.config/systemd/user.control/shop-web.service.d/50-Nice.conf", True),
        ("/etc/systemd/system.control/shop-.service.d/50-Nice.conf", False),
        ("/etc/systemd/system/shop-web.service.d/50-Nice.conf", False),
    ],
)
def test_reconcile_takes_back_what_set_property_set_and_no_other_drop_in(
    path: str, *, is_taken: bool
) -> None:
    bundle = one(service_text(service="Nice=5\n"))
    item = DropIn(path=path, units=("shop-web.service",), text="[Service]\nNice=7\n")
    host = replace(after_apply(bundle), drop_ins=(item,))
    told = f"shop-web.service has another Nice= by {path}"
    hint = "--reconcile takes it back" if is_taken else "a drop-in counts more than the config"
    assert (steps(make_plan(bundle, host)), drift(make_plan(bundle, host))) == ([], [f"{told} ({hint})"])
    plan = make_plan(bundle, host, PlanOptions(reconcile=True))
    why = "was set by hand: shop-web.service has another Nice="
    taken = [f"revert {path}: {why}", "reload-manager systemd: unit files have changed"]
    assert (steps(plan), drift(plan)) == ((taken, []) if is_taken else ([], [f"{told} ({hint})"]))


def test_drop_in_of_a_template_is_told_once() -> None:
    names = tuple(f"shop-api@{number}.service" for number in (1, 2, 3))
    item = DropIn(path="/d/x.conf", units=names, text="[Service]\nUser=root\n")
    plan = make_plan(pool(3), replace(after_apply(pool(3)), drop_ins=(item,)))
    assert drift(plan) == [
        "shop-api@1.service (and 2 more) has another User= by /d/x.conf (a drop-in counts more than the config)"
    ]


def test_unit_files_that_systemd_has_not_read_are_read_once_and_nothing_else_happens() -> None:
    host = replace(after_apply(one()), outdated=("shop-web.service", "shop.target"))
    assert steps(make_plan(one(), host)) == [
        "reload-manager systemd: shop-web.service and 1 more changed on disk since it was read"
    ]
    assert steps(make_plan(one(service_text("run2")), host))[1:] == [
        RELOAD,
        "restart shop-web.service: ExecStart= changed",
    ]


def test_vanished_working_directory_ends_a_plan_that_needs_it() -> None:
    host = replace(after_apply(one()), missing={"shop-web.service": "/srv/shop", "shop-a.service": "/srv/a"})
    with pytest.raises(UnavailableError) as caught:
        make_plan(one(), host, PlanOptions(needs_directories=True))
    assert caught.value.message == (
        "these working directories are not there: /srv/a (shop-a.service), /srv/shop (shop-web.service)"
    )
    assert caught.value.hint == "make it, or change `directory`; --allow-missing applies all the same"
    assert steps(make_plan(one(), host)) == []


def test_options_change_nothing_where_there_is_no_drift() -> None:
    every = PlanOptions(adopt=True, force=True, reconcile=True, prune=False)
    bundle = pool(3)
    plan = make_plan(bundle, after_apply(bundle), every)
    assert (steps(plan), drift(plan), plan.bundle) == ([], [], bundle)
    first = seen(Snapshot(states={}), bundle)
    assert steps(make_plan(bundle, first, every)) == steps(make_plan(bundle, first))
