"""What a command says: results to stdout, messages and diagnostics to stderr, or one JSON envelope."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass, field

import click

from pm_native.cli.style import Style
from pm_native.errors import AccessError, ConfigError, ExitCode, Severity, UnavailableError, printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from pm_native.errors import Diagnostic, PmNativeError

ENVELOPE_VERSION = 1
FORMATS = ("full", "concise", "json", "github")
_COLOURS = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.NOTE: "cyan"}
_GITHUB = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "notice"}
_LINE_MAX = 160  # a minified config has lines that fill a screen


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a command found or did: `text` for people, `data` for programs, the same facts in both."""

    command: str
    text: str = ""
    data: object = None
    exit_code: ExitCode = ExitCode.OK
    diagnostics: tuple[Diagnostic, ...] = ()
    hints: tuple[str, ...] = ()
    error: PmNativeError | None = None


@dataclass(slots=True)
class Presentation:
    """How this run speaks; `--json` and `--format` set it as they are parsed, so that failures follow them too."""

    as_json: bool = False
    diagnostic_format: str = "full"
    command: str = ""
    as_root: str = (
        ""  # the command line that has root run this very command; "" where root would do something else
    )
    is_cut: bool = False  # some of the output could not be written


def presentation() -> Presentation:
    """How the command that runs now speaks."""
    found = click.get_current_context().find_root().obj
    if not isinstance(found, Presentation):
        raise TypeError("a run begins with its presentation")
    return found


def echo(text: str, *, err: bool = False, nl: bool = True) -> None:
    """Print. A reader who has left, or a full disk, ends no run half-way: what cannot be written is dropped."""
    try:
        # Style has decided about colours: click takes them out wherever the output is no terminal, FORCE_COLOR or not.
        click.echo(text, nl=nl, err=err, color=True)
    except OSError as error:
        stream = sys.stderr if err else sys.stdout
        nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        os.dup2(nowhere, stream.fileno())  # what its buffer holds goes there, too
        os.close(nowhere)
        if err or isinstance(error, BrokenPipeError):
            return  # nobody is there to be told
        if (context := click.get_current_context(silent=True)) is not None:
            context.find_root().obj.is_cut = True
        print_failure(UnavailableError(f"cannot write the output: {error.strerror}"))


def finish(result: Result, shown: Presentation | None = None) -> int:
    """Print a result and give its exit code."""
    shown = shown or presentation()
    if shown.as_json:
        echo(json.dumps(envelope(result), ensure_ascii=False))
        return _code(result, shown)
    print_diagnostics(result.diagnostics, shown.diagnostic_format)
    if result.text:
        # With --format json, the diagnostics alone are what a program reads from stdout.
        echo(result.text, err=shown.diagnostic_format == "json")
    if result.error is not None:
        print_failure(result.error)
    for hint in result.hints:
        echo(Style(sys.stderr)(hint, "dim"), err=True)
    return _code(result, shown)


def _code(result: Result, shown: Presentation) -> int:
    return ExitCode.FAILURE if shown.is_cut and result.exit_code is ExitCode.OK else result.exit_code


def failure(error: PmNativeError, shown: Presentation) -> int:
    """Print a failure as the run speaks, and give its exit code."""
    found = error.diagnostics if isinstance(error, ConfigError) else ()
    told = None if isinstance(error, ConfigError) else error
    if isinstance(error, AccessError) and error.needs_root and shown.as_root:
        error.hint = f"run it as root: {shown.as_root}"
    result = Result(command=shown.command, exit_code=error.exit_code, diagnostics=found, error=told)
    return finish(result, shown)


def envelope(result: Result) -> dict[str, object]:
    """The JSON form of a result; additions keep the version, anything else raises it."""
    return {
        "version": ENVELOPE_VERSION,
        "command": result.command,
        "exit_code": int(result.exit_code),
        "data": result.data,
        "diagnostics": [diagnostic_data(item) for item in result.diagnostics],
        "error": None
        if result.error is None
        else {"message": result.error.message, "hint": result.error.hint},
    }


def diagnostic_data(item: Diagnostic) -> dict[str, object]:
    """A diagnostic for programs, no secret in it."""
    from pm_native.cli.mask import shielded  # noqa: PLC0415 - where something is wrong only

    item = shielded(item)
    span = item.span
    return {
        "severity": item.severity.value,
        "code": item.code,
        "message": item.message,
        "hint": item.hint,
        "file": span.source.name,
        "line": span.line,
        "column": span.column,
        "end_column": span.end,
        "path": span.path,
    }


def print_diagnostics(diagnostics: Iterable[Diagnostic], diagnostic_format: str = "full") -> None:
    """Print diagnostics in one of FORMATS: json and github to stdout, where programs look for them."""
    items = tuple(diagnostics)
    if diagnostic_format == "json":
        echo(json.dumps({"version": ENVELOPE_VERSION, "diagnostics": [diagnostic_data(x) for x in items]}))
        return
    if items:
        from pm_native.cli.mask import shielded  # noqa: PLC0415 - where something is wrong only

        items = tuple(map(shielded, items))
    match diagnostic_format:
        case "github":
            for item in items:
                echo(_github(item))
        case "concise":
            for item in items:
                echo(
                    f"{item.span}: {item.severity}: {printable(item.message, has_layout=True)} [{item.code}]",
                    err=True,
                )
        case _:
            style = Style(sys.stderr)
            for item in items:
                echo(full_text(item, style), err=True)
            if items:
                echo(_summary(items, style), err=True)


def full_text(item: Diagnostic, style: Style) -> str:
    """A diagnostic with its line of the source (no secret in it), a caret under the place, and the way out."""
    from pm_native.cli.mask import masked_line  # noqa: PLC0415 - where something is wrong only

    colour = _COLOURS[item.severity]
    span = item.span
    place = style(f"{span}:", "bold")
    lines = [
        f"{place} {style(f'{item.severity}:', 'bold', colour)} {printable(item.message, has_layout=True)} {style(f'[{item.code}]', 'dim')}"
    ]
    source = masked_line(span.source, span.line) if span.line and not span.source.is_secret else ""
    if source.strip():
        # Tabs keep the caret in place when they are kept in the padding.
        start = max(0, span.column - 1)
        cut = max(0, start - _LINE_MAX // 2)
        shown = source[cut : cut + _LINE_MAX].rstrip()
        padding = "".join("\t" if char == "\t" else " " for char in source[cut:start])
        width = max(1, min(span.end - span.column, len(shown) - (start - cut)))
        number = str(span.line)
        gutter = " " * len(number)
        lines.append(f"  {style(f'{number} |', 'dim')} {printable(shown, has_layout=True)}")
        lines.append(f"  {gutter} {style('|', 'dim')} {padding}{style('^' * width, colour)}")
    if item.hint:
        lines.append(f"  {style('hint:', 'bold')} {printable(item.hint, has_layout=True)}")
    return "\n".join(lines)


def _github(item: Diagnostic) -> str:
    def escape(text: str) -> str:
        return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")

    span = item.span
    name = escape(span.source.name).replace(":", "%3A").replace(",", "%2C")
    place = f"file={name}" + (f",line={span.line},col={span.column}" if span.line else "")
    message = item.message + (f" (hint: {item.hint})" if item.hint else "")
    return f"::{_GITHUB[item.severity]} {place},title={item.code}::{escape(message)}"


def _summary(items: tuple[Diagnostic, ...], style: Style) -> str:
    counts = {severity: sum(item.severity is severity for item in items) for severity in Severity}
    words = [
        style(f"{count} {severity}{'s' if count != 1 else ''}", _COLOURS[severity])
        for severity, count in counts.items()
        if count
    ]
    return ", ".join(words)


def print_failure(error: PmNativeError) -> None:
    """Print a failure that has no place in a source."""
    style = Style(sys.stderr)
    echo(f"{style('error:', 'bold', 'red')} {printable(error.message, has_layout=True)}", err=True)
    if error.hint:
        echo(f"  {style('hint:', 'bold')} {printable(error.hint, has_layout=True)}", err=True)


@dataclass(slots=True)
class Messages:
    """Short messages on the way, to stderr."""

    style: Style = field(default_factory=lambda: Style(sys.stderr))

    def say(self, text: str) -> None:
        """Tell what is being done."""
        self.show(self.style(text, "dim"))

    def show(self, line: str) -> None:
        """Show a line that is styled already."""
        if not presentation().as_json:
            echo(line, err=True)
