"""The importer itself: a compose project to a project of ours."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from pm_native.importers.common import are_too_many
from pm_native.importers.compose.fields import FIELDS, OURS, SERVICE, TOP
from pm_native.model.names import nearest_name
from pm_native.model.project import Project

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container
    from pathlib import Path

    from pm_native.errors import Diagnostics
    from pm_native.importers.base import Field, ImportOptions
    from pm_native.importers.compose.project import Composed
    from pm_native.importers.detect import Contents

_FILE_NAME = re.compile(r"(?:docker-)?compose(?:[.-][\w.-]+)?\.(?:ya?ml|json)")


@dataclass(slots=True)
class ComposeImporter:
    """Reads what `docker compose up` reads, and the output of `docker compose config --format json`."""

    name: str = "compose"
    title: str = "docker compose"
    file_names: tuple[str, ...] = (
        "compose.yaml",
        "compose.yml",
        "docker-compose.yaml",
        "docker-compose.yml",
    )

    def recognises(self, path: Path) -> bool:
        """Whether the file is called `compose.yaml` or `docker-compose.yml`, or like it."""
        return _FILE_NAME.fullmatch(path.name) is not None

    def claims(self, contents: Contents) -> str:
        """A YAML or JSON file with `services`."""
        if contents.kind not in {"yaml", "json"} or contents.is_list:
            return ""
        return "it has `services`" if "services" in contents.keys else ""

    def fields(self) -> tuple[Field, ...]:
        """Every field of a file, of a service in it, and of what is ours in that."""
        return FIELDS

    def load(self, path: Path, name: str, options: ImportOptions, problems: Diagnostics) -> Project | None:
        """The project in the file at `path`, called `name` in diagnostics; None after adding an error."""
        from pm_native.importers.compose.project import Composer  # noqa: PLC0415 - one format a run
        from pm_native.importers.compose.service import services_of  # noqa: PLC0415 - one format a run
        from pm_native.importers.files import Files  # noqa: PLC0415 - one format a run
        from pm_native.importers.tree import Entries  # noqa: PLC0415 - one format a run

        files = Files(path, name, problems)
        composed = Composer(files, options, problems).compose()
        if composed is None:
            if not problems.has_errors:
                from pm_native.errors import Source  # noqa: PLC0415 - for the unhappy path

                hint = "services are written below `services:`, each by its name"
                whole = Source(name, "").whole()
                problems.error(whole, "there are no services", code="no-process", hint=hint)
            return None
        own = Entries(composed.root, problems).text("name") or composed.environ.get("COMPOSE_PROJECT_NAME")
        project_name = options.project_name or nearest_name(own or files.directory.name)
        if _is_first_format(composed):
            hint = "put them below `services:`, two columns to the right; compose itself reads this no more"
            message = "this is compose's first format: services stand at the top"
            problems.error(composed.root.span, message, code="compose-version-1", hint=hint)
            return None
        if are_too_many(len(composed.services), composed.root.key, problems):
            return None
        processes = services_of(composed, project_name, files, problems)
        _tell_fields(composed, processes, problems)
        problems.items[:] = dict.fromkeys(problems.items)  # what services share by an anchor is told once
        if not processes and not problems.has_errors:
            whole = composed.root.span.source.whole()
            hint = "give services commands of this host: x-pm-native: { command: ... }, in the service"
            problems.error(whole, "no service here has a command that can run", code="no-process", hint=hint)
        if not processes:
            return None
        return Project(
            name=project_name,
            source_path=str(files.path),
            directory=PurePosixPath(files.directory),
            processes=tuple(processes.values()),
            sources=tuple(files.sources),
            span=composed.root.span.source.whole(),
        )


def _is_first_format(composed: Composed) -> bool:
    """Whether the services stand at the top, where compose had them until 2016."""
    top = composed.root.value if isinstance(composed.root.value, dict) else {}
    keys = {"image", "build", "command"}
    return "services" not in top and any(
        isinstance(item.value, dict) and keys & set(item.value) for item in top.values()
    )


def _tell_fields(composed: Composed, running: Container[str], problems: Diagnostics) -> None:
    """What is said and nothing does, of the file and of the services that run."""
    from pm_native.importers.tree import FieldCheck  # noqa: PLC0415 - one format a run

    check = FieldCheck(FIELDS, "compose", "compose")
    check.walk(composed.root, TOP)
    for owner, node in composed.services.items():
        if owner in running:
            check.walk(node, SERVICE, owner)
        ours = node.value.get("x-pm-native") if isinstance(node.value, dict) else None
        if ours is not None:
            check.walk(ours, OURS, owner)
    check.tell(problems)
    if composed.inactive:
        profiles = sorted({name for names in composed.inactive.values() for name in names})
        listed = ", ".join(composed.inactive)
        message = f"left out, since no profile of theirs is on: {listed}"
        hint = f"take them in: {' '.join(f'--profile {name}' for name in profiles)}"
        problems.note(composed.root.span.source.whole(), message, code="compose-profile", hint=hint)


IMPORTER = ComposeImporter()
