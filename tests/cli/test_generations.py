"""`history`, `rollback`, `diff`, `apply --atomic` and saved plans, with a fake systemd."""

from __future__ import annotations

import json
import os
import re
import stat
from contextlib import contextmanager
from typing import Any

import pytest

from pm_native.bus.fake import Behaviour
from pm_native.cli.run_options import RunFlags
from tests.cli.switch_host import APPLY, CONFIG, SwitchHost

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

CHANGED = CONFIG.replace("/bin/sleep 1000", "/bin/sleep 1001")
BROKEN = CONFIG.replace("/bin/sleep 1000", "/bin/sleep 1002")
AGAIN = "\n  hint: run `pm-native plan` again"
STALE = (
    "error: the host is not as it was when the plan was saved: what would be done now differs\n"
    "  hint: run `pm-native plan` again and look at it\n"
)
TIMES = re.compile(r"\d{4}-\d\d-\d\dT[0-9:]+\+00:00")


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> SwitchHost:
    monkeypatch.delenv("SUDO_USER", raising=False)
    return SwitchHost(tmp_path, monkeypatch, capsys)


def command_of(host: SwitchHost) -> str:
    """What the installed service runs."""
    text = (host.units / "shop-web.service").read_text()
    return next(line for line in text.splitlines() if line.startswith("ExecStart="))


def test_history_tells_each_apply_and_rollback(host: SwitchHost) -> None:
    host(APPLY)
    host.config(CHANGED)
    host.manager.behaviours = {"shop-web.service": Behaviour.FAILS}
    host(APPLY)
    host.manager.behaviours = {}
    host("rollback --user --settle 0")
    said = host("history --user")
    assert said.code == 0
    assert [
        re.sub(r", \S+: (\d)", r", ME: \1", TIMES.sub("WHEN", line)) for line in said.out.splitlines()
    ] == [
        "+   1  WHEN  done         apply, ME: 13 steps",
        "+   2  WHEN  failed       apply, ME: 3 steps, failed: shop-web.service",
        "*   3  WHEN  done         rollback to 1, ME: 4 steps",
    ]


def test_history_for_programs(host: SwitchHost) -> None:
    host(APPLY)
    (record,) = json.loads(host("history --user --json").out)["data"]
    assert (record["number"], record["result"], record["kept"], record["current"]) == (1, "done", True, True)
    assert record["steps"][0] == "write shop-web.env: new"


def test_rollback_that_has_waited_counts_from_what_the_other_run_has_made(
    host: SwitchHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    host(APPLY)
    host.config(CHANGED)
    lock = RunFlags.lock

    @contextmanager
    def waits(flags: RunFlags, *words: Any, **more: Any) -> Iterator[None]:
        monkeypatch.setattr(RunFlags, "lock", lock)
        host(APPLY)
        with flags.lock(*words, **more):
            yield

    monkeypatch.setattr(RunFlags, "lock", waits)
    assert host("rollback --user --settle 0").code == 0
    assert command_of(host) == "ExecStart=:/bin/sleep 1000"


def test_rollback_goes_to_the_last_generation_that_went_well(host: SwitchHost) -> None:
    host(APPLY)
    host.config(CHANGED)
    host(APPLY)
    assert command_of(host) == "ExecStart=:/bin/sleep 1001"
    said = host("rollback --user --settle 0")
    assert said.code == 0
    assert said.out == "shop: done, 3 steps\n"
    assert host.manager.calls == ["daemon-reload", "restart shop-web.service"]
    assert command_of(host) == "ExecStart=:/bin/sleep 1000"


def test_rollback_to_a_number(host: SwitchHost) -> None:
    for text in (CONFIG, CHANGED, BROKEN):
        host.config(text)
        host(APPLY)
    assert host("rollback 1 --user --settle 0").code == 0
    assert command_of(host) == "ExecStart=:/bin/sleep 1000"


def test_rollback_to_what_is_not_there(host: SwitchHost) -> None:
    host(APPLY)
    said = host("rollback --user")
    assert (said.code, said.err) == (
        64,
        "error: no generation before 1 is kept that went well\n  hint: pm-native history shows all\n",
    )
    said = host("rollback 7 --user")
    assert (said.code, said.err) == (64, "error: generation 7 is not kept\n  hint: kept are: 1\n")


def test_nothing_installed_has_no_history(host: SwitchHost) -> None:
    said = host("history --user")
    assert (said.code, said.err) == (
        69,
        "error: no project is installed in the user manager\n  hint: `pm-native apply --user` installs one\n",
    )


def test_diff_shows_unit_files_and_no_secret(host: SwitchHost) -> None:
    host(APPLY)
    host.config(CHANGED)
    (host.home / "shop.env").write_text('KEY="even more secret"\n')
    host(APPLY)
    said = host("diff --user")
    lines = [line for line in said.out.splitlines() if line[0] in "+-s" and "Made by" not in line]
    assert lines == [
        "shop-web.env differs (its variables are not shown)",
        "--- 1/shop-web.service",
        "+++ 2/shop-web.service",
        "-ExecStart=:/bin/sleep 1000",
        "+ExecStart=:/bin/sleep 1001",
    ]
    assert "secret" not in said.out
    assert host("diff 2 2 --user").out == "generations 2 and 2 have the same files\n"


def test_atomic_apply_goes_back_when_a_unit_fails(host: SwitchHost) -> None:
    host(APPLY)
    host.config(BROKEN)
    host.manager.fails_with = "/bin/sleep 1002"
    said = host(f"{APPLY} --atomic")
    assert said.code == 3
    assert "shop: 1 unit failed" in said.err
    assert "going back to generation 1" in said.err
    assert said.out == "shop: done, 4 steps\n"
    assert command_of(host) == "ExecStart=:/bin/sleep 1000"
    assert host("history --user").out.splitlines()[-1].startswith("*   3")
    assert host("plan --user -f pm-native.toml").code == 2


def test_atomic_first_apply_leaves_nothing_when_a_unit_fails(host: SwitchHost) -> None:
    host.manager.behaviours = {"shop-web.service": Behaviour.FAILS}
    said = host(f"{APPLY} --atomic")
    assert said.code == 3
    assert "going back to what was: nothing" in said.err
    assert [path for path in host.units.rglob("*") if path.is_file()] == []
    assert not (host.home / ".local/state/pm-native").exists()


def test_atomic_apply_that_goes_well_stays(host: SwitchHost) -> None:
    assert host(f"{APPLY} --atomic").code == 0
    assert command_of(host) == "ExecStart=:/bin/sleep 1000"


def test_saved_plan_is_applied_as_it_was_shown(host: SwitchHost) -> None:
    said = host("plan --user -f pm-native.toml -o shop.plan")
    assert (said.code, said.err) == (2, "next: pm-native apply shop.plan\n")
    assert stat.S_IMODE((host.home / "shop.plan").stat().st_mode) == 0o600
    host.config(CHANGED)  # after the plan was saved: of no account
    said = host("apply shop.plan --user --settle 0")
    assert (said.code, said.out) == (0, "shop: done, 13 steps\n")
    assert command_of(host) == "ExecStart=:/bin/sleep 1000"


def test_record_that_the_host_does_not_give_is_told_by_its_name(host: SwitchHost) -> None:
    host(APPLY)
    record = host.home / ".local/state/pm-native/shop/current.json"
    record.unlink()
    record.mkdir()
    said = host(APPLY)
    assert (said.code, said.err) == (69, f"error: cannot use {record}: Is a directory\n")


def test_generation_of_a_newer_version_is_refused(host: SwitchHost) -> None:
    host(APPLY)
    manifest = host.home / ".local/state/pm-native/shop/generations/1/manifest.json"
    manifest.write_text(manifest.read_text().replace('"format": 1', '"format": 99', 1))
    said = host("rollback 1 --user")
    assert (said.code, said.err) == (
        1,
        "error: generation 1: the manifest has format 99, newer than this pm-native knows (1)\n",
    )


def test_saved_plan_is_refused_when_something_else_would_be_done(host: SwitchHost) -> None:
    host("plan --user -f pm-native.toml -o shop.plan")
    host(APPLY)
    host.manager.calls.clear()
    said = host("apply shop.plan --user")
    assert (said.code, said.err) == (
        1,
        STALE,
    )
    assert host.manager.calls == []


def drop_in(host: SwitchHost, text: str) -> None:
    folder = host.units / "shop-web.service.d"
    folder.mkdir(exist_ok=True)
    (folder / "mine.conf").write_text(text)
    host.manager.units["shop-web.service"].drop_in_paths = (f"{folder}/mine.conf",)


def stop(host: SwitchHost) -> None:
    host.manager.units["shop-api@1.service"].active_state = "inactive"


def mask(host: SwitchHost) -> None:
    unit = host.units / "shop-api.target"
    unit.unlink()
    unit.symlink_to("/dev/null")


WEB_DROP_IN = "{units}/shop-web.service.d/mine.conf is another"


@pytest.mark.parametrize(
    ("act", "why"),
    [
        (lambda host: drop_in(host, "[Service]\nNice=5\n"), WEB_DROP_IN),
        (lambda host: (host.home / "watched").write_text("other"), "{home}/watched is another"),
        (stop, "shop-api@1.service was stopped by hand: left stopped"),
        (mask, "shop-api.target is masked: left alone"),
        (lambda host: host("scale --user api=3 --settle 0"), "the last apply is another"),
    ],
)
def test_saved_plan_is_refused_when_the_host_is_another(
    host: SwitchHost, act: Callable[[SwitchHost], object], why: str
) -> None:
    """Though its steps would be just the same: `web` restarts in any case."""
    (host.home / "watched").write_text("one")
    watched = 'environment_files = ["shop.env"]\nrestart_on = ["watched"]'
    host.config(CONFIG.replace('environment_files = ["shop.env"]', watched))
    host(APPLY)
    host.config(CHANGED.replace('environment_files = ["shop.env"]', watched))
    host("plan --user -f pm-native.toml -o shop.plan")
    act(host)
    host.manager.calls.clear()
    said = host("apply shop.plan --user")
    told = why.format(home=host.home, units=host.units)
    assert (said.code, said.err) == (1, STALE.replace("what would be done now differs", told))
    assert host.manager.calls == []


def test_saved_plan_is_refused_when_what_it_left_alone_has_gone(host: SwitchHost) -> None:
    host(APPLY)
    stop(host)
    drop_in(host, "[Service]\nNice=5\n")
    host.config(CHANGED)
    host("plan --user -f pm-native.toml -o shop.plan")
    drop_in(host, "[Service]\nNice=6\n")
    assert WEB_DROP_IN.format(units=host.units) in host("apply shop.plan --user").err
    drop_in(host, "[Service]\nNice=5\n")
    host.manager.units["shop-api@1.service"].active_state = "active"
    said = host("apply shop.plan --user")
    assert "shop-api@1.service was stopped by hand: left stopped, which is so no longer\n" in said.err
    stop(host)
    assert host("apply shop.plan --user --settle 0").code == 0


def test_saved_plan_of_a_state_that_came_back_is_refused_for_the_apply_in_between(host: SwitchHost) -> None:
    host(APPLY)
    host("plan --user -f pm-native.toml -o shop.plan")
    for text in (CHANGED, CONFIG):
        host.config(text)
        host(APPLY)
    assert "the last apply is another\n" in host("apply shop.plan --user").err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "shop.plan is no saved plan: KeyError('format')"),
        ("[]", "shop.plan is no saved plan: TypeError('list indices must be integers or slices, not str')"),
        ('{"format": 99, "plan": 1}', f"shop.plan is from a newer pm-native{AGAIN}"),
        ('{"format": 1, "plan": 1}', f"shop.plan is from an older pm-native{AGAIN}"),
        (
            '{"format": 2, "plan": 1, "texts": {}, "drift": [], "facts": {}}',
            "the manifest is damaged: not a JSON object",
        ),
    ],
)
def test_what_is_no_saved_plan_is_refused(host: SwitchHost, text: str, message: str) -> None:
    (host.home / "shop.plan").write_text(text)
    said = host("apply shop.plan --user")
    assert (said.code, said.err) == (1, f"error: {message}\n")


def test_saved_plan_whose_text_was_changed_is_refused(host: SwitchHost) -> None:
    host("plan --user -f pm-native.toml -o shop.plan")
    path = host.home / "shop.plan"
    path.write_text(path.read_text().replace("/bin/sleep 1000", "/bin/evil  1000"))
    said = host("apply shop.plan --user")
    assert said.code == 1
    assert said.err == "error: shop-web.service in the plan shop.plan has changed since it was saved\n"


def test_saved_plan_that_is_no_text_any_more_is_told_without_what_is_in_it(host: SwitchHost) -> None:
    (host.home / "shop.plan").write_bytes(b'{"texts": {"shop-web.env": "KEY=hunter2\xff"}}')
    said = host("apply shop.plan --user")
    assert said.code == 1
    assert said.err.startswith("error: shop.plan is no saved plan: 'utf-8' codec can't decode byte 0xff ")
    assert "hunter2" not in said.err


def test_plan_is_saved_to_a_file_of_its_own_and_never_to_one_that_is_there(host: SwitchHost) -> None:
    path = host.home / "shop.plan"
    path.write_text("old")
    path.chmod(0o666)
    with path.open() as others:
        assert host("plan --user -f pm-native.toml -o shop.plan").code == 2
        assert others.read() == "old"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.unlink()
    for kind in ("link", "pipe"):
        if kind == "link":
            path.symlink_to("victim")
        else:
            os.mkfifo(path)
        said = host("plan --user -f pm-native.toml -o shop.plan")
        assert (said.code, said.err) == (69, "error: cannot write shop.plan: it is there, and no file\n")
        path.unlink()
    assert not (host.home / "victim").exists()


def test_saved_plan_and_config_exclude_each_other(host: SwitchHost) -> None:
    host("plan --user -f pm-native.toml -o shop.plan")
    said = host("apply shop.plan --user -f pm-native.toml")
    assert (said.code, said.err) == (
        64,
        "error: a saved plan says what to apply\n  hint: leave --file and --from out\n",
    )
    assert host("apply no.plan --user").code == 64
