"""The folder that tests of the command line work in."""

from __future__ import annotations

import pytest

from tests.cli.shop import CONFIG, Shop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shop:
    monkeypatch.chdir(tmp_path)
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    shop = Shop(tmp_path, capsys)
    shop.write(CONFIG)
    return shop
