"""A reload of the manager that systemd puts off, since it has had too many in a time."""

from __future__ import annotations

import asyncio

import pytest

from pm_native.bus import systemd
from pm_native.bus.jobs import JobTable
from pm_native.bus.manager import JobRefusedError
from pm_native.bus.systemd import SystemdManager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pm_native.bus.manager import Property
    from pm_native.bus.systemd import Call


class Refuses:
    """A connection that refuses so many calls with an error of this name."""

    def __init__(self, times: int, name: str) -> None:
        self.times = times
        self.name = name
        self.asked: list[str] = []
        self.jobs = JobTable()
        self.closed = False

    async def call(self, call: Call) -> list[Property]:
        """Refuse, or answer with nothing."""
        self.asked.append(call.member)
        if len(self.asked) <= self.times:
            raise JobRefusedError("Reload() request rejected due to rate limit", name=self.name)
        return []

    async def listen(self) -> None:
        """Nothing is heard."""

    async def aclose(self) -> None:
        """Nothing is open."""


def test_it_is_asked_for_again_until_systemd_does_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(systemd, "RELOAD_AGAIN_SEC", 0)
    connection = Refuses(3, systemd.LIMITS_EXCEEDED)
    asyncio.run(SystemdManager(connection).reload())
    assert connection.asked == ["Reload"] * 4


@pytest.mark.parametrize(
    ("name", "seconds"), [("org.example.Other", 180.0), (systemd.LIMITS_EXCEEDED, -1.0)]
)
def test_another_refusal_and_one_for_too_long_are_told(
    monkeypatch: pytest.MonkeyPatch, name: str, seconds: float
) -> None:
    monkeypatch.setattr(systemd, "RELOAD_SEC", seconds)
    connection = Refuses(99, name)
    with pytest.raises(JobRefusedError):
        asyncio.run(SystemdManager(connection).reload())
    assert connection.asked == ["Reload"]
