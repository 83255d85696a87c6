"""What the importers' tests share: a project and its diagnostics as text."""

from __future__ import annotations

import shutil
from dataclasses import MISSING, fields, is_dataclass

import pytest

from pm_native.model.health import Check, Health

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pm_native.errors import Diagnostics, Span
    from pm_native.model.project import Process, Project

    Read = Callable[..., tuple[Project | None, Diagnostics]]


def needs_node() -> None:
    """Skip the test where no Node is there to run a config."""
    if shutil.which("node") is None:
        pytest.skip("there is no node on this host: configs in JavaScript cannot be run")


def told(problems: Diagnostics) -> list[str]:
    """The diagnostics as the command line prints them, one or two lines each."""
    return [
        f"{item.span}: {item.severity}: {item.message} [{item.code}]"
        + (f"\n    {item.hint}" if item.hint else "")
        for item in problems
    ]


def text_of(project: Project | None, problems: Diagnostics, folder: Path) -> str:
    """All that an importer said: what differs from the defaults, where it came from, the diagnostics."""
    lines = []
    if project is not None:
        lines.append(f"project {project.name} in {project.directory}")
        lines += [f"read {source.path}" for source in project.sources]
        for process in project.processes:
            lines += ["", f"process {process.name} ({_place(process.span)})", *_settings(process)]
    lines += ["", *told(problems)]
    return "\n".join(lines).strip().replace(str(folder), "$DIR").replace(str(folder.parent), "$HOST") + "\n"


_ITEMS = {
    "counters": lambda item: f"counter {item.variable} from {item.base}",
    "depends_on": lambda item: f"depends on {item.name}, {item.condition}",
    "secrets": lambda item: f"secret {item.name} in {item.path}",
    "systemd": lambda item: f"[{item.section}] {item.name}={' '.join(item.values)}",
}


def _settings(process: Process) -> list[str]:
    lines = []
    for field in fields(process):
        value = getattr(process, field.name)
        default = field.default_factory() if field.default_factory is not MISSING else field.default
        if field.name in {"name", "span", "origins"} or value == default:
            continue
        if field.name in {"environment", "file_environment"}:
            lines += [
                f"  {field.name} {name}={item.value!r} ({_place(item.span)})" for name, item in value.items()
            ]
        elif field.name in _ITEMS:
            lines += [f"  {_ITEMS[field.name](item)} ({_place(item.span)})" for item in value]
        elif isinstance(value, Health):
            for phase, check in value.checks:
                parts = [
                    f"{part.name}={getattr(check, part.name)!r}"
                    for part in fields(check)
                    if part.name != "span"
                    and getattr(check, part.name) != getattr(Check(probes=()), part.name)
                ]
                lines.append(f"  health.{phase}: {' '.join(parts)} ({_place(check.span)})")
        elif is_dataclass(value) and not isinstance(value, type):
            lines += [
                f"  {field.name}.{part.name} = {getattr(value, part.name)!r}"
                for part in fields(value)
                if default is None or getattr(value, part.name) != getattr(default, part.name)
            ]
        else:
            lines.append(
                f"  {field.name} = {str(value) if field.name in {'directory', 'kind'} else value!r}"
            )
    origins = process.origins
    shown = ", ".join(
        f"{path} {_place(span)}" for path, span in origins.items() if "environment" not in path
    )
    return [*lines, f"  from: {shown}"]


def _place(span: Span) -> str:
    return f"{span.line}:{span.column}" if span.line else span.path or "?"
