"""The hosts that will install the package, as the compiler sees them from here: this one, with the packaged files in place."""

from __future__ import annotations

import os
from dataclasses import fields, is_dataclass, replace
from pathlib import Path, PurePosixPath

from pm_native.compile.host import Account, Host
from pm_native.compile.ipc import packaged_file
from pm_native.model.project import Project
from pm_native.unit.name import Scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from pm_native.errors import Diagnostics
    from pm_native.model.package import PackagedFiles

_FIRST_UID = 100  # of those that systemd-sysusers gives; which one it will be does not matter here


class TargetHost(Host):
    """This host with `files` where the package will put them, the `users` that it will make, and pm-native from a package."""

    def __init__(self, files: Iterable[PackagedFiles], users: Iterable[str]) -> None:
        super().__init__(Path("/"))
        self._places = sorted(((str(item.target), str(item.source)) for item in files), reverse=True)
        self._users = frozenset(users)

    def exists(self, path: str) -> bool:
        """Whether there is such a file or folder on the host."""
        return path == packaged_file(Scope.SYSTEM) or super().exists(path)

    def _real(self, path: str) -> str:
        """Where the path of a target host is to be seen here: in the source of what will be installed there."""
        for target, source in self._places:
            if path == target or path.startswith(f"{target}/"):
                return source + path[len(target) :]
            if target.startswith(f"{path}/") and not os.path.lexists(path):
                return "/"  # a folder above an installed one comes with it
        return path

    def _account(self, name: str) -> Account | None:
        if name in self._users:
            return Account(name, _FIRST_UID, frozenset({_FIRST_UID}), "/")
        return super()._account(name)

    def _has_group(self, name: str) -> bool:
        return name in self._users or super()._has_group(name)


def relocated(project: Project, base: PurePosixPath, directory: PurePosixPath) -> Project:
    """The project with every path below the folder `base` below `directory` instead, where it will be installed.

    The package itself keeps its paths: they say which is which.
    """
    moved = _moved(project, str(base), str(directory))
    if not isinstance(moved, Project):
        raise TypeError("a project that is moved is a project")
    return replace(moved, package=project.package)


def warn_of_missing_folders(
    project: Project, base: PurePosixPath, installed: Iterable[str], problems: Diagnostics
) -> None:
    """Add a warning for each process that runs in a folder of the project, here below `base`, that is not installed."""
    home = project.package.directory or base
    place = project.package.directory or f"/srv/{project.name}"
    hint = f'below [package]: directory = "{place}", files = [{{ from = ".", to = "{place}" }}]'
    folders = {folder for path in installed for folder in PurePosixPath(path).parents}
    for process in project.processes:
        if process.directory.is_relative_to(home) and process.directory not in folders:
            problems.warning(
                process.origin("directory") if "directory" in process.origins else process.span,
                f"{process.name} runs in {process.directory}, and no file of the package lies there",
                code="package-folder",
                hint=hint,
            )


def _moved(value: object, base: str, directory: str) -> object:
    match value:
        case str():
            inside = value == base or value.startswith(f"{base}/")
            return directory + value[len(base) :] if inside else value
        case PurePosixPath():
            return PurePosixPath(str(_moved(str(value), base, directory)))
        case tuple() if not hasattr(value, "_fields"):
            return tuple(_moved(item, base, directory) for item in value)
        case dict():
            return {key: _moved(item, base, directory) for key, item in value.items()}
        case _ if is_dataclass(value) and not isinstance(value, type):
            changes = {
                item.name: _moved(getattr(value, item.name), base, directory) for item in fields(value)
            }
            return replace(value, **changes)
        case _:
            return value
