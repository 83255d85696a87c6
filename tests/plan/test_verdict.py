"""What becomes of a unit: by its state, its policy, what changed, what it requires, what an apply owes it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pm_native.compile.bundle import BundleUnit
from pm_native.model.record import OnChange
from pm_native.plan.make import make_plan
from pm_native.plan.model import Action, PlanOptions
from pm_native.unit.name import Scope
from tests.plan.hosts import (
    AGAIN,
    FAILED,
    INACTIVE,
    after_apply,
    drift,
    make_bundle,
    one,
    pool,
    service_text,
    state,
    steps,
    with_states,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pm_native.compile.bundle import Bundle
    from pm_native.plan.model import Snapshot

RELOAD = "reload-manager systemd: unit files have changed"
RUN2 = service_text("run2")
KEPT = "shop-web.service runs on old settings, as on_change = keep says"


@pytest.mark.parametrize(
    ("policy", "text", "expected"),
    [
        (OnChange.RESTART, RUN2, ["restart shop-web.service: ExecStart= changed"]),
        (
            OnChange.RELOAD,
            RUN2 + "ExecReload=kill -HUP $MAINPID\n",
            ["reload shop-web.service: ExecStart=, ExecReload= changed"],
        ),
        (
            OnChange.RELOAD,
            RUN2,
            ["restart shop-web.service: ExecStart= changed; it has no ExecReload= to reload with"],
        ),
        (OnChange.STOP_START, RUN2, ["start shop-web.service: ExecStart= changed"]),
        (OnChange.KEEP, RUN2, []),
    ],
)
def test_on_change_decides_what_becomes_of_a_running_unit(
    policy: OnChange, text: str, expected: list[str]
) -> None:
    plan = make_plan(one(text, on_change=policy), after_apply(one(on_change=policy)))
    stops = ["stop shop-web.service: ExecStart= changed"] if policy is OnChange.STOP_START else []
    lines = steps(plan)
    assert [*lines[: len(stops)], *lines[len(stops) + 2 :]] == [*stops, *expected]
    kept = (
        "shop-web.service runs on old settings, as on_change = keep says: ExecStart= changed"
        " (systemctl restart shop-web.service)"
    )
    assert drift(plan) == [kept] * (policy is OnChange.KEEP)


def test_reload_of_a_unit_that_is_not_up_is_a_restart() -> None:
    text = RUN2 + "ExecReload=kill -HUP $MAINPID\n"
    host = after_apply(one(on_change=OnChange.RELOAD), web=AGAIN)
    assert steps(make_plan(one(text, on_change=OnChange.RELOAD), host))[2:] == [
        "reset-failed shop-web.service: its failed starts would count against the limit",
        "restart shop-web.service: ExecStart=, ExecReload= changed",
    ]


def requiring(text: str, on_change: OnChange = OnChange.RESTART) -> Bundle:
    migrate = BundleUnit("shop-migrate.service", "shop-migrate.service", "migrate", on_change=on_change)
    web = BundleUnit(
        "shop-web.service",
        "shop-web.service",
        "web",
        after=("shop-migrate.service",),
        requires=("shop-migrate.service",),
    )
    return make_bundle(
        web, migrate, texts={"shop-migrate.service": text, "shop-web.service": service_text()}
    )


@pytest.mark.parametrize("on_change", [OnChange.RESTART, OnChange.STOP_START])
def test_restart_of_a_task_restarts_what_requires_it(on_change: OnChange) -> None:
    old, new = requiring(service_text(), on_change), requiring(RUN2, on_change)
    again = "restart" if on_change is OnChange.RESTART else "start"
    stop = ["stop shop-migrate.service: ExecStart= changed"] if again == "start" else []
    assert steps(make_plan(new, after_apply(old))) == [
        *stop,
        "write shop-migrate.service: ExecStart= changed",
        RELOAD,
        f"{again} shop-migrate.service: ExecStart= changed",
        "restart shop-web.service: requires shop-migrate.service, which restarts",
    ]


def test_masked_unit_is_the_administrators_decision() -> None:
    host = with_states(after_apply(pool(2)), state("shop-api@2.service", INACTIVE, "masked"))
    plan = make_plan(pool(2, RUN2), host)
    assert steps(plan) == [
        "write shop-api@.service: ExecStart= changed",
        RELOAD,
        "restart shop-api@1.service: ExecStart= changed",
    ]
    assert drift(plan) == [
        "shop-api@2.service is masked: left alone (systemctl unmask shop-api@2.service)",
    ]


def test_stopped_by_hand_stays_stopped_even_when_changed() -> None:
    plan = make_plan(one(RUN2), after_apply(one(), web=INACTIVE))
    assert steps(plan) == ["write shop-web.service: ExecStart= changed", RELOAD]
    assert drift(plan) == [
        "shop-web.service was stopped by hand: left stopped (ExecStart= changed) (systemctl start shop-web.service)"
    ]


def test_hints_name_the_manager_of_the_user() -> None:
    bundle = replace(one(), scope=Scope.USER)
    assert drift(make_plan(bundle, after_apply(bundle, web=INACTIVE))) == [
        "shop-web.service was stopped by hand: left stopped (systemctl --user start shop-web.service)"
    ]


def test_failed_unit_is_started_again_with_its_counter_at_zero() -> None:
    assert steps(make_plan(one(), after_apply(one(), web=FAILED))) == [
        "reset-failed shop-web.service: its failed starts would count against the limit",
        "start shop-web.service: it has failed",
    ]


def test_unit_that_keeps_ending_is_told_and_left_to_systemd() -> None:
    plan = make_plan(one(), after_apply(one(), web=AGAIN))
    assert steps(plan) == []
    assert drift(plan) == [
        "shop-web.service keeps ending: it waits for its next restart (journalctl -u shop-web.service)"
    ]


def test_unit_that_keeps_failing_is_tried_once_more() -> None:
    tried = [
        "reset-failed shop-web.service: its failed starts would count against the limit",
        "restart shop-web.service: keeps failing: tried once more",
    ]
    host = after_apply(one(), web=AGAIN)
    assert steps(make_plan(one(), replace(host, crashing=frozenset({"shop-web.service"})))) == tried
    # It may end with status 0 and still not stay up, as the last apply found.
    plan = make_plan(one(), recorded_as(host, failed=("shop-web.service",)))
    assert (steps(plan), drift(plan)) == (tried, [])
    assert (
        steps(make_plan(one(), recorded_as(host, failed=("shop-web.service",)), PlanOptions(retry=False)))
        == []
    )


def test_unit_that_failed_in_the_last_apply_and_runs_is_watched() -> None:
    host = recorded_as(after_apply(pool(2)), failed=("shop-api@1.service",))
    plan = make_plan(pool(2), host)
    assert steps(plan) == ["watch shop-api@1.service: it failed in the last apply"]
    assert steps(make_plan(pool(2, RUN2), host))[-1] == "restart shop-api@2.service: ExecStart= changed"
    assert not make_plan(pool(2, RUN2), host).of(Action.WATCH)


def test_unit_that_failed_since_the_last_apply_and_is_up_again_is_watched() -> None:
    host = replace(after_apply(pool(2)), relapsed=frozenset({"shop-api@2.service"}))
    why = "it has failed more than once since the last apply"
    assert steps(make_plan(pool(2), host)) == [f"watch shop-api@2.service: {why}"]
    assert steps(make_plan(pool(2), host, PlanOptions(retry=False))) == []
    assert not make_plan(pool(2, RUN2), host).of(Action.WATCH)


def test_scheduled_task_that_failed_is_told_and_left_to_its_timer() -> None:
    plan = make_plan(one(start=False), after_apply(one(start=False), web=FAILED))
    assert (steps(plan), drift(plan)) == (
        [],
        ["shop-web.service failed when it ran last (journalctl -u shop-web.service)"],
    )


def test_kept_unit_that_keeps_failing_takes_the_new_settings() -> None:
    plan = make_plan(
        one(RUN2, on_change=OnChange.KEEP), after_apply(one(on_change=OnChange.KEEP), web=AGAIN)
    )
    assert steps(plan)[-1] == "restart shop-web.service: ExecStart= changed"


def test_kept_unit_is_told_until_it_runs_on_the_new_settings() -> None:
    kept = one(RUN2, on_change=OnChange.KEEP)
    plan = make_plan(kept, after_apply(one(on_change=OnChange.KEEP)))
    assert plan.held == ("shop-web.service",)
    host = recorded_as(after_apply(kept), held={"shop-web.service": "77"})
    plan = make_plan(kept, replace(host, runs={"shop-web.service": "77"}))
    assert (steps(plan), drift(plan), plan.held) == (
        [],
        [f"{KEPT}: its settings changed in an apply before (systemctl restart shop-web.service)"],
        ("shop-web.service",),
    )
    plan = make_plan(kept, replace(host, runs={"shop-web.service": "78"}))
    assert (steps(plan), drift(plan), plan.held) == ([], [], ())


def test_unit_that_changed_behind_its_mask_is_owed_a_restart() -> None:
    masked = replace(
        with_states(after_apply(one()), state("shop-web.service", load="masked")),
        files={"shop.target": after_apply(one()).files["shop.target"]},
        masked=frozenset({"shop-web.service"}),
    )
    assert make_plan(one(), masked).held == ()
    plan = make_plan(one(RUN2), masked)
    assert (steps(plan), plan.held) == ([], ("shop-web.service",))
    host = recorded_as(after_apply(one(RUN2)), held={"shop-web.service": "77"})
    unmasked = replace(host, files=masked.files, runs={"shop-web.service": "77"})
    assert steps(make_plan(one(RUN2), unmasked)) == [
        "write shop-web.service: it has gone",
        RELOAD,
        "restart shop-web.service: its settings changed in an apply before",
    ]
    assert not make_plan(one(RUN2), replace(unmasked, runs={"shop-web.service": "78"})).of(Action.RESTART)


def test_autostart_turned_on_starts_and_turned_off_stops_nothing() -> None:
    on, off = one(), one(start=False)
    assert steps(make_plan(on, after_apply(off))) == [
        "start shop-web.service: it starts with the project now"
    ]
    assert steps(make_plan(off, after_apply(on))) == []


@pytest.mark.parametrize("policy", OnChange)
def test_what_runs_under_a_new_name_without_a_file_is_not_ours_and_gives_way(policy: OnChange) -> None:
    bundle = one(service_text(service="ExecReload=/bin/true\n"), on_change=policy)
    host = replace(after_apply(bundle), installed=None, files={})
    assert steps(make_plan(bundle, host))[-2:] == [
        RELOAD,
        "restart shop-web.service: what runs under its name is not ours",
    ]


def test_file_that_has_gone_comes_back_and_what_runs_runs_on() -> None:
    host = after_apply(one())
    host = replace(host, files={"shop.target": host.files["shop.target"]})
    assert steps(make_plan(one(), host)) == ["write shop-web.service: it has gone", RELOAD]


def test_file_that_has_gone_and_changed_meanwhile_restarts_what_runs() -> None:
    host = after_apply(one())
    host = replace(host, files={"shop.target": host.files["shop.target"]})
    assert steps(make_plan(one(RUN2), host)) == [
        "write shop-web.service: it has gone",
        RELOAD,
        "restart shop-web.service: it has gone",
    ]


def incomplete(bundle: Bundle, **fields: object) -> Snapshot:
    return recorded_as(after_apply(bundle), **fields)


def recorded_as(host: Snapshot, **fields: object) -> Snapshot:
    """The host with these fields in its record."""
    assert host.installed is not None
    return replace(host, installed=replace(host.installed, **fields))  # type: ignore[arg-type]


def test_incomplete_apply_is_finished_manager_reload_included() -> None:
    host = incomplete(pool(2), complete=False, to_restart=("shop-api@1.service",))
    host = with_states(host, state("shop-api@2.service", INACTIVE))
    assert steps(make_plan(pool(2), replace(host, links={}))) == [
        "link multi-user.target.wants/shop.target: starts at boot",
        RELOAD,
        "restart shop-api@1.service: the last apply did not get to it",
        "start shop-api@2.service: the last apply did not get to it",
    ]
    assert steps(make_plan(pool(2), host))[0] == "reload-manager systemd: the last apply did not get to it"


def test_jobs_that_were_not_done_are_owed() -> None:
    host = incomplete(
        pool(3), to_restart=("shop-api@1.service",), to_start=("shop-api@2.service", "shop-api@3.service")
    )
    host = with_states(host, state("shop-api@3.service", INACTIVE))
    assert steps(make_plan(pool(3), host)) == [
        "restart shop-api@1.service: the last apply did not get to it",
        "start shop-api@3.service: the last apply did not get to it",
    ]


def test_stop_start_that_was_cut_between_starts_even_what_does_not_start_by_itself() -> None:
    host = incomplete(one(start=False), to_start=("shop-web.service",))
    assert steps(make_plan(one(start=False), host)) == [
        "start shop-web.service: the last apply did not get to it"
    ]
