"""What runs under another process manager right now: a project of it, and the handles to stop and start each part."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from typing import Protocol

from pm_native.errors import UnavailableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from pm_native.errors import Diagnostics
    from pm_native.importers.base import ImportOptions
    from pm_native.model.project import Project

TIMEOUT_SEC = 10.0
_DISABLE_SEC = 120.0


class RunningManagerError(UnavailableError):
    """The other manager does not answer, or refuses what was asked of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One process of the other manager: how it knows it, and whether it runs."""

    handle: str
    is_running: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A project of what runs, and per process of it the members that are one."""

    project: Project
    members: Mapping[str, tuple[Member, ...]]


class RunningManager(Protocol):
    """Another process manager that runs. Every call may raise RunningManagerError."""

    @property
    def title(self) -> str:
        """Its name, for people."""

    @property
    def place(self) -> str:
        """Where it is spoken to, for people."""

    @property
    def config(self) -> Path | None:
        """The file that says what it runs; None where it keeps that to itself."""

    def load(self, options: ImportOptions, problems: Diagnostics) -> Running | None:
        """What it runs; None after adding an error."""

    def stop(self, handles: Sequence[str]) -> None:
        """Stop processes, and wait until they have ended; also those that somebody else has asked to stop."""

    def start(self, handles: Sequence[str]) -> None:
        """Start processes that were stopped."""

    def running(self) -> frozenset[str]:
        """The handles of all processes that run now."""

    def farewell(self) -> tuple[str, ...]:
        """The commands that take the manager out of the boot, and its list of processes with it."""

    def retire(self) -> tuple[str, ...]:
        """Do what `farewell` says; what was done."""


def disable_unit(unit: str) -> str:
    """Stop a unit of the host and take it out of the boot: the command that did it, or is left to root to do.

    "" where the unit is neither there nor running.
    """
    if not any(_says(word, unit) for word in ("is-enabled", "is-active")):
        return ""
    words = ["systemctl", "disable", "--now", unit]
    if os.geteuid() != 0:
        return f"left to do: sudo {' '.join(words)}"
    try:
        run = subprocess.run(words, capture_output=True, text=True, check=False, timeout=_DISABLE_SEC)
    except subprocess.TimeoutExpired as error:
        raise RunningManagerError(f"{' '.join(words)} took more than {_DISABLE_SEC:g} s") from error
    if run.returncode:
        raise RunningManagerError(f"{' '.join(words)}: {run.stderr.strip()}")
    return " ".join(words)


def _says(word: str, unit: str) -> bool:
    run = subprocess.run(["systemctl", word, "--quiet", unit], check=False, stderr=subprocess.DEVNULL)
    return run.returncode == 0
