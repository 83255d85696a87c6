"""From the command line's words to a compiled bundle: find the config, load it by its format, compile it."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from pm_native.cli.options import caller_trust
from pm_native.compile.host import Host
from pm_native.compile.options import CompileOptions
from pm_native.config.load import FILE_NAMES, load_project
from pm_native.errors import ConfigError, UsageError, host_words
from pm_native.model.names import NAME_RULE, is_name
from pm_native.unit.directive import OLDEST_SYSTEMD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pm_native.cli.options import SourceOptions
    from pm_native.cli.report import Messages
    from pm_native.errors import Diagnostics
    from pm_native.importers.base import ImportOptions
    from pm_native.model.project import Project
    from pm_native.state.trust import Trust
    from pm_native.unit.name import Scope

NATIVE = "native"
LAID_OVER = frozenset({"compose", "process-compose"})  # formats of several files, the later over the earlier


def find_source(options: SourceOptions, messages: Messages, *, foreign: bool = False) -> tuple[Path, str]:
    """The config file, and the name of its format: what `-f` says, else the one in the current folder.

    With `foreign`, configs of our own in the folder do not count.
    """
    from pm_native.importers.registry import find_config, importer, recognise, titles  # noqa: PLC0415 - not for --help

    file = options.file
    if file is None or file.is_dir():
        folder = file or Path()
        return _found_in(folder, find_config(folder, foreign=foreign), messages)
    if not file.exists():
        raise UsageError(f"there is no file {file}")
    if file.name in FILE_NAMES or file.suffix == ".toml":
        return file, NATIVE
    if found := recognise(file):
        name, why = found
        messages.say(f"reading {file} as {importer(name).title}: {why}")
        return file, name
    if file.suffix in {".yaml", ".yml", ".json"}:
        return file, NATIVE
    raise UsageError(
        f"cannot tell the format of {file}",
        hint=f"pm-native reads pm-native.toml (.yaml, .json) and the files of {', '.join(titles())}",
    )


def _found_in(folder: Path, found: list[tuple[Path, str]], messages: Messages) -> tuple[Path, str]:
    if not found:
        where = "this folder" if folder == Path() else str(folder)
        raise UsageError(
            f"there is no config in {where}",
            hint="`pm-native init` writes one to start from; -f FILE names one of another name",
        )
    if len(found) > 1:
        names = ", ".join(str(path) for path, _ in found)
        raise UsageError(f"there are several configs here: {names}", hint="say which with -f FILE")
    path, kind = found[0]
    messages.say(f"using {path}" + ("" if kind == NATIVE else f" ({kind})"))
    return path, kind


def load_source(
    options: SourceOptions, messages: Messages, problems: Diagnostics, trust: Trust | None = None
) -> Project:
    """The project that the options name; ConfigError where it cannot be read, AccessError where it is not trusted."""
    path, kind = find_source(options, messages)
    if trust is not None:
        _check(path, trust)  # before it is read
    project = load_from(path, kind, options, problems)
    if trust is not None:
        for library in project.libraries:  # the sources are looked at where they are compared
            _check(Path(library), trust)
    return project


def _check(path: Path, trust: Trust) -> None:
    try:
        trust.check(path)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {host_words(error)}") from error


def load_from(path: Path, kind: str, options: SourceOptions, problems: Diagnostics) -> Project:
    """The project in a file of this kind; ConfigError where it cannot be read.

    AccessError where root would run a program of somebody else's to read it.
    """
    check_project_name(options)
    if options.more_files and kind not in LAID_OVER:
        hint = "compose and process-compose lay files over each other; others are one file"
        raise UsageError(f"-f: {path} takes no other file over it", hint=hint)
    if kind == NATIVE:
        project = load_project(path, str(path), problems)
    else:
        from pm_native.importers.detect import is_program  # noqa: PLC0415 - foreign formats only
        from pm_native.importers.registry import importer  # noqa: PLC0415 - as above

        if is_program(path):
            _check(path, caller_trust())
        project = importer(kind).load(path, str(path), import_options(options), problems)
    if project is None:
        raise ConfigError(problems)
    return replace(project, name=options.project_name) if options.project_name is not None else project


def check_project_name(options: SourceOptions) -> None:
    """UsageError where the project cannot have the name that the options give it."""
    if options.project_name is not None and not is_name(options.project_name):
        raise UsageError(f"--project: not a valid name: {options.project_name!r}", hint=NAME_RULE)


def import_options(options: SourceOptions) -> ImportOptions:
    """What an importer is told."""
    from pm_native.importers.base import ImportOptions  # noqa: PLC0415 - foreign formats only

    return ImportOptions(
        project_name=options.project_name,
        variant=options.variant,
        formation=options.formation,
        base_port=options.base_port,
        dialect=options.dialect,
        profiles=options.profiles,
        more_files=options.more_files,
        environ=dict(os.environ),
    )


def compile_options(options: SourceOptions, scope: Scope, root: Path | None) -> CompileOptions:
    """What the compiler needs to know beside the project."""
    return CompileOptions(
        scope=scope,
        systemd_version=systemd_version(options.systemd_version),
        host=Host(root.absolute() if root is not None else Path("/")),
        caller_path=os.environ.get("PATH", ""),
        python=_python(),
        runtime=os.fspath(Path(__file__).resolve().parent.parent / "runtime"),
        library=_library("inotify"),
        allow_missing=options.allow_missing,
    )


def _library(name: str) -> str | None:
    """Where units find a library that is installed for pm-native: see `CompileOptions`.

    Their interpreter knows nothing of a virtualenv, nor of what a user has installed for himself.
    """
    import site  # noqa: PLC0415 - only where something is compiled
    from importlib.util import find_spec  # noqa: PLC0415 - as above

    found = find_spec(name)
    if found is None or not found.submodule_search_locations:
        return None
    folder = os.fspath(Path(found.submodule_search_locations[0]).parent)
    beside_us = os.fspath(Path(__file__).resolve().parents[2])
    is_for_all = sys.prefix == sys.base_prefix and folder != site.getusersitepackages()
    return "" if is_for_all or folder == beside_us else folder


def _python() -> str:
    """The interpreter for units: the system's where it is the one that runs here, else that one, out of its venv."""
    system = Path("/usr/bin/python3")
    base = Path(getattr(sys, "_base_executable", sys.executable))
    version = f"python3.{sys.version_info.minor}"
    is_same = system.exists() and (sys.base_prefix == "/usr" or system.resolve().name == version)
    return str(system if is_same else base)


def systemd_version(text: str) -> int:
    """The version that `--systemd-version` means; `auto`: this host's, the oldest supported where it has none."""
    if text == "auto":
        return _host_systemd_version() or OLDEST_SYSTEMD
    if not text.isdecimal() or int(text) < OLDEST_SYSTEMD:
        hint = f"auto, or a number from {OLDEST_SYSTEMD} on"
        raise UsageError(f"--systemd-version: not a version to compile for: {text!r}", hint=hint)
    return int(text)


def _host_systemd_version() -> int | None:
    try:
        run = subprocess.run(
            ["systemctl", "--version"], capture_output=True, text=True, check=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError):
        return None  # no systemd here: the caller compiles for another host
    words = run.stdout.split()
    return int(words[1]) if len(words) > 1 and words[1].isdecimal() else None
