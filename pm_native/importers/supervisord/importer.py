"""The importer itself: supervisord.conf to a project."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pm_native.importers.supervisord.fields import FIELDS, is_section

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

    from pm_native.errors import Diagnostics
    from pm_native.importers.base import Field, ImportOptions
    from pm_native.importers.detect import Contents
    from pm_native.importers.supervisord.project import Imported
    from pm_native.model.project import Project

_FILE_NAME = re.compile(r"supervisord?(?:[.-][\w.-]+)?\.(?:conf|ini)")


@dataclass(slots=True)
class SupervisordImporter:
    """Reads what `supervisord -c FILE` reads."""

    name: str = "supervisord"
    title: str = "supervisord"
    file_names: tuple[str, ...] = ("supervisord.conf", "supervisor.conf", "etc/supervisord.conf")

    def recognises(self, path: Path) -> bool:
        """Whether the file is supervisord's by its name: `supervisord.conf`, `supervisor-prod.conf`."""
        return _FILE_NAME.fullmatch(path.name) is not None

    def claims(self, contents: Contents) -> str:
        """A file with a section of supervisord's."""
        found = [key for key in contents.keys if is_section(key) and key != "include"]
        return f"it has [{min(found)}]" if found and contents.kind in {"ini", "text"} else ""

    def fields(self) -> tuple[Field, ...]:
        """Every key of every section."""
        return FIELDS

    def load(self, path: Path, name: str, options: ImportOptions, problems: Diagnostics) -> Project | None:
        """The project in the file at `path`, called `name` in diagnostics; None after adding an error."""
        imported = self.load_all(path, name, options, problems)
        return imported.project if imported is not None else None

    def load_all(
        self,
        path: Path,
        name: str,
        options: ImportOptions,
        problems: Diagnostics,
        *,
        started_in: Path | None = None,
    ) -> Imported | None:
        """As `load`, with supervisord's own names of the processes. `started_in` is where supervisord was started."""
        from pm_native.importers.supervisord.files import load_config  # noqa: PLC0415 - one format a run
        from pm_native.importers.supervisord.project import ProjectReader  # noqa: PLC0415 - one format a run

        config = load_config(path, name, options.environ, problems)
        if config is None:
            return None
        return ProjectReader(config, path, options, problems, started_in).project()


IMPORTER = SupervisordImporter()
