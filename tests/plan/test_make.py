"""Whole plans: each step with its reason, and what is left alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pm_native.compile.bundle import BundleUnit, FileKind, LogDirectory, bundle_file
from pm_native.errors import OwnershipError
from pm_native.plan.make import make_plan, make_removal
from pm_native.plan.model import Foreign, Snapshot, TakenBy
from tests.plan.hosts import (
    ACTIVE,
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

EMPTY = Snapshot(states={})
RELOAD = "reload-manager systemd: unit files have changed"
RUN2 = service_text("run2")


def test_first_apply_writes_links_reloads_and_starts_dependencies_first() -> None:
    bundle = pool(2)
    plan = make_plan(bundle, seen(EMPTY, bundle))
    assert steps(plan) == [
        "write shop.target: new",
        "write shop-api@.service: new",
        "write shop-api.target: new",
        "link multi-user.target.wants/shop.target: starts at boot",
        RELOAD,
        "start shop.target: new",
        "start shop-api@1.service: new",
        "start shop-api@2.service: new",
        "start shop-api.target: new",
    ]
    assert drift(plan) == []
    assert (plan.project, plan.unchanged, plan.is_empty) == ("shop", 0, False)


def test_second_apply_has_nothing_to_do() -> None:
    bundle = pool(2)
    plan = make_plan(bundle, after_apply(bundle))
    assert (steps(plan), drift(plan), plan.unchanged, plan.is_empty) == ([], [], 3, True)


def test_changed_command_restarts_that_unit_alone_and_says_from_what_to_what() -> None:
    units = [BundleUnit(f"shop-{name}.service", f"shop-{name}.service", name) for name in ("a", "b")]
    old = make_bundle(*units, texts={unit.file: service_text() for unit in units})
    new = make_bundle(
        *units, texts={"shop-a.service": service_text(), "shop-b.service": service_text("run2", user="bob")}
    )
    plan = make_plan(new, after_apply(old))
    assert steps(plan) == [
        "write shop-b.service: ExecStart=, User= changed",
        RELOAD,
        "restart shop-b.service: ExecStart=, User= changed",
    ]
    assert [(change.directive, change.old, change.new) for change in plan.steps[0].changes] == [
        ("Service.ExecStart", ":/srv/shop/run", ":/srv/shop/run2"),
        ("Service.User", "shop", "bob"),
    ]


def test_change_that_a_reload_takes_up_restarts_nothing() -> None:
    plan = make_plan(one(service_text(service="RestartSec=5\n")), after_apply(one()))
    assert steps(plan) == ["write shop-web.service: RestartSec= changed", RELOAD]


def test_header_that_names_another_line_of_the_config_is_no_change() -> None:
    plan = make_plan(one(service_text().replace("a header", "line 12")), after_apply(one()))
    assert (steps(plan), plan.unchanged) == ([], 2)


def test_changed_install_section_is_written_and_restarts_nothing() -> None:
    plan = make_plan(one(service_text(service="[Install]\nWantedBy=x.target\n")), after_apply(one()))
    assert steps(plan) == ["write shop-web.service: [Install] or its layout changed", RELOAD]


def test_changed_timer_and_slice_need_no_job() -> None:
    units = [
        BundleUnit("shop-a.slice", "shop-a.slice", "a", start=False),
        BundleUnit("shop-a.service", "shop-a.service", "a", start=False),
        BundleUnit("shop-a.timer", "shop-a.timer", "a"),
    ]

    def bundle(calendar: str, memory: str) -> dict[str, str]:
        return {
            "shop-a.slice": f"[Slice]\nMemoryMax={memory}\n",
            "shop-a.service": service_text(),
            "shop-a.timer": f"[Timer]\nOnCalendar={calendar}\n",
        }

    old, new = (
        make_bundle(*units, texts=bundle("daily", "1G")),
        make_bundle(*units, texts=bundle("hourly", "2G")),
    )
    host = with_states(after_apply(old), state("shop-a.slice"))
    assert steps(make_plan(new, host)) == [
        "write shop-a.slice: MemoryMax= changed, in force with the reload",
        "write shop-a.timer: OnCalendar= changed",
        RELOAD,
    ]


def test_scheduled_task_at_work_is_not_disturbed_by_its_change() -> None:
    units = [
        BundleUnit("shop-a.service", "shop-a.service", "a", start=False),
        BundleUnit("shop-a.timer", "shop-a.timer", "a"),
    ]
    timer = "[Timer]\nOnCalendar=daily\n"
    old = make_bundle(*units, texts={"shop-a.service": service_text(), "shop-a.timer": timer})
    new = make_bundle(*units, texts={"shop-a.service": RUN2, "shop-a.timer": timer})
    plan = make_plan(new, with_states(after_apply(old), state("shop-a.service", ("activating", "start"))))
    assert steps(plan) == ["write shop-a.service: ExecStart= changed", RELOAD]
    assert drift(plan) == [
        "shop-a.service is at work on its old settings, its next run takes the new: ExecStart= changed"
    ]


def test_environment_file_restarts_who_reads_it_and_reloads_nothing() -> None:
    units = [
        BundleUnit("shop-a.service", "shop-a.service", "a", files=("shop-a.env",)),
        BundleUnit("shop-b.service", "shop-b.service", "b"),
    ]
    texts = {unit.file: service_text() for unit in units}
    old, new = (
        make_bundle(*units, texts=texts, env={"shop-a.env": 'KEY="1"\n'}),
        make_bundle(*units, texts=texts, env={"shop-a.env": 'KEY="2"\n'}),
    )
    plan = make_plan(new, after_apply(old))
    assert steps(plan) == [
        "write shop-a.env: its variables have changed",
        "restart shop-a.service: shop-a.env: its variables have changed",
    ]
    assert all(not step.changes for step in plan.steps)  # its values are secrets


def test_removed_process_is_stopped_then_deleted_then_forgotten_by_systemd() -> None:
    plan = make_plan(make_bundle(texts={}), after_apply(one()))
    assert steps(plan) == [
        "stop shop-web.service: no longer in the config",
        "delete shop-web.service: no longer in the config",
        RELOAD,
    ]


def test_removed_process_that_had_failed_leaves_no_failure_behind() -> None:
    plan = make_plan(make_bundle(texts={}), after_apply(one(), web=FAILED))
    assert steps(plan) == [
        "delete shop-web.service: no longer in the config",
        RELOAD,
        "reset-failed shop-web.service: no longer in the config",
    ]


def test_removed_pool_stops_highest_first_with_instances_started_by_hand() -> None:
    host = with_states(
        after_apply(pool(11)),
        state("shop-api@77.service"),
        state("shop-api@x.service"),
        state("shop-apix.service"),
    )
    plan = make_plan(make_bundle(texts={}), host)
    assert [line for line in steps(plan) if line.startswith("stop")] == [
        "stop shop-api@77.service: no longer in the config",
        "stop shop-api@x.service: no longer in the config",
        "stop shop-api.target: no longer in the config",
        *(f"stop shop-api@{number}.service: no longer in the config" for number in range(11, 0, -1)),
    ]


def test_scale_up_starts_the_new_instances_and_touches_no_other() -> None:
    new = pool(4)
    plan = make_plan(new, seen(after_apply(pool(2)), new))
    assert steps(plan) == [
        "write shop-api.target: Wants= changed",
        RELOAD,
        "start shop-api@3.service: new",
        "start shop-api@4.service: new",
    ]


def test_scale_down_stops_the_highest_first_and_touches_no_other() -> None:
    plan = make_plan(pool(2), after_apply(pool(4)))
    assert steps(plan) == [
        "stop shop-api@4.service: no longer in the config",
        "stop shop-api@3.service: no longer in the config",
        "write shop-api.target: Wants= changed",
        RELOAD,
    ]


def test_instance_started_by_hand_stays_while_its_template_does() -> None:
    host = with_states(after_apply(pool(2)), state("shop-api@7.service"))
    assert steps(make_plan(pool(2), host)) == []


def test_file_masked_by_a_link_is_neither_written_nor_deleted() -> None:
    host = after_apply(one())
    host = replace(
        host, files={"shop.target": host.files["shop.target"]}, masked=frozenset({"shop-web.service"})
    )
    plan = make_plan(one(RUN2), with_states(host, state("shop-web.service", INACTIVE, "masked")))
    assert steps(plan) == []
    assert drift(plan)[0] == "shop-web.service is masked: left alone (systemctl unmask shop-web.service)"
    assert steps(make_plan(make_bundle(texts={}), host)) == [
        "stop shop-web.service: no longer in the config"
    ]


def test_disabled_by_hand_stays_disabled() -> None:
    plan = make_plan(one(), replace(after_apply(one()), links={}))
    assert (steps(plan), drift(plan)) == (
        [],
        ["shop.target was disabled by hand (systemctl enable shop.target)"],
    )


def test_lost_record_with_files_of_ours_in_place_needs_nothing() -> None:
    assert steps(make_plan(one(), replace(after_apply(one()), installed=None))) == []


def test_foreign_files_in_the_way_are_refused_all_at_once() -> None:
    etc, force = "/etc/systemd/system", TakenBy.FORCE
    foreign = {
        "shop-api.target": Foreign(path=f"{etc}/shop-api.target", why="not ours", taken_by=TakenBy.ADOPT),
        "shop-api@.service": Foreign(path=f"{etc}/shop-api@.service", why="edited by hand", taken_by=force),
        "shop.target": Foreign(
            path="/usr/lib/systemd/system/shop.target", why="of a package: ours would hide it"
        ),
    }
    with pytest.raises(OwnershipError) as caught:
        make_plan(pool(1), Snapshot(foreign=foreign, states={}))
    assert caught.value.message == (
        "these files are in the way: /usr/lib/systemd/system/shop.target (of a package: ours would hide it), "
        "/etc/systemd/system/shop-api@.service (edited by hand), /etc/systemd/system/shop-api.target (not ours)"
    )
    assert caught.value.hint == (
        "move them away; a change of yours belongs in a drop-in (systemctl edit) or in the config; "
        "apply --adopt takes over what is not ours, and keeps the old text; "
        "apply --force writes over what was edited by hand, and keeps the edit"
    )


def test_edited_file_of_a_removed_process_is_kept_and_told() -> None:
    edited = Foreign(
        path="/etc/x/shop-web.service", why="edited by hand", taken_by=TakenBy.FORCE, save_as="saved"
    )
    host = replace(after_apply(one()), foreign={"shop-web.service": edited})
    plan = make_plan(make_bundle(texts={}), host)
    assert steps(plan) == ["stop shop-web.service: no longer in the config"]
    assert drift(plan) == [
        "shop-web.service is not removed: /etc/x/shop-web.service (edited by hand) (--force removes it, and keeps the edit)"
    ]


def test_removal_stops_all_of_it_slices_last_and_leaves_no_file() -> None:
    units = [
        BundleUnit("shop-web.slice", "shop-web.slice", "web", start=False),
        BundleUnit("shop-web.service", "shop-web.service", "web", files=("shop-web.env",)),
    ]
    bundle = make_bundle(*units, texts={"shop-web.service": service_text()}, env={"shop-web.env": ""})
    host = with_states(after_apply(bundle), state("shop-web.slice", ACTIVE))
    plan = make_removal("shop", host)
    assert steps(plan) == [
        "stop shop-web.service: the project is removed",
        "stop shop.target: the project is removed",
        "stop shop-web.slice: the project is removed",
        "delete shop-web.env: the project is removed",
        "delete shop.target: the project is removed",
        "delete shop-web.service: the project is removed",
        "unlink multi-user.target.wants/shop.target: the project is removed",
        RELOAD,
    ]
    assert (plan.project, plan.bundle, drift(plan)) == ("shop", None, [])


def test_offline_is_files_and_links_alone() -> None:
    assert steps(make_plan(one(), Snapshot())) == [
        "write shop.target: new",
        "write shop-web.service: new",
        "link multi-user.target.wants/shop.target: starts at boot",
    ]
    host = replace(after_apply(one()), states=None)
    assert steps(make_plan(one(RUN2), host)) == ["write shop-web.service: ExecStart= changed"]
    assert steps(make_removal("shop", host)) == [
        "delete shop.target: the project is removed",
        "delete shop-web.service: the project is removed",
        "unlink multi-user.target.wants/shop.target: the project is removed",
    ]


def test_folders_for_logs_are_made_where_they_are_missing() -> None:
    folders = (LogDirectory("/var/log/shop"), LogDirectory("/var/log/old"))
    bundle = make_bundle(texts={}, directories=folders)
    host = replace(after_apply(bundle), directories=frozenset({"/var/log/old"}))
    assert steps(make_plan(bundle, host)) == ["make-directory /var/log/shop: log files go there"]


def test_unit_files_are_taken_for_what_they_are_not_for_their_names() -> None:
    """An environment file and a unit file never share a name, yet a plan keeps their kinds."""
    plan = make_plan(make_bundle(texts={}, env={"shop-web.env": ""}), EMPTY)
    assert [(step.subject, step.kind) for step in plan.steps[:2]] == [
        ("shop-web.env", FileKind.ENVIRONMENT),
        ("shop.target", FileKind.UNIT),
    ]
    assert bundle_file(FileKind.ENVIRONMENT, "a.env", "").mode == 0o600
