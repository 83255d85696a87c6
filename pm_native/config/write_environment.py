"""Which environment files a native config names, so that it reads the variables that a foreign one took from files.

The file itself, where it reads the same here as its own tool reads it; else one of our own, written beside the config.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

from pm_native.config.load import EnvironmentFileReader
from pm_native.errors import NOWHERE, Diagnostics

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pm_native.model.project import Process, Project


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentFiles:
    """The files of each process by its name, in order, and the texts of those that are to be written."""

    by_process: Mapping[str, tuple[str, ...]]
    to_write: Mapping[str, str]


def environment_files(project: Project, folder: PurePosixPath, stem: str) -> EnvironmentFiles:
    """The files for `project`, whose config will be `stem`.toml in `folder`."""
    by_process: dict[str, tuple[str, ...]] = {}
    written: dict[str, str] = {}  # path by text
    for process in project.processes:
        if not process.file_environment:
            continue
        kept, rest = _kept(process, project)
        if rest:
            text = _text(rest)
            name = f"{stem}.env" if not written else f"{stem}-{process.name}.env"
            kept = (*kept, written.setdefault(text, str(folder / name)))
        by_process[process.name] = kept
    return EnvironmentFiles(by_process=by_process, to_write={path: text for text, path in written.items()})


def _kept(process: Process, project: Project) -> tuple[tuple[str, ...], dict[str, str]]:
    """The files that can be named as they are, and the variables that are not to be had from them."""
    wanted = {name: variable.value for name, variable in process.file_environment.items()}
    others = {*process.environment, *(counter.variable for counter in process.counters)}
    if process.listen.port is not None:
        others.add("PORT")
    kept: list[str] = []
    for path in _paths(process, project):
        found = _read((path,))
        is_known = found.keys() <= wanted.keys() | others
        if is_known and any(wanted.get(name) == value for name, value in found.items()):
            kept.append(path)
    found = _read(tuple(kept))
    return tuple(kept), {name: value for name, value in wanted.items() if found.get(name) != value}


def _paths(process: Process, project: Project) -> Iterator[str]:
    """The files that the variables came from, in the order in which they were read."""
    names = {variable.span.source.name for variable in process.file_environment.values()}
    for source in project.sources:
        path = PurePosixPath(source.path)
        for name in names:
            given = PurePosixPath(name)
            if path == given or path.parts[-len(given.parts) :] == given.parts:
                yield source.path
                break


def _read(paths: tuple[str, ...]) -> dict[str, str]:
    """The variables of the files as a native config has them; none where one of them is not clean here."""
    problems = Diagnostics()
    found = EnvironmentFileReader(problems, [])([(path, NOWHERE) for path in paths])
    return {} if problems.has_errors else {name: variable.value for name, variable in found.items()}


def _text(variables: Mapping[str, str]) -> str:
    return "".join(f"{name}={_quoted(value)}\n" for name, value in variables.items())


def _quoted(value: str) -> str:
    """The value as environment files have it: in single quotes, where all is literal, unless it has one itself."""
    if "'" not in value:
        return f"'{value}'"
    for char, escaped in (("\\", "\\\\"), ('"', '\\"'), ("$", "\\$"), ("`", "\\`"), ("\n", "\\n")):
        value = value.replace(char, escaped)
    return f'"{value}"'
