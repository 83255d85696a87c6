"""`monitor = "host"`: the one monitor of a project, the socket by which it hears of starts, and what it is told of each.

All checks stand in its ExecStart=, so that a change of one restarts it and nothing else. It is root: it speaks to
systemd in the name of each program's main process, which the manager of a user does not let anybody do.
"""

from __future__ import annotations

from pathlib import PurePosixPath

from pm_native.compile.health import is_hosted, monitored_checks
from pm_native.compile.names import service_name
from pm_native.compile.run import check_readable, monitor_words
from pm_native.compile.shipped import shipped_sections
from pm_native.model.confinement import Profile
from pm_native.model.health import Does, ExecProbe, Monitor
from pm_native.unit import directive as d
from pm_native.unit.file import Setting
from pm_native.unit.name import Scope, UnitName, UnitType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pm_native.compile.options import CompileOptions
    from pm_native.errors import Diagnostics
    from pm_native.model.project import Process, Project
    from pm_native.unit.file import Text

PREFIX = "pm-native-monitor"
# What the commands of checks would inherit of the monitor's own confinement.
_INHERITED = frozenset(
    [
        "CapabilityBoundingSet",
        "NoNewPrivileges",
        "RestrictAddressFamilies",
        "RestrictNamespaces",
        "RestrictRealtime",
        "RestrictSUIDSGID",
        "LockPersonality",
        "SystemCallArchitectures",
        "SystemCallFilter",
        "SystemCallErrorNumber",
    ]
)

# What a process takes on at its start alone, so that nobody can have it of another one.
_NOT_TAKEN_OVER = frozenset(
    [
        "AmbientCapabilities",
        "AppArmorProfile",
        "LockPersonality",
        "MemoryDenyWriteExecute",
        "PrivatePIDs",
        "PrivateUsers",
        "RestrictAddressFamilies",
        "RestrictNamespaces",
        "RestrictRealtime",
        "RestrictSUIDSGID",
        "SELinuxContext",
        "SmackProcessLabel",
        "SystemCallArchitectures",
        "SystemCallFilter",
    ]
)


def socket_name(project: Project) -> UnitName:
    """The socket by which the monitor hears of starts."""
    return UnitName(PREFIX, UnitType.SOCKET, project.name)


def monitor_name(project: Project) -> UnitName:
    """The monitor's service."""
    return UnitName(PREFIX, UnitType.SERVICE, project.name)


def hosted(project: Project) -> tuple[Process, ...]:
    """The processes whose checks the monitor of the project makes."""
    return tuple(process for process in project.processes if is_hosted(project, process))


def unit_settings(project: Project, process: Process) -> Iterator[Setting]:
    """[Unit] of a process: the socket is there before it, and holds its word until the monitor runs."""
    if is_hosted(project, process):
        for directive in (d.WANTS, d.AFTER):
            yield Setting(directive, (str(socket_name(project)),), origin=project.monitor_span)


def monitor_sections(
    project: Project, name: UnitName, options: CompileOptions, problems: Diagnostics
) -> dict[str, list[Setting]]:
    """The sections of the socket or the service, from units/, for this project and this installation."""
    runs_commands = any(map(_runs_commands, hosted(project)))

    def change(setting: Setting) -> tuple[Text, ...] | None:
        if setting.directive == d.EXEC_START:
            return (
                options.python,
                "-I",
                "-S",
                f"{options.runtime}/monitor.py",
                *_words(project, options, problems),
            )
        if runs_commands and setting.directive.name in _INHERITED:
            return None
        return setting.words

    sections = shipped_sections(f"{PREFIX}.{name.type}.in", project.monitor_span, change)
    if name.type is UnitType.SERVICE:
        sections["Service"] = [
            Setting(item.directive, item.words, ":", item.origin, item.why)
            if item.directive == d.EXEC_START
            else item
            for item in sections["Service"]
        ]
    return sections


def _words(project: Project, options: CompileOptions, problems: Diagnostics) -> Iterator[Text]:
    for process in hosted(project):
        yield f"--unit={service_name(project, process)}"
        yield from monitor_words(process, options, problems)


def _runs_commands(process: Process) -> bool:
    return any(
        check.action.does is Does.EXEC or any(isinstance(probe, ExecProbe) for probe in check.probes)
        for _, check in monitored_checks(process)
    )


def _folders_above(*paths: str) -> list[str]:
    return sorted({str(folder) for path in paths for folder in PurePosixPath(path).parents})


def check_monitor(project: Project, options: CompileOptions, problems: Diagnostics) -> None:
    """Add a diagnostic for all that does not fit together."""
    if project.monitor is not Monitor.HOST:
        return
    place = project.monitor_span
    if options.scope is Scope.USER:
        hint = "take `monitor` out: each program then has a monitor beside it"
        message = "only root can speak to systemd for other processes: a user's manager has no such monitor"
        problems.error(place, message, code="monitor-user", hint=hint)
        return
    processes = hosted(project)
    if not processes:
        return
    check_readable(f"{options.runtime}/monitor.py", place, None, options, problems)
    for path in _folders_above(options.python, f"{options.runtime}/monitor.py"):
        if owner := options.host.foreign_owner(path):
            hint = "install pm-native for the whole host, where root alone can write"
            message = f"the monitor runs as root, and {owner} can change what it runs: {path}"
            problems.warning(place, message, code="monitor-open", hint=hint)
            break
    for process in processes:
        if process.health is not None and process.health.strict:
            hint = "take `strict` out, or give this process a monitor of its own in another project"
            message = "one monitor for all: when it is gone, every `strict` program is ended"
            problems.warning(process.origin("health.strict"), message, code="monitor-strict", hint=hint)
        if _runs_commands(process) and (what := _not_taken_over(process)):
            hint = "probe by something else than a command, or take `monitor` out"
            message = f"one monitor for all: it runs the commands of checks without {what} of the unit"
            problems.warning(process.origin("health"), message, code="monitor-exec", hint=hint)


def _not_taken_over(process: Process) -> str:
    """What commands of checks would not have of the unit of a process, in words; "" where they have all."""
    names = {f"{item.name}=" for item in process.systemd if item.name in _NOT_TAKEN_OVER and item.values}
    filters = ["the filters of system calls"] if process.sandbox.profile is not Profile.OFF else []
    return ", ".join([*filters, *sorted(names)])
