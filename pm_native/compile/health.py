"""Health checks: `pm-native-run` in front of the command, and the settings by which systemd acts on what it finds.

A unit with a monitor is Type=notify with NotifyAccess=all, since the monitor is no process that systemd knows; that of
a project speaks in the name of the main process.
WATCHDOG=trigger is how it asks for a restart: it needs no WatchdogSec=, which would end a healthy program whose
monitor is gone (`strict` asks for just that). WatchdogSignal= is the stop signal: the default, SIGABRT, leaves a core
and skips what the program would clean up.
"""

from __future__ import annotations

from pm_native.compile.names import instance_numbers, is_task
from pm_native.compile.preload import says_that_it_listens
from pm_native.model.health import (
    Does,
    MemoryProbe,
    Monitor,
    NotifyProbe,
    OutputProbe,
)
from pm_native.model.project import JOURNAL, SECOND
from pm_native.model.quantity import INFINITY
from pm_native.unit import directive as d
from pm_native.unit.file import UNIT_NAME, Setting
from pm_native.unit.name import Scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pm_native.compile.options import CompileOptions
    from pm_native.model.health import Check, Phase
    from pm_native.model.project import Process, Project

DEFAULT_START_TIMEOUT_USEC = 90 * SECOND
# What a monitor may add to the memory and the processes of the instance that it belongs to: itself, and a probe.
MONITOR_BYTES = 8 << 20
MONITOR_TASKS = 2
# The kernel ends what has a higher score first. A monitor that was ended would not be missed, and not be there.
MONITOR_OOM_SCORE, PROGRAM_OOM_SCORE = -200, 0
JOURNAL_GROUP = "systemd-journal"


def is_hosted(project: Project, process: Process) -> bool:
    """Whether the monitor of the project makes its checks; the other end of a channel is held beside it in any case."""
    return project.monitor is Monitor.HOST and bool(monitored_checks(process)) and process.channel is None


def monitored_checks(process: Process) -> tuple[tuple[Phase, Check], ...]:
    """The checks that a monitor makes: those that the program does not answer by itself."""
    if process.health is None:
        return ()
    return tuple((phase, check) for phase, check in process.health.checks if not is_notify(check))


def is_notify(check: Check | None) -> bool:
    """Whether the program itself says it."""
    return check is not None and any(isinstance(probe, NotifyProbe) for probe in check.probes)


def speaks(process: Process) -> bool:
    """Whether the program itself tells systemd that it is ready (sd_notify(3))."""
    health = process.health
    return process.notify or (health is not None and (is_notify(health.ready) or is_notify(health.startup)))


def tells_ready(process: Process) -> bool:
    """Whether its unit becomes active when it is ready for work, rather than when it was started."""
    health = process.health
    return (
        speaks(process)
        or tells_listening(process)
        or waits_for_message(process)
        or (health is not None and (health.ready is not None or health.startup is not None))
    )


def is_notified(process: Process) -> bool:
    """Whether its unit is of Type=notify."""
    if is_task(process):
        return False
    return (
        speaks(process)
        or bool(monitored_checks(process))
        or pings(process)
        or process.channel is not None
        or tells_listening(process)
    )


def needs_run(process: Process) -> bool:
    """Whether `pm-native-run` starts the program."""
    return bool(monitored_checks(process)) or process.channel is not None or tells_listening(process)


def waits_for_message(process: Process) -> bool:
    """Whether the program says over its channel that it is ready."""
    return process.channel is not None and process.channel.ready


def tells_listening(process: Process) -> bool:
    """Whether what takes the shared listener in the program tells systemd of it, as nobody else says when it is ready."""
    health = process.health
    others = speaks(process) or waits_for_message(process)
    others = others or (health is not None and (health.ready is not None or health.startup is not None))
    return says_that_it_listens(process) and not others


def pings(process: Process) -> bool:
    """Whether the program itself sends WATCHDOG=1."""
    return process.health is not None and is_notify(process.health.alive)


def start_timeout_usec(process: Process) -> int:
    """TimeoutStartSec= of a unit that tells when it is ready: what the checks before that may take, at least."""
    if process.start_timeout_usec is not None:
        return process.start_timeout_usec
    health = process.health
    before = (health.startup, health.ready) if health is not None else ()
    needed = sum(check.start_period_usec + _patience_usec(check) for check in before if check is not None)
    return max(needed, DEFAULT_START_TIMEOUT_USEC)


def _patience_usec(check: Check) -> int:
    return check.retries * check.interval_usec + check.timeout_usec


def seconds(usec: int) -> str:
    """A time as `pm-native-run` reads it: `10s`, `0.25s`."""
    seconds, rest = divmod(min(usec, INFINITY), SECOND)
    seconds = min(seconds, 10**8)
    return f"{seconds}.{rest:06}".rstrip("0").rstrip(".") + "s"


def health_settings(project: Project, process: Process, options: CompileOptions) -> Iterator[Setting]:
    """What systemd does about what a monitor finds, and what the monitor needs for looking."""
    health = process.health
    if health is None:
        return
    place = process.origin("health")
    if health.alive is not None and (health.strict or pings(process)):
        alive = health.alive
        watchdog = alive.interval_usec * alive.retries + alive.timeout_usec
        why = (
            "the program sends WATCHDOG=1" if pings(process) else "ends the program when its monitor is gone"
        )
        yield Setting(d.WATCHDOG_SEC, (seconds(watchdog),), origin=place, why=why)
    does = {check.action.does for phase, check in health.checks}
    if does & {Does.RESTART, Does.STOP}:
        why = "as it is stopped: the default, SIGABRT, leaves a core and skips the cleaning up"
        yield Setting(d.WATCHDOG_SIGNAL, (process.stop.signal,), origin=place, why=why)
    if Does.STOP in does:
        user = " --user" if options.scope is Scope.USER else ""
        script = f'test "$SERVICE_RESULT" != watchdog || exec systemctl{user} stop --no-block "$0"'
        why = "an unhealthy program stays stopped"
        yield Setting(
            d.EXEC_STOP_POST, ("/bin/sh", "-c", script, (UNIT_NAME,)), "+:-", origin=place, why=why
        )
    if (
        reads_journal(process)
        and process.user is not None
        and options.scope is Scope.SYSTEM
        and not is_hosted(project, process)
    ):
        why = "the monitor reads what the program writes"
        yield Setting(d.SUPPLEMENTARY_GROUPS, (JOURNAL_GROUP,), origin=place, why=why)


def reads_journal(process: Process) -> bool:
    """Whether a monitor looks for what the program writes to the journal."""
    return process.logs.stdout == JOURNAL and any(
        isinstance(probe, OutputProbe) for _, check in monitored_checks(process) for probe in check.probes
    )


def has_oom_scores(project: Project, process: Process, options: CompileOptions) -> bool:
    """Whether a monitor beside the program has an OOM score of its own: where nobody has said another one for the unit.

    The manager of a user may not lower one.
    """
    is_said = any(item.name == "OOMScoreAdjust" for item in process.systemd)
    has_monitor = monitor_count(project, process, options) > 0
    return has_monitor and options.scope is Scope.SYSTEM and not is_said


def oom_settings(project: Project, process: Process, options: CompileOptions) -> Iterator[Setting]:
    """OOMScoreAdjust= for the monitor beside the program, which `pm-native-run` raises again for the program."""
    if has_oom_scores(project, process, options):
        why = "the monitor outlives what takes its memory; pm-native-run gives the program its own score"
        yield Setting(d.OOM_SCORE_ADJUST, (str(MONITOR_OOM_SCORE),), why=why)


def monitor_count(project: Project, process: Process, options: CompileOptions) -> int:
    """How many monitors run beside the instances of a process."""
    if is_hosted(project, process) or not (monitored_checks(process) or process.channel is not None):
        return 0
    return len(instance_numbers(process, options)) if process.is_pool else 1


def limit_window_usec(process: Process) -> int:
    """How long as many starts take as the limit allows, when each fails as slowly as it can; 0: at once.

    systemd forgets a start that is older than the window of its limit: a limit of 3 in 10 s is never reached by a
    program that takes 4 s to fail.
    """
    restart = process.restart
    if restart.limit is None or not is_notified(process):
        return 0
    alive = process.health.alive if process.health is not None else None
    # A program whose memory grows is restarted for as long as it grows: that is no start that fails.
    is_leak = alive is not None and all(isinstance(probe, MemoryProbe) for probe in alive.probes)
    life = alive.start_period_usec + _patience_usec(alive) if alive is not None and not is_leak else 0
    start = start_timeout_usec(process) if tells_ready(process) or not is_leak else 0
    if not (life or start):
        return 0
    delay = max(restart.delay_usec, restart.max_delay_usec or 0)
    one = max(start, life) + process.stop.timeout_usec + delay
    window = (restart.limit + 1) * one * 6 // 5
    return min(-(-window // SECOND) * SECOND, INFINITY)
