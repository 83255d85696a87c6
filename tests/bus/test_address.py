"""Where the bus is, and what is said when there is none."""

from pathlib import Path

import pytest

from pm_native.bus.address import Endpoint, bus_endpoints, no_bus_error
from pm_native.errors import UnavailableError
from pm_native.unit.name import Scope

SYSTEM, USER = Scope.SYSTEM, Scope.USER


@pytest.mark.parametrize(
    ("scope", "environ", "paths"),
    [
        (SYSTEM, {}, [b"/run/dbus/system_bus_socket"]),
        (SYSTEM, {"DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/a%20b,guid=1f"}, [b"/a b"]),
        (SYSTEM, {"DBUS_SYSTEM_BUS_ADDRESS": "tcp:host=h,port=1;unix:abstract=/x"}, [b"\0/x"]),
        (SYSTEM, {"DBUS_SESSION_BUS_ADDRESS": "unix:path=/a"}, [b"/run/dbus/system_bus_socket"]),
        (USER, {}, [b"/run/user/1000/bus"]),
        (USER, {"XDG_RUNTIME_DIR": "/run/user/1000"}, [b"/run/user/1000/bus"]),
        (USER, {"XDG_RUNTIME_DIR": "/tmp/x"}, [b"/tmp/x/bus", b"/run/user/1000/bus"]),
        (USER, {"DBUS_SESSION_BUS_ADDRESS": "unix:path=/a;unix:path=/b"}, [b"/a", b"/b"]),
        (USER, {"DBUS_SESSION_BUS_ADDRESS": "unix:runtime=yes", "XDG_RUNTIME_DIR": "/r"}, [b"/r/bus"]),
        (USER, {"DBUS_SESSION_BUS_ADDRESS": ""}, [b"/run/user/1000/bus"]),
    ],
)
def test_the_sockets_to_try(scope: Scope, environ: dict[str, str], paths: list[bytes]) -> None:
    assert [endpoint.path for endpoint in bus_endpoints(scope, environ, 1000)] == paths


@pytest.mark.parametrize("address", ["tcp:host=h,port=1", "unix:guid=1", "unix:runtime=yes", "nonsense"])
def test_an_address_without_a_unix_socket_is_named(address: str) -> None:
    with pytest.raises(UnavailableError) as raised:
        bus_endpoints(USER, {"DBUS_SESSION_BUS_ADDRESS": address}, 1000)
    assert raised.value.message == f"DBUS_SESSION_BUS_ADDRESS has no unix socket to connect to: {address!r}"
    assert raised.value.hint == "pm-native speaks unix:path=, unix:abstract= and unix:runtime=yes"


def test_a_host_without_systemd_is_told_what_still_works(tmp_path: Path) -> None:
    tried = [(Endpoint(path=b"/run/dbus/system_bus_socket", source=""), "No such file or directory")]
    error = no_bus_error(SYSTEM, tried, tmp_path)
    assert error.message == (
        "systemd is not running on this host (/run/dbus/system_bus_socket: No such file or directory)"
    )
    assert error.hint == "generate, check, explain and plan --root work without it"


def test_a_host_with_systemd_and_without_a_bus_is_told_how_to_get_one(tmp_path: Path) -> None:
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    tried = [(Endpoint(path=b"\0x", source=""), "Connection refused")]
    system, user = no_bus_error(SYSTEM, tried, tmp_path), no_bus_error(USER, tried, tmp_path)
    assert system.message == "systemd runs, and there is no system bus (@x: Connection refused)"
    assert system.hint.startswith("install the package dbus, or run `systemctl start dbus.socket`; ")
    assert user.message == "there is no user bus (@x: Connection refused)"
    assert "loginctl enable-linger" in user.hint
