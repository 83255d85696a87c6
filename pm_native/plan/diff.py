"""Two texts of a unit file to the directives in which they differ, and what a difference asks for."""

from __future__ import annotations

from pm_native.model.names import INSTANCES_VARIABLE
from pm_native.plan.model import Change
from pm_native.unit.directive import is_resource_control
from pm_native.unit.escape import rendered
from pm_native.unit.parse import UnitSyntaxError, parse_unit

# Of services: what systemd takes up when it reloads its unit files, or when the unit ends or is reloaded.
TAKEN_UP = frozenset(
    {
        "ExecReload",
        "ExecStop",
        "ExecStopPost",
        "FinalKillSignal",
        "KillMode",
        "KillSignal",
        "NotifyAccess",
        "Restart",
        "RestartForceExitStatus",
        "RestartKillSignal",
        "RestartMaxDelaySec",
        "RestartMode",
        "RestartPreventExitStatus",
        "RestartSec",
        "RestartSteps",
        "SendSIGHUP",
        "SendSIGKILL",
        "SuccessExitStatus",
        "TimeoutAbortSec",
        "TimeoutSec",
        "TimeoutStartFailureMode",
        "TimeoutStartSec",
        "TimeoutStopFailureMode",
        "TimeoutStopSec",
    }
)

# Of sockets: what does not belong to the open descriptor.
_SOCKET_TAKEN_UP = frozenset(
    {
        "ExecStopPost",
        "ExecStopPre",
        "FlushPending",
        "MaxConnections",
        "MaxConnectionsPerSource",
        "PollLimitBurst",
        "PollLimitIntervalSec",
        "RemoveOnStop",
        "Service",
        "TimeoutSec",
        "TriggerLimitBurst",
        "TriggerLimitIntervalSec",
    }
)
# Of resource control: what is settled when the cgroup or the process is made, and not written anew at a reload.
_AT_START = frozenset(
    {
        "BPFProgram",
        "CPUPressureWatch",
        "CoredumpReceive",
        "Delegate",
        "DelegateSubgroup",
        "DisableControllers",
        "IOPressureWatch",
        "IPEgressFilterPath",
        "IPIngressFilterPath",
        "MemoryPressureThresholdSec",
        "MemoryPressureWatch",
        "NFTSet",
        "Slice",
    }
)


def changed_directives(old: str, new: str) -> tuple[Change, ...]:
    """The directives whose values differ, in the order of the new text; [Install] is systemctl's, not the unit's."""
    before, after = _values(old), _values(new)
    names = [*after, *(name for name in before if name not in after)]
    return tuple(
        Change(name, before.get(name, ""), after.get(name, ""))
        for name in names
        if before.get(name, "") != after.get(name, "")
    )


def needs_restart(changes: tuple[Change, ...]) -> bool:
    """Whether a running unit keeps the old values until it is started again.

    Only services and sockets do, and not with their limits: those, and a timer's next run, follow a reload of the
    manager at once. What [Unit] says of order and conditions counts at the next start.
    """
    return any(
        _is_kept(*change.directive.partition(".")[::2]) and not _is_count(change) for change in changes
    )


def is_live(changes: tuple[Change, ...]) -> bool:
    """Whether all that changed are limits, which are in force for what runs once the manager is reloaded.

    systemd writes every cgroup anew then (unit_deserialize_state in its src/core/unit-serialize.c), so that no
    property has to be set for the time until the next start, and none stays behind to override the unit file.
    """
    names = [change.directive.partition(".")[2] for change in changes]
    return bool(names) and all(map(_is_limit, names))


def _is_count(change: Change) -> bool:
    """Whether a pool is told of another number of its instances, which is news for those that start."""
    if change.directive != "Service.Environment":
        return False
    old, new = (
        [line for line in text.splitlines() if not line.lstrip('"').startswith(f"{INSTANCES_VARIABLE}=")]
        for text in (change.old, change.new)
    )
    return old == new


def _is_kept(section: str, name: str) -> bool:
    match section:
        case "Service":
            return name not in TAKEN_UP and not _is_limit(name)
        case "Socket":
            return name not in _SOCKET_TAKEN_UP and not _is_limit(name)
        case _:
            return section == "text"


def _is_limit(name: str) -> bool:
    return is_resource_control(name) and name not in _AT_START


def _values(text: str) -> dict[str, str]:
    """Each directive with all its values, one a line: for systemd their order is what counts."""
    try:
        unit = parse_unit(text)
    except UnitSyntaxError:
        return {"text": text}  # somebody's broken edit: all of it differs
    values: dict[str, list[str]] = {}
    for setting in unit.settings():
        directive = setting.directive
        if directive.section != "Install":
            values.setdefault(f"{directive.section}.{directive.name}", []).append(rendered(setting))
    return {name: "\n".join(lines) for name, lines in values.items()}
