"""`pm-native logs`: what the processes wrote, from the journal and from their log files."""

from __future__ import annotations

import os
import shlex
import subprocess
from dataclasses import dataclass

import click

from pm_native.cli.complete import complete_words
from pm_native.cli.options import layout_of
from pm_native.cli.report import Messages
from pm_native.cli.target import scope_of, select, with_manager
from pm_native.errors import ExitCode, UnavailableError, UsageError
from pm_native.unit.name import Scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pm_native.cli.target import Selection
    from pm_native.compile.bundle import BundleUnit
    from pm_native.state.layout import Layout
    from pm_native.unit.file import Setting

_TO_FILE = ("append:", "file:", "truncate:")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What of the logs is wanted. `lines` None: all of them, or as many as `since` leaves."""

    follow: bool = False
    lines: int | None = None
    since: str = ""
    as_json: bool = False


@click.command(
    epilog="""\b
Examples:
  pm-native logs                    the whole project
  pm-native logs api -f             a process, or all instances of a pool, as it goes on
  pm-native logs api@2 -n 20
  pm-native logs --since "1 hour ago" --json | jq .MESSAGE

\b
What a process writes to a file (logs.stdout = "/path") is read from there with tail -F, which goes on where the
file is rotated; --since and --json are for the journal only. --json is journalctl's: one object a line.

\b
The same without pm-native: journalctl -u 'shop-api@*.service' -n 100"""
)
@click.argument("words", nargs=-1, metavar="[PROJECT|PROCESS|INSTANCE]...", shell_complete=complete_words)
@click.option("-f", "--follow", is_flag=True, help="Go on with what is written from now on.")
@click.option("-n", "--lines", type=click.IntRange(min=0), help="How many lines: 100, or all with --since.")
@click.option("--since", default="", metavar="TIME", help="From this time on, as systemd.time(7) has it.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@with_manager
def logs(  # noqa: PLR0913 - one per option
    *, words: tuple[str, ...], follow: bool, lines: int | None, since: str, as_json: bool, user: bool
) -> int:
    """Show what the processes wrote.

    Runs journalctl, and says how: the same line works without pm-native.
    """
    scope = scope_of(user)
    if lines is None and not since:
        lines = 100
    wish = Wish(follow=follow, lines=lines, since=since, as_json=as_json)
    selections = select(layout_of(scope, None), words, need_one=False)
    commands = log_commands(selections, scope, wish)
    messages = Messages()
    for command in commands:
        messages.say(shlex.join(command))
    return _run(commands, follow=follow)


def log_commands(selections: Sequence[Selection], scope: Scope, wish: Wish) -> list[list[str]]:
    """The command lines that show the logs of the selected units: tail for files, journalctl for the journal."""
    units = [(item.layout, unit) for item in selections for unit in item.services]
    if not units:
        raise UsageError("nothing there runs a program", hint="name a process")
    files: dict[str, None] = {}
    in_journal: list[BundleUnit] = []
    for layout, unit in units:
        output = _output_of(layout, unit)
        paths = [path for path in output.values() if path]
        files.update(dict.fromkeys(paths))
        if len(paths) < len(output):
            in_journal.append(unit)
    if files and (wish.as_json or wish.since) and not in_journal:
        option = "--json" if wish.as_json else "--since"
        raise UsageError(f"{option} is for the journal, and this is in files: {', '.join(files)}")
    commands = [tail_command(files, wish)] if files and not wish.as_json and not wish.since else []
    if in_journal:
        commands.append(journal_command(unit_patterns(in_journal, selections), scope, wish))
    return commands


def unit_patterns(units: Sequence[BundleUnit], selections: Sequence[Selection]) -> list[str]:
    """The units as journalctl takes them: one glob for a pool of which all instances are meant."""
    from pm_native.monitor.table import pool_members, pool_pattern  # noqa: PLC0415 - not for --help

    pools = {
        pattern: members for item in selections for pattern, members in pool_members(item.bundle).items()
    }
    chosen = {unit.name for unit in units}
    return list(
        dict.fromkeys(
            pattern if pattern in pools and pools[pattern] <= chosen else name
            for name in (unit.name for unit in units)
            for pattern in [pool_pattern(name)]
        )
    )


def journal_command(patterns: Iterable[str], scope: Scope, wish: Wish) -> list[str]:
    """The journalctl line."""
    words = ["journalctl", "--no-pager"]
    if scope is Scope.USER:
        words.append("--user")
    for pattern in patterns:
        words += ["--user-unit" if scope is Scope.USER else "--unit", pattern]
    if wish.lines is not None:
        words += ["--lines", str(wish.lines)]
    if wish.since:
        words += ["--since", wish.since]
    return [*words, *(["--output", "json"] if wish.as_json else []), *(["--follow"] if wish.follow else [])]


def tail_command(files: Iterable[str], wish: Wish) -> list[str]:
    """The tail line. -F looks for the file by name again and again: it may not be there yet, or be rotated."""
    lines = str(wish.lines) if wish.lines is not None else "+1"
    return ["tail", "--lines", lines, *(["-F"] if wish.follow else []), "--verbose", "--", *files]


def _output_of(layout: Layout, unit: BundleUnit) -> Mapping[str, str]:
    """The log file of each stream of a service, "" for the journal; drop-ins of an administrator do not count."""
    from pm_native.state.files import read_text  # noqa: PLC0415 - not for --help
    from pm_native.unit.parse import UnitSyntaxError, parse_unit  # noqa: PLC0415 - not for --help

    found = {"StandardOutput": "", "StandardError": ""}
    text = read_text(layout.units / unit.file)
    if text is None or "Standard" not in text:
        return found
    try:
        settings = list(parse_unit(text).settings())
    except UnitSyntaxError as error:
        raise UnavailableError(
            f"{layout.units / unit.file}: {error}", hint="it was edited; apply writes it anew"
        ) from error
    instance = unit.name.partition("@")[2].removesuffix(".service")
    for setting in settings:
        if setting.directive.name in found:
            value = _text(setting, unit.name, instance)
            kind = next((kind for kind in _TO_FILE if value.startswith(kind)), "")
            found[setting.directive.name] = value.removeprefix(kind) if kind else ""
    if not any(setting.directive.name == "StandardError" for setting in settings):
        found["StandardError"] = found["StandardOutput"]  # inherited (systemd.exec(5))
    return found


def _text(setting: Setting, name: str, instance: str) -> str:
    known = {"i": instance, "n": name, "N": name.removesuffix(".service")}
    if not setting.words:
        return ""
    word = setting.words[0]
    parts = (word,) if isinstance(word, str) else word
    return "".join(
        part if isinstance(part, str) else known.get(part.letter, f"%{part.letter}") for part in parts
    )


def _run(commands: Sequence[list[str]], *, follow: bool) -> int:
    """Become the command where it is one; else run them in turn, or side by side where they do not end."""
    try:
        if len(commands) == 1:
            os.execvp(commands[0][0], commands[0])  # noqa: S606 - no shell is meant
        if not follow:
            codes = [subprocess.run(command, check=False).returncode for command in commands]
            return ExitCode.FAILURE if any(codes) else ExitCode.OK
        running = [subprocess.Popen(command) for command in commands]
    except FileNotFoundError as error:
        raise UnavailableError(f"there is no {error.filename} on this host") from error
    try:
        codes = [process.wait() for process in running]
    except KeyboardInterrupt:  # the terminal has told them, too
        for process in running:
            process.terminate()
            process.wait()
        return ExitCode.OK
    return ExitCode.FAILURE if any(codes) else ExitCode.OK
