"""The importer itself: circus.ini to a project."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pm_native.importers.circus.fields import FIELDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

    from pm_native.errors import Diagnostics
    from pm_native.importers.base import Field, ImportOptions
    from pm_native.importers.detect import Contents
    from pm_native.model.project import Project

_FILE_NAME = re.compile(r"circus(?:d)?(?:[.-][\w.-]+)?\.(?:ini|conf)")


@dataclass(slots=True)
class CircusImporter:
    """Reads what `circusd FILE` reads."""

    name: str = "circus"
    title: str = "circus"
    file_names: tuple[str, ...] = ("circus.ini", "circusd.ini")

    def recognises(self, path: Path) -> bool:
        """Whether the file is circus's by its name: `circus.ini`, `circus-prod.ini`."""
        return _FILE_NAME.fullmatch(path.name) is not None

    def claims(self, contents: Contents) -> str:
        """A file with a watcher, or with circus's own section."""
        found = [key for key in contents.keys if key == "circus" or key.startswith("watcher:")]
        return f"it has [{min(found)}]" if found and contents.kind in {"ini", "text"} else ""

    def fields(self) -> tuple[Field, ...]:
        """Every key of every section."""
        return FIELDS

    def load(self, path: Path, name: str, options: ImportOptions, problems: Diagnostics) -> Project | None:
        """The project in the file at `path`, called `name` in diagnostics; None after adding an error."""
        from pm_native.importers.circus.files import load_config  # noqa: PLC0415 - one format a run
        from pm_native.importers.circus.project import ProjectReader  # noqa: PLC0415 - one format a run

        variables = {f"env.{key.lower()}": value for key, value in options.environ.items()}
        config = load_config(path, name, variables, problems)
        return ProjectReader(config, path, options, problems).project() if config is not None else None


IMPORTER = CircusImporter()
