"""What the command line decides about compiling."""

from __future__ import annotations

from dataclasses import dataclass, field

from pm_native.compile.host import Host
from pm_native.unit.name import Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class CompileOptions:
    """`caller_path` is the PATH of whoever runs the compiler, the second place where programs are looked for.

    `library` is where the Python library that watches files is, "" where Python finds it by itself, None: it is not there.
    `runtime` is the folder of pm_native/runtime, as the units name it: what programs are started with is there,
    and `python` is what it runs by.
    With `allow_missing`, programs, users and folders that this host lacks are warnings: for a build host.
    """

    scope: Scope = Scope.SYSTEM
    systemd_version: int = 252
    host: Host = field(default_factory=Host)
    caller_path: str = ""
    runtime: str = "/usr/lib/python3/dist-packages/pm_native/runtime"
    python: str = "/usr/bin/python3"
    library: str | None = ""
    allow_missing: bool = False
