"""What systemd answers, decoded."""

import pytest

from pm_native.bus.manager import (
    BadUnitError,
    BusError,
    BusLostError,
    JobRefusedError,
    NoSuchUnitError,
    UnitMaskedError,
)
from pm_native.bus.replies import (
    decode_details,
    decode_error,
    decode_unit,
    is_askable,
    pair_states,
    parse_version,
    unit_object_path,
)
from pm_native.errors import AccessError, ExitCode, PmNativeError, UnavailableError

ROW: list[str | int] = ["a.service", "A", "loaded", "active", "running", "", "/o/a", 7, "start", "/job/7"]


@pytest.mark.parametrize(
    ("name", "text", "kind", "message"),
    [
        ("systemd1.NoSuchUnit", "Unit a.service not found.", NoSuchUnitError, "unit a.service not found"),
        ("systemd1.UnitMasked", "Unit a.service is masked.", UnitMaskedError, "unit a.service is masked"),
        (
            "systemd1.BadUnitSetting",
            "Unit a has a bad unit setting.",
            BadUnitError,
            "unit a has a bad unit setting",
        ),
        (
            "systemd1.TransactionOrderIsCyclic",
            "",
            JobRefusedError,
            "org.freedesktop.systemd1.TransactionOrderIsCyclic",
        ),
        ("DBus.Error.InvalidArgs", "Unit name x is not valid.", BusError, "unit name x is not valid"),
        ("DBus.Error.AccessDenied", "Permission denied", AccessError, "not allowed: permission denied"),
        (
            "DBus.Error.InteractiveAuthorizationRequired",
            "Interactive authentication required.",
            AccessError,
            "not allowed: interactive authentication required.",
        ),
        ("DBus.Error.ServiceUnknown", "No.", UnavailableError, "no systemd answers on this bus: No."),
        ("DBus.Error.NoReply", "It died", BusLostError, "systemd left the bus: It died"),
    ],
)
def test_an_error_becomes_its_exception(
    name: str, text: str, kind: type[PmNativeError], message: str
) -> None:
    error = decode_error(f"org.freedesktop.{name}", text, unit="a.service")
    assert (type(error), error.message) == (kind, message)


def test_a_refusal_keeps_the_error_name_and_says_a_way_out() -> None:
    error = decode_error(
        "org.freedesktop.systemd1.UnitMasked", "Unit a.service is masked.", unit="a.service"
    )
    assert isinstance(error, UnitMaskedError)
    assert (error.name, error.unit) == ("org.freedesktop.systemd1.UnitMasked", "a.service")
    assert error.hint == "somebody masked it on purpose; `systemctl unmask a.service` takes that back"


def test_who_may_not_is_told_the_sudo_line() -> None:
    denied = "org.freedesktop.DBus.Error.AccessDenied"
    error = decode_error(denied, "Permission denied", command=["pm-native", "apply", "my shop.toml"])
    assert error.hint == "run it as root: sudo pm-native apply 'my shop.toml'"
    assert error.exit_code is ExitCode.ACCESS
    assert (
        decode_error(denied, "").hint
        == "run the same command with sudo, or use --user for units of your own"
    )


@pytest.mark.parametrize(
    ("text", "version"), [("252.39-1~deb12u1", 252), ("v257", 257), ("257.8", 257), ("258~rc2", 258)]
)
def test_version_texts(text: str, version: int) -> None:
    assert parse_version(text) == version


def test_a_version_without_a_number_is_an_error() -> None:
    with pytest.raises(ValueError, match="not a version of systemd: 'unknown'"):
        parse_version("unknown")


@pytest.mark.parametrize(
    ("name", "escaped"),
    [
        ("shop-api@1.service", "shop_2dapi_401_2eservice"),
        ("3x.target", "_33x_2etarget"),
        ("a\\x2db_é.slice", "a_5cx2db_5f_c3_a9_2eslice"),
    ],
)
def test_object_paths_are_escaped_as_systemd_does(name: str, escaped: str) -> None:
    assert unit_object_path(name) == f"/org/freedesktop/systemd1/unit/{escaped}"


@pytest.mark.parametrize(
    "name", ["a.service", "a@1.service", "a\\x2db.slice", "x" * 247 + ".service", "_:-.@b@c.mount"]
)
def test_names_that_can_be_asked_about(name: str) -> None:
    assert is_askable(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "a",
        "a.conf",
        "a@.service",
        "a b.service",
        "a.service\n",
        "é.service",
        "@1.service",
        "x" * 248 + ".service",
    ],
)
def test_names_that_cannot(name: str) -> None:
    assert not is_askable(name)


def test_a_row_of_a_unit() -> None:
    state = decode_unit(ROW)
    assert (state.name, state.description, state.load_state) == ("a.service", "A", "loaded")
    assert (state.active_state, state.sub_state, state.following) == ("active", "running", "")
    assert (state.job_id, state.job_type, state.object_path) == (7, "start", "/o/a")


def test_an_alias_is_found_under_the_name_it_was_asked_by() -> None:
    state = decode_unit(ROW)
    assert pair_states(["alias.service"], [state]) == {"alias.service": state}
    assert pair_states(["alias.service", "a.service"], [state]) == {"a.service": state}


def test_details_of_a_service() -> None:
    details = decode_details(
        "a.service",
        {
            "LoadState": "loaded",
            "ActiveState": "active",
            "SubState": "running",
            "DropInPaths": ["/etc/x.conf"],
            "NeedDaemonReload": True,
            "InvocationID": bytes(range(16)),
            "TimeoutStartUSec": 2**64 - 1,
            "TimeoutStopUSec": 90_000_000,
            "MainPID": 42,
        },
    )
    assert (details.drop_in_paths, details.need_daemon_reload) == (("/etc/x.conf",), True)
    assert details.invocation_id == "000102030405060708090a0b0c0d0e0f"
    assert (details.timeout_start_usec, details.timeout_stop_usec, details.main_pid) == (
        None,
        90_000_000,
        42,
    )
    assert (details.result, details.n_restarts, details.unit_file_state) == ("", 0, "")


def test_a_unit_that_never_ran_has_no_invocation() -> None:
    assert decode_details("a.service", {"InvocationID": bytes(16)}).invocation_id == ""
