"""What a service may use, in systemd's words: of a pool each instance, as of compose each container."""

from __future__ import annotations

import re

from pm_native.importers.tree import Entries, scalar_text, unset_hint
from pm_native.model.project import Limits, PassThrough
from pm_native.model.quantity import format_percent, format_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pm_native.errors import Diagnostics, Span
    from pm_native.syntax.node import Node

_SIZE = re.compile(r"\s*(?P<number>[0-9]{1,18}(?:\.[0-9]{1,6})?)\s*(?P<unit>[kmgt]?)i?b?\s*", re.IGNORECASE)
_UNITS = {"": 0, "k": 10, "m": 20, "g": 30, "t": 40}
_ULIMITS = {
    "core": "CORE", "cpu": "CPU", "data": "DATA", "fsize": "FSIZE", "locks": "LOCKS", "memlock": "MEMLOCK",
    "msgqueue": "MSGQUEUE", "nice": "NICE", "nofile": "NOFILE", "nproc": "NPROC", "rss": "RSS", "rtprio": "RTPRIO",
    "rttime": "RTTIME", "sigpending": "SIGPENDING", "stack": "STACK",
}  # fmt: skip


def size_of(entries: Entries, key: str) -> int | None:
    """A size as docker writes it: `512m`, `1gb`, or bytes."""
    text = entries.text(key)
    if text is None:
        return None
    match = _SIZE.fullmatch(text)
    if match is None:
        node = entries.entries[key]
        hint = unset_hint(node, "such as 512m, 1g, or bytes")
        entries.problems.error(node.span, f"{key}: {text!r} is no size", code="bad-size", hint=hint)
        return None
    return int(float(match["number"]) * (1 << _UNITS[match["unit"].lower()]))


class Resources:
    """Reads the resources of one service; `origins` gets the place of what was set."""

    def __init__(
        self, service: Entries, origins: dict[str, Span], problems: Diagnostics, *, is_pool: bool
    ) -> None:
        self.service = service
        resources = service.table("deploy").table("resources")
        self.limits_table = resources.table("limits")
        self.reservations = resources.table("reservations")
        self.origins = origins
        self.problems = problems
        self.is_pool = is_pool
        self.memory = self._first_size(("memory", self.limits_table), ("mem_limit", service))
        self.cpu = self._cpu()
        self.tasks = self._tasks()

    def limits(self) -> Limits:
        """The limits, where they are those of one instance and of all."""
        if self.is_pool:
            return Limits()
        places = {
            "memory": ("memory", "mem_limit"),
            "cpu": ("cpus", "cpu_quota"),
            "tasks": ("pids", "pids_limit"),
        }
        for name, (inner, outer) in places.items():
            table = self.limits_table if inner in self.limits_table else self.service
            if inner in table or outer in table:
                self.origins[f"limits.{name}"] = table.place(inner, outer)
        return Limits(memory_bytes=self.memory, cpu_permyriad=self.cpu, tasks=self.tasks)

    def directives(self) -> Iterator[PassThrough]:
        """What the model has no word for."""
        service = self.service
        if self.is_pool:
            for name, value in (
                ("MemoryMax", format_size(self.memory) if self.memory else None),
                ("CPUQuota", format_percent(self.cpu) if self.cpu else None),
                ("TasksMax", self.tasks),
            ):
                if value is not None:
                    yield self._service(name, str(value), self.limits_table.node.key)
        low = self._first_size(("memory", self.reservations), ("mem_reservation", service))
        if low is not None:
            table = self.reservations if "memory" in self.reservations else service
            yield self._service("MemoryLow", format_size(low), table.place("memory", "mem_reservation"))
        swap = size_of(service, "memswap_limit") if service.text("memswap_limit") != "-1" else None
        if swap is not None and self.memory is not None:
            place = service.place("memswap_limit")
            yield self._service("MemorySwapMax", format_size(max(swap - self.memory, 0)), place)
        yield from self._shares()
        for name, node in service.table("ulimits"):
            yield from self._ulimit(name, node)

    def _shares(self) -> Iterator[PassThrough]:
        """Which CPUs, and who comes first."""
        service = self.service
        if cpus := service.text("cpuset"):
            yield self._service("AllowedCPUs", cpus, service.place("cpuset"))
        if shares := service.whole("cpu_shares", 0, 262_144):
            weight = min(max(round(shares * 100 / 1024), 1), 10_000)
            yield self._service("CPUWeight", str(weight), service.place("cpu_shares"))
        blkio = service.table("blkio_config")
        if (io_weight := blkio.whole("weight", 10, 1000)) is not None:
            yield self._service("IOWeight", str(io_weight), blkio.place("weight"))
        if (score := service.whole("oom_score_adj", -1000, 1000)) is not None:
            yield self._service("OOMScoreAdjust", str(score), service.place("oom_score_adj"))

    def _ulimit(self, name: str, node: Node) -> Iterator[PassThrough]:
        if name not in _ULIMITS:
            hint = f"one of {', '.join(_ULIMITS)}"
            self.problems.error(node.key, f"unknown ulimit {name!r}", code="unknown-value", hint=hint)
            return
        if isinstance(node.value, dict):
            table = Entries(node, self.problems, f"ulimits.{name}")
            values = (table.text("soft"), table.text("hard"))
        else:
            values = (scalar_text(node), None)
        texts = ["infinity" if value == "-1" else value for value in values if value is not None]
        if not texts or not all(text == "infinity" or text.isdecimal() for text in texts):
            message, hint = f"ulimits.{name}: no limit", "a whole number, or { soft: N, hard: N }"
            self.problems.error(node.span, message, code="wrong-type", hint=hint)
            return
        yield self._service(f"Limit{_ULIMITS[name]}", ":".join(texts), node.key)

    def _service(self, name: str, value: str, span: Span) -> PassThrough:
        return PassThrough(section="Service", name=name, values=(value,), span=span)

    def _first_size(self, *places: tuple[str, Entries]) -> int | None:
        for key, table in places:
            if (size := size_of(table, key)) is not None:
                return size or None
        return None

    def _cpu(self) -> int | None:
        table = self.limits_table if "cpus" in self.limits_table else self.service
        cpus = table.number("cpus")
        if cpus is None and (quota := self.service.number("cpu_quota")):
            period = self.service.number("cpu_period") or 100_000
            cpus = quota / period
        if not cpus:
            return None
        if not 0 < cpus <= 10_000:
            place, hint = table.place("cpus", "cpu_quota"), "a number of CPUs, such as 0.5"
            self.problems.error(place, f"cpus: out of range: {cpus:g}", code="out-of-range", hint=hint)
            return None
        return max(round(cpus * 10_000), 100)

    def _tasks(self) -> int | None:
        table, key = (
            (self.limits_table, "pids") if "pids" in self.limits_table else (self.service, "pids_limit")
        )
        count = table.whole(key, -1, 1 << 30)
        return count if count and count > 0 else None
