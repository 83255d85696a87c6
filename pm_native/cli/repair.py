"""`pm-native repair`: a damaged record made anew."""

from __future__ import annotations

import click

from pm_native.cli.complete import complete_projects
from pm_native.cli.options import with_json, with_scope
from pm_native.cli.report import Result, finish

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

    from pm_native.unit.name import Scope


@click.command(
    epilog="""\b
Examples:
  sudo pm-native repair shop
  pm-native repair shop --user

\b
The same by hand: grep -l 'project=shop ' /etc/systemd/system/*"""
)
@click.argument("project", shell_complete=complete_projects)
@with_scope
@with_json
def repair(*, project: str, scope: Scope, root: Path | None) -> int:
    """Make a damaged record anew, from what is installed.

    Takes the last generation where its files are those that are installed, else what the headers of the unit files
    say; then the next apply looks at everything. The damaged record is kept beside it, and nothing else is touched.
    """
    from pm_native.apply.repair import repair as repair_record  # noqa: PLC0415 - not for --help
    from pm_native.cli.target import manager_words, place_of  # noqa: PLC0415 - not for --help
    from pm_native.errors import AccessError, UsageError  # noqa: PLC0415 - not for --help
    from pm_native.model.names import NAME_RULE, is_name  # noqa: PLC0415 - not for --help
    from pm_native.state.lock import locked  # noqa: PLC0415 - not for --help
    from pm_native.state.store import Store  # noqa: PLC0415 - not for --help

    if not is_name(project):
        raise UsageError(f"not a project's name: {project!r}", hint=NAME_RULE)
    layout = place_of(scope, root, project)
    try:
        with locked(layout.lock(project)):
            done = repair_record(layout, Store(layout, project), project)
    except PermissionError as error:
        raise AccessError(
            f"cannot write {error.filename}: permission denied", hint="use sudo", needs_root=True
        ) from error
    if done.installed is None:
        text = f"{project}: the record is fine, nothing was done"
        return finish(Result(command="repair", text=text, data={"repaired": False}))
    bundle = done.installed.bundle
    source = f"generation {done.generation}" if done.generation else "the headers of the unit files"
    lines = [
        f"{project}: the record is made anew from {source}: {len(bundle.files)} files, {len(bundle.units)} units"
    ]
    if done.saved_as:
        lines.append(f"  what was there is in {done.saved_as}")
    return finish(
        Result(
            command="repair",
            text="\n".join(lines),
            data={
                "repaired": True,
                "generation": done.generation or None,
                "files": [item.name for item in bundle.files],
                "units": [unit.name for unit in bundle.units],
                "saved_as": done.saved_as or None,
            },
            hints=(f"next: pm-native plan {manager_words(scope)}-f CONFIG shows what is left to do",),
        )
    )
