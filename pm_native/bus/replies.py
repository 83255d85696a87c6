"""What systemd answers, decoded: rows of units, properties, and the D-Bus errors as exceptions."""

from __future__ import annotations

import re
import shlex

from pm_native.bus.address import OFFLINE
from pm_native.bus.manager import (
    BadUnitError,
    BusError,
    BusLostError,
    JobRefusedError,
    NoSuchUnitError,
    UnitDetails,
    UnitMaskedError,
    UnitState,
)
from pm_native.errors import AccessError, UnavailableError
from pm_native.unit.name import NAME_MAX

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pm_native.bus.manager import Property
    from pm_native.errors import PmNativeError

USEC_INFINITY = 2**64 - 1
_SUFFIXES = "service|socket|target|timer|slice|path|scope|mount|automount|swap|device"
_NAME = re.compile(rf"[A-Za-z0-9:_.\\-]+(@[A-Za-z0-9:_.\\@-]*)?\.({_SUFFIXES})", re.ASCII)
_SYSTEMD = "org.freedesktop.systemd1."
_DBUS = "org.freedesktop.DBus.Error."


def is_valid(name: str) -> bool:
    """Whether systemd takes it for a unit name, a template's too (systemd.unit(5))."""
    return len(name) <= NAME_MAX and _NAME.fullmatch(name) is not None


def is_askable(name: str) -> bool:
    """Whether systemd can say something of that name: a valid one, and not a template's."""
    return is_valid(name) and "@." not in name


def unit_object_path(name: str) -> str:
    """The D-Bus object of a unit: every byte but letters and digits (the first only letters) as `_xx`.

    >>> unit_object_path("shop-api@1.service")
    '/org/freedesktop/systemd1/unit/shop_2dapi_401_2eservice'
    """
    escaped = "".join(
        chr(byte)
        if chr(byte).isalnum() and byte < 128 and (index or not chr(byte).isdigit())
        else f"_{byte:02x}"
        for index, byte in enumerate(name.encode())
    )
    return f"/org/freedesktop/systemd1/unit/{escaped}"


def parse_version(text: str) -> int:
    """The number that leads systemd's version text: 252 in `252.39-1~deb12u1`; ValueError where none does."""
    digits = re.match(r"v?(\d+)", text)
    if digits is None:
        raise ValueError(f"not a version of systemd: {text!r}")
    return int(digits[1])


def decode_unit(row: Sequence[str | int]) -> UnitState:
    """One row of ListUnits and its kin, signature `(ssssssouso)`."""
    texts = [str(field) for field in row]
    return UnitState(
        name=texts[0],
        description=texts[1],
        load_state=texts[2],
        active_state=texts[3],
        sub_state=texts[4],
        following=texts[5],
        object_path=texts[6],
        job_id=int(row[7]),
        job_type=texts[8],
    )


def decode_jobs(rows: Property) -> Iterator[tuple[str, str]]:
    """The units that are started or restarted by jobs, signature `a(uosos)`, with the paths of these."""
    for row in rows if isinstance(rows, list) else ():
        if isinstance(row, list) and row[4] in {"start", "restart"}:
            yield str(row[2]), str(row[1])


def pair_states(asked: Sequence[str], rows: Iterable[UnitState]) -> dict[str, UnitState]:
    """The states under the names they were asked by: an alias is answered under its unit's own name."""
    found = list(rows)
    if len(found) == len(asked):  # systemd answers in order, and leaves out what it does not know
        return dict(zip(asked, found, strict=True))
    known = {state.name: state for state in found}
    return {name: known[name] for name in asked if name in known}


def decode_details(name: str, properties: Mapping[str, Property]) -> UnitDetails:
    """The details in the properties of a unit (the interfaces Unit and, say, Service together)."""

    def text(key: str) -> str:
        return str(properties.get(key, ""))

    def number(key: str) -> int:
        value = properties.get(key, 0)
        return value if isinstance(value, int) else 0

    def limit(key: str) -> int | None:
        return None if number(key) == USEC_INFINITY else number(key)

    drop_ins = properties.get("DropInPaths", [])
    return UnitDetails(
        name=name,
        load_state=text("LoadState"),
        active_state=text("ActiveState"),
        sub_state=text("SubState"),
        unit_file_state=text("UnitFileState"),
        fragment_path=text("FragmentPath"),
        source_path=text("SourcePath"),
        drop_in_paths=tuple(str(path) for path in drop_ins) if isinstance(drop_ins, list) else (),
        need_daemon_reload=bool(properties.get("NeedDaemonReload", False)),
        invocation_id=decode_id(properties.get("InvocationID", b"")),
        service_type=text("Type"),
        job_timeout_usec=limit("JobTimeoutUSec"),
        timeout_start_usec=limit("TimeoutStartUSec"),
        timeout_stop_usec=limit("TimeoutStopUSec"),
        restart_usec=number("RestartUSec"),
        active_enter_usec=number("ActiveEnterTimestamp"),
        state_change_usec=number("StateChangeTimestampMonotonic"),
        result=text("Result"),
        main_pid=number("MainPID"),
        n_restarts=number("NRestarts"),
        exec_main_code=number("ExecMainCode"),
        exec_main_status=number("ExecMainStatus"),
        status_text=text("StatusText"),
    )


def decode_id(value: Property) -> str:
    """An invocation id as 32 hex digits; "" where there is none yet."""
    return value.hex() if isinstance(value, bytes) and any(value) else ""


def sudo_hint(command: Sequence[str]) -> str:
    """What to run instead, where the caller is not allowed to."""
    if command:
        return f"run it as root: sudo {shlex.join(command)}"
    return "run the same command with sudo, or use --user for units of your own"


def decode_error(name: str, text: str, *, unit: str = "", command: Sequence[str] = ()) -> PmNativeError:
    """The exception for a D-Bus error: systemd's own words, and what to do about it."""
    text = text.strip() or name
    if name in _ACCESS or name.startswith("org.freedesktop.PolicyKit1.Error."):
        return AccessError(f"not allowed: {_lower_first(text)}", hint=sudo_hint(command))
    if name in _LOST:
        return BusLostError(f"systemd left the bus: {text}", hint=REREAD)
    if name in _ABSENT or name.startswith(f"{_DBUS}Spawn."):
        return UnavailableError(
            f"no systemd answers on this bus: {text}",
            hint=f"DBUS_SESSION_BUS_ADDRESS may lead to a bus that has none; {OFFLINE}",
        )
    kind, hint = _REFUSALS.get(name, (BusError, ""))
    return kind(
        _lower_first(text).removesuffix("."), name=name, unit=unit, hint=hint.format(unit=unit or "UNIT")
    )


def nothing_to_enable(names: Sequence[str]) -> BusError:
    """What enabling says of units without [Install]; systemd itself says it with a boolean only."""
    unit = " ".join(names)
    return BusError(
        f"nothing to enable in {unit}", unit=unit, hint="no [Install] section says what shall start it"
    )


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:] if text[1:2].islower() else text


REREAD = "jobs that were queued go on in systemd; run the command again to see where they ended"

_ACCESS = {
    f"{_DBUS}AccessDenied",
    f"{_DBUS}AuthFailed",
    f"{_DBUS}InteractiveAuthorizationRequired",
}
_LOST = {f"{_DBUS}NoReply", f"{_DBUS}Disconnected", f"{_SYSTEMD}ShuttingDown"}
_ABSENT = {f"{_DBUS}ServiceUnknown", f"{_DBUS}NameHasNoOwner"}
_LOG = "`systemctl status {unit}` says more"
_VERIFY = "`systemd-analyze verify {unit}` says what is wrong in it"
_REFUSALS: dict[str, tuple[type[BusError], str]] = {
    f"{_SYSTEMD}NoSuchUnit": (
        NoSuchUnitError,
        "is the file where systemd looks, and was the manager reloaded?",
    ),
    f"{_DBUS}FileNotFound": (NoSuchUnitError, "is the file where systemd looks?"),
    f"{_SYSTEMD}UnitMasked": (
        UnitMaskedError,
        "somebody masked it on purpose; `systemctl unmask {unit}` takes that back",
    ),
    f"{_SYSTEMD}BadUnitSetting": (BadUnitError, _VERIFY),
    f"{_SYSTEMD}LoadFailed": (BadUnitError, _VERIFY),
    f"{_SYSTEMD}UnitError": (BadUnitError, _VERIFY),
    f"{_SYSTEMD}TransactionOrderIsCyclic": (
        JobRefusedError,
        "two units wait for each other: see After= and Before=",
    ),
    f"{_SYSTEMD}TransactionJobsConflicting": (JobRefusedError, "see Conflicts= of what it pulls in"),
    f"{_SYSTEMD}TransactionIsDestructive": (
        JobRefusedError,
        "another job is queued: see `systemctl list-jobs`",
    ),
    f"{_SYSTEMD}JobTypeNotApplicable": (JobRefusedError, "a reload needs ExecReload= or Type=notify-reload"),
    f"{_SYSTEMD}OnlyByDependency": (JobRefusedError, "RefuseManualStart= or RefuseManualStop= is set in it"),
    f"{_SYSTEMD}JobFailed": (JobRefusedError, _LOG),
    f"{_DBUS}LimitsExceeded": (
        JobRefusedError,
        "too many requests at once: see the limits in dbus-daemon(1)",
    ),
}
