"""Every way to fail: places in a source, diagnostics, the exception tree, exit codes.

PmNativeError               exit code 1: nothing was done
+-- ConfigError             78  the config is wrong; carries every diagnostic found
+-- UsageError              64  the command line is wrong
+-- StaleError              1   a saved artifact no longer matches what it was made from
+-- OwnershipError          1   a file or unit belongs to somebody else
+-- StateError              1   what pm-native keeps on disk is damaged
|   +-- TooNewError         1   or of a newer pm-native
+-- UnavailableError        69  no systemd, no bus, no such program on this host
+-- LockedError             75  another run holds the lock
+-- AccessError             77  the caller may not do this
+-- UnitsFailedError        4   the switch was made, and units failed
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class ExitCode(IntEnum):
    """The exit codes of the command line: docs/commands.md explains each, scripts rely on them."""

    OK = 0
    FAILURE = 1
    CHANGES = 2  # plan: there is something to do (as terraform plan -detailed-exitcode)
    ROLLED_BACK = 3
    UNITS_FAILED = 4
    USAGE = 64  # sysexits.h from here on: EX_USAGE
    UNAVAILABLE = 69  # EX_UNAVAILABLE
    LOCKED = 75  # EX_TEMPFAIL
    ACCESS = 77  # EX_NOPERM
    CONFIG = 78  # EX_CONFIG
    INTERRUPTED = 130  # 128 + SIGINT

    @property
    def meaning(self) -> str:
        """What the code says, for the manual and the documentation."""
        return _MEANINGS[self]


_MEANINGS = {
    ExitCode.OK: "done",
    ExitCode.FAILURE: "failed, and nothing was done: a generated set is stale, a file belongs to somebody else, records are"
    " damaged",
    ExitCode.CHANGES: "`plan`, `--dry-run`: there are changes",
    ExitCode.ROLLED_BACK: "units failed, and `apply --atomic` went back to what was there before",
    ExitCode.UNITS_FAILED: "the switch was made, and units failed, or `--timeout` was over",
    ExitCode.USAGE: "the command line is wrong",
    ExitCode.UNAVAILABLE: "something is missing on this host: systemd, its bus, a program, a generated set",
    ExitCode.LOCKED: "another run is changing this project: try again",
    ExitCode.ACCESS: "not allowed: try sudo, or `--user`",
    ExitCode.CONFIG: "the config is wrong",
    ExitCode.INTERRUPTED: "Ctrl-C; of `apply` and `remove`: the next one goes on",
}


class Severity(StrEnum):
    """How bad a diagnostic is; `--strict` lifts warnings to errors, notes stay notes."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class Source:
    """A text that the user wrote, under the name by which the user knows it. No line of a secret one is shown.

    `sha256` is the digest of the bytes that were read, "" where the text came from no file.
    """

    __slots__ = ("_lines", "is_secret", "name", "sha256", "text")

    def __init__(self, name: str, text: str, *, is_secret: bool = False, sha256: str = "") -> None:
        self.name = name
        self.text = text
        self.is_secret = is_secret
        self.sha256 = sha256
        self._lines: list[str] | None = None

    def line(self, number: int) -> str:
        """The text of line `number` (from 1) without its line end; "" where there is none."""
        if self._lines is None:
            self._lines = self.text.split("\n")
        if 1 <= number <= len(self._lines):
            return self._lines[number - 1].removesuffix("\r")
        return ""

    def whole(self, path: str = "") -> Span:
        """The span that means the file as a whole (or one key path in it, place unknown)."""
        return Span(self, 0, 0, 0, path)


@dataclass(frozen=True, slots=True)
class Span:
    """A place in a source. Lines and columns count from 1, `end` is exclusive; line 0: place unknown.

    `path` is the key path (`process.api.listen.port`), for sources that give no better place.
    """

    source: Source
    line: int
    column: int
    end: int = 0
    path: str = ""

    def __str__(self) -> str:
        if self.line:
            return f"{self.source.name}:{self.line}:{self.column}"
        return f"{self.source.name}: {self.path}" if self.path else self.source.name

    @property
    def where(self) -> str:
        """`file:line`, as unit headers and `explain` print it."""
        return f"{self.source.name}:{self.line}" if self.line else str(self)

    def part(self, start: int, length: int) -> Span:
        """The sub-span that begins `start` columns in; the span itself where its place is unknown."""
        if not self.line:
            return self
        return Span(self.source, self.line, self.column + start, self.column + start + length, self.path)


NOWHERE = Source("<defaults>", "").whole()


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnostic:
    """One problem: a place, a fact and a way out. `code` is stable, for scripts and for docs.

    `lost` marks what a foreign config says and nothing here does: `pm-native import` lists it apart.
    """

    span: Span
    message: str
    code: str
    severity: Severity = Severity.ERROR
    hint: str = ""
    lost: bool = False


@dataclass(slots=True)
class Diagnostics:
    """Collects diagnostics in order, so that all problems are told at once."""

    strict: bool = False
    items: list[Diagnostic] = field(default_factory=list)

    def __iter__(self) -> Iterator[Diagnostic]:
        return iter(self.items)

    def add(self, diagnostic: Diagnostic) -> None:
        """Collect one, once; in strict mode a warning becomes an error."""
        if self.strict and diagnostic.severity is Severity.WARNING:
            diagnostic = Diagnostic(
                span=diagnostic.span,
                message=diagnostic.message,
                code=diagnostic.code,
                severity=Severity.ERROR,
                hint=diagnostic.hint,
                lost=diagnostic.lost,
            )
        if diagnostic not in self.items[-20:]:  # the same problem met twice in a row is told once
            self.items.append(diagnostic)

    def error(self, span: Span, message: str, *, code: str, hint: str = "") -> None:
        """Collect a problem that stops the run at the next `raise_if_errors`."""
        self.add(Diagnostic(span=span, message=message, code=code, hint=hint))

    def warning(self, span: Span, message: str, *, code: str, hint: str = "", lost: bool = False) -> None:
        """Collect what works but is probably not what the owner wants."""
        self.add(
            Diagnostic(
                span=span, message=message, code=code, severity=Severity.WARNING, hint=hint, lost=lost
            )
        )

    def note(self, span: Span, message: str, *, code: str, hint: str = "", lost: bool = False) -> None:
        """Collect what the owner should know and need not act on."""
        self.add(
            Diagnostic(span=span, message=message, code=code, severity=Severity.NOTE, hint=hint, lost=lost)
        )

    @property
    def has_errors(self) -> bool:
        """Whether anything collected so far stops the run."""
        return any(item.severity is Severity.ERROR for item in self.items)

    def counts(self) -> dict[Severity, int]:
        """How many of each severity, the severities that occur only."""
        found = Counter(item.severity for item in self.items)
        return {severity: found[severity] for severity in Severity if found[severity]}

    def raise_if_errors(self) -> None:
        """Raise `ConfigError` with everything collected, if any of it is an error."""
        if self.has_errors:
            raise ConfigError(self.items)


class PmNativeError(Exception):
    """The root of all failures that a user can cause or must know of."""

    exit_code = ExitCode.FAILURE

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class ConfigError(PmNativeError):
    """The config is wrong; `diagnostics` holds every problem found, warnings too."""

    exit_code = ExitCode.CONFIG

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        errors = sum(item.severity is Severity.ERROR for item in self.diagnostics)
        super().__init__(f"{errors} error{'s' if errors != 1 else ''} in the config")


class UsageError(PmNativeError):
    """The command line asks for something that does not exist or does not fit together."""

    exit_code = ExitCode.USAGE


class StaleError(PmNativeError):
    """What was generated or planned no longer matches its sources or the system."""


class OwnershipError(PmNativeError):
    """A file or unit in the way belongs to somebody else."""


class StateError(PmNativeError):
    """The state that pm-native keeps is damaged."""


class TooNewError(StateError):
    """The state that pm-native keeps is not damaged: it is from a newer version."""


class UnavailableError(PmNativeError):
    """What the command needs (systemd, the bus, a program) is not on this host."""

    exit_code = ExitCode.UNAVAILABLE


class LockedError(PmNativeError):
    """Another run holds the lock of this project."""

    exit_code = ExitCode.LOCKED


class AccessError(PmNativeError):
    """The caller lacks the right to do this; `needs_root`: root has it."""

    exit_code = ExitCode.ACCESS

    def __init__(self, message: str, *, hint: str = "", needs_root: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.needs_root = needs_root


class UnitsFailedError(PmNativeError):
    """The switch was made, and some units did not come up."""

    exit_code = ExitCode.UNITS_FAILED


def printable(text: str, *, has_layout: bool = False) -> str:
    """The text without what would move the cursor or change the colour of a terminal; its tabs and line ends may stay."""
    kept = "\t\n" if has_layout else ""
    return "".join(
        char if char.isprintable() or char in kept else "\N{REPLACEMENT CHARACTER}" for char in text
    )


def reason(error: Exception) -> str:
    """What is wrong with a text, without the text itself, all of which `repr` shows of a UnicodeDecodeError."""
    return str(error) if isinstance(error, UnicodeDecodeError) else repr(error)


def host_words(error: OSError) -> str:
    """What the host says of a file, in small letters."""
    return (error.strerror or str(error)).lower()


def did_you_mean(word: str, candidates: Iterable[str]) -> str:
    """A hint naming the candidate nearest to `word`, or ""."""
    from difflib import get_close_matches  # noqa: PLC0415 - for the unhappy path only

    found = get_close_matches(word, list(candidates), n=1, cutoff=0.6)
    return f"did you mean {found[0]!r}?" if found else ""
