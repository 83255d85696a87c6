"""Counts the tests that ran on machines: here and not beside them, for the process that hands tests to others.

Tests run in several processes (pytest-xdist), each with machines of its own. What a test ran on goes with its report to
the process that prints the summary, which loads this file alone.
"""

from __future__ import annotations

import signal
from collections import Counter

from hypothesis import HealthCheck, settings

from tests.machine.roots import TRIXIE_SYSTEMD, host_systemd

TYPE_CHECKING = False
if TYPE_CHECKING:
    import pytest

# Of a run in the background (`&`, nohup) these are ignored, and what is ignored is inherited by all that a test starts.
for number, usual in (
    (signal.SIGHUP, signal.SIG_DFL),
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGQUIT, signal.SIG_DFL),
):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, usual)

# The same examples each time, on however slow a machine: what fails, fails again. `--hypothesis-profile=explore` looks for new ones.
settings.register_profile("explore", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("repeat", settings.get_profile("explore"), derandomize=True, database=None)
settings.load_profile("repeat")

RAN_ON, WITHOUT_MACHINE = "ran-on-systemd", "without-machine"

ran: Counter[int] = Counter()
reasons: dict[str, None] = {}  # why there was no machine, in the order they were met


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    for name, value in report.user_properties:
        if name == RAN_ON:
            ran[int(str(value))] += 1
        elif name == WITHOUT_MACHINE:
            reasons[str(value)] = None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    versions = sorted({host_systemd(), TRIXIE_SYSTEMD} - {0})
    counts = ", ".join(f"{ran[version]} against systemd {version}" for version in versions)
    terminalreporter.write_line(f"machine tests: {counts.replace(' against', ' ran against', 1)}")
    for reason in reasons:
        terminalreporter.write_line(f"machine tests: {reason}")
