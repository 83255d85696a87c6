"""What every importer is: a foreign config file to the model, with a diagnostic for all that gets lost."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pm_native.errors import Diagnostics
    from pm_native.importers.detect import Contents
    from pm_native.model.project import Project


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportOptions:
    """What the command line adds to a foreign config.

    `project_name` overrides the name that the importer would choose (the folder's). `variant` is PM2's `--env`.
    `formation` gives instance counts by process name (`web=2`), `base_port` the first PORT of a Procfile.
    `dialect` is which tool's Procfile it is, `profiles` are those of compose that are switched on.
    `more_files` are laid over the file itself, as compose does it. `environ` is the caller's environment, which some
    formats read.
    """

    project_name: str | None = None
    variant: str | None = None
    formation: Mapping[str, int] = field(default_factory=dict)
    base_port: int | None = None
    dialect: str | None = None
    profiles: tuple[str, ...] = ()
    more_files: tuple[Path, ...] = ()
    environ: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a foreign format: what becomes of it. The tables in the docs are made of these.

    `name` is a key path (`healthcheck.interval`), with `*` for a name that the owner chooses (`depends_on.*`).
    `becomes` is "" where it becomes nothing: `differs` then says why, `instead` what to do. Where it becomes something,
    `differs` is how that behaves otherwise. `section` is the part of the file, for formats that have several.
    With a `harmless` field nothing is lost: it has no meaning without its tool.
    """

    name: str
    becomes: str = ""
    differs: str = ""
    instead: str = ""
    section: str = ""
    harmless: bool = False


class Importer(Protocol):
    """Reads one foreign format. Found through the entry points of group `pm_native.importers`."""

    name: str  # as on the command line: `pm2`
    title: str  # as in messages: `PM2`
    file_names: tuple[str, ...]  # what `generate` without `-f` looks for, the best first

    def recognises(self, path: Path) -> bool:
        """Whether the file may be of this format, by its name alone."""

    def claims(self, contents: Contents) -> str:
        """What in the file shows that it is of this format, in words: "it has `services`"; "" where nothing does."""

    def fields(self) -> tuple[Field, ...]:
        """Every field of the format, in the order of the docs."""

    def load(self, path: Path, name: str, options: ImportOptions, problems: Diagnostics) -> Project | None:
        """The project in the file at `path`, called `name` in diagnostics; None after adding an error."""
