"""The model to a native config and back: nothing of it gets lost, and what is as usual is left out."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import PurePosixPath

import pytest

from pm_native.config.decode import decode_project
from pm_native.config.load import parse_text
from pm_native.config.write import ConfigWriter
from pm_native.errors import Diagnostics, Source
from pm_native.model.project import Process
from tests.cases.case import HOME, decode_case, load_cases

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pm_native.errors import Span
    from pm_native.model.project import Project, Variable
    from tests.cases.case import Case

CASES = [
    case
    for folder in ("compile", "config")
    for case in load_cases(folder)
    if "error" not in case.text and "environment_files" not in case.text
]
# What a config says of each process: a field that is added to the model is to be written, too.
WRITTEN = {
    *("name", "command", "directory", "description", "kind", "instances", "first_instance", "counters"),
    *("depends_on", "restart", "stop", "limits", "logs", "schedule", "on_change", "max_unavailable", "restart_on"),
    *("listen", "channel", "autostart", "protect", "notify"),
    *("health", "start_timeout_usec", "user", "group", "umask", "environment", "file_environment", "systemd"),
    *("sandbox", "secrets", "watch", "span", "origins"),
}  # fmt: skip


def plain(value: object) -> object:
    """The value without places."""
    if is_dataclass(value) and not isinstance(value, type):
        parts = (
            field.name
            for field in fields(value)
            if field.name not in {"span", "monitor_span", "origins", "sources"}
        )
        return {name: plain(getattr(value, name)) for name in parts}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    return value


def decoded(text: str, files: dict[str, Variable]) -> Project:
    problems = Diagnostics()
    root = parse_text(Source("pm-native.toml", text), ".toml", problems)
    assert root is not None, list(problems)

    def read(paths: list[tuple[str, Span]]) -> dict[str, Variable]:
        return dict(files) if paths else {}

    project = decode_project(root, str(HOME / "pm-native.toml"), problems, read)
    assert [f"{item.span}: {item.message}" for item in problems if item.severity == "error"] == []
    return project


def whole(project: Project) -> dict[str, object]:
    """All of a project that a config can say, its passed-through directives in the order of their names."""
    found = plain(project)
    assert isinstance(found, dict)
    for process in found["processes"]:
        merged: dict[tuple[str, str], list[object]] = {}
        for item in process["systemd"]:
            merged.setdefault((item["section"], item["name"]), []).extend(item["values"])
        process["systemd"] = dict(sorted(merged.items()))
        process["environment"] = dict(sorted(process["environment"].items()))
        process["restart"] = process["restart"] if process["restart"]["policy"] != "no" else "no"
        if process["instances"] is None:
            process["first_instance"], process["counters"] = 1, []
    del found["source_path"], found["directory"]
    return found


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.path.name)
def test_config_that_is_written_is_the_same(case: Case) -> None:
    problems = Diagnostics()
    project = decode_case(case, problems)
    assert project is not None
    text = ConfigWriter(project, HOME, {}).text()
    assert whole(decoded(text, {})) == whole(project)


def test_every_field_of_a_process_is_written() -> None:
    assert {field.name for field in fields(Process)} == WRITTEN


def test_what_processes_share_is_said_once() -> None:
    source = Source("pm-native.toml", """\
[project]
name = "shop"
[process.web]
command = ["node", "web.js"]
user = "shop"
directory = "/srv/shop/code"
environment = { A = "1", B = "web" }
restart = { policy = "always", delay = "1s", limit = 10 }
stop = { signal = "SIGTERM" }
[process.worker]
command = ["sh", "-c", "a | b"]
user = "shop"
directory = "/srv/shop/code"
environment = { A = "1", B = "worker" }
kind = "service"
depends_on = { web = "started" }
""")  # fmt: skip
    problems = Diagnostics()
    root = parse_text(source, ".toml", problems)
    assert root is not None
    project = decode_project(root, "/srv/shop/pm-native.toml", problems, lambda _: {})
    assert (
        ConfigWriter(project, PurePosixPath("/srv/shop"), {}).text(["From a test."])
        == """\
# From a test.

[project]
name = "shop"
directory = "code"
user = "shop"
environment = { A = "1" }

[process.web]
command = "node web.js"
environment = { B = "web" }

[process.worker]
command = "sh -c 'a | b'"
depends_on = ["web"]
environment = { B = "worker" }
"""
    )
