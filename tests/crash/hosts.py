"""A host that is photographed before each change of anything outside: what a kill at that point leaves."""

from __future__ import annotations

import copy
import os
import shutil
import stat
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from pm_native.bus.fake import FakeUnit
from pm_native.bus.manager import JobMode, JobType
from pm_native.compile.bundle import BundleUnit
from pm_native.model.record import OnChange
from tests.apply.hosts import DiskManager, Host, compiled
from tests.plan.hosts import service_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    import pytest

    from pm_native.bus.manager import JobHandle, JobResult
    from pm_native.compile.bundle import Bundle

RELOADS = "shop-s7.service"
OTHERS = {
    "etc/systemd/system/other.service": "[Service]\nExecStart=/bin/other\n",
    "etc/systemd/system/.other.service.77.new": "somebody else's scratch file",
    "etc/systemd/system/.shop-s1.service.new": "not a name that we make",
    "etc/systemd/system/multi-user.target.wants/other.service": "-> /etc/systemd/system/other.service",
    "etc/systemd/system/shop-s1.service.d/50-mine.conf": "[Service]\nNice=5\n",
    "etc/pm-native/notes": "of the administrator",
    "var/lib/pm-native/other/current.json": "{}",
}
OTHER_UNIT = "other.service"


def service(name: str, on_change: OnChange = OnChange.RESTART) -> BundleUnit:
    unit = f"shop-{name}.service"
    return BundleUnit(unit, unit, name, "shop.toml:3", on_change=on_change, files=(f"shop-{name}.env",))


def bundle(count: int, services: dict[str, str], changed: str = "") -> Bundle:
    """A pool of `count` and services, each with its command and an environment file, which `changed` is in one of."""
    names = [f"shop-api@{number}.service" for number in range(1, count + 1)]
    units = [BundleUnit(name, "shop-api@.service", "api", "shop.toml:9") for name in names]
    units.append(BundleUnit("shop-api.target", "shop-api.target", "api", "shop.toml:9", after=tuple(names)))
    kinds = {"s7": OnChange.RELOAD, "s8": OnChange.STOP_START}
    units += [service(name, kinds.get(name, OnChange.RESTART)) for name in services]
    extra = {"s7": "ExecReload=:/bin/reload\n"}
    texts = {
        f"shop-{name}.service": service_text(command, service=extra.get(name, ""))
        for name, command in services.items()
    }
    texts["shop-api@.service"] = service_text(f"api{changed}")
    texts["shop-api.target"] = "[Unit]\n" + "".join(f"Wants={name}\n" for name in names)
    env = {f"shop-{name}.env": f'KEY="{changed * (name == "s5")}"\n' for name in services}
    return compiled(*units, texts=texts, env=env)


OLD = bundle(6, {f"s{number}": "run" for number in range(1, 11)})
NEW = bundle(
    4,
    {
        **{f"s{number}": "run" for number in range(1, 6)},
        **{f"s{number}": "run2" for number in range(6, 9)},
        **{f"n{number}": "run" for number in range(1, 5)},
    },
    changed="2",
)


@dataclass(slots=True)
class WatchedManager(DiskManager):
    """A fake that says before it changes anything, and knows the settings that each unit runs on."""

    before: Callable[[], None] = lambda: None
    environment: Path = Path()
    loaded: dict[str, str] = field(default_factory=dict)  # unit file -> its text at the last reload
    runs_on: dict[str, tuple[str, str]] = field(default_factory=dict)

    def add(self, *units: FakeUnit) -> None:
        """See `FakeManager`."""
        DiskManager.add(self, *(replace(unit, can_reload=unit.name == RELOADS) for unit in units))

    async def reload(self) -> None:
        """See `Manager`."""
        self.before()
        await DiskManager.reload(self)
        assert self.folder is not None
        self.loaded = {
            path.name: path.read_text(encoding="utf-8")
            for path in self.folder.glob("[!.]*")
            if path.is_file()
        }

    async def reset_failed(self, name: str) -> None:
        """See `Manager`."""
        self.before()
        await DiskManager.reset_failed(self, name)

    async def submit(
        self, job: JobType, unit: str, mode: JobMode = JobMode.REPLACE, *, along: Collection[str] = ()
    ) -> JobHandle:
        """See `Manager`."""
        self.before()
        return await DiskManager.submit(self, job, unit, mode, along=along)

    def _run(self, unit: FakeUnit, job: JobType) -> JobResult | None:
        run = unit.invocation_id
        result = DiskManager._run(self, unit, job)
        if unit.invocation_id != run or job is JobType.RELOAD:
            self.runs_on[unit.name] = self.settings(unit.name)
        return result

    def settings(self, unit: str) -> tuple[str, str]:
        """What a unit that is started now runs on."""
        env = self.environment / unit.replace(".service", ".env")
        return self.loaded.get(self.known.get(unit, ""), ""), env.read_text() if env.exists() else ""

    def drained(self) -> WatchedManager:
        """Another like it, in which the jobs that are queued now have been run: systemd goes on without us."""
        units = {name: copy.copy(unit) for name, unit in self.units.items()}
        clone = replace(
            self, units=units, known=dict(self.known), runs_on=dict(self.runs_on), loaded=self.loaded
        )
        clone.before, clone.calls, clone.asked = lambda: None, [], []
        clone._table, clone._queue, clone._lost = type(self._table)(), {}, None
        for job in self._queue.values():
            clone._run(clone.units[job.unit.name], job.type)
        return clone


Tree = dict[str, tuple[int, str]]


@dataclass(frozen=True, slots=True)
class Left:
    """What a kill leaves: the disk, by path with mode and text, and systemd."""

    point: str
    tree: Tree
    manager: WatchedManager

    @property
    def key(self) -> object:
        units = self.manager.units.values()
        return (
            tuple(self.tree.items()),
            tuple((unit.name, unit.active_state, unit.invocation_id) for unit in units),
            tuple(self.manager.loaded.items()),
        )


class CrashHost(Host):
    """A host whose runs can be photographed, and that can be put back to any photograph."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(root, monkeypatch)
        self.patch = monkeypatch
        self.points = 0
        self.texts: dict[tuple[str, int, int, int], str] = {}  # a file is read again when it is another
        self.manager: WatchedManager = WatchedManager(
            folder=self.layout.units, environment=self.layout.environment("shop")
        )
        for name, text in OTHERS.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if text.startswith("-> "):
                path.symlink_to(text[3:])
            else:
                path.write_text(text)
        self.manager.add(FakeUnit(name=OTHER_UNIT, active_state="active", sub_state="running"))
        # A killed process has what it wrote in the page cache: only a power cut tells synced from written.
        monkeypatch.setattr(os, "fsync", lambda _: None)

    def files(self) -> Tree:
        """The whole disk."""
        found: Tree = {}
        self._scan(str(self.root), "", found)
        return dict(sorted(found.items()))

    def _scan(self, folder: str, prefix: str, found: Tree) -> None:
        with os.scandir(folder) as entries:
            for entry in entries:
                status = entry.stat(follow_symlinks=False)
                text = ""
                if stat.S_ISDIR(status.st_mode):
                    self._scan(entry.path, f"{prefix}{entry.name}/", found)
                elif stat.S_ISLNK(status.st_mode):
                    text = f"-> {Path(entry.path).readlink()}"
                else:
                    key = entry.path, status.st_ino, status.st_mtime_ns, status.st_size
                    if key not in self.texts:
                        self.texts[key] = Path(entry.path).read_text(encoding="utf-8")
                    text = self.texts[key]
                found[prefix + entry.name] = status.st_mode, text

    def put_back(self, left: Left) -> None:
        """Make disk and systemd what they are in a photograph."""
        now = self.files()
        for name in sorted(now, reverse=True):
            if name in left.tree and stat.S_IFMT(now[name][0]) == stat.S_IFMT(left.tree[name][0]):
                continue
            path = self.root / name
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        for name in sorted(left.tree):
            mode, text = left.tree[name]
            path = self.root / name
            if now.get(name) == (mode, text):
                continue
            if stat.S_ISDIR(mode):
                path.mkdir(exist_ok=True)
            elif stat.S_ISLNK(mode):
                path.unlink(missing_ok=True)
                path.symlink_to(text[3:])
                continue
            else:
                path.unlink(missing_ok=True)  # it may have other names
                path.write_text(text, encoding="utf-8")
            path.chmod(stat.S_IMODE(mode))
        self.manager = left.manager.drained()

    def photograph(self, action: Callable[[], object]) -> list[Left]:
        """Do something, and give what a kill at each point of it leaves; the same is given once."""
        found: dict[object, Left] = {}
        self.points = 0

        def before(what: str = "systemd") -> None:
            self.points += 1
            left = Left(f"{self.points} ({what})", self.files(), self.manager.drained())
            found.setdefault(left.key, left)

        with self.patch.context() as patch:
            for name in (
                "rename",
                "unlink",
                "rmdir",
                "mkdir",
                "symlink",
                "link",
                "open",
                "write",
                "fchmod",
                "fsync",
            ):
                patch.setattr(os, name, partial(_told, getattr(os, name), name, before))
            self.manager.before = before
            action()
        before("end")
        self.manager.before = lambda: None
        return list(found.values())


def _told(
    call: Callable[..., object], name: str, before: Callable[[str], None], /, *args: object, **more: object
) -> object:
    if name != "open" or (len(args) > 1 and isinstance(args[1], int) and args[1] & os.O_CREAT):
        before(f"{name} {args[0]}")
    return call(*args, **more)
