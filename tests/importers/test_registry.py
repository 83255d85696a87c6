"""Which importers there are, and which config of a folder is found."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from pm_native.errors import UnavailableError
from pm_native.importers import registry
from pm_native.importers.pm2 import IMPORTER as PM2
from pm_native.importers.procfile import IMPORTER as PROCFILE


def test_built_in_importers_are_there_without_package_metadata(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "entry_points", lambda **_: [])
    assert registry.importers() == {"pm2": PM2, "procfile": PROCFILE}


def test_others_can_add_an_importer(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("other", "pm_native.importers.procfile:IMPORTER", registry.GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda **_: [point])
    assert list(registry.importers()) == ["pm2", "procfile", "other"]


def test_importer_that_cannot_be_loaded_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("other", "no_such_package_at_all:IMPORTER", registry.GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda **_: [point])
    with pytest.raises(UnavailableError, match="the importer 'other' of package pm-native cannot be loaded"):
        registry.importers()


def test_native_config_comes_first(tmp_path: Path) -> None:
    for name in ("Procfile", "ecosystem.config.js", "pm-native.yaml", "pm-native.toml", "process.json"):
        (tmp_path / name).touch()
    (tmp_path / "pm2.json").mkdir()
    assert registry.find_config(tmp_path) == [
        (tmp_path / "pm-native.toml", "native"),
        (tmp_path / "pm-native.yaml", "native"),
        (tmp_path / "ecosystem.config.js", "pm2"),
        (tmp_path / "process.json", "pm2"),
        (tmp_path / "Procfile", "procfile"),
    ]


def test_registry_loads_no_importer_by_itself() -> None:
    code = "import sys, pm_native.importers.registry; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(run.stdout.split())
    assert not {"pm_native.importers.pm2", "pm_native.importers.procfile", "pm_native.syntax"} & loaded


@pytest.mark.parametrize(
    ("name", "expected"),
    {
        "ecosystem.config.js": ["pm2"],
        "api.config.cjs": ["pm2"],
        "ecosystem.config.prod.json": ["pm2"],
        "ecosystem.prod.json": ["pm2"],
        "pm2.yml": ["pm2"],
        "pm2-staging.json": ["pm2"],
        "process.yml": ["pm2"],
        "processes.json": ["pm2"],
        "app.config.yml": ["pm2"],
        "process-compose.yaml": [],
        "docker-compose.yml": [],
        "webpack.config.js": [],
        "package.json": [],
        "server.js": [],
        "Procfile": ["procfile"],
        "Procfile.dev": ["procfile"],
        "dev.Procfile": ["procfile"],
        "MyProcfile": [],
    }.items(),
)
def test_config_is_recognised_by_its_name(name: str, expected: list[str]) -> None:
    found = [importer.name for importer in (PM2, PROCFILE) if importer.recognises(Path("/srv") / name)]
    assert found == expected
