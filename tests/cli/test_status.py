"""`pm-native status`, and which project and which units the day-to-day commands are about."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest

from pm_native.bus.fake import FakeUnit
from pm_native.cli.status_text import Screen, TablePrinter, table_text
from pm_native.model.record import SourceFile
from pm_native.monitor.table import UnitStatus
from pm_native.monitor.tree import TreeProcess
from tests.cli.host import CommandHost
from tests.monitor.fakes import SHOP, running

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

    from pm_native.compile.bundle import Bundle

BLOG = replace(
    SHOP,
    project="blog",
    units=tuple(
        replace(unit, name=unit.name.replace("shop", "blog"), file=unit.file.replace("shop", "blog"))
        for unit in SHOP.units[:4]
    ),
)
ROW = UnitStatus(
    unit="shop-api@1.service",
    process="api",
    label="api@1",
    load_state="loaded",
    active_state="active",
    sub_state="running",
    pid=812,
    uptime_sec=600.0,
    restarts=3,
    memory_bytes=54804480,
    cpu_usec=60_000_000,
)
FAILED = replace(
    ROW,
    unit="shop-redis.service",
    process="redis",
    label="redis",
    active_state="failed",
    sub_state="failed",
    result="exit-code",
    exit="exit status 203/EXEC: the program cannot be executed",
    pid=None,
    uptime_sec=None,
    memory_bytes=None,
    cpu_usec=None,
)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandHost:
    return CommandHost(tmp_path, monkeypatch, capsys)


def up(host: CommandHost, *bundles: Bundle) -> None:
    """Install the projects; what is to run, runs."""
    host.manager.extra["shop-backup.timer Timer.NextElapseUSecRealtime"] = 0
    for bundle in bundles:
        host.install(bundle)
        for unit in bundle.units:
            host.manager.add(running(unit.name) if unit.start else FakeUnit(name=unit.name))


def test_table_of_a_project(host: CommandHost) -> None:
    up(host, SHOP)
    assert host("status --user").out == (
        "PROCESS  STATE             PID  UPTIME  RESTARTS  MEM  AVG CPU\n"
        "redis    active (running)    -       -         0    -        -\n"
        "api@1    active (running)    -       -         0    -        -\n"
        "api@2    active (running)    -       -         0    -        -\n"
        "debug    inactive (dead)     -       -         -    -        -\n"
        "backup   scheduled           -       -         -    -        -\n"
        "shop: 4 of 4 up\n"
    )


def test_all_is_well_says_how_systemctl_would_say_it(host: CommandHost) -> None:
    up(host, SHOP)
    said = host("status --user")
    assert (said.code, said.err) == (0, "the same: systemctl --user status shop.target 'shop-*'\n")


def test_failure_is_exit_code_4_and_says_where_to_look(host: CommandHost) -> None:
    up(host, SHOP)
    host.manager.add(
        FakeUnit(
            name="shop-redis.service",
            active_state="failed",
            sub_state="failed",
            result="exit-code",
            exec_main_status=3,
        )
    )
    said = host("status --user redis")
    assert said.code == 4
    assert said.out == (
        "PROCESS  STATE                   PID  UPTIME  RESTARTS  MEM  AVG CPU\n"
        "redis    failed (exit status 3)    -       -         0    -        -\n"
        "shop: 0 of 1 up, 1 failed\n"
    )
    assert said.err.splitlines()[0] == "why: pm-native logs --user redis (from pm-native.toml:4)"


def test_stopped_process_is_no_failure(host: CommandHost) -> None:
    up(host, SHOP)
    host.manager.add(FakeUnit(name="shop-redis.service"))
    said = host("status --user redis")
    assert said.code == 0
    assert said.out.splitlines()[-1] == "shop: 0 of 1 up"


def test_json_has_base_units_and_null_for_what_is_not_known(host: CommandHost) -> None:
    up(host, SHOP)
    said = host("status --user api@2 --json")
    assert said.err == ""
    assert json.loads(said.out)["data"] == {
        "projects": [
            {
                "project": "shop",
                "scope": "user",
                "runtime": False,
                "processes": [
                    {
                        "process": "api",
                        "name": "api@2",
                        "unit": "shop-api@2.service",
                        "where": "pm-native.toml:7",
                        "wanted": True,
                        "failed": False,
                        "load_state": "loaded",
                        "active_state": "active",
                        "sub_state": "running",
                        "job": None,
                        "result": None,
                        "exit": None,
                        "status": None,
                        "pid": None,
                        "uptime_seconds": None,
                        "restarts": 0,
                        "memory_bytes": None,
                        "memory_source": None,
                        "cpu_seconds": None,
                        "cpu_share": None,
                        "cpu_share_of": "lifetime",
                        "timer": None,
                    }
                ],
            }
        ]
    }


def test_nothing_installed_is_said_with_the_way_out(host: CommandHost) -> None:
    said = host("status --user")
    assert (said.code, said.out) == (69, "")
    assert said.err == (
        "error: no project is installed in the user manager\n  hint: `pm-native apply --user` installs one\n"
    )


def projects_in(said_out: str) -> list[str]:
    return [line.partition(":")[0] for line in said_out.splitlines() if " up" in line]


def test_several_projects_are_all_shown(host: CommandHost) -> None:
    up(host, SHOP, BLOG)
    assert projects_in(host("status --user").out) == ["blog", "shop"]


def test_config_in_this_folder_decides_which_project(host: CommandHost) -> None:
    source = SourceFile(path=str(host.home / "pm-native.toml"), sha256="")
    up(host, SHOP, replace(BLOG, sources=(source,)))
    assert projects_in(host("status --user").out) == ["blog"]
    assert projects_in(host("status --user shop").out) == ["shop"]
    assert projects_in(host("status --user debug").out) == ["shop"]  # there is none of that name near
    assert projects_in(host("status --user api").out) == ["blog"]


def labels(said_out: str) -> list[str]:
    return [line.split()[0] for line in said_out.splitlines()[1:-1]]


@pytest.mark.parametrize(
    ("words", "rows"),
    [
        ("shop", ["redis", "api@1", "api@2", "debug", "backup"]),
        ("shop.target", ["redis", "api@1", "api@2", "debug", "backup"]),
        ("api", ["api@1", "api@2"]),
        ("api@2", ["api@2"]),
        ("shop-api@2", ["api@2"]),
        ("shop-api@2.service", ["api@2"]),
        ("api@2 redis", ["redis", "api@2"]),
        ("shop/api@2", ["api@2"]),
        ("backup", ["backup"]),
    ],
)
def test_words_name_units(host: CommandHost, words: str, rows: list[str]) -> None:
    up(host, SHOP)
    assert labels(host(f"status --user {words}").out) == rows


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("rediss", "error: shop has no process or unit 'rediss'\n  hint: did you mean 'redis'?\n"),
        ("api@7", "error: shop has no process or unit 'api@7'\n  hint: did you mean 'api@2'?\n"),
        ("shpo/api", "error: no project 'shpo' is installed\n  hint: did you mean 'shop'?\n"),
        (
            "shop/x",
            "error: shop has no process or unit 'x'\n  hint: there are: redis, api, debug, backup, api@1, api@2, shop\n",
        ),
    ],
)
def test_word_that_names_nothing_is_an_error(host: CommandHost, words: str, error: str) -> None:
    up(host, SHOP)
    said = host(f"status --user {words}")
    assert (said.code, said.out, said.err) == (64, "", error)


def test_word_that_two_projects_have_is_an_error(host: CommandHost) -> None:
    up(host, SHOP, BLOG)
    said = host("status --user api")
    assert (said.code, said.err) == (
        64,
        "error: several projects have 'api'\n  hint: say blog/api or shop/api\n",
    )


@pytest.mark.parametrize(
    ("interval", "error"),
    [
        ("soon", "error: --interval: a number is expected, not 's'\n  hint: such as 2s or 500ms\n"),
        ("1ms", "error: --interval: from 100ms to 1h, not 1ms\n"),
    ],
)
def test_interval_that_is_none(host: CommandHost, interval: str, error: str) -> None:
    said = host(f"status --user --watch --interval {interval}")
    assert (said.code, said.err) == (64, error)


def test_watch_repeats_the_table_until_ctrl_c_and_ends_well(
    host: CommandHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    up(host, SHOP)
    naps: list[float] = []
    sleep = asyncio.sleep

    async def nap(seconds: float) -> None:
        if seconds:
            naps.append(seconds)
        if len(naps) == 3:
            raise KeyboardInterrupt
        await sleep(0)

    monkeypatch.setattr("asyncio.sleep", nap)
    said = host("status --user --watch redis")
    block = (
        "PROCESS  STATE             PID  UPTIME  RESTARTS  MEM  CPU\n"
        "redis    active (running)    -       -         0    -    -\n"
        "shop: 1 of 1 up\n"
    )
    assert (said.code, said.out) == (0, f"{block}\n{block}\n")
    assert naps[0] == 0.25


def printed(rows: list[UnitStatus], width: int, shares: dict[str, float | None] | None = None) -> list[str]:
    return list(TablePrinter({}, shares, 0.0, width).lines(rows))


def test_wide_enough_a_table_is_not_cut() -> None:
    whole = [
        "PROCESS  STATE                          PID  UPTIME  RESTARTS    MEM  AVG CPU",
        "api@1    active (running)               812   10min         3  52.3M    10.0%",
        "redis    failed (exit status 203/EXEC)    -       -         3      -        -",
    ]
    assert printed([ROW, FAILED], 0) == printed([ROW, FAILED], 120) == whole


def test_narrow_terminal_shortens_the_state_first() -> None:
    assert printed([ROW, FAILED], 64) == [
        "PROCESS  STATE             PID  UPTIME  RESTARTS    MEM  AVG CPU",
        "api@1    active (running)  812   10min         3  52.3M    10.0%",
        "redis    failed (exit st…    -       -         3      -        -",
    ]


def test_no_line_is_longer_than_the_terminal() -> None:
    noted = replace(ROW, status_text="unhealthy: connection refused, and more to say of it")
    for width in (20, 40, 66, 80):
        assert max(map(len, printed([noted, FAILED], width))) <= width


def test_status_text_has_a_column_where_there_is_any() -> None:
    assert printed([replace(ROW, status_text="unhealthy:\nhttp 500 x3")], 0) == [
        "PROCESS  STATE             PID  UPTIME  RESTARTS    MEM  AVG CPU  STATUS",
        "api@1    active (running)  812   10min         3  52.3M    10.0%  unhealthy:�http 500 x3",
    ]


def test_sum_over_processes_is_marked_and_shares_of_an_interval_replace_the_average() -> None:
    row = replace(ROW, memory_is_sum=True)
    assert printed([row], 0, {row.unit: 0.25}) == [
        "PROCESS  STATE             PID  UPTIME  RESTARTS     MEM    CPU",
        "api@1    active (running)  812   10min         3  ~52.3M  25.0%",
    ]


def test_colour_only_underlines_what_the_words_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    painted = printed([ROW, FAILED], 0)
    assert "\x1b[32mactive (running)\x1b[0m " in painted[1]
    assert "\x1b[31mfailed (exit status 203/EXEC)\x1b[0m " in painted[2]
    monkeypatch.setenv("NO_COLOR", "1")
    plain = printed([ROW, FAILED], 0)
    for code in ("31", "32", "1"):
        painted = [line.replace(f"\x1b[{code}m", "") for line in painted]
    assert [line.replace("\x1b[0m", "") for line in painted] == plain


def test_tree_is_below_its_unit() -> None:
    tree = [
        TreeProcess(pid=812, depth=0, command="node a.js", user="shop", memory_bytes=1 << 20, cpu_sec=1.25),
        TreeProcess(pid=815, depth=1, command="sh\x1b[2J"),
    ]
    assert table_text({"shop": [ROW]}, {ROW.unit: tree}, None, 1.0).splitlines()[2:] == [
        "  812 node a.js (1.0M, 1.2s CPU, shop)",
        "    815 sh�[2J (-, - CPU, -)",
        "shop: 1 of 1 up",
    ]


class Terminal:
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        return True


def test_watch_redraws_in_place_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "4")
    screen = Screen(Terminal())  # type: ignore[arg-type]
    screen.show("a\nb\nc\nd\ne")
    screen.show("f")
    assert capsys.readouterr().out == (
        "\x1b[2J\x1b[Ha\x1b[K\nb\x1b[K\nand 3 more lines\x1b[K\n\x1b[J\x1b[Hf\x1b[K\n\x1b[J"
    )
