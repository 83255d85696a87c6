"""What compiling gives: the texts of all files, and what apply must know of each unit. Also as JSON, on disk."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from enum import StrEnum

from pm_native.errors import StateError, TooNewError, reason
from pm_native.model.names import is_name
from pm_native.model.record import OnChange, SourceFile
from pm_native.unit.name import Scope, escape_slice_part

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

FORMAT = 1
MANIFEST_NAME = "pm-native-manifest.json"


class FileKind(StrEnum):
    """Where a file belongs: among the unit files, or among the environment files of the project."""

    UNIT = "unit"
    ENVIRONMENT = "environment"


@dataclass(frozen=True, slots=True)
class BundleFile:
    """One file, by its name within its kind. Environment files hold secrets: mode 0600, never shown."""

    kind: FileKind
    name: str
    text: str
    sha256: str

    @property
    def mode(self) -> int:
        """The permissions of the file."""
        return 0o644 if self.kind is FileKind.UNIT else 0o600

    def is_of(self, data: bytes) -> bool:
        """Whether these bytes, from wherever they were kept, are the file's."""
        from hashlib import sha256  # noqa: PLC0415 - who only reads records hashes nothing

        return sha256(data).hexdigest() == self.sha256


def bundle_file(kind: FileKind, name: str, text: str) -> BundleFile:
    """The file with the hash of its text."""
    from hashlib import sha256  # noqa: PLC0415 - who only reads records hashes nothing

    return BundleFile(kind, name, text, sha256(text.encode()).hexdigest())


@dataclass(frozen=True, slots=True)
class BundleUnit:
    """A unit that apply may have to start, stop or restart: instances are named one by one, templates are not here.

    `file` is the unit file it is made from, `where` the line of the source, `after` the units of the bundle that
    must be started before it, `requires` those whose restart restarts it, `files` the environment files it reads,
    `contents` the paths of what else it reads that counts as a change of it. `at_once` instances of a pool restart at a
    time when it is rolled. `helper` says what a service does for its process where it is not the process itself. Nothing of a process with a unit to `protect` is taken away unless that is asked for by name.
    """

    name: str
    file: str
    process: str = ""
    where: str = ""
    start: bool = True
    on_change: OnChange = OnChange.RESTART
    after: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    protect: bool = False
    at_once: int = 1
    contents: tuple[str, ...] = ()
    helper: str = ""


@dataclass(frozen=True, slots=True)
class LogDirectory:
    """A folder that must be there before a unit starts, since systemd opens log files and makes no folders."""

    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """All of one compiled project. `wanted_by` maps units to the target that pulls them in at boot."""

    project: str
    scope: Scope
    systemd_version: int
    sources: tuple[SourceFile, ...] = ()
    files: tuple[BundleFile, ...] = ()
    units: tuple[BundleUnit, ...] = ()
    directories: tuple[LogDirectory, ...] = ()
    wanted_by: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """What the last apply left: its bundle (without texts), its number, and what it did not get to.

    `complete` when the files are all in place and systemd has read them. What is owed to units yet: `to_restart`
    to those that run on old settings, `to_start` to those that do not run. `held` are those that somebody's decision
    keeps on old settings, each with the id of the run that is on them; `failed` did not stay up.
    """

    generation: int
    bundle: Bundle
    complete: bool = True
    to_restart: tuple[str, ...] = ()
    to_start: tuple[str, ...] = ()
    held: Mapping[str, str] = field(default_factory=dict)
    failed: tuple[str, ...] = ()


def recorded(bundle: Bundle) -> Bundle:
    """The bundle as the current record holds it: no text, and no hash by which a short secret could be guessed."""
    return replace(
        bundle,
        sources=tuple(replace(item, sha256="") for item in bundle.sources),
        files=tuple(
            replace(item, text="", sha256="" if item.kind is FileKind.ENVIRONMENT else item.sha256)
            for item in bundle.files
        ),
    )


def bundle_to_json(bundle: Bundle) -> dict[str, object]:
    """The bundle without the texts of its files, as manifests hold it: what is at its default is left out."""
    return {
        "format": FORMAT,
        "project": bundle.project,
        "scope": bundle.scope.value,
        "systemd_version": bundle.systemd_version,
        "sources": [{"path": item.path, "sha256": item.sha256} for item in bundle.sources],
        "files": [
            {"kind": item.kind.value, "name": item.name, "sha256": item.sha256} for item in bundle.files
        ],
        "units": [_unit_to_json(item) for item in bundle.units],
        "directories": [{"path": item.path} for item in bundle.directories],
        "wanted_by": bundle.wanted_by,
    }


def _unit_to_json(unit: BundleUnit) -> dict[str, object]:
    data: dict[str, object] = {"name": unit.name}
    if unit.file != unit.name:
        data["file"] = unit.file
    for key in ("process", "where", "after", "requires", "files", "contents", "helper"):
        if value := getattr(unit, key):
            data[key] = value
    if not unit.start:
        data["start"] = False
    if unit.on_change is not OnChange.RESTART:
        data["on_change"] = unit.on_change.value
    if unit.protect:
        data["protect"] = True
    if unit.at_once != 1:
        data["at_once"] = unit.at_once
    return data


def json_text(data: dict[str, object]) -> str:
    """JSON with a line for each item of its lists, so that it can be read and compared; quick for long lists."""
    encode = json.JSONEncoder(ensure_ascii=False).encode
    parts: list[str] = []
    for key, value in data.items():
        if isinstance(value, list) and value:
            items = ",\n  ".join([encode(item) for item in value])
            parts.append(f"{encode(key)}: [\n  {items}\n ]")
        else:
            parts.append(f"{encode(key)}: {encode(value)}")
    return "{\n " + ",\n ".join(parts) + "\n}\n"


def bundle_from_json(data: object, texts: dict[str, str]) -> Bundle:
    """The bundle of a manifest, `texts` by file name; StateError where it is damaged or from a newer version."""
    if not isinstance(data, dict):
        raise StateError("the manifest is damaged: not a JSON object")
    version = data.get("format")
    if isinstance(version, int) and version > FORMAT:
        raise TooNewError(f"the manifest has format {version}, newer than this pm-native knows ({FORMAT})")
    try:
        bundle = Bundle(
            project=data["project"],
            scope=Scope(data["scope"]),
            systemd_version=data["systemd_version"],
            sources=tuple(SourceFile(**item) for item in data["sources"]),
            files=tuple(
                BundleFile(FileKind(item["kind"]), item["name"], texts.get(item["name"], ""), item["sha256"])
                for item in data["files"]
            ),
            units=tuple(_unit(item) for item in data["units"]),
            directories=tuple(LogDirectory(**item) for item in data["directories"]),
            wanted_by=dict(data["wanted_by"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise StateError(f"the manifest is damaged: {reason(error)}") from error
    _check_names(bundle)
    return bundle


def _check_names(bundle: Bundle) -> None:
    """StateError where a manifest that somebody edited names what is not the project's: names become paths."""
    if not is_name(bundle.project):
        raise StateError(f"the manifest names no valid project: {bundle.project!r}")
    own = [*(item.name for item in bundle.files), *(unit.name for unit in bundle.units), *bundle.wanted_by]
    for name in (*own, *bundle.wanted_by.values()):
        if name != str(name) or "/" in name or "\0" in name or name in {"", ".", "..", MANIFEST_NAME}:
            raise StateError(f"the manifest names a file outside of its directory: {name!r}")
    prefixes = (bundle.project, escape_slice_part(bundle.project))
    begins = (
        *(f"{prefix}{mark}" for prefix in prefixes for mark in "-."),
        *(f"{helper}@{bundle.project}." for helper in ("pm-native-ipc", "pm-native-monitor")),
    )
    for name in own:
        if not name.startswith(begins):
            raise StateError(
                f"the manifest names a file that is not of project {bundle.project!r}: {name!r}"
            )


def _unit(item: dict[str, object]) -> BundleUnit:
    fields = dict(item)
    fields.setdefault("file", fields["name"])
    for key in ("after", "requires", "files", "contents"):
        if key in fields:
            fields[key] = tuple(fields[key])  # type: ignore[arg-type]  # a JSON array, or TypeError
    if "on_change" in fields:
        fields["on_change"] = OnChange(str(fields["on_change"]))
    if not isinstance(fields.get("protect", False), bool):
        raise TypeError("protect is of another type")
    if type(fields.get("at_once", 1)) is not int or int(str(fields.get("at_once", 1))) < 1:
        raise TypeError("at_once is of another type")
    return BundleUnit(**fields)  # type: ignore[arg-type]  # TypeError where a key is foreign
