"""What keeps a process apart from the rest of the host: its sandbox, and the secrets that only it gets."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from pm_native.errors import NOWHERE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pm_native.errors import Span


class Profile(StrEnum):
    """How much of the host a process is kept from."""

    OFF = "off"
    BASIC = "basic"
    STRICT = "strict"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandbox:
    """The profile, and the absolute paths of the files and folders that stay writable in it."""

    profile: Profile = Profile.OFF
    writable: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """A file that only this process is given, as the file `name` in a folder of its own; its content stays unread here.

    `path` is absolute. With `env` its content is in the environment variable `name` as well; `encrypted` is a
    credential that systemd-creds(1) made.
    """

    name: str
    path: str
    env: bool = False
    encrypted: bool = False
    span: Span = NOWHERE
