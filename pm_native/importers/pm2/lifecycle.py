"""When an app is restarted, how it is stopped, what it may use: PM2's rules in systemd's terms."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from pm_native.model.health import Check, Health, MemoryProbe
from pm_native.model.project import (
    SECOND,
    Channel,
    Limits,
    ProcessKind,
    Restart,
    RestartPolicy,
    Stop,
    StopMode,
)
from pm_native.model.quantity import QuantityError, format_duration, parse_signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pm_native.errors import Diagnostics, Span
    from pm_native.importers.pm2.values import App

_MSEC = 1_000
LISTEN_TIMEOUT_MS = 3000.0  # PM2's own
_MAX_RESTARTS, _MIN_UPTIME_MS, _KILL_TIMEOUT_MS = 16, 1000, 1600  # PM2's defaults
_BACKOFF_FACTOR, _BACKOFF_MAX_MS = 1.5, 15_000
_COUNT_MAX = 1_000_000  # more is "no limit"
_EXACT_MS = 10_000  # a longer window is one of whole seconds
_MEMORY_INTERVAL_SEC = 30  # as often as PM2 looks
_MEMORY = re.compile(r"(?P<number>\d+)(?P<unit>[GMK]?)")
_MEMORY_LOOSE = re.compile(r"\s*(?P<number>\d+)\s*(?P<unit>[gmk])i?b?\s*", re.IGNORECASE)
_MEMORY_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
_MEMORY_MIN = 4 << 20  # no interpreter starts in less
_UPTIME = re.compile(r"(?P<number>\d+)(?P<unit>[hms]?)")
_UPTIME_UNITS = {"h": 3_600_000, "m": 60_000, "s": 1000, "": 1}


@dataclass(slots=True)
class Lifecycle:
    """Reads the lifecycle keys of one app; `origins` gets the place of each value that was set."""

    app: App
    environ: Mapping[str, str]
    origins: dict[str, Span]
    problems: Diagnostics

    def restart(self) -> Restart:
        """Restart=, the delays, the limit and the codes that end it."""
        if not self.app.flag("autorestart", default=True):
            self._origin("restart.policy", "autorestart")
            return Restart(policy=RestartPolicy.NO, prevent_codes=self.stop_codes())
        self._origin("restart.policy", "autorestart")
        self._origin("restart.delay", "restart_delay")
        delay_ms = self._milliseconds("restart_delay", 0)
        backoff_ms = self._milliseconds("exp_backoff_restart_delay", 0)
        max_delay_usec, steps = None, None
        if backoff_ms:
            self._origin("restart.delay", "exp_backoff_restart_delay")
            self._origin("restart.max_delay", "exp_backoff_restart_delay")
            delay_ms = backoff_ms
            if backoff_ms < _BACKOFF_MAX_MS:
                max_delay_usec = _BACKOFF_MAX_MS * _MSEC
                steps = max(1, round(math.log(_BACKOFF_MAX_MS / backoff_ms) / math.log(_BACKOFF_FACTOR)))
                self._tell_backoff()
        starts = self._max_restarts()
        uptime_ms = self._min_uptime()
        limit: int | None = starts - 1
        window_ms = _window_ms(starts, uptime_ms, delay_ms, is_growing=steps is not None)
        if starts >= _COUNT_MAX:
            limit, window_ms = None, 0
        return Restart(
            delay_usec=int(delay_ms * _MSEC),
            max_delay_usec=max_delay_usec,
            steps=steps,
            limit=limit,
            window_usec=int(window_ms * _MSEC),
            prevent_codes=self.stop_codes(),
        )

    def _tell_backoff(self) -> None:
        hint = "`systemctl reset-failed UNIT` starts it over; restart_delay waits the same time always"
        message = "PM2 starts the growing delay over after 30 s of uptime; systemd keeps it at 15 s once it got there"
        place = self.app.place("exp_backoff_restart_delay")
        self.problems.warning(place, message, code="pm2-backoff", hint=hint)

    def _max_restarts(self) -> int:
        self._origin("restart.limit", "max_restarts")
        count = self.app.number("max_restarts")
        if count is None:
            return _MAX_RESTARTS
        if count < 0:
            hint = "PM2 starts none of the apps with this value"
            self.problems.error(
                self.app.place("max_restarts"),
                f"max_restarts cannot be negative: {count:g}",
                code="out-of-range",
                hint=hint,
            )
            return _MAX_RESTARTS
        return max(1, int(min(count, _COUNT_MAX)))

    def _min_uptime(self) -> float:
        self._origin("restart.window", "min_uptime")
        value = self.app.values.get("min_uptime")
        place = self.app.place("min_uptime")
        if isinstance(value, str):
            match = _UPTIME.fullmatch(value)
            if match is None:
                hint = "a number of milliseconds, or a whole number with s, m or h"
                self.problems.error(
                    place, f"min_uptime: {value!r} is no time to PM2", code="bad-duration", hint=hint
                )
                return _MIN_UPTIME_MS
            return min(float(match["number"][:15]) * _UPTIME_UNITS[match["unit"]], 1e12)
        number = self.app.number("min_uptime")
        if number is None:
            return _MIN_UPTIME_MS
        if number < 100:
            hint = f"it counts milliseconds: write '{number:g}s' for seconds"
            self.problems.error(
                place,
                f"min_uptime: PM2 takes no less than 100, not {number:g}",
                code="out-of-range",
                hint=hint,
            )
            return _MIN_UPTIME_MS
        return min(number, 1e12)

    def stop_codes(self) -> tuple[int, ...]:
        """The exit codes after which the app stays down."""
        if not self.app.has("stop_exit_codes"):
            return ()
        self._origin("restart.prevent_codes", "stop_exit_codes")
        self._origin("stop.success_codes", "stop_exit_codes")
        value = self.app.values["stop_exit_codes"]
        codes = []
        for item in value if isinstance(value, list) else [value]:
            text = str(item).strip()
            if not text.isdecimal() or int(text[:9]) > 255:
                hint = "exit codes are whole numbers from 0 to 255: stop_exit_codes: [0, 2]"
                message = f"stop_exit_codes: {text!r} is no exit code"
                self.problems.error(
                    self.app.place("stop_exit_codes"), message, code="out-of-range", hint=hint
                )
            elif int(text) not in codes:
                codes.append(int(text))
        if 0 in codes:
            hint = "that is what most owners mean"
            message = (
                "PM2 takes a death by a signal for code 0 and lets the app stay down; here it is restarted"
            )
            if self.app.flag("autorestart", default=True):
                self.problems.note(
                    self.app.place("stop_exit_codes"), message, code="pm2-stop-codes", hint=hint
                )
        return tuple(sorted(codes))

    def stop(self, prevent_codes: tuple[int, ...]) -> Stop:
        """The stop signal, whom it reaches, and the wait before SIGKILL."""
        self._origin("stop.timeout", "kill_timeout")
        timeout_ms = self._milliseconds("kill_timeout", _KILL_TIMEOUT_MS)
        mode = StopMode.GROUP
        if not self.app.flag("treekill", default=True):
            self._origin("stop.mode", "treekill")
            mode = StopMode.MIXED
            message = "treekill: false leaves children running; here the signal reaches the program alone, and what is left is killed"
            hint = "KillMode=process in a drop-in keeps them: systemctl edit UNIT"
            self.problems.warning(self.app.place("treekill"), message, code="pm2-treekill", hint=hint)
        return Stop(
            signal=self._signal(),
            timeout_usec=int(timeout_ms * _MSEC),
            mode=mode,
            success_codes=prevent_codes,
        )

    def _signal(self) -> str:
        """SIGINT, or what PM2_KILL_SIGNAL says."""
        text = self.environ.get("PM2_KILL_SIGNAL")
        if not text:
            return "SIGINT"
        try:
            return parse_signal(text)
        except QuantityError as error:
            place = self.app.node.span.source.whole()
            hint = "unset it, or give it a signal such as SIGTERM"
            self.problems.error(place, f"PM2_KILL_SIGNAL: {error.message}", code="bad-signal", hint=hint)
            return "SIGINT"

    def _milliseconds(self, key: str, default: float) -> float:
        number = self.app.number(key)
        if number is None:
            return default
        if number < 0:
            hint = "it counts milliseconds, from 0 up"
            self.problems.error(
                self.app.place(key), f"{key} cannot be negative: {number:g}", code="out-of-range", hint=hint
            )
            return default
        if 0 < number < 100:
            hint = f"for seconds write {number * 1000:g}"
            message = f"{key} counts milliseconds: this is {format_duration(int(number * _MSEC))}"
            self.problems.warning(self.app.place(key), message, code="pm2-milliseconds", hint=hint)
        return min(number, 1e12)

    def memory_bytes(self) -> int | None:
        """What max_memory_restart says."""
        value = self.app.values.get("max_memory_restart")
        place = self.app.place("max_memory_restart")
        if isinstance(value, str):
            match = _MEMORY.fullmatch(value)
            if match is None:
                loose = _MEMORY_LOOSE.fullmatch(value)
                hint = (
                    f"write '{loose['number']}{loose['unit'].upper()}'"
                    if loose
                    else "such as '300M', '1G' or bytes"
                )
                message = (
                    f"max_memory_restart: {value!r} is no size to PM2, which then starts none of the apps"
                )
                self.problems.error(place, message, code="bad-size", hint=hint)
                return None
            size = int(match["number"][:12]) * _MEMORY_UNITS[match["unit"]]
        else:
            number = self.app.number("max_memory_restart")
            if number is None:
                return None
            size = int(min(max(number, 0), 1 << 60))
        if size < _MEMORY_MIN:
            hint = f"write '{size}M' for megabytes"
            message = f"max_memory_restart: {size} bytes are too few for any program, and left out"
            self.problems.warning(place, message, code="pm2-memory", hint=hint)
            return None
        return size

    def memory(self, kind: ProcessKind) -> tuple[Limits, Health | None]:
        """What keeps the memory of a process, or of each instance, below max_memory_restart: a check, of a job a limit."""
        size = self.memory_bytes()
        if size is None:
            return Limits(), None
        place = self.app.place("max_memory_restart")
        if kind is ProcessKind.TASK:
            self._origin("limits.memory", "max_memory_restart")
            message = (
                "max_memory_restart of a job becomes a hard limit (MemoryMax=): the kernel ends it at once"
            )
            hint = "leave room above what PM2 was told: children and page cache count"
            self.problems.warning(place, message, code="pm2-memory", hint=hint)
            return Limits(memory_bytes=size), None
        self._origin("health", "max_memory_restart")
        message = "max_memory_restart counts the children of the program too, which PM2 does not see"
        hint = "raise it, if the program has some"
        self.problems.note(place, message, code="pm2-memory", hint=hint)
        check = Check(
            probes=(MemoryProbe(limit_bytes=size),),
            interval_usec=_MEMORY_INTERVAL_SEC * SECOND,
            retries=1,
            span=place,
        )
        return Limits(), Health(alive=check)

    def schedule(self) -> tuple[ProcessKind, tuple[str, ...]]:
        """A task with its schedule, for what PM2 starts by cron and does not restart; else a service, and when it is restarted."""
        from pm_native.model.calendar import CalendarError, translate_croner  # noqa: PLC0415 - rarely used

        value = self.app.values.get("cron_restart")
        if value is None or value in {0, "0"}:
            return ProcessKind.SERVICE, ()
        place = self.app.place("cron_restart")
        try:
            lines = translate_croner(str(value))
        except CalendarError as error:
            span = (
                place.part(1 + error.position, error.length)
                if self._is_literal(place, str(value))
                else place
            )
            self.problems.error(span, f"cron_restart: {error.message}", code="bad-schedule", hint=error.hint)
            return ProcessKind.SERVICE, ()
        if self.app.flag("autorestart", default=True):
            message = f"cron_restart: a timer of its own restarts the program at {' and '.join(lines)}, where it runs"
            hint = "PM2 starts a stopped one, too; a job that ends by itself takes autorestart: false"
            self.problems.note(place, message, code="pm2-cron-restart", hint=hint)
            return ProcessKind.SERVICE, lines
        self._origin("schedule", "cron_restart")
        self._origin("kind", "cron_restart")
        message = "PM2 runs the job at each `pm2 start` too, and kills one that still runs when its time comes again"
        hint = "here the timer alone starts it, and lets it come to its end; run it by hand: systemctl start UNIT"
        self.problems.note(place, message, code="pm2-cron-job", hint=hint)
        return ProcessKind.TASK, lines

    def _is_literal(self, place: Span, text: str) -> bool:
        """Whether the value stands in the source as a string, so that a part of it can be pointed at."""
        return place.source.line(place.line)[place.column : place.column + len(text)] == text

    def channel(self, kind: ProcessKind) -> Channel | None:
        """PM2's messages: the program says that it is ready, or is asked to end by one."""
        ready = self.app.flag("wait_ready", default=False)
        shutdown = self.app.flag("shutdown_with_message", default=False)
        if not ready and self.app.has("listen_timeout"):
            hint = "it can go"
            message = "listen_timeout has no meaning here: it belongs to wait_ready and to `pm2 reload`"
            self.problems.note(self.app.place("listen_timeout"), message, code="pm2-ignored", hint=hint)
        if not (ready or shutdown):
            return None
        if kind is ProcessKind.TASK:
            place = self.app.place("wait_ready" if ready else "shutdown_with_message")
            hint = "take it out"
            self.problems.note(place, "a job of a timer gets no messages", code="pm2-ignored", hint=hint)
            return None
        self._origin("channel.ready", "wait_ready")
        self._origin("channel.ready_timeout", "listen_timeout")
        self._origin("channel.shutdown", "shutdown_with_message")
        # PM2 takes a program that says nothing as ready.
        timeout_ms = (self._milliseconds("listen_timeout", 0) or LISTEN_TIMEOUT_MS) if ready else None
        return Channel(
            ready=ready,
            ready_timeout_usec=None if timeout_ms is None else int(timeout_ms * _MSEC),
            shutdown=shutdown,
        )

    def _origin(self, path: str, key: str) -> None:
        if self.app.has(key):
            self.origins[path] = self.app.place(key)


def _window_ms(starts: int, uptime_ms: float, delay_ms: float, *, is_growing: bool) -> float:
    """The time within which so many starts are too many: each may live for `uptime_ms` and waits for its delay."""
    waits, delay = 0.0, delay_ms
    for _ in range(min(starts, 100)):
        waits += delay
        delay = min(delay * _BACKOFF_FACTOR, _BACKOFF_MAX_MS) if is_growing else delay
    waits += delay * max(starts - 100, 0)
    window_ms = min(starts * uptime_ms + waits, 1e15)
    return math.ceil(window_ms / 1000) * 1000.0 if window_ms > _EXACT_MS else window_ms
