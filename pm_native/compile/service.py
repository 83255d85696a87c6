"""A process to its service, or to the template of its pool: the settings in the order of the manual."""

from __future__ import annotations

import math
from signal import Signals

from pm_native.compile import ipc, monitor
from pm_native.compile.channel import channel_settings
from pm_native.compile.environment import environment_settings
from pm_native.compile.health import (
    health_settings,
    is_hosted,
    is_notified,
    limit_window_usec,
    oom_settings,
    speaks,
    start_timeout_usec,
    tells_listening,
    tells_ready,
)
from pm_native.compile.names import (
    is_task,
    main_unit,
    plain_path,
    prefix,
    process_slice,
    project_target,
    service_name,
    socket_name,
)
from pm_native.compile.preload import accepts_in_a_loop
from pm_native.model.project import NULL, Condition, RestartPolicy
from pm_native.model.quantity import INFINITY, format_duration
from pm_native.unit import directive as d
from pm_native.unit.file import INSTANCE, Setting
from pm_native.unit.name import Scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pm_native.compile.options import CompileOptions
    from pm_native.errors import Diagnostics
    from pm_native.model.project import Process, Project
    from pm_native.unit.file import Text

# From this version on systemd can let the delay between restarts grow.
GROWING_DELAY_SINCE = d.RESTART_STEPS.since
LOG_TARGETS = {"journal": "journal", NULL: NULL}


def description(project: Project, process: Process) -> tuple[Text, ...]:
    """Description=: what the config says, else the names; the instance's number in a template."""
    text = process.description or f"{project.name} {process.name}"
    return ((f"{text}, instance ", INSTANCE),) if process.is_pool else (text,)


def unit_settings(project: Project, process: Process, units: Mapping[str, str]) -> Iterator[Setting]:
    """[Unit] of the service: what it is, what it belongs to, what must be there first (`units` by process name)."""
    why = "made from the names"
    yield Setting(
        d.DESCRIPTION, description(project, process), origin=process.origin("description"), why=why
    )
    owner = main_unit(project, process) if process.is_pool else project_target(project)
    yield Setting(d.PART_OF, (str(owner),), why=f"stops and restarts with {owner}")
    yield from dependency_settings(process, units)
    yield from ipc.unit_settings(project)
    yield from monitor.unit_settings(project, process)


def dependency_settings(process: Process, units: Mapping[str, str]) -> Iterator[Setting]:
    """Wants= and After= for what must have started, Requires= for what must have ended well.

    Requires= on a service would restart and stop the dependent with each crash of the dependency, and would not
    start it again after a failed start: only a task, which stays as it ended, is required.
    """
    for item in process.depends_on:
        if unit := units.get(item.name):
            pull = d.REQUIRES if item.condition is Condition.COMPLETED else d.WANTS
            yield Setting(pull, (unit,), origin=item.span)
            yield Setting(d.AFTER, (unit,), origin=item.span)


def ready_units(project: Project, processes: Sequence[Process]) -> dict[str, str]:
    """Of these, those that tell when they are ready, and the units that are active then: of a pool, one is enough."""
    return {
        process.name: f"{prefix(project, process)}@*.service"
        if process.is_pool
        else str(service_name(project, process))
        for process in processes
        if process.instances != 0 and tells_ready(process) and not is_task(process)
    }


def gate_settings(process: Process, ready: Mapping[str, str], options: CompileOptions) -> Iterator[Setting]:
    """ExecStartPre= that fails while what must be ready is not: its own start may have failed before.

    After= alone waits for the end of that start, whatever it was. The restart policy tries again later. `ready` are
    the `ready_units` of the project.
    """
    user = " --user" if options.scope is Scope.USER else ""
    script = f'systemctl{user} is-active --quiet "$0" || {{ echo "$0 is not ready" >&2; exit 1; }}'
    for item in process.depends_on:
        if item.condition is Condition.READY and (unit := ready.get(item.name)):
            why = "does not start before what it needs is ready"
            yield Setting(d.EXEC_START_PRE, ("/bin/sh", "-c", script, unit), "+:", origin=item.span, why=why)


def start_limit_settings(process: Process) -> Iterator[Setting]:
    """StartLimitIntervalSec= and StartLimitBurst=, always: systemd's own defaults fit no manager's habits."""
    restart = process.restart
    if process.listen.share and process.is_pool:
        why = "none: an instance that meets it would take the shared socket down"
        yield Setting(d.START_LIMIT_INTERVAL_SEC, ("0",), origin=process.origin("listen.share"), why=why)
        return
    if restart.policy is RestartPolicy.NO or restart.limit is None:
        why = "no limit: starts by hand and by timers count as well"
        yield Setting(d.START_LIMIT_INTERVAL_SEC, ("0",), origin=process.origin("restart.limit"), why=why)
        return
    window_usec, why = restart.window_usec, "the default"
    needed_usec = limit_window_usec(process)
    if window_usec < needed_usec and "restart.window" not in process.origins:
        window_usec, why = needed_usec, "so many starts that fail slowly are counted"
    window = format_duration(window_usec)
    yield Setting(d.START_LIMIT_INTERVAL_SEC, (window,), origin=process.origin("restart.window"), why=why)
    # systemd counts starts, the first one included; the config counts restarts.
    burst = str(restart.limit + 1)
    yield Setting(
        d.START_LIMIT_BURST, (burst,), origin=process.origin("restart.limit"), why="the default, plus one"
    )


def service_settings(  # noqa: PLR0913, PLR0917 - what a service is made of
    project: Project,
    process: Process,
    command: tuple[Text, ...],
    extra_path: str,
    ready: Mapping[str, str],
    options: CompileOptions,
) -> Iterator[Setting]:
    """[Service]: what runs, as whom, where, and what happens when it ends. `command` is the whole of ExecStart=."""
    yield from type_settings(project, process)
    yield from gate_settings(process, ready, options)
    yield Setting(d.EXEC_START, command, ":", origin=process.origin("command"))
    if process.listen.share:
        why = "the listener as file descriptor 3"
        socket = str(socket_name(project, process))
        yield Setting(d.SOCKETS, (socket,), origin=process.origin("listen.share"), why=why)
        if accepts_in_a_loop(process):
            why = "each start would have the others wait in accept(), deaf to all else"
            yield Setting(d.NON_BLOCKING, ("yes",), why=why)
    yield from identity_settings(process)
    yield from environment_settings(project, process, extra_path, options)
    yield from ipc.environment_settings(project)
    yield from log_settings(project, process)
    yield from health_settings(project, process, options)
    yield from channel_settings(process, options)
    yield from oom_settings(project, process, options)
    yield Setting(
        d.SLICE, (str(process_slice(project, process)),), why="limits and accounting of all instances"
    )
    if process.limits.open_files is not None:
        files = str(process.limits.open_files)
        yield Setting(d.LIMIT_NOFILE, (files,), origin=process.origin("limits.open_files"))


def type_settings(project: Project, process: Process) -> Iterator[Setting]:
    """Type= and what goes with it."""
    kind = process.origin("kind")
    timeout = process.start_timeout_usec
    if is_task(process):
        yield Setting(d.TYPE, ("oneshot",), origin=kind, why="it runs to completion")
        if not process.schedule:
            yield Setting(
                d.REMAIN_AFTER_EXIT, ("yes",), origin=kind, why="what depends on it sees that it ran"
            )
    elif is_notified(process):
        key = next(
            (key for key in ("notify", "channel", "health") if key in process.origins), "listen.share"
        )
        place = process.origin(key)
        access, why = "all", "a child may speak for it" if speaks(process) else "the monitor speaks for it"
        if is_hosted(project, process) and not speaks(process) and not tells_listening(process):
            access, why = "main", "the monitor of the project speaks in its name"
        yield Setting(d.TYPE, ("notify",), origin=place)
        yield Setting(d.NOTIFY_ACCESS, (access,), origin=place, why=why)
        timeout = start_timeout_usec(process)
    else:
        yield Setting(d.TYPE, ("exec",), why="a program that cannot be executed fails the start")
    if timeout is not None:
        yield Setting(
            d.TIMEOUT_START_SEC, (format_duration(timeout),), origin=process.origin("start_timeout")
        )


def identity_settings(process: Process) -> Iterator[Setting]:
    """User=, Group=, WorkingDirectory= and UMask=."""
    if process.user is not None:
        yield Setting(d.USER, (process.user,), origin=process.origin("user"))
    if process.group is not None:
        yield Setting(d.GROUP, (process.group,), origin=process.origin("group"))
    why = "the folder of the config"
    yield Setting(
        d.WORKING_DIRECTORY, (plain_path(process.directory),), origin=process.origin("directory"), why=why
    )
    if process.umask is not None:
        yield Setting(d.UMASK, (f"{process.umask:04o}",), origin=process.origin("umask"))


def log_settings(project: Project, process: Process) -> Iterator[Setting]:
    """Where the output goes; the journal needs no word but a name."""
    streams = ((d.STANDARD_OUTPUT, process.logs.stdout), (d.STANDARD_ERROR, process.logs.stderr))
    for directive, target in streams:
        if target != "journal" or process.logs.stdout != "journal":
            value = LOG_TARGETS.get(target, f"append:{plain_path(target)}")
            yield Setting(directive, (value,), origin=process.origin("logs"))
    name: Text = f"{project.name}-{process.name}"
    if process.is_pool:
        name = (f"{project.name}-{process.name}@", INSTANCE)
    yield Setting(d.SYSLOG_IDENTIFIER, (name,), why="journalctl -t finds it")


def restart_settings(process: Process, options: CompileOptions, problems: Diagnostics) -> Iterator[Setting]:
    """Restart= and the delays."""
    restart = process.restart
    yield Setting(
        d.RESTART, (restart.policy.value,), origin=process.origin("restart.policy"), why="the default"
    )
    if restart.policy is RestartPolicy.NO:
        return
    delay = format_duration(restart.delay_usec)
    yield Setting(d.RESTART_SEC, (delay,), origin=process.origin("restart.delay"), why="the default")
    if restart.max_delay_usec is not None:
        yield from growth_settings(process, restart.max_delay_usec, options, problems)
    if restart.prevent_codes:
        codes = " ".join(map(str, restart.prevent_codes))
        place = process.origin("restart.prevent_codes")
        yield Setting(d.RESTART_PREVENT_EXIT_STATUS, (codes,), origin=place)
    at_end = {item.name for item in process.systemd} & {"OnFailure", "OnSuccess"}
    if at_end and options.systemd_version >= d.RESTART_MODE.since:
        why = f"{'= and '.join(sorted(at_end))}= when it is not restarted any more, as before systemd 254"
        yield Setting(d.RESTART_MODE, ("direct",), why=why)


def growth_settings(
    process: Process, max_delay_usec: int, options: CompileOptions, problems: Diagnostics
) -> Iterator[Setting]:
    """RestartSteps= and RestartMaxDelaySec=, or a warning of what becomes of the delay without them."""
    place = process.origin("restart.max_delay")
    delay_usec = process.restart.delay_usec
    delay = format_duration(delay_usec)
    if not 0 < delay_usec < max_delay_usec < INFINITY:
        hint = f"`delay`, now {delay}, is to be more than 0, and `max_delay` more than that and not infinity"
        problems.warning(place, "the delay does not grow", code="no-growing-delay", hint=hint)
    elif options.systemd_version < GROWING_DELAY_SINCE:
        message = f"systemd {options.systemd_version} has no growing delay: every restart waits {delay}"
        hint = f"systemd {GROWING_DELAY_SINCE} has it (RestartSteps=); until then `delay` is all there is"
        problems.warning(place, message, code="no-growing-delay", hint=hint)
    else:
        steps = process.restart.steps or doublings(delay_usec, max_delay_usec)
        yield Setting(d.RESTART_STEPS, (str(steps),), origin=place)
        yield Setting(d.RESTART_MAX_DELAY_SEC, (format_duration(max_delay_usec),), origin=place)


def doublings(delay_usec: int, max_delay_usec: int) -> int:
    """RestartSteps=: how many restarts it takes until a doubling delay reaches its maximum."""
    return max(1, math.ceil(math.log2(max_delay_usec / max(delay_usec, 1))))


def stop_settings(process: Process) -> Iterator[Setting]:
    """KillMode=, KillSignal=, TimeoutStopSec=, and the exit codes that count as a clean end."""
    stop = process.stop
    yield Setting(d.KILL_MODE, (stop.mode.value,), origin=process.origin("stop.mode"), why="the default")
    yield Setting(d.KILL_SIGNAL, (stop.signal,), origin=process.origin("stop.signal"), why="the default")
    # Zero means "wait for ever" to systemd, and "do not wait" to everybody else.
    timeout = format_duration(max(stop.timeout_usec, 1))
    yield Setting(d.TIMEOUT_STOP_SEC, (timeout,), origin=process.origin("stop.timeout"), why="the default")
    codes = sorted({*stop.success_codes, *signal_code(stop.signal)})
    if codes:
        why = "128 plus the stop signal: how shells and many programs end when asked to"
        place = process.origin("stop.success_codes")
        yield Setting(d.SUCCESS_EXIT_STATUS, (" ".join(map(str, codes)),), origin=place, why=why)


def signal_code(signal: str) -> tuple[int, ...]:
    """The exit code by which a program says that it ended by this signal; none for real-time signals."""
    return (128 + Signals[signal].value,) if signal in Signals.__members__ else ()


def ordering_settings(options: CompileOptions) -> Iterator[Setting]:
    """After= of what each service of a host wants below it while it stops."""
    if options.scope is Scope.SYSTEM:
        yield Setting(d.AFTER, ("network.target",), why="the network is still there while it stops")


def timer_settings(project: Project, process: Process) -> Iterator[Setting]:
    """[Timer] of a task with a schedule."""
    for line in process.schedule:
        yield Setting(d.ON_CALENDAR, (line,), origin=process.origin("schedule"))
    yield Setting(d.ACCURACY_SEC, ("1s",), why="on the second, not within a minute")
    yield Setting(d.TIMER_UNIT, (str(service_name(project, process)),), why="what it starts")
