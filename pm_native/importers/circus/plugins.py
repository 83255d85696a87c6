"""The plugins of circus: what flapping and ResourceWatcher ask of watchers, and what becomes of the others."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field

from pm_native.importers.circus.fields import PLUGIN_KEYS, RESOURCE_KEYS
from pm_native.model.health import Check, MemoryProbe
from pm_native.model.project import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pm_native.errors import Diagnostics, Span
    from pm_native.importers.circus.values import Values

_SIZE = re.compile(r"(?P<number>\d{1,12}(?:\.\d{1,6})?)\s*(?P<unit>[BKMGT])", re.IGNORECASE)
_PERCENT = re.compile(r"(\d{1,3}(?:\.\d{1,6})?)\s*%?")
_UNITS = {"B": 0, "K": 10, "M": 20, "G": 30, "T": 40}
_LOOP_SEC, _MAX_COUNT = 60, 3
_OTHERS = {
    "WatchDog": "a program that speaks sd_notify(3) is watched by WatchdogSec=, others by a health check",
    "HttpObserver": "a health check does: `health` in the native config",
    "RedisObserver": "a health check does: `health` in the native config, with a command",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Flapping:
    """When a watcher counts as flapping and is given up."""

    attempts: int = 2
    window: float = 1
    max_retry: int = 5


@dataclass(slots=True)
class PluginReader:
    """Reads `[plugin:x]` sections: `reloader` is where programs are asked to restart when they change, `memory` gets the check of each watcher's memory, by its name in small letters."""

    problems: Diagnostics
    flapping: Flapping | None = None
    reloader: Span | None = None
    memory: dict[str, Check] = field(default_factory=dict)

    def read(self, values: Values) -> None:
        """One section."""
        section = values.section
        use = (values.text("use") or "").strip().rpartition(".")[2]
        if use == "Flapping" or section.name == "plugin:flapping":
            self._flapping(values)
        elif use == "ResourceWatcher":
            self._resources(values)
        elif use == "CommandReloader":
            self.reloader = self.reloader or section.span
        else:
            hint = _OTHERS.get(use, "find out what it does for you: it runs in no program of ours")
            name = section.name.removeprefix("plugin:")
            message = f"{name}: the plugin {use or 'without `use`'} is left out"
            self.problems.warning(section.span, message, code="circus-plugin", hint=hint, lost=True)

    def _flapping(self, values: Values) -> None:
        values.tell_unknown(PLUGIN_KEYS, (), "the flapping plugin")
        usual = Flapping()
        if values.flag("active", default=True):
            self.flapping = Flapping(
                attempts=int(values.number("attempts", usual.attempts, 1)),
                window=values.number("window", usual.window),
                max_retry=int(values.number("max_retry", usual.max_retry, -1)),
            )
        values.number("retry_in", 7)
        message = "flapping: a program that ends too often is given up; there is no longer wait before that"
        hint = "systemctl reset-failed UNIT, then start; `delay` and `max_delay` of the native config wait"
        self.problems.note(values.section.span, message, code="circus-flapping", hint=hint)

    def _resources(self, values: Values) -> None:
        """ResourceWatcher: memory is a check, what is said in percent of this host's."""
        values.tell_unknown(RESOURCE_KEYS, (), "ResourceWatcher")
        watcher = (values.text("watcher") or values.text("service") or "").strip().lower()
        text = (values.text("max_mem") or "").strip()
        size = self._size(text, values)
        if not watcher or size is None:
            hint = "watcher = NAME and max_mem = 200M; limits do the rest: `limits` in the native config, CPUQuota="
            message = "ResourceWatcher: only memory of a watcher is looked after"
            self.problems.warning(values.section.span, message, code="circus-plugin", hint=hint, lost=True)
            return
        for key in ("max_cpu", "min_cpu", "min_mem"):
            if values.section.get(key) is not None:
                message = f"{key}: nothing looks at that"
                hint = "`limits` in the native config: CPUQuota= keeps a program below it"
                self.problems.warning(values.place(key), message, code="circus-plugin", hint=hint, lost=True)
        self.memory[watcher] = Check(
            probes=(MemoryProbe(limit_bytes=size),),
            interval_usec=int(max(values.number("loop_rate", _LOOP_SEC), 1) * SECOND),
            retries=min(max(int(values.number("max_count", _MAX_COUNT)), 1), 1000),
            span=values.place("max_mem"),
        )

    def _size(self, text: str, values: Values) -> int | None:
        """Bytes: as they are said, or so many percent of the memory that this host has."""
        if match := _SIZE.fullmatch(text):
            return int(float(match["number"]) * (1 << _UNITS[match["unit"].upper()]))
        percent = _PERCENT.fullmatch(text)
        if percent is None or not 0 < float(percent[1]) <= 100:
            return None
        whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        size = int(whole * float(percent[1]) / 100) >> 20 << 20
        message = f"max_mem: {percent[1]} percent of the memory of this host are {size >> 20}M"
        hint = "write the size itself, where the host that it is for has another"
        self.problems.note(values.place("max_mem"), message, code="circus-memory", hint=hint)
        return size
