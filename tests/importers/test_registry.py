"""Which importers there are, and which config of a folder is found."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from pm_native.errors import UnavailableError
from pm_native.importers import registry
from pm_native.importers.pm2 import IMPORTER as PM2
from pm_native.importers.procfile import IMPORTER as PROCFILE

BUILT_IN = ["procfile", "pm2", "supervisord", "circus", "compose", "process-compose", "tuix"]


@pytest.fixture
def entry_points(monkeypatch: pytest.MonkeyPatch) -> list[EntryPoint]:
    """The entry points that packages announce: none until a test adds one."""
    points: list[EntryPoint] = []
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda **_: points)
    return points


def test_built_in_importers_are_there_without_package_metadata(entry_points: list[EntryPoint]) -> None:
    assert not entry_points
    assert [found.name for found in registry.importers()] == BUILT_IN


def test_others_can_add_an_importer(entry_points: list[EntryPoint]) -> None:
    entry_points.append(EntryPoint("other", "pm_native.importers.procfile:IMPORTER", registry.GROUP))
    assert [found.name for found in registry.importers()] == [*BUILT_IN, "procfile"]


def test_our_own_entry_points_add_nothing(entry_points: list[EntryPoint]) -> None:
    entry_points.append(EntryPoint("pm2", "pm_native.importers.pm2:IMPORTER", registry.GROUP))
    assert [found.name for found in registry.importers()] == BUILT_IN


def test_importer_that_cannot_be_loaded_is_named(entry_points: list[EntryPoint]) -> None:
    entry_points.append(EntryPoint("other", "no_such_package_at_all:IMPORTER", registry.GROUP))
    with pytest.raises(
        UnavailableError, match="the importer 'other' of package the checkout cannot be loaded"
    ):
        list(registry.importers())


def test_broken_importer_of_others_is_not_met_where_ours_knows_the_file(
    entry_points: list[EntryPoint],
) -> None:
    entry_points.append(EntryPoint("other", "no_such_package_at_all:IMPORTER", registry.GROUP))
    assert registry.recognise(Path("ecosystem.config.js")) == ("pm2", "by its name")
    assert registry.recognise(Path("Procfile")) == ("procfile", "by its name")
    assert registry.importer("pm2") is PM2


def test_unknown_name_is_nobodys(entry_points: list[EntryPoint]) -> None:
    assert not entry_points
    assert registry.recognise(Path("notes.txt")) is None


def test_native_config_is_found_alone(tmp_path: Path) -> None:
    for name in ("Procfile", "ecosystem.config.js", "pm-native.yaml", "pm-native.toml"):
        (tmp_path / name).touch()
    assert registry.find_config(tmp_path) == [
        (tmp_path / "pm-native.toml", "native"),
        (tmp_path / "pm-native.yaml", "native"),
    ]


def test_foreign_configs_are_all_found(tmp_path: Path) -> None:
    for name in ("Procfile", "ecosystem.config.js", "process.json"):
        (tmp_path / name).touch()
    (tmp_path / "pm2.json").mkdir()
    assert registry.find_config(tmp_path) == [
        (tmp_path / "Procfile", "procfile"),
        (tmp_path / "ecosystem.config.js", "pm2"),
        (tmp_path / "process.json", "pm2"),
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
