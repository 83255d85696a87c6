"""Two texts of a unit file to the directives in which they differ, and what a difference asks for."""

from __future__ import annotations

from pm_native.plan.model import Change
from pm_native.unit.escape import rendered
from pm_native.unit.parse import UnitSyntaxError, parse_unit

# What systemd takes up when it reloads its unit files, or when the unit ends or is reloaded.
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

    Only services do: a slice's limits and a timer's next run follow a reload of the manager at once, and what
    [Unit] says of order and conditions counts at the next start.
    """
    return any(
        section in {"Service", "text"} and name not in TAKEN_UP
        for section, _, name in (change.directive.partition(".") for change in changes)
    )


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
