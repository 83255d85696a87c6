"""A user's home with a config in it, and a fake systemd behind that user's bus."""

from __future__ import annotations

import os
import pwd
import shlex
from contextlib import asynccontextmanager

from pm_native.cli.main import run
from tests.apply.hosts import DiskManager
from tests.cli.host import Said

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import pytest

    from pm_native.bus.manager import Manager
    from pm_native.unit.name import Scope

CONFIG = """\
[project]
name = "shop"
directory = "{home}"

[process.web]
command = "/bin/sleep 1000"
environment_files = ["shop.env"]

[process.api]
command = "/bin/sleep 2000"
instances = 2
"""
INSTANCES = ("shop-api@1.service", "shop-api@2.service")
APPLY = "apply --user -f pm-native.toml --settle 0"
PLAN = "plan --user -f pm-native.toml"
FIRST_PLAN = """\
+ shop-web.env  new
+ shop-api.target  new
+ shop-api@.service  new
+ shop-web.service  new
+ shop.slice  new
+ shop.target  new
+ enable default.target.wants/shop.target  starts at boot
"""
FIRST_JOBS = """\
⟳ reload unit files  unit files have changed
▶ start shop-web.service  new
▶ start shop-api@1.service  new
▶ start shop-api@2.service  new
▶ start shop-api.target  new
▶ start shop.target  new
"""


class SwitchHost:
    """A user's home with a config in it, and a fake behind the bus of that user."""

    def __init__(
        self, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.home = home
        self._capsys = capsys
        for name in [name for name in os.environ if name.startswith("XDG_")] + ["FORCE_COLOR"]:
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("HOME", str(home))
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(home / "run"))
        monkeypatch.setenv("NO_COLOR", "1")
        monkeypatch.setenv("PATH", str(home / "programs"))  # no systemctl, systemd-analyze or journalctl
        monkeypatch.chdir(home)
        monkeypatch.setattr("pm_native.bus.dbus.connect", self._connect)
        (home / "run").mkdir()
        self.linger = home / "linger"
        self.linger.mkdir()
        (self.linger / pwd.getpwuid(os.geteuid()).pw_name).touch()
        monkeypatch.setattr("pm_native.cli.switch.LINGER", self.linger)
        self.units = home / ".config/systemd/user"
        names = ["shop.target", "shop-web.service", "shop-api.target"]
        known = {name: name for name in names} | dict.fromkeys(INSTANCES, "shop-api@.service")
        known |= {f"shop-api@{number}.service": "shop-api@.service" for number in range(3, 300)}
        self.manager = DiskManager(folder=self.units, known=known)
        (home / "shop.env").write_text('KEY="very secret"\n')
        self.config(CONFIG)

    @asynccontextmanager
    async def _connect(self, scope: Scope, *, command: object = (), **_: object) -> AsyncIterator[Manager]:
        assert (scope.value, bool(command)) == ("user", True)
        yield self.manager

    def config(self, text: str) -> None:
        """Write the config."""
        (self.home / "pm-native.toml").write_text(text.replace("{home}", str(self.home)))

    def __call__(self, line: str) -> Said:
        """Run `pm-native LINE`."""
        self._capsys.readouterr()
        self.manager.calls.clear()
        code = run(shlex.split(line))
        said = self._capsys.readouterr()
        return Said(code=code, out=said.out, err=said.err)
