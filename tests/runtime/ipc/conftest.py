"""A broker for each test that asks for one."""

from __future__ import annotations

import pytest

from tests.runtime.ipc.broker import Broker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    made = Broker(tmp_path / "s")
    made.start()
    yield made
    made.end()
