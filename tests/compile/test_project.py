"""What no case can state: the same bytes in each run, values too long for a file, models that no config makes."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from pm_native.compile.options import CompileOptions
from pm_native.compile.project import compile_project
from pm_native.compile.scale import scaled
from pm_native.errors import ConfigError, Diagnostics, Source
from pm_native.model.health import Check, Health, Monitor, TcpProbe
from pm_native.model.project import Counter, Dependency, Listen, Process, Project, Variable
from tests.cases.case import compile_case, files_of, load_cases, rendered
from tests.compile.fakes import FakeHost

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pm_native.compile.bundle import Bundle

CHECKOUT = Path(__file__).parent.parent.parent
HASHES = """
import hashlib
from tests.cases.case import compile_case, files_of, load_cases
for case in load_cases("compile"):
    text = repr(files_of(compile_case(case)[0]))
    print(case.path.stem, hashlib.sha256(text.encode()).hexdigest())
"""
WEB = Process(name="web", command=("node", "a.js"), directory=PurePosixPath("/srv/shop"))


def compiled(*processes: Process) -> tuple[dict[str, str], str]:
    """The files and what is said about them; no files where there is an error."""
    problems = Diagnostics()
    project = Project(
        name="shop",
        source_path="/srv/shop/pm-native.toml",
        directory=PurePosixPath("/srv/shop"),
        processes=processes,
        span=Source("pm-native.toml", "").whole(),
    )
    try:
        bundle = compile_project(project, CompileOptions(host=FakeHost()), problems)
    except ConfigError:
        return {}, rendered(problems)
    return {item.name: item.text for item in bundle.files}, rendered(problems)


@pytest.mark.parametrize("seed", ["0", "1"])
def test_same_input_gives_the_same_bytes_whatever_the_hash_seed(seed: str) -> None:
    run = subprocess.run(
        [sys.executable, "-c", HASHES],
        cwd=CHECKOUT,
        env={
            "PYTHONHASHSEED": seed,
            "PYTHONPATH": str(CHECKOUT),
            "PATH": "/nowhere",
            "LANG": "C",
            "TZ": "Asia/Tokyo",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.stderr == ""
    own = [
        f"{case.path.stem} {hashlib.sha256(repr(files_of(compile_case(case)[0])).encode()).hexdigest()}"
        for case in load_cases("compile")
    ]
    assert run.stdout.splitlines() == own


def test_two_processes_of_one_name() -> None:
    files, told = compiled(WEB, WEB)
    assert files == {}
    assert told == (
        "<defaults>: error: a second process named 'web' [duplicate-name]\n"
        "  hint: the first is at <defaults>; each unit needs a name of its own"
    )


@pytest.mark.parametrize(
    ("process", "told"),
    [
        (
            replace(WEB, command=("node", "x" * 131072)),
            (
                "<defaults>: error: an argument of 131072 characters [too-long]\n"
                "  hint: the kernel takes 131071 bytes at most"
            ),
        ),
        (replace(WEB, command=("node", "é" * 65535)), ""),
        (
            replace(WEB, command=("node", "é" * 65536)),
            (
                "<defaults>: error: an argument of 65536 characters [too-long]\n"
                "  hint: the kernel takes 131071 bytes at most"
            ),
        ),
        (replace(WEB, environment={"LONG": Variable(value="y" * (131071 - 5))}), ""),
        (
            replace(WEB, environment={"LONG": Variable(value="y" * (131071 - 4))}),
            (
                "<defaults>: error: the value of LONG has 131067 characters [too-long]\n"
                "  hint: the kernel takes 131071 bytes at most, the name included"
            ),
        ),
        (
            replace(WEB, file_environment={"LONG": Variable(value="y" * 131071)}),
            (
                "<defaults>: error: the value of LONG has 131071 characters [too-long]\n"
                "  hint: the kernel takes 131071 bytes at most, the name included"
            ),
        ),
    ],
    ids=["argument", "argument-fits", "utf-8", "variable-fits", "variable", "file"],
)
def test_values_longer_than_the_kernel_takes(process: Process, told: str) -> None:
    assert compiled(process)[1] == told


def test_command_longer_than_a_line_of_systemd() -> None:
    _, told = compiled(replace(WEB, command=("node", *["x" * 100_000] * 11)))
    assert told == (
        "<defaults>: error: ExecStart= cannot hold this value: longer than the longest line that systemd reads "
        "(1 MiB) [unrepresentable]"
    )


def test_counters_of_importers_are_exported_before_the_port() -> None:
    """PM2 counts instances from 0, and any variable can be told to count."""
    files, told = compiled(
        replace(
            WEB,
            instances=2,
            first_instance=0,
            counters=(Counter(variable="NODE_APP_INSTANCE", base=0),),
            listen=Listen(port=3000),
        )
    )
    assert told == ""
    (line,) = [line for line in files["shop-web@.service"].split("\n") if line.startswith("ExecStart=")]
    assert line == (
        'ExecStart=:/bin/sh -c "NODE_APP_INSTANCE=$((0+$0)); export NODE_APP_INSTANCE; '
        'PORT=$((3000+$0)); export PORT; exec \\"$@\\"" "%i" /usr/bin/node a.js'
    )
    assert [line for line in files["shop-web.target"].split("\n") if line.startswith("Wants=")] == [
        "Wants=shop-web@0.service",
        "Wants=shop-web@1.service",
    ]


def test_scaled_bundle_is_what_the_config_would_make_of_that_number() -> None:
    def bundle(count: int) -> Bundle:
        pool = replace(WEB, instances=count, environment={"A": Variable(value="PM_NATIVE_INSTANCES=9")})
        project = Project(
            name="shop",
            source_path="/srv/shop/pm-native.toml",
            directory=PurePosixPath("/srv/shop"),
            processes=(pool,),
            span=Source("pm-native.toml", "").whole(),
        )
        return compile_project(project, CompileOptions(host=FakeHost()), Diagnostics())

    for old, new in ((2, 4), (4, 1), (2, 0), (0, 3)):
        assert scaled(bundle(old), {"web": new}).files == bundle(new).files


def test_long_chain_of_dependencies_is_no_recursion() -> None:
    chain = [
        replace(WEB, name=f"p{number}", depends_on=(Dependency(name=f"p{number + 1}"),))
        for number in range(3000)
    ]
    _, told = compiled(*chain, replace(WEB, name="p3000"))
    assert told == ""
    _, told = compiled(*chain, replace(WEB, name="p3000", depends_on=(Dependency(name="p0"),)))
    assert told.startswith("<defaults>: error: a cycle of dependencies: p1 -> p2 -> ")


def test_ladder_of_dependencies_takes_no_exponential_time() -> None:
    rungs = [
        replace(
            WEB,
            name=f"{side}{number}",
            depends_on=tuple(Dependency(name=f"{other}{number + 1}") for other in "ab"),
        )
        for number in range(60)
        for side in "ab"
    ]
    _, told = compiled(*rungs, replace(WEB, name="a60"), replace(WEB, name="b60"))
    assert told == ""


@pytest.mark.parametrize(
    ("runtime", "told"),
    [
        ("/usr/lib/pm_native/runtime", []),
        (
            "/srv/shop/logs/venv/pm_native/runtime",
            ["the monitor runs as root, and user 990 can change what it runs: /srv/shop/logs"],
        ),
    ],
)
def test_code_of_roots_monitor_is_roots(runtime: str, told: list[str]) -> None:
    check = Check(probes=(TcpProbe(port=80),))
    process = replace(WEB, health=Health(alive=check))
    project = Project(
        name="shop",
        source_path="/srv/shop/pm-native.toml",
        directory=PurePosixPath("/srv/shop"),
        monitor=Monitor.HOST,
        processes=(process,),
        span=Source("pm-native.toml", "").whole(),
    )
    problems = Diagnostics()
    compile_project(project, CompileOptions(host=FakeHost(), runtime=runtime, allow_missing=True), problems)
    assert [item.message for item in problems if item.code == "monitor-open"] == told
