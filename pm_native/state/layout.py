"""Where things live on a host: unit files, environment files, pm-native's own records. One root, two scopes."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from pm_native.errors import UsageError
from pm_native.model.names import RUNTIME_ENVIRONMENTS
from pm_native.unit.name import Scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

# As `systemd-analyze unit-paths` has them (systemd.unit(5), UNIT FILE LOAD PATH).
_SYSTEM_LOAD_PATH = (
    "etc/systemd/system.control",
    "run/systemd/system.control",
    "run/systemd/transient",
    "run/systemd/generator.early",
    "etc/systemd/system",
    "etc/systemd/system.attached",
    "run/systemd/system",
    "run/systemd/system.attached",
    "run/systemd/generator",
    "usr/local/lib/systemd/system",
    "lib/systemd/system",
    "usr/lib/systemd/system",
    "run/systemd/generator.late",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The directories of one scope, all of them absolute and below `root`.

    `environments` and `projects` have a folder for each project; compiled units name the former, by systemd's
    specifier %E. `load_path` are all the directories that systemd takes unit files from, `units` among them: of files of
    one name it takes the first. `is_runtime`: all of it is gone at the next boot, the records too.
    """

    scope: Scope
    root: Path
    units: Path
    environments: Path
    projects: Path
    runtime: Path
    load_path: tuple[Path, ...]
    is_runtime: bool = False

    @property
    def above(self) -> tuple[Path, ...]:
        """The unit directories whose files win over those in `units`."""
        return self.load_path[: self.load_path.index(self.units)]

    @property
    def below(self) -> tuple[Path, ...]:
        """The unit directories whose files are hidden by those in `units`."""
        return self.load_path[self.load_path.index(self.units) + 1 :]

    def environment(self, project: str) -> Path:
        """The directory of a project's environment files, which may hold secrets: mode 0700."""
        return self.environments / project

    def records(self, project: str) -> Path:
        """The directory of what pm-native knows of a project: manifest and generations."""
        return self.projects / project

    def check_within(self, *folders: Path) -> None:
        """UsageError where a folder below another root than the host's is a link out of it, or behind one."""
        if self.root == Path("/"):
            return
        base = self.root.resolve()
        for folder in folders:
            if not folder.resolve().is_relative_to(base):
                hint = "make it a folder of the root's own, or a relative link within it"
                raise UsageError(f"--root: {folder} is a link that leads out of {self.root}", hint=hint)

    def until_reboot(self) -> Layout:
        """The same for projects that are gone at the next boot, a user's at the end of the last session."""
        return replace(
            self,
            units=self.runtime / "systemd" / self.scope.value,
            environments=self.runtime / RUNTIME_ENVIRONMENTS,
            projects=self.runtime / "pm-native-projects",
            is_runtime=True,
        )

    def lock(self, project: str) -> Path:
        """The file whose lock a run holds while it changes anything of a project."""
        return self.runtime / f"pm-native-{self.scope.value}-{project}.lock"


def system_layout(root: Path = Path("/")) -> Layout:
    """The layout of the system manager below `root`."""
    return Layout(
        scope=Scope.SYSTEM,
        root=root,
        units=root / "etc/systemd/system",
        environments=root / "etc/pm-native",
        projects=root / "var/lib/pm-native",
        runtime=root / "run",
        load_path=tuple(root / path for path in _SYSTEM_LOAD_PATH),
    )


def user_layout(environ: Mapping[str, str], root: Path = Path("/")) -> Layout:
    """The layout of the user manager, by the XDG variables of `environ` (file-hierarchy(7), home directory)."""
    home = Path(environ.get("HOME") or f"~{os.getuid()}").expanduser()
    configuration = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    state = Path(environ.get("XDG_STATE_HOME") or home / ".local/state")
    data = Path(environ.get("XDG_DATA_HOME") or home / ".local/share")
    runtime = Path(environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}")

    def below(path: Path) -> Path:
        return path if root == Path("/") else root / path.relative_to("/")

    return Layout(
        scope=Scope.USER,
        root=root,
        units=below(configuration) / "systemd/user",
        environments=below(configuration) / "pm-native",
        projects=below(state) / "pm-native",
        runtime=below(runtime),
        load_path=(
            below(configuration) / "systemd/user.control",
            below(runtime) / "systemd/user.control",
            below(runtime) / "systemd/transient",
            below(runtime) / "systemd/generator.early",
            below(configuration) / "systemd/user",
            root / "etc/xdg/systemd/user",
            root / "etc/systemd/user",
            below(runtime) / "systemd/user",
            root / "run/systemd/user",
            below(runtime) / "systemd/generator",
            below(data) / "systemd/user",
            root / "usr/local/share/systemd/user",
            root / "usr/share/systemd/user",
            root / "usr/local/lib/systemd/user",
            root / "usr/lib/systemd/user",
            below(runtime) / "systemd/generator.late",
        ),
    )
