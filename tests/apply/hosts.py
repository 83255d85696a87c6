"""A host to switch: its disk is a temporary folder, its systemd a fake that knows the units whose files are there."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from hashlib import sha256

from pm_native.apply.outcome import RunOptions
from pm_native.apply.run import Runner
from pm_native.apply.snapshot import take_snapshot
from pm_native.bus.fake import Behaviour, FakeManager, FakeUnit
from pm_native.bus.fake_unit import fail
from pm_native.compile.bundle import BundleUnit, FileKind, bundle_file
from pm_native.plan.make import make_plan, make_removal
from pm_native.state.layout import system_layout
from pm_native.state.store import Store
from tests.plan.hosts import make_bundle, service_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import pytest

    from pm_native.apply.outcome import Outcome
    from pm_native.apply.waiting import Wait
    from pm_native.bus.manager import UnitDetails
    from pm_native.bus.scheduler import JobEvent
    from pm_native.compile.bundle import Bundle, BundleFile, Installed, LogDirectory
    from pm_native.plan.model import Plan, Step


def signed(item: BundleFile) -> BundleFile:
    """A unit file under the header of the compiler."""
    if item.kind is FileKind.ENVIRONMENT:
        return item
    digest = sha256(item.text.encode()).hexdigest()
    header = f"# Made by pm-native: project=shop source=shop.toml:3 sha256={digest}\n# Do not edit\n"
    return bundle_file(item.kind, item.name, header + item.text)


def compiled(
    *units: BundleUnit,
    texts: Mapping[str, str] | None = None,
    env: Mapping[str, str] | None = None,
    directories: tuple[LogDirectory, ...] = (),
) -> Bundle:
    """A bundle as the compiler makes it; each unit has the same text where `texts` has none for its file."""
    usual = {unit.file: service_text() for unit in units if not unit.name.endswith(".slice")}
    bundle = make_bundle(*units, texts={**usual, **(texts or {})}, env=env, directories=directories)
    return replace(bundle, files=tuple(signed(item) for item in bundle.files))


@dataclass(slots=True)
class DiskManager(FakeManager):
    """A fake that reads unit files: when it is reloaded it knows those that are there, and no others."""

    known: dict[str, str] = field(default_factory=dict)  # unit -> its file
    behaviours: dict[str, Behaviour] = field(default_factory=dict)
    folder: Path | None = None
    asked: list[str] = field(default_factory=list)
    stops_badly: set[str] = field(default_factory=set)
    fails_with: str = ""  # what a unit file must hold for its unit to fail

    async def reload(self) -> None:
        """See `Manager`."""
        await FakeManager.reload(self)
        assert self.folder is not None
        for name in self.stops_badly & self.units.keys():
            fail(self.units[name], "timeout")
        for name, file in self.known.items():
            behaviour = self.behaviours.get(name, Behaviour.RUNS)
            if not (self.folder / file).exists():
                if (unit := self.units.get(name)) is not None and unit.active_state == "inactive":
                    del self.units[name]
                continue
            if self.fails_with and self.fails_with in (self.folder / file).read_text():
                behaviour = Behaviour.FAILS
            if name not in self.units:
                self.add(FakeUnit(name=name, behaviour=behaviour))
            else:
                self.units[name].behaviour = behaviour
            folder = self.folder / f"{name}.d"
            self.units[name].drop_in_paths = tuple(sorted(map(str, folder.glob("*.conf"))))

    async def details(self, names: Sequence[str]) -> dict[str, UnitDetails]:
        """See `Manager`."""
        self.asked += names
        return await FakeManager.details(self, names)


class Told:
    """What a run tells of itself; `stop` is set when it tells the line `stop_after`."""

    def __init__(self, stop_after: str = "") -> None:
        self.lines: list[str] = []
        self.stop = asyncio.Event()
        self._stop_after = stop_after

    def done(self, step: Step) -> None:
        self.lines.append(f"done {step.action} {step.subject}")

    def job(self, event: JobEvent) -> None:
        if event.outcome is not None:
            self.lines.append(f"{event.outcome.stage} {event.spec.type} {event.spec.unit}")
            if self.lines[-1] == self._stop_after:
                self.stop.set()

    def waiting(self, waits: Sequence[Wait]) -> None:
        self.lines += [f"waiting for {wait}" for wait in waits]

    def settling(self, seconds: float) -> None:
        self.lines.append(f"settling {seconds:g} s")


class Host:
    """Applies bundles to a disk and a fake."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.programs = root / "programs"
        self.programs.mkdir()
        # Nothing of the real host is asked: no systemd-analyze, no journalctl, but those that a test writes.
        monkeypatch.setenv("PATH", str(self.programs))
        self.root = root / "root"
        self.root.mkdir()
        self.layout = system_layout(self.root)
        self.store = Store(self.layout, "shop")
        self.manager = DiskManager(folder=self.layout.units)
        self.told = Told()

    def program(self, name: str, script: str) -> None:
        """Put a program on PATH."""
        path = self.programs / name
        path.write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin\n{script}\n")
        path.chmod(0o755)

    @property
    def installed(self) -> Installed:
        found = self.store.load()
        assert found is not None
        return found

    def plan(self, bundle: Bundle | None, *, offline: bool = False) -> Plan:
        """The plan from this host to `bundle`; None: to nothing."""
        if bundle is not None:
            self.manager.known |= {unit.name: unit.file for unit in bundle.units}
        installed = self.store.load()
        manager = None if offline else self.manager
        snapshot = asyncio.run(take_snapshot(self.layout, "shop", bundle, installed, manager))
        return make_removal("shop", snapshot) if bundle is None else make_plan(bundle, snapshot)

    def run(
        self,
        plan: Plan,
        *,
        offline: bool = False,
        options: RunOptions | None = None,
        told: Told | None = None,
    ) -> Outcome:
        """Run a plan; `told` and the manager's `calls` are of this run alone."""
        self.told = told or Told()
        self.manager.calls.clear()
        self.manager.asked.clear()
        runner = Runner(
            plan,
            layout=self.layout,
            store=self.store,
            installed=self.store.load(),
            manager=None if offline else self.manager,
            progress=self.told,
            options=replace(options or RunOptions(settle_sec=0.001), stop=self.told.stop),
        )
        return asyncio.run(runner.run())

    def apply(
        self, bundle: Bundle | None, *, offline: bool = False, options: RunOptions | None = None
    ) -> Outcome:
        """Plan and run; None removes."""
        return self.run(self.plan(bundle, offline=offline), offline=offline, options=options)

    def tree(self) -> list[str]:
        """All files and links of the disk, and the folders that hold nothing; generations have tests of their own."""
        found = []
        for path in sorted(self.root.rglob("*")):
            name = str(path.relative_to(self.root))
            if "/generations" in name or name.endswith("/history.jsonl"):
                continue
            if path.is_symlink():
                found.append(f"{name} -> {path.readlink()}")
            elif path.is_file():
                found.append(name)
            elif not any(path.iterdir()):
                found.append(f"{name}/")
        return found


DB = BundleUnit("shop-db.service", "shop-db.service", "db", "shop.toml:3", files=("shop-db.env",))
WEB = BundleUnit("shop-web.service", "shop-web.service", "web", "shop.toml:7", after=("shop-db.service",))
ENV = {"shop-db.env": 'KEY="1"\n'}
SHOP = compiled(WEB, DB, env=ENV)


def changed(*names: str, **fields: object) -> Bundle:
    """The shop with another command in these services."""
    units = [replace(unit, **fields) for unit in (WEB, DB)]  # type: ignore[arg-type]
    return compiled(*units, texts={f"shop-{name}.service": service_text("run2") for name in names}, env=ENV)
