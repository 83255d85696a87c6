"""Sockets that systemd holds for services: what does not change stays open, what changes is said to refuse."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pm_native.compile.bundle import BundleUnit
from pm_native.model.record import OnChange
from pm_native.plan.make import make_plan
from pm_native.plan.model import PlanOptions
from tests.plan.hosts import (
    FAILED,
    INACTIVE,
    SimulatedHost,
    after_apply,
    drift,
    make_bundle,
    seen,
    service_text,
    state,
    steps,
    with_states,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pm_native.compile.bundle import Bundle
    from pm_native.plan.model import Snapshot

SOCKET = "shop-api.socket"
ONE, TWO = "shop-api@1.service", "shop-api@2.service"
LISTENING = ("active", "listening")
RELOAD = "reload-manager systemd: unit files have changed"
WHY = f"{SOCKET} is opened anew, and it holds the address"


def shared(
    *,
    command: str = "run",
    address: str = "3000",
    more: str = "",
    on_change: OnChange = OnChange.RESTART,
    is_shared: bool = True,
) -> Bundle:
    """A pool of two whose instances have one socket, or each a port of its own."""
    socket = BundleUnit(SOCKET, SOCKET, "api", "shop.toml:3")
    units = [
        BundleUnit(
            name,
            "shop-api@.service",
            "api",
            "shop.toml:3",
            on_change=on_change,
            after=(SOCKET,) if is_shared else (),
        )
        for name in (ONE, TWO)
    ]
    texts = {"shop-api@.service": service_text(command, service=f"Sockets={SOCKET}\n" * is_shared)}
    if is_shared:
        texts[SOCKET] = f"[Socket]\nListenStream={address}\n{more}"
    return make_bundle(*([socket] if is_shared else []), *units, texts=texts)


def plan_lines(before: Bundle, after: Bundle, snapshot: Snapshot | None = None) -> list[str]:
    """The jobs of the plan from one to the other, without what is written."""
    plan = make_plan(after, seen(snapshot or after_apply(before, api=LISTENING), after))
    return [line for line in steps(plan) if not line.startswith(("write ", "delete ")) and line != RELOAD]


def test_changed_program_restarts_and_its_socket_stays_open() -> None:
    assert plan_lines(shared(), shared(command="run2")) == [
        f"restart {ONE}: ExecStart= changed",
        f"restart {TWO}: ExecStart= changed",
    ]


def test_changed_socket_is_closed_behind_its_services_and_says_so() -> None:
    assert plan_lines(shared(), shared(more="Backlog=5\n")) == [
        f"stop {TWO}: {WHY}",
        f"stop {ONE}: {WHY}",
        f"stop {SOCKET}: Backlog= changed: connections are refused until it is open again",
        f"start {SOCKET}: Backlog= changed",
        f"start {ONE}: {WHY}",
        f"start {TWO}: {WHY}",
    ]


def test_what_is_not_of_the_descriptor_changes_while_it_is_open() -> None:
    assert plan_lines(shared(), shared(more="TriggerLimitBurst=5\n")) == []


def test_pool_that_begins_to_share_lets_go_of_its_ports_first() -> None:
    assert plan_lines(shared(is_shared=False), shared()) == [
        f"stop {TWO}: {WHY}",
        f"stop {ONE}: {WHY}",
        f"start {SOCKET}: new",
        f"start {ONE}: {WHY}",
        f"start {TWO}: {WHY}",
    ]


def test_pool_that_ends_to_share_lets_go_of_the_socket_first() -> None:
    why = f"{SOCKET} goes, and it holds the address"
    assert plan_lines(shared(), shared(is_shared=False)) == [
        f"stop {SOCKET}: no longer in the config",
        f"stop {TWO}: {why}",
        f"stop {ONE}: {why}",
        f"start {ONE}: {why}",
        f"start {TWO}: {why}",
    ]


@pytest.mark.parametrize("how", [INACTIVE, FAILED])
def test_instances_that_are_down_need_no_stop(how: tuple[str, str]) -> None:
    before = with_states(after_apply(shared(), api=LISTENING), state(ONE, how))
    lines = plan_lines(shared(), shared(more="Backlog=5\n"), before)
    assert f"stop {ONE}: {WHY}" not in lines
    assert f"stop {TWO}: {WHY}" in lines


def test_socket_that_was_closed_by_hand_is_opened_behind_what_has_it() -> None:
    before = with_states(after_apply(shared(), api=LISTENING), state(SOCKET, INACTIVE))
    assert (steps(make_plan(shared(), before)), drift(make_plan(shared(), before))) == (
        [],
        [f"{SOCKET} was stopped by hand: left stopped (systemctl start {SOCKET})"],
    )
    assert steps(make_plan(shared(), before, PlanOptions(reconcile=True))) == [
        f"stop {TWO}: {WHY}",
        f"stop {ONE}: {WHY}",
        f"start {SOCKET}: was stopped by hand",
        f"start {ONE}: {WHY}",
        f"start {TWO}: {WHY}",
    ]


def test_services_that_are_to_be_kept_keep_their_socket() -> None:
    keep = OnChange.KEEP
    after = shared(more="Backlog=5\n", on_change=keep)
    plan = make_plan(after, after_apply(shared(on_change=keep), api=LISTENING))
    assert [step.action.value for step in plan.steps] == ["write", "reload-manager"]
    assert drift(plan) == [
        f"{SOCKET} runs on old settings, as on_change = keep says: Backlog= changed (systemctl restart {SOCKET})"
    ]
    after = shared(on_change=keep)
    before = after_apply(shared(is_shared=False, on_change=keep))
    assert drift(make_plan(after, seen(before, after)))[0] == (
        f"{SOCKET} is not opened: {ONE} holds the address and is kept, as on_change = keep says"
        f" (systemctl stop {ONE})"
    )


def test_every_way_between_them_ends_with_all_up_and_nothing_to_do() -> None:
    bundles = [shared(), shared(more="Backlog=5\n"), shared(is_shared=False), shared(command="run2")]
    for first in bundles:
        for second in bundles:
            host = SimulatedHost()
            for bundle in (first, second):
                host.run(make_plan(bundle, host.snapshot(bundle)))
            assert host.active == {unit.name for unit in second.units}
            assert make_plan(second, host.snapshot(second)).is_empty


def test_requirement_of_a_unit_that_stops_first_comes_back() -> None:
    """Stopping a unit stops what requires it, and nothing but a job of its own starts that again."""
    web = BundleUnit("shop-web.service", "shop-web.service", "web", requires=(ONE,), after=(ONE,))
    before, after = (
        replace(
            bundle,
            units=(*bundle.units, web),
            files=(*bundle.files, *make_bundle(web, texts={web.file: service_text()}).files[1:]),
        )
        for bundle in (shared(), shared(more="Backlog=5\n"))
    )
    assert plan_lines(before, after)[-1] == f"restart shop-web.service: requires {ONE}, which restarts"
