"""The writable layer of a test machine's overlay, prepared before anything is mounted.

What is written here hides what the root below has at the same place. Nothing is mounted on the host: the
overlay itself is mounted in the mount namespace of the machine, and is gone when that is.
"""

from __future__ import annotations

import os
import shutil
import sys
import tomllib
import uuid
from pathlib import Path

from tests.machine.roots import CHECKOUT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tests.machine.roots import Root

GENERATORS = ("usr/lib/systemd", "lib/systemd", "usr/local/lib/systemd", "etc/systemd")
# Each costs time at boot or runs at some moment of its own choice.
MASKED_UNITS = (
    "console-getty.service",
    "ldconfig.service",
    "systemd-firstboot.service",
    "systemd-hwdb-update.service",
    "systemd-journal-catalog-update.service",
    "systemd-timesyncd.service",
    "systemd-tmpfiles-clean.timer",
    "systemd-update-done.service",
)
JOURNALD = "[Journal]\nStorage=persistent\nRateLimitIntervalSec=0\nForwardToConsole=no\n"


class Layer:
    """The upper directory of an overlay over `root`; paths are absolute, as the machine will see them."""

    def __init__(self, upper: Path, root: Root) -> None:
        self.upper = upper
        self.root = root.path

    def directory(self, path: str, *, opaque: bool = False) -> Path:
        """The directory `path` in the layer, with the owner and mode it has below; opaque: empty."""
        place = self.upper
        place.mkdir(exist_ok=True, mode=0o755)
        for part in Path(path).relative_to("/").parts:
            place /= part
            if place.is_dir():
                continue
            place.mkdir(mode=0o755)
            below = self.root / place.relative_to(self.upper)
            if below.is_dir():
                status = below.stat()
                os.chown(place, status.st_uid, status.st_gid)
                place.chmod(status.st_mode & 0o7777)
        if opaque:
            os.setxattr(place, "trusted.overlay.opaque", b"y")
        return place

    def write(self, path: str, text: str, *, mode: int = 0o644) -> None:
        """The file `path`."""
        file = self._file(path)
        file.write_text(text, encoding="utf-8")
        file.chmod(mode)

    def mask(self, path: str) -> None:
        """A link to /dev/null at `path`: what systemd calls masked."""
        self._file(path).symlink_to("/dev/null")

    def _file(self, path: str) -> Path:
        parent, _, name = path.rpartition("/")
        return self.directory(parent or "/") / name

    def open_way_to(self, path: Path) -> None:
        """Let every user reach `path`: /root is closed to others, and an interpreter may live there."""
        for parent in reversed(path.parents[:-1]):
            below = self.root / parent.relative_to("/")
            if below.is_dir() and not below.is_symlink() and not below.stat().st_mode & 0o001:
                place = self.directory(str(parent))
                place.chmod(place.stat().st_mode & 0o7777 | 0o011)


def prepare(upper: Path, root: Root, *, name: str, python: Path | None) -> None:
    """Fill `upper` so that `root` boots quickly, quietly and with nothing of the host's own running.

    `python` runs the checkout's pm-native; None: the machine has none.
    """
    layer = Layer(upper, root)
    layer.write("/etc/machine-id", f"{uuid.uuid4().hex}\n", mode=0o444)
    layer.write("/etc/hostname", f"{name}\n")
    layer.write("/etc/fstab", "")
    # What the host enabled (databases, timers, consoles) does not start here; what systemd ships does.
    layer.directory("/etc/systemd/system", opaque=True)
    layer.directory("/etc/systemd/user", opaque=True)
    for unit in MASKED_UNITS:
        layer.mask(f"/etc/systemd/system/{unit}")
    for generator in sorted({path.name for path in generators(root)}):
        layer.mask(f"/etc/systemd/system-generators/{generator}")
    layer.write("/etc/systemd/journald.conf.d/machine.conf", JOURNALD)
    # Debian's tmp.conf empties /tmp at boot, and the checkout may be mounted below it.
    layer.mask("/etc/tmpfiles.d/tmp.conf")
    if python is not None:
        offer_checkout(layer, root, python)


def offer_checkout(layer: Layer, root: Root, python: Path) -> None:
    """Put the checkout's pm-native on PATH, and let every user reach it."""
    layer.write("/usr/local/bin/pm-native", f'#!/bin/sh\nexec {python} -m pm_native "$@"\n', mode=0o755)
    layer.open_way_to(CHECKOUT / "pyproject.toml")
    if root.name == "host":
        for way in {python, Path(os.path.realpath(python)), Path(sys.base_prefix) / "lib"}:
            layer.open_way_to(way)
    else:
        install_checkout(layer)


def generators(root: Root) -> list[Path]:
    """Every unit generator in `root`: the database's, the one for old init scripts, the one for consoles."""
    return [
        path
        for place in GENERATORS
        if (root.path / place / "system-generators").is_dir()
        for path in (root.path / place / "system-generators").iterdir()
    ]


def install_checkout(layer: Layer) -> None:
    """Make the checkout importable by the root's own python3, entry points included."""
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    version = next(path.name for path in (layer.root / "usr/lib").glob("python3.*"))
    packages = f"/usr/local/lib/{version}/dist-packages"
    layer.write(f"{packages}/pm_native.pth", f"{CHECKOUT}\n")
    info = f"{packages}/pm_native-{project['version']}.dist-info"
    layer.write(
        f"{info}/METADATA",
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n",
    )
    groups = {"console_scripts": project.get("scripts", {}), **project.get("entry-points", {})}
    layer.write(
        f"{info}/entry_points.txt",
        "".join(
            f"[{group}]\n" + "".join(f"{name} = {target}\n" for name, target in entries.items())
            for group, entries in groups.items()
        ),
    )


def discard(workdir: Path) -> None:
    """Remove a machine's directory; its lock last, so that a removal that is cut short is taken up again."""
    for stubborn in workdir.glob("work/*"):  # overlayfs closes it even to its owner
        stubborn.chmod(0o700)
    for directory in workdir.glob("*/"):
        shutil.rmtree(directory)
    shutil.rmtree(workdir)
