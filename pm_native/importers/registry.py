"""Which importers there are, and which configs a folder holds. An importer is loaded when it is asked for."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import cast

from pm_native.errors import UnavailableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

    from pm_native.importers.base import Importer

GROUP = "pm_native.importers"
NATIVE = "native"
NATIVE_FILE_NAMES = ("pm-native.toml", "pm-native.yaml", "pm-native.yml", "pm-native.json")
# A checkout on PYTHONPATH has no package metadata, and so no entry points.
_BUILT_IN = {
    "pm2": "pm_native.importers.pm2:IMPORTER",
    "procfile": "pm_native.importers.procfile:IMPORTER",
}


def importers() -> dict[str, Importer]:
    """All importers by name, ours first. UnavailableError where one that is installed cannot be loaded."""
    found = {name: EntryPoint(name, value, GROUP) for name, value in _BUILT_IN.items()}
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        found[point.name] = point
    return {name: _loaded(point) for name, point in found.items()}


def _loaded(point: EntryPoint) -> Importer:
    try:
        return cast("Importer", point.load())
    except (ImportError, AttributeError) as error:
        package = point.dist.name if point.dist else "pm-native"
        raise UnavailableError(
            f"the importer {point.name!r} of package {package} cannot be loaded: {error}",
            hint=f"upgrade {package} or uninstall it",
        ) from error


def find_config(directory: Path) -> list[tuple[Path, str]]:
    """The configs in `directory` that go by a usual name, each with its importer's name or `native`, the best first."""
    names = [(name, NATIVE) for name in NATIVE_FILE_NAMES]
    for importer in importers().values():
        names += [(name, importer.name) for name in importer.file_names]
    return [(directory / name, importer) for name, importer in names if (directory / name).is_file()]
