"""A config that is made from another: without secrets in it, and with the units of the one it was made from."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

from pm_native.compile.environment import is_secret
from pm_native.compile.health import limit_window_usec
from pm_native.compile.host import Host
from pm_native.compile.options import CompileOptions
from pm_native.compile.project import compile_project
from pm_native.config.load import load_project
from pm_native.errors import ConfigError, Diagnostics
from pm_native.model.project import Restart

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pm_native.model.project import Project

_NEWEST = 257  # all that a config says shows: nothing falls back
_HEADER = re.compile(r"\A(?:#[^\n]*\n)*")  # names the source of the file


def without_secrets(project: Project) -> Project:
    """The project with what looks like a secret among the variables of files: a config is read by many."""
    processes = []
    for process in project.processes:
        secret = {name: item for name, item in process.environment.items() if is_secret(name, item.value)}
        open_ = {name: item for name, item in process.environment.items() if name not in secret}
        merged = {**process.file_environment, **secret}
        processes.append(replace(process, environment=open_, file_environment=merged))
    return replace(project, processes=tuple(processes))


def with_compiled_limits(project: Project) -> Project:
    """The project with the restart limits that its units get, in place of what an importer made of the foreign ones.

    The compiler widens a window that is not the user's own where a start can fail slowly, and knows no limit for
    instances that share a socket.
    """
    usual = Restart()
    processes = []
    for process in project.processes:
        restart = process.restart
        if process.is_pool and process.listen.share:
            restart = replace(restart, limit=usual.limit, window_usec=usual.window_usec)
        elif "restart.window" not in process.origins and restart.window_usec != usual.window_usec:
            restart = replace(restart, window_usec=max(restart.window_usec, limit_window_usec(process)))
        processes.append(replace(process, restart=restart))
    return replace(project, processes=tuple(processes))


def differences(project: Project, written: Path) -> list[str]:
    """The names of the files that differ; ConfigError where one of the two does not compile."""
    options = CompileOptions(
        systemd_version=_NEWEST,
        host=Host(Path("/")),
        caller_path=os.environ.get("PATH", ""),
        allow_missing=True,
    )
    # The foreign one first: what is wrong in both is told at its place in the file that is there.
    theirs = {
        item.name: _HEADER.sub("", item.text)
        for item in compile_project(project, options, Diagnostics()).files
    }
    problems = Diagnostics()
    loaded = load_project(written, str(written), problems)
    if loaded is None:
        raise ConfigError(problems)
    mine = {
        item.name: _HEADER.sub("", item.text) for item in compile_project(loaded, options, problems).files
    }
    return sorted(name for name in mine.keys() | theirs.keys() if mine.get(name) != theirs.get(name))
