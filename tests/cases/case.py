"""Cases: configs that state what they expect, in comments of their own.

    #? systemd=254 scope=user allow-missing strict caller-path=/opt/tools/bin
    [process.web]
    comand = "node server.js"
    #> case.toml:2:1: error: unknown key 'comand' [unknown-key]
    #>   2 | comand = "node server.js"
    #>     | ^^^^^^
    #>   hint: did you mean 'command'?

`#?` holds the options, `#>` the diagnostics as the command line prints them. A folder of the same name beside the
case holds the files that it compiles to, all of them. PM_NATIVE_UPDATE=1 writes both anew: read the diff.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from io import StringIO
from pathlib import Path, PurePosixPath

from pm_native.cli.report import full_text
from pm_native.cli.style import Style
from pm_native.compile.bundle import bundle_to_json
from pm_native.compile.options import CompileOptions
from pm_native.compile.project import compile_project
from pm_native.config.decode import decode_project
from pm_native.config.load import EnvironmentFileReader, parse_text
from pm_native.errors import ConfigError, Diagnostics, Source
from pm_native.unit.name import Scope
from tests.compile.fakes import FakeHost

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pm_native.compile.bundle import Bundle
    from pm_native.errors import Span
    from pm_native.model.project import Project, Variable

CASES = Path(__file__).parent
UPDATE = os.environ.get("PM_NATIVE_UPDATE", "0") not in {"", "0"}
HOME = PurePosixPath("/srv/shop")  # where the configs of cases would be


class CaseEnvironment(EnvironmentFileReader):
    """Reads the environment files of /srv/shop from tests/cases/env/."""

    def _read_file(self, text: str, span: Span) -> dict[str, Variable]:
        optional = "-" if text.startswith("-") else ""
        path = PurePosixPath(text.removeprefix("-"))
        inside = path.relative_to(HOME) if path.is_relative_to(HOME) else path.name
        return super()._read_file(f"{optional}{CASES / 'env' / inside}", span)


@dataclass(frozen=True, slots=True)
class Case:
    """One case: its file, and what is in it."""

    path: Path
    text: str

    @property
    def options(self) -> CompileOptions:
        words = [word for line in self._lines("#?") for word in line.split()]
        given = dict(word.partition("=")[::2] for word in words)
        return CompileOptions(
            scope=Scope(given.get("scope", "system")),
            systemd_version=int(given.get("systemd", "252")),
            host=FakeHost(),
            caller_path=given.get("caller-path", ""),
            allow_missing="allow-missing" in given,
            library=None if "no-library" in given else given.get("library", ""),
        )

    @property
    def is_strict(self) -> bool:
        return any("strict" in line.split() for line in self._lines("#?"))

    @property
    def expected_diagnostics(self) -> str:
        return "\n".join(self._lines("#>"))

    @property
    def expected_files(self) -> dict[str, str]:
        folder = self.path.with_suffix("")
        if not folder.is_dir():
            return {}
        return {path.name: path.read_text(encoding="utf-8") for path in sorted(folder.iterdir())}

    def _lines(self, mark: str) -> list[str]:
        found = [line for line in self.text.split("\n") if line.startswith(mark)]
        return [line.removeprefix(mark).removeprefix(" ") for line in found]

    def update(self, diagnostics: str, files: dict[str, str]) -> None:
        """Write what was found as what is expected."""
        lines = [line for line in self.text.rstrip("\n").split("\n") if not line.startswith("#>")]
        lines += [f"#> {line}".rstrip() for line in diagnostics.split("\n") if diagnostics]
        self.path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        folder = self.path.with_suffix("")
        for name in self.expected_files.keys() - files.keys():
            (folder / name).unlink()
        if files:
            folder.mkdir(exist_ok=True)
        elif folder.is_dir():
            folder.rmdir()
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")


def load_cases(folder: str, suffix: str = ".toml") -> list[Case]:
    """All cases of a folder of tests/cases/."""
    paths = sorted((CASES / folder).glob(f"*{suffix}"))
    return [Case(path, path.read_text(encoding="utf-8")) for path in paths]


def rendered(problems: Diagnostics) -> str:
    """Diagnostics as the command line prints them, without colours."""
    style = Style(StringIO())
    style._on = False  # whatever FORCE_COLOR says
    return "\n".join(full_text(item, style) for item in problems).replace(f"{CASES}/", "")


def decode_case(case: Case, problems: Diagnostics) -> Project | None:
    """The project in the config of a case, as if it were in /srv/shop; None where it is no TOML, YAML or JSON."""
    # What a case says about itself is no part of the lines that diagnostics show.
    source = Source(case.path.name, case.text)
    root = parse_text(source, case.path.suffix, problems)
    if root is None:
        return None
    return decode_project(root, str(HOME / case.path.name), problems, CaseEnvironment(problems, []))


def compile_case(case: Case) -> tuple[Bundle | None, str]:
    """The bundle of a case (None: there were errors) and its diagnostics as text."""
    problems = Diagnostics(strict=case.is_strict)
    project = decode_case(case, problems)
    bundle = None
    if project is not None:
        with suppress(ConfigError):  # what it says is in `problems`
            bundle = compile_project(project, case.options, problems)
    return bundle, rendered(problems)


def files_of(bundle: Bundle | None) -> dict[str, str]:
    """The texts of a bundle's files by name, and as one more file what apply is told about them."""
    if bundle is None:
        return {}
    told = bundle_to_json(bundle)
    told["files"] = [item.name for item in bundle.files]
    text = json.dumps(told, indent=1, ensure_ascii=False) + "\n"
    return {item.name: item.text for item in bundle.files} | {"bundle.json": text}


def check_case(case: Case) -> None:
    """Compile a case and compare all of it: the diagnostics, the names of the files, their texts."""
    bundle, diagnostics = compile_case(case)
    files = files_of(bundle)
    if UPDATE:
        case.update(diagnostics, files)
        case = Case(case.path, case.path.read_text(encoding="utf-8"))
        bundle, diagnostics = compile_case(case)
        files = files_of(bundle)
    assert diagnostics == case.expected_diagnostics
    assert files.keys() == case.expected_files.keys()
    assert files == case.expected_files
