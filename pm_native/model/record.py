"""The two words of the model that records of applied projects use: apart, so that `status` loads no more."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class OnChange(StrEnum):
    """What apply does to a running process whose units have changed."""

    RESTART = "restart"
    RELOAD = "reload"
    STOP_START = "stop-start"
    KEEP = "keep"


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """A file that the model was made from: its absolute path, and the SHA-256 of what was read."""

    path: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LockFile:
    """A file beside the config that keeps what was decided once; whoever writes the units writes it, too."""

    path: str
    text: str
