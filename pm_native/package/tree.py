"""The files of the package, below a folder that stands for the root of the hosts that install it."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from pm_native.compile.bundle import FileKind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pm_native.compile.bundle import Bundle
    from pm_native.errors import Diagnostics
    from pm_native.model.package import Package, PackagedFiles

UNITS = "/usr/lib/systemd/system"
_UNWANTED = frozenset([".git", ".hg", ".svn", ".bzr", "__pycache__", ".DS_Store"])
_ELF = b"\x7fELF"


@dataclass(frozen=True, slots=True)
class Staged:
    """What stands in the tree: `files` are the targets of the user's files, `conffiles` those of what people may edit."""

    root: Path
    files: tuple[str, ...]
    conffiles: tuple[str, ...]
    has_machine_code: bool


def stage(root: Path, name: str, bundle: Bundle, package: Package, problems: Diagnostics) -> Staged:
    """Write everything but the scripts below `root`; ConfigError with every file that cannot be packaged."""
    environment = {
        environment_path(bundle, item.name): item
        for item in bundle.files
        if item.kind is FileKind.ENVIRONMENT
    }
    units = {f"{UNITS}/{item.name}": item for item in bundle.files if item.kind is FileKind.UNIT}
    for path, item in {**units, **environment}.items():
        write_file(root / path.lstrip("/"), item.text, item.mode)
    for directory in bundle.directories:
        _directory(root / directory.path.lstrip("/"))
    if package.users:
        lines = "".join(f'u {user} - "{name}"\n' for user in package.users)
        write_file(root / f"usr/lib/sysusers.d/{name}.conf", lines, 0o644)
    stager = _Stager(root, problems)
    for packaged in package.files:
        stager.install(packaged)
    for path in package.conffiles:
        if path not in stager.targets:
            message = f"no such file is installed: {path}"
            problems.error(package.span, message, code="package-conffile", hint="it comes from `files`")
    problems.raise_if_errors()
    edited = {
        *environment,
        *package.conffiles,
        *(path for path in stager.targets if path.startswith("/etc/")),
    }
    has_machine_code = any(_is_machine_code(stager.real(path)) for path in stager.targets)
    return Staged(root, tuple(sorted(stager.targets)), tuple(sorted(edited)), has_machine_code)


def environment_path(bundle: Bundle, name: str) -> str:
    """Where the units look for a compiled environment file."""
    return f"/etc/pm-native/{bundle.project}/{name}"


class _Stager:
    """Copies the user's files; `targets` are those that are there."""

    def __init__(self, root: Path, problems: Diagnostics) -> None:
        self.root = root
        self.problems = problems
        self.targets: set[str] = set()

    def real(self, target: str) -> Path:
        """Where the file of the package is here."""
        return self.root / target.lstrip("/")

    def install(self, item: PackagedFiles) -> None:
        """Copy a file, or all of a folder that is wanted; what cannot be is added to the problems."""
        source = Path(item.source)
        if source.is_file():
            self._copy(source, str(item.target), item)
        elif source.is_dir():
            self._install_folder(source, item)
        else:
            message = f"there is no file or folder {source}"
            hint = "build it first, or mend `from`"
            self.problems.error(item.span, message, code="package-file-missing", hint=hint)

    def _install_folder(self, folder: Path, item: PackagedFiles) -> None:
        _directory(self.real(str(item.target)))
        for path in _wanted(folder, item.exclude):
            target = str(item.target / path.relative_to(folder))
            if path.is_symlink() and not _stays_inside(path, folder):
                message = f"{path} is a link out of the folder: {path.readlink()}"
                hint = "make it relative, or `exclude` it"
                self.problems.error(item.span, message, code="package-link", hint=hint)
            elif path.is_symlink() or path.is_file():
                self._copy(path, target, item)
            elif path.is_dir():
                _directory(self.real(target))
            else:
                message = f"{path} is neither a file nor a folder nor a link"
                self.problems.error(item.span, message, code="package-file-special", hint="`exclude` it")

    def _copy(self, source: Path, target: str, item: PackagedFiles) -> None:
        """The file with the mode of a package's file: readable by all, executable where it was."""
        place = self.real(target)
        if os.path.lexists(place):
            message = f"two files of the package have the same place: {target}"
            self.problems.error(item.span, message, code="package-file-twice", hint="`exclude` one of them")
            return
        _directory(place.parent)
        shutil.copyfile(source, place, follow_symlinks=False)
        if not source.is_symlink():
            place.chmod(0o755 if source.stat().st_mode & 0o100 else 0o644)
        self.targets.add(target)


def _wanted(folder: Path, exclude: tuple[str, ...]) -> Iterator[Path]:
    """What is below the folder, folders first, in the same order on every host."""
    for top, names, files in os.walk(folder):
        here = Path(top)

        def is_wanted(name: str, here: Path = here) -> bool:
            path = str((here / name).relative_to(folder))
            return name not in _UNWANTED and not any(fnmatchcase(path, pattern) for pattern in exclude)

        links = {name for name in names if (here / name).is_symlink()}  # of folders: taken as they are
        yield from (here / name for name in sorted(filter(is_wanted, names)))
        names[:] = sorted(name for name in names if name not in links and is_wanted(name))
        yield from (here / name for name in sorted(filter(is_wanted, files)) if not name.endswith(".pyc"))


def _stays_inside(link: Path, folder: Path) -> bool:
    target = link.readlink()
    return not target.is_absolute() and Path(os.path.normpath(link.parent / target)).is_relative_to(folder)


def _directory(path: Path) -> None:
    path.mkdir(parents=True, exist_ok=True, mode=0o755)


def write_file(path: Path, text: str, mode: int = 0o644) -> None:
    """Write a file of the tree, and the folders above it where there are none."""
    _directory(path.parent)
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)


def _is_machine_code(path: Path) -> bool:
    if path.is_symlink():
        return False
    with path.open("rb") as stream:
        return stream.read(4) == _ELF
