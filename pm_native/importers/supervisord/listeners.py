"""Event listeners: what each is for, by the program that it runs, and what does that without supervisord."""

from __future__ import annotations

import getopt
import re
import shlex
from dataclasses import dataclass, replace

from pm_native.importers.supervisord.fields import LISTENER_KEYS
from pm_native.model.project import PassThrough

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pm_native.errors import Diagnostics, Span
    from pm_native.importers.supervisord.program import Program
    from pm_native.importers.supervisord.values import Values

_SIZE = re.compile(r"(\d{1,12})\s*([KMGT]?)B?", re.IGNORECASE)
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_MAILERS = frozenset({"crashmail", "crashmailbatch", "fatalmailbatch", "crashsms"})
_PRINTERS = frozenset({"supervisor_stdout", "supervisor-stdout", "supervisor_logging", "supervisor-logging"})
_MEMMON_SHORT = "hcp:g:a:s:m:u:n:"
_MEMMON_LONG = [
    "help",
    "cumulative",
    "program=",
    "group=",
    "any=",
    "sendmail_program=",
    "email=",
    "uptime=",
    "name=",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryLimit:
    """What memmon watches: `name` is a program's, a group's, or "" for all."""

    name: str
    is_group: bool
    size: int
    span: Span


class ListenerReader:
    """Tells what becomes of each event listener; `limits` gets what memmon watches."""

    def __init__(self, problems: Diagnostics) -> None:
        self.problems = problems
        self.limits: list[MemoryLimit] = []
        self.limited_names: list[str] = []

    def read(self, values: Values) -> None:
        """One `[eventlistener:x]`."""
        values.tell_unknown(LISTENER_KEYS, "an event listener")
        place = values.section.span
        command = values.text("command")
        events = values.words("events")
        try:
            words = shlex.split(command or "")
        except ValueError:
            words = (command or "").split()
        program = words[0].rpartition("/")[2] if words else ""
        name = values.section.name.partition(":")[2]
        if program.startswith("python") and len(words) > 1:
            program = words[1].rpartition("/")[2].removesuffix(".py")
        if program in _PRINTERS:
            message = f"{name}: {program} prints what programs write; the journal has it"
            self.problems.note(
                place, message, code="supervisord-listener", hint="journalctl -f -u 'PROJECT-*'"
            )
        elif program == "memmon":
            self._memmon(words[1:], values)
        elif program in _MAILERS:
            message = f"{name}: {program} is no more told when a program ends"
            hint = "a unit that sends the mail, and OnFailure=THAT@%n.service in [Unit] of the programs: systemctl edit UNIT"
            self.problems.warning(place, message, code="supervisord-listener", hint=hint, lost=True)
        elif program == "httpok":
            message = f"{name}: httpok asks no web server any more"
            hint = "a health check does: `health` in the native config"
            self.problems.warning(place, message, code="supervisord-listener", hint=hint, lost=True)
        else:
            self._other(name, program, events, place)

    def _other(self, name: str, program: str, events: tuple[str, ...], place: Span) -> None:
        states = {event.upper() for event in events}
        message = f"{name}: {program or 'the program'} gets no events, and is left out"
        if any(event.startswith("TICK_") for event in states):
            hint = "what it does each time is a task with a schedule: a script, and OnCalendar= or OnUnitActiveSec="
        elif states and all(event.startswith("PROCESS_STATE") for event in states):
            hint = "a unit that does the same, and OnFailure=THAT.service in [Unit] of the programs; to end the host "
            hint += "with a failed program, FailureAction=exit: systemctl edit UNIT"
        elif any(event.startswith("PROCESS_LOG") for event in states):
            hint = "let it read the journal: journalctl -f -o json -u 'PROJECT-*'"
        else:
            hint = "systemd tells such things over D-Bus: JobRemoved, PropertiesChanged (org.freedesktop.systemd1(5))"
        self.problems.warning(place, message, code="supervisord-listener", hint=hint, lost=True)

    def _memmon(self, arguments: list[str], values: Values) -> None:
        place = values.place("command")
        try:
            options, _ = getopt.getopt(arguments, _MEMMON_SHORT, _MEMMON_LONG)
        except getopt.GetoptError as error:
            hint = "memmon -p PROGRAM=200MB, -g GROUP=200MB or -a 200MB"
            self.problems.warning(
                place, f"memmon: {error.msg}", code="supervisord-listener", hint=hint, lost=True
            )
            return
        for option, text in options:
            if option in {"-m", "--email"}:
                message = f"memmon: nobody writes to {text}"
                hint = "a unit that sends the mail, and OnFailure=THAT@%n.service in [Unit] of the programs"
                self.problems.warning(place, message, code="supervisord-listener", hint=hint, lost=True)
            if option not in {"-p", "--program", "-g", "--group", "-a", "--any"}:
                continue
            is_any = option in {"-a", "--any"}
            name, _, size = ("", "", text) if is_any else text.partition("=")
            match = _SIZE.fullmatch(size.strip())
            if match is None:
                hint = "bytes, or with KB, MB, GB"
                self.problems.warning(
                    place, f"memmon: {size!r} is no size", code="supervisord-listener", hint=hint, lost=True
                )
                continue
            self.limits.append(
                MemoryLimit(
                    name=name,
                    is_group=option in {"-g", "--group"},
                    size=int(match[1]) * _UNITS[match[2].upper()],
                    span=place,
                )
            )

    def limited(self, program: Program) -> Program:
        """The program with the limit that memmon kept; its own before its group's, that before the one of all."""
        group = program.namespecs[0].partition(":")[0]
        names = {namespec for full in program.namespecs for namespec in (full, full.partition(":")[2])}
        for level in (
            [item for item in self.limits if item.name in names and item.name and not item.is_group],
            [item for item in self.limits if item.is_group and item.name == group],
            [item for item in self.limits if not item.name],
        ):
            if level and level[0].size:
                return self._with(program, level[0])
        return program

    def _with(self, program: Program, limit: MemoryLimit) -> Program:
        process = program.process
        self.limited_names.append(process.name)
        setting = PassThrough(
            section="Service", name="MemoryMax", values=(str(limit.size),), span=limit.span
        )
        return replace(program, process=replace(process, systemd=(*process.systemd, setting)))

    def tell_limited(self) -> None:
        """One warning for all that memmon watches."""
        if self.limited_names:
            message = (
                f"memmon's limits become hard ones (MemoryMax=) of {', '.join(self.limited_names)}: the kernel kills "
                "at once, without a graceful stop, and children and page cache count"
            )
            hint = "leave room above what memmon was told; the restart policy starts them again"
            self.problems.warning(self.limits[0].span, message, code="supervisord-memmon", hint=hint)
