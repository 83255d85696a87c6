"""The figures and states of the process table, in words short enough for its columns."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pm_native.monitor.table import UnitStatus

UNKNOWN = "-"
_RESULTS = {
    "timeout": "timed out",
    "watchdog": "no sign of life in time",
    "oom-kill": "out of memory",
    "start-limit-hit": "restarted too often",
    "resources": "resources unavailable",
    "protocol": "did not start as its type asks",
    "core-dump": "dumped core",
}
_STEPS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))
_UNITS = ("K", "M", "G", "T")


def state_words(row: UnitStatus, now_sec: float) -> str:
    """The state as systemctl prints it, with why it failed and what is next; `now_sec` since the epoch."""
    if row.load_state in {"masked", "not-found"}:
        return "masked" if row.load_state == "masked" else "not loaded"
    if row.load_state in {"bad-setting", "error"}:
        return "unit file cannot be loaded"
    ended = ", ".join(filter(None, (_RESULTS.get(row.result, ""), row.exit.partition(":")[0])))
    if row.active_state == "failed":
        words = f"failed ({ended or row.result or row.sub_state})"
    elif row.sub_state.startswith("auto-restart"):
        words = f"waiting for restart ({ended or 'it ended'})"
    elif row.timer is not None and row.active_state == "inactive":
        words = "scheduled" if row.timer.active_state == "active" else "schedule stopped"
    else:
        words = f"{row.active_state} ({row.sub_state})"
    if row.timer is not None and row.timer.next_elapse_sec is not None:
        words += f", next in {duration_words(max(0.0, row.timer.next_elapse_sec - now_sec))}"
    if row.job and row.active_state not in {"activating", "deactivating"}:
        words += f", {row.job} queued"
    return words


def duration_words(seconds: float | None) -> str:
    """A time span in its two largest units: `3d 4h`, `5min 2s`, `12s`."""
    if seconds is None:
        return UNKNOWN
    rest = int(seconds)
    parts: list[str] = []
    for size, unit in _STEPS:
        count, rest = divmod(rest, size)
        if count or parts:
            parts.append(f"{count}{unit}" if count else "")
        if len(parts) == 2:
            break
    return " ".join(filter(None, parts)) or "0s"


def size_words(size: int | None) -> str:
    """A number of bytes with one decimal, as systemctl prints it: `52.1M`."""
    if size is None:
        return UNKNOWN
    value = float(size)
    unit = "B"
    for larger in _UNITS:
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return f"{size}B" if unit == "B" else f"{value:.1f}{unit}"


def share_words(share: float | None) -> str:
    """A share of a CPU in percent: `12.5%`, `150%`."""
    if share is None:
        return UNKNOWN
    return f"{share * 100:.1f}%" if share < 1 else f"{share * 100:.0f}%"
