"""What every importer is: a foreign config file to the model, with a diagnostic for all that gets lost."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pm_native.errors import Diagnostics
    from pm_native.model.project import Project


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportOptions:
    """What the command line adds to a foreign config.

    `project_name` overrides the name that the importer would choose (the folder's). `variant` is PM2's `--env`.
    `formation` gives instance counts by process name (`web=2`), `base_port` the first PORT of a Procfile.
    `environ` is the caller's environment, which some formats read.
    """

    project_name: str | None = None
    variant: str | None = None
    formation: Mapping[str, int] = field(default_factory=dict)
    base_port: int | None = None
    environ: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field of a foreign format, for the reference of formats: an importer's `fields()` gives all of them.

    `section` is where it stands (`[program:x]`), "" where the format has no such places. `becomes` is what it becomes
    here, "" where it has no counterpart; `differs` how that differs, "" where it does not; `instead` what to do where
    there is no counterpart, or where the difference matters.
    """

    name: str
    section: str = ""
    becomes: str = ""
    differs: str = ""
    instead: str = ""


class Importer(Protocol):
    """Reads one foreign format. Found through the entry points of group `pm_native.importers`."""

    name: str  # as on the command line: `pm2`
    title: str  # as in messages: `PM2`
    file_names: tuple[str, ...]  # what `generate` without `-f` looks for, the best first

    def recognises(self, path: Path) -> bool:
        """Whether the file is of this format, by its name alone."""

    def load(self, path: Path, name: str, options: ImportOptions, problems: Diagnostics) -> Project | None:
        """The project in the file at `path`, called `name` in diagnostics; None after adding an error."""
