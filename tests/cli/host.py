"""A user's host in a temporary folder: what is installed there, and a fake manager behind its bus."""

from __future__ import annotations

import shlex
from contextlib import asynccontextmanager
from dataclasses import dataclass

from pm_native.cli.main import run
from pm_native.compile.bundle import Installed
from pm_native.monitor.cgroup import Cgroups
from pm_native.monitor.procfs import Processes
from pm_native.state.layout import user_layout
from pm_native.state.store import Store
from tests.monitor.fakes import TableManager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import pytest

    from pm_native.bus.manager import Manager
    from pm_native.compile.bundle import Bundle
    from pm_native.unit.name import Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a command line came to."""

    code: int
    out: str
    err: str


class CommandHost:
    """Runs command lines as a user whose home and manager are made up."""

    def __init__(
        self, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.home = home
        self.manager = TableManager()
        self._capsys = capsys
        for variable in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR", "FORCE_COLOR"):
            monkeypatch.delenv(variable, raising=False)
        monkeypatch.setenv("HOME", str(home))
        monkeypatch.setenv("NO_COLOR", "1")
        monkeypatch.chdir(home)
        monkeypatch.setattr("pm_native.bus.dbus.connect", self._connect)
        root = home / "no-kernel"
        monkeypatch.setattr("pm_native.monitor.cgroup.Cgroups", lambda: Cgroups(root))
        monkeypatch.setattr("pm_native.monitor.procfs.Processes", lambda: Processes(root))

    @asynccontextmanager
    async def _connect(self, scope: Scope, *, command: object = (), **_: object) -> AsyncIterator[Manager]:
        assert scope == "user"
        assert command
        yield self.manager

    def install(self, bundle: Bundle) -> None:
        """Record a project as installed."""
        layout = user_layout({"HOME": str(self.home)})
        Store(layout, bundle.project).save(Installed(generation=1, bundle=bundle))

    def unit_file(self, name: str, text: str) -> None:
        """Put a unit file where the user's manager has them."""
        path = self.home / ".config/systemd/user" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def __call__(self, line: str) -> Said:
        """Run `pm-native LINE`."""
        self._capsys.readouterr()
        code = run(shlex.split(line))
        said = self._capsys.readouterr()
        return Said(code=code, out=said.out, err=said.err)
