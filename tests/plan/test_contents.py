"""Contents that processes read: a change is a change of the process, as far as it can be known."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pm_native.model.record import OnChange
from pm_native.plan.make import make_plan
from tests.plan.hosts import INACTIVE, after_apply, drift, one, service_text, steps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pm_native.compile.bundle import Bundle
    from pm_native.plan.model import Plan

CONF, ENV = "/etc/shop.conf", "/etc/default/shop"


def bundle(**fields: object) -> Bundle:
    text = service_text(service="ExecReload=/bin/kill\n")
    return one(text, contents=(CONF, ENV), **fields)  # type: ignore[arg-type]  # fields of the unit, no name


def planned(
    now: dict[str, str | None],
    before: dict[str, str] | None,
    *,
    how: tuple[str, str] = ("active", "running"),
    **fields: object,
) -> Plan:
    snapshot = after_apply(bundle(**fields), web=how)
    return make_plan(bundle(**fields), replace(snapshot, contents=now, contents_before=before))


BEFORE = {CONF: "a", ENV: "b"}


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (OnChange.RESTART, [f"restart shop-web.service: {CONF} changed"]),
        (OnChange.RELOAD, [f"reload shop-web.service: {CONF} changed"]),
        (OnChange.STOP_START, [f"{verb} shop-web.service: {CONF} changed" for verb in ("stop", "start")]),
        (OnChange.KEEP, []),
    ],
)
def test_changed_contents_do_what_on_change_says(policy: OnChange, expected: list[str]) -> None:
    plan = planned({CONF: "A", ENV: "b"}, BEFORE, on_change=policy)
    assert steps(plan) == expected
    assert dict(plan.contents) == {CONF: "A", ENV: "b"}
    what = f"runs on old settings, as on_change = keep says: {CONF} changed"
    kept = [f"shop-web.service {what} (systemctl restart shop-web.service)"]
    assert drift(plan) == (kept if policy is OnChange.KEEP else [])


def test_all_that_changed_is_told() -> None:
    assert steps(planned({CONF: "A", ENV: ""}, BEFORE)) == [
        f"restart shop-web.service: {CONF}, {ENV} changed"
    ]


@pytest.mark.parametrize("before", [{}, {CONF: "a"}, BEFORE])
def test_what_is_recorded_for_the_first_time_or_the_same_is_no_change(before: dict[str, str]) -> None:
    plan = planned({CONF: "a", ENV: "b"}, before)
    assert (steps(plan), drift(plan), dict(plan.contents)) == ([], [], BEFORE)


def test_unit_that_does_not_run_takes_them_up_when_it_starts() -> None:
    plan = planned({CONF: "A", ENV: "b"}, BEFORE, how=INACTIVE)
    assert steps(plan) == []
    assert drift(plan) == [
        f"shop-web.service was stopped by hand: left stopped ({CONF} changed) (systemctl start shop-web.service)"
    ]


def test_what_is_not_there_is_told() -> None:
    assert drift(planned({CONF: "", ENV: "b"}, {CONF: "", ENV: "b"})) == [
        f"shop-web.service reads {CONF}, which is not there"
    ]


@pytest.mark.parametrize("before", [BEFORE, None])
def test_what_the_caller_may_not_compare_is_told_and_the_old_is_kept_on_record(
    before: dict[str, str] | None,
) -> None:
    plan = planned({CONF: None, ENV: "B" if before is None else "b"}, before)
    assert steps(plan) == []
    what = "which you cannot compare: taken as unchanged (sudo pm-native plan)"
    paths = [CONF] if before else [CONF, ENV]
    assert drift(plan) == [f"shop-web.service reads {path}, {what}" for path in paths]
    assert dict(plan.contents) == (BEFORE if before else {ENV: "B"})
