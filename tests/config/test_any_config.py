"""Whatever a config says, it is compiled or refused with diagnostics: never a traceback, never a unit that lies."""

from __future__ import annotations

import json
import tomllib

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pm_native.compile.bundle import FileKind
from pm_native.compile.options import CompileOptions
from pm_native.compile.project import compile_project
from pm_native.config.decode import decode_project
from pm_native.config.keys import PROCESS, PROJECT
from pm_native.config.load import parse_text
from pm_native.config.table import MapOf, Table
from pm_native.errors import ConfigError, Diagnostics, Severity, Source
from pm_native.unit.parse import parse_unit
from pm_native.unit.render import render_unit
from tests.cases.case import rendered
from tests.compile.fakes import FakeHost

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pm_native.model.project import Project

NAMES = st.one_of(
    st.sampled_from(["web", "api", "a-b", "x.y", "", "a b", "é", "-", "multi-user"]), st.text(max_size=5)
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
    st.sampled_from(
        [
            "node",
            "/srv/shop",
            "../x",
            "always",
            "ready",
            "completed",
            "started",
            "task",
            "service",
            "max",
            "SIGINT",
            "5s",
            "infinity",
            "512M",
            "50%",
            "027",
            "daily",
            "journal",
            "null",
            "reload",
            "@node",
            "node;x",
            "web",
            "api",
            "shop",
            "ada",
            "%i",
            "%%",
            "\\",
            '"',
            "'",
        ]
    ),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)),
    max_leaves=5,
)


def tables(table: Table) -> st.SearchStrategy[dict[str, object]]:
    """Tables with the keys that there are, most of them with a value of about the right kind."""
    keys = {}
    for key in table.keys:
        if key.planned:
            continue
        below = tables(key.type) if isinstance(key.type, Table) else None
        if isinstance(key.type, MapOf):
            below = st.dictionaries(NAMES, VALUES, max_size=2)
        if key.name == "systemd":
            directives = st.sampled_from(
                ["Restart", "ExecStart", "Environment", "LimitCORE", "After", "Nonsense"]
            )
            sections = st.sampled_from(["Unit", "Service", "Slice", "Timer", "Zoo"])
            below = st.dictionaries(sections, st.dictionaries(directives, VALUES, max_size=2), max_size=2)
        fine = st.just(tomllib.loads(f"x = {key.example}")["x"]) if key.example else VALUES
        keys[key.name] = st.one_of(fine, fine, fine, below if below is not None else VALUES, VALUES)
    return st.fixed_dictionaries({}, optional=keys)


COMMANDS = st.one_of(st.just("node a.js"), st.just(["node", "%", "$A", "\n", ";"]), VALUES)
PROCESSES = st.builds(lambda table, command: {**table, "command": command}, tables(PROCESS), COMMANDS)
CONFIGS = st.fixed_dictionaries(
    {
        "project": st.one_of(st.just({"name": "shop"}), tables(PROJECT)),
        "process": st.dictionaries(
            st.one_of(st.sampled_from(["web", "api", "a-b"]), NAMES), PROCESSES, min_size=1, max_size=2
        ),
    }
)


def decoded(text: str, problems: Diagnostics) -> Project | None:
    root = parse_text(Source("pm-native.json", text), ".json", problems)
    if root is None:
        return None
    return decode_project(root, "/srv/shop/pm-native.json", problems, lambda _: {})


@settings(
    max_examples=250,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(config=CONFIGS)
def test_any_config_is_compiled_or_refused(config: dict[str, object]) -> None:
    problems = Diagnostics()
    project = decoded(json.dumps(config), problems)
    try:
        bundle = (
            compile_project(project, CompileOptions(host=FakeHost(), allow_missing=True), problems)
            if project
            else None
        )
    except ConfigError:
        bundle = None
    assert (bundle is None) == any(item.severity is Severity.ERROR for item in problems)
    assert bool(rendered(problems)) == bool(list(problems))
    for item in bundle.files if bundle else ():
        if item.kind is FileKind.UNIT:
            unit = parse_unit(item.text)
            assert item.text.removeprefix("".join(f"# {line}\n" for line in unit.header)) == render_unit(
                type(unit)((), unit.sections)
            )
