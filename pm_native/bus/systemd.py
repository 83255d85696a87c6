"""The systemd manager over D-Bus: one method a call, each with its written signature, no introspection."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from pm_native.bus.jobs import QueuedJob
from pm_native.bus.manager import (
    BusError,
    JobMode,
    JobRefusedError,
    JobType,
    LinkChange,
    NoSuchUnitError,
)
from pm_native.bus.replies import (
    decode_details,
    decode_jobs,
    decode_unit,
    is_askable,
    is_valid,
    nothing_to_enable,
    pair_states,
    parse_version,
    unit_object_path,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
    from typing import Protocol, TypeVar

    from pm_native.bus.jobs import JobTable
    from pm_native.bus.manager import JobHandle, Property, UnitDetails, UnitState

    T = TypeVar("T")

    class Connection(Protocol):
        """What `SystemdManager` needs of a connection."""

        @property
        def jobs(self) -> JobTable:
            """Where the ends of jobs arrive."""

        @property
        def closed(self) -> bool:
            """Whether it is gone."""

        async def call(self, call: Call) -> list[Property]:
            """The body of the reply."""

        async def listen(self) -> None:
            """Make the ends of jobs arrive."""

        async def aclose(self) -> None:
            """Hang up."""


SYSTEMD = "org.freedesktop.systemd1"
MANAGER_PATH = "/org/freedesktop/systemd1"
CALL_SEC = 25.0
JOB_SEC = 90.0  # submitting a job can wait for a person who types a password, and for a busy PID 1
RELOAD_SEC = 180.0
RELOAD_AGAIN_SEC = 0.5
LIMITS_EXCEEDED = "org.freedesktop.DBus.Error.LimitsExceeded"
STATES_AT_ONCE = 200  # names in one ListUnitsByNames: 51 KB at most, a quarter of a socket's buffer
_METHODS = {
    JobType.START: "StartUnit",
    JobType.STOP: "StopUnit",
    JobType.RESTART: "RestartUnit",
    JobType.TRY_RESTART: "TryRestartUnit",
    JobType.RELOAD: "ReloadUnit",
    JobType.RELOAD_OR_RESTART: "ReloadOrRestartUnit",
    JobType.RELOAD_OR_TRY_RESTART: "ReloadOrTryRestartUnit",
}


@dataclass(frozen=True, slots=True)
class Call:
    """A method call. `changes`: it needs privileges, and an agent may ask a person for them."""

    member: str
    signature: str = ""
    body: tuple[object, ...] = ()
    path: str = MANAGER_PATH
    interface: str = f"{SYSTEMD}.Manager"
    destination: str = SYSTEMD
    timeout_sec: float = CALL_SEC
    changes: bool = False
    unit: str = ""


class SystemdManager:
    """`Manager`, for real; see there for what each method promises."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @property
    def closed(self) -> bool:
        """See `Manager`."""
        return self._connection.closed

    async def version(self) -> int:
        """See `Manager`."""
        return parse_version(str(await self._get(MANAGER_PATH, "Manager", "Version")))

    async def unit_path(self) -> tuple[str, ...]:
        """See `Manager`."""
        paths = await self._get(MANAGER_PATH, "Manager", "UnitPath")
        return tuple(map(str, paths)) if isinstance(paths, list) else ()

    async def states(self, names: Sequence[str]) -> dict[str, UnitState]:
        """See `Manager`."""
        askable = list(dict.fromkeys(filter(is_askable, names)))
        found: dict[str, UnitState] = {}
        for start in range(0, len(askable), STATES_AT_ONCE):  # one after the other: each is long
            batch = askable[start : start + STATES_AT_ONCE]
            (rows,) = await self._connection.call(Call("ListUnitsByNames", "as", (batch,)))
            found |= pair_states(batch, _decode_units(rows))
        return found

    async def list_units(self, patterns: Sequence[str]) -> list[UnitState]:
        """See `Manager`."""
        (rows,) = await self._connection.call(Call("ListUnitsByPatterns", "asas", ([], list(patterns))))
        return sorted(_decode_units(rows), key=lambda state: state.name)

    async def details(self, names: Sequence[str]) -> dict[str, UnitDetails]:
        """See `Manager`."""
        return await _for_each(filter(is_askable, names), self._details)

    async def _details(self, name: str) -> UnitDetails:
        # An empty interface asks for those of all interfaces (systemctl show does the same).
        (values,) = await self._connection.call(_properties_call("GetAll", unit_object_path(name), ""))
        return decode_details(name, values if isinstance(values, dict) else {})

    async def properties(self, name: str, interface: str, names: Iterable[str]) -> Mapping[str, Property]:
        """See `Manager`."""
        path = unit_object_path(name)
        return await _for_each(names, lambda key: self._get(path, interface, key))

    async def _get(self, path: str, interface: str, name: str) -> Property:
        (value,) = await self._connection.call(_properties_call("Get", path, f"{SYSTEMD}.{interface}", name))
        return value

    async def unit_file_states(self, names: Sequence[str]) -> dict[str, str]:
        """See `Manager`."""
        found = dict.fromkeys(names, "")
        return found | await _for_each(filter(is_valid, found), self._unit_file_state)

    async def _unit_file_state(self, name: str) -> str:
        try:
            (state,) = await self._connection.call(Call("GetUnitFileState", "s", (name,), unit=name))
        except NoSuchUnitError:
            return ""
        return str(state)

    async def enable(
        self, names: Sequence[str], *, runtime: bool = False, force: bool = False
    ) -> tuple[LinkChange, ...]:
        """See `Manager`."""
        carries_install_info, rows = await self._connection.call(
            Call(
                "EnableUnitFiles",
                "asbb",
                (list(names), runtime, force),
                timeout_sec=JOB_SEC,
                changes=True,
                unit=" ".join(names),
            )
        )
        if not carries_install_info:
            raise nothing_to_enable(names)
        return _decode_changes(rows)

    async def disable(self, names: Sequence[str], *, runtime: bool = False) -> tuple[LinkChange, ...]:
        """See `Manager`."""
        (rows,) = await self._connection.call(
            Call(
                "DisableUnitFiles",
                "asb",
                (list(names), runtime),
                timeout_sec=JOB_SEC,
                changes=True,
                unit=" ".join(names),
            )
        )
        return _decode_changes(rows)

    async def reload(self) -> None:
        """See `Manager`."""
        until = asyncio.get_running_loop().time() + RELOAD_SEC
        while True:
            try:
                await self._connection.call(Call("Reload", timeout_sec=RELOAD_SEC, changes=True))
            except JobRefusedError as error:
                # ReloadLimitIntervalSec= of systemd-system.conf(5): somebody has it reload again and again.
                if error.name != LIMITS_EXCEEDED or asyncio.get_running_loop().time() > until:
                    raise
                await asyncio.sleep(RELOAD_AGAIN_SEC)
            else:
                return

    async def reset_failed(self, name: str) -> None:
        """See `Manager`."""
        try:
            await self._connection.call(Call("ResetFailedUnit", "s", (name,), changes=True, unit=name))
        except NoSuchUnitError:
            return  # not loaded: there is nothing to forget

    async def submit(
        self, job: JobType, unit: str, mode: JobMode = JobMode.REPLACE, *, along: Collection[str] = ()
    ) -> JobHandle:
        """See `Manager`."""
        connection = self._connection
        await connection.listen()
        with connection.jobs.asking():
            if not along:
                (path,) = await connection.call(_job_call(_METHODS[job], unit, mode))
                return self._queued(unit, str(path))
            _, path, *_, rows = await connection.call(_job_call("EnqueueUnitJob", unit, job, mode))
            others = {name: self._queued(name, at) for name, at in decode_jobs(rows) if name in along}
            return self._queued(unit, str(path), others)

    def _queued(self, unit: str, path: str, others: Mapping[str, JobHandle] | None = None) -> QueuedJob:
        end = self._connection.jobs.waiter(path)
        return QueuedJob(unit, int(path.rpartition("/")[2]), end, self.cancel_job, others)

    async def attend(self, unit: str, job_id: int) -> JobHandle:
        """See `Manager`."""
        await self._connection.listen()
        end = self._connection.jobs.waiter(f"{MANAGER_PATH}/job/{job_id}")
        return QueuedJob(unit, job_id, end, self.cancel_job)

    async def cancel_job(self, job_id: int) -> None:
        """See `Manager`."""
        try:
            await self._connection.call(Call("CancelJob", "u", (job_id,), changes=True))
        except BusError as error:
            if error.name != f"{SYSTEMD}.NoSuchJob":
                raise

    async def aclose(self) -> None:
        """See `Manager`."""
        await self._connection.aclose()


def _job_call(member: str, unit: str, *words: str) -> Call:
    body = (unit, *map(str, words))
    return Call(member, "s" * len(body), body, timeout_sec=JOB_SEC, changes=True, unit=unit)


def _properties_call(member: str, path: str, *body: str) -> Call:
    return Call(member, "s" * len(body), body, path=path, interface="org.freedesktop.DBus.Properties")


def _decode_units(rows: Property) -> list[UnitState]:
    return [decode_unit(row) for row in rows] if isinstance(rows, list) else []  # type: ignore[arg-type]


def _decode_changes(rows: Property) -> tuple[LinkChange, ...]:
    if not isinstance(rows, list):
        return ()
    return tuple(
        LinkChange(kind=str(row[0]), path=str(row[1]), target=str(row[2]))
        for row in rows
        if isinstance(row, list)
    )


async def _for_each(names: Iterable[str], ask: Callable[[str], Awaitable[T]]) -> dict[str, T]:
    """The answer for each name. All are asked at once (the connection sees to the limit); the first error wins."""
    unique = list(dict.fromkeys(names))
    answers = await asyncio.gather(*map(ask, unique), return_exceptions=True)
    found: dict[str, T] = {}
    for name, answer in zip(unique, answers, strict=True):
        if isinstance(answer, BaseException):
            raise answer
        found[name] = answer
    return found
