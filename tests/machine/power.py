"""A disk whose power can be cut: what was not synced by then is gone.

An image that is mounted as a loop; its file system keeps what is written in memory, as any does, and on its own would
write it down ten minutes later. A copy of the image at some moment holds what the disk held at that moment.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path

SIZE = 128 * 1024 * 1024  # btrfs takes no less; what is empty of it takes no room
LOOPS = 64
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
# How each kind of file system is made, and told to write nothing down on its own for long.
KINDS = {
    "ext4": (("mkfs.ext4", "-q"), "loop,commit=600,noauto_da_alloc"),
    "btrfs": (("mkfs.btrfs", "--quiet", "--mixed"), "loop,commit=300"),
}


def why_not(kind: str) -> str:
    """Why a disk of this kind cannot be had on this host; "" where it can."""
    program = KINDS[kind][0][0]
    if not shutil.which(program, path=PATH):
        return f"there is no {program}"
    if not Path("/dev/loop-control").exists():
        return "the kernel has no loop devices"
    if kind in Path("/proc/filesystems").read_text(encoding="utf-8").split():
        return ""
    modprobe = shutil.which("modprobe", path=PATH)
    is_loaded = (
        modprobe and subprocess.run([modprobe, kind], capture_output=True, check=False).returncode == 0
    )
    return "" if is_loaded else f"the kernel knows no {kind}"


@dataclass(frozen=True, slots=True)
class Disk:
    """A file system of this kind on `image`, over `folders`, which keep what they hold. `place` is where it is mounted whole."""

    kind: str
    image: Path
    place: Path
    folders: tuple[Path, ...]

    def make(self) -> None:
        """Make it, and mount it over the folders."""
        make_loops()
        with self.image.open("wb") as file:
            file.truncate(SIZE)
        call(*KINDS[self.kind][0], str(self.image))
        self.place.mkdir()
        self._mount()
        for number, folder in enumerate(self.folders):
            folder.mkdir(parents=True, exist_ok=True)
            call("cp", "--archive", "--no-target-directory", str(folder), str(self.place / str(number)))
        self._bind()
        self.sync()

    def sync(self) -> None:
        """Write all of it down."""
        call("sync", "--file-system", str(self.place))

    def cut(self) -> None:
        """Cut the power, and mount what is there as after a boot. Nobody may have a file of it open."""
        left = self.image.with_suffix(".left")
        call("cp", "--sparse=always", str(self.image), str(left))
        for folder in (*self.folders, self.place):
            call("umount", str(folder))
        left.rename(self.image)
        self._mount()
        self._bind()

    def _mount(self) -> None:
        call("mount", "-o", KINDS[self.kind][1], str(self.image), str(self.place))

    def _bind(self) -> None:
        for number, folder in enumerate(self.folders):
            call("mount", "--bind", str(self.place / str(number)), str(folder))


def make_loops() -> None:
    """The nodes of loop devices, which a container has none of."""
    os.mknod("/dev/loop-control", 0o600 | stat.S_IFCHR, os.makedev(10, 237))
    for number in range(LOOPS):
        os.mknod(f"/dev/loop{number}", 0o600 | stat.S_IFBLK, os.makedev(7, number))


def call(*words: str) -> None:
    """Run a command; RuntimeError with what it said."""
    done = subprocess.run(
        words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={"PATH": PATH}, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)}: exit status {done.returncode}\n{done.stdout}")
