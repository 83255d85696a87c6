"""The command line of `pm-native-run`: what the compiler writes is read back, anything else is refused in words."""

from __future__ import annotations

import signal
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pm_native.runtime.arguments import (
    PHASES,
    PROBES,
    ArgumentsError,
    parse_arguments,
    parse_units,
    port_number,
    seconds,
    signal_number,
    size,
)
from tests.cases.case import load_cases

OPTIONS = [
    *(f"--{name}" for name in (*PHASES, *PROBES)),
    "--unit", "--user", "--port", "--start-timeout", "--strict", "--notify", "--any", "--interval", "--retries",
    "--jitter", "--on-failure", "--on-failure-run", "--arg", "--socket", "--header", "--status", "--max-age", "--",
]  # fmt: skip
VALUES = [
    "",
    "1",
    "1s",
    "/",
    "restart",
    "signal:SIGTERM",
    "200-299",
    "A: b",
    "10%",
    "nan",
    "infs",
    "-1s",
    "%i",
]


def test_everything_has_its_place() -> None:
    words = [
        "--unit=a.service",
        "--user",
        "--port=2999+2",
        "--start-timeout=90s",
        "--strict",
        "--notify",
        "--startup",
        "--exec=/bin/a",
        "--arg=-b",
        "--arg=",
        "--interval=0.25s",
        "--start-interval=0.5s",
        "--start-period=2s",
        "--ready",
        "--http=/",
        "--socket=/s",
        "--method=HEAD",
        "--status=200",
        "--status=300-399",
        "--body=x",
        "--ca=/c",
        "--no-verify",
        "--tls",
        "--timeout=1s",
        "--success=2",
        "--jitter=20%",
        "--on-failure-run=/bin/page",
        "--arg=me",
        "--alive",
        "--any",
        "--tcp",
        "--unix=@u",
        "--file=/f",
        "--max-age=60s",
        "--memory=4M",
        "--output=o",
        "--log=/l",
        "--retries=5",
        "--on-failure=signal:SIGUSR1",
        "--",
        "program",
        "--unit=x",
        "--",
    ]
    found = parse_arguments(words)
    assert (found.unit, found.user, port_number(found.port)) == ("a.service", True, 3001)
    assert (found.start_timeout, found.strict, found.keeps_notify) == (90.0, True, True)
    assert found.command == ["program", "--unit=x", "--"]
    startup, ready, alive = (found.phases[name] for name in PHASES)
    assert (startup.probes[0].target, startup.probes[0].arguments) == ("/bin/a", ["-b", ""])
    assert (startup.interval, startup.start_interval, startup.start_period) == (0.25, 0.5, 2.0)
    http = ready.probes[0]
    assert (http.target, http.socket, http.method, http.status) == (
        "/",
        "/s",
        "HEAD",
        [(200, 200), (300, 399)],
    )
    assert (http.body, http.ca, http.verify, http.tls) == ("x", "/c", False, True)
    assert (ready.timeout, ready.success, ready.jitter) == (1.0, 2, 0.2)
    assert (ready.action, ready.run) == ("exec", ["/bin/page", "me"])
    assert [(probe.kind, probe.target) for probe in alive.probes] == [
        ("tcp", ""), ("unix", "@u"), ("file", "/f"), ("memory", "4M"), ("output", "o"),
    ]  # fmt: skip
    assert (alive.any, alive.probes[2].max_age, alive.probes[4].log, alive.retries) == (True, 60.0, "/l", 5)
    assert (alive.action, alive.signal) == ("signal", signal.SIGUSR1)


def test_defaults_are_those_of_the_config() -> None:
    found = parse_arguments(["--unit=a", "--ready", "--unix=/a", "--alive", "--unix=/a", "--", "a"]).phases
    for check, action in ((found["ready"], "status"), (found["alive"], "restart")):
        told = (
            check.interval,
            check.start_interval,
            check.timeout,
            check.retries,
            check.success,
            check.start_period,
        )
        assert told == (10.0, 1.0, 3.0, 3, 1, 0.0)
        assert (check.jitter, check.action, check.any) == (0.1, action, False)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("", "usage: pm-native-run OPTIONS -- COMMAND [ARGUMENT]..."),
        ("--", "there is no command behind --"),
        ("sleep -- a", "not an option: 'sleep'"),
        ("--what=1 -- a", "unknown option --what"),
        ("--alive --unix=/a -- a", "checks need --unit=NAME, the unit that they are for"),
        ("--unit=a --alive -- a", "--alive has no probe"),
        ("--unit=a --alive --alive -- a", "--alive is there twice"),
        ("--unit=a --tcp -- a", "--tcp belongs to a phase: one of --startup, --ready, --alive"),
        (
            "--unit=a --alive --max-age=1s -- a",
            "--max-age belongs to a probe: one of --http, --tcp, --unix, --exec, --output, --file, --memory",
        ),
        ("--unit=a --arg=1 -- a", "--arg belongs to --exec or --on-failure-run"),
        ("--unit=a --alive --tcp -- a", "--tcp of --alive needs --port=NUMBER, the program's own"),
        ("--unit=a --ready --http=/ -- a", "--http of --ready needs --port=NUMBER, the program's own"),
        ("--unit=a --alive --http -- a", "--http: not a value for it: ''"),
        ("--unit=a --alive --unix=/a --interval=10 -- a", "--interval: not a value for it: '10'"),
        ("--unit=a --alive --unix=/a --interval=nans -- a", "--interval: not a value for it: 'nans'"),
        ("--unit=a --port=0 -- a", "--port: not a value for it: '0'"),
        ("--unit=a --alive --memory=1Q -- a", "--memory: not a value for it: '1Q'"),
        ("--unit=a --alive --unix=/a --on-failure=fly -- a", "--on-failure: not a value for it: 'fly'"),
        (
            "--unit=a --alive --unix=/a --on-failure=signal:SIG_IGN -- a",
            "--on-failure: not a value for it: 'signal:SIG_IGN'",
        ),
        ("--unit=a --unit=b -- a", "a command belongs to one --unit"),
    ],
)
def test_what_makes_no_sense_is_refused(words: str, said: str) -> None:
    with pytest.raises(ArgumentsError) as caught:
        parse_arguments(words.split())
    assert str(caught.value) == said


@settings(max_examples=400, deadline=None, derandomize=True, database=None)
@given(st.lists(st.one_of(st.sampled_from(OPTIONS), st.text(max_size=8)).flatmap(
    lambda name: st.one_of(st.just(name), st.sampled_from(VALUES).map(lambda value: f"{name}={value}"))
), max_size=12))  # fmt: skip
def test_any_words_are_taken_or_refused(words: list[str]) -> None:
    for parse in (parse_arguments, parse_units):
        with suppress(ArgumentsError):
            parse(words)


def test_what_the_compiler_writes_is_read() -> None:
    """Each case of compile/ that runs by pm-native-run, its specifiers filled in as systemd would."""
    from pm_native.compile.bundle import FileKind
    from pm_native.unit.file import Specifier
    from pm_native.unit.parse import parse_unit
    from tests.cases.case import compile_case

    seen = 0
    for case in load_cases("compile"):
        bundle, _ = compile_case(case)
        for file in bundle.files if bundle else ():
            if file.kind is not FileKind.UNIT or "run.py" not in file.text:
                continue
            for setting in parse_unit(file.text).settings():
                if setting.directive.name == "ExecStart":
                    pieces = [[word] if isinstance(word, str) else word for word in setting.words]
                    words = [
                        "".join("3" if isinstance(p, Specifier) else p for p in word) for word in pieces
                    ]
                    found = parse_arguments(words[4:])
                    assert found.command
                    seen += 1
    assert seen >= 5


def test_quantities() -> None:
    assert [seconds("10s"), seconds("0.25s")] == [10.0, 0.25]
    assert [size("10"), size("4K"), size("1G")] == [10, 4096, 1 << 30]
    assert [port_number("3000"), port_number("2999+2"), port_number("3000-1+1")] == [3000, 3001, 3000]
    assert [signal_number("SIGHUP"), signal_number("SIGRTMIN+3")] == [1, signal.SIGRTMIN + 3]
