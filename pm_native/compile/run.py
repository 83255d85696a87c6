"""`pm-native-run` in front of the command, with all that the monitor does: `systemctl cat` shows it."""

from __future__ import annotations

from pm_native.compile.channel import channel_words
from pm_native.compile.check import report_missing
from pm_native.compile.command import search_path
from pm_native.compile.health import (
    MONITOR_OOM_SCORE,
    PROGRAM_OOM_SCORE,
    has_oom_scores,
    is_hosted,
    monitored_checks,
    needs_run,
    pings,
    seconds,
    speaks,
    start_timeout_usec,
    tells_listening,
)
from pm_native.compile.listen import listen_address
from pm_native.compile.names import plain_path
from pm_native.compile.preload import preload_of, preload_path
from pm_native.compile.secrets import secret_variables
from pm_native.model.health import (
    LOCALHOST,
    Check,
    Combine,
    Does,
    ExecProbe,
    FileProbe,
    HttpProbe,
    MemoryProbe,
    NotifyProbe,
    OutputProbe,
    Phase,
    TcpProbe,
    UnixProbe,
)
from pm_native.model.project import JOURNAL
from pm_native.model.quantity import format_percent, format_size
from pm_native.unit.file import INSTANCE, RUNTIME_DIRECTORY, UNIT_NAME
from pm_native.unit.name import Scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pm_native.compile.options import CompileOptions
    from pm_native.errors import Diagnostics, Span
    from pm_native.model.health import Probe
    from pm_native.model.project import Process, Project
    from pm_native.unit.file import Specifier, Text

_DEFAULTS = Check(probes=())


def run_words(
    project: Project, process: Process, options: CompileOptions, problems: Diagnostics
) -> tuple[Text, ...]:
    """What stands before the command: `pm-native-run` with all that it and its monitor do; nothing without either."""
    checks = monitored_checks(process)
    hosted = is_hosted(project, process)
    secrets = secret_variables(process)
    _check_preload(process, options, problems)
    if not (secrets or needs_run(process)):
        return ()
    _check_runner(process, options, problems)
    words: list[Text] = [options.python, "-I", "-S", f"{options.runtime}/run.py"]
    words += (f"--secret={name}" for name in secrets)
    if checks:
        words.append(("--unit=", UNIT_NAME))
    if hosted:
        words += announce_words(project, process)
    elif checks:
        words += _unit_words(process, checks, options)
    if has_oom_scores(project, process, options):
        words.append(f"--oom-score={MONITOR_OOM_SCORE}:{PROGRAM_OOM_SCORE}")
    if process.channel is not None:
        words += channel_words(process.channel)
    words += _speaker_words(process)
    if _keeps_sigpipe(process):
        words.append("--default-sigpipe")
    if not hosted:
        words += _phase_words(process, options, problems)
    return (*words, "--")


def announce_words(project: Project, process: Process) -> Iterator[Text]:
    """Where the monitor of the project is told of the start, and of what else but the time of it."""
    yield ("--announce=", RUNTIME_DIRECTORY, f"/pm-native/monitor/{project.name}.sock")
    probes = (probe for _, check in monitored_checks(process) for probe in check.probes)
    if process.logs.stdout != JOURNAL and any(isinstance(probe, OutputProbe) for probe in probes):
        yield f"--log-file={plain_path(process.logs.stdout)}"


def monitor_words(process: Process, options: CompileOptions, problems: Diagnostics) -> Iterator[Text]:
    """What the monitor of the project is told of a process, after its unit."""
    yield from _unit_words(process, monitored_checks(process), options, instance="%i")
    yield from _speaker_words(process)
    yield from _phase_words(process, options, problems)


def _speaker_words(process: Process) -> Iterator[str]:
    """Who but the monitor speaks to systemd."""
    if tells_listening(process):
        yield "--listening"
    if speaks(process) or pings(process):
        yield "--notify"


def _phase_words(process: Process, options: CompileOptions, problems: Diagnostics) -> Iterator[str]:
    """The checks."""
    for phase, check in monitored_checks(process):
        yield f"--{phase}"
        for probe in check.probes:
            yield from _probe_words(probe, process, options, problems)
        yield from _check_words(phase, check, process, options, problems)


def _check_runner(process: Process, options: CompileOptions, problems: Diagnostics) -> None:
    key = next((key for key in ("health", "channel", "secrets") if key in process.origins), "listen.share")
    for path in (options.python, f"{options.runtime}/run.py"):
        check_readable(path, process.origin(key), process.user, options, problems)


def _check_preload(process: Process, options: CompileOptions, problems: Diagnostics) -> None:
    if (preload := preload_of(process)) is not None:
        place = process.origin("listen.share")
        check_readable(preload_path(preload, options), place, process.user, options, problems)


def check_readable(
    path: str, place: Span, user: str | None, options: CompileOptions, problems: Diagnostics
) -> None:
    """Add an error where `user` (None: root) cannot read a file of pm-native's own."""
    if options.allow_missing:
        return
    if problem := options.host.why_not_readable(path, user):
        hint = "install pm-native for the whole host"
        message = f"the program cannot be started: {path}: {problem}"
        problems.error(place, message, code="no-runtime", hint=hint)


def _unit_words(
    process: Process,
    checks: tuple[tuple[Phase, Check], ...],
    options: CompileOptions,
    instance: str | Specifier = INSTANCE,
) -> Iterator[Text]:
    """What all checks of a program have in common; `instance` is what stands for its number."""
    if options.scope is Scope.USER:
        yield "--user"
    if process.listen.port is not None and _needs_port(checks):
        yield _port_word(process, instance)
    if any(phase is not Phase.ALIVE for phase, _ in checks):
        yield f"--start-timeout={seconds(start_timeout_usec(process))}"
    if process.health is not None and process.health.strict:
        yield "--strict"


def _needs_port(checks: tuple[tuple[Phase, Check], ...]) -> bool:
    return any(
        isinstance(probe, TcpProbe | HttpProbe) and probe.port is None
        for _, check in checks
        for probe in check.probes
    )


def _port_word(process: Process, instance: str | Specifier) -> Text:
    port = process.listen.port or 0
    if process.is_pool and not process.listen.share:
        return (f"--port={port - process.first_instance}+", instance)
    return f"--port={port}"


def _keeps_sigpipe(process: Process) -> bool:
    """Whether SIGPIPE is not ignored, as it is in any other service: Python would ignore it for the program."""
    return any(
        item.name == "IgnoreSIGPIPE"
        and item.values[-1:]
        and item.values[-1].lower() in {"no", "false", "0", "off"}
        for item in process.systemd
    )


def _probe_words(
    probe: Probe, process: Process, options: CompileOptions, problems: Diagnostics
) -> Iterator[str]:
    match probe:
        case HttpProbe():
            yield from _http_words(probe, process)
        case TcpProbe():
            yield _tcp_word(probe, process)
        case UnixProbe(path=path):
            yield f"--unix={path}"
        case ExecProbe(command=command):
            program, *arguments = resolved_probe(command, process, options, problems)
            yield f"--exec={program}"
            yield from (f"--arg={word}" for word in arguments)
        case OutputProbe(pattern=pattern):
            yield f"--output={pattern}"
            yield from _log_word(process)
        case FileProbe(path=path, max_age_usec=age):
            yield f"--file={path}"
            yield from () if age is None else (f"--max-age={seconds(age)}",)
        case MemoryProbe(limit_bytes=limit):
            yield f"--memory={format_size(limit)}"
        case NotifyProbe():
            raise TypeError("no monitor makes this probe")


def _tcp_word(probe: TcpProbe, process: Process) -> str:
    if probe.port is None and probe.host == LOCALHOST:
        return "--tcp"
    host = f"[{probe.host}]" if ":" in probe.host else probe.host
    return f"--tcp={host}:{probe.port or process.listen.port}"


def _log_word(process: Process) -> Iterator[str]:
    if process.logs.stdout != JOURNAL:
        yield f"--log={plain_path(process.logs.stdout)}"


def _http_target(probe: HttpProbe) -> Iterator[str]:
    """The URL, or the path alone on the process's own port."""
    if probe.port is None and probe.host == LOCALHOST:
        yield f"--http={probe.path}"
        if probe.tls:
            yield "--tls"
        return
    host = f"[{probe.host}]" if ":" in probe.host else probe.host
    port = "" if probe.port is None else f":{probe.port}"
    yield f"--http={'https' if probe.tls else 'http'}://{host}{port}{probe.path}"


def _http_words(probe: HttpProbe, process: Process) -> Iterator[str]:
    yield from _http_target(probe)
    socket = probe.unix
    if probe.port is None and socket is None and process.listen.path is not None:
        socket = listen_address(process)
    if socket is not None:
        yield f"--socket={socket}"
    if probe.method != "GET":
        yield f"--method={probe.method}"
    yield from (f"--header={name}: {value}" for name, value in probe.headers)
    if probe.status != HttpProbe().status:
        yield from (
            f"--status={low}-{high}" if low != high else f"--status={low}" for low, high in probe.status
        )
    if probe.body is not None:
        yield f"--body={probe.body}"
    if probe.ca is not None:
        yield f"--ca={probe.ca}"
    if not probe.verify:
        yield "--no-verify"


def _check_words(
    phase: Phase, check: Check, process: Process, options: CompileOptions, problems: Diagnostics
) -> Iterator[str]:
    if check.combine is Combine.ANY:
        yield "--any"
    yield f"--interval={seconds(check.interval_usec)}"
    yield f"--timeout={seconds(check.timeout_usec)}"
    yield f"--retries={check.retries}"
    if check.start_interval_usec != _DEFAULTS.start_interval_usec:
        yield f"--start-interval={seconds(check.start_interval_usec)}"
    if check.success != _DEFAULTS.success:
        yield f"--success={check.success}"
    if check.start_period_usec:
        yield f"--start-period={seconds(check.start_period_usec)}"
    if check.jitter_permyriad != _DEFAULTS.jitter_permyriad:
        yield f"--jitter={format_percent(check.jitter_permyriad)}"
    action = check.action
    match action.does:
        case Does.SIGNAL:
            yield f"--on-failure=signal:{action.signal}"
        case Does.EXEC:
            program, *arguments = resolved_probe(action.command, process, options, problems)
            yield f"--on-failure-run={program}"
            yield from (f"--arg={word}" for word in arguments)
        case Does.RESTART | Does.STATUS | Does.STOP as does:
            if does is not (Does.STATUS if phase is Phase.READY else Does.RESTART):
                yield f"--on-failure={does}"


def resolved_probe(
    command: tuple[str, ...], process: Process, options: CompileOptions, problems: Diagnostics
) -> tuple[str, ...]:
    """A command of a check with its program found, as that of the process is."""
    name, *arguments = command
    found = options.host.find_program(
        name, search_path(process, options), str(process.directory), process.user
    )
    if found.problem:
        report_missing(
            process.origin("health"),
            f"cannot run {name!r}: {found.problem}",
            code="program-missing",
            hint="install it, or write its absolute path",
            options=options,
            problems=problems,
        )
    return (found.path, *arguments)
