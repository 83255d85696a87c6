"""The ports of a Procfile's entries: numbered once, and kept in a lock file, so that a new entry moves no other."""

from __future__ import annotations

import json
import re

from pm_native.model.record import LockFile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pm_native.errors import Diagnostics, Source, Span
    from pm_native.importers.files import Files
    from pm_native.importers.procfile.tools import Settings, Tool
    from pm_native.model.project import Variable

BASE_PORT, PORT_MAX = 5000, 65535
INSTANCES_MAX = 99  # more would run into the ports of the next entry
_VERSION = 1


class Ports:
    """Gives each entry its first port."""

    def __init__(self, tool: Tool, settings: Settings, files: Files, problems: Diagnostics) -> None:
        self.tool = tool
        self.settings = settings
        self.files = files
        self.problems = problems
        self.base = BASE_PORT
        self.lock_path = files.path.with_name(f"{files.path.name}.lock")

    def find_base(self, asked: int | None, environment: Mapping[str, Variable], source: Source) -> None:
        """The first port: the command line, `.env`, the tool's settings, 5000; `.env` first where the tool has it so."""
        variable, span = environment.get("PORT"), source.whole()
        if asked is None and self.settings.port is not None:  # an option that need not be given
            asked, span = self.settings.port, self.settings.port_span or span
        if variable is not None and (self.tool.env_port_wins or asked is None):
            base, span = self._variable(variable, asked), variable.span
        else:
            base = asked
        if base is not None and not 1 <= base <= PORT_MAX:
            hint = f"from 1 to {PORT_MAX}"
            self.problems.error(span, f"the first port cannot be {base}", code="procfile-port", hint=hint)
            base = None
        self.base = base or BASE_PORT

    def _variable(self, variable: Variable, asked: int | None) -> int | None:
        if not re.fullmatch(r"[0-9]{1,5}", variable.value.strip()):
            hint = "it is the port of the first entry: a number"
            self.problems.error(variable.span, "PORT in .env is no port", code="procfile-port", hint=hint)
            return asked
        base = int(variable.value)
        if asked not in {None, base}:
            hint = "take PORT out of .env, or --base-port from the command"
            message = f"PORT={base} of .env goes over --base-port {asked}, as {self.tool.name} has it"
            self.problems.warning(variable.span, message, code="procfile-port", hint=hint)
        return base

    def assign(self, counts: Mapping[str, int], places: Mapping[str, Span]) -> dict[str, int | None]:
        """The first port of each entry, in order: the one it had, else the next that is free; None where none is left."""
        if not self.settings.has_ports:
            return dict.fromkeys(counts)
        kept = self._locked()
        step = self.settings.port_step
        found: dict[str, int | None] = {}
        taken = {port for name, port in kept.items() if name in counts}
        fresh = self.base if not taken else max(*taken, self.base - step) + step
        without: list[str] = []
        for name, count in counts.items():
            port = kept.get(name)
            if port is None:
                port, fresh = fresh, fresh + step
            is_left = port + max(count - 1, 0) <= PORT_MAX
            if not is_left:
                without.append(name)
            found[name] = port if is_left else None
        if without:
            more = f" and {len(without) - 1} more" if len(without) > 1 else ""
            hint = f"begin lower: --base-port, or PORT in .env (now {self.base})"
            message = f"no port is left for {without[0]!r}{more}: PORT is not set"
            self.problems.warning(places[without[0]], message, code="procfile-port", hint=hint)
        if kept and next(iter(counts)) in kept and self.base != BASE_PORT:
            first = kept[next(iter(counts))]
            if first != self.base:
                message = f"the ports stay as they are in {self.lock_path.name}: the first is {first}, not {self.base}"
                hint = f"to number them anew, remove {self.lock_path.name}"
                self.problems.warning(places[next(iter(counts))], message, code="procfile-lock", hint=hint)
        return found

    def lock(self, ports: Mapping[str, int | None]) -> LockFile | None:
        """What is to be kept of it."""
        kept = {name: port for name, port in ports.items() if port is not None}
        if not kept:
            return None
        text = json.dumps({"version": _VERSION, "ports": kept}, indent=2) + "\n"
        return LockFile(path=str(self.lock_path), text=text)

    def _locked(self) -> dict[str, int]:
        """The ports that an earlier run gave out."""
        if not self.lock_path.exists():
            return {}
        source = self.files.read(self.lock_path)
        if source is None:
            return {}
        try:
            told = json.loads(source.text)
            ports = {str(name): int(port) for name, port in told["ports"].items()}
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            ports = {"": 0}
        if not all(1 <= port <= PORT_MAX for port in ports.values()):
            hint = "remove it: the ports are numbered anew"
            message = "this is not what pm-native writes"
            self.problems.error(source.whole(), message, code="procfile-lock", hint=hint)
            return {}
        return ports
