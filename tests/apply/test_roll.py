"""Pools that restart one instance after the other, when a plan rolls them."""

from __future__ import annotations

from dataclasses import replace

from pm_native.apply.outcome import RunOptions
from pm_native.apply.roll import batches, watch_sec
from pm_native.bus.fake import Behaviour
from pm_native.compile.bundle import BundleUnit
from pm_native.model.record import OnChange
from tests.apply.hosts import Told, compiled
from tests.plan.hosts import service_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pm_native.compile.bundle import Bundle
    from tests.apply.hosts import Host

TEMPLATE = "shop-api@.service"
NAMES = [f"shop-api@{number}.service" for number in range(1, 5)]
CANARY = RunOptions(settle_sec=0.001, is_canary=True)


def pool(command: str, *, at_once: int = 1, service: str = "") -> Bundle:
    """A pool of four that runs `command` and is to be reloaded."""
    units = [BundleUnit(name, TEMPLATE, "api", on_change=OnChange.RELOAD, at_once=at_once) for name in NAMES]
    web = BundleUnit("shop-web.service", "shop-web.service", "web")
    return compiled(*units, web, texts={TEMPLATE: service_text(command, service=service)})


def jobs(host: Host) -> list[str]:
    """What was asked of systemd behind the reload of its unit files."""
    return [call for call in host.manager.calls if call != "daemon-reload"]


def test_so_many_at_a_time() -> None:
    assert [*batches(["a", "b", "c", "d", "e"], 2)] == [["a", "b"], ["c", "d"], ["e"]]
    assert [*batches(["a"], 3)] == [["a"]]
    assert [*batches([], 3)] == []


def test_who_says_when_it_is_ready_is_not_watched() -> None:
    assert watch_sec("[Service]\nType=notify\nExecStart=:/bin/true\n", 1.5) == 0
    assert watch_sec("[Service]\nType=exec\nExecStart=:/bin/true\n", 1.5) == 1.5


def test_one_after_the_other(host: Host) -> None:
    host.apply(pool("old"))
    outcome = host.apply(pool("new"))
    assert jobs(host) == [f"restart {name}" for name in NAMES]
    assert host.told.lines[-8:] == [
        line for name in NAMES for line in (f"ended restart {name}", "settling 0.001 s")
    ]
    assert (outcome.failures, outcome.has_failed_roll, host.installed.to_restart) == ([], False, ())


def test_several_at_a_time(host: Host) -> None:
    host.apply(pool("old", at_once=3))
    host.apply(pool("new", at_once=3))
    assert [line for line in host.told.lines if "settling" in line or "restart" in line] == [
        *(f"ended restart {name}" for name in NAMES[:3]),
        "settling 0.001 s",
        f"ended restart {NAMES[3]}",
        "settling 0.001 s",
    ]


def test_first_failure_ends_it(host: Host) -> None:
    host.apply(pool("old"))
    host.manager.behaviours[NAMES[1]] = Behaviour.FAILS
    outcome = host.apply(pool("new"))
    assert jobs(host) == [f"restart {name}" for name in NAMES[:2]]
    assert [failure.unit for failure in outcome.failures] == [NAMES[1]]
    assert outcome.has_failed_roll
    assert host.installed.to_restart == tuple(NAMES[1:])


def test_one_that_dies_at_once_ends_it(host: Host) -> None:
    host.apply(pool("old"))
    host.manager.behaviours[NAMES[0]] = Behaviour.CRASHES
    outcome = host.apply(pool("new"))
    assert jobs(host) == [f"restart {NAMES[0]}"]
    assert (outcome.has_failed_roll, host.installed.to_restart) == (True, tuple(NAMES[1:]))


def test_failure_of_something_else_leaves_the_pool_alone(host: Host) -> None:
    host.apply(pool("old"))
    both = pool("new")
    changed = compiled(
        *both.units[1:],
        texts={TEMPLATE: service_text("new"), "shop-web.service": service_text("broken")},
    )
    host.manager.fails_with = "broken"
    outcome = host.apply(changed)
    assert jobs(host) == ["restart shop-web.service"]
    assert (outcome.has_failed_roll, {*host.installed.to_restart}) == (False, {*NAMES, "shop-web.service"})


def test_canary_goes_ahead_and_the_next_run_goes_on(host: Host) -> None:
    host.apply(pool("old"))
    outcome = host.run(host.plan(pool("new")), options=CANARY)
    assert jobs(host) == [f"restart {NAMES[0]}"]
    assert outcome.held_back == NAMES[1:]
    assert (host.installed.complete, host.installed.to_restart) == (True, tuple(NAMES[1:]))
    host.apply(pool("new"))
    assert jobs(host) == [f"restart {name}" for name in NAMES[1:]]
    assert host.apply(pool("new")).done == 0


def test_interrupted_between_two_the_next_run_goes_on(host: Host) -> None:
    host.apply(pool("old"))
    outcome = host.run(host.plan(pool("new")), told=Told(f"ended restart {NAMES[1]}"))
    assert (outcome.is_interrupted, jobs(host)) == (True, [f"restart {name}" for name in NAMES[:2]])
    host.apply(pool("new"))
    assert jobs(host) == [f"restart {name}" for name in NAMES[2:]]


def test_pool_that_reloads_by_itself_is_not_rolled(host: Host) -> None:
    reload = "ExecReload=/bin/kill -HUP $MAINPID\n"
    host.apply(pool("old", service=reload))
    host.apply(pool("new", service=reload))
    assert jobs(host) == [f"reload {name}" for name in NAMES]


def test_stopped_instance_stays_stopped(host: Host) -> None:
    host.apply(pool("old"))
    host.manager.units[NAMES[1]].active_state = "inactive"
    host.manager.units[NAMES[1]].sub_state = "dead"
    host.apply(pool("new"))
    assert jobs(host) == [f"restart {name}" for name in NAMES if name != NAMES[1]]


def test_file_of_several_pools(host: Host) -> None:
    def two(command: str) -> Bundle:
        api = BundleUnit("shop-api@1.service", TEMPLATE, "api", on_change=OnChange.RELOAD)
        job = BundleUnit(
            "shop-job@1.service", "shop-job@.service", "job", on_change=OnChange.RELOAD, at_once=2
        )
        text = service_text(command)
        return compiled(
            api,
            replace(api, name="shop-api@2.service"),
            job,
            replace(job, name="shop-job@2.service"),
            texts={TEMPLATE: text, "shop-job@.service": text},
        )

    host.apply(two("old"))
    host.apply(two("new"))
    assert [line for line in host.told.lines if "settling" in line or "restart" in line] == [
        "ended restart shop-api@1.service",
        "settling 0.001 s",
        "ended restart shop-api@2.service",
        "settling 0.001 s",
        "ended restart shop-job@1.service",
        "ended restart shop-job@2.service",
        "settling 0.001 s",
    ]
