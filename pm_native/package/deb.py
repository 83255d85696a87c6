"""A .deb (deb(5)), by dpkg-deb alone."""

from __future__ import annotations

import gzip
import hashlib
import os
import subprocess
import textwrap
from datetime import UTC, datetime
from email.utils import format_datetime

from pm_native.package.build import run_tool, script, set_times, write_listing
from pm_native.package.tree import UNITS, write_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pm_native.package.build import Build

_SCRIPTS = {
    "preinst": "case $1 in\n    install | upgrade) before_files ;;\nesac\n",
    "postinst": "case $1 in\n    configure) after_files ;;\n    abort-upgrade) after_abort ;;\nesac\n",
    "prerm": "case $1 in\n    remove) before_removal ;;\nesac\n",
    "postrm": "case $1 in\n    remove) after_removal last ;;\nesac\n",
}
_SCRIPT_REASON = (
    "the scripts switch the units themselves: what differs restarts, one after the other where asked for"
)


def build_deb(build: Build, output: Path) -> Path:
    """Write the package into the folder `output`; UnavailableError where dpkg-deb is missing or refuses."""
    root = build.staged.root
    architecture = _architecture() if build.staged.has_machine_code else "all"
    write_listing(build)
    documents = root / "usr/share/doc" / build.name
    documents.mkdir(parents=True)
    year = datetime.fromtimestamp(build.epoch, UTC).year
    notice = f"{build.project} {build.version}\n\nCopyright: {year} {build.maintainer}\nLicense: {build.license}\n"
    write_file(documents / "copyright", notice)
    (documents / "changelog.gz").write_bytes(gzip.compress(_changelog(build).encode(), 9, mtime=0))
    write_file(root / "usr/share/lintian/overrides" / build.name, "".join(_overrides(build)))
    control = root / "DEBIAN"
    sums = "".join(_sums(root))
    size = sum(path.lstat().st_size for path in root.rglob("*")) // 1024 + 1
    write_file(control / "control", "".join(_control(build, architecture, size)))
    write_file(control / "md5sums", sums)
    if build.staged.conffiles:
        write_file(control / "conffiles", "".join(f"{path}\n" for path in build.staged.conffiles))
    for name, calls in _SCRIPTS.items():
        write_file(control / name, f"#!/bin/sh\n{script(build, calls)}", mode=0o755)
    set_times(root, build.epoch)
    path = output / f"{build.name}_{build.version}_{architecture}.deb"
    output.mkdir(parents=True, exist_ok=True)
    run_tool(
        ["dpkg-deb", "--root-owner-group", "-Zxz", "--build", str(root), str(path)],
        package="dpkg",
        epoch=build.epoch,
    )
    return path


def _control(build: Build, architecture: str, size: int) -> Iterator[str]:
    depends = [*build.package.depends, "systemd (>= 249)"]
    if build.runtime is not None:
        depends.append(f"pm-native (>= {build.runtime})" if build.runtime else "pm-native")
    if build.watches:
        depends.append("python3-inotify")
    yield f"Package: {build.name}\nVersion: {build.version}\nArchitecture: {architecture}\n"
    yield f"Maintainer: {build.maintainer}\nInstalled-Size: {size}\nDepends: {', '.join(depends)}\n"
    if build.package.homepage:
        yield f"Homepage: {build.package.homepage}\n"
    yield f"Section: misc\nPriority: optional\nDescription: {build.summary}\n"
    yield textwrap.indent(textwrap.fill(build.description, 78), " ") + "\n"


def _changelog(build: Build) -> str:
    when = format_datetime(datetime.fromtimestamp(build.epoch, UTC))
    head = f"{build.name} ({build.version}) unstable; urgency=medium\n\n  * Version {build.version}.\n\n"
    return f"{head} -- {build.maintainer}  {when}\n"


def _overrides(build: Build) -> Iterator[str]:
    """What lintian is told about the package, each with its reason; nothing that does not apply."""
    root, name = build.staged.root, build.name
    yield f"# {_SCRIPT_REASON}\n{name}: maintainer-script-calls-systemctl *\n"
    services = sorted(path.name for path in (root / UNITS.lstrip("/")).glob("*.service"))
    if services:
        yield "# compiled from a config: the header of each unit names it\n"
        yield f"{name}: systemd-service-file-missing-documentation-key *\n"
    if any(not service.endswith("@.service") for service in services):
        yield "# the target of the project is what starts at boot, and wants these; there are no scripts for other inits\n"
        yield f"{name}: systemd-service-file-missing-install-key *\n"
        yield f"{name}: package-supports-alternative-init-but-no-init.d-script *\n"
    for folder in ("srv", "opt"):
        if (root / folder).is_dir():
            yield f"# the config says where the project is\n{name}: dir-or-file-in-{folder} *\n"
    yield f"# digests of what may be secret: for root alone\n{name}: non-standard-file-perm *\n"


def _sums(root: Path) -> Iterator[str]:
    for path in sorted(root.rglob("*")):
        if path.is_file() and not path.is_symlink():
            digest = hashlib.md5(path.read_bytes(), usedforsecurity=False)  # what deb-md5sums(5) asks for
            yield f"{digest.hexdigest()}  {path.relative_to(root)}\n"


def _architecture() -> str:
    """The architecture of this host, in the words of dpkg."""
    run = subprocess.run(["dpkg", "--print-architecture"], capture_output=True, text=True, check=False)
    return run.stdout.strip() or os.uname().machine
