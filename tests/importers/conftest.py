"""The host of the importers' tests: a few programs, and an owner who reads a config."""

from __future__ import annotations

import shutil

import pytest

from pm_native.errors import Diagnostics
from pm_native.importers.base import ImportOptions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pm_native.importers.base import Importer
    from pm_native.model.project import Project
    from tests.importers.helpers import Read

# What is on PATH of the host in the tests: all but node is a script that nobody runs.
PROGRAMS = {
    "bash": "#!/bin/sh",
    "python3": "#!/bin/sh",
    "npm": "#!/usr/bin/env node",
    "gunicorn": "#!/usr/bin/python3",
}


@pytest.fixture
def environ(tmp_path: Path) -> Mapping[str, str]:
    """The environment of a host with node (where the real one has it), bash, python3, npm and gunicorn."""
    folder = tmp_path / "host-bin"
    folder.mkdir()
    for name, shebang in PROGRAMS.items():
        (folder / name).write_text(f"{shebang}\n")
        (folder / name).chmod(0o755)
    if node := shutil.which("node"):
        (folder / "node").symlink_to(node)
    return {"PATH": str(folder), "HOME": "/home/owner"}


@pytest.fixture
def read(environ: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> Read:
    """Reads a config as its owner would, from its own folder: the project and the diagnostics."""

    def load(
        importer: Importer, path: Path, extra: Mapping[str, str] | None = None, **options: object
    ) -> tuple[Project | None, Diagnostics]:
        monkeypatch.chdir(path.parent)
        problems = Diagnostics()
        given = ImportOptions(environ={**environ, **(extra or {})}, **options)  # type: ignore[arg-type]
        return importer.load(path, path.name, given, problems), problems

    return load
