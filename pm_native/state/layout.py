"""Where things live on a host: unit files, environment files, pm-native's own records. One root, two scopes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from pm_native.unit.name import Scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The directories of one scope, all of them absolute and below `root`.

    `configuration` is what systemd's specifier %E stands for in the scope: compiled units rely on it.
    """

    scope: Scope
    root: Path
    units: Path
    configuration: Path
    state: Path
    runtime: Path

    def environment(self, project: str) -> Path:
        """The directory of a project's environment files, which may hold secrets: mode 0700."""
        return self.configuration / "pm-native" / project

    def records(self, project: str) -> Path:
        """The directory of what pm-native knows of a project: manifest and generations."""
        return self.state / "pm-native" / project

    def lock(self, project: str) -> Path:
        """The file whose lock a run holds while it changes anything of a project."""
        return self.runtime / f"pm-native-{self.scope.value}-{project}.lock"


def system_layout(root: Path = Path("/")) -> Layout:
    """The layout of the system manager below `root`."""
    return Layout(
        scope=Scope.SYSTEM,
        root=root,
        units=root / "etc/systemd/system",
        configuration=root / "etc",
        state=root / "var/lib",
        runtime=root / "run",
    )


def user_layout(environ: Mapping[str, str], root: Path = Path("/")) -> Layout:
    """The layout of the user manager, by the XDG variables of `environ` (file-hierarchy(7), home directory)."""
    home = Path(environ.get("HOME") or f"~{os.getuid()}").expanduser()
    configuration = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    state = Path(environ.get("XDG_STATE_HOME") or home / ".local/state")
    runtime = Path(environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}")

    def below(path: Path) -> Path:
        return path if root == Path("/") else root / path.relative_to("/")

    return Layout(
        scope=Scope.USER,
        root=root,
        units=below(configuration) / "systemd/user",
        configuration=below(configuration),
        state=below(state),
        runtime=below(runtime),
    )
