"""A folder with a config in it, and the command line run there."""

from __future__ import annotations

from dataclasses import dataclass

from pm_native.cli.main import run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

    import pytest

CONFIG = """\
[project]
name = "shop"

[process.web]
command = "/bin/sh -c 'exec sleep 9'"

[process.worker]
command = "/bin/sh -c 'exec sleep 9'"
instances = 2
"""


@dataclass(frozen=True, slots=True)
class Ran:
    """What one command line left: its exit code and its two outputs, whole."""

    code: int
    out: str
    err: str


@dataclass(frozen=True, slots=True)
class Shop:
    """The folder, and a way to run pm-native in it."""

    folder: Path
    capture: pytest.CaptureFixture[str]

    def write(self, text: str, name: str = "pm-native.toml") -> None:
        (self.folder / name).write_text(text, encoding="utf-8")

    def run(self, *arguments: str) -> Ran:
        self.capture.readouterr()
        code = run(arguments)
        captured = self.capture.readouterr()
        return Ran(int(code), captured.out, captured.err)

    def generate(self, *arguments: str) -> Ran:
        return self.run("generate", "-f", "pm-native.toml", "--systemd-version", "252", *arguments)

    def files(self) -> dict[str, int]:
        """The generated files with the times of their last change."""
        output = self.folder / "build/systemd"
        return (
            {path.name: path.stat().st_mtime_ns for path in sorted(output.iterdir())}
            if output.is_dir()
            else {}
        )
