"""An .rpm, by rpmbuild: a spec file that takes the tree as it is."""

from __future__ import annotations

import os
import textwrap
from datetime import UTC, datetime

from pm_native.package.build import run_tool, script, set_times, write_listing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pm_native.package.build import Build

_SCRIPTS = {
    "%pre": "before_files\n",
    "%post": "after_files\n",
    "%preun": 'if [ "$1" -eq 0 ]; then before_removal; fi\n',
    "%postun": 'if [ "$1" -eq 0 ]; then after_removal last; else after_removal upgrade; fi\n',
}
# Folders of the distribution, which no package of a project owns.
_SHARED = frozenset(
    [
        "/etc",
        "/opt",
        "/srv",
        "/usr",
        "/usr/bin",
        "/usr/lib",
        "/usr/lib/systemd",
        "/usr/lib/systemd/system",
        "/usr/lib/sysusers.d",
        "/usr/local",
        "/usr/local/bin",
        "/usr/share",
        "/usr/share/doc",
        "/var",
        "/var/lib",
        "/var/log",
    ]
)


def build_rpm(build: Build, output: Path) -> Path:
    """Write the package into the folder `output`; UnavailableError where rpmbuild is missing or refuses."""
    root = build.staged.root
    architecture = os.uname().machine if build.staged.has_machine_code else "noarch"
    write_listing(build)
    set_times(root, build.epoch)
    work = root.parent / "rpmbuild"
    work.mkdir()
    spec = work / f"{build.name}.spec"
    spec.write_text("".join(_spec(build)), encoding="utf-8")
    define = {"_topdir": str(work), "_rpmdir": str(work / "out"), "_build_name_fmt": "%%{NAME}.rpm"}
    options = [word for name, value in define.items() for word in ("--define", f"{name} {value}")]
    run_tool(
        ["rpmbuild", "-bb", "--target", architecture, *options, str(spec)],
        package="rpm-build (rpm)",
        epoch=build.epoch,
    )
    output.mkdir(parents=True, exist_ok=True)
    path = output / f"{build.name}-{build.version}-1.{architecture}.rpm"
    (work / "out" / f"{build.name}.rpm").replace(path)
    return path


def _spec(build: Build) -> Iterator[str]:
    # What is installed is taken as it is: no scripts over it, no guesses of what it needs, no time of this build.
    yield "%global __os_install_post %{nil}\n%global use_source_date_epoch_as_buildtime 1\n"
    yield "%global clamp_mtime_to_source_date_epoch 1\n%global _buildhost localhost\n"
    yield f"Name: {build.name}\nVersion: {build.version}\nRelease: 1\nSummary: {_plain(_capitalized(build.summary))}\n"
    yield f"License: {_plain(build.license)}\nPackager: {_plain(build.maintainer)}\n"
    yield f"URL: {_plain(build.package.homepage)}\n" if build.package.homepage else ""
    yield "AutoReqProv: no\nRequires: systemd >= 249\n"
    for name in build.package.rpm_depends:
        yield f"Requires: {_plain(name)}\n"
    if build.runtime is not None:
        yield f"Requires: pm-native >= {build.runtime}\n" if build.runtime else "Requires: pm-native\n"
    if build.watches:
        yield "Requires: python3dist(inotify)\n"
    yield f"\n%description\n{textwrap.fill(_plain(build.description), 78)}\n"
    yield f"\n%install\nmkdir -p %{{buildroot}}\ncp -a {_plain(str(build.staged.root))}/. %{{buildroot}}/\n"
    for section, calls in _SCRIPTS.items():
        yield f"\n{section}\n{_plain(script(build, calls))}"
    yield "\n%files\n%defattr(-,root,root,-)\n"
    yield from _files(build)
    day = datetime.fromtimestamp(build.epoch, UTC)
    yield f"\n%changelog\n* {day:%a %b %d %Y} {_plain(build.maintainer)} - {build.version}-1\n- Version {build.version}.\n"


def _files(build: Build) -> Iterator[str]:
    root = build.staged.root
    for path in sorted(root.rglob("*")):
        target = f"/{path.relative_to(root)}"
        quoted = '"' + _plain(target) + '"'
        if path.is_symlink() or not path.is_dir():
            kind = "%config(noreplace) " if target in build.staged.conffiles else ""
            yield f"{kind}{quoted}\n"
        elif target not in _SHARED:
            yield f"%dir {quoted}\n"


def _capitalized(text: str) -> str:
    return text[:1].upper() + text[1:]


def _plain(text: str) -> str:
    """Text in which rpm expands nothing."""
    return text.replace("%", "%%")
