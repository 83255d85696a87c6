"""When a process of process-compose's runs, is restarted, and how it is stopped."""

from __future__ import annotations

import re

from pm_native.importers.tree import scalar_text
from pm_native.model.project import SECOND, PassThrough, ProcessKind, Restart, RestartPolicy, Stop, StopMode
from pm_native.model.quantity import INFINITY, QuantityError, parse_duration, parse_signal
from pm_native.model.watch import Watch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pm_native.errors import Diagnostics, Span
    from pm_native.importers.tree import Entries

_INTERVAL = re.compile(r"(?P<number>[1-9][0-9]{0,3})(?P<unit>[smh])")
_PER = {"s": (60, "*:*:0/{}"), "m": (60, "*:0/{}"), "h": (24, "0/{}:00")}


class Lifecycle:
    """Reads the lifecycle of one process; `origins` gets the place of what was set."""

    def __init__(
        self, own_name: str, process: Entries, origins: dict[str, Span], problems: Diagnostics
    ) -> None:
        self.own_name = own_name
        self.entries = process
        self.origins = origins
        self.problems = problems

    def schedule(self) -> tuple[tuple[str, ...], tuple[PassThrough, ...]]:
        """When it runs, and what its timer says besides."""
        from pm_native.model.calendar import CalendarError, check_calendar, translate_cron  # noqa: PLC0415 - rarely

        schedule = self.entries.table("schedule")
        if not schedule.entries:
            return (), ()
        self.origins["schedule"] = self.origins["kind"] = self.entries.place("schedule")
        timer: tuple[PassThrough, ...] = ()
        if schedule.flag("run_on_start"):
            place = schedule.place("run_on_start")
            timer = (PassThrough(section="Timer", name="OnActiveSec", values=("0",), span=place),)
        zone = schedule.text("timezone")
        try:
            cron = schedule.text("cron")
            lines = translate_cron(cron) if cron else self._interval(schedule)
            return tuple(check_calendar(f"{line} {zone}" if zone else line) for line in lines), timer
        except CalendarError as error:
            place = schedule.place("cron", "timezone")
            self.problems.error(place, f"schedule: {error.message}", code="bad-schedule", hint=error.hint)
            return (), ()

    def _interval(self, schedule: Entries) -> tuple[str, ...]:
        text = schedule.text("interval") or ""
        match = _INTERVAL.fullmatch(text)
        number, (whole, line) = (int(match["number"]), _PER[match["unit"]]) if match else (0, (1, ""))
        if match is not None and (number < whole and whole % number == 0):
            return (line.format(number),)
        if match is not None and number == whole:
            return {"s": ("*:*:00",), "m": ("*:00",), "h": ("00:00",)}[match["unit"]]
        hint = "an interval that divides a minute, an hour or a day, such as 30s, 5m or 6h; or cron:"
        message = f"schedule: no calendar has the interval {text!r}"
        self.problems.error(schedule.place("interval"), message, code="bad-schedule", hint=hint)
        return ()

    def watch(self, *, is_scheduled: bool) -> Watch | None:
        """Which files restart it when they change."""
        table = self.entries.table("watch")
        patterns = tuple(word for word in table.words("paths") if word)
        if not patterns:
            return None
        if is_scheduled:
            message = "watch: a process with a schedule is not restarted when its files change"
            place = self.entries.place("watch")
            self.problems.warning(
                place, message, code="process-compose-watch", hint="the next run has them", lost=True
            )
            return None
        self.origins["watch"] = self.entries.place("watch")
        delay_usec = Watch(patterns=()).delay_usec
        if (text := table.text("debounce")) is not None:
            try:
                delay_usec = parse_duration(text)
            except QuantityError as error:
                hint = error.hint or "such as 300ms"
                place = table.entries["debounce"].span
                self.problems.error(place, f"debounce: {error.message}", code="bad-duration", hint=hint)
        return Watch(patterns=patterns, delay_usec=delay_usec)

    def success_codes(self) -> tuple[int, ...]:
        """The exit codes that are no failure."""
        codes = set()
        if "success_exit_codes" in self.entries:
            self.origins["stop.success_codes"] = self.entries.place("success_exit_codes")
        for item in self.entries.items("success_exit_codes"):
            text = scalar_text(item)
            if text.isdecimal() and int(text[:9]) <= 255:
                codes.add(int(text))
            else:
                hint = "exit codes are whole numbers from 0 to 255"
                message = f"success_exit_codes: {text!r} is no exit code"
                self.problems.error(item.span, message, code="out-of-range", hint=hint)
        return tuple(sorted(codes))

    def restart(self, kind: ProcessKind, codes: tuple[int, ...]) -> Restart:
        """When it is started again; `codes` are those that are no failure."""
        availability = self.entries.table("availability")
        word = availability.text("restart") or "no"
        for path, key in (("policy", "restart"), ("delay", "backoff_seconds"), ("limit", "max_restarts")):
            if key in availability:
                self.origins[f"restart.{path}"] = availability.place(key)
        prevent: tuple[int, ...] = ()
        policy = RestartPolicy.NO
        match word:
            case "no" | "exit_on_failure":
                pass
            case "always":
                policy = RestartPolicy.ALWAYS
            case "on_failure" | "on-failure":  # its old name
                # Not on-failure, which takes a death by SIGTERM, SIGHUP, SIGINT or SIGPIPE for a clean end.
                policy = RestartPolicy.ALWAYS
                prevent = tuple(sorted({0, *codes}))
            case _:
                hint = "one of no, always, on_failure, exit_on_failure"
                message = f"unknown policy {word!r}"
                place = availability.place("restart")
                self.problems.error(place, message, code="unknown-value", hint=hint)
        if kind is ProcessKind.TASK and policy is RestartPolicy.ALWAYS:
            if word == "always":
                message = (
                    f"{self.own_name}: restarted for ever, it would never end, and others wait for that"
                )
                hint = "restart: on_failure"
                place = availability.place("restart")
                self.problems.warning(place, message, code="process-compose-task-restart", hint=hint)
            policy, prevent = RestartPolicy.ON_FAILURE, codes
        limit = availability.whole("max_restarts", 0, 1_000_000)
        return Restart(
            policy=policy,
            delay_usec=int(max(availability.number("backoff_seconds") or 1, 1) * SECOND),
            limit=limit or None,
            window_usec=INFINITY if limit else 60 * SECOND,
            prevent_codes=prevent,
        )

    def stop(self, codes: tuple[int, ...]) -> Stop:
        """The stop signal, whom it reaches, and the wait before SIGKILL."""
        shutdown = self.entries.table("shutdown")
        for path, key in (
            ("signal", "signal"), ("timeout", "timeout_seconds"), ("mode", "parent_only"),
        ):  # fmt: skip
            if key in shutdown:
                self.origins[f"stop.{path}"] = shutdown.place(key)
        signal = "SIGTERM"
        if text := shutdown.text("signal"):
            try:
                signal = parse_signal(text)
            except QuantityError as error:
                place = shutdown.place("signal")
                self.problems.error(place, f"shutdown: {error.message}", code="bad-signal", hint=error.hint)
        seconds = shutdown.number("timeout_seconds")
        return Stop(
            signal=signal,
            timeout_usec=int((10 if seconds is None or seconds <= 0 else seconds) * SECOND),
            mode=StopMode.MIXED if shutdown.flag("parent_only") else StopMode.GROUP,
            success_codes=codes,
        )
