"""What turns a compiled project into a package of the operating system."""

from __future__ import annotations

from dataclasses import dataclass

from pm_native.errors import NOWHERE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import PurePosixPath

    from pm_native.errors import Span


@dataclass(frozen=True, slots=True, kw_only=True)
class PackagedFiles:
    """A file or folder of this host (`source`) and where the package puts it (`target`), both absolute.

    `exclude` are patterns of paths relative to the folder, as in fnmatch(3), that stay out.
    """

    source: PurePosixPath
    target: PurePosixPath
    exclude: tuple[str, ...] = ()
    span: Span = NOWHERE


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """How the project is packaged.

    `version` None: taken from git. `directory` is where the folder of the config lies on the hosts that install it.
    `depends` has the names of Debian, `rpm_depends` those of RPM. `conffiles` are targets that an upgrade leaves alone
    where somebody edited them. `users` are made by the package.
    """

    version: str | None = None
    maintainer: str | None = None
    summary: str = ""
    description: str = ""
    license: str = ""
    homepage: str = ""
    directory: PurePosixPath | None = None
    depends: tuple[str, ...] = ()
    rpm_depends: tuple[str, ...] = ()
    files: tuple[PackagedFiles, ...] = ()
    conffiles: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    span: Span = NOWHERE
