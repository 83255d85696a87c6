"""What must hold between the processes of a project before any unit is made."""

from __future__ import annotations

import shlex

from pm_native.compile.health import tells_ready
from pm_native.compile.listen import check_listen
from pm_native.compile.names import SOCKET_SERVICE_SUFFIX, WATCH_SUFFIX, is_reserved
from pm_native.model.names import is_name
from pm_native.model.project import Condition, ProcessKind, RestartPolicy
from pm_native.model.record import OnChange
from pm_native.unit.name import NAME_MAX, escape_slice_part

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pm_native.compile.options import CompileOptions
    from pm_native.errors import Diagnostics, Span
    from pm_native.model.project import Dependency, Process, Project


def check_project(project: Project, options: CompileOptions, problems: Diagnostics) -> None:
    """Add a diagnostic for all that does not fit together."""
    processes = _by_name(project, problems)
    _check_project_name(project, options, problems)
    for process in project.processes:
        _check_dependencies(process, processes, problems)
        _check_names(project, process, problems)
        _check_kind(process, problems)
        _check_user(process, options, problems)
        _check_group(process, options, problems)
        check_listen(process, options, problems)
        _check_listen_names(process, processes, options, problems)
        if process.watch is not None:
            _check_name_is_free(process, processes, WATCH_SUFFIX, "the watcher", problems)
    for cycle in _cycles(project.processes, processes):
        links = " -> ".join([dependency.name for dependency in cycle] + [cycle[0].name])
        hint = "each of them waits for the next: take one dependency out"
        problems.error(
            cycle[0].span, f"a cycle of dependencies: {links}", code="dependency-cycle", hint=hint
        )


def _by_name(project: Project, problems: Diagnostics) -> dict[str, Process]:
    found: dict[str, Process] = {}
    for process in project.processes:
        if (first := found.get(process.name)) is not None:
            message = f"a second process named {process.name!r}"
            hint = f"the first is at {first.span.where}; each unit needs a name of its own"
            problems.error(process.span, message, code="duplicate-name", hint=hint)
        found.setdefault(process.name, process)
    return found


def longest_name(project: Project, process: Process) -> int:
    """The length of the longest unit name of a process, its slice's: each "-" takes four characters there."""
    return len(f"{escape_slice_part(project.name)}-{escape_slice_part(process.name)}.slice")


def has_unit_names(project: Project, process: Process) -> bool:
    """Whether units can have the names of this process; where not, an error has told why."""
    return is_name(project.name) and is_name(process.name) and longest_name(project, process) <= NAME_MAX


def _check_project_name(project: Project, options: CompileOptions, problems: Diagnostics) -> None:
    if is_reserved(project.name, options.scope):
        message = f"{project.name!r} is the name of units of systemd's own"
        hint = f"another name: {project.name}-app, for one"
        problems.error(project.span.source.whole(), message, code="reserved-name", hint=hint)


def _check_names(project: Project, process: Process, problems: Diagnostics) -> None:
    size = longest_name(project, process)
    if size > NAME_MAX:
        message = f"the slice of {process.name!r} has a name of {size} characters, of {NAME_MAX} at most"
        hint = 'a shorter name, or one with fewer "-": each takes four characters there'
        problems.error(process.span, message, code="bad-name", hint=hint)


def _check_listen_names(
    process: Process, processes: dict[str, Process], options: CompileOptions, problems: Diagnostics
) -> None:
    """The names that a shared socket takes: of a unit, and of who owns the file."""
    listen = process.listen
    if not listen.share:
        return
    _check_name_is_free(process, processes, SOCKET_SERVICE_SUFFIX, "the shared socket", problems)
    if options.scope == "user":
        return
    if listen.user is not None and options.host.account(listen.user) is None:
        _report_no_user(listen.user, process.origin("listen.user"), options, problems)
    if listen.group is not None and not options.host.has_group(listen.group):
        _report_no_group(listen.group, process.origin("listen.group"), options, problems)


def _check_name_is_free(
    process: Process, processes: dict[str, Process], suffix: str, what: str, problems: Diagnostics
) -> None:
    if (other := processes.get(f"{process.name}{suffix}")) is not None:
        message = f"{other.name!r} is the name of a unit that {what} of {process.name!r} needs"
        problems.error(other.span, message, code="duplicate-name", hint="another name")


def _report_no_group(name: str, place: Span, options: CompileOptions, problems: Diagnostics) -> None:
    report_missing(
        place,
        f"there is no group {name!r} on this host",
        code="group-missing",
        hint=f"make it: groupadd --system {name}",
        options=options,
        problems=problems,
    )


def _report_no_user(name: str, place: Span, options: CompileOptions, problems: Diagnostics) -> None:
    report_missing(
        place,
        f"there is no user {name!r} on this host",
        code="user-missing",
        hint=f"make it: useradd --system {shlex.quote(name)}" if name.isprintable() else "",
        options=options,
        problems=problems,
    )


def _check_group(process: Process, options: CompileOptions, problems: Diagnostics) -> None:
    if process.group is None:
        return
    place = process.origin("group")
    if options.scope == "user":
        hint = "leave `group` out, or use the system manager"
        message = "the user manager runs everything with its own groups"
        problems.error(place, message, code="user-scope", hint=hint)
    elif not options.host.has_group(process.group):
        _report_no_group(process.group, place, options, problems)


def _check_dependencies(process: Process, processes: dict[str, Process], problems: Diagnostics) -> None:
    for dependency in process.depends_on:
        other = processes.get(dependency.name)
        if other is None:
            known = ", ".join(sorted(name for name in processes if name != process.name)) or "none"
            message = f"depends on {dependency.name!r}, which is not a process of this project"
            problems.error(dependency.span, message, code="unknown-dependency", hint=f"there are: {known}")
        elif dependency.condition is Condition.COMPLETED and other.kind is not ProcessKind.TASK:
            message = f"{other.name!r} is a service: it never completes"
            hint = (
                f'make it a task (kind = "task"), or depend on "{Condition.STARTED}" or "{Condition.READY}"'
            )
            problems.error(dependency.span, message, code="service-never-completes", hint=hint)
        elif (
            dependency.condition is Condition.READY
            and other.kind is ProcessKind.SERVICE
            and not tells_ready(other)
        ):
            message = f"{other.name!r} does not say when it is ready: this waits for its start only"
            hint = f'add a health check, set notify = true if it speaks sd_notify(3), or write "{Condition.STARTED}"'
            problems.warning(dependency.span, message, code="no-readiness", hint=hint)


def _cycles(ordered: Iterable[Process], processes: dict[str, Process]) -> Iterator[tuple[Dependency, ...]]:
    """Each cycle once, as the dependencies along it. Iterative: a chain may be longer than Python's stack."""
    done: set[str] = set()
    for start in ordered:
        path: list[Dependency] = []
        on_path: dict[str, int] = {start.name: 0}
        stack = [iter(start.depends_on if start.name not in done else ())]
        while stack:
            dependency = next(stack[-1], None)
            if dependency is None:
                stack.pop()
                if path:
                    done.add(path[-1].name)
                    on_path.pop(path.pop().name)
                continue
            if dependency.name in on_path:
                yield (*path[on_path[dependency.name] :], dependency)
            elif dependency.name not in done and dependency.name in processes:
                path.append(dependency)
                on_path[dependency.name] = len(path)
                stack.append(iter(processes[dependency.name].depends_on))
        done.add(start.name)


def _check_kind(process: Process, problems: Diagnostics) -> None:
    if process.kind is ProcessKind.TASK:
        if process.is_pool:
            hint = "tasks run once; make it a service, or leave `instances` out"
            problems.error(
                process.origin("instances"), "a task cannot be a pool", code="task-pool", hint=hint
            )
        if process.restart.policy in {RestartPolicy.ALWAYS, RestartPolicy.ON_SUCCESS}:
            place = process.origin("restart.policy")
            hint = 'a task that ended well stays so: use "on-failure" or "no"'
            message = f'restart = "{process.restart.policy}" would run the task for ever'
            problems.error(place, message, code="task-restart", hint=hint)
        if process.notify:
            hint = "leave `notify` out: what depends on a task waits for its end"
            problems.warning(
                process.origin("notify"), "a task is not asked if it is ready", code="task-notify", hint=hint
            )
    elif process.schedule:
        hint = 'only a task (kind = "task") can be started by a schedule'
        problems.error(
            process.origin("schedule"), "a service with a schedule", code="service-schedule", hint=hint
        )
    for key in ("counters", "first_instance"):
        if not process.is_pool and key in process.origins:
            hint = "say how many: instances = 2"
            place = process.origins[key]
            problems.error(place, f"{key!r} is for the instances of a pool", code="not-a-pool", hint=hint)
    if (
        process.on_change is OnChange.RELOAD
        and not process.is_pool
        and not any(item.name == "ExecReload" for item in process.systemd)
    ):
        message = "there is nothing to reload it with: apply will restart it"
        hint = 'say how: [process.NAME.systemd.Service] with ExecReload = "/bin/kill -HUP $MAINPID"'
        problems.warning(process.origin("on_change"), message, code="no-reload", hint=hint)


def _check_user(process: Process, options: CompileOptions, problems: Diagnostics) -> None:
    if process.user is None:
        return
    place = process.origin("user")
    if options.scope == "user":
        hint = "leave `user` out, or use the system manager"
        problems.error(
            place, "the user manager runs everything as its own user", code="user-scope", hint=hint
        )
    elif options.host.account(process.user) is None:
        _report_no_user(process.user, place, options, problems)


def report_missing(  # noqa: PLR0913 - a diagnostic has as many parts
    span: Span, message: str, *, code: str, hint: str, options: CompileOptions, problems: Diagnostics
) -> None:
    """Add what this host lacks: an error, or a warning for whoever compiles for another host."""
    if options.allow_missing:
        problems.warning(span, message, code=code, hint=hint)
    else:
        problems.error(span, message, code=code, hint=f"{hint} (--allow-missing to go on without)")
