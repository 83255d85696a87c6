"""The words of systemd: job results, and what importing them costs."""

import subprocess
import sys

import pytest

from pm_native.bus.manager import JobResult


def test_every_result_has_words_of_its_own() -> None:
    assert len({result.words() for result in JobResult}) == len(JobResult)


@pytest.mark.parametrize(
    ("result", "service_result", "words"),
    [
        ("canceled", "", "its job was canceled"),
        ("timeout", "", "its job timed out"),
        ("dependency", "exit-code", "a job it depends on failed"),
        ("failed", "", "its job failed"),
        ("failed", "exit-code", "its job failed because the control process exited with error code"),
        ("failed", "start-limit-hit", "its job failed because start of the service was attempted too often"),
        ("failed", "a-newer-word", "its job failed"),
    ],
)
def test_results_are_told_as_systemctl_tells_them(result: str, service_result: str, words: str) -> None:
    assert JobResult(result).words(service_result) == words


def test_a_word_of_a_newer_systemd_is_unknown_and_no_error() -> None:
    assert JobResult("melted") is JobResult.UNKNOWN
    assert not JobResult("melted").is_success


def test_only_done_and_skipped_are_success() -> None:
    assert [result.value for result in JobResult if result.is_success] == ["done", "skipped"]


@pytest.mark.parametrize("module", ["manager", "replies", "address"])
def test_the_types_import_neither_asyncio_nor_the_bus(module: str) -> None:
    code = f"import sys, pm_native.bus.{module}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"asyncio", "dbus_next"} & set(loaded.stdout.split())
