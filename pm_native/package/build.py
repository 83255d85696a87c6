"""What both kinds of package have in common: what they are told, and the texts of their scripts."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from dataclasses import dataclass

from pm_native.errors import UnavailableError
from pm_native.package.tree import write_file
from pm_native.resources import data_directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pm_native.model.package import Package
    from pm_native.package.listing import ListedUnit
    from pm_native.package.tree import Staged

DEFAULT_LICENSE = "proprietary"
# git describe: the tag, how many commits are behind it, the commit.
_DESCRIBED = re.compile(r"v?([0-9][A-Za-z0-9.+-]*)-([0-9]+)-g([0-9a-f]+)(-dirty)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """One package to build. `epoch` is the time, in seconds, that its files and entries bear.

    `runtime` is the version of pm-native that its units need, "" for any, None where they need none; `watches`: a unit
    watches files.
    """

    name: str
    project: str
    version: str
    maintainer: str
    package: Package
    staged: Staged
    units: tuple[ListedUnit, ...]
    runtime: str | None
    watches: bool
    epoch: int

    @property
    def summary(self) -> str:
        """What it is, in a line."""
        return self.package.summary or "processes under systemd"

    @property
    def description(self) -> str:
        """What it is, in a paragraph."""
        given = " ".join(self.package.description.split())
        return given or (
            "Its processes run as systemd units, compiled by pm-native from one config. They start at boot, restart when they"
            " end, and log to the journal."
        )

    @property
    def license(self) -> str:
        """The license, in a line."""
        return self.package.license or DEFAULT_LICENSE

    @property
    def listing(self) -> str:
        """Where the package says what its units are."""
        return f"/usr/share/{self.name}/units.list"


def write_listing(build: Build) -> None:
    """Put the list of the units into the tree: for root alone, since a digest can tell a short secret by guessing."""
    path = build.staged.root / build.listing.lstrip("/")
    write_file(path, "".join(f"{unit}\n" for unit in build.units), 0o600)


def script(build: Build, calls: str) -> str:
    """A script of the package, without its first line: what all have in common, then the calls."""
    settings = {
        "package": build.name,
        "project": build.project,
        "listing": build.listing,
        "units": "\n".join(unit.name for unit in build.units),
    }
    head = "".join(f"{name}={shlex.quote(value)}\n" for name, value in settings.items())
    common = (data_directory("templates") / "package.sh").read_text(encoding="utf-8")
    # Lists of unit names are split at spaces, and patterns among them are for systemctl.
    return f"# shellcheck disable=SC2086\nset -ef\n{head}{common}\n{calls}"


def _git(folder: Path, *words: str) -> str:
    """What git says of the folder; "" where it knows nothing of it, or is not there."""
    try:
        run = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return run.stdout.strip()


def version_of_git(folder: Path) -> str | None:
    """The version of the newest tag above the folder, with the commits since; None where git knows none."""
    options = ("--tags", "--long", "--dirty", "--match", "v[0-9]*", "--match", "[0-9]*")
    match = _DESCRIBED.fullmatch(_git(folder, "describe", *options))
    if match is None:
        return None
    version, commits, commit, dirty = match.groups()
    version = version.replace("-", "~")  # 1.0.0-rc.1 comes before 1.0.0, for dpkg and rpm, too
    since = f"+{commits}.g{commit}" if commits != "0" or dirty else ""
    return f"{version}{since}{'.dirty' if dirty else ''}"


def build_epoch(folder: Path, config: Path) -> int:
    """The time that the package bears: SOURCE_DATE_EPOCH, the last commit, or that of the config."""
    if given := os.environ.get("SOURCE_DATE_EPOCH"):
        return int(given)
    committed = _git(folder, "log", "-1", "--format=%ct")
    return int(committed) if committed.isdecimal() else int(config.stat().st_mtime)


def run_tool(words: Sequence[str], *, package: str, epoch: int) -> None:
    """Run a tool that builds; UnavailableError where it is missing or fails, with its own last words."""
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(epoch), "LC_ALL": "C.UTF-8"}
    try:
        run = subprocess.run(words, capture_output=True, text=True, check=False, env=environment)
    except FileNotFoundError:
        raise UnavailableError(f"{words[0]} is not here", hint=f"install the package {package}") from None
    if run.returncode:
        last = "\n".join((run.stdout + run.stderr).strip().splitlines()[-12:])
        raise UnavailableError(f"{words[0]} failed:\n{last}")


def set_times(root: Path, epoch: int) -> None:
    """Give everything below `root` the same time: the same config makes the same bytes."""
    for path in (*root.rglob("*"), root):
        os.utime(path, (epoch, epoch), follow_symlinks=False)
