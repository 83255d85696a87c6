"""The manual pages, in man(7): made of what `--help` and the reference of the config are made of.

python packaging/manual.py DIRECTORY     writes DIRECTORY/man1/*.1 and DIRECTORY/man5/*.5
"""

from __future__ import annotations

import re
import sys
import textwrap
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import click
import run_manual

from pm_native.cli.commands import COMMANDS, HELP, module_of
from pm_native.config.reference import entries, key_facts
from pm_native.errors import ExitCode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pm_native.config.reference import Entry

CHECKOUT = Path(__file__).resolve().parent.parent
CONFIG_PAGE = "pm-native.toml"
_RELEASE = re.compile(r"^## \[(?P<version>\d[^\]]*)\] - (?P<date>\d{4}-\d\d-\d\d)$", re.MULTILINE)
_CODE = re.compile(r"`([^`]+)`")
_FILES = (
    (
        "pm-native.toml",
        "The config, in the folder of the project. Its keys: pm-native.toml(5). Other formats are read too.",
    ),
    ("build/systemd/", "What generate wrote: unit files and a manifest."),
    (
        "/etc/systemd/system/PROJECT*",
        "The unit files that are applied; ~/.config/systemd/user/ with --user.",
    ),
    (
        "/etc/pm-native/PROJECT/",
        "Compiled environment files, for root alone; ~/.config/pm-native/ with --user.",
    ),
    (
        "/var/lib/pm-native/PROJECT/",
        "Who owns what, and the generations; ~/.local/state/pm-native/ with --user.",
    ),
)
_ENVIRONMENT = (
    ("NO_COLOR", "No colour, whatever its value."),
    ("FORCE_COLOR", "Colour although the output is no terminal."),
    (
        "XDG_RUNTIME_DIR, DBUS_SESSION_BUS_ADDRESS",
        "Where the bus of your own service manager is, with --user.",
    ),
)


@dataclass(frozen=True, slots=True)
class Page:
    """One manual page: `text` is man(7)."""

    name: str
    section: int
    text: str


def escaped(text: str) -> str:
    """Text as roff prints it to the letter: hyphens that can be searched for and copied, no requests."""
    text = text.replace("\\", r"\e").replace("-", r"\-").replace("~", r"\(ti").replace("^", r"\(ha")
    text = text.replace("'", r"\(aq").replace("`", r"\(ga").replace('"', r"\(dq")
    return f"\\&{text}" if text.startswith((".", "\\(aq")) else text


def prose(text: str) -> str:
    """A paragraph of Markdown or of help: `code` in bold, the rest to the letter."""
    parts = _CODE.split(" ".join(text.split()))
    words = "".join(
        rf"\fB{escaped(part)}\fR" if index % 2 else escaped(part) for index, part in enumerate(parts)
    )
    lines = textwrap.wrap(words, 78, break_long_words=False, break_on_hyphens=False)
    return "\n".join(f"\\&{line}" if line.startswith(".") else line for line in lines)


def verbatim(lines: Iterable[str]) -> Iterator[str]:
    """Lines that keep their breaks."""
    yield ".nf"
    yield from (escaped(line.rstrip()) or "\\&" for line in lines)
    yield ".fi"


def items(pairs: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Terms, each with its explanation."""
    for term, text in pairs:
        yield from (".TP", rf"\fB{escaped(term)}\fR", prose(text))


def released() -> tuple[str, str]:
    """The newest version in CHANGELOG.md, and its day."""
    found = _RELEASE.search((CHECKOUT / "CHANGELOG.md").read_text(encoding="utf-8"))
    if found is None:
        raise ValueError("CHANGELOG.md has no version with a date")
    return found["version"], found["date"]


def head(name: str, section: int, summary: str) -> Iterator[str]:
    """The title and the line that whatis(1) reads."""
    version, date = released()
    yield f'.TH "{escaped(name.upper())}" "{section}" "{date}" "pm\\-native {escaped(version)}" "pm\\-native"'
    yield from (".SH NAME", rf"{escaped(name)} \- {escaped(summary.rstrip('.'))}")


def see_also(names: Iterable[str]) -> Iterator[str]:
    """Pages to read on: `systemctl(1)`."""
    yield ".SH SEE ALSO"
    linked = [
        re.sub(r"^(.*)(\(\d\))$", lambda found: rf"\fB{escaped(found[1])}\fR{found[2]}", name)
        for name in names
    ]
    yield ",\n".join(linked)


def page(name: str, section: int, lines: Iterable[str]) -> Page:
    """The page of these lines."""
    return Page(name, section, "\n".join(lines) + "\n")


def main_page() -> Page:
    """pm-native(1)."""

    def lines() -> Iterator[str]:
        summary, _, _ = HELP.partition("\n\n")[2].partition("\n")
        yield from head("pm-native", 1, "process-manager configs as systemd units")
        yield from (".SH SYNOPSIS", r"\fBpm\-native\fR [\fIOPTIONS\fR] \fICOMMAND\fR [\fIARGUMENTS\fR]...")
        yield from (".SH DESCRIPTION", prose(summary))
        yield from (
            ".PP",
            prose(
                "A config is compiled to unit files, a plan shows what differs from what runs and why, and apply makes it"
                " so. What a config asks for and systemd lacks (health checks, watched files, messages) runs beside the programs that"
                " need it, and nothing else of pm-native does: day to day, use `systemctl` and `journalctl`."
            ),
        )
        yield ".SH COMMANDS"
        yield from items((f"pm-native-{name}(1)", text) for name, text in COMMANDS.items())
        yield ".SH OPTIONS"
        yield from items(
            [
                ("--version", "Print the version."),
                ("-h, --help", "Show the commands; after a command, its options."),
            ]
        )
        yield ".SH EXIT STATUS"
        yield from items((str(int(code)), code.meaning) for code in ExitCode)
        yield ".SH ENVIRONMENT"
        yield from items(_ENVIRONMENT)
        yield ".SH FILES"
        yield from items(_FILES)
        yield from see_also([f"{CONFIG_PAGE}(5)", "systemctl(1)", "journalctl(1)", "systemd.service(5)"])

    return page("pm-native", 1, lines())


def command_page(name: str) -> Page:
    """pm-native-NAME(1), or that of `pm-native ipc`'s kind with its subcommands."""
    command = getattr(import_module(f"pm_native.cli.{module_of(name)}"), module_of(name))

    def lines() -> Iterator[str]:
        yield from head(f"pm-native-{name}", 1, COMMANDS[name])
        context = click.Context(command, info_name=f"pm-native {name}", help_option_names=["-h", "--help"])
        yield ".SH SYNOPSIS"
        yield from _synopsis(command, context)
        yield ".SH DESCRIPTION"
        yield from _paragraphs(command.help or "")
        yield from _options(command, context, ".SH OPTIONS")
        for sub in _subcommands(command):
            inner = click.Context(sub, info_name=sub.name, parent=context)
            yield from (
                f".SH {escaped(f'pm-native {name} {sub.name}'.upper())}",
                *_synopsis(sub, inner),
                ".PP",
            )
            yield from _paragraphs(sub.help or "")
            yield from _options(sub, inner, "")
        yield from _epilog(command.epilog or "")
        yield from see_also(["pm-native(1)", f"{CONFIG_PAGE}(5)", "systemctl(1)"])

    return page(f"pm-native-{name}", 1, lines())


def run_page() -> Page:
    """pm-native-run(1)."""

    def options(table: Mapping[str, tuple[str, str]]) -> Iterator[str]:
        yield from items(
            (f"--{name}={value}" if value else f"--{name}", text) for name, (value, text) in table.items()
        )

    def lines() -> Iterator[str]:
        yield from head("pm-native-run", 1, run_manual.SUMMARY)
        yield from (
            ".SH SYNOPSIS",
            r"\fBpm\-native\-run\fR [\fIOPTIONS\fR] \fB\-\-\fR \fICOMMAND\fR [\fIARGUMENT\fR]...",
        )
        yield from (".SH DESCRIPTION", *_paragraphs(run_manual.DESCRIPTION))
        yield from (".SH THE UNIT", *options(run_manual.UNIT))
        yield from (".SH PHASES", *items((f"--{name}", text) for name, text in run_manual.PHASES.items()))
        yield from (".SH CHECKS", *options(run_manual.CHECK))
        yield from (".SH KINDS OF PROBES", *options(run_manual.PROBES))
        yield from (".SH PROBES", *options(run_manual.PROBE))
        yield from see_also(["pm-native(1)", f"{CONFIG_PAGE}(5)", "systemd.service(5)", "sd_notify(3)"])

    return page("pm-native-run", 1, lines())


def _subcommands(command: click.Command) -> Iterator[click.Command]:
    if isinstance(command, click.Group):
        yield from (command.commands[name] for name in sorted(command.commands))


def _synopsis(command: click.Command, context: click.Context) -> Iterator[str]:
    pieces = " ".join(rf"\fI{escaped(piece)}\fR" for piece in command.collect_usage_pieces(context))
    yield rf"\fB{escaped(context.command_path)}\fR {pieces}".rstrip()


def _paragraphs(text: str) -> Iterator[str]:
    r"""The help of a command: paragraphs, those behind a line of \b to the letter."""
    for index, paragraph in enumerate(filter(None, map(str.strip, text.split("\n\n")))):
        if index:
            yield ".PP"
        if paragraph.startswith("\b"):
            yield from verbatim(paragraph.removeprefix("\b").strip("\n").split("\n"))
        else:
            yield prose(paragraph)


def _options(command: click.Command, context: click.Context, heading: str) -> Iterator[str]:
    options = (item for item in command.get_params(context) if isinstance(item, click.Option))
    records = [record for item in options if (record := item.get_help_record(context))]
    if records:
        if heading:
            yield heading
        yield from items(records)


def _epilog(text: str) -> Iterator[str]:
    """Examples and notes that end the help of a command: what begins with `Examples:` is a section."""
    notes: list[str] = []
    for paragraph in filter(None, (part.strip("\n") for part in text.split("\n\n"))):
        lines = [line for line in paragraph.split("\n") if line != "\b"]
        if lines[0].rstrip(":") in {"Example", "Examples"}:
            yield ".SH EXAMPLES"
            yield from verbatim(line.removeprefix("  ") for line in lines[1:])
        else:
            notes += [".PP", *(verbatim(lines) if paragraph.startswith("\b") else [prose(paragraph)])]
    if notes:
        yield from (".SH NOTES", *notes[1:])


def config_page() -> Page:
    """pm-native.toml(5): the key table."""

    def lines() -> Iterator[str]:
        yield from head(CONFIG_PAGE, 5, "the config of a project of pm-native")
        yield ".SH DESCRIPTION"
        yield prose(
            "A project and its processes, in TOML; `pm-native.yaml` and `pm-native.json` have the same keys. `pm-native init`"
            " writes one to start from, `pm-native schema` prints the JSON Schema for editors, `pm-native check` tells every"
            " mistake with its place."
        )
        yield ".PP"
        yield prose(
            "Durations and sizes are those of systemd.time(7) and systemd.resource-control(5): `30s`, `1min 30s`, `512M`;"
            " a bare number is seconds, or bytes. In the list of directives, NAME stands for the unit name."
        )
        for entry in entries():
            yield from _entry(entry)
        yield from see_also(
            ["pm-native(1)", "systemd.service(5)", "systemd.exec(5)", "systemd.resource-control(5)"]
        )

    return page(CONFIG_PAGE, 5, lines())


def _entry(entry: Entry) -> Iterator[str]:
    key = entry.key
    if entry.is_section:
        yield from (f".SH {escaped(f'[{entry.path}]')}", prose(key.help))
        return
    sentences = [key.help, *key_facts(key)]
    if key.example:
        sentences.append(f"Example: `{key.name} = {key.example}`.")
    if entry.same_as:
        sentences.append(f"Its keys are those of `{entry.same_as}`.")
    # Below its own heading, the name of the table goes without saying.
    name = entry.path.partition(".")[2].removeprefix("NAME.")
    yield from items([(name, " ".join(sentences))])


def pages() -> Iterator[Page]:
    """Every page there is."""
    yield main_page()
    yield from (command_page(name) for name in COMMANDS)
    yield run_page()
    yield config_page()


def write_pages(directory: Path) -> None:
    """Write every page to `directory`/manN/NAME.N."""
    for found in pages():
        path = directory / f"man{found.section}" / f"{found.name}.{found.section}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(found.text, encoding="utf-8")


if __name__ == "__main__":
    write_pages(Path(sys.argv[1]))
