"""When a service is restarted, how it is stopped, when it is healthy."""

from __future__ import annotations

from pm_native.importers.shell import read_shell_line
from pm_native.importers.tree import unset_hint
from pm_native.model.health import Action, Check, Does, ExecProbe, Health
from pm_native.model.project import SECOND, ProcessKind, Restart, RestartPolicy, Stop, StopMode
from pm_native.model.quantity import INFINITY, QuantityError, parse_duration, parse_signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pm_native.errors import Diagnostics, Span
    from pm_native.importers.tree import Entries


class Lifecycle:
    """Reads the lifecycle of one service; `origins` gets the place of what was set."""

    def __init__(
        self, own_name: str, service: Entries, origins: dict[str, Span], problems: Diagnostics
    ) -> None:
        self.own_name = own_name
        self.entries = service
        self.deploy = service.table("deploy")
        self.origins = origins
        self.problems = problems

    def restart(self, kind: ProcessKind) -> Restart:
        """When it is started again: what `deploy` says counts more than `restart`."""
        policy = self.deploy.table("restart_policy")
        if policy.entries:
            word = {"any": "always", "none": "no"}.get(policy.text("condition") or "any", "on-failure")
            place = policy.place("condition")
            limit = policy.whole("max_attempts", 0, 1_000_000)
            delay, window = self._duration(policy, "delay", 0), self._duration(policy, "window", 0)
        else:
            text = self.entries.text("restart") or "no"
            word, _, count = text.partition(":")
            place = self.entries.place("restart")
            limit = int(count) if count.isdecimal() and int(count[:9]) <= 1_000_000 else None
            delay, window = SECOND, 0
            if count and limit is None:
                message, hint = f"restart: not a count: {count!r}", "as in on-failure:3"
                self.problems.error(place, message, code="out-of-range", hint=hint)
        if policy.entries or "restart" in self.entries:
            self.origins["restart"] = place
        if word not in {"no", "always", "unless-stopped", "on-failure", ""}:
            hint = "one of no, always, unless-stopped, on-failure, on-failure:N"
            self.problems.error(place, f"unknown policy {word!r}", code="unknown-value", hint=hint)
        chosen, prevent = RestartPolicy.NO, tuple[int, ...]()
        if word in {"always", "unless-stopped"}:
            chosen = RestartPolicy.ALWAYS
        elif word == "on-failure":
            # Not on-failure, which takes a death by SIGTERM, SIGHUP, SIGINT or SIGPIPE for a clean end.
            chosen, prevent = RestartPolicy.ALWAYS, (0,)
        if kind is ProcessKind.TASK and chosen is RestartPolicy.ALWAYS:
            if not prevent:
                message = (
                    f"{self.own_name}: restarted for ever, it would never end, and others wait for that"
                )
                self.problems.warning(
                    place, message, code="compose-task-restart", hint="restart: on-failure"
                )
            chosen, prevent = RestartPolicy.ON_FAILURE, ()
        return Restart(
            policy=chosen,
            delay_usec=delay,
            limit=limit or None,
            window_usec=(window or INFINITY) if limit else 60 * SECOND,
            prevent_codes=prevent,
        )

    def stop(self) -> Stop:
        """The stop signal, and the wait before SIGKILL."""
        signal = "SIGTERM"
        if text := self.entries.text("stop_signal"):
            self.origins["stop.signal"] = self.entries.place("stop_signal")
            try:
                signal = parse_signal(text)
            except QuantityError as error:
                place = self.entries.entries["stop_signal"].span
                self.problems.error(
                    place, f"stop_signal: {error.message}", code="bad-signal", hint=error.hint
                )
        if "stop_grace_period" in self.entries:
            self.origins["stop.timeout"] = self.entries.place("stop_grace_period")
        return Stop(
            signal=signal,
            timeout_usec=self._duration(self.entries, "stop_grace_period", 10 * SECOND),
            mode=StopMode.MIXED,  # docker signals the first process of a container, and kills the rest
        )

    def health(self, *, is_awaited: bool, kind: ProcessKind) -> tuple[Health | None, int | None]:
        """The check that others wait for, or that is for information; and how long it may take to be ready."""
        table = self.entries.table("healthcheck")
        command = self._probe(table)
        if command is None or kind is ProcessKind.TASK:
            return None, None
        self.origins["health"] = table.node.key
        check = Check(
            probes=(ExecProbe(command=command),),
            interval_usec=self._duration(table, "interval", 30 * SECOND) or 30 * SECOND,
            start_interval_usec=self._duration(table, "start_interval", 5 * SECOND) or 5 * SECOND,
            timeout_usec=self._duration(table, "timeout", 30 * SECOND) or 30 * SECOND,
            retries=table.whole("retries", 0, 1000) or 3,
            start_period_usec=self._duration(table, "start_period", 0),
            action=Action(does=Does.STATUS),
            span=table.node.key,
        )
        if not is_awaited:
            return Health(alive=check), None
        patience = check.start_period_usec + (check.interval_usec + check.timeout_usec) * check.retries
        return Health(ready=check), patience

    def _probe(self, table: Entries) -> tuple[str, ...] | None:
        if table.flag("disable") or not table.entries:
            return None
        node = table.node_of("test")
        if node is None:
            message = f"{self.own_name}: its image says what to test, and no image is here"
            hint = 'test: ["CMD", PROGRAM, ARGUMENT]'
            self.problems.warning(table.node.key, message, code="compose-image", hint=hint, lost=True)
            return None
        if not isinstance(node.value, list):
            return read_shell_line(table.text("test") or "true").words
        words = table.words("test")
        match words[:1]:
            case ("NONE",):
                return None
            case ("CMD",) if len(words) > 1:
                return words[1:]
            case ("CMD-SHELL",) if len(words) > 1:
                return read_shell_line(" ".join(words[1:])).words
            case _:
                hint = 'test: ["CMD", PROGRAM, ARGUMENT], or a text for the shell'
                message = "a test begins with CMD, CMD-SHELL or NONE, and a command"
                self.problems.error(node.span, message, code="unknown-value", hint=hint)
                return None

    def _duration(self, table: Entries, key: str, default: int) -> int:
        text = table.text(key)
        if text is None:
            return default
        try:
            return parse_duration(text)
        except QuantityError as error:
            node = table.entries[key]
            hint = unset_hint(node, error.hint or "such as 30s or 1m30s")
            self.problems.error(node.span, f"{key}: {error.message}", code="bad-duration", hint=hint)
            return default
