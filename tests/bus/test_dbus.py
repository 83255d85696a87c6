"""The connection, against a bus that misbehaves: typed errors, in time, for everybody who waits."""

from __future__ import annotations

import asyncio
import gc
import os
import socket

import pytest

from pm_native.bus import dbus, systemd
from pm_native.bus.dbus import connect
from pm_native.bus.manager import BusLostError, BusTimeoutError, JobResult, JobType, NoSuchUnitError
from pm_native.errors import AccessError, UnavailableError
from pm_native.unit.name import Scope
from tests.bus.minibus import MiniBus, hangs_up, job_removed, refusal, reply, signal, takes_job

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

    from dbus_next.message import Message

    from pm_native.bus.manager import Manager
    from tests.bus.minibus import Answer

JOB = {"StartUnit": takes_job(7)}


def run(
    path: Path, answers: dict[str, Answer], test: Callable[[MiniBus, Manager], Coroutine[None, None, None]]
) -> None:
    async def go() -> None:
        async with (
            asyncio.timeout(10),
            MiniBus(path / "bus", answers).running() as bus,
            connect(Scope.SYSTEM, environ=bus.environ, command=["pm-native", "apply"]) as manager,
        ):
            await test(bus, manager)

    asyncio.run(go())
    gc.collect()  # what was not closed complains now


async def open_and_close(bus: MiniBus) -> None:
    async with asyncio.timeout(10), bus.running(), connect(Scope.SYSTEM, environ=bus.environ):
        pass


def test_a_socket_that_is_not_there(tmp_path: Path) -> None:
    async def go() -> None:
        async with connect(Scope.SYSTEM, environ={"DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={tmp_path}/bus"}):
            pass

    with pytest.raises(UnavailableError, match=r"/bus: No such file or directory\)") as raised:
        asyncio.run(go())
    assert raised.value.hint.endswith("generate, check, explain and plan --root work without it")


def test_a_bus_that_turns_us_away(tmp_path: Path) -> None:
    with pytest.raises(AccessError, match="turned us away: authentication failed"):
        asyncio.run(open_and_close(MiniBus(tmp_path / "bus", auth=b"REJECTED EXTERNAL\r\n")))


def test_a_bus_that_hangs_up_during_authentication(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="hung up during authentication"):
        asyncio.run(open_and_close(MiniBus(tmp_path / "bus", auth=b"")))


def test_a_bus_that_hangs_up_at_hello(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="/bus: "):
        asyncio.run(open_and_close(MiniBus(tmp_path / "bus", {"Hello": hangs_up})))


def test_a_bus_that_says_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dbus, "HELLO_SEC", 0.05)
    with pytest.raises(UnavailableError, match="/bus: no answer"):
        asyncio.run(open_and_close(MiniBus(tmp_path / "bus", {"Hello": lambda _, _call: []})))


def test_the_next_address_is_tried(tmp_path: Path) -> None:
    async def go() -> bool:
        async with MiniBus(tmp_path / "bus").running() as bus:
            addresses = f"unix:path={tmp_path}/nothing;unix:path={bus.path}"
            async with connect(Scope.SYSTEM, environ={"DBUS_SYSTEM_BUS_ADDRESS": addresses}) as manager:
                return manager.closed

    assert asyncio.run(go()) is False


def test_a_job_is_waited_for_to_its_end(tmp_path: Path) -> None:
    async def test(bus: MiniBus, manager: Manager) -> None:
        handle = await manager.submit(JobType.START, "a.service")
        bus.send(
            job_removed(8, "failed"), job_removed(7, "done", sender=":1.66"), job_removed(7, "canceled")
        )
        assert (await handle.result()).result is JobResult.CANCELED
        assert bus.seen == [
            ("Hello", False),
            ("AddMatch", False),
            ("AddMatch", False),
            ("GetNameOwner", False),
            ("Subscribe", False),
            ("StartUnit", True),
        ]

    run(tmp_path, JOB, test)


def test_who_is_subscribed_already_by_a_name_of_the_bus_before_hears_of_jobs(tmp_path: Path) -> None:
    async def test(bus: MiniBus, manager: Manager) -> None:
        handle = await manager.submit(JobType.START, "a.service")
        bus.send(job_removed(7, "done"))
        assert (await handle.result()).raw == "done"

    def already(_: MiniBus, call: Message) -> list[Message]:
        return [refusal(call, "org.freedesktop.systemd1.AlreadySubscribed", "Client is already subscribed.")]

    run(tmp_path, JOB | {"Subscribe": already}, test)


def test_the_end_of_a_job_may_overtake_the_reply(tmp_path: Path) -> None:
    async def test(_: MiniBus, manager: Manager) -> None:
        handle = await manager.submit(JobType.START, "a.service")
        assert (await handle.result()).raw == "done"

    run(tmp_path, {"StartUnit": lambda bus, call: [job_removed(7, "done"), *takes_job(7)(bus, call)]}, test)


def test_hundreds_of_calls_at_once_arrive_in_order_and_within_the_limit(tmp_path: Path) -> None:
    waiting: list[int] = []
    open_now: set[int] = set()

    async def test(bus: MiniBus, manager: Manager) -> None:
        names = [f"u{number}-{'x' * 200}.service" for number in range(400)]
        found = await manager.unit_file_states(names)
        assert found == {name: f"state of {name}" for name in names}
        assert max(waiting) <= dbus.MAX_IN_FLIGHT
        assert not open_now
        assert not manager.closed
        assert [member for member, _ in bus.seen[1:]] == ["GetUnitFileState"] * 400

    def hold(bus: MiniBus, call: Message) -> list[Message]:
        # Answered only when no more calls come: what is open by then is what the client dares to have in flight.
        open_now.add(call.serial)
        waiting.append(len(open_now))

        def release() -> None:
            open_now.discard(call.serial)
            bus.send(reply(call, "s", [f"state of {call.body[0]}"]))

        asyncio.get_running_loop().call_later(0.002, release)
        return []

    run(tmp_path, {"GetUnitFileState": hold}, test)


def test_a_bus_that_dies_ends_calls_and_waits_and_is_not_asked_again(tmp_path: Path) -> None:
    async def test(_: MiniBus, manager: Manager) -> None:
        handle = await manager.submit(JobType.START, "a.service")
        ended = await asyncio.gather(
            handle.result(), manager.reload(), manager.version(), return_exceptions=True
        )
        assert [type(error) for error in ended] == [BusLostError] * 3
        assert manager.closed
        with pytest.raises(BusLostError, match="connection to the bus") as raised:
            await manager.submit(JobType.START, "a.service")
        assert raised.value.hint.startswith("jobs that were queued go on in systemd")

    run(tmp_path, {**JOB, "Reload": hangs_up}, test)


def test_systemd_leaving_the_bus_ends_the_waits(tmp_path: Path) -> None:
    async def test(bus: MiniBus, manager: Manager) -> None:
        handle = await manager.submit(JobType.START, "a.service")
        owners: list[object] = ["org.freedesktop.systemd1", ":1.1", ""]
        bus.send(signal("NameOwnerChanged", "sss", owners, sender="org.freedesktop.DBus"))
        with pytest.raises(BusLostError, match="systemd left the bus"):
            await handle.result()
        assert manager.closed

    run(tmp_path, JOB, test)


@pytest.mark.parametrize(("owners", "is_lost"), [(("", ":1.1"), False), ((":1.1", ":1.2"), True)])
def test_systemd_may_come_to_the_bus_but_not_leave_it_while_we_begin_to_listen(
    owners: tuple[str, str], *, is_lost: bool, tmp_path: Path
) -> None:
    change = signal(
        "NameOwnerChanged", "sss", ["org.freedesktop.systemd1", *owners], sender="org.freedesktop.DBus"
    )

    async def test(_: MiniBus, manager: Manager) -> None:
        if is_lost:
            with pytest.raises(BusLostError, match="systemd left the bus"):
                await manager.submit(JobType.START, "a.service")
        else:
            handle = await manager.submit(JobType.START, "a.service")
            assert (await handle.result()).raw == "done"
        assert manager.closed is is_lost

    def ended(bus: MiniBus, call: Message) -> list[Message]:
        return [*takes_job(7)(bus, call), job_removed(7, "done")]

    def names(_: MiniBus, call: Message) -> list[Message]:
        return [change, reply(call, "s", [":1.1"])]

    run(tmp_path, {"GetNameOwner": names, "StartUnit": ended}, test)


def test_a_forged_departure_is_no_news(tmp_path: Path) -> None:
    async def test(bus: MiniBus, manager: Manager) -> None:
        handle = await manager.submit(JobType.START, "a.service")
        bus.send(signal("NameOwnerChanged", "sss", ["org.freedesktop.systemd1", ":1.1", ""], sender=":1.66"))
        bus.send(job_removed(7, "done"))
        assert (await handle.result()).raw == "done"
        assert not manager.closed

    run(tmp_path, JOB, test)


def test_no_answer_is_an_error_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(systemd, "JOB_SEC", 0.05)

    async def test(_: MiniBus, manager: Manager) -> None:
        with pytest.raises(BusTimeoutError) as raised:
            await manager.submit(JobType.START, "a.service")
        assert raised.value.message == "systemd did not answer StartUnit a.service within 0.05 s"
        assert not manager.closed

    run(tmp_path, {}, test)


def test_errors_of_systemd_are_typed(tmp_path: Path) -> None:
    missing, denied = "org.freedesktop.systemd1.NoSuchUnit", "org.freedesktop.DBus.Error.AccessDenied"

    async def test(_: MiniBus, manager: Manager) -> None:
        with pytest.raises(NoSuchUnitError, match=r"unit a\.service not found"):
            await manager.submit(JobType.START, "a.service")
        with pytest.raises(AccessError, match="not allowed: permission denied") as raised:
            await manager.reload()
        assert raised.value.hint == "run it as root: sudo pm-native apply"

    answers: dict[str, Answer] = {
        "StartUnit": lambda _, call: [refusal(call, missing, "Unit a.service not found.")],
        "Reload": lambda _, call: [refusal(call, denied, "Permission denied")],
    }
    run(tmp_path, answers, test)


def test_a_full_socket_is_waited_for() -> None:
    left, right = socket.socketpair()
    with left, right:
        left.setblocking(False)
        patient = dbus._PatientSocket(left)
        block = os.urandom(65536)
        sent = 0
        while count := patient.send(block):
            sent += count
        assert sent > 0
        right.recv(sent, socket.MSG_WAITALL)
        assert patient.send(block) > 0
