"""What a test machine boots from: this host's own root, or a root of Debian made by mmdebstrap."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

CHECKOUT = Path(__file__).resolve().parents[2]
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
TRIXIE_SYSTEMD = 257
SUITES = {"trixie": TRIXIE_SYSTEMD, "bookworm": 252}
PACKAGES = (
    "dbus",
    "dbus-user-session",
    "libpam-systemd",
    "nginx-light",
    "gunicorn",
    "nodejs",
    "passwd",
    "postgresql",
    "procps",
    "python3",
    "python3-click",
    "python3-dbus-next",
    "python3-inotify",
    "python3-jinja2",
    "python3-psutil",
    "python3-sdnotify",
    "python3-yaml",
    "redis-server",
    "rpm",
    "supervisor",
    "systemd",
    "systemd-sysv",
    "uvicorn",
)
# Documentation and translations are half of the time and a fifth of the size.
UNWANTED = (
    *("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*"),
    *("/usr/lib/*/libLLVM*", "/usr/lib/*/libz3*"),  # PostgreSQL compiles long queries with them
)


class MachineUnavailableError(Exception):
    """No test machine can be had on this host; the message says why and what would help."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """A root file system to boot from, never written to: a machine writes to an overlay on top."""

    name: str  # "host", "trixie" or "bookworm"
    path: Path
    systemd: int  # the version of systemd in it
    unified: bool  # boot with cgroup v2 alone; otherwise with what the host has


def host_systemd() -> int:
    """The version of this host's systemd; 0 where there is none."""
    if not (systemctl := shutil.which("systemctl")):
        return 0
    run = subprocess.run([systemctl, "--version"], capture_output=True, text=True, check=False)
    found = re.match(r"systemd (\d+)", run.stdout)
    return int(found[1]) if found else 0


def open_root(name: str) -> Root:
    """The root called `name` ("host" or a suite of Debian), made now if need be; MachineUnavailableError if it cannot."""
    if name == "host":
        if not (version := host_systemd()):
            raise MachineUnavailableError("this host has no systemd to boot (install systemd, systemd-sysv)")
        return Root(name=name, path=Path("/"), systemd=version, unified=False)
    if name in SUITES:
        return Root(name=name, path=debian_path(name), systemd=SUITES[name], unified=True)
    raise ValueError(f"no root is called {name!r}: it is host, {' or '.join(SUITES)}")


def debian_path(suite: str) -> Path:
    """The directory of a root of Debian: made once per list of packages, whole or not at all."""
    cache = Path(os.environ.get("PM_NATIVE_CACHE", CHECKOUT / ".cache"))
    digest = hashlib.sha256(" ".join((*PACKAGES, *UNWANTED)).encode()).hexdigest()[:12]
    root = cache / f"{suite}-{digest}"
    if root.is_dir():
        return root
    mirror = debian_mirror()
    cache.mkdir(parents=True, exist_ok=True)
    with locked(cache / f"{suite}-{digest}.lock"):
        if not root.is_dir():
            scratch = cache / f"{suite}-{digest}.new"
            if scratch.exists():
                shutil.rmtree(scratch)
            bootstrap(suite, scratch, mirror)
            scratch.rename(root)
    return root


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock at `path`, after waiting for whoever has it."""
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def debian_mirror() -> str:
    """The mirror that this host's own apt uses; $PM_NATIVE_DEBIAN_MIRROR where it says otherwise."""
    if mirror := os.environ.get("PM_NATIVE_DEBIAN_MIRROR"):
        return mirror
    if not shutil.which("mmdebstrap") or not KEYRING.exists():
        raise MachineUnavailableError(
            "a root of Debian cannot be made: install mmdebstrap and debian-archive-keyring"
        )
    listing = subprocess.run(
        # Without --no-release-info apt names nothing until its lists have been downloaded.
        ["apt-get", "indextargets", "--no-release-info", "--format", "$(REPO_URI) $(RELEASE)"],
        capture_output=True,
        text=True,
        check=True,
    )
    for line in listing.stdout.splitlines():
        uri, _, release = line.partition(" ")
        if "debian" in uri and not re.search(r"[-/](security|updates|backports)", release):
            return uri
    raise MachineUnavailableError(
        "a root of Debian cannot be made: apt knows no Debian mirror; set PM_NATIVE_DEBIAN_MIRROR"
    )


def bootstrap(suite: str, scratch: Path, mirror: str) -> None:
    """Make a root of Debian at `scratch`, in some 30 s; MachineUnavailableError tells mmdebstrap's last words."""
    made = subprocess.run(
        [
            # What mmdebstrap mounts, and mmdebstrap itself, ends with this process however that ends.
            *("unshare", "--mount", "--propagation", "private", "setpriv", "--pdeathsig", "KILL", "--"),
            *("mmdebstrap", "--quiet", "--mode=root", "--variant=apt", f"--keyring={KEYRING}"),
            '--aptopt=Apt::Install-Recommends "false"',
            *(f"--dpkgopt=path-exclude={pattern}" for pattern in UNWANTED),
            f"--include={','.join(PACKAGES)}",
            *(suite, str(scratch), mirror),
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        last = "\n".join(made.stderr.strip().splitlines()[-8:])
        raise MachineUnavailableError(f"a root of Debian {suite} cannot be made from {mirror}:\n{last}")
