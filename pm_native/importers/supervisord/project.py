"""The sections of supervisord.conf to a project."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from pm_native.importers.common import are_too_many
from pm_native.importers.ini import and_more, tell_rotation
from pm_native.importers.pool import in_order
from pm_native.importers.supervisord.environment import parse_environment
from pm_native.importers.supervisord.fields import DAEMON_KEYS, DAEMON_OWN_KEYS, GROUP_KEYS, is_section
from pm_native.importers.supervisord.listeners import ListenerReader
from pm_native.importers.supervisord.program import PRIORITY, Daemon, ProgramReader
from pm_native.importers.supervisord.values import Names, Values
from pm_native.model.names import nearest_name
from pm_native.model.project import Project

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

    from pm_native.errors import Diagnostics
    from pm_native.importers.base import ImportOptions
    from pm_native.importers.supervisord.files import Config
    from pm_native.importers.supervisord.program import Program
    from pm_native.model.project import Process
    from pm_native.syntax import IniSection

_CONTROL = frozenset({"unix_http_server", "supervisorctl", "rpcinterface:supervisor"})
_PROGRAM = re.compile(r"(?:fcgi-)?program:(.*)")
_DEFAULT_MINFDS = 1024
_GENERAL_FOLDERS = frozenset(
    {"etc", "supervisor", "supervisord", "conf.d", "supervisord.d", "supervisor.d", ""}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """A project, which of its processes are which of supervisord's, and the names of its event listeners."""

    project: Project
    namespecs: dict[str, tuple[str, ...]]
    listeners: frozenset[str]


class ProjectReader:
    """Reads the sections of one config."""

    def __init__(
        self,
        config: Config,
        path: Path,
        options: ImportOptions,
        problems: Diagnostics,
        started_in: Path | None,
    ) -> None:
        self.config = config
        self.path = path.absolute()
        self.options = options
        self.problems = problems
        self.used: set[str] = set()
        self.started_in = started_in
        self.daemon = self._daemon()

    def project(self) -> Imported | None:
        """The project; None after adding an error that leaves nothing of it."""
        config, options = self.config, self.options
        programs = self.programs()
        self.tell_sections()
        if not programs:
            if not self.problems.has_errors:
                hint = (
                    "a program is a section [program:NAME] with command=; includes are read where they are"
                )
                self.problems.error(
                    config.source.whole(),
                    "there is no program in this config",
                    code="supervisord-empty",
                    hint=hint,
                )
            return None
        if not self.problems.has_errors:
            self.tell_all(programs)
        processes = _ordered(programs, self.problems)
        project = Project(
            name=options.project_name or self.project_name(),
            source_path=str(self.path),
            directory=self.daemon.directory,
            processes=processes,
            sources=tuple(config.files),
            span=config.source.whole(),
        )
        return Imported(
            project=project,
            namespecs={program.process.name: program.namespecs for program in programs},
            listeners=frozenset(
                name.partition(":")[2] for name in config.sections if name.startswith("eventlistener:")
            ),
        )

    def project_name(self) -> str:
        """The daemon's identifier, else the name of the folder, else that of the file."""
        values = self.values("supervisord")
        if values is not None and (text := values.text("identifier")):
            return nearest_name(text)
        folder, stem = self.path.parent.name, self.path.stem
        if folder not in _GENERAL_FOLDERS:
            return nearest_name(folder)
        return "supervised" if stem in {"supervisord", "supervisor"} else nearest_name(stem)

    def values(self, name: str, **more: str | int) -> Values | None:
        """The section of this name; `more` is what its expansions can name besides the usual."""
        section = self.config.sections.get(name)
        if section is None:
            return None
        known: dict[str, str | int] = {
            "here": self.config.folders[name],
            "host_node_name": os.uname().nodename,
            **more,
        }
        return Values(section, self.problems, Names(known, self.environment(), self.used))

    def environment(self) -> dict[str, str]:
        """What `ENV_` names: the environment of this run, and `environment=` of `[supervisord]`."""
        own = self.daemon.variables if hasattr(self, "daemon") else {}
        return {**self.options.environ, **{name: item.value for name, item in own.items()}}

    def _daemon(self) -> Daemon:
        base = self.path.parent
        # As Debian starts it; elsewhere a supervisord runs where its config is.
        usual = PurePosixPath("/") if base.is_relative_to("/etc") else PurePosixPath(base)
        start = PurePosixPath(self.started_in) if self.started_in is not None else usual
        values = self.values("supervisord")
        if values is None:
            return Daemon(directory=start, environ=self.options.environ)
        values.tell_unknown(DAEMON_KEYS, "[supervisord]")
        entry, text = values.entry("environment"), values.text("environment")
        variables = parse_environment(entry, text, self.problems) if entry and text else {}
        folder = values.text("directory")
        user = (values.text("user") or "").strip()
        minfds = values.integer("minfds", _DEFAULT_MINFDS)
        if values.flag("strip_ansi", default=False):
            message = "strip_ansi: the journal keeps escape sequences"
            hint = "programs leave colours out where their output is no terminal; NO_COLOR=1 asks for it"
            self.problems.note(
                values.place("strip_ansi"), message, code="supervisord-lost", hint=hint, lost=True
            )
        own = [entry.key for entry in values.section.entries.values() if entry.key in DAEMON_OWN_KEYS]
        if own:
            message = f"supervisord's own settings have no meaning here: {', '.join(own)}"
            self.problems.note(values.section.span, message, code="supervisord-ignored", hint="they can go")
        return Daemon(
            directory=PurePosixPath(os.path.normpath(start / folder.strip())) if folder else start,
            environ=self.options.environ,
            variables=variables,
            user=user if user not in {"", "root", "0"} else None,
            user_span=values.place("user") if user not in {"", "root", "0"} else None,
            umask=values.octal("umask"),
            open_files=minfds if minfds > _DEFAULT_MINFDS else None,
        )

    def programs(self) -> list[Program]:
        """All programs, those of groups where the group stands."""
        sections = self.config.sections
        grouped: dict[str, list[str | None]] = {}
        found: list[Program] = []
        listeners = ListenerReader(self.problems)
        for section in sections.values():
            if section.name.startswith("group:"):
                self._group_members(section, grouped)
        for section in sections.values():
            if section.name.startswith("eventlistener:"):
                name = section.name.partition(":")[2]
                values = self.values(
                    section.name, program_name=name, group_name=name, process_num=0, numprocs=1
                )
                if values is not None:
                    listeners.read(values)
            elif match := _PROGRAM.fullmatch(section.name):
                if are_too_many(len(found) + 1, section.span, self.problems):
                    return []
                for group in grouped.get(
                    section.name, [None]
                ):  # each of its groups runs a program of its own
                    found += self._program(section, match[1].strip(), group)
        self.problems.items[:] = dict.fromkeys(self.problems.items)  # what holds in every group is told once
        return listeners.with_health(self._distinct(found))

    def _distinct(self, programs: list[Program]) -> list[Program]:
        """The programs, without those whose name another one has, which is an error."""
        found: dict[str, Program] = {}
        for program in programs:
            process = program.process
            first = found.setdefault(process.name, program)
            if first is not program:
                hint = f"rename one of them: the other is at {first.process.span}"
                message = f"a second program is called {process.name!r} here"
                self.problems.error(process.span, message, code="duplicate-name", hint=hint)
        return list(found.values())

    def _group_members(self, section: IniSection, grouped: dict[str, list[str | None]]) -> None:
        values = self.values(section.name)
        if values is None:
            return
        values.tell_unknown(GROUP_KEYS, "a group")
        name = section.name.partition(":")[2].strip()
        members = values.words("programs")
        if not members:
            self.problems.error(
                section.span, "a group without programs", code="supervisord-group", hint="programs=one,two"
            )
        for member in dict.fromkeys(members):
            known = [
                kind for kind in ("program", "fcgi-program") if f"{kind}:{member}" in self.config.sections
            ]
            if not known:
                message = f"the group names {member!r}, which is no program: supervisord does not start"
                hint = f"write [program:{member}], or take it out; includes are read where they are"
                self.problems.error(values.place("programs"), message, code="supervisord-group", hint=hint)
                continue
            grouped.setdefault(f"{known[0]}:{member}", []).append(name)
        hint = f"all of them: systemctl stop 'PROJECT-{name}-*'"
        message = f"group {name}: its processes are called {name}-PROGRAM, and there is no unit of the group itself"
        self.problems.note(section.span, message, code="supervisord-group", hint=hint)

    def _program(self, section: IniSection, name: str, group: str | None) -> list[Program]:
        values = self.values(section.name, program_name=name, group_name=group or name)
        if values is None:
            return []
        if not name or any(character in name for character in " :/"):
            message = f"supervisord takes no program of the name {name!r}"
            hint = "a name without blanks, colons and slashes"
            self.problems.error(section.span, message, code="bad-name", hint=hint)
            return []
        group_priority = None
        if group is not None:
            of_group = self.values(f"group:{group}")
            group_priority = of_group.integer("priority", PRIORITY) if of_group else PRIORITY
        return ProgramReader(values, self.daemon, name, group, self.problems).read(group_priority)

    def tell_sections(self) -> None:
        """What stands beside the programs."""
        control: list[IniSection] = []
        for section in self.config.sections.values():
            name = section.name
            if name == "inet_http_server":
                message = "the web page and XML-RPC of supervisord go away"
                hint = "pm-native status shows the processes, systemctl controls them, D-Bus is for programs"
                self.problems.warning(section.span, message, code="supervisord-lost", hint=hint, lost=True)
            elif name in _CONTROL:
                control.append(section)
            elif name.startswith(("rpcinterface:", "ctlplugin:")):
                message = f"[{name}] extends supervisord: it is left out"
                hint = "find out who uses it: systemctl, or systemd's D-Bus interface, take its place"
                self.problems.warning(section.span, message, code="supervisord-lost", hint=hint, lost=True)
            elif not is_section(name):
                message = f"supervisord has no section [{name}] and ignores it"
                hint = (
                    "[program:NAME], [group:NAME], [eventlistener:NAME], [supervisord], [include] and others"
                )
                self.problems.warning(section.span, message, code="supervisord-unknown-key", hint=hint)

        if control:
            names = ", ".join(f"[{section.name}]" for section in control)
            message = f"for supervisorctl alone, which has nothing to speak to here: {names}"
            hint = "systemctl takes its place"
            self.problems.note(control[0].span, message, code="supervisord-ignored", hint=hint)

    def tell_all(self, programs: list[Program]) -> None:
        """What holds for all programs: told once."""
        whole = self.config.source.whole()
        message = "systemd starts programs with a clean environment, standard input is empty, and there is no SUPERVISOR_ENABLED"
        hint = "supervisord hands on what it was started with, and a pipe: put what a program reads into environment="
        self.problems.note(whole, message, code="supervisord-environment", hint=hint)
        taken = sorted(self.used & self.options.environ.keys() - self.daemon.variables.keys())
        if taken and self.started_in is None:
            message = f"taken from the environment of this run, and fixed by it: {', '.join(taken)}"
            hint = "they must have the values that supervisord was started with"
            self.problems.note(whole, message, code="supervisord-environment", hint=hint)
        rotated = (path for program in programs for path in program.rotates)
        tell_rotation(rotated, whole, self.problems, code="supervisord-rotation", keys="*_logfile")
        without = [program.process.name for program in programs if not program.has_directory]
        if without and self.started_in is None:
            message = (
                f"no directory=, so {self.daemon.directory} is the working directory: {and_more(without)}"
            )
            hint = (
                "supervisord leaves a program in the folder that it was itself started in: write directory="
            )
            self.problems.note(whole, message, code="supervisord-directory", hint=hint)
        if any(program.has_start_time for program in programs):
            message = "a program counts as up once it runs, not after startsecs; an exit within them that is expected stays down"
            hint = "startsecs and startretries still decide when it is given up: systemctl reset-failed UNIT, then start"
            self.problems.note(whole, message, code="supervisord-startsecs", hint=hint)


def _ordered(programs: list[Program], problems: Diagnostics) -> tuple[Process, ...]:
    """The processes, each with those of the priority before as what must have started."""
    processes, place = in_order(
        (
            program.process,
            program.priority,
            program.process.origins.get("depends_on", program.process.span),
        )
        for program in programs
    )
    if place is not None:
        message = "priority: a program starts behind those of the priority before, and its own start asks for theirs"
        hint = "leave priority out where the order does not matter"
        problems.note(place, message, code="supervisord-priority", hint=hint)
    return tuple(processes)
