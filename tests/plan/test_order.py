"""Dependencies first, whatever the order given; and plans that lead where they say."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from pm_native.compile.bundle import BundleUnit
from pm_native.plan.make import make_plan, make_removal
from pm_native.plan.model import Action
from pm_native.plan.order import dependencies_first
from tests.plan.hosts import SimulatedHost, make_bundle, service_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pm_native.compile.bundle import Bundle


def test_given_order_is_kept_where_it_is_free() -> None:
    assert dependencies_first(["b", "a", "c"], {"b": ("c", "elsewhere"), "elsewhere": ("a",)}) == [
        "c",
        "a",
        "b",
    ]


def test_a_circle_is_broken_where_it_is_met() -> None:
    assert dependencies_first(["a", "b", "c"], {"a": ("b",), "b": ("c",), "c": ("a",)}) == ["c", "b", "a"]


def test_a_chain_longer_than_the_stack_is_no_trouble() -> None:
    names = [str(number) for number in range(5000)]
    after = {name: (str(int(name) + 1),) for name in names}
    assert dependencies_first(names, after) == names[::-1]


NAMES = [f"shop-{letter}" for letter in "abcdef"]


@given(st.permutations(range(6)), st.sets(st.tuples(st.integers(0, 5), st.integers(0, 5))))
def test_each_name_comes_behind_what_it_comes_after(order: list[int], pairs: set[tuple[int, int]]) -> None:
    after = {
        NAMES[one]: tuple(NAMES[two] for two in range(6) if (one, two) in pairs and two < one)
        for one in range(6)
    }
    found = dependencies_first([NAMES[index] for index in order], after)
    assert sorted(found) == NAMES
    assert all(found.index(other) < found.index(name) for name in NAMES for other in after[name])


@st.composite
def bundles(draw: st.DrawFn) -> Bundle:
    """Projects of a few services and pools, some with environment files, some that do not start by themselves."""
    units: list[BundleUnit] = []
    texts: dict[str, str] = {}
    env: dict[str, str] = {}
    for name in draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=4)):
        count = draw(st.sampled_from([0, 0, 1, 2, 11]))
        file = f"{name}@.service" if count else f"{name}.service"
        texts[file] = service_text(draw(st.sampled_from(["run", "run2"])))
        files = (f"{name}.env",) if draw(st.booleans()) else ()
        env |= {item: draw(st.sampled_from(["A=1\n", "A=2\n"])) for item in files}
        known = [unit.name for unit in units]
        requires = tuple(draw(st.lists(st.sampled_from(known), unique=True, max_size=2))) if known else ()
        start = draw(st.booleans())
        names = [f"{name}@{number}.service" for number in range(1, count + 1)] or [file]
        units += [
            BundleUnit(item, file, name, start=start, files=files, requires=requires, after=requires)
            for item in names
        ]
    return make_bundle(*units, texts=texts, env=env)


@settings(deadline=None)
@given(st.lists(bundles(), min_size=1, max_size=3))
def test_each_apply_leads_to_its_config_and_a_second_one_has_nothing_to_do(configs: list[Bundle]) -> None:
    host = SimulatedHost()
    for bundle in configs:
        host.run(make_plan(bundle, host.snapshot(bundle)))
        again = make_plan(bundle, host.snapshot(bundle))
        assert (again.steps, again.drift) == ((), ())
        assert host.files == {item.name: item.text for item in bundle.files}
        assert {unit.name for unit in bundle.units if unit.start} <= host.active
        assert host.active <= {unit.name for unit in bundle.units}
    host.run(make_removal("shop", host.snapshot()))
    assert (host.files, host.links, host.active, host.installed) == ({}, {}, set(), None)


@settings(deadline=None)
@given(bundles(), bundles())
def test_jobs_are_in_the_order_of_dependencies_and_phases_in_theirs(old: Bundle, new: Bundle) -> None:
    host = SimulatedHost()
    host.run(make_plan(old, host.snapshot(old)))
    plan = make_plan(new, host.snapshot(new))
    jobs = [step.subject for step in plan.of(Action.RELOAD, Action.RESTART, Action.START)]
    after = {unit.name: unit.after for unit in new.units}
    assert all(
        jobs.index(other) < jobs.index(name) for name in jobs for other in after[name] if other in jobs
    )
    phases = {Action.STOP: 0, Action.RELOAD_MANAGER: 2, Action.RELOAD: 3, Action.RESTART: 3, Action.START: 3}
    found = [phases.get(step.action, 1) for step in plan.steps]
    assert found == sorted(found)


@settings(deadline=None)
@given(bundles())
def test_an_apply_that_is_cut_before_its_jobs_is_finished_by_the_next(bundle: Bundle) -> None:
    host = SimulatedHost()
    plan = make_plan(bundle, host.snapshot(bundle))
    jobs = plan.of(Action.START)
    host.run(replace(plan, steps=tuple(step for step in plan.steps if step not in jobs)))
    assert host.installed is not None
    owed = tuple(step.subject for step in jobs)
    host.installed = replace(host.installed, complete=False, to_start=owed)
    assert [step.subject for step in make_plan(bundle, host.snapshot(bundle)).of(Action.START)] == list(owed)
