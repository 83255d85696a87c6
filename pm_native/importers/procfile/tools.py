"""Where foreman, honcho and overmind differ, one table each; and what their own settings say."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from pm_native.errors import Span
from pm_native.importers.procfile.fields import FIELDS, FOREMAN, OVERMIND
from pm_native.model.quantity import QuantityError, parse_signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pm_native.errors import Diagnostics
    from pm_native.importers.files import Files
    from pm_native.model.project import Variable


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """One dialect. `others` is how many run of what a formation does not name.

    `name_format` is what a process is told of its name, in `name_variable`. With `env_port_wins` the first port of `.env` goes over
    the one of the command line. `signals_group` is whether the children of a program hear the stop signal, too.
    One that `fills_in` puts the values of variables into the text of the command before a shell reads it.
    """

    name: str
    entry: re.Pattern[str]
    settings: str
    others: int = 1
    name_variable: str = "PS"
    name_format: str = "{name}.{number}"
    stop_signal: str = "SIGTERM"
    signals_group: bool = True
    env_port_wins: bool = False
    fills_in: bool = False


_LOOSE = re.compile(r"([A-Za-z0-9_-]+):[ \t]*(\S.*)")
_STRICT = re.compile(r"([A-Za-z0-9_-]+):[ \t]+(\S.*)")
TOOLS = {
    "foreman": Tool(
        name="foreman", entry=_LOOSE, settings=".foreman", others=0, signals_group=False, fills_in=True
    ),
    "honcho": Tool(
        name="honcho", entry=_LOOSE, settings="", name_variable="HONCHO_PROCESS_NAME", env_port_wins=True
    ),
    "overmind": Tool(
        name="overmind",
        entry=_STRICT,
        settings=".overmind.env",
        name_format="{name}#{number}",
        stop_signal="SIGINT",
    ),
}
DEFAULT = replace(TOOLS["honcho"], name_variable="PS")  # of nobody in particular
_FOREMAN_LINE = re.compile(r"\s*(?P<key>[a-z]\w*)\s*:\s*(?P<value>\S.*)")
_FOREMAN = frozenset(item.name for item in FIELDS if item.section == FOREMAN)
_OVERMIND = {item.name: item for item in FIELDS if item.section == OVERMIND}
_LISTS = {
    "CAN_DIE": "can_die",
    "IGNORED_PROCESSES": "ignored",
    "PROCESSES": "only",
}
_YES = frozenset({"1", "true", "yes", "on", "t"})


@dataclass(slots=True)
class Settings:
    """What a tool's own settings say; nothing where there are none."""

    formation: dict[str, int] = field(default_factory=dict)
    formation_span: Span | None = None
    port: int | None = None
    port_span: Span | None = None
    port_step: int = 100
    has_ports: bool = True
    timeout_sec: float | None = None
    environment_files: tuple[str, ...] = (".env",)
    root: str = ""
    signals: dict[str, str] = field(default_factory=dict)
    can_die: frozenset[str] = frozenset()
    any_can_die: bool = False
    ignored: frozenset[str] = frozenset()
    only: frozenset[str] = frozenset()


def read_settings(tool: Tool, files: Files, environ: Mapping[str, str], problems: Diagnostics) -> Settings:
    """The settings of the tool beside the Procfile, and in the home of whoever reads it."""
    if tool.name == "overmind":
        return _Overmind(files, problems).read(environ)
    path = files.directory / tool.settings
    return _Foreman(files, problems).read() if tool.settings and path.is_file() else Settings()


class _Reader:
    """Reads values, and tells of those that are wrong."""

    def __init__(self, files: Files, problems: Diagnostics) -> None:
        self.files = files
        self.problems = problems
        self.found = Settings()

    def number(self, text: str, span: Span, low: int, high: int) -> int | None:
        if text.isdecimal() and low <= int(text[:9]) <= high:
            return int(text)
        hint = f"a whole number from {low} to {high}"
        self.problems.error(span, f"not such a number: {text!r}", code="procfile-settings", hint=hint)
        return None

    def counts(self, text: str, span: Span) -> dict[str, int]:
        found: dict[str, int] = {}
        for part in filter(None, re.split(r"[,\s]+", text)):
            name, _, count = part.partition("=")
            if (number := self.number(count, span, 0, 10_000)) is not None:
                found[name] = number
        return found


class _Foreman(_Reader):
    """`.foreman`: YAML of one level."""

    def read(self) -> Settings:
        source = self.files.read(self.files.directory / ".foreman", is_environment=True)
        for number, line in enumerate(source.text.split("\n") if source else (), 1):
            match = _FOREMAN_LINE.match(line)
            if source is None or match is None or line.lstrip().startswith("#"):
                continue
            span = Span(source, number, match.start("key") + 1, len(line.rstrip()) + 1)
            self._setting(match["key"], match["value"].strip().strip("\"'"), span)
        return self.found

    def _setting(self, key: str, value: str, span: Span) -> None:
        found = self.found
        match key:
            case "formation" | "concurrency":
                found.formation, found.formation_span = self.counts(value, span), span
            case "port":
                found.port, found.port_span = self.number(value, span, 1, 65535), span
            case "timeout":
                found.timeout_sec = self.number(value, span, 0, 1_000_000)
            case "env":
                found.environment_files = tuple(part.strip() for part in value.split(",") if part.strip())
            case "root":
                found.root = value
            case _:
                self._tell(key, span)

    def _tell(self, key: str, span: Span) -> None:
        if key not in _FOREMAN:
            hint = f"foreman has: {', '.join(sorted(_FOREMAN))}"
            message = f"foreman has no setting {key!r}"
            self.problems.warning(span, message, code="procfile-unknown-field", hint=hint, lost=True)
            return
        message, hint = f"without a meaning here: {key}", "foreman needs it, systemd does not"
        self.problems.note(span, message, code="procfile-ignored", hint=hint, lost=True)


class _Overmind(_Reader):
    """Environment files, in which the variables of overmind's own are settings; a later file wins."""

    def read(self, environ: Mapping[str, str]) -> Settings:
        own: dict[str, Variable] = {}
        read: list[str] = []
        home = environ.get("HOME", "")
        usual = [f"{home}/.overmind.env"] if home.startswith("/") else []
        for name in (*usual, ".overmind.env"):
            own |= self._file(name, read)
        if "OVERMIND_SKIP_ENV" not in own and "OVERMIND_SKIP_ENV" not in environ:
            own |= self._file(".env", read)
        more = own["OVERMIND_ENV"].value if "OVERMIND_ENV" in own else environ.get("OVERMIND_ENV", "")
        for name in filter(None, (part.strip() for part in more.split(","))):
            own |= self._file(name, read)
        for name, variable in own.items():
            # The first two have said which files are read; whatever cannot die is restarted.
            if name not in {"OVERMIND_ENV", "OVERMIND_SKIP_ENV", "OVERMIND_AUTO_RESTART"}:
                self._setting(name, variable.value.strip(), variable.span)
        self.found.environment_files = tuple(read)
        return self.found

    def _file(self, name: str, read: list[str]) -> dict[str, Variable]:
        """Overmind's own variables of one file, which may not be there; `read` gets its name."""
        from pm_native.syntax import Dialect  # noqa: PLC0415 - loaded on first use

        read.append(name)
        found = self.files.environment(self.files.directory / name, Dialect.OVERMIND)
        return {key: item for key, item in found.items() if key.startswith("OVERMIND_")}

    def _setting(self, name: str, value: str, span: Span) -> None:
        found = self.found
        key = name.removeprefix("OVERMIND_")
        if key in _LISTS:
            names = frozenset(part.strip() for part in value.split(",") if part.strip())
            setattr(found, _LISTS[key], names)
            return
        match key:
            case "PORT":
                found.port, found.port_span = self.number(value, span, 1, 65535), span
            case "PORT_STEP":
                found.port_step = self.number(value, span, 1, 10_000) or found.port_step
            case "NO_PORT":
                found.has_ports = value.lower() not in _YES
            case "FORMATION":
                found.formation, found.formation_span = self.counts(value, span), span
            case "TIMEOUT":
                found.timeout_sec = self.number(value, span, 0, 1_000_000)
            case "STOP_SIGNALS":
                self._signals(value, span)
            case "ANY_CAN_DIE":
                found.any_can_die = value.lower() in _YES
            case "ROOT":
                found.root = value
            case _:
                self._tell(name, span)

    def _signals(self, value: str, span: Span) -> None:
        for part in filter(None, value.split(",")):
            name, _, signal = part.strip().partition("=")
            try:
                self.found.signals[name] = parse_signal(signal)
            except QuantityError as error:
                self.problems.error(span, f"{name}: {error.message}", code="bad-signal", hint=error.hint)

    def _tell(self, name: str, span: Span) -> None:
        known = _OVERMIND.get(name)
        if known is None:
            hint = "take it out; nothing here reads it"
            message = f"overmind has no setting {name}"
            self.problems.warning(span, message, code="procfile-unknown-field", hint=hint, lost=True)
        elif known.harmless:
            message, hint = f"without a meaning here: {name}", known.differs
            self.problems.note(span, message, code="procfile-ignored", hint=hint, lost=True)
        else:
            message = f"{name}: {known.differs}"
            self.problems.warning(span, message, code="procfile-lost", hint=known.instead, lost=True)
