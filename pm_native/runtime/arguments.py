"""The options of `pm-native-run`, which say all that a monitor does: `systemctl cat` shows them.

    pm-native-run --secret=DB_PASSWORD --unit=shop-api.service --port=3000 --start-timeout=90s
        --ready --http=/healthz --interval=10s --timeout=3s --retries=3
        --alive --http=/healthz --interval=10s --timeout=3s --retries=3
        -- node server.js

A phase begins a check, a kind of probe begins a probe; what follows belongs to it. Several units, one after the
other and without a command, are what the monitor of a whole project is told.
"""

from __future__ import annotations

import _signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

PHASES = ("startup", "ready", "alive")
PROBES = ("http", "tcp", "unix", "exec", "output", "file", "memory")
SIZES = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
# Not among the constants of a signal that are its number.
_NOT_SIGNALS = ("SIG_DFL", "SIG_IGN", "SIG_BLOCK", "SIG_UNBLOCK", "SIG_SETMASK")


class ArgumentsError(Exception):
    """Options that do not make sense, in words."""


class Probe:
    """One probe. `target` is what its kind asks: a path, a URL, a host and port, a pattern, a size."""

    __slots__ = (
        "arguments",
        "body",
        "ca",
        "headers",
        "kind",
        "log",
        "max_age",
        "method",
        "socket",
        "status",
        "target",
        "tls",
        "verify",
    )

    def __init__(self, kind: str, target: str) -> None:
        self.kind = kind
        self.target = target
        self.socket = ""
        self.tls = False
        self.verify = True
        self.ca = ""
        self.method = "GET"
        self.headers: list[tuple[str, str]] = []
        self.status: list[tuple[int, int]] = []
        self.body = ""
        self.max_age = 0.0
        self.log = ""
        self.arguments: list[str] = []


class Check:
    """The probes of one phase and how often they are made; times in seconds."""

    __slots__ = (
        "action",
        "any",
        "interval",
        "jitter",
        "phase",
        "probes",
        "retries",
        "run",
        "signal",
        "start_interval",
        "start_period",
        "success",
        "timeout",
    )

    def __init__(self, phase: str) -> None:
        self.phase = phase
        self.probes: list[Probe] = []
        self.any = False
        self.interval = 10.0
        self.start_interval = 1.0
        self.timeout = 3.0
        self.retries = 3
        self.success = 1
        self.start_period = 0.0
        self.jitter = 0.1
        self.action = "status" if phase == "ready" else "restart"
        self.signal = 0
        self.run: list[str] = []

    @property
    def patience(self) -> float:
        """How long it may take until it has failed so often in a row: systemd's, where it is `strict`."""
        return self.interval * self.retries + self.timeout


class Arguments:
    """What is said of one unit. `oom_scores` are those of its monitor, which is the unit's, and of its program."""

    __slots__ = (
        "announce",
        "channel",
        "command",
        "ignored",
        "is_listening_ready",
        "is_message_ready",
        "keeps_notify",
        "log_files",
        "oom_scores",
        "phases",
        "port",
        "ready_after",
        "secrets",
        "start_timeout",
        "strict",
        "unit",
        "user",
    )

    def __init__(self, unit: str = "") -> None:
        self.unit = unit
        self.user = False
        self.port = ""
        self.secrets: list[str] = []
        self.start_timeout = 90.0
        self.strict = False
        self.keeps_notify = False
        self.announce = ""
        self.log_files: list[str] = []
        self.oom_scores: tuple[int, int] | None = None
        self.channel = ""
        self.is_listening_ready = False
        self.is_message_ready = False
        self.ready_after = 0.0
        self.ignored: set[int] = {_signal.SIGPIPE}
        self.phases: dict[str, Check] = {}
        self.command: list[str] = []

    @property
    def runs_commands(self) -> bool:
        """Whether a check of it runs commands."""
        checks = self.phases.values()
        return any(check.run or any(probe.kind == "exec" for probe in check.probes) for check in checks)

    @property
    def has_monitor(self) -> bool:
        """Whether a process stays beside the program."""
        return bool(self.phases or self.channel)


def parse_arguments(words: list[str]) -> Arguments:
    """The options of one program, and its command behind `--`."""
    if "--" not in words:
        raise ArgumentsError("usage: pm-native-run OPTIONS -- COMMAND [ARGUMENT]...")
    end = words.index("--")
    command = words[end + 1 :]
    if not command:
        raise ArgumentsError("there is no command behind --")
    units = parse_units(words[:end])
    if len(units) != 1:
        raise ArgumentsError("a command belongs to one --unit")
    units[0].command = command
    return units[0]


def parse_units(words: list[str]) -> list[Arguments]:
    """What is said of each unit; without --unit first, of one that has no name."""
    parser = _Parser()
    for word in words:
        parser.take(word)
    for unit in parser.units:
        _check_unit(unit)
    return parser.units


def _check_unit(unit: Arguments) -> None:
    if (unit.is_message_ready or unit.ready_after) and not unit.channel:
        raise ArgumentsError("a message that it is ready needs --channel=PATH")
    if (unit.announce or unit.log_files) and not unit.unit:
        raise ArgumentsError("--announce needs --unit=NAME, the unit that starts")
    if unit.phases and not unit.unit:
        raise ArgumentsError("checks need --unit=NAME, the unit that they are for")
    for phase, check in unit.phases.items():
        if not check.probes:
            raise ArgumentsError(f"--{phase} has no probe")
        for probe in check.probes:
            own = (probe.kind == "http" and probe.target.startswith("/") and not probe.socket) or (
                probe.kind == "tcp" and not probe.target
            )
            if own and not unit.port:
                raise ArgumentsError(f"--{probe.kind} of --{phase} needs --port=NUMBER, the program's own")


class _Parser:
    def __init__(self) -> None:
        self.units = [Arguments()]
        self.check: Check | None = None
        self.probe: Probe | None = None
        self.words: list[str] | None = None  # what --arg adds to

    def take(self, word: str) -> None:
        """Take one word; ArgumentsError where it has no place."""
        name, has_value, value = word.partition("=")
        if not name.startswith("--"):
            raise ArgumentsError(f"not an option: {word!r}")
        name = name[2:]
        if "\0" in value:
            raise ArgumentsError(f"--{name}: a NUL character")
        try:
            self._take(name, value, bool(has_value))
        except ValueError as error:
            raise ArgumentsError(f"--{name}: not a value for it: {value!r}") from error

    def _take(self, name: str, value: str, has_value: bool) -> None:  # noqa: FBT001 - `--tcp` and `--tcp=`
        if name == "unit":
            self._unit(value)
        elif name in PHASES and not has_value:
            self._phase(name)
        elif name in PROBES:
            self._probe(name, value)
        elif name == "arg":
            if self.words is None:
                raise ArgumentsError("--arg belongs to --exec or --on-failure-run")
            self.words.append(value)
        else:
            self._set(name, value)

    def _set(self, name: str, value: str) -> None:
        if name in _OF_UNIT:
            _OF_UNIT[name](self.units[-1], value)
        elif name in _OF_CHECK:
            check = self._within(name)
            _OF_CHECK[name](check, value)
            if name == "on-failure-run":
                self.words = check.run
        elif name in _OF_PROBE:
            if self.probe is None:
                raise ArgumentsError(f"--{name} belongs to a probe: one of --{', --'.join(PROBES)}")
            _OF_PROBE[name](self.probe, value)
        else:
            raise ArgumentsError(f"unknown option --{name}")

    def _probe(self, name: str, value: str) -> None:
        check = self._within(name)
        self.probe = Probe(name, _probe_target(name, value))
        check.probes.append(self.probe)
        self.words = self.probe.arguments

    def _unit(self, value: str) -> None:
        if not self.units[-1].unit and not self.units[-1].phases:
            self.units[-1].unit = value
        else:
            self.units.append(Arguments(value))
        self.check = self.probe = self.words = None

    def _phase(self, name: str) -> None:
        phases = self.units[-1].phases
        if name in phases:
            raise ArgumentsError(f"--{name} is there twice")
        self.check = phases[name] = Check(name)
        self.probe = self.words = None

    def _within(self, name: str) -> Check:
        if self.check is None:
            raise ArgumentsError(f"--{name} belongs to a phase: one of --{', --'.join(PHASES)}")
        return self.check


def seconds(text: str) -> float:
    """`10s` or `0.25s` as a number."""
    if not text.endswith("s"):
        raise ValueError(text)
    return _positive(float(text[:-1]))


def size(text: str) -> int:
    """`400M` as a number of bytes."""
    return int(text[:-1]) * SIZES[text[-1]] if text[-1:] in SIZES else int(text)


def signal_number(name: str) -> int:
    """The number of `SIGUSR1` or `SIGRTMIN+3`."""
    base, _, more = name.partition("+")
    if not base.startswith("SIG") or base in _NOT_SIGNALS or not hasattr(_signal, base):
        raise ValueError(name)
    return int(getattr(_signal, base)) + int(more or 0)


def port_number(text: str) -> int:
    """The port of `3000`, or of an instance, `3000+2-1`. ValueError where it is none."""
    total, sign = 0, 1
    for part in text.replace("-", "+-").split("+"):
        sign = -1 if part.startswith("-") else 1
        total += sign * int(part.removeprefix("-"))
    if not 0 < total < 65536:
        raise ValueError(text)
    return total


def oom_scores(text: str) -> tuple[int, int]:
    """The two scores of `-200:0`."""
    monitors, _, programs = text.partition(":")
    return int(monitors), int(programs)


def status_range(text: str) -> tuple[int, int]:
    """The bounds of `200-299`, or of `204`."""
    low, _, high = text.partition("-")
    return int(low), int(high or low)


def _positive(number: float) -> float:
    if not 0 <= number < 1e9:  # not a number, among others
        raise ValueError(number)
    return number


def _probe_target(kind: str, value: str) -> str:
    if kind == "memory":
        size(value)
    elif not value and kind != "tcp":
        raise ValueError(value)
    return value


def _header(probe: Probe, value: str) -> None:
    name, colon, text = value.partition(":")
    if not colon or not name or "\n" in value or "\r" in value:
        raise ValueError(value)
    probe.headers.append((name, text.strip()))


def _port(unit: Arguments, value: str) -> None:
    port_number(value.replace("%i", "1"))
    unit.port = value


def _secret(unit: Arguments, value: str) -> None:
    if not value or "/" in value or "=" in value:
        raise ValueError(value)
    unit.secrets.append(value)


def _on_failure(check: Check, value: str) -> None:
    action, _, name = value.partition(":")
    if action not in {"restart", "status", "stop", "signal"}:
        raise ValueError(value)
    check.action = action
    check.signal = signal_number(name) if action == "signal" else 0


def _on_failure_run(check: Check, value: str) -> None:
    check.action = "exec"
    check.run = [value]


def _set(name: str, convert: Callable[[str], object]) -> Callable[[object, str], None]:
    return lambda item, value: setattr(item, name, convert(value))


def _flag(name: str, *, on: bool = True) -> Callable[[object, str], None]:
    return lambda item, _: setattr(item, name, on)


_OF_UNIT: dict[str, Callable[[Arguments, str], None]] = {
    "user": _flag("user"),
    "port": _port,
    "secret": _secret,
    "start-timeout": _set("start_timeout", seconds),
    "strict": _flag("strict"),
    "notify": _flag("keeps_notify"),
    "listening": _flag("is_listening_ready"),
    "announce": _set("announce", str),
    "log-file": lambda unit, value: unit.log_files.append(value),
    "oom-score": _set("oom_scores", oom_scores),
    "channel": _set("channel", str),
    "ready-message": _flag("is_message_ready"),
    "ready-after": _set("ready_after", seconds),
    "default-sigpipe": lambda unit, _: unit.ignored.clear(),
}
_OF_CHECK: dict[str, Callable[[Check, str], None]] = {
    "any": _flag("any"),
    "interval": _set("interval", seconds),
    "start-interval": _set("start_interval", seconds),
    "timeout": _set("timeout", seconds),
    "retries": _set("retries", int),
    "success": _set("success", int),
    "start-period": _set("start_period", seconds),
    "jitter": lambda check, value: setattr(check, "jitter", _positive(float(value.removesuffix("%")) / 100)),
    "on-failure": _on_failure,
    "on-failure-run": _on_failure_run,
}
_OF_PROBE: dict[str, Callable[[Probe, str], None]] = {
    "socket": _set("socket", str),
    "tls": _flag("tls"),
    "no-verify": _flag("verify", on=False),
    "ca": _set("ca", str),
    "method": _set("method", str),
    "header": _header,
    "status": lambda probe, value: probe.status.append(status_range(value)),
    "body": _set("body", str),
    "max-age": _set("max_age", seconds),
    "log": _set("log", str),
}
