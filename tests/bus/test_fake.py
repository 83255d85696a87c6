"""The fake obeys the contract that tests/machine/test_bus.py holds a real systemd to."""

import asyncio

import pytest

from pm_native.bus.fake import Behaviour, FakeManager, FakeUnit
from pm_native.bus.manager import BusLostError, JobType
from pm_native.errors import AccessError
from tests.bus import contract
from tests.bus.labs import FakeLab


@pytest.mark.parametrize("name", contract.CASES)
def test_the_fake_keeps_the_contract(name: str) -> None:
    asyncio.run(contract.CASES[name](FakeLab()))


def test_the_journal_has_each_call_that_changes_something() -> None:
    fake = FakeManager()
    fake.add(FakeUnit(name="a.service", unit_file_state="disabled"))

    async def go() -> None:
        await fake.enable(["a.service"])
        await fake.reload()
        await (await fake.submit(JobType.START, "a.service")).result()
        await fake.states(["a.service"])
        await fake.reset_failed("a.service")
        await fake.disable(["a.service"], runtime=True)

    asyncio.run(go())
    assert fake.calls == [
        "enable a.service",
        "daemon-reload",
        "start a.service",
        "reset-failed a.service",
        "disable --runtime a.service",
    ]


def test_a_scripted_refusal_is_raised() -> None:
    fake = FakeManager(refuse={"start a.service": AccessError("not allowed")})
    fake.add(FakeUnit(name="a.service"))
    with pytest.raises(AccessError, match="not allowed"):
        asyncio.run(fake.submit(JobType.START, "a.service"))


def test_losing_the_bus_ends_every_wait() -> None:
    fake = FakeManager()
    fake.add(FakeUnit(name="a.service", behaviour=Behaviour.HANGS))

    async def go() -> None:
        handle = await fake.submit(JobType.START, "a.service")
        fake.lose("gone")
        with pytest.raises(BusLostError, match="gone"):
            await handle.result()
        with pytest.raises(BusLostError, match="gone"):
            await fake.version()

    asyncio.run(go())
