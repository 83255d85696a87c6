"""What the contract is run on: the fake, or a systemd that gets the unit files which make it do the same."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

from pm_native.bus.fake import Behaviour, FakeManager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Protocol

    from pm_native.bus.fake import FakeUnit
    from pm_native.bus.manager import Manager

    class Lab(Protocol):
        """A manager, and a way to put units in front of it."""

        manager: Manager

        async def install(self, *units: FakeUnit) -> None: ...


SLEEP = "/bin/sleep infinity"
_SERVICE = {
    Behaviour.RUNS: ("", f"Type=exec\nExecStart={SLEEP}"),
    Behaviour.FAILS: ("", "Type=oneshot\nExecStart=/bin/false"),
    Behaviour.TIMES_OUT: ("", f"Type=notify\nTimeoutStartSec=200ms\nExecStart={SLEEP}"),
    Behaviour.CRASHES: ("", "Type=exec\nExecStart=/bin/sh -c 'sleep 0.1; exit 3'"),
    Behaviour.ENDS: ("", "Type=exec\nExecStart=/bin/true"),
    Behaviour.HANGS: ("", f"Type=notify\nTimeoutStartSec=infinity\nExecStart={SLEEP}"),
    Behaviour.SKIPS: ("ConditionPathExists=/nowhere", f"Type=exec\nExecStart={SLEEP}"),
    Behaviour.ASSERTS: ("AssertPathExists=/nowhere", f"Type=exec\nExecStart={SLEEP}"),
}


class FakeLab:
    """The fake, empty at first."""

    def __init__(self) -> None:
        self.fake = FakeManager()
        self.manager: Manager = self.fake

    async def install(self, *units: FakeUnit) -> None:
        self.fake.add(*units)


class RealLab:
    """A systemd, with unit files where it looks for them."""

    def __init__(self, manager: Manager, directory: Path) -> None:
        self.manager = manager
        self.directory = directory

    async def install(self, *units: FakeUnit) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        for unit in units:
            path = self.directory / unit.name
            path.unlink(missing_ok=True)
            if unit.masked:
                path.symlink_to("/dev/null")
            else:
                wanted_by = [other.name for other in units if unit.name in other.wants]
                path.write_text(unit_text(unit, wanted_by), encoding="utf-8")
        await self.manager.reload()


def unit_text(unit: FakeUnit, wanted_by: Sequence[str] = ()) -> str:
    """The unit file that makes systemd do what the fake unit does."""
    condition, service = _SERVICE[unit.behaviour]
    lines = ["[Unit]", condition, *(f"PartOf={name}" for name in wanted_by)]
    lines += [f"Requires={name}\nAfter={name}" for name in unit.requires]
    lines += [f"Wants={name}\nAfter={name}" for name in unit.wants]
    lines += ["[Service]", service, "ExecReload=/bin/true" * unit.can_reload]
    lines += ["ExecStop=/bin/sleep infinity\nTimeoutStopSec=infinity" * unit.stop_hangs]
    if unit.unit_file_state != "static":
        lines += ["[Install]", "WantedBy=default.target"]
    return "\n".join(lines) + "\n"


def become(user: str) -> Path:
    """Go on as that user, with nothing in the environment that says where the bus is; the home directory."""
    from pm_native.bus import dbus  # the user may not be able to read our modules

    del dbus
    account = pwd.getpwnam(user)
    os.setgroups([])
    os.setresgid(account.pw_gid, account.pw_gid, account.pw_gid)
    os.setresuid(account.pw_uid, account.pw_uid, account.pw_uid)
    for variable in ("DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR"):
        os.environ.pop(variable, None)
    return Path(account.pw_dir)
