"""Event listeners: what each is for, by the program that it runs, and what does that without supervisord."""

from __future__ import annotations

import getopt
import re
import shlex
from dataclasses import dataclass, field, replace
from urllib.parse import quote, urlsplit

from pm_native.importers.common import literal_pattern
from pm_native.importers.supervisord.fields import LISTENER_KEYS
from pm_native.model.health import Check, Health, HttpProbe, MemoryProbe
from pm_native.model.project import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pm_native.errors import Diagnostics, Span
    from pm_native.importers.supervisord.program import Program
    from pm_native.importers.supervisord.values import Values
    from pm_native.model.health import Probe

_SIZE = re.compile(r"(\d{1,12})\s*([KMGT]?)B?", re.IGNORECASE)
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_TICK = re.compile(r"TICK_(\d{1,5})", re.IGNORECASE)
_USUAL_TICK_SEC = 60
_MAILERS = frozenset({"crashmail", "crashmailbatch", "fatalmailbatch", "crashsms"})
_PRINTERS = frozenset({"supervisor_stdout", "supervisor-stdout", "supervisor_logging", "supervisor-logging"})
_MEMMON_SHORT = "hcp:g:a:s:m:u:n:"
_MEMMON_LONG = ["help", "cumulative", "program=", "group=", "any=", "sendmail_program=", "email=", "uptime=", "name="]  # fmt: skip
_HTTPOK_SHORT = "hp:at:c:b:s:m:g:d:eEn:"
_HTTPOK_LONG = [
    *("help", "program=", "any", "timeout=", "code=", "body=", "sendmail_program=", "email=", "gcore="),
    *("coredir=", "eager", "not-eager", "name="),
]
_PATH_SAFE = "/%?:@!$&'()*+,;=~-._"
_HTTPOK_TIMEOUT_SEC, _HTTPOK_STATUS = 10, 200
# Longer ways to write what there is a letter for.
_LETTERS = {
    "--program": "-p", "--group": "-g", "--any": "-a", "--email": "-m", "--timeout": "-t", "--code": "-c", "--body": "-b",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What a listener asks of programs: `name` is a program's, a group's, or "" for all."""

    name: str
    is_group: bool = False
    probe: Probe
    interval_usec: int
    timeout_usec: int = 3 * SECOND
    span: Span


@dataclass(slots=True)
class ListenerReader:
    """Tells what becomes of each event listener; `watched` gets what memmon and httpok ask."""

    problems: Diagnostics
    watched: list[Watched] = field(default_factory=list)

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
        if program.startswith("python"):
            words = _script(words)
            program = words[0].rpartition("/")[2].removesuffix(".py").rpartition(".")[2]
        ticks = [int(match[1]) for event in events if (match := _TICK.fullmatch(event.strip()))]
        interval_usec = (min(filter(None, ticks), default=_USUAL_TICK_SEC)) * SECOND
        if program in _PRINTERS:
            message = f"{name}: {program} prints what programs write; the journal has it"
            self.problems.note(
                place, message, code="supervisord-listener", hint="journalctl -f -u 'PROJECT-*'"
            )
        elif program == "memmon":
            self._memmon(words[1:], interval_usec, values.place("command"))
        elif program in _MAILERS:
            message = f"{name}: {program} is no more told when a program ends"
            hint = "a unit that sends the mail, and OnFailure=THAT@%n.service in [Unit] of the programs: systemctl edit UNIT"
            self.problems.warning(place, message, code="supervisord-listener", hint=hint, lost=True)
        elif program == "httpok":
            self._httpok(words[1:], interval_usec, values.place("command"))
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

    def _options(  # noqa: PLR0913, PLR0917 - a program's options, and where they stand
        self, program: str, arguments: list[str], short: str, long: list[str], usage: str, place: Span
    ) -> tuple[list[tuple[str, str]], list[str]]:
        """The options of a listener by their letters, and the words behind them; none after a warning."""
        try:
            options, rest = getopt.getopt(arguments, short, long)
        except getopt.GetoptError as error:
            self._lost(place, f"{program}: {error.msg}", usage)
            return [], []
        found = [(_LETTERS.get(option, option), text) for option, text in options]
        for _, address in (item for item in found if item[0] == "-m"):
            hint = "a unit that sends the mail, and OnFailure=THAT@%n.service in [Unit] of the programs"
            self._lost(place, f"{program}: nobody writes to {address}", hint)
        return found, rest

    def _lost(self, place: Span, message: str, hint: str) -> None:
        self.problems.warning(place, message, code="supervisord-listener", hint=hint, lost=True)

    def _memmon(self, arguments: list[str], interval_usec: int, place: Span) -> None:
        usage = "memmon -p PROGRAM=200MB, -g GROUP=200MB or -a 200MB"
        options, _ = self._options("memmon", arguments, _MEMMON_SHORT, _MEMMON_LONG, usage, place)
        for option, text in options:
            if option not in {"-p", "-g", "-a"}:
                continue
            name, _, size = ("", "", text) if option == "-a" else text.partition("=")
            match = _SIZE.fullmatch(size.strip())
            if match is None:
                self._lost(place, f"memmon: {size!r} is no size", "bytes, or with KB, MB, GB")
                continue
            probe = MemoryProbe(limit_bytes=int(match[1]) * _UNITS[match[2].upper()])
            is_group = option == "-g"
            self.watched.append(
                Watched(name=name, is_group=is_group, probe=probe, interval_usec=interval_usec, span=place)
            )
        is_main_alone = options and not any(option in {"-c", "--cumulative"} for option, _ in options)
        if is_main_alone:
            message = (
                "memmon's limits count the children of a program too, without files that are only cached"
            )
            hint = "raise them where programs have children; memmon -c has counted them, too"
            self.problems.note(place, message, code="supervisord-memmon", hint=hint)

    def _httpok(self, arguments: list[str], interval_usec: int, place: Span) -> None:
        usage = "httpok -p PROGRAM [-t SECONDS] [-c STATUS] [-b TEXT] URL"
        options, rest = self._options("httpok", arguments, _HTTPOK_SHORT, _HTTPOK_LONG, usage, place)
        given = dict(options)
        names = [text for option, text in options if option == "-p"]
        probe = _http_probe(rest[0] if rest else "", given)
        if probe is None or not (names or "-a" in given):
            if options or rest or not arguments:
                self._lost(place, "httpok: what it asks of which program cannot be read", usage)
            return
        seconds = int(given["-t"]) if given.get("-t", "").isdecimal() and len(given["-t"]) < 6 else 0
        timeout_usec = min((seconds or _HTTPOK_TIMEOUT_SEC) * SECOND, interval_usec)
        if "-d" in given or "--coredir" in given:
            self._lost(place, "httpok: no core is kept of what hangs", "gcore(1), by hand")
        for name in [""] if "-a" in given else names:
            self.watched.append(
                Watched(
                    name=name,
                    probe=probe,
                    interval_usec=interval_usec,
                    timeout_usec=timeout_usec,
                    span=place,
                )
            )

    def with_health(self, programs: Sequence[Program]) -> list[Program]:
        """The programs with the checks that listeners made of them; a warning for what names none of them."""
        processes = {name for program in programs for name in _names(program)}
        groups = {_group(program) for program in programs}
        for item in self.watched:
            known = groups if item.is_group else processes
            if item.name and item.name not in known and not self.problems.has_errors:
                what = "group" if item.is_group else "process"
                shown = ", ".join(sorted(name for name in known if ":" not in name))
                message = (
                    f"no {what} is called {item.name!r}: the listener does nothing under supervisord either"
                )
                self._lost(item.span, message, f"there are: {shown}")
        return [self._with_health(program) for program in programs]

    def _with_health(self, program: Program) -> Program:
        """The program with its check: of memory its own before its group's, that before the one of all."""
        asked = [item for item in self.watched if not item.is_group and item.name in _names(program)]
        asked += [item for item in self.watched if item.is_group and item.name == _group(program)]
        asked += [item for item in self.watched if not item.name]
        memory = [item for item in asked if isinstance(item.probe, MemoryProbe) and item.probe.limit_bytes]
        chosen = [*memory[:1], *(item for item in asked if not isinstance(item.probe, MemoryProbe))]
        if not chosen:
            return program
        check = Check(
            probes=tuple(dict.fromkeys(item.probe for item in chosen)),
            interval_usec=min(item.interval_usec for item in chosen),
            timeout_usec=max(item.timeout_usec for item in chosen),
            retries=1,
            span=chosen[0].span,
        )
        process = program.process
        origins = {**process.origins, "health": check.span}
        return replace(program, process=replace(process, health=Health(alive=check), origins=origins))


def _script(words: list[str]) -> list[str]:
    """What Python runs, a script or a module, and its arguments."""
    rest = words[1:]
    while rest and rest[0].startswith("-") and rest[0] not in {"-c", "-m"}:
        rest = rest[1:]
    return rest[1:] if len(rest) > 1 and rest[0] == "-m" else rest or words


def _names(program: Program) -> set[str]:
    """What listeners call the processes of a program: by itself, or with its group."""
    return {name for full in program.namespecs for name in (full, full.partition(":")[2])}


def _group(program: Program) -> str:
    return program.namespecs[0].partition(":")[0]


def _http_probe(url: str, options: dict[str, str]) -> HttpProbe | None:
    """What httpok asks for; None where that makes no sense."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    status = options.get("-c", str(_HTTPOK_STATUS))
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return None
    if not re.fullmatch(r"[1-5]\d\d", status):
        return None
    is_tls = parts.scheme == "https"
    path = quote(parts.path or "/", safe=_PATH_SAFE)
    path += f"?{quote(parts.query, safe=_PATH_SAFE)}" if parts.query else ""
    return HttpProbe(
        path=path,
        host="127.0.0.1" if parts.hostname == "localhost" else parts.hostname,
        port=port or (443 if is_tls else 80),
        tls=is_tls,
        status=((int(status), int(status)),),
        body=literal_pattern(options["-b"]) if options.get("-b") else None,
    )
