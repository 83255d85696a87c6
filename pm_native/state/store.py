"""What pm-native keeps of an applied project: the record of what it owns. Generations live beside it."""

from __future__ import annotations

import json
import os

from pm_native.compile.bundle import Installed, bundle_from_json, bundle_to_json, json_text, recorded
from pm_native.errors import AccessError, StateError, TooNewError, reason
from pm_native.state.files import PRIVATE, make_folder, remove, remove_empty, sweep_scratch, write_atomic
from pm_native.state.scale import SCALE_NAME
from pm_native.unit.name import Scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Any

    from pm_native.state.layout import Layout

FORMAT = 1
_NAME = "current.json"
_CONTENTS = "contents.json"
_RUNS = "runs.json"
_END = "\n}\n"  # of a JSON object that `json_text` wrote


class Store:
    """The records of one project in one layout, for their owner alone; UsageError where they would not be below its root.

    The folder is closed to others: a short secret could be guessed by the digest of a file that holds it.
    """

    def __init__(self, layout: Layout, project: str) -> None:
        self.directory = layout.records(project)
        layout.check_within(self.directory, self.directory / "generations", layout.environment(project))
        self._path = self.directory / _NAME
        self._scope = layout.scope
        self._contents = self.directory / _CONTENTS
        self._runs = self.directory / _RUNS

    def load(self) -> Installed | None:
        """What the last apply left, None where there was none; StateError where the record is damaged or too new."""
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return None
        except PermissionError as error:
            raise AccessError(
                f"cannot read {self._path}: permission denied", hint="use sudo", needs_root=True
            ) from error
        try:
            return _installed(json.loads(data))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise self._damaged(reason(error)) from error
        except TooNewError as error:
            hint = "use that pm-native, or a newer one"
            raise TooNewError(f"{self._path}: {error.message}", hint=hint) from error
        except StateError as error:
            raise StateError(f"{self._path}: {error.message}", hint=self._way_out()) from error

    def sources(self) -> list[str]:
        """The paths of what the installed project was made from; none where its record cannot be read."""
        try:
            return [str(item["path"]) for item in json.loads(self._path.read_bytes())["bundle"]["sources"]]
        except (OSError, ValueError, KeyError, TypeError):
            return []  # another project's trouble: told to who asks for that one

    def _damaged(self, why: str) -> StateError:
        return StateError(f"{self._path} is damaged: {why}", hint=self._way_out())

    def _way_out(self) -> str:
        """What to do with a record that cannot be read."""
        option = "--user " if self._scope is Scope.USER else ""
        return (
            f"`pm-native repair {option}{self.directory.name}` makes it anew, from the last generation or from the "
            "headers of the unit files"
        )

    def replace_damaged(self, installed: Installed) -> str:
        """Save a record in the place of one that cannot be read; where that one is kept, "" where there was none."""
        damaged = self._path.with_name(f"{_NAME}.damaged")
        is_there = self._path.exists()
        if is_there:
            damaged.unlink(missing_ok=True)
            os.link(self._path, damaged)
        self.save(installed)
        return str(damaged) if is_there else ""

    def save(self, installed: Installed) -> None:
        """Record what is installed now, whole and at once."""
        make_folder(self.directory, PRIVATE)
        head = {
            "format": FORMAT,
            "generation": installed.generation,
            "complete": installed.complete,
            "to_restart": installed.to_restart,
            "to_start": installed.to_start,
            "held": installed.held,
            "failed": installed.failed,
        }
        bundle = json_text(bundle_to_json(recorded(installed.bundle)))
        text = json_text(head).removesuffix(_END) + f',\n "bundle": {bundle}{_END}'
        write_atomic(self._path, text.encode(), 0o600)

    def load_contents(self) -> dict[str, str] | None:
        """The digest by path of what processes read when they were started; None where the caller may not know.

        What is damaged counts as not there: then nothing can be told to have changed.
        """
        return _load_map(self._contents)

    def save_contents(self, digests: Mapping[str, str]) -> None:
        """Record them, where they differ from what is recorded."""
        _save_map(self._contents, digests)

    def load_runs(self) -> dict[str, str]:
        """The ids of the runs that services were in at the end of the last apply, as far as the caller may know."""
        return _load_map(self._runs) or {}

    def save_runs(self, runs: Mapping[str, str]) -> None:
        """Record them, where they differ from what is recorded."""
        _save_map(self._runs, runs)

    def sweep(self) -> None:
        """Remove the scratch files of killed runs."""
        sweep_scratch(self.directory, {_NAME, _CONTENTS, _RUNS})

    def forget(self) -> None:
        """Remove the records of a project that is gone, and the folders that are empty then."""
        remove(self._contents)
        remove(self._runs)
        remove(self.directory / SCALE_NAME)
        remove(self._path)
        remove(self._path.with_name(f"{_NAME}.damaged"))
        remove_empty(self.directory)
        remove_empty(self.directory.parent)


def _load_map(path: Path) -> dict[str, str] | None:
    """Words by words; none of what is damaged, None where the caller may not read it."""
    try:
        data = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return {}
    except PermissionError:
        return None
    return {str(key): str(value) for key, value in data.items()} if isinstance(data, dict) else {}


def _save_map(path: Path, data: Mapping[str, str]) -> None:
    if data == _load_map(path):
        return
    if not data:
        remove(path)
        return
    write_atomic(path, f"{json.dumps(data, indent=1, sort_keys=True)}\n".encode(), 0o600)


def _installed(data: dict[str, Any]) -> Installed:
    """The record in a decoded JSON object; StateError, ValueError, KeyError, TypeError where there is none."""
    version, generation, complete = data["format"], data["generation"], data["complete"]
    if not isinstance(version, int) or not isinstance(generation, int) or not isinstance(complete, bool):
        raise TypeError("format, generation or complete is of another type")
    if version > FORMAT:
        raise TooNewError(f"it is from a newer pm-native (format {version}, this one knows {FORMAT})")
    return Installed(
        generation=generation,
        bundle=bundle_from_json(data["bundle"], {}),
        complete=complete,
        to_restart=tuple(map(str, data.get("to_restart", ()))),
        to_start=tuple(map(str, data.get("to_start", ()))),
        held={str(unit): str(run) for unit, run in dict(data.get("held", {})).items()},
        failed=tuple(map(str, data.get("failed", ()))),
    )


def known_projects(directory: Path) -> list[str]:
    """The projects that have records in `directory` (`Layout.projects`), sorted."""
    try:
        return sorted(path.name for path in directory.iterdir() if _has_record(path))
    except FileNotFoundError:
        return []
    except PermissionError as error:
        raise AccessError(
            f"cannot read {directory}: permission denied", hint="use sudo", needs_root=True
        ) from error


def _has_record(folder: Path) -> bool:
    try:
        return (folder / _NAME).exists()
    except PermissionError:
        return True  # as far as the caller can tell
