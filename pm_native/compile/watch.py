"""The watcher of a process: a service of its own that restarts the process when its files change.

It is no part of the process: it stays while the process fails, is stopped or restarts, and its memory is not that of
the process. In the system's manager it is root, since only root restarts services; so it may read and nothing else.
"""

from __future__ import annotations

from pm_native.compile.check import report_missing
from pm_native.compile.names import (
    plain_path,
    prefix,
    project_slice,
    project_target,
    service_name,
    watch_name,
)
from pm_native.compile.sandbox import STRICT, Rule, writable_paths
from pm_native.model.project import SECOND
from pm_native.model.quantity import format_duration
from pm_native.model.record import OnChange
from pm_native.runtime.watch.patterns import Selection, is_within, literal
from pm_native.unit import directive as d
from pm_native.unit.file import Setting
from pm_native.unit.name import Scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pm_native.compile.options import CompileOptions
    from pm_native.errors import Diagnostics
    from pm_native.model.project import Process, Project
    from pm_native.model.watch import Watch

# No library, no more watches, a command line that makes no sense: starting again mends none of them.
_FINAL_CODES = "69 71 78"
_LONGEST_DELAY_USEC = 3600 * SECOND
_OTHERWISE = {
    rule.directive.name: rule
    for rule in (
        Rule(d.CAPABILITY_BOUNDING_SET, "CAP_DAC_READ_SEARCH", "it enters every folder, and changes none"),
        Rule(d.RESTRICT_ADDRESS_FAMILIES, "AF_UNIX", "it speaks to systemd and the journal alone"),
    )
}
_LEFT_OUT = (
    (d.PRIVATE_TMP, "yes"),  # the project may be in /tmp
    (d.SYSTEM_CALL_FILTER, "@chown"),
)
# What a user's manager does without a view of the file system of its own, which not every host allows.
_IN_USER = frozenset(
    {
        *(
            "NoNewPrivileges",
            "LockPersonality",
            "RestrictRealtime",
            "RestrictSUIDSGID",
            "RestrictNamespaces",
        ),
        *("RestrictAddressFamilies", "SystemCallArchitectures", "SystemCallFilter", "SystemCallErrorNumber"),
    }
)


def wants_watcher(project: Project, process: Process) -> Iterator[Setting]:
    """Wants= of the unit that stands for the process: who starts it starts its watcher."""
    if process.watch is not None:
        yield Setting(d.WANTS, (str(watch_name(project, process)),), origin=process.origin("watch"))


def watch_sections(
    project: Project, process: Process, watch: Watch, options: CompileOptions
) -> dict[str, list[Setting]]:
    """The sections of the watcher's service."""
    place = process.origin("watch")
    target = str(project_target(project))
    return {
        "Unit": [
            Setting(
                d.DESCRIPTION, (f"{project.name} {process.name}, watched files",), why="made from the names"
            ),
            Setting(d.PART_OF, (target,), why=f"stops and restarts with {target}"),
        ],
        "Service": [
            Setting(d.TYPE, ("notify",), why="started once all folders are watched"),
            Setting(d.NOTIFY_ACCESS, ("main",)),
            Setting(d.EXEC_START, tuple(_words(project, process, watch, options)), ":", origin=place),
            Setting(
                d.SYSLOG_IDENTIFIER, (f"{prefix(project, process)}-watch",), why="journalctl -t finds it"
            ),
            Setting(d.SLICE, (str(project_slice(project)),), why="its memory is not that of the process"),
            *_sandbox_settings(options),
            Setting(d.RESTART, ("on-failure",)),
            Setting(d.RESTART_SEC, ("1s",)),
            Setting(d.RESTART_PREVENT_EXIT_STATUS, (_FINAL_CODES,), why="starting again would not mend it"),
        ],
    }


def _words(project: Project, process: Process, watch: Watch, options: CompileOptions) -> Iterator[str]:
    yield from (options.python, "-I", f"{options.runtime}/watch/__main__.py")
    if options.scope is Scope.USER:
        yield "--user"
    if options.library:
        yield f"--library={options.library}"
    unit = f"{prefix(project, process)}@*.service" if process.is_pool else service_name(project, process)
    yield f"--unit={unit}"
    if process.is_pool and process.on_change is OnChange.RELOAD:
        yield "--one-by-one"
    yield f"--directory={plain_path(process.directory)}"
    yield from (f"--watch={pattern}" for pattern in watch.patterns)
    yield from (f"--ignore={pattern}" for pattern in (*watch.ignore, *_own_files(process, watch)))
    yield f"--delay={watch.delay_usec / 1_000_000:g}s"


def _selection(process: Process, watch: Watch) -> Selection:
    return Selection(plain_path(process.directory), watch.patterns, watch.ignore)


def _own_files(process: Process, watch: Watch) -> Iterator[str]:
    """What the process writes by its config: log files, and writable folders that are less than what is watched."""
    roots = _selection(process, watch).roots
    logs = sorted(
        {target for target in (process.logs.stdout, process.logs.stderr) if target.startswith("/")}
    )
    for path in (*map(plain_path, logs), *writable_paths(process)):
        is_watched = any(is_within(path, root) for root in roots)
        if is_watched and path not in roots:
            yield literal(path)


def _sandbox_settings(options: CompileOptions) -> Iterator[Setting]:
    for rule in STRICT:
        found = _OTHERWISE.get(rule.directive.name, rule)
        is_left = (found.directive, found.value) in _LEFT_OUT
        if not is_left and (options.scope is Scope.SYSTEM or found.directive.name in _IN_USER):
            yield Setting(found.directive, (found.value,), why=found.why)


def check_watch(process: Process, options: CompileOptions, problems: Diagnostics) -> None:
    """Add a diagnostic for what cannot be watched."""
    watch = process.watch
    if watch is None:
        return
    place = process.origin("watch")
    if process.schedule:
        message = "a task with a schedule runs when it is time: there is nothing to restart"
        problems.error(place, message, code="watch-schedule", hint="take `watch` or `schedule` out")
    if watch.delay_usec > _LONGEST_DELAY_USEC:
        message = f"a delay of {format_duration(watch.delay_usec)}: nobody would wait for that restart"
        hint = f"a second or two; at most {format_duration(_LONGEST_DELAY_USEC)}"
        problems.error(process.origin("watch.delay"), message, code="watch-delay", hint=hint)
    if options.library is None:
        report_missing(
            place,
            "watching files needs the Python library inotify, and it is not installed here",
            code="no-inotify",
            hint="apt-get install python3-inotify, or pip install 'pm-native[watch]'",
            options=options,
            problems=problems,
        )
    for root in _selection(process, watch).roots:
        if not options.host.exists(root):
            hint = "mend the pattern, if it is a slip; what is made there later is seen"
            problems.warning(
                place, f"there is no {root}, which is to be watched", code="watch-missing", hint=hint
            )
