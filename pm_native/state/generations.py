"""Generations: every apply as a numbered set of files on disk, and the history of all of them.

generations/7/record.json     who, when, what was planned, what came of it
generations/7/manifest.json   the bundle
generations/7/files/          the files of the bundle

All for their owner alone: files 0600, folders 0700.
history.jsonl                 the record of each generation, those that are no longer kept too
"""

from __future__ import annotations

import json
import os
import pwd
import shutil
import stat
from dataclasses import asdict, dataclass, field

from pm_native.compile.bundle import bundle_from_json, bundle_to_json, json_text
from pm_native.errors import StateError, UsageError, reason
from pm_native.state.files import (
    PRIVATE,
    append_line,
    make_folder,
    sweep_scratch,
    sync_directory,
    write_atomic,
    write_together,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pm_native.compile.bundle import Bundle, BundleFile

KEPT = 5
PENDING = "pending"
_RECORD, _MANIFEST, _FILES = "record.json", "manifest.json", "files"


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """The record of one apply. `when` is UTC in ISO 8601, `result` one word (`done`, `failed`, `pending`, ...).

    `plan` is the digest of the plan, `steps` are its steps in words, `failures` the units that failed with what was said of them.
    """

    number: int
    when: str
    who: str
    command: str
    result: str = PENDING
    plan: str = ""
    steps: tuple[str, ...] = ()
    failures: dict[str, str] = field(default_factory=dict)


class Generations:
    """The generations of one project, below its records. Whatever happens, each is there whole or not at all."""

    def __init__(self, records: Path) -> None:
        self._directory = records / "generations"
        self._history = records / "history.jsonl"

    def numbers(self) -> list[int]:
        """The generations that are kept, the oldest first."""
        try:
            return sorted(int(path.name) for path in self._directory.iterdir() if path.name.isdecimal())
        except FileNotFoundError:
            return []

    def begin(self, generation: Generation, bundle: Bundle) -> None:
        """Keep a generation before it is switched to: its files first, its name last."""
        make_folder(self._directory, PRIVATE)
        self.sweep()
        scratch = self._directory / f".{generation.number}.new"
        try:
            self._fill(scratch, generation, bundle)
        except OSError:
            _remove_tree(scratch)  # a full disk needs the room
            raise
        _let_go(self._path(generation.number))
        scratch.rename(self._path(generation.number))
        sync_directory(self._directory)

    def _fill(self, scratch: Path, generation: Generation, bundle: Bundle) -> None:
        for path in (scratch, scratch / _FILES):
            path.mkdir(mode=0o700)
        last = self._path(max(self.numbers(), default=0)) / _FILES
        files = {}
        for item in bundle.files:
            data = item.text.encode()
            if not _share(f"{last}/{item.name}", f"{scratch}/{_FILES}/{item.name}", data):
                files[scratch / _FILES / item.name] = (data, 0o600)
        files[scratch / _MANIFEST] = (json_text(bundle_to_json(bundle)).encode(), 0o600)
        files[scratch / _RECORD] = (_record_text(generation), 0o600)
        write_together(files)
        for path in (scratch / _FILES, scratch):
            sync_directory(path)

    def finish(self, generation: Generation, *, keep: int = KEPT) -> None:
        """Record what came of a generation, in it and in the history, and let go of those beyond `keep`."""
        # The history first: a generation whose record still says `pending` is finished once more by the next run.
        append_line(self._history, json.dumps(asdict(generation), ensure_ascii=False), 0o600)
        write_atomic(self._path(generation.number) / _RECORD, _record_text(generation), 0o600)
        for number in self.numbers()[: -max(keep, 1)]:
            _let_go(self._path(number))

    def sweep(self) -> None:
        """Remove what killed runs left: generations half made or half removed, scratch files of records."""
        _remove_tree(_aside(self._directory))
        if not self._directory.is_dir():
            return
        for path in self._directory.iterdir():
            if path.name.startswith(".") and path.name[1:].partition(".")[0].isdecimal():
                _remove_tree(path)
            else:
                sweep_scratch(path, {_RECORD})

    def pending(self, number: int) -> Generation | None:
        """The record of a generation that is kept and of which no run has told the end; else None."""
        try:
            record = self.record(number)
        except (StateError, UsageError):
            return None  # not kept, or damaged by somebody: told to who asks for that generation
        return record if record.result == PENDING else None

    def newest_ended(self) -> int:
        """The newest generation that is kept and that a run has ended; 0 where there is none."""
        return next((number for number in reversed(self.numbers()) if self.pending(number) is None), 0)

    def forget(self) -> None:
        """Remove all of them, and the history: environment files of a project that is gone are secrets still."""
        _let_go(self._directory)
        self._history.unlink(missing_ok=True)

    def history(self) -> list[Generation]:
        """The records of all generations that came to an end, the oldest first; a line that is torn is left out."""
        try:
            lines = self._history.read_text(encoding="utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return []
        found: dict[int, Generation] = {}  # a run that was killed may have told of its generation already
        for line in lines:
            try:
                generation = _generation(json.loads(line))
            except (ValueError, TypeError):
                continue  # a kill in the middle of a line: the next line is whole again
            found[generation.number] = generation
        return list(found.values())

    def last_good(self, *, before: int) -> int:
        """The newest generation before this one that is kept and went well; UsageError where there is none."""
        for number in reversed(self.numbers()):
            if number < before and self.record(number).result == "done":
                return number
        raise UsageError(
            f"no generation before {before} is kept that went well", hint="pm-native history shows all"
        )

    def record(self, number: int) -> Generation:
        """The record of a generation that is kept."""
        try:
            return _generation(json.loads((self._kept(number) / _RECORD).read_text(encoding="utf-8")))
        except (FileNotFoundError, ValueError, TypeError) as error:
            raise StateError(f"the record of generation {number} is damaged: {reason(error)}") from error

    def bundle(self, number: int) -> Bundle:
        """The bundle of a generation that is kept, its files checked against their hashes."""
        path = self._kept(number)
        try:
            data = json.loads((path / _MANIFEST).read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError) as error:
            raise StateError(f"the manifest of generation {number} is damaged: {reason(error)}") from error
        try:
            listed = bundle_from_json(data, {})
        except StateError as error:
            raise type(error)(f"generation {number}: {error.message}", hint=error.hint) from error
        return bundle_from_json(
            data, {item.name: _checked_text(path / _FILES, item) for item in listed.files}
        )

    def file(self, number: int, name: str) -> bytes | None:
        """What one file of a generation holds; None where it is not kept, or the caller may not read it."""
        try:
            return (self._path(number) / _FILES / name).read_bytes()
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            return None

    def _kept(self, number: int) -> Path:
        path = self._path(number)
        if not path.is_dir():
            kept = ", ".join(map(str, self.numbers())) or "none"
            raise UsageError(f"generation {number} is not kept", hint=f"kept are: {kept}")
        return path

    def _path(self, number: int) -> Path:
        return self._directory / str(number)


def _share(old: str, new: str, data: bytes) -> bool:
    """Give a file that is kept a second name where it is just that file: nothing writes to it under either."""
    try:
        with open(old, "rb", buffering=0) as stream:  # noqa: PTH123 - a thousand of them, and no path needed
            status = os.fstat(stream.fileno())
            if stat.S_IMODE(status.st_mode) != 0o600 or stream.readall() != data:
                return False
        os.link(old, new, follow_symlinks=False)
    except OSError:
        return False  # no such file, or no second names on this file system: then it is written
    return True


def _aside(path: Path) -> Path:
    """Where a folder is renamed to before its contents go, so that nobody takes half of it for the whole."""
    return path.with_name(f".{path.name}.old")


def _let_go(path: Path) -> None:
    """Remove a folder, at once for who looks at it."""
    _remove_tree(_aside(path))
    try:
        path.rename(_aside(path))
    except FileNotFoundError:
        return
    _remove_tree(_aside(path))


def _remove_tree(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)


def user_name(uid: int) -> str:
    """The name of an account; its number where it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def who_runs_this(environ: Mapping[str, str]) -> str:
    """The user behind a run, by name; behind sudo, the one who called it."""
    name = user_name(os.geteuid())
    caller = environ.get("SUDO_USER", "")
    return f"{caller} as {name}" if caller and caller != name else name


def _record_text(generation: Generation) -> bytes:
    return (json.dumps(asdict(generation), ensure_ascii=False, indent=1) + "\n").encode()


def _generation(data: dict[str, object]) -> Generation:
    fields = dict(data)
    fields["steps"] = tuple(fields.get("steps", ()))  # type: ignore[arg-type]  # TypeError where it is no list
    return Generation(**fields)  # type: ignore[arg-type]  # TypeError where a key is foreign


def _checked_text(directory: Path, item: BundleFile) -> str:
    if "/" in item.name:
        raise StateError(f"the manifest names a file outside of its directory: {item.name!r}")
    try:
        data = (directory / item.name).read_bytes()
    except FileNotFoundError as error:
        raise StateError(f"{item.name} of the generation is missing") from error
    if not item.is_of(data):
        raise StateError(f"{directory / item.name} has changed since the generation was applied")
    return data.decode()
