"""Procfile, with the `.env` beside it and a formation: foreman's, honcho's and overmind's format.

Where these tools differ, `--dialect` says whose it is; honcho's way is taken where it does not. Every exit leads to a
restart, as in the units that foreman and honcho export.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path, PurePosixPath

from pm_native.errors import Span
from pm_native.importers.common import are_too_many
from pm_native.importers.files import Files
from pm_native.importers.procfile.entries import read_entries
from pm_native.importers.procfile.fields import FIELDS
from pm_native.importers.procfile.ports import INSTANCES_MAX, Ports
from pm_native.importers.procfile.tools import DEFAULT, TOOLS, read_settings
from pm_native.importers.shell import expanded_part, read_shell_line
from pm_native.model.names import is_name, nearest_name
from pm_native.model.project import (
    SECOND,
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

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pm_native.errors import Diagnostics, Source
    from pm_native.importers.base import Field, ImportOptions
    from pm_native.importers.detect import Contents
    from pm_native.importers.procfile.entries import Entry
    from pm_native.importers.procfile.tools import Tool
    from pm_native.importers.shell import ShellLine

_FOREMAN_KEY = re.compile(r"\s*(?P<key>formation|concurrency|port)\s*:\s*(?P<value>\S.*)")
_PORTS_TOLD = 12
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


@dataclass(slots=True)
class ProcfileImporter:
    """Reads a Procfile."""

    name: str = "procfile"
    title: str = "Procfile"
    file_names: tuple[str, ...] = ("Procfile",)

    def recognises(self, path: Path) -> bool:
        """Whether the file is a Procfile by its name: `Procfile`, `Procfile.dev`, `dev.Procfile`."""
        name = path.name
        is_usual = name == "Procfile" or (name.startswith("Procfile.") and path.suffix != ".lock")
        return is_usual or path.suffix == ".Procfile"

    def claims(self, contents: Contents) -> str:
        """A text without a suffix of another format, all of whose lines are entries."""
        lines = [
            line for line in contents.text.split("\n") if line.strip() and not line.lstrip().startswith("#")
        ]
        if (
            contents.kind != "text"
            or not lines
            or not all(DEFAULT.entry.fullmatch(line.rstrip()) for line in lines)
        ):
            return ""
        return "each line is `name: command`"

    def fields(self) -> tuple[Field, ...]:
        """What a Procfile, its `.env` and its tools' settings can say."""
        return FIELDS

    def load(self, path: Path, name: str, options: ImportOptions, problems: Diagnostics) -> Project | None:
        """The project in the Procfile at `path`, called `name` in diagnostics; None after adding an error."""
        tool = TOOLS.get(options.dialect or "", DEFAULT)
        files = Files(path, name, problems)
        reader = _Reader(tool, files, options, problems)
        source = files.read(files.path)
        if source is None:
            return None
        entries = read_entries(source, tool, problems)
        if entries is None:
            return None
        if not entries:
            hint = "one process a line: web: bin/server --port $PORT"
            problems.error(
                source.whole(), "there is no process in this file", code="procfile-empty", hint=hint
            )
            return None
        if are_too_many(len(entries), source.whole(), problems):
            return None
        environment = reader.environment()
        reader.check_other_tools()
        counts = reader.counts(entries, source)
        ports = Ports(tool, reader.settings, files, problems)
        ports.find_base(options.base_port, environment, source)
        environment.pop("PORT", None)
        first_ports = ports.assign(counts, {entry.name: entry.span for entry in reversed(entries)})
        processes = reader.processes(entries, counts, first_ports, environment)
        reader.tell_ports(processes, source)
        lock = ports.lock({entry.name: first_ports[entry.name] for entry in entries})
        return Project(
            name=options.project_name or nearest_name(files.directory.name),
            source_path=str(files.path),
            directory=PurePosixPath(files.directory),
            processes=processes,
            sources=tuple(files.sources),
            lock=lock,
            span=source.whole(),
        )


class _Reader:
    """Reads what belongs to one Procfile; `sources` gets each file that was read."""

    def __init__(self, tool: Tool, files: Files, options: ImportOptions, problems: Diagnostics) -> None:
        self.tool = tool
        self.files = files
        self.options = options
        self.problems = problems
        self.settings = read_settings(tool, files, options.environ, problems)
        self.directory = Path(PurePosixPath(files.directory) / self.settings.root)

    def environment(self) -> dict[str, Variable]:
        """The variables of the environment files, by the rules of the dialect."""
        from pm_native.syntax import Dialect  # noqa: PLC0415 - loaded on first use

        found: dict[str, Variable] = {}
        for name in self.settings.environment_files:
            found |= self.files.environment(self.files.directory / name, Dialect(self.tool.name))
        return {key: item for key, item in found.items() if not key.startswith("OVERMIND_")}

    def check_other_tools(self) -> None:
        """A warning where another tool's own settings say something that is not read."""
        for tool in TOOLS.values():
            path = self.files.directory / tool.settings
            if tool is self.tool or not tool.settings or not path.is_file():
                continue
            if tool.name == "foreman":
                self._check_foreman(path)
            else:
                source = self.files.read(path, is_environment=True)
                if source is not None:
                    hint = "if the Procfile is overmind's: --dialect overmind"
                    self.problems.warning(
                        source.whole(),
                        "overmind's settings are not read",
                        code="procfile-dialect",
                        hint=hint,
                    )

    def _check_foreman(self, path: Path) -> None:
        source = self.files.read(path, is_environment=True)
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
            hint += "; or, if the Procfile is foreman's: --dialect foreman"
            self.problems.warning(span, message, code="procfile-foreman", hint=hint)

    def counts(self, entries: list[Entry], source: Source) -> dict[str, int]:
        """How many of each entry run; 1 where the formation does not say."""
        names = [entry.name for entry in entries]
        formation = dict(self.options.formation or self.settings.formation)
        others = self.tool.others if formation else 1
        counts = dict.fromkeys(names, formation.pop("all", others) if "all" not in names else others)
        for name, count in formation.items():
            if name not in counts:
                close = get_close_matches(name, names, n=1)
                hint = f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(names)}"
                message = f"the formation names {name!r}, which is no entry of this Procfile"
                self.problems.error(source.whole(), message, code="procfile-formation", hint=hint)
            counts[name] = count
        for entry in entries:
            count = counts[entry.name]
            if not 0 <= count <= INSTANCES_MAX:
                message = f"the formation asks for {count} of {entry.name!r}"
                hint = f"from 0 to {INSTANCES_MAX}: the next entry's ports begin {self.settings.port_step} higher"
                self.problems.error(entry.span, message, code="procfile-formation", hint=hint)
                counts[entry.name] = 1
        return counts

    def processes(
        self,
        entries: list[Entry],
        counts: dict[str, int],
        ports: dict[str, int | None],
        environment: dict[str, Variable],
    ) -> tuple[Process, ...]:
        """A process for each entry; an error for a name that occurs twice."""
        found: dict[str, Process] = {}
        self.siblings = self._siblings(ports, entries) if self.tool.name == "overmind" else {}
        for entry in entries:
            name = self.name(entry)
            if name in found:
                hint = f"the first is at {found[name].span.where}: rename one"
                message = f"a second entry named {name!r}"
                self.problems.error(entry.span, message, code="duplicate-name", hint=hint)
                continue
            found[name] = self.process(entry, name, counts[entry.name], ports[entry.name], environment)
        return tuple(found.values())

    def _siblings(self, ports: dict[str, int | None], entries: list[Entry]) -> dict[str, Variable]:
        """The ports of all entries, as overmind tells them to each."""
        spans = {entry.name: entry.span for entry in entries}
        return {
            f"OVERMIND_PROCESS_{re.sub(r'[^A-Za-z0-9]', '_', name)}_PORT": Variable(
                value=str(port), span=spans[name]
            )
            for name, port in ports.items()
            if port is not None
        }

    def name(self, entry: Entry) -> str:
        """The name of the process: the entry's, made valid."""
        name = entry.name if is_name(entry.name) else nearest_name(entry.name)
        if name != entry.name:
            hint = "unit names begin with a letter or a digit and are not too long: rename the entry"
            message = f"{entry.name!r} is called {name!r} here"
            self.problems.note(entry.span, message, code="procfile-name", hint=hint)
        return name

    def process(
        self, entry: Entry, name: str, count: int, port: int | None, environment: dict[str, Variable]
    ) -> Process:
        """One entry."""
        line = read_shell_line(entry.command)
        self.check_command(entry, line, environment)
        is_task = entry.name == "release"
        is_pool = count > 1 and not is_task
        self.tell_count(entry, count, is_task=is_task)
        # A shell that stays in front of the program dies of the signal and lets it be killed: all get the signal.
        is_alone = line.is_direct and not self.tool.signals_group
        mode = StopMode.MIXED if is_alone else StopMode.GROUP
        told = dict(self.siblings)
        if not is_pool:
            value = self.tool.name_format.format(name=entry.name, number=1)
            told[self.tool.name_variable] = Variable(value=value, span=entry.span)
        variables = {key: item for key, item in told.items() if key not in environment}
        return Process(
            name=name,
            command=line.words,
            directory=PurePosixPath(self.directory),
            kind=ProcessKind.TASK if is_task else ProcessKind.SERVICE,
            instances=count if is_pool else None,
            listen=Listen(port=port),
            restart=self._restart(entry.name, is_task=is_task),
            stop=self._stop(entry.name, mode),
            autostart=not is_task and count > 0 and self._starts(entry.name),
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

    def _restart(self, name: str, *, is_task: bool) -> Restart:
        settings = self.settings
        can_die = settings.any_can_die or name in settings.can_die
        # What can die stays dead, also where overmind is told to restart it.
        return Restart(policy=RestartPolicy.NO) if is_task or can_die else Restart()

    def _stop(self, name: str, mode: StopMode) -> Stop:
        default = Stop()
        seconds = self.settings.timeout_sec
        return Stop(
            signal=self.settings.signals.get(name, self.tool.stop_signal),
            timeout_usec=default.timeout_usec if seconds is None else int(seconds * SECOND),
            mode=mode,
        )

    def _starts(self, name: str) -> bool:
        settings = self.settings
        return name not in settings.ignored and (not settings.only or name in settings.only)

    def _tell_filled_in(self, entry: Entry, environment: dict[str, Variable]) -> None:
        """A warning for each `$NAME` that the tool itself would replace, and no shell does."""
        text, expanded = entry.command, expanded_part(entry.command)
        names = [
            name
            for name in sorted({*environment, "PORT", self.tool.name_variable})
            if text.count(f"${name}") > len(re.findall(rf"\${re.escape(name)}(?!\w)", expanded))
        ]
        if names:
            listed = ", ".join(f"${name}" for name in names)
            message = f"{self.tool.name} fills in {listed} also in single quotes, behind a backslash and before other letters"
            hint = "here the shell alone does: write the value, or ${NAME} outside of single quotes"
            self.problems.warning(entry.command_span, message, code="procfile-filled-in", hint=hint)

    def check_command(self, entry: Entry, line: ShellLine, environment: dict[str, Variable]) -> None:
        """An error for a quote that is not closed, a warning for each variable that nothing sets."""
        if not line.is_closed:
            hint = "close it: an entry is one line"
            self.problems.error(
                entry.command_span,
                "a quote in the command is not closed",
                code="procfile-command",
                hint=hint,
            )
        if self.tool.fills_in:
            self._tell_filled_in(entry, environment)
        missing = [name for name in line.variables if name not in environment and name not in _GIVEN]
        if missing:
            several = len(missing) > 1
            listed = ", ".join(f"${name}" for name in missing)
            here = [name for name in missing if name in self.options.environ]
            hint = "put them into .env" if several else "put it into .env"
            hint += f" (your shell has {', '.join(here)}; systemd does not hand that on)" if here else ""
            message = f"{listed} {'are' if several else 'is'} not set in .env and so empty"
            self.problems.warning(entry.command_span, message, code="procfile-variable", hint=hint)

    def tell_count(self, entry: Entry, count: int, *, is_task: bool) -> None:
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
            told = self.tool.name_format.format(name=entry.name, number="N")
            message = f"{self.tool.name_variable}={told} is not set in the {count} instances"
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
            listed += f", and so on in steps of {self.settings.port_step}"
        hint = "a program that does not read $PORT listens where it likes"
        self.problems.note(source.whole(), f"PORT is: {listed}", code="procfile-ports", hint=hint)


IMPORTER = ProcfileImporter()
