"""What must hold between the health checks of a process and the rest of it."""

from __future__ import annotations

from pm_native.compile.environment import is_secret
from pm_native.compile.health import (
    is_hosted,
    is_notify,
    limit_window_usec,
    monitored_checks,
    speaks,
    start_timeout_usec,
)
from pm_native.model.health import Does, HttpProbe, OutputProbe, Phase, TcpProbe
from pm_native.model.project import NULL, ProcessKind, RestartPolicy
from pm_native.model.quantity import INFINITY, format_duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pm_native.compile.options import CompileOptions
    from pm_native.errors import Diagnostics
    from pm_native.model.health import Check, Health
    from pm_native.model.project import Process, Project

# Restart= of these does nothing after a watchdog (systemd.service(5), the table of exit causes).
_NOT_RESTARTED = (RestartPolicy.NO, RestartPolicy.ON_SUCCESS, RestartPolicy.ON_ABORT)
_HOMES = ("/home/", "/root/", "/run/user/")
_NO = ("no", "false", "0", "off", "")


def check_health(project: Project, process: Process, options: CompileOptions, problems: Diagnostics) -> None:
    """Add a diagnostic for all that cannot work."""
    check_start_limit(process, problems)
    health = process.health
    if health is None:
        return
    place = process.origin("health")
    if process.kind is ProcessKind.TASK:
        hint = "take `health` out: what depends on a task waits for its end"
        message = "a task runs to completion: there is nothing to ask it"
        problems.error(place, message, code="task-health", hint=hint)
        return
    _check_speaker(process, health, problems)
    _check_actions(process, health, problems)
    for phase, check in monitored_checks(process):
        _check_probes(process, phase, check, problems)
    _check_surroundings(project, process, options, problems)


def _check_speaker(process: Process, health: Health, problems: Diagnostics) -> None:
    """The program itself, or the monitor, says that it is ready: not both."""
    if speaks(process):
        for phase, check in ((Phase.STARTUP, health.startup), (Phase.READY, health.ready)):
            if check is not None and not is_notify(check):
                hint = f"take `notify` out, or the `{phase}` check: `alive` is for later"
                message = "the program says itself when it is ready: this check would come too late"
                problems.error(check.span, message, code="health-notify", hint=hint)
    if not health.strict:
        return
    place = process.origin("health.strict")
    if health.alive is None:
        hint = "add `alive`, or take `strict` out"
        problems.error(place, "`strict` without a check that it is alive", code="health-strict", hint=hint)
    elif is_notify(health.alive):
        hint = "take `strict` out: systemd misses the program's own WATCHDOG=1 in any case"
        problems.error(place, "`strict` is about a monitor", code="health-strict", hint=hint)


def _check_actions(process: Process, health: Health, problems: Diagnostics) -> None:
    done = {check.action.does: check for _, check in health.checks}
    restart, stop = done.get(Does.RESTART), done.get(Does.STOP)
    if restart is not None and stop is not None:
        hint = "the same for both checks: systemd sees one kind of end"
        message = "one check stops the program for good and another restarts it"
        problems.error(stop.span, message, code="health-actions", hint=hint)
    elif restart is not None and process.restart.policy in _NOT_RESTARTED:
        hint = 'restart = "on-failure" restarts it, action = "stop" says that this is meant'
        message = f'restart = "{process.restart.policy}" leaves an unhealthy program stopped'
        problems.warning(restart.span, message, code="health-no-restart", hint=hint)


def _check_probes(process: Process, phase: Phase, check: Check, problems: Diagnostics) -> None:
    for probe in check.probes:
        match probe:
            case TcpProbe(port=None) | HttpProbe(port=None, unix=None):
                _check_own_port(process, probe, check, problems)
            case OutputProbe() if process.logs.stdout == NULL:
                hint = "log to the journal or to a file, or ask in another way"
                message = "its output goes nowhere, and cannot be looked at"
                problems.error(check.span, message, code="health-output", hint=hint)
            case _:
                pass
        if isinstance(probe, HttpProbe):
            for name, value in probe.headers:
                if name.lower() in {"authorization", "cookie"} or is_secret(name, value):
                    hint = "let the path answer without it on 127.0.0.1, or ask by `exec`"
                    message = f"every local user can read the header {name}"
                    problems.warning(check.span, message, code="health-secret", hint=hint)
    if phase is not Phase.ALIVE and start_timeout_usec(process) < check.start_period_usec:
        timeout = format_duration(start_timeout_usec(process))
        hint = f"start_timeout is {timeout}: make it longer, or start_period shorter"
        problems.warning(
            check.span, "the start is over before `start_period` is", code="health-period", hint=hint
        )


def _check_own_port(
    process: Process, probe: TcpProbe | HttpProbe, check: Check, problems: Diagnostics
) -> None:
    listen = process.listen
    if listen.port is None and (listen.path is None or isinstance(probe, TcpProbe)):
        hint = 'add listen = 3000 to the process, or write the whole address: "http://127.0.0.1:3000/"'
        problems.error(check.span, "which port? the process has none", code="health-port", hint=hint)
    elif listen.share and isinstance(probe, TcpProbe):
        hint = "ask for an answer: http, or exec"
        message = "systemd itself holds the shared port: to connect tells nothing of the program"
        problems.error(check.span, message, code="health-shared", hint=hint)
    elif listen.share and process.is_pool:
        hint = "any instance may answer: a port of its own for health tells of each (http with a whole URL, or exec)"
        message = "the instances share the port: which of them answers is not known"
        problems.warning(check.span, message, code="health-shared", hint=hint)


def _check_surroundings(
    project: Project, process: Process, options: CompileOptions, problems: Diagnostics
) -> None:
    """What the sandbox of the process does not let a monitor do."""
    if not monitored_checks(process):
        return
    hosted = is_hosted(project, process)
    for item in process.systemd:
        value = item.values[-1].strip() if item.values else ""
        if item.section != "Service" or (hosted and (item.name, value) == ("NotifyAccess", "main")):
            continue
        told = _in_the_way(process, item.name, value, options)
        if told is not None:
            message, hint = told
            problems.error(item.span, message, code="health-sandbox", hint=hint)


def _in_the_way(process: Process, name: str, value: str, options: CompileOptions) -> tuple[str, str] | None:
    """Why a directive that was passed through keeps a monitor from its work, and what to do; None where it does not."""
    match name:
        case "RootDirectory" | "RootImage" if value:
            hint = "let the program speak itself (`notify`), or use a sandbox without this"
            return f"{name}= hides what the monitor needs: Python and pm-native", hint
        case "NotifyAccess" if value != "all" and not speaks(process):
            return (
                "the monitor speaks for the program, and NotifyAccess= would not let it",
                'take it out, or "all"',
            )
        case "Type" if value != "notify":
            return (
                "the monitor says when the program is ready, and Type= would not wait for it",
                "take it out",
            )
        case "RestrictAddressFamilies" if not _allows_unix(value):
            return "the monitor speaks to systemd by AF_UNIX, which is not among these", "add AF_UNIX"
        case "ProtectHome" if value not in {*_NO, "read-only"} and f"{options.runtime}/".startswith(_HOMES):
            hint = 'install pm-native for the whole host, or "read-only"'
            return f"{name}= hides what the monitor needs: {options.runtime}", hint
        case _:
            return None


def _allows_unix(families: str) -> bool:
    words = families.split()
    if families.startswith("~"):
        return "AF_UNIX" not in families
    return not words or ("none" not in words and any(word in {"AF_UNIX", "AF_LOCAL"} for word in words))


def check_start_limit(process: Process, problems: Diagnostics) -> None:
    """A warning where a window that the config asks for is over before the limit can be reached."""
    window, needed_usec = process.restart.window_usec, limit_window_usec(process)
    if "restart.window" in process.origins and window < needed_usec and window != INFINITY:
        hint = f'window = "{format_duration(needed_usec)}" counts so many starts that fail slowly'
        message = "so many starts may not fail within this window: it would restart for ever"
        problems.warning(process.origin("restart.window"), message, code="limit-out-of-reach", hint=hint)
