"""The environment of an app: `env`, the variant over it, and what PM2 sets by itself."""

from __future__ import annotations

from pm_native.importers.common import tell_bad_variable
from pm_native.importers.pm2.values import as_number, scalar_text
from pm_native.model.names import is_variable
from pm_native.model.project import Counter, Variable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pm_native.errors import Diagnostics
    from pm_native.importers.pm2.values import App
    from pm_native.syntax.node import Node

INSTANCE_VARIABLE = "NODE_APP_INSTANCE"
_LEAST, _MOST = -(2**31), 2**31 - 1


class EnvironmentReader:
    """Collects the variables of one app; a later table wins."""

    def __init__(self, app: App, problems: Diagnostics) -> None:
        self.app = app
        self.problems = problems
        self.variables: dict[str, Variable] = {}
        self.nodes: dict[str, Node] = {}

    def add(self, node: Node | None, key: str) -> None:
        """Add the variables of one table."""
        if node is None or node.value is None:
            return
        if not isinstance(node.value, dict):
            if key == "env":  # told with the other keys of the app
                return
            hint = f"{key}: {{ NAME: 'value' }}"
            message = f"{key}: expected an object of variables, found {node.kind}"
            self.problems.error(node.span, message, code="wrong-type", hint=hint)
            return
        for name, item in node.value.items():
            if not is_variable(name):
                tell_bad_variable(name, item.key, self.problems)
                continue
            if item.value is None:
                hint = f"leave {name} out, or give it a string"
                message = f"{name} has no value: the program gets the word 'null', as under PM2"
                self.problems.warning(item.span, message, code="pm2-null-variable", hint=hint)
            self.variables[name] = Variable(value=scalar_text(item), span=item.span)
            self.nodes[name] = item

    def add_own(self, *, is_python: bool) -> None:
        """Add PORT from `port`, and what PM2 sets for Python."""
        port = self.app.number("port")
        if port is not None:
            place = self.app.place("port")
            if not (port == int(min(max(port, 0), 65535)) and port):
                hint = "a port is a number from 1 to 65535"
                self.problems.error(place, f"port: {port:g} is no port", code="out-of-range", hint=hint)
                return
            told = self.variables.get("PORT")
            if told is not None and told.value != str(int(port)):
                hint = "take one of the two out"
                message = f"port: {int(port)} goes over PORT={told.value} of env, as under PM2"
                self.problems.note(place, message, code="pm2-port", hint=hint)
            self.variables["PORT"] = Variable(value=str(int(port)), span=place)
            self.nodes["PORT"] = self.app.nodes["port"]
        if is_python:
            self.variables["PYTHONUNBUFFERED"] = Variable(value="1", span=self.app.place("exec_interpreter"))

    def counters(self, *, is_pool: bool) -> tuple[Counter, ...]:
        """The variables that count the instances from 0; a single process has their first value."""
        found = []
        name = self.app.text("instance_var") or INSTANCE_VARIABLE
        if self._is_usable(name, "instance_var"):
            found.append(Counter(variable=name, base=0, span=self.app.place("instance_var")))
        counted = self.app.text("increment_var")
        if counted and counted != name and self._is_usable(counted, "increment_var"):
            base = self._base(counted)
            found.append(Counter(variable=counted, base=base, span=self.app.place("increment_var")))
        if is_pool:
            return tuple(found)
        for counter in found:
            self.variables[counter.variable] = Variable(value=str(counter.base), span=counter.span)
        return ()

    def _base(self, name: str) -> int:
        """The first value of the counting variable; PM2 takes what is no number for 0."""
        node = self.nodes.get(name)
        number = as_number(node) if node is not None else None
        if number is not None and _LEAST <= number <= _MOST:
            return int(number)
        hint = f"give {name} a number in env: the first instance gets it, each next one gets one more"
        message = f"increment_var: {name} has no number in env, so it counts from 0"
        self.problems.warning(self.app.place("increment_var"), message, code="pm2-increment", hint=hint)
        return 0

    def _is_usable(self, name: str, key: str) -> bool:
        if is_variable(name):
            return True
        hint = 'letters, digits and "_", and no digit first'
        message = f"{key}: not a name of an environment variable: {name!r}"
        self.problems.error(self.app.place(key), message, code="bad-variable-name", hint=hint)
        return False
