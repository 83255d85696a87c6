"""The `health` of a process: what each way of writing it means, and what is refused with which words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pm_native.config.decoder import TableDecoder
from pm_native.config.health import HealthDecoder
from pm_native.config.health_keys import HEALTH
from pm_native.config.load import parse_text
from pm_native.config.table import Key, Table
from pm_native.errors import NOWHERE, Diagnostics, Source
from pm_native.model.health import (
    Action,
    Check,
    Combine,
    Does,
    ExecProbe,
    FileProbe,
    Health,
    HttpProbe,
    MemoryProbe,
    NotifyProbe,
    OutputProbe,
    TcpProbe,
    UnixProbe,
)

SECOND = 1_000_000
STATUS = Action(does=Does.STATUS)


def decode(text: str) -> tuple[Health | None, list[str]]:
    """The checks without their places, and the diagnostics with theirs."""
    problems = Diagnostics()
    root = parse_text(Source("x.toml", text), ".toml", problems)
    assert root is not None
    decoder = TableDecoder(problems)
    values = decoder.decode(root, Table((Key(name="health", type=HEALTH, help=""),)))["health"]
    assert isinstance(values, dict)
    health = HealthDecoder(decoder, "/srv/shop").health(values)
    said = [f"{item.span.line}:{item.span.column}: {item.message} [{item.code}]" for item in problems]
    return health and placeless(health), said


def placeless(health: Health) -> Health:
    found = {phase.value: replace(check, span=NOWHERE) for phase, check in health.checks}
    return Health(**found, strict=health.strict)


@pytest.mark.parametrize(
    "written", ['"/healthz"', '{ http = "/healthz" }', '{ http = { url = "/healthz" } }']
)
def test_a_path_is_asked_for_by_http_for_ready_and_alive(written: str) -> None:
    probes = (HttpProbe(path="/healthz"),)
    expected = Health(ready=Check(probes=probes, action=STATUS), alive=Check(probes=probes))
    assert decode(f"health = {written}") == (expected, [])


def test_what_stands_beside_the_phases_is_for_ready_and_alive() -> None:
    text = (
        'health = { tcp = true, interval = "5s", timeout = "1s", retries = 2, success = 4, start_period = "30s",'
        ' start_interval = "2s", jitter = "20%", action = "stop" }'
    )
    check = Check(
        probes=(TcpProbe(),),
        interval_usec=5 * SECOND,
        start_interval_usec=2 * SECOND,
        timeout_usec=SECOND,
        retries=2,
        success=4,
        start_period_usec=30 * SECOND,
        jitter_permyriad=2000,
        action=Action(does=Does.STOP),
    )
    assert decode(text) == (Health(ready=replace(check, action=STATUS), alive=check), [])


def test_each_phase_can_have_its_own() -> None:
    text = """
health.strict = true
health.startup = { exec = "pg_isready -q", start_period = "2min" }
health.ready = { any = [{ unix = "run/a.sock" }, { unix = "@a" }] }
health.alive = { all = [{ file = { path = "beat", max_age = "1min" } }, { memory = "400M" }], action = { signal = "USR1" } }
"""
    startup = Check(
        probes=(ExecProbe(command=("pg_isready", "-q")),),
        start_period_usec=120 * SECOND,
    )
    ready = Check(
        probes=(UnixProbe(path="/srv/shop/run/a.sock"), UnixProbe(path="@a")),
        combine=Combine.ANY,
        action=STATUS,
    )
    alive = Check(
        probes=(
            FileProbe(path="/srv/shop/beat", max_age_usec=60 * SECOND),
            MemoryProbe(limit_bytes=400 << 20),
        ),
        action=Action(does=Does.SIGNAL, signal="SIGUSR1"),
    )
    assert decode(text) == (Health(startup=startup, ready=ready, alive=alive, strict=True), [])


def test_a_phase_of_its_own_takes_the_place_of_what_stands_beside() -> None:
    text = 'health = { tcp = 1, alive = { tcp = 2, action = { exec = ["page", "me"] } } }'
    page = Action(does=Does.EXEC, command=("page", "me"))
    expected = Health(
        ready=Check(probes=(TcpProbe(port=1),), action=STATUS),
        alive=Check(probes=(TcpProbe(port=2),), action=page),
    )
    assert decode(text) == (expected, [])


def test_probes_beside_the_phases_are_for_the_phase_that_they_can_tell_of() -> None:
    text = 'health = { output = "up$", memory = "1G" }'
    expected = Health(
        ready=Check(probes=(OutputProbe(pattern="up$"),), action=STATUS),
        alive=Check(probes=(MemoryProbe(limit_bytes=1 << 30),)),
    )
    assert decode(text) == (expected, [])
    assert decode("health.notify = true") == (
        Health(ready=Check(probes=(NotifyProbe(),), action=STATUS)),
        [],
    )


@pytest.mark.parametrize(
    ("written", "probe"),
    [
        ('"http://10.0.0.1/a?b=c#d"', HttpProbe(host="10.0.0.1", port=80, path="/a?b=c")),
        ('"https://shop.example"', HttpProbe(host="shop.example", port=443, path="/", tls=True)),
        ('"http://[::1]:8080/"', HttpProbe(host="::1", port=8080)),
        ('{ url = "/", tls = true, verify = false }', HttpProbe(tls=True, verify=False)),
        (
            '{ url = "https://a/b", unix = "a.sock", ca = "/ca.pem" }',
            HttpProbe(host="a", path="/b", tls=True, unix="/srv/shop/a.sock", ca="/ca.pem"),
        ),
        (
            '{ method = "head", headers = { Host = "a" }, status = [200, "300-399"], body = "ok" }',
            HttpProbe(method="HEAD", headers=(("Host", "a"),), status=((200, 200), (300, 399)), body="ok"),
        ),
    ],
)
def test_http(written: str, probe: HttpProbe) -> None:
    expected = Health(alive=Check(probes=(probe,)))
    assert decode(f"health.alive.http = {written}") == (expected, [])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("health = {}", "1:1: no probe is named [no-probe]"),
        ('health.ready = { interval = "1s" }', "1:8: no probe is named [no-probe]"),
        ('health = { interval = "1s" }', "1:12: there is no probe that this is for [no-probe]"),
        ('health.interval = "infinity"', "1:20: the duration is too long [bad-quantity]"),
        ("health.tcp.port = false", "1:12: no port [bad-port]"),
        (
            'health.alive.output = "x"',
            "1:8: what a program once wrote does not tell that it is alive [probe-phase]",
        ),
        (
            'health.ready.memory = "1M"',
            "1:8: a program that uses little memory is not ready for that [probe-phase]",
        ),
        (
            "health.ready = { notify = true, tcp = 1 }",
            "1:18: what the program says itself stands alone [probe-mix]",
        ),
        (
            "health.ready = { tcp = 1, any = [{ tcp = 2 }] }",
            "1:27: some probes of which any, and others, is not one check [probe-mix]",
        ),
        (
            'health.output = "("',
            "1:17: not a regular expression: missing ), unterminated subpattern at position 0",
        ),
        ('health = "/a b"', "1:1: characters that a URL cannot hold [bad-url]"),
        ('health = "ftp://a"', "1:1: not a URL of http or https: 'ftp://a' [bad-url]"),
        ('health = "http://u:p@a"', "1:1: not a URL of http or https: 'http://u:p@a' [bad-url]"),
        ('health = "http://a:99999"', "1:1: not a URL: Port out of range 0-65535 [bad-url]"),
        ('health.http.status = "299-200"', "1:22: not a range of statuses: '299-200' [bad-status]"),
        ('health.http.method = "G T"', "1:13: not a method of HTTP: 'G T' [bad-http]"),
        ('health.http.headers = { A = "b\\nC: d" }', "1:25: not a header of HTTP [bad-http]"),
        ('health.http.headers = { "A:" = "b" }', "1:25: not a header of HTTP [bad-http]"),
        (
            'health.exec = "a \'b"',
            "1:8: cannot split the command into words: no closing quotation [bad-command]",
        ),
        (
            'health.ready = { tcp = 1, action = "restart" }',
            "1:27: a program that is not ready goes on [bad-action]",
        ),
        ('health.alive = { tcp = 1, action = "exec" }', "1:27: exec needs to be told [bad-action]"),
        (
            'health.alive = { tcp = 1, action = { does = "stop", exec = "a" } }',
            "1:27: one thing can be done [bad-action]",
        ),
    ],
)
def test_what_cannot_be_is_refused(text: str, said: str) -> None:
    _, found = decode(text)
    assert [line for line in found if line.startswith(said)], found
    assert len(found) == 1
