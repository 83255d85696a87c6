"""Where the bus of a scope is: the addresses to try, in D-Bus' own notation."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote_to_bytes

from pm_native.errors import UnavailableError
from pm_native.unit.name import Scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

SYSTEM_BUS = "/run/dbus/system_bus_socket"
OFFLINE = "generate, check, explain and plan --root work without it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A socket to connect to. `source` says where the path comes from, for messages."""

    path: bytes  # begins with NUL for an abstract socket
    source: str

    def __str__(self) -> str:
        return os.fsdecode(self.path.replace(b"\0", b"@", 1))


def bus_endpoints(scope: Scope, environ: Mapping[str, str], uid: int) -> list[Endpoint]:
    """The sockets on which the bus of `scope` may be, the best first; UnavailableError for a strange address."""
    variable = "DBUS_SYSTEM_BUS_ADDRESS" if scope is Scope.SYSTEM else "DBUS_SESSION_BUS_ADDRESS"
    if address := environ.get(variable):
        return [Endpoint(path=path, source=variable) for path in parse_address(address, variable, environ)]
    if scope is Scope.SYSTEM:
        return [Endpoint(path=SYSTEM_BUS.encode(), source="the system bus")]
    directories = [environ.get("XDG_RUNTIME_DIR"), f"/run/user/{uid}"]
    return [
        Endpoint(path=os.fsencode(f"{directory}/bus"), source="the user bus")
        for directory in dict.fromkeys(directory for directory in directories if directory)
    ]


def parse_address(text: str, source: str, environ: Mapping[str, str]) -> list[bytes]:
    """The unix sockets in a D-Bus address list; UnavailableError where it has none."""
    found: list[bytes] = []
    for entry in filter(None, text.split(";")):
        transport, _, options = entry.partition(":")
        if transport != "unix":
            continue
        # Values are percent-encoded bytes (D-Bus specification, "Server Addresses").
        pairs = dict(pair.split("=", 1) for pair in options.split(",") if "=" in pair)
        if "path" in pairs:
            found.append(unquote_to_bytes(pairs["path"]))
        elif "abstract" in pairs:
            found.append(b"\0" + unquote_to_bytes(pairs["abstract"]))
        elif pairs.get("runtime") == "yes" and "XDG_RUNTIME_DIR" in environ:
            found.append(os.fsencode(f"{environ['XDG_RUNTIME_DIR']}/bus"))
    if not found:
        raise UnavailableError(
            f"{source} has no unix socket to connect to: {text!r}",
            hint="pm-native speaks unix:path=, unix:abstract= and unix:runtime=yes",
        )
    return found


def no_bus_error(
    scope: Scope, tried: list[tuple[Endpoint, str]], root: Path = Path("/")
) -> UnavailableError:
    """Why there is no bus, from the host's state; `tried` has each socket with what went wrong."""
    told = "; ".join(f"{endpoint}: {why}" for endpoint, why in tried)
    if not (root / "run/systemd/system").is_dir():  # sd_booted(3)
        return UnavailableError(f"systemd is not running on this host ({told})", hint=OFFLINE)
    if scope is Scope.USER:
        return UnavailableError(
            f"there is no user bus ({told})",
            hint="log in as that user or run `loginctl enable-linger USER`, and have the package dbus-user-session"
            f"; {OFFLINE}",
        )
    return UnavailableError(
        f"systemd runs, and there is no system bus ({told})",
        hint=f"install the package dbus, or run `systemctl start dbus.socket`; {OFFLINE}",
    )
