"""One table of a config by its keys: types, unknown and missing keys, places."""

from __future__ import annotations

from pm_native.config.table import ListOfTables, MapOf, Table
from pm_native.config.types import wrong_type
from pm_native.errors import did_you_mean
from pm_native.syntax.node import Node

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pm_native.config.table import Key
    from pm_native.errors import Diagnostics, Span

Values = dict[str, object]


class TableDecoder:
    """Decodes one table and those below it; `origins` gets the place of each key path that was given."""

    def __init__(self, problems: Diagnostics) -> None:
        self.problems = problems
        self.origins: dict[str, Span] = {}

    def decode(self, node: Node, table: Table, path: str = "") -> Values:
        """The values of the keys given, by name; what is wrong is added to the problems and left out."""
        if not isinstance(node.value, dict):
            if table.shorthand:
                node = Node({table.shorthand: Node(node.value, node.span, node.key_span)}, node.span)
            else:
                wrong_type(node, "a table", self.problems)
                return {}
        entries = node.value
        if not isinstance(entries, dict):
            raise TypeError("a table's node holds a dict")
        keys = table.by_name
        values: Values = {}
        for name, item in entries.items():
            key = keys.get(name)
            if key is None:
                self._unknown(name, item, [key.name for key in table.keys if not key.planned])
            elif key.planned:
                self.problems.error(
                    item.key,
                    f"{name!r} is not supported yet",
                    code="not-supported-yet",
                    hint="remove the key for now",
                )
            else:
                self._decode_key(key, item, f"{path}.{name}" if path else name, values)
        for name, key in keys.items():
            if key.required and name not in entries:
                self.problems.error(
                    node.key,
                    f"the key {name!r} is missing",
                    code="missing-key",
                    hint=f"{name} = {key.example}",
                )
        return values

    def _decode_key(self, key: Key, item: Node, path: str, values: Values) -> None:
        self.origins[path] = item.key
        match key.type:
            case Table() as table:
                values[key.name] = self.decode(item, table, path)
            case MapOf() | ListOfTables():
                values[key.name] = item  # the names are the user's: decoded by who knows what they mean
            case value_type:
                value = value_type.decode(item, self.problems)
                if value is not None:
                    values[key.name] = value

    def _unknown(self, name: str, item: Node, known: list[str]) -> None:
        hint = did_you_mean(name, known) or f"the keys here are {', '.join(known)}"
        self.problems.error(item.key, f"unknown key {name!r}", code="unknown-key", hint=hint)

    def entries(self, node: Node, what: str) -> dict[str, Node]:
        """The entries of a table whose names the user chose."""
        if isinstance(node.value, dict):
            return node.value
        wrong_type(node, what, self.problems)
        return {}

    def items(self, node: Node, what: str) -> list[Node]:
        """The items of a list."""
        if isinstance(node.value, list):
            return node.value
        wrong_type(node, what, self.problems)
        return []


def list_of(values: Values, name: str) -> tuple[object, ...]:
    """The list that was given under this name; an empty one where there is none."""
    given = values.get(name, ())
    return given if isinstance(given, tuple) else ()


def table_of(values: Values, name: str) -> Values:
    """The table that was given under this name; an empty one where there is none."""
    table = values.get(name, {})
    return table if isinstance(table, dict) else {}
