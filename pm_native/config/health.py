"""The `health` of a process, from decoded tables to the model."""

from __future__ import annotations

import shlex
from dataclasses import replace
from posixpath import join, normpath
from urllib.parse import urlsplit

from pm_native.config.health_keys import CHECK, PROBE_NAMES
from pm_native.config.table import ListOfTables, MapOf, Table
from pm_native.model.health import (
    Action,
    Check,
    Combine,
    Does,
    ExecProbe,
    FileProbe,
    Health,
    HttpProbe,
    MemoryProbe,
    NotifyProbe,
    OutputProbe,
    Phase,
    TcpProbe,
    UnixProbe,
)
from pm_native.syntax.node import Node

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pm_native.config.decoder import TableDecoder, Values
    from pm_native.errors import Span
    from pm_native.model.health import Probe

# What a probe of this kind can tell of. What stands beside the phases is for those of the two that it can tell of.
CANNOT: dict[type, dict[Phase, str]] = {
    OutputProbe: {Phase.ALIVE: "what a program once wrote does not tell that it is alive"},
    MemoryProbe: {
        Phase.STARTUP: "a program that uses little memory has not started for that",
        Phase.READY: "a program that uses little memory is not ready for that",
    },
}
_RENAMED = {
    "interval": "interval_usec",
    "start_interval": "start_interval_usec",
    "timeout": "timeout_usec",
    "retries": "retries",
    "success": "success",
    "start_period": "start_period_usec",
    "jitter": "jitter_permyriad",
}


class HealthDecoder:
    """Turns the decoded `health` table of one process into its checks; relative paths start at `directory`."""

    def __init__(self, decoder: TableDecoder, directory: str) -> None:
        self.decoder = decoder
        self.problems = decoder.problems
        self.directory = directory

    def health(self, values: Values) -> Health | None:
        """The checks; None, with a diagnostic, where there are none."""
        checks: dict[Phase, Check] = {}
        for phase in Phase:
            if isinstance(table := values.get(phase.value), dict):
                own = self._check(table, f"health.{phase}", phase)
                if own is not None:
                    checks[phase] = own
        common = self._common(values, checks)
        checks = common | checks
        startup, alive = checks.get(Phase.STARTUP), checks.get(Phase.ALIVE)
        stops = alive is not None and alive.action.does is Does.STOP
        if startup is not None and stops and "health.startup.action" not in self.decoder.origins:
            checks[Phase.STARTUP] = replace(startup, action=Action(does=Does.STOP))
        if not checks:
            if not self.problems.has_errors:
                self._error("health", "no probe is named", f"one of {', '.join(PROBE_NAMES)}", "no-probe")
            return None
        return Health(
            startup=checks.get(Phase.STARTUP),
            ready=checks.get(Phase.READY),
            alive=checks.get(Phase.ALIVE),
            strict=bool(values.get("strict", False)),
        )

    def _common(self, values: Values, own: dict[Phase, Check]) -> dict[Phase, Check]:
        """Ready and alive by the keys that stand beside the phases, where these have no table of their own."""
        given = [name for name in values if name in CHECK.by_name]
        if not given:
            return {}
        probes, combine = self._probes(values, "health")
        if not probes:
            if not self.problems.has_errors:
                hint = f"add a probe here, or put {given[0]!r} into the tables of the phases"
                self._error(f"health.{given[0]}", "there is no probe that this is for", hint, "no-probe")
            return {}
        found: dict[Phase, Check] = {}
        for phase in (Phase.READY, Phase.ALIVE):
            able = tuple(probe for probe in probes if phase not in CANNOT.get(type(probe), {}))
            if phase is Phase.ALIVE:  # pings are promised in so many words, not by the way
                able = tuple(probe for probe in able if not isinstance(probe, NotifyProbe))
            if able and phase not in own:
                check = self._timed(values, "health", phase, able, combine)
                if check is not None:
                    found[phase] = check
        return found

    def _check(self, values: Values, path: str, phase: Phase) -> Check | None:
        probes, combine = self._probes(values, path)
        for probe in probes:
            if reason := CANNOT.get(type(probe), {}).get(phase):
                others = " or ".join(item for item in Phase if item not in CANNOT[type(probe)])
                self._error(path, reason, f"put it into {others}", "probe-phase")
        if not probes:
            if not self.problems.has_errors:
                self._error(path, "no probe is named", f"one of {', '.join(PROBE_NAMES)}", "no-probe")
            return None
        return self._timed(values, path, phase, probes, combine)

    def _timed(
        self, values: Values, path: str, phase: Phase, probes: tuple[Probe, ...], combine: Combine
    ) -> Check | None:
        fields = {name: values[key] for key, name in _RENAMED.items() if key in values}
        action = self._action(values.get("action"), path, phase)
        if action is None:
            return None
        return Check(
            probes=probes,
            combine=combine,
            action=action,
            span=self._place(path),
            **fields,  # type: ignore[arg-type]  # the key table gives each key the type of its field
        )

    def _action(self, values: object, path: str, phase: Phase) -> Action | None:
        is_own = path != "health"
        if not isinstance(values, dict) or (phase is Phase.READY and not is_own):
            return Action(does=Does.STATUS if phase is Phase.READY else Does.RESTART)
        place = f"{path}.action"
        command = self._command(values.get("exec"), f"{place}.exec") if "exec" in values else ()
        said = [Does(name) for name in ("signal", "exec") if name in values]
        does = values.get("does")
        if isinstance(does, Does):
            said = [does, *(item for item in said if item is not does)]
        if len(said) != 1:
            hint = 'one of "restart", "status", "stop", { signal = "SIGUSR1" } and { exec = "..." }'
            self._error(place, "one thing can be done", hint, "bad-action")
            return None
        does = said[0]
        if does in {Does.SIGNAL, Does.EXEC} and does.value not in values:
            example = '"SIGUSR1"' if does is Does.SIGNAL else '"/usr/local/bin/page shop"'
            self._error(
                place, f"{does} needs to be told", f"action = {{ {does} = {example} }}", "bad-action"
            )
            return None
        if phase is Phase.READY and does in {Does.RESTART, Does.STOP}:
            hint = "a program that is to be restarted is not alive: put the check into `alive`"
            self._error(place, "a program that is not ready goes on", hint, "bad-action")
            return None
        return Action(does=does, signal=str(values.get("signal", "")), command=command)

    def _probes(self, values: Values, path: str) -> tuple[tuple[Probe, ...], Combine]:
        """The probes of a check; several beside each other must all pass."""
        direct = [*self._direct(values, path)]
        grouped = {combine: [*self._group(values.get(combine.value), path, combine)] for combine in Combine}
        combine = Combine.ANY if grouped[Combine.ANY] else Combine.ALL
        if grouped[Combine.ANY] and (direct or grouped[Combine.ALL]):
            hint = "put all of them into one list: either `all` or `any`"
            self._error(
                f"{path}.any", "some probes of which any, and others, is not one check", hint, "probe-mix"
            )
        probes = (*direct, *grouped[Combine.ALL], *grouped[Combine.ANY])
        if len(probes) > 1 and any(isinstance(probe, NotifyProbe) for probe in probes):
            hint = "take the others out, or `notify`"
            self._error(f"{path}.notify", "what the program says itself stands alone", hint, "probe-mix")
        return probes, combine

    def _group(self, node: object, path: str, combine: Combine) -> Iterator[Probe]:
        if not isinstance(node, Node):
            return
        list_of = CHECK.by_name[combine.value].type
        if not isinstance(list_of, ListOfTables):
            raise TypeError("all and any are lists of tables")
        for number, item in enumerate(self.decoder.items(node, list_of.words)):
            place = f"{path}.{combine}.{number}"
            self.decoder.origins[place] = item.span
            yield from self._direct(self.decoder.decode(item, list_of.table, place), place)

    def _direct(self, values: Values, path: str) -> Iterator[Probe]:
        for name in PROBE_NAMES:
            if name in values:
                probe = self._probe(name, values[name], f"{path}.{name}")
                if probe is not None:
                    yield probe

    def _probe(self, name: str, value: object, path: str) -> Probe | None:
        match name, value:
            case "http", dict():
                return self._http(value, path)
            case "tcp", dict():
                port = value.get("port", True)
                if port is False:
                    self._error(
                        f"{path}.port", "no port", "a port, or true for the process's own", "bad-port"
                    )
                    return None
                host = {"host": str(value["host"])} if "host" in value else {}
                return TcpProbe(port=None if port is True else int(str(port)), **host)
            case "unix", str():
                return UnixProbe(path=self._socket(value))
            case "exec", _:
                command = self._command(value, path)
                return ExecProbe(command=command) if command else None
            case "output", str():
                return OutputProbe(pattern=value)
            case "file", dict() if "path" in value:
                age = value.get("max_age")
                return FileProbe(
                    path=self._path(str(value["path"])), max_age_usec=age if isinstance(age, int) else None
                )
            case "memory", int():
                return MemoryProbe(limit_bytes=value)
            case "notify", True:
                return NotifyProbe()
            case _:
                return None

    def _http(self, values: Values, path: str) -> HttpProbe | None:
        target = self._target(str(values.get("url", "/")), f"{path}.url", has_socket="unix" in values)
        if target is None:
            return None
        fields: Values = dict(target)
        if "unix" in values:
            fields["unix"] = self._socket(str(values["unix"]))
        if "ca" in values:
            fields["ca"] = self._path(str(values["ca"]))
        for key in ("body", "verify", "status", "tls"):
            if key in values:
                fields[key] = values[key]
        if isinstance(statuses := fields.get("status"), tuple):
            fields["status"] = tuple(item if isinstance(item, tuple) else (item, item) for item in statuses)
        if "method" in values:
            fields["method"] = method = str(values["method"]).upper()
            if not (method.isascii() and method.isalpha()):
                self._error(
                    f"{path}.method", f"not a method of HTTP: {method!r}", '"GET" or "HEAD"', "bad-http"
                )
        fields["headers"] = tuple(self._headers(values.get("headers"), path))
        return HttpProbe(**fields)  # type: ignore[arg-type]  # as in _timed

    def _target(self, url: str, path: str, *, has_socket: bool) -> Values | None:
        """The parts of a URL, or of a path on the process's own port."""
        hint = 'a path such as "/healthz", or a URL such as "http://127.0.0.1:8080/healthz"'
        if not (url.isascii() and url.isprintable()) or " " in url:
            self._error(path, "characters that a URL cannot hold", f"{hint}; write them as %20", "bad-url")
            return None
        if url.startswith("/"):
            return {"path": url.partition("#")[0]}
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            self._error(path, f"not a URL: {error}", hint, "bad-url")
            return None
        if parts.scheme not in {"http", "https"} or not parts.hostname or "@" in parts.netloc or port == 0:
            self._error(path, f"not a URL of http or https: {url!r}", hint, "bad-url")
            return None
        is_tls = parts.scheme == "https"
        query = f"?{parts.query}" if parts.query else ""
        found: Values = {"path": f"{parts.path or '/'}{query}", "host": parts.hostname, "tls": is_tls}
        return found | ({} if has_socket else {"port": port or (443 if is_tls else 80)})

    def _headers(self, node: object, path: str) -> Iterator[tuple[str, str]]:
        if not isinstance(node, Node):
            return
        http = CHECK.by_name["http"].type
        headers = http.by_name["headers"].type if isinstance(http, Table) else None
        if not isinstance(headers, MapOf) or isinstance(headers.value, Table | MapOf):
            raise TypeError("headers map names to texts")
        for name, item in self.decoder.entries(node, "a table of headers").items():
            text = headers.value.decode(item, self.problems)
            token = name.isascii() and name.replace("-", "").replace("_", "").isalnum()
            if not token or (isinstance(text, str) and not (text.isprintable() or not text)):
                self.decoder.origins[f"{path}.headers.{name}"] = item.key
                hint = "a name of letters, digits and -, and a value of one line"
                self._error(f"{path}.headers.{name}", "not a header of HTTP", hint, "bad-http")
            elif isinstance(text, str):
                yield name, text

    def _command(self, value: object, path: str) -> tuple[str, ...]:
        if isinstance(value, tuple):
            return tuple(str(word) for word in value)
        try:
            return tuple(shlex.split(str(value)))
        except ValueError as error:
            hint = "close the quote, or give the command as a list of words"
            reason = str(error).lower()
            self._error(path, f"cannot split the command into words: {reason}", hint, "bad-command")
            return ()

    def _socket(self, text: str) -> str:
        return text if text.startswith("@") else self._path(text)

    def _path(self, text: str) -> str:
        return normpath(join(self.directory, text))

    def _place(self, path: str) -> Span:
        while path not in self.decoder.origins:
            path = path.rpartition(".")[0]
        return self.decoder.origins[path]

    def _error(self, path: str, message: str, hint: str, code: str) -> None:
        self.problems.error(self._place(path), message, code=code, hint=hint)
