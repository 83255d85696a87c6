"""A package of somebody else's adds a format: installed, it is found by content, read, compiled and documented."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).parent.parent.parent
IMPORTER = '''\
"""Reads `name -> command` lines."""

from pathlib import PurePosixPath

from pm_native.errors import Source, Span
from pm_native.importers.base import Field
from pm_native.model.project import Process, Project


class Arrows:
    name, title, file_names = "arrows", "Arrows", ("services.arrows",)

    def recognises(self, path):
        return path.suffix == ".arrows"

    def claims(self, contents):
        return "it has an arrow" if contents.kind == "text" and " -> " in contents.text else ""

    def fields(self):
        return (Field("NAME -> COMMAND", "a process"),)

    def load(self, path, name, options, problems):
        source = Source(name, path.read_text())
        folder = PurePosixPath(path.absolute().parent)
        processes = []
        for number, line in enumerate(source.text.splitlines(), 1):
            own, arrow, command = line.partition(" -> ")
            span = Span(source, number, 1, len(line) + 1)
            if not arrow:
                problems.error(span, "a line without an arrow", code="arrows", hint="NAME -> COMMAND")
                return None
            processes.append(Process(name=own, command=tuple(command.split()), directory=folder, span=span))
        return Project(
            name=options.project_name or "arrows", source_path=str(path.absolute()), directory=folder,
            processes=tuple(processes), span=source.whole(),
        )


IMPORTER = Arrows()
'''


def installed(site: Path) -> None:
    """What an installer leaves of the package: its module, and the metadata that announces it."""
    site.mkdir()
    (site / "arrows.py").write_text(IMPORTER)
    metadata = site / "pm_native_arrows-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: pm-native-arrows\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[pm_native.importers]\narrows = arrows:IMPORTER\n")


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "PYTHONPATH": f"{CHECKOUT}:{folder / 'site'}"}
    return subprocess.run(
        [sys.executable, "-m", "pm_native", *arguments],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )


def test_importer_of_another_package_is_used(tmp_path: Path) -> None:
    installed(tmp_path / "site")
    (tmp_path / "services").write_text("web -> sleep 9\nworker -> sleep 8\n")
    ran = run(tmp_path, "generate", "-f", "services", "-o", "units")
    assert ran.returncode == 0, ran.stderr
    assert "reading services as Arrows: it has an arrow\n" in ran.stderr
    assert "ExecStart=:/usr/bin/sleep 9\n" in (tmp_path / "units/arrows-web.service").read_text()
    imported = run(tmp_path, "import", "services")
    assert imported.returncode == 0, imported.stderr
    assert 'command = "sleep 8"' in (tmp_path / "pm-native.toml").read_text()


def test_its_mistakes_are_told_with_their_place(tmp_path: Path) -> None:
    installed(tmp_path / "site")
    (tmp_path / "bad.arrows").write_text("web -> sleep 9\nworker\n")
    ran = run(tmp_path, "check", "-f", "bad.arrows")
    assert (ran.returncode, ran.stdout) == (78, "")
    assert "bad.arrows:2:1: error: a line without an arrow [arrows]\n" in ran.stderr
