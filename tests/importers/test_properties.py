"""Whatever a file holds, an importer answers with diagnostics."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from pm_native.errors import Diagnostics, Severity, Source
from pm_native.importers.base import ImportOptions
from pm_native.importers.circus import IMPORTER as CIRCUS
from pm_native.importers.circus.fields import FIELDS as CIRCUS_FIELDS
from pm_native.importers.compose import IMPORTER as COMPOSE
from pm_native.importers.compose.fields import OURS, SERVICE
from pm_native.importers.pm2 import IMPORTER as PM2
from pm_native.importers.pm2.keys import BY_NAME
from pm_native.importers.pm2.locate import locate
from pm_native.importers.pm2.values import split_arguments
from pm_native.importers.process_compose import IMPORTER as PROCESS_COMPOSE
from pm_native.importers.procfile import IMPORTER as PROCFILE
from pm_native.importers.supervisord import IMPORTER as SUPERVISORD
from pm_native.importers.supervisord.fields import FIELDS as SUPERVISORD_FIELDS
from pm_native.importers.tuix import IMPORTER as TUIX
from pm_native.model.names import is_name, is_variable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pm_native.importers.base import Importer
    from pm_native.model.project import Project

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from(
        ["max", "cluster", "0", "1e999", "300MB", "* * * * *", "node@20", "a b", "NULL", "~/x", "/dev/null"]
    )
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
KEYS = st.sampled_from(sorted(BY_NAME)) | st.sampled_from(["env_x", "env", "env_file", "odd"])
APPS = st.dictionaries(KEYS, VALUES, max_size=12).map(lambda app: {"script": "./run", **app})
CONFIGS = st.fixed_dictionaries(
    {"apps": st.lists(APPS | VALUES, max_size=3)},
    optional={"deploy": VALUES, "static": VALUES, "other": VALUES},
)


def load(importer: Importer, name: str, data: bytes) -> tuple[Project | None, Diagnostics]:
    with TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        problems = Diagnostics()
        options = ImportOptions(environ={"PATH": folder}, variant="x")
        return importer.load(path, name, options, problems), problems


def check(project: Project | None, problems: Diagnostics) -> None:
    """What holds for every answer: an error or a project, all of it valid, each diagnostic with a way out."""
    assert project is not None or problems.has_errors
    for item in problems:
        assert item.message
        assert item.code
        assert str(item.span)
        assert item.hint or item.severity is Severity.ERROR
    names = [process.name for process in project.processes] if project else []
    assert len(set(names)) == len(names)
    for process in project.processes if project else ():
        assert is_name(process.name)
        assert process.command
        assert all(isinstance(word, str) for word in process.command)
        assert all(is_variable(name) for name in (*process.environment, *process.file_environment))
        assert process.restart.delay_usec >= 0
        assert process.stop.timeout_usec >= 0
        assert process.directory.is_absolute()


@settings(max_examples=80, deadline=None)
@given(
    data=st.binary(max_size=300) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace"))
)
def test_no_bytes_make_an_importer_fail(data: bytes) -> None:
    check(*load(PROCFILE, "Procfile", data))
    check(*load(PM2, "ecosystem.json", data))
    check(*load(PM2, "ecosystem.yml", data))
    check(*load(SUPERVISORD, "supervisord.conf", data))
    check(*load(CIRCUS, "circus.ini", data))
    check(*load(COMPOSE, "compose.yaml", data))
    check(*load(PROCESS_COMPOSE, "process-compose.yaml", data))
    check(*load(TUIX, "tuix.config.json", data))


INI_VALUES = st.sampled_from(
    [
        *(
            "true",
            "no",
            "AUTO",
            "unexpected",
            "0",
            "-1",
            "1e9",
            "99999999999",
            "3",
            "022",
            "10MB",
            "TERM",
            "a,b",
            "0,2",
        ),
        *(
            'A="1",B=2',
            "A=",
            '"',
            "%(here)s",
            "%(process_num)02d",
            "%(ENV_NO)s",
            "100%",
            "%%",
            "sh -c 'a",
            "tcp://a:1",
        ),
        *(
            "unix:///run/a",
            "/srv/x",
            "x/%(program_name)s",
            "memmon -a 1MB",
            "a b",
            "$(circus.wid)",
            "x\n  y\n\n  z",
        ),
    ]
) | st.text(max_size=12)


def ini(sections: list[str], keys: list[str]) -> st.SearchStrategy[str]:
    """Texts of a few sections of a format with its keys and any values."""
    entries = st.lists(st.tuples(st.sampled_from(keys), INI_VALUES), max_size=8)
    section = st.builds(
        lambda name, items: f"[{name}]\n" + "".join(f"{key} = {value}\n" for key, value in items),
        st.sampled_from(sections),
        entries,
    )
    return st.lists(section, max_size=5).map("".join)


@settings(max_examples=150, deadline=None)
@given(
    text=ini(
        [
            "program:a",
            "program:b",
            "fcgi-program:a",
            "eventlistener:a",
            "group:g",
            "supervisord",
            "include",
            "DEFAULT",
            "odd",
        ],
        sorted({item.name for item in SUPERVISORD_FIELDS}),
    )
)
def test_no_value_makes_the_supervisord_importer_fail(text: str) -> None:
    check(*load(SUPERVISORD, "supervisord.conf", text.encode("utf-8", "replace")))


@settings(max_examples=150, deadline=None)
@given(
    text=ini(
        [
            "watcher:a",
            "watcher:b",
            "socket:a",
            "env:a,*",
            "env",
            "plugin:flapping",
            "plugin:x",
            "circus",
            "DEFAULT",
            "odd",
        ],
        sorted({item.name.replace("*", "x") for item in CIRCUS_FIELDS}),
    )
)
def test_no_value_makes_the_circus_importer_fail(text: str) -> None:
    check(*load(CIRCUS, "circus.ini", text.encode("utf-8", "replace")))


@settings(max_examples=120, deadline=None)
@given(config=CONFIGS | VALUES)
def test_no_value_makes_the_pm2_importer_fail(config: object) -> None:
    text = json.dumps(config, allow_nan=True)
    check(*load(PM2, "ecosystem.json", text.encode()))
    check(*load(PM2, "ecosystem.yml", text.encode()))


# Values as people write them in YAML, right in one place and wrong in most.
YAML_SCALARS = SCALARS | st.sampled_from(
    [
        *(
            "service_healthy",
            "service_completed_successfully",
            "process_log_ready",
            "process_completed",
            "on-failure:3",
        ),
        *(
            "on_failure",
            "unless-stopped",
            "exit_on_failure",
            "${A}",
            "${A:-${B:?no}}",
            "$$x",
            "{{.X}}",
            "{{",
            "1m30s",
            "10s",
        ),
        *(
            "512m",
            "0.5",
            "-1",
            "a",
            "b",
            "a=b",
            "A=$B",
            "../x",
            "/x",
            ".",
            "8080:80",
            "[::1]:80:80/udp",
            "SIGUSR1",
            "CMD",
        ),
        *(
            "CMD-SHELL",
            "NONE",
            "curl -f x || exit 1",
            "'",
            "0 3 * * *",
            "30s",
            "x.service",
            "http",
            "65536",
            "a\nb",
            "\u2028",
        ),
    ]
)
YAML_VALUES = st.recursive(
    YAML_SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def nested(entries: list[tuple[str, object]]) -> dict[str, object]:
    """Values by key paths as tables in tables; what is in the way of a later one is replaced."""
    found: dict[str, object] = {}
    for path, value in entries:
        *above, last = path.split(".")
        table = found
        for part in above:
            below = table.get(part)
            table[part] = table = below if isinstance(below, dict) else {}
        table[last] = value
    return found


def tables(importer: Importer, *sections: str) -> st.SearchStrategy[dict[str, object]]:
    """Tables of the fields of some sections of a format, each with any value; `*` is `a` or `b`."""
    names = sorted({item.name for item in importer.fields() if not sections or item.section in sections})
    path = st.builds(lambda name, own: name.replace("*", own), st.sampled_from(names), st.sampled_from("ab"))
    return st.lists(st.tuples(path, YAML_VALUES), max_size=7).map(nested)


def of_names(inner: st.SearchStrategy[object]) -> st.SearchStrategy[dict[str, object]]:
    """A table of `inner` by name, with a command in most."""
    with_command = inner.map(lambda item: {"command": "sleep 1", **item} if isinstance(item, dict) else item)
    return st.dictionaries(st.sampled_from(["a", "b", "c d", "1", "exit"]), with_command, max_size=3)


COMPOSE_SERVICES = of_names(
    st.builds(
        lambda own, ours: {**own, **ours},
        tables(COMPOSE, SERVICE),
        st.fixed_dictionaries({}, optional={"x-pm-native": tables(COMPOSE, OURS)}),
    )
    | YAML_VALUES
)


@settings(max_examples=150, deadline=None)
@given(services=COMPOSE_SERVICES | YAML_VALUES, rest=tables(COMPOSE))
def test_no_value_makes_the_compose_importer_fail(services: object, rest: dict[str, object]) -> None:
    top = {
        key: value
        for key, value in rest.items()
        if key in {"name", "secrets", "include", "configs", "volumes"}
    }
    config = json.dumps({**top, "services": services}, allow_nan=True).encode()
    check(*load(COMPOSE, "compose.yaml", config))
    check(*load(COMPOSE, "compose.json", config))


@settings(max_examples=150, deadline=None)
@given(processes=of_names(tables(PROCESS_COMPOSE) | YAML_VALUES) | YAML_VALUES, rest=tables(PROCESS_COMPOSE))
def test_no_value_makes_the_process_compose_importer_fail(
    processes: object, rest: dict[str, object]
) -> None:
    config = json.dumps({**rest, "processes": processes}, allow_nan=True).encode()
    check(*load(PROCESS_COMPOSE, "process-compose.yaml", config))


@settings(max_examples=150, deadline=None)
@given(
    processes=st.lists(
        tables(TUIX).map(lambda item: {"name": "a", "command": "b", **item}) | YAML_VALUES, max_size=3
    )
    | of_names(tables(TUIX) | YAML_VALUES),
    rest=tables(TUIX),
    key=st.sampled_from(["processes", "services", "groups"]),
)
def test_no_value_makes_the_tuix_importer_fail(processes: object, rest: dict[str, object], key: str) -> None:
    shapes = ({"processManager": {**rest, key: processes}}, {**rest, key: processes}, processes)
    for shape in shapes:
        check(*load(TUIX, "tuix.config.json", json.dumps(shape, allow_nan=True).encode()))


@settings(max_examples=100, deadline=None)
@given(
    lines=st.lists(
        st.text(max_size=30)
        | st.builds(
            "{}: {}".format, st.from_regex(r"[A-Za-z0-9_-]{1,8}", fullmatch=True), st.text(max_size=30)
        ),
        max_size=6,
    )
)
def test_no_line_makes_the_procfile_importer_fail(lines: list[str]) -> None:
    check(*load(PROCFILE, "Procfile", "\n".join(lines).encode("utf-8", "replace")))


@settings(max_examples=100, deadline=None)
@given(text=st.text("{}[]():,;'\"`\\/.$ \nab", max_size=80), value=CONFIGS | VALUES)
def test_no_program_text_makes_locate_fail(text: str, value: object) -> None:
    locate(value, Source("x.config.js", text))


@given(words=st.lists(st.from_regex(r"[a-z0-9=/.-]{1,8}", fullmatch=True), max_size=5))
def test_plain_arguments_are_split_at_blanks(words: list[str]) -> None:
    assert split_arguments("  ".join(words)) == tuple(words)
