"""Machines as fixtures: booted once a session, when the first test asks for one.

machine         each root in turn; a test that takes it runs once on every systemd there is
host_machine    the host's own root alone, for what takes long and would tell nothing new on another
fresh_machine   each root in turn, booted for this one test: for reboots, and for what cannot be undone
bootable        nothing: for tests that boot machines by themselves
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.conftest import RAN_ON, WITHOUT_MACHINE
from tests.machine import nspawn
from tests.machine.harness import Machine, MachineUnavailableError
from tests.machine.roots import TRIXIE_SYSTEMD, host_systemd

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from typing import NoReturn

HERE = Path(__file__).parent
REQUIRED = "PM_NATIVE_REQUIRE_MACHINE"
ROOTS = ("host", "trixie")
NAMES = [f"systemd-{host_systemd()}", f"systemd-{TRIXIE_SYSTEMD}"]
if NAMES[0] == NAMES[1]:
    NAMES[1] += "-trixie"

NO_MACHINE = "no machine: "


def booted(root: str) -> Iterator[Machine]:
    try:
        machine = Machine.boot(root)
    except MachineUnavailableError as error:
        give_up(str(error))
    with machine:
        yield machine


def give_up(reason: str) -> NoReturn:
    if os.environ.get(REQUIRED, "0") not in {"", "0"}:
        pytest.fail(f"{NO_MACHINE}{reason} ({REQUIRED} asks for one)", pytrace=False)
    pytest.skip(f"{NO_MACHINE}{reason}")


@pytest.fixture(scope="session")
def bootable() -> None:
    if reason := nspawn.why_not():
        give_up(reason)


@pytest.fixture(scope="session", params=ROOTS, ids=NAMES)
def machine(request: pytest.FixtureRequest) -> Iterator[Machine]:
    yield from booted(request.param)


@pytest.fixture(scope="session")
def host_machine() -> Iterator[Machine]:
    yield from booted("host")


@pytest.fixture(params=ROOTS, ids=NAMES)
def fresh_machine(request: pytest.FixtureRequest) -> Iterator[Machine]:
    yield from booted(request.param)


@pytest.hookimpl(tryfirst=True)  # before -m looks at the markers
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.systemd)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if call.when == "call" and not report.skipped and isinstance(item, pytest.Function):
        versions = {value.version for value in item.funcargs.values() if isinstance(value, Machine)}
        report.user_properties += [(RAN_ON, version) for version in sorted(versions)]
    if call.excinfo is not None and str(call.excinfo.value).startswith(NO_MACHINE):
        report.user_properties.append((WITHOUT_MACHINE, str(call.excinfo.value).removeprefix(NO_MACHINE)))
    return report
