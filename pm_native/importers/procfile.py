"""Procfile, with the `.env` beside it and a formation: foreman's, honcho's and overmind's format.

Where these tools differ, honcho's way is taken: the other entries of a formation stay at 1, PORT of `.env` is the
first port. Every exit leads to a restart, as in the units that foreman and honcho export.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from hashlib import sha256
from pathlib import PurePosixPath

from pm_native.errors import Span
from pm_native.importers.base import Field
from pm_native.importers.shell import read_shell_line
from pm_native.model.names import is_name, nearest_name
from pm_native.model.project import (
    Listen,
    Process,
    ProcessKind,
    Project,
    Restart,
    RestartPolicy,
    Stop,
    StopMode,
    Variable,
)
from pm_native.model.record import SourceFile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

    from pm_native.errors import Diagnostics, Source
    from pm_native.importers.base import ImportOptions
    from pm_native.importers.detect import Contents
    from pm_native.importers.shell import ShellLine

_ENTRY = re.compile(r"([A-Za-z0-9_-]+):[ \t]*(\S.*)")
_NEARLY = re.compile(r"\s*[^\s:#]+\s*:(?!//)")
_TEMPLATE = re.compile(r"<%.*?%>|\{%.*?%\}|\{\{[#/^>!&{]?\s*[A-Za-z_][\w-]*(?:\s*\|[^}]*)?\s*\}\}")
_FOREMAN_KEY = re.compile(r"\s*(?P<key>formation|concurrency|port)\s*:\s*(?P<value>\S.*)")
_BASE_PORT, _PORT_STEP, _PORT_MAX = 5000, 100, 65535
_PORTS_TOLD = 12
_INSTANCES_MAX = 99  # more would run into the ports of the next entry
# What systemd and the shell set themselves, or pm-native does.
_GIVEN = frozenset(
    [
        "HOME",
        "LANG",
        "LOGNAME",
        "PATH",
        "PORT",
        "PS",
        "PWD",
        "SHELL",
        "USER",
        "INVOCATION_ID",
        "OLDPWD",
        "PPID",
        "IFS",
        "RANDOM",
    ]
)

FIELDS = (
    Field(
        "NAME: COMMAND",
        "`PROJECT-NAME.service`",
        "a plain command runs without a shell, others by `/bin/sh -c`, which replaces itself with the program where it can",
    ),
    Field("release: COMMAND", "a task", "not started with the others: run it before you switch"),
    Field("PORT", "`PORT` in the environment: 5000 for the first entry, 5100 for the second"),
    Field(".env", "a compiled environment file of mode 0600"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    name: str
    command: str
    span: Span
    command_span: Span


@dataclass(slots=True)
class ProcfileImporter:
    """Reads a Procfile."""

    name: str = "procfile"
    title: str = "Procfile"
    file_names: tuple[str, ...] = ("Procfile",)

    def recognises(self, path: Path) -> bool:
        """Whether the file is a Procfile by its name: `Procfile`, `Procfile.dev`, `dev.Procfile`."""
        return path.name == "Procfile" or path.name.startswith("Procfile.") or path.suffix == ".Procfile"

    def claims(self, contents: Contents) -> str:
        """A text without a suffix of another format, all of whose lines are entries."""
        lines = [
            line for line in contents.text.split("\n") if line.strip() and not line.lstrip().startswith("#")
        ]
        if (
            contents.kind != "text"
            or not lines
            or not all(_ENTRY.fullmatch(line.rstrip()) for line in lines)
        ):
            return ""
        return "each line is `name: command`"

    def fields(self) -> tuple[Field, ...]:
        """What a Procfile, its `.env` and its tools' settings can say."""
        return FIELDS

    def load(self, path: Path, name: str, options: ImportOptions, problems: Diagnostics) -> Project | None:
        """The project in the Procfile at `path`, called `name` in diagnostics; None after adding an error."""
        reader = _Reader(path.absolute().parent, options, problems)
        source = reader.source(path, name)
        if source is None:
            return None
        entries = read_entries(source, problems)
        if entries is None:
            return None
        if not entries:
            hint = "one process a line: web: bin/server --port $PORT"
            problems.error(
                source.whole(), "there is no process in this file", code="procfile-empty", hint=hint
            )
            return None
        environment = reader.environment(str(PurePosixPath(name).with_name(".env")))
        reader.check_foreman(str(PurePosixPath(name).with_name(".foreman")))
        counts = reader.counts(entries, source)
        base_port = reader.base_port(environment, source)
        processes = reader.processes(entries, counts, base_port, environment)
        reader.tell_ports(processes, source)
        return Project(
            name=options.project_name or nearest_name(reader.directory.name),
            source_path=str(path.absolute()),
            directory=PurePosixPath(reader.directory),
            processes=processes,
            sources=tuple(reader.sources),
            span=source.whole(),
        )


def read_entries(source: Source, problems: Diagnostics) -> list[_Entry] | None:
    """The entries in their order; None where the file is a template that nobody has filled in."""
    entries: list[_Entry] = []
    for number, line in enumerate(source.text.split("\n"), 1):
        text = line.rstrip()
        if not text or text.lstrip().startswith("#"):
            continue
        if tag := _TEMPLATE.search(text):
            span = Span(source, number, tag.start() + 1, tag.end() + 1)
            hint = "fill it in first, and give the result"
            message = f"this is a template for a Procfile: {tag[0]}"
            problems.error(span, message, code="procfile-template", hint=hint)
            return None
        match = _ENTRY.fullmatch(text)
        if match is None:
            _tell_ignored(Span(source, number, 1, len(text) + 1), text, problems)
            continue
        entries.append(
            _Entry(
                name=match[1],
                command=match[2],
                span=Span(source, number, 1, match.end(1) + 1),
                command_span=Span(source, number, match.start(2) + 1, match.end(2) + 1),
            )
        )
    return entries


def _tell_ignored(span: Span, text: str, problems: Diagnostics) -> None:
    if re.fullmatch(r"[A-Za-z0-9_-]+:\s*", text):
        hint = "write the command behind the colon, or put a # before the line"
        problems.warning(span, "an entry without a command is ignored", code="procfile-line", hint=hint)
        return
    hint = "an entry is `name: command`, on one line; a comment begins with #"
    if _NEARLY.match(text):
        hint = "the name begins the line, and has letters, digits, - and _ only: name: command"
    problems.warning(
        span, "this line is no entry: all Procfile tools ignore it", code="procfile-line", hint=hint
    )


class _Reader:
    """Reads what belongs to one Procfile; `sources` gets each file that was read."""

    def __init__(self, directory: Path, options: ImportOptions, problems: Diagnostics) -> None:
        self.directory = directory
        self.options = options
        self.problems = problems
        self.sources: list[SourceFile] = []

    def source(self, path: Path, name: str, *, is_environment: bool = False) -> Source | None:
        """The text of a file; None after adding an error."""
        from pm_native.syntax import read_source  # noqa: PLC0415 - loaded on first use

        source = read_source(path, name, self.problems, allow_empty=is_environment, is_secret=is_environment)
        if source is not None:
            digest = sha256(path.read_bytes()).hexdigest()
            self.sources.append(SourceFile(path=str(path.absolute()), sha256=digest))
        return source

    def environment(self, name: str) -> dict[str, Variable]:
        """The variables of the `.env` beside the Procfile, by honcho's rules."""
        from pm_native.syntax import Dialect, parse_dotenv  # noqa: PLC0415 - loaded on first use

        path = self.directory / ".env"
        if not path.exists():
            return {}
        source = self.source(path, name, is_environment=True)
        if source is None:
            return {}
        parsed = parse_dotenv(source, self.problems, dialect=Dialect.HONCHO)
        return {key: Variable(value=str(node.value), span=node.span) for key, node in parsed.items()}

    def check_foreman(self, name: str) -> None:
        """A warning where foreman's own settings say something that is not read."""
        path = self.directory / ".foreman"
        if not path.is_file():
            return
        source = self.source(path, name, is_environment=True)
        for number, line in enumerate(source.text.split("\n") if source else (), 1):
            match = _FOREMAN_KEY.match(line)
            if source is None or match is None:
                continue
            value = match["value"].strip().strip("\"'")
            span = Span(source, number, match.start("key") + 1, len(line.rstrip()) + 1)
            if match["key"] == "port":
                if self.options.base_port is not None:
                    continue
                message, hint = f"foreman's first port {value} is not read", f"give it: --base-port {value}"
            elif not self.options.formation:
                message = f"foreman's formation {value!r} is not read: each entry runs once"
                hint = f"give it: --formation {value}; what it does not name runs 0 times under foreman, once here"
            else:
                continue
            self.problems.warning(span, message, code="procfile-foreman", hint=hint)

    def counts(self, entries: list[_Entry], source: Source) -> dict[str, int]:
        """How many of each entry run; 1 where the formation does not say."""
        names = [entry.name for entry in entries]
        formation = dict(self.options.formation)
        counts = dict.fromkeys(names, formation.pop("all", 1) if "all" not in names else 1)
        for name, count in formation.items():
            if name not in counts:
                close = get_close_matches(name, names, n=1)
                hint = f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(names)}"
                message = f"the formation names {name!r}, which is no entry of this Procfile"
                self.problems.error(source.whole(), message, code="procfile-formation", hint=hint)
            counts[name] = count
        for entry in entries:
            count = counts[entry.name]
            if not 0 <= count <= _INSTANCES_MAX:
                message = f"the formation asks for {count} of {entry.name!r}"
                hint = f"from 0 to {_INSTANCES_MAX}: the next entry's ports begin {_PORT_STEP} higher"
                self.problems.error(entry.span, message, code="procfile-formation", hint=hint)
                counts[entry.name] = 1
        return counts

    def base_port(self, environment: dict[str, Variable], source: Source) -> int:
        """PORT of the first entry: the `.env` says, else the command line, else 5000."""
        asked = self.options.base_port
        variable = environment.pop("PORT", None)
        base, span = (asked if asked is not None else _BASE_PORT), source.whole()
        if variable is not None:
            span = variable.span
            if not re.fullmatch(r"[0-9]{1,5}", variable.value.strip()):
                hint = "it is the port of the first entry: a number"
                message = "PORT in .env is no port"
                self.problems.error(span, message, code="procfile-port", hint=hint)
                return base
            base = int(variable.value)
            if asked not in {None, base}:
                hint = "take PORT out of .env, or --base-port from the command"
                message = f"PORT={base} of .env goes over --base-port {asked}, as honcho has it"
                self.problems.warning(span, message, code="procfile-port", hint=hint)
        if not 1 <= base <= _PORT_MAX:
            hint = f"from 1 to {_PORT_MAX}"
            self.problems.error(span, f"the first port cannot be {base}", code="procfile-port", hint=hint)
            return _BASE_PORT
        return base

    def processes(
        self, entries: list[_Entry], counts: dict[str, int], base_port: int, environment: dict[str, Variable]
    ) -> tuple[Process, ...]:
        """A process for each entry; an error for a name that occurs twice."""
        found: dict[str, Process] = {}
        without: list[_Entry] = []
        for index, entry in enumerate(entries):
            name = self.name(entry)
            if name in found:
                hint = f"the first is at {found[name].span.where}: rename one"
                message = f"a second entry named {name!r}"
                self.problems.error(entry.span, message, code="duplicate-name", hint=hint)
                continue
            port = base_port + _PORT_STEP * index
            has_port = port + max(counts[entry.name] - 1, 0) <= _PORT_MAX
            if not has_port:
                without.append(entry)
            found[name] = self.process(
                entry, name, counts[entry.name], port if has_port else None, environment
            )
        if without:
            more = f" and {len(without) - 1} more" if len(without) > 1 else ""
            hint = f"begin lower: --base-port, or PORT in .env (now {base_port})"
            message = f"no port is left for {without[0].name!r}{more}: PORT is not set"
            self.problems.warning(without[0].span, message, code="procfile-port", hint=hint)
        return tuple(found.values())

    def name(self, entry: _Entry) -> str:
        """The name of the process: the entry's, made valid."""
        name = entry.name if is_name(entry.name) else nearest_name(entry.name)
        if name != entry.name:
            hint = "unit names begin with a letter or a digit and are not too long: rename the entry"
            message = f"{entry.name!r} is called {name!r} here"
            self.problems.note(entry.span, message, code="procfile-name", hint=hint)
        return name

    def process(
        self, entry: _Entry, name: str, count: int, port: int | None, environment: dict[str, Variable]
    ) -> Process:
        """One entry."""
        line = read_shell_line(entry.command)
        self.check_command(entry, line, environment)
        is_task = entry.name == "release"
        is_pool = count > 1 and not is_task
        self.tell_count(entry, count, is_task=is_task)
        # A shell that stays in front of the program dies of the signal and lets it be killed: all get the signal.
        mode = StopMode.MIXED if line.is_direct else StopMode.GROUP
        variables = {} if is_pool else {"PS": Variable(value=f"{entry.name}.1", span=entry.span)}
        variables = {key: value for key, value in variables.items() if key not in environment}
        return Process(
            name=name,
            command=line.words,
            directory=PurePosixPath(self.directory),
            kind=ProcessKind.TASK if is_task else ProcessKind.SERVICE,
            instances=count if is_pool else None,
            listen=Listen(port=port),
            restart=Restart(policy=RestartPolicy.NO) if is_task else Restart(),
            stop=Stop(mode=mode),
            autostart=not is_task and count > 0,
            environment=variables,
            file_environment=environment,
            span=entry.span,
            origins={
                "command": entry.command_span,
                "kind": entry.span,
                "listen": entry.span,
                "autostart": entry.span,
                "instances": entry.span,
            },
        )

    def check_command(self, entry: _Entry, line: ShellLine, environment: dict[str, Variable]) -> None:
        """An error for a quote that is not closed, a warning for each variable that nothing sets."""
        if not line.is_closed:
            hint = "close it: an entry is one line"
            self.problems.error(
                entry.command_span,
                "a quote in the command is not closed",
                code="procfile-command",
                hint=hint,
            )
        missing = [name for name in line.variables if name not in environment and name not in _GIVEN]
        if missing:
            several = len(missing) > 1
            listed = ", ".join(f"${name}" for name in missing)
            here = [name for name in missing if name in self.options.environ]
            hint = "put them into .env" if several else "put it into .env"
            hint += f" (your shell has {', '.join(here)}; systemd does not hand that on)" if here else ""
            message = f"{listed} {'are' if several else 'is'} not set in .env and so empty"
            self.problems.warning(entry.command_span, message, code="procfile-variable", hint=hint)

    def tell_count(self, entry: _Entry, count: int, *, is_task: bool) -> None:
        """What becomes of a count that is not 1."""
        if is_task:
            hint = "run it before the others are switched: systemctl restart UNIT"
            message = "release runs to completion when it is asked for, not with the others"
            self.problems.note(entry.span, message, code="procfile-release", hint=hint)
            if count > 1:
                message = f"the formation asks for {count} of release, which runs once"
                self.problems.warning(
                    entry.span, message, code="procfile-formation", hint="take it out of the formation"
                )
        elif count == 0:
            hint = "systemctl start UNIT starts it"
            message = f"{entry.name!r} is there but not started: the formation says 0"
            self.problems.note(entry.span, message, code="procfile-formation", hint=hint)
        elif count > 1:
            hint = "PM_NATIVE_INSTANCE has the number of the instance"
            message = f"PS={entry.name}.N is not set in the {count} instances"
            self.problems.note(entry.span, message, code="procfile-instances", hint=hint)

    def tell_ports(self, processes: tuple[Process, ...], source: Source) -> None:
        """One note with the port of each process: what is in front of them needs to know."""
        with_port = [process for process in processes if process.listen.port is not None]
        if not with_port:
            return
        listed = ", ".join(
            f"{process.name} {process.listen.port}" + (" and up" if process.is_pool else "")
            for process in with_port[:_PORTS_TOLD]
        )
        if len(with_port) > _PORTS_TOLD:
            listed += f", and so on in steps of {_PORT_STEP}"
        hint = "a program that does not read $PORT listens where it likes; a new entry goes last, or the ports move"
        self.problems.note(source.whole(), f"PORT is: {listed}", code="procfile-ports", hint=hint)


IMPORTER = ProcfileImporter()
