"""`pm-native generate`: a config to a directory of units."""

from __future__ import annotations

import sys
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import click

from pm_native.cli.options import DEFAULT_OUTPUT, with_format, with_json, with_scope, with_source
from pm_native.cli.report import Messages, Result, finish
from pm_native.cli.style import Style
from pm_native.model.record import SourceFile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pm_native.cli.options import SourceOptions
    from pm_native.compile.bundle import Bundle
    from pm_native.model.project import Project
    from pm_native.state.output import Written
    from pm_native.unit.name import Scope


@click.command(
    epilog="""\b
Examples:
  pm-native generate                         the config in this folder
  pm-native generate -f ecosystem.config.js --env production
  pm-native generate -f Procfile --formation web=2
  pm-native generate -o /tmp/units --systemd-version 249"""
)
@with_source
@with_scope
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=DEFAULT_OUTPUT,
    show_default=True,
    help="Where the units go.",
)
@with_format
@with_json
def generate(
    *,
    source: SourceOptions,
    scope: Scope,
    root: Path | None,
    output: Path,
) -> int:
    """Compile a config to systemd units, in a directory.

    Writes what differs, removes what the last run wrote and this one does not, and says so. The same config gives
    the same bytes. Nothing is written when there is an error.
    """
    from pm_native.cli.source import compile_options, load_source  # noqa: PLC0415 - not for --help
    from pm_native.compile.project import compile_project  # noqa: PLC0415 - not for --help
    from pm_native.errors import Diagnostics  # noqa: PLC0415 - not for --help
    from pm_native.state.output import write_set  # noqa: PLC0415 - not for --help

    problems = Diagnostics(strict=source.strict)
    project = load_source(source, Messages(), problems)
    bundle = compile_project(_with_lock(project), compile_options(source, scope, root), problems)
    written = write_set(bundle, output)
    locked = _write_lock(project)
    result = Result(
        command="generate",
        text="\n".join([*locked, _text(bundle, written, output)]),
        data=_data(bundle, written, output),
        diagnostics=tuple(problems),
        hints=(f"next: pm-native apply{_options(scope, root, output)}",),
    )
    return finish(result)


def _with_lock(project: Project) -> Project:
    """The project with its lock file among its sources as it is about to be, since it is written with the units."""
    lock = project.lock
    if lock is None:
        return project
    others = (item for item in project.sources if item.path != lock.path)
    written = SourceFile(path=lock.path, sha256=sha256(lock.text.encode()).hexdigest())
    return replace(project, sources=(*others, written))


def _write_lock(project: Project) -> list[str]:
    """Keep what was decided once beside the config, and say so where that is new."""
    if project.lock is None:
        return []
    from pm_native.errors import host_words  # noqa: PLC0415 - not for --help
    from pm_native.state.files import write_atomic  # noqa: PLC0415 - not for --help

    path = Path(project.lock.path)
    try:
        if path.is_file() and path.read_text(encoding="utf-8") == project.lock.text:
            return []
        write_atomic(path, project.lock.text.encode(), 0o644)
    except OSError as error:
        return [
            f"cannot write {path}: {host_words(error)}; the ports move when an entry comes before others"
        ]
    return [f"wrote {path.name}: the ports stay as they are; keep it with the config"]


def _options(scope: Scope, root: Path | None, output: Path) -> str:
    """What apply must be told to take this very set to where it was made for."""
    given = {" --user": scope == "user", f" --root {root}": root is not None}
    given[f" --from {output}"] = str(output) != DEFAULT_OUTPUT
    return "".join(option for option, is_given in given.items() if is_given)


def _text(bundle: Bundle, written: Written, output: Path) -> str:
    style = Style(sys.stdout)
    changes = [("+", "green", name) for name in written.created]
    changes += [("~", "yellow", name) for name in written.changed]
    changes += [("-", "red", name) for name in written.removed]
    shown = changes if len(changes) <= 50 else changes[:50]
    lines = [style(f"{sign} {name}", colour) for sign, colour, name in shown]
    if len(changes) > len(shown):
        lines.append(f"  and {len(changes) - len(shown)} more")
    counts = [
        f"{len(names)} {word}"
        for names, word in (
            (written.created, "new"),
            (written.changed, "changed"),
            (written.removed, "removed"),
        )
        if names
    ]
    counts.append(f"{written.unchanged} unchanged")
    lines.append(f"{output}: {', '.join(counts)}, for systemd {bundle.systemd_version}")
    return "\n".join(lines)


def _data(bundle: Bundle, written: Written, output: Path) -> dict[str, object]:
    return {
        "project": bundle.project,
        "scope": bundle.scope.value,
        "systemd_version": bundle.systemd_version,
        "output": str(output),
        "created": list(written.created),
        "changed": list(written.changed),
        "removed": list(written.removed),
        "unchanged": written.unchanged,
    }
