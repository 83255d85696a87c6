"""Which importers there are, and which configs a folder holds. An importer is loaded when it is asked for."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from pm_native.errors import UnavailableError
from pm_native.importers.detect import contents_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.metadata import EntryPoint
    from pathlib import Path

    from pm_native.importers.base import Importer

GROUP = "pm_native.importers"
NATIVE = "native"
NATIVE_FILE_NAMES = ("pm-native.toml", "pm-native.yaml", "pm-native.yml", "pm-native.json")
# Known without package metadata, which a checkout on PYTHONPATH lacks and which takes longer to read than a config.
_BUILT_IN = {
    "procfile": "pm_native.importers.procfile",
    "pm2": "pm_native.importers.pm2",
    "supervisord": "pm_native.importers.supervisord",
    "circus": "pm_native.importers.circus",
    "compose": "pm_native.importers.compose",
    "process-compose": "pm_native.importers.process_compose",
    "tuix": "pm_native.importers.tuix",
}


def importers() -> Iterator[Importer]:
    """All importers, ours first, each loaded when its turn comes.

    UnavailableError where one that is installed cannot be loaded.
    """
    yield from _ours()
    yield from _theirs()


def _ours() -> Iterator[Importer]:
    for module in _BUILT_IN.values():
        yield cast("Importer", import_module(module).IMPORTER)


def _theirs() -> Iterator[Importer]:
    from importlib.metadata import entry_points  # noqa: PLC0415 - slow, and for formats of others only

    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        if point.name not in _BUILT_IN:
            yield _loaded(point)


def titles() -> list[str]:
    """What the formats are called, in the order in which they are tried."""
    return [found.title for found in importers()]


def importer(name: str) -> Importer:
    """The importer of this name, which `recognise` or `find_config` gave."""
    return next(found for found in importers() if found.name == name)


def recognise(path: Path) -> tuple[str, str] | None:
    """The name of the importer for the file, and what shows it, in words; None where none takes it.

    What is in the file counts more than its name, and decides among formats that share names; ours are asked first.
    """
    contents = contents_of(path)
    for group in (_ours(), _theirs()):
        candidates = [*group]
        claims = [(found, found.claims(contents)) for found in candidates] if contents else []
        claims = sorted(
            [(found, why) for found, why in claims if why], key=lambda claim: not claim[0].recognises(path)
        )
        if claims:
            found, why = claims[0]
            return found.name, why
        if named := next((found for found in candidates if found.recognises(path)), None):
            return named.name, "by its name"
    return None


def _loaded(point: EntryPoint) -> Importer:
    try:
        return cast("Importer", point.load())
    except (ImportError, AttributeError) as error:
        package = point.dist.name if point.dist else "the checkout"
        raise UnavailableError(
            f"the importer {point.name!r} of package {package} cannot be loaded: {error}",
            hint=f"upgrade {package} or uninstall it",
        ) from error


def find_config(directory: Path, *, foreign: bool = False) -> list[tuple[Path, str]]:
    """The configs in `directory` that go by a usual name, the best first, each with its importer's name or `native`.

    Native ones alone where there are any: who has written one has moved on. With `foreign` they do not count.
    Formats of other packages are looked for where there is none of ours.
    """
    native = (
        []
        if foreign
        else [(directory / name, NATIVE) for name in NATIVE_FILE_NAMES if (directory / name).is_file()]
    )
    if native:
        return native
    for group in (_ours(), _theirs()):
        files = [(directory / name, found.name) for found in group for name in found.file_names]
        if found_here := [(path, name) for path, name in files if path.is_file()]:
            return found_here
    return []
