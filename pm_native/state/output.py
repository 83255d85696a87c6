"""A generated set on disk: the files of a bundle in one directory, and the manifest that ties them together."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import dataclass
from hashlib import sha256

from pm_native.compile.bundle import MANIFEST_NAME, bundle_from_json, bundle_to_json, json_text
from pm_native.errors import AccessError, StaleError, StateError, UnavailableError, reason
from pm_native.state.trust import Trust

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

    from pm_native.compile.bundle import Bundle, BundleFile
    from pm_native.state.trust import Folder


EVERYBODY = Trust()
_ANEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What writing a set changed, by file name."""

    created: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    unchanged: int = 0


def manifest_text(bundle: Bundle) -> str:
    """The manifest as it is written: the same bundle gives the same bytes."""
    return json_text(bundle_to_json(bundle))


def write_set(bundle: Bundle, directory: Path) -> Written:
    """Write the files of the bundle that differ, remove those that only the last set had, the manifest last.

    A run that is killed leaves files that do not match the manifest, which `read_set` refuses.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        return _write_set(bundle, directory)
    except PermissionError as error:
        raise AccessError(f"cannot write {error.filename}: permission denied") from error
    except OSError as error:
        raise UnavailableError(f"cannot write {error.filename or directory}: {error.strerror}") from error


def _write_set(bundle: Bundle, directory: Path) -> Written:
    created: list[str] = []
    changed: list[str] = []
    for item in bundle.files:
        path = f"{directory}/{item.name}"
        was = _write_where_different(path, item.text.encode(), item.mode)
        if was is not None:
            (created if was == "missing" else changed).append(item.name)
    names = {item.name for item in bundle.files}
    removed = sorted(_last_names(directory) - names)
    for name in removed:
        (directory / name).unlink(missing_ok=True)
    # For its owner alone: it has the hashes of environment files, and a short secret could be guessed by one.
    _write_where_different(f"{directory}/{MANIFEST_NAME}", manifest_text(bundle).encode(), 0o600)
    unchanged = len(bundle.files) - len(created) - len(changed)
    return Written(
        created=tuple(created), changed=tuple(changed), removed=tuple(removed), unchanged=unchanged
    )


def _write_where_different(path: str, data: bytes, mode: int) -> str | None:
    """Write a file anew; what it was before: `missing`, `different`, or None: as it should be."""
    try:
        descriptor = os.open(path, _ANEW, mode)
        was = "missing"
    except FileExistsError:
        if _is_unchanged(path, data, mode):
            return None
        os.unlink(path)  # noqa: PTH108 - a str. Never into what is there: it may be somebody else's to read
        descriptor = os.open(path, _ANEW, mode)
        was = "different"
    try:
        with open(descriptor, "wb") as stream:
            os.fchmod(descriptor, mode)  # before a secret is in it, whatever the umask
            stream.write(data)
    except OSError as error:  # the kernel names no file where the disk is full
        raise type(error)(error.errno, error.strerror, path) from error
    return was


def _is_unchanged(path: str, data: bytes, mode: int) -> bool:
    """Whether just that file is there; OSError for what is no file at all."""

    def look(name: str, flags: int) -> int:
        return os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK)

    with open(path, "rb", buffering=0, opener=look) as stream:
        status = os.fstat(stream.fileno())
        return (
            stat.S_ISREG(status.st_mode)
            and status.st_size == len(data)
            and status.st_mode & 0o777 == mode
            and stream.read() == data
        )


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except PermissionError as error:
        raise AccessError(f"cannot read {path}: permission denied") from error
    except OSError as error:
        raise UnavailableError(f"cannot read {path}: {error.strerror}") from error


def _last_names(directory: Path) -> set[str]:
    """The files of the set that was written here last: plain names, whatever the manifest says."""
    data = _read(directory / MANIFEST_NAME)
    if data is None:
        return set()
    try:
        names = {item["name"] for item in json.loads(data)["files"]}
    except (ValueError, KeyError, TypeError) as error:
        raise StateError(
            f"{directory / MANIFEST_NAME} is damaged: {reason(error)}",
            hint="remove the directory and generate again",
        ) from error
    return {
        name for name in names if isinstance(name, str) and "/" not in name and name not in {"", ".", ".."}
    }


def read_set(directory: Path, trust: Trust = EVERYBODY) -> Bundle:
    """The set in a directory, whole and as it was generated; StaleError where a file or a source has changed.

    AccessError where somebody could have written it, or a source, who is not trusted.
    """
    hint = "run `pm-native generate` again"
    try:
        with trust.folder(directory) as folder:
            bundle = _read_set(folder, hint)
    except FileNotFoundError:
        raise UnavailableError(
            f"there is no generated set in {directory}", hint="run `pm-native generate` first"
        ) from None
    except PermissionError as error:
        raise AccessError(f"cannot read {error.filename}: permission denied") from error
    except OSError as error:
        raise UnavailableError(f"cannot read {error.filename}: {error.strerror}") from error
    check_sources(bundle, trust, "since the units were generated", hint)
    return bundle


def _read_set(folder: Folder, hint: str) -> Bundle:
    data = folder.read(MANIFEST_NAME)
    try:
        manifest = json.loads(data)
    except ValueError as error:
        raise StateError(f"{folder.path / MANIFEST_NAME} is damaged: {error}", hint=hint) from error
    try:
        listed = bundle_from_json(manifest, {})
    except StateError as error:
        raise StateError(error.message, hint=hint) from error
    return bundle_from_json(
        manifest, {item.name: _checked_text(folder, item, hint) for item in listed.files}
    )


def _checked_text(folder: Folder, item: BundleFile, hint: str) -> str:
    path = folder.path / item.name
    try:
        data = folder.read(item.name)
    except FileNotFoundError:
        raise StaleError(f"{path} is missing", hint=hint) from None
    if not item.is_of(data):
        raise StaleError(f"{path} has changed since it was generated", hint=hint)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise StateError(f"{path} is not UTF-8: {error.reason}", hint=hint) from error


def check_sources(bundle: Bundle, trust: Trust, since: str, hint: str) -> None:
    """StaleError where a source is not what the bundle was made of, AccessError where it is not to be trusted."""
    from pathlib import Path  # noqa: PLC0415 - annotations only need the name otherwise

    for source in bundle.sources:
        try:
            data = trust.read(Path(source.path))
        except OSError as error:
            message = f"the source {source.path} cannot be read any more: {error.strerror}"
            raise StaleError(message, hint=hint) from error
        if sha256(data).hexdigest() != source.sha256:
            raise StaleError(f"{source.path} has changed {since}", hint=hint)
