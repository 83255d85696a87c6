"""Health checks to the `health` table of a native config."""

from __future__ import annotations

from dataclasses import fields, replace

from pm_native.config.write_command import command_text
from pm_native.errors import NOWHERE
from pm_native.model.health import (
    LOCALHOST,
    Action,
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
from pm_native.model.quantity import format_duration, format_percent, format_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pm_native.model.health import Health, Probe
    from pm_native.syntax.toml_write import Value

    Values = dict[str, Value]

_STATUS = Action(does=Does.STATUS)
_PERIODS = {
    "interval": "interval_usec",
    "start_interval": "start_interval_usec",
    "timeout": "timeout_usec",
    "start_period": "start_period_usec",
}


def health_table(health: Health) -> Values:
    """The table: one check where ready and alive ask the same, a table for each phase otherwise."""
    found: Values = {}
    ready, alive = health.ready, health.alive
    is_one = (
        health.startup is None
        and ready is not None
        and alive is not None
        and ready.action == _STATUS
        and alive.action == Action()
        and replace(ready, action=alive.action, span=alive.span) == alive
        and not any(isinstance(probe, OutputProbe | MemoryProbe | NotifyProbe) for probe in ready.probes)
    )
    if is_one and alive is not None:
        found |= _check(alive, Phase.ALIVE)
    else:
        found |= {phase.value: _check(check, phase) for phase, check in health.checks}
    if health.strict:
        found["strict"] = True
    return found


def _check(check: Check, phase: Phase) -> Values:
    default = Check(probes=(), span=NOWHERE)
    probes = [_probe(probe) for probe in check.probes]
    found: Values = dict(probes[0]) if len(probes) == 1 and check.combine is Combine.ALL else {
        check.combine.value: probes
    }  # fmt: skip
    for key, name in _PERIODS.items():
        if getattr(check, name) != getattr(default, name):
            found[key] = format_duration(getattr(check, name))
    for key in ("retries", "success"):
        if getattr(check, key) != getattr(default, key):
            found[key] = getattr(check, key)
    if check.jitter_permyriad != default.jitter_permyriad:
        found["jitter"] = format_percent(check.jitter_permyriad)
    if check.action != Action(does=Does.STATUS if phase is Phase.READY else Does.RESTART):
        found["action"] = _action(check.action)
    return found


def _action(action: Action) -> Value:
    match action.does:
        case Does.SIGNAL:
            return {"signal": action.signal}
        case Does.EXEC:
            return {"exec": list(action.command)}
        case does:
            return does.value


def _probe(probe: Probe) -> Values:
    match probe:
        case HttpProbe():
            return {"http": _http(probe)}
        case TcpProbe(host=host, port=port):
            own: Value = True if port is None else port
            return {"tcp": own if host == LOCALHOST else {"port": own, "host": host}}
        case UnixProbe(path=path):
            return {"unix": path}
        case ExecProbe(command=command):
            return {"exec": command_text(command)}
        case OutputProbe(pattern=pattern):
            return {"output": pattern}
        case FileProbe(path=path, max_age_usec=age):
            return {"file": path if age is None else {"path": path, "max_age": format_duration(age)}}
        case MemoryProbe(limit_bytes=size):
            return {"memory": format_size(size)}
        case NotifyProbe():
            return {"notify": True}


def _http(probe: HttpProbe) -> Value:
    found: Values = {"url": probe.path}
    if probe.port is not None and probe.unix is None:
        host = f"[{probe.host}]" if ":" in probe.host else probe.host
        scheme = "https" if probe.tls else "http"
        port = "" if probe.port == (443 if probe.tls else 80) else f":{probe.port}"
        found["url"] = f"{scheme}://{host}{port}{probe.path}"
    elif probe.tls:
        found["tls"] = True
    default = HttpProbe()
    for field in fields(probe):
        if field.name in {"unix", "method", "body", "ca", "verify"}:
            value = getattr(probe, field.name)
            if value != getattr(default, field.name):
                found[field.name] = value
    if probe.headers:
        found["headers"] = dict(probe.headers)
    if probe.status != default.status:
        found["status"] = [low if low == high else f"{low}-{high}" for low, high in probe.status]
    return found["url"] if found.keys() == {"url"} else found
