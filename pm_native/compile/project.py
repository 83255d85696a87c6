"""A project to the units that run it: pure, the same input gives the same bytes."""

from __future__ import annotations

from dataclasses import dataclass

from pm_native.compile import ipc, monitor, service
from pm_native.compile.bundle import Bundle, BundleUnit, FileKind, LogDirectory, bundle_file
from pm_native.compile.check import check_project, has_unit_names, report_missing
from pm_native.compile.command import counted_command, resolved_command
from pm_native.compile.environment import (
    check_environment,
    environment_file_name,
    environment_file_text,
    in_file,
)
from pm_native.compile.health import MONITOR_BYTES, MONITOR_TASKS, monitor_count
from pm_native.compile.health_check import check_health
from pm_native.compile.listen import socket_service_settings, socket_settings
from pm_native.compile.names import (
    main_unit,
    plain_path,
    process_slice,
    project_slice,
    project_target,
    service_name,
    socket_name,
    socket_service_name,
    wanted_unit,
    watch_name,
)
from pm_native.compile.passthrough import check_pass_through, pass_through
from pm_native.compile.run import run_words
from pm_native.compile.runs import instance_units, process_runs, watcher_run
from pm_native.compile.sandbox import check_sandbox, sandbox_settings
from pm_native.compile.secrets import check_secrets, secret_settings
from pm_native.compile.unit_file import CompiledUnit, render_compiled
from pm_native.compile.watch import check_watch, wants_watcher, watch_sections
from pm_native.errors import NOWHERE
from pm_native.model.quantity import format_percent, format_size
from pm_native.unit import directive as d
from pm_native.unit.file import Setting
from pm_native.unit.name import Scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pm_native.compile.bundle import BundleFile
    from pm_native.compile.options import CompileOptions
    from pm_native.errors import Diagnostics, Span
    from pm_native.model.project import Ipc, Process, Project
    from pm_native.unit.file import Text
    from pm_native.unit.name import UnitName

BOOT_TARGETS = {Scope.SYSTEM: "multi-user.target", Scope.USER: "default.target"}


@dataclass(frozen=True, slots=True)
class CompiledProcess:
    """All that one process (None: the project as a whole) becomes."""

    process: Process | None
    units: tuple[CompiledUnit, ...]
    runs: tuple[BundleUnit, ...]
    environment_file: BundleFile | None = None
    directories: tuple[LogDirectory, ...] = ()


class Compiler:
    """Compiles one project; problems are added to `problems`."""

    def __init__(self, project: Project, options: CompileOptions, problems: Diagnostics) -> None:
        self.project = project
        self.options = options
        self.problems = problems
        self._nameable = [process for process in project.processes if has_unit_names(project, process)]
        self.main_units: Mapping[str, str] = {
            process.name: str(main_unit(project, process)) for process in self._nameable
        }
        self._ready = service.ready_units(project, self._nameable)

    def compile(self) -> Iterator[CompiledProcess]:
        """The project's own units, then those of each process in the order of the source."""
        check_project(self.project, self.options, self.problems)
        ipc.check_ipc(self.project, self.options, self.problems)
        monitor.check_monitor(self.project, self.options, self.problems)
        if self._nameable and len(self._nameable) == len(self.project.processes):
            yield self.compile_top()
            if self.project.ipc is not None:
                yield self.compile_ipc(self.project.ipc)
            if monitor.hosted(self.project):
                yield self.compile_monitor()
        for process in self._nameable:
            yield self.compile_process(process)

    def compile_top(self) -> CompiledProcess:
        """The target of everything, and the slice around it."""
        project = self.project
        target, top_slice = project_target(project), project_slice(project)
        wants = tuple(
            Setting(
                d.WANTS,
                (str(wanted_unit(project, process)),),
                origin=process.origin("autostart"),
                why="autostart",
            )
            for process in project.processes
            if process.autostart
        )
        boot = Setting(d.WANTED_BY, (BOOT_TARGETS[self.options.scope],), why="starts at boot")
        units = (
            self.unit(
                target, {"Unit": [*self._about(project.name), *wants], "Install": [boot]}, project.span
            ),
            self.unit(top_slice, {"Unit": self._about(project.name)}, project.span),
        )
        members = tuple(
            str(wanted_unit(project, process)) for process in project.processes if process.autostart
        )
        slice_unit = BundleUnit(str(top_slice), str(top_slice), start=False)
        return CompiledProcess(
            None, units, (slice_unit, BundleUnit(str(target), str(target), after=members))
        )

    def compile_ipc(self, wanted: Ipc) -> CompiledProcess:
        """The broker of the project's messages: its units where no package has them, and its rules."""
        project, options = self.project, self.options
        socket, broker = ipc.socket_name(project), ipc.broker_name(project)
        packaged = ipc.is_packaged(options)
        units = tuple(
            self.unit(name, ipc.broker_sections(project, name, options), wanted.span)
            for name in (() if packaged else (socket, broker))
        )
        rules = ipc.rules_file_name(project)
        runs = (
            BundleUnit(str(socket), str(socket.template if packaged else socket), where=wanted.span.where),
            BundleUnit(
                str(broker),
                str(broker.template if packaged else broker),
                where=wanted.span.where,
                start=False,  # the socket starts it
                after=(str(socket),),
                files=(rules,),
            ),
        )
        text = environment_file_text(ipc.rules(project, options))
        return CompiledProcess(None, units, runs, bundle_file(FileKind.ENVIRONMENT, rules, text))

    def compile_monitor(self) -> CompiledProcess:
        """The monitor of all programs of the project, and the socket by which it hears of starts."""
        project = self.project
        socket, service_unit = monitor.socket_name(project), monitor.monitor_name(project)
        units = tuple(
            self.unit(
                name,
                monitor.monitor_sections(project, name, self.options, self.problems),
                project.monitor_span,
            )
            for name in (socket, service_unit)
        )
        where = project.monitor_span.where
        runs = (
            BundleUnit(str(socket), str(socket), where=where),
            BundleUnit(str(service_unit), str(service_unit), where=where, after=(str(socket),)),
        )
        return CompiledProcess(None, units, runs)

    def _about(self, text: str) -> list[Setting]:
        return [Setting(d.DESCRIPTION, (text,), why="made from the names")]

    def compile_process(self, process: Process) -> CompiledProcess:
        """The service or template of one process, and the units around it."""
        project, options, problems = self.project, self.options, self.problems
        check_environment(process, problems)
        check_health(project, process, options, problems)
        command, extra_path = resolved_command(process, options, problems)
        started = (*run_words(project, process, options, problems), *counted_command(process, command))
        self._check_directory(process)
        sections = {
            "Unit": [
                *service.unit_settings(project, process, self.main_units),
                *(() if process.is_pool else wants_watcher(project, process)),
                *service.ordering_settings(options),
                *service.start_limit_settings(process),
            ],
            "Service": [
                *service.service_settings(project, process, started, extra_path, self._ready, options),
                *service.restart_settings(process, options, problems),
                *service.stop_settings(process),
            ],
        }
        check_sandbox(process, options, problems)
        check_secrets(process, options, problems)
        check_watch(process, options, problems)
        sections["Service"] += secret_settings(process)
        sections["Service"] += sandbox_settings(process, exec_words(sections["Service"]), options)
        around = [
            *self._slice(process),
            *self._timer(process),
            *self._socket(process),
            *self._pool_target(process),
            *self._watcher(process),
        ]
        allowed = {"Unit": 0, "Service": 0, "Install": 0} | {
            name: 0 for unit in around for name, _ in unit.sections
        }
        allowed["Slice"] = 0
        check_pass_through(process, allowed, problems)
        pass_through(process, sections, ("Unit", "Service", "Install"), options, problems)
        main = self.unit(service_name(project, process), sections, process.span)
        variables = in_file(process, extra_path)
        environment_file = None
        if variables:
            name = environment_file_name(project, process)
            environment_file = bundle_file(FileKind.ENVIRONMENT, name, environment_file_text(variables))
        return CompiledProcess(
            process,
            (main, *around),
            (
                *process_runs(project, process, options, self.main_units, environment_file),
                *watcher_run(project, process),
            ),
            environment_file,
            tuple(self._directories(process)),
        )

    def _check_directory(self, process: Process) -> None:
        directory = plain_path(process.directory)
        if not self.options.host.is_directory(directory):
            report_missing(
                process.origin("directory") if process.origin("directory") is not NOWHERE else process.span,
                f"there is no folder {directory} on this host",
                code="directory-missing",
                hint="make it, or set `directory`",
                options=self.options,
                problems=self.problems,
            )

    def _slice(self, process: Process) -> Iterator[CompiledUnit]:
        """The file of the slice, where it has limits: systemd makes the slice itself without one."""
        limits = process.limits
        monitors = monitor_count(self.project, process, self.options)
        settings: list[Setting] = []
        if limits.memory_bytes is not None:
            size = format_size(limits.memory_bytes + monitors * MONITOR_BYTES)
            settings.append(Setting(d.MEMORY_MAX, (size,), origin=process.origin("limits.memory")))
        if limits.cpu_permyriad is not None:
            settings.append(
                Setting(
                    d.CPU_QUOTA, (format_percent(limits.cpu_permyriad),), origin=process.origin("limits.cpu")
                )
            )
        if limits.tasks is not None:
            tasks = str(limits.tasks + monitors * MONITOR_TASKS)
            settings.append(Setting(d.TASKS_MAX, (tasks,), origin=process.origin("limits.tasks")))
        sections = {"Slice": settings}
        pass_through(process, sections, ("Slice",), self.options, self.problems)
        if sections["Slice"]:
            about = self._about(f"{self.project.name} {process.name}, limits")
            yield self.unit(process_slice(self.project, process), {"Unit": about, **sections}, process.span)

    def _timer(self, process: Process) -> Iterator[CompiledUnit]:
        if process.schedule:
            target = project_target(self.project)
            about = self._about(f"{self.project.name} {process.name}, schedule")
            about.append(Setting(d.PART_OF, (str(target),), why=f"stops and restarts with {target}"))
            sections = {"Unit": about, "Timer": [*service.timer_settings(self.project, process)]}
            pass_through(process, sections, ("Timer",), self.options, self.problems)
            yield self.unit(wanted_unit(self.project, process), sections, process.span)

    def _socket(self, process: Process) -> Iterator[CompiledUnit]:
        """The socket that all instances share, and the service that it has to name."""
        if process.listen.share:
            project = self.project
            owner = main_unit(project, process) if process.is_pool else project_target(project)
            about = self._about(f"{project.name} {process.name}, shared listener")
            about.append(Setting(d.PART_OF, (str(owner),), why=f"stops and restarts with {owner}"))
            sections = {"Unit": about, "Socket": [*socket_settings(project, process)]}
            pass_through(process, sections, ("Socket",), self.options, self.problems)
            yield self.unit(socket_name(project, process), sections, process.span)
            behind = socket_service_settings(project, process)
            behind["Unit"] = [
                *self._about(f"{project.name} {process.name}, behind its socket"),
                *behind["Unit"],
            ]
            yield self.unit(socket_service_name(project, process), behind, process.span)

    def _pool_target(self, process: Process) -> Iterator[CompiledUnit]:
        """The target of a pool, which wants its instances."""
        if process.is_pool:
            owner = project_target(self.project)
            settings = self._about(f"{self.project.name} {process.name}, all instances")
            settings.append(Setting(d.PART_OF, (str(owner),), why=f"stops and restarts with {owner}"))
            # Else systemd orders it after what it is part of, if it is loaded first: a cycle with what depends on it.
            settings.append(
                Setting(d.BEFORE, (str(owner),), why=f"{owner} is reached with all that it wants")
            )
            if process.listen.share:
                socket = str(socket_name(self.project, process))
                settings.append(Setting(d.WANTS, (socket,), origin=process.origin("listen.share")))
            settings += wants_watcher(self.project, process)
            settings += [
                Setting(d.WANTS, (name,), origin=process.origin("instances"))
                for name in instance_units(self.project, process, self.options)
            ]
            yield self.unit(main_unit(self.project, process), {"Unit": settings}, process.span)

    def _watcher(self, process: Process) -> Iterator[CompiledUnit]:
        """The service that restarts the process when its files change."""
        if process.watch is not None:
            sections = watch_sections(self.project, process, process.watch, self.options)
            yield self.unit(watch_name(self.project, process), sections, process.origin("watch"))

    def _directories(self, process: Process) -> Iterator[LogDirectory]:
        for target in sorted({process.logs.stdout, process.logs.stderr}):
            if target.startswith("/"):
                folder = plain_path(target).rpartition("/")[0] or "/"
                self._check_log_folder(process, folder)
                yield LogDirectory(folder)

    def _check_log_folder(self, process: Process, folder: str) -> None:
        """Systemd opens log files as root and follows links: who can write in their folder can write anywhere."""
        if process.user is None or self.options.scope is Scope.USER:
            return
        owner = self.options.host.foreign_owner(folder)
        if owner:
            place = process.origin("logs")
            message = f"{owner} can write in {folder}: a link in place of the log makes root write elsewhere"
            hint = "log to the journal, or to a folder of root's such as /var/log/NAME"
            self.problems.warning(place, message, code="log-folder-open", hint=hint)

    def unit(self, name: UnitName, sections: Mapping[str, list[Setting]], span: Span) -> CompiledUnit:
        """The unit with its sections in the order of the manual, those without settings left out."""
        ordered = [(key, tuple(sections[key])) for key in d.SECTIONS if sections.get(key)]
        return CompiledUnit(name, tuple(ordered), span)


def exec_words(settings: list[Setting]) -> tuple[Text, ...]:
    """The words of the command that the unit runs."""
    return next((setting.words for setting in settings if setting.directive is d.EXEC_START), ())


def compile_project(project: Project, options: CompileOptions, problems: Diagnostics) -> Bundle:
    """The bundle of the project; ConfigError with every problem where there is an error."""
    files: list[BundleFile] = []
    runs: list[BundleUnit] = []
    directories: dict[str, LogDirectory] = {}
    for compiled in Compiler(project, options, problems).compile():
        texts = [render_compiled(project, unit, problems) for unit in compiled.units]
        files += [text for text in (*texts, compiled.environment_file) if text is not None]
        runs += compiled.runs
        directories |= {
            item.path: item for item in reversed(compiled.directories) if item.path not in directories
        }
    problems.raise_if_errors()
    target = str(project_target(project))
    return Bundle(
        project=project.name,
        scope=options.scope,
        systemd_version=options.systemd_version,
        sources=project.sources,
        files=tuple(sorted(files, key=lambda item: (item.kind, item.name))),
        units=tuple(runs),
        directories=tuple(directories[path] for path in sorted(directories)),
        wanted_by={target: BOOT_TARGETS[options.scope]},
    )
