"""A kill at each point of apply, remove and rollback: nothing is torn, and the next run finishes or undoes it."""

from __future__ import annotations

import re
import stat

import pytest

from pm_native.compile.bundle import FileKind, Installed, recorded
from pm_native.state.generations import Generations
from tests.crash.hosts import NEW, OLD, OTHER_UNIT, OTHERS, CrashHost

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

    from pm_native.compile.bundle import Bundle
    from tests.crash.hosts import Left, Tree

UNITS, ENVIRONMENT, RECORDS = "etc/systemd/system/", "etc/pm-native/shop/", "var/lib/pm-native/shop/"
SCRATCH = re.compile(r"\.(shop.*)\.\d+\.new")
WORDS = {"nothing": None, "old": OLD, "new": NEW}


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CrashHost:
    return CrashHost(tmp_path, monkeypatch)


def switch(host: CrashHost, wanted: Bundle | None) -> None:
    outcome = host.apply(wanted)
    assert outcome.failures == []


def ours(tree: Tree) -> Tree:
    """The files and links of the disk that are neither somebody else's nor records."""
    return {
        name: (stat.S_IMODE(mode), text)
        for name, (mode, text) in tree.items()
        if not stat.S_ISDIR(mode) and name not in OTHERS and not name.startswith(RECORDS)
    }


def expected(wanted: Bundle | None) -> Tree:
    """The files and links as they are when `wanted` is applied."""
    if wanted is None:
        return {}
    found = {
        f"{UNITS if item.kind is FileKind.UNIT else ENVIRONMENT}{item.name}": (item.mode, item.text)
        for item in wanted.files
    }
    link = "multi-user.target.wants/shop.target"
    return {**found, f"{UNITS}{link}": (0o777, "-> /etc/systemd/system/shop.target")}


def active(host: CrashHost) -> set[str]:
    return {unit.name for unit in host.manager.units.values() if unit.active_state == "active"}


def check_others(host: CrashHost, tree: Tree) -> None:
    assert {name: tree[name][1] for name in OTHERS} == OTHERS
    assert OTHER_UNIT in active(host)


def check_generations(host: CrashHost) -> None:
    """Each that is kept is whole, and for root alone."""
    kept = Generations(host.store.directory)
    for number in kept.numbers():
        assert kept.record(number).number == number
        assert kept.bundle(number) in (OLD, NEW)


def check_left(host: CrashHost, left: Left) -> None:
    """What must be so at any moment."""
    whole = [expected(OLD), expected(NEW)]
    installed = host.store.load()
    owned = {item.name for item in installed.bundle.files} if installed else set()
    for name, value in ours(left.tree).items():
        base = name.rpartition("/")[2]
        if scratch := SCRATCH.fullmatch(base):
            assert scratch[1] in owned, f"scratch file of nobody: {name}"
            continue
        assert value in [tree.get(name) for tree in whole], f"torn: {name}"
        assert base in owned, f"outside of the record: {name}"
    units = {unit.name for unit in installed.bundle.units} if installed else set()
    assert active(host) - {OTHER_UNIT} <= units
    check_others(host, left.tree)
    check_generations(host)


def check_done(host: CrashHost, wanted: Bundle | None) -> None:
    """What must be so when a run has come to its end."""
    tree = host.files()
    assert ours(tree) == expected(wanted)
    check_others(host, tree)
    records = sorted(name for name in tree if name.startswith(RECORDS) and "/files" not in name)
    if wanted is None:
        assert (records, active(host)) == ([], {OTHER_UNIT})
        assert "etc/pm-native/shop" not in tree
        return
    installed = host.installed
    assert installed == Installed(generation=installed.generation, bundle=recorded(wanted))
    assert active(host) == {unit.name for unit in wanted.units} | {OTHER_UNIT}
    for name in (unit.name for unit in wanted.units if unit.name.endswith(".service")):
        assert host.manager.runs_on[name] == host.manager.settings(name), f"{name} runs on old settings"
    check_generations(host)
    kept = Generations(host.store.directory)
    assert [name for name in records if "/." in name] == []
    assert kept.bundle(installed.generation) == wanted
    assert kept.record(installed.generation).result == "done"
    history = [record.number for record in kept.history()]
    assert history == sorted(set(history))
    assert history[-1] == installed.generation
    plan = host.plan(wanted)
    assert plan.is_empty
    host.run(plan)
    assert host.files() == tree, "the second run writes"


CASES = {
    "first apply": (["nothing"], "old", ["old", "nothing", "new"]),
    "change": (["old"], "new", ["new", "old", "nothing"]),
    "removal": (["old"], "nothing", ["nothing", "old"]),
    "rollback": (["old", "new"], "generation 1", ["generation 1", "new", "nothing"]),
}


@pytest.mark.parametrize("case", CASES)
def test_kill_at_any_point_is_finished_or_undone_by_the_next_run(host: CrashHost, case: str) -> None:
    path, to, following = CASES[case]
    for word in path:
        if (bundle := WORDS[word]) is not None:
            switch(host, bundle)
    kept = Generations(host.store.directory)

    def wanted(word: str) -> Bundle | None:
        return kept.bundle(1) if word == "generation 1" else WORDS[word]

    begin = host.photograph(lambda: None)[0]
    assert len(host.plan(wanted(to)).steps) >= 30
    host.put_back(begin)
    photographs = host.photograph(lambda: switch(host, wanted(to)))
    assert host.points > 100
    for index, left in enumerate(photographs):
        host.put_back(left)
        check_left(host, left)
        # The same again after each, and after every other what else may come next, in turn.
        others = following[1:]
        for word in (following[0], *(others[index // 2 % len(others)] for _ in range(index % 2))):
            host.put_back(left)
            try:
                switch(host, wanted(word))
                check_done(host, wanted(word))
            except Exception as error:
                raise AssertionError(f"killed at point {left.point}, then {word}") from error
