"""The docs and the examples, held against the product: references, links, configs, commands, what examples become."""

from __future__ import annotations

import os
import re
import shutil
from importlib import import_module
from pathlib import Path
from textwrap import dedent

import click
import pytest

from pm_native.cli.commands import COMMANDS, module_of
from pm_native.cli.main import run
from pm_native.compile.host import Account, Host, Program
from pm_native.compile.options import CompileOptions
from pm_native.compile.project import compile_project
from pm_native.compile.sandbox import PROFILES
from pm_native.config.decode import decode_project
from pm_native.config.load import load_project, parse_text
from pm_native.config.reference import reference_page
from pm_native.errors import ConfigError, Diagnostics, ExitCode, Source
from pm_native.importers.base import ImportOptions
from pm_native.importers.reference import formats_page
from pm_native.importers.registry import importer, importers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pm_native.errors import Span
    from pm_native.model.project import Project, Variable

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
EXAMPLES = ROOT / "examples"
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "tests/README.md", *DOCS.glob("*.md")])

_LINK = re.compile(r"\]\(([^)\s]+)\)")
_FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^(?P=indent)```$", re.DOTALL | re.MULTILINE
)
_SPAN = re.compile(r"`([^`\n]+)`")
_COMMAND = re.compile(r"\bpm-native +([a-z][a-z-]*)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


class AnyHost(Host):
    """A host that has every program, user and folder."""

    def _find_program(self, program: str, search: str, directory: str, user: str | None) -> Program:  # noqa: ARG002 - Host's signature
        return Program(program if "/" in program else f"/usr/bin/{program}")

    def _account(self, name: str) -> Account | None:
        return Account(name, 1000, frozenset({1000}), f"/home/{name}")

    def _is_directory(self, path: str) -> bool:  # noqa: ARG002 - Host's signature
        return True

    def exists(self, path: str) -> bool:  # noqa: ARG002 - Host's signature
        return True

    def why_not_readable(self, path: str, user: str | None) -> str:  # noqa: ARG002 - Host's signature
        return ""


OPTIONS = CompileOptions(systemd_version=257, host=AnyHost())


def page_name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def fences(path: Path) -> Iterator[tuple[str, str]]:
    for match in _FENCE.finditer(path.read_text(encoding="utf-8")):
        yield match["language"], dedent(match["text"])


def code(path: Path) -> Iterator[str]:
    """All that is written as code: fenced blocks, then spans in the prose between them."""
    yield from (text for _, text in fences(path))
    yield from _SPAN.findall(_FENCE.sub("", path.read_text(encoding="utf-8")))


def anchor(heading: str) -> str:
    """The anchor that a heading gets where Markdown is shown."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def problems_of(text: str) -> list[str]:
    """The diagnostics of a whole native config; environment files count as empty."""
    problems = Diagnostics()
    root = parse_text(Source("pm-native.toml", text), ".toml", problems)
    if root is not None:
        project = decode_project(root, "/srv/docs/pm-native.toml", problems, no_files)
        compiled(project, problems)
    return [f"{item.span}: {item.message}" for item in problems]


def no_files(_: list[tuple[str, Span]]) -> dict[str, Variable]:
    return {}


def compiled(project: Project, problems: Diagnostics) -> list[str]:
    """The files of a project; none where it has errors, which are in `problems`."""
    try:
        return [item.name for item in compile_project(project, OPTIONS, problems).files]
    except ConfigError:
        return []


def imported(path: Path, kind: str, options: ImportOptions) -> tuple[list[str], list[str]]:
    """The files that a foreign config becomes, and the codes of its diagnostics."""
    problems = Diagnostics()
    project = importer(kind).load(path, path.name, options, problems)
    files = compiled(project, problems) if project is not None else []
    return files, sorted({f"{item.severity}: {item.code}" for item in problems})


def test_config_reference_is_what_the_key_table_gives() -> None:
    written = (DOCS / "config.md").read_text(encoding="utf-8")
    assert written == reference_page(), "docs/config.md is stale: make docs"


def test_reference_of_formats_is_what_the_importers_give() -> None:
    written = (DOCS / "formats.md").read_text(encoding="utf-8")
    assert written == formats_page(), "docs/formats.md is stale: make docs"


@pytest.mark.parametrize("path", PAGES, ids=page_name)
def test_links_lead_somewhere(path: Path) -> None:
    missing = []
    for target in _LINK.findall(path.read_text(encoding="utf-8")):
        if "://" in target:
            continue
        name, _, fragment = target.partition("#")
        place = (path.parent / name).resolve() if name else path
        headings = (
            _HEADING.findall(place.read_text(encoding="utf-8")) if fragment and place.is_file() else []
        )
        if not place.exists() or (fragment and fragment not in map(anchor, headings)):
            missing.append(target)
    assert missing == []


@pytest.mark.parametrize("path", PAGES, ids=page_name)
def test_configs_shown_are_whole_and_right(path: Path) -> None:
    shown = [text for language, text in fences(path) if language == "toml" and text.startswith(("[", "#"))]
    shown = [text for text in shown if not text.startswith("[build-system]")]  # a pyproject.toml
    assert [problem for text in shown for problem in problems_of(text)] == []


@pytest.mark.parametrize("path", PAGES, ids=page_name)
def test_commands_named_are_there(path: Path) -> None:
    named = {name for text in code(path) for name in _COMMAND.findall(text)}
    assert named - COMMANDS.keys() == set()


def test_command_page_has_every_command_and_every_exit_code() -> None:
    text = (DOCS / "commands.md").read_text(encoding="utf-8")
    assert re.findall(r"^## pm-native (\w+)$", text, re.MULTILINE) == list(COMMANDS)
    assert [int(number) for number in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)] == list(ExitCode)


def test_sandbox_page_has_every_directive_of_the_profiles() -> None:
    text = (DOCS / "sandbox.md").read_text(encoding="utf-8")
    rules = {f"{rule.directive.name}={rule.value}" for profile in PROFILES.values() for rule in profile}
    long = {rule for rule in rules if rule.startswith("CapabilityBoundingSet=~")}
    filters = {rule for rule in rules if rule.startswith("SystemCallFilter=")}
    assert [rule for rule in sorted(rules - long - filters) if rule not in text] == []
    assert [
        rule
        for rule in sorted(filters)
        if f"`{rule}`" not in text and f"`{rule.partition('=')[2]}`" not in text
    ] == []


def test_starter_config_says_nothing_wrong() -> None:
    text = (ROOT / "templates/starter.toml").read_text(encoding="utf-8").replace("@NAME@", "shop")
    assert problems_of(text) == []


def test_shop_becomes_its_units_without_a_word() -> None:
    problems = Diagnostics()
    path = EXAMPLES / "shop/pm-native.toml"
    project = load_project(path, path.name, problems)
    assert project is not None
    assert compiled(project, problems) == [
        "shop-migrate.env",
        "shop-report.env",
        "shop-web.env",
        "shop-worker.env",
        "shop-migrate.service",
        "shop-report.service",
        "shop-report.timer",
        "shop-web.service",
        "shop-web.slice",
        "shop-worker.slice",
        "shop-worker.target",
        "shop-worker@.service",
        "shop.slice",
        "shop.target",
    ]
    assert list(problems) == []


def test_every_example_is_named_in_the_readme() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    configs = ["shop/pm-native.toml", "pm2/ecosystem.config.js", "procfile/Procfile"]
    assert [name for name in configs if f"(examples/{name})" not in text] == []


@pytest.mark.skipif(shutil.which("node") is None, reason="an ecosystem file is evaluated by Node")
def test_pm2_example_says_what_gets_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(EXAMPLES / "pm2")
    files, told = imported(
        EXAMPLES / "pm2/ecosystem.config.js", "pm2", ImportOptions(environ=dict(os.environ))
    )
    assert files == [
        "pm2-worker.env",  # a variable of the app is called a key
        "pm2-migrate.service",
        "pm2-report.service",
        "pm2-report.timer",
        "pm2-web.service",
        "pm2-worker.target",
        "pm2-worker@.service",
        "pm2.slice",
        "pm2.target",
    ]
    assert told == [
        "note: pm2-cron-job",
        "note: pm2-environment",
        "note: pm2-memory",
        "note: pm2-restart-limit",
        "note: pm2-variants",
    ]


def test_procfile_example_says_what_is_different() -> None:
    options = ImportOptions(formation={"web": 1, "worker": 2, "report": 1})
    files, told = imported(EXAMPLES / "procfile/Procfile", "procfile", options)
    assert files == [
        "procfile-release.env",
        "procfile-report.env",
        "procfile-web.env",
        "procfile-worker.env",
        "procfile-release.service",
        "procfile-report.service",
        "procfile-web.service",
        "procfile-worker.target",
        "procfile-worker@.service",
        "procfile.slice",
        "procfile.target",
    ]
    assert told == ["note: procfile-instances", "note: procfile-ports", "note: procfile-release"]


# The guides, and what the config before is called.
GUIDES = {
    "circus": "circus.ini",
    "compose": "compose.yaml",
    "pm2": "ecosystem.config.js",
    "process-compose": "process-compose.yaml",
    "procfile": "Procfile",
    "supervisord": "supervisord.conf",
    "tuix": "processes.json",
}


def test_there_is_a_guide_for_each_format() -> None:
    assert {path.stem.removeprefix("migrating-from-") for path in DOCS.glob("migrating-from-*.md")} == {
        *GUIDES
    }
    assert {found.name for found in importers()} == {*GUIDES}


@pytest.mark.parametrize("name", GUIDES)
def test_config_after_is_what_import_makes_of_the_config_before(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if GUIDES[name].endswith(".js") and shutil.which("node") is None:
        pytest.skip("an ecosystem file is evaluated by Node")
    text = (DOCS / f"migrating-from-{name}.md").read_text(encoding="utf-8")
    section = text.partition("\n## Before and after\n")[2].partition("\n## ")[0]
    (_, before), (language, after) = [
        (match["language"], match["text"]) for match in _FENCE.finditer(section)
    ]
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / GUIDES[name]).write_text(before, encoding="utf-8")
    monkeypatch.chdir(folder)
    assert run(["import", GUIDES[name], "--print"]) == ExitCode.OK
    made = "".join(
        line for line in capsys.readouterr().out.splitlines(keepends=True) if not line.startswith("#")
    )
    assert (language, after.strip()) == ("toml", made.replace(str(folder), "/srv/shop").strip())


def shown_commands(path: Path) -> Iterator[list[str]]:
    """The command lines of pm-native that the guide shows, but for a bare name."""
    for text in code(path):
        for line in text.splitlines():
            for part in re.split(r"&&|\||;|\s#\s", line.strip().removeprefix("$ ")):
                words = part.split()
                if words[:1] == ["sudo"] and words[1:2] == ["pm-native"]:
                    yield words[2:]
                elif words[:1] == ["pm-native"] and len(words) > 2:
                    yield words[1:]


def loaded_command(name: str) -> click.Command:
    module = module_of(name)
    found = getattr(import_module(f"pm_native.cli.{module}"), module)
    assert isinstance(found, click.Command)
    return found


@pytest.mark.parametrize("name", GUIDES)
def test_commands_of_the_guide_can_be_run_as_they_stand(name: str) -> None:
    wrong = []
    for command, *words in shown_commands(DOCS / f"migrating-from-{name}.md"):
        try:
            loaded_command(command).make_context(command, words)
        except click.BadParameter as error:  # a file that is not here is no mistake
            wrong += [f"{command} {words}: {error}"] if isinstance(error, click.MissingParameter) else []
        except click.UsageError as error:
            wrong.append(f"{command} {words}: {error}")
    assert wrong == []


@pytest.mark.parametrize("name", GUIDES)
def test_guide_begins_with_what_apply_needs(name: str) -> None:
    console = next(
        text for language, text in fences(DOCS / f"migrating-from-{name}.md") if language == "console"
    )
    assert "pm-native migrate" in console or "pm-native generate" in console.partition("pm-native apply")[0]
