"""`pm-native import`: a foreign config to a `pm-native.toml`, with a report of what was kept, changed and lost."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path, PurePosixPath

import click

from pm_native.cli.options import with_foreign, with_format, with_json
from pm_native.cli.report import Messages, Result, finish, presentation
from pm_native.errors import AccessError, PmNativeError, UsageError, host_words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pm_native.cli.import_text import Imported
    from pm_native.cli.options import SourceOptions
    from pm_native.errors import Diagnostics
    from pm_native.model.project import Project

DEFAULT_NAME = "pm-native.toml"
RUNNING = ("pm2", "supervisord")


@click.command(
    "import",
    epilog="""\b
Examples:
  pm-native import ecosystem.config.js --env production
  pm-native import Procfile --dialect foreman --formation web=2
  pm-native import compose.yaml compose.prod.yaml --profile web
  pm-native import compose.yaml --print | less
  pm-native import --running pm2           what runs under PM2 right now""",
)
@click.argument("foreign", metavar="[FILE]...", nargs=-1, type=click.Path(path_type=Path))
@with_foreign
@click.option(
    "--running", type=click.Choice(RUNNING), help="Ask the manager that runs, instead of reading a FILE."
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The config to write; pm-native.toml beside FILE.",
)
@click.option("--print", "print_only", is_flag=True, help="Print the config, write nothing.")
@click.option("--force", is_flag=True, help="Write over a config that is there.")
@with_format
@with_json
def import_(  # noqa: PLR0913 - one per option
    *,
    foreign: tuple[Path, ...],
    source: SourceOptions,
    running: str | None,
    output: Path | None,
    print_only: bool,
    force: bool,
) -> int:
    """Write the pm-native.toml that a foreign config amounts to.

    FILE is a config of PM2, supervisord, circus, docker compose, process-compose, TUIX or a Procfile; further ones are
    laid over it, where the format has that. Tells what was kept, what means something else now, and what is lost; then
    compiles both configs and compares the units.
    """
    from pm_native.cli.import_text import report_data, report_text  # noqa: PLC0415 - not for --help
    from pm_native.errors import Diagnostics  # noqa: PLC0415 - not for --help

    problems = Diagnostics(strict=source.strict)
    if running is not None and len(foreign) > 1:
        raise UsageError(
            "--running asks one manager",
            hint="at most one FILE: the config of the supervisord that is meant",
        )
    project, title = (
        _running_project(running, foreign, source, problems)
        if running is not None
        else _project(foreign, source, problems)
    )
    problems.raise_if_errors()
    target = _target(() if running is not None else foreign, output)
    imported = _imported(project, title, target, problems)
    if print_only:
        return finish(
            Result(command="import", text=imported.text.rstrip("\n"), data={"text": imported.text})
        )
    _write(target, imported, force=force)
    shown = presentation()
    is_report = not shown.as_json and shown.diagnostic_format == "full"
    result = Result(
        command="import",
        text=report_text(imported, target),
        data=report_data(imported, target),
        diagnostics=() if is_report else tuple(problems),  # the report has them
        hints=(f"next: look through {target}, then pm-native check -f {target}",),
    )
    return finish(result)


def _project(files: tuple[Path, ...], source: SourceOptions, problems: Diagnostics) -> tuple[Project, str]:
    """What is imported, and what it is called."""
    from pm_native.cli.source import NATIVE, find_source, load_from  # noqa: PLC0415 - not for --help

    given = replace(source, file=files[0] if files else None, more_files=files[1:])
    path, kind = find_source(given, Messages(), foreign=True)
    if kind == NATIVE:
        raise UsageError(f"{path} is a config of pm-native's own", hint="name the foreign one")
    from pm_native.importers.registry import importer  # noqa: PLC0415 - not for --help

    return load_from(path, kind, given, problems), f"{path} ({importer(kind).title})"


def _running_project(
    manager: str, files: tuple[Path, ...], source: SourceOptions, problems: Diagnostics
) -> tuple[Project, str]:
    """What a manager runs right now, and what it is called."""
    from pm_native.cli.source import check_project_name, import_options  # noqa: PLC0415 - not for --help
    from pm_native.errors import ConfigError  # noqa: PLC0415 - not for --help
    from pm_native.importers.managers import running_manager  # noqa: PLC0415 - not for --help

    check_project_name(source)
    found = running_manager(manager, os.environ, str(files[0]) if files else None)
    Messages().say(f"asking {found.title} at {found.place}")
    running = found.load(import_options(source), problems)
    if running is None:
        raise ConfigError(problems)
    return running.project, f"{found.title}, as it runs"


def _target(files: tuple[Path, ...], output: Path | None) -> Path:
    if output is not None:
        return output
    return (
        (files[0] if files[0].is_dir() else files[0].parent) / DEFAULT_NAME if files else Path(DEFAULT_NAME)
    )


def _imported(project: Project, title: str, target: Path, problems: Diagnostics) -> Imported:
    """The config, and what came of comparing its units with those of the foreign one."""
    from pm_native.cli.import_check import with_compiled_limits, without_secrets  # noqa: PLC0415 - not for --help
    from pm_native.cli.import_text import Imported, comments, header  # noqa: PLC0415 - not for --help
    from pm_native.config.write import ConfigWriter  # noqa: PLC0415 - not for --help
    from pm_native.config.write_environment import environment_files  # noqa: PLC0415 - not for --help

    folder = PurePosixPath(os.path.abspath(target.parent))  # noqa: PTH100 - Path keeps ".."
    shown = with_compiled_limits(without_secrets(project))
    files = environment_files(shown, folder, target.stem)
    told = comments(project, problems)
    writer = ConfigWriter(shown, folder, files.by_process)
    return Imported(
        project=project,
        title=title,
        text=writer.text((*header(title), *told.get("", ())), told),
        keys={process.name: tuple(writer.process(process)) for process in shown.processes},
        shared=tuple(writer.project()),
        files=files.to_write,
        diagnostics=tuple(problems),
    )


def _write(target: Path, imported: Imported, *, force: bool) -> None:
    """Write the config and the environment files, compare what they compile to; nothing stays where they differ."""
    from pm_native.cli.import_check import differences  # noqa: PLC0415 - not for --help

    paths = [target, *map(Path, imported.files)]
    if not force and (there := [path for path in paths if path.exists()]):
        raise UsageError(f"{there[0]} is there already", hint="--force writes over it, -o FILE elsewhere")
    before = {path: (path.read_bytes(), path.stat().st_mode) if path.is_file() else None for path in paths}
    try:
        for path, text in (
            (target, imported.text),
            *((Path(name), text) for name, text in imported.files.items()),
        ):
            _write_file(path, text, is_secret=path != target)
        differing = differences(imported.project, target)
    except PmNativeError:
        _restore(before)
        raise
    if differing:
        _restore(before)
        raise PmNativeError(
            f"the config would not be the same: {', '.join(differing[:5])}",
            hint="this is a mistake of pm-native's own; --print shows the config that it would write",
        )


def _write_file(path: Path, text: str, *, is_secret: bool) -> None:
    from pm_native.state.files import write_atomic  # noqa: PLC0415 - not for --help

    try:
        write_atomic(path, text.encode(), 0o600 if is_secret else _usual_mode())
    except OSError as error:
        raise AccessError(f"cannot write {path}: {host_words(error)}") from None


def _usual_mode() -> int:
    """The mode of files that the caller makes."""
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def _restore(before: dict[Path, tuple[bytes, int] | None]) -> None:
    from pm_native.state.files import write_atomic  # noqa: PLC0415 - not for --help

    for path, found in before.items():
        if found is None:
            path.unlink(missing_ok=True)
        else:
            data, mode = found
            write_atomic(path, data, stat.S_IMODE(mode))
