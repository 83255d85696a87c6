"""What importers of YAML and JSON share: tables whose values have types, and fields that are told of by their table."""

from __future__ import annotations

import re
from difflib import get_close_matches

from pm_native.syntax.node import Node

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pm_native.errors import Diagnostics, Span
    from pm_native.importers.base import Field

    _Met = dict[tuple[str, str], list[tuple[str, Span]]]

_OWNERS_TOLD = 6
_NUMBER = re.compile(r"[+-]?[0-9]{1,18}(?:\.[0-9]{1,12})?")
_VARIABLE = re.compile(r"\$\{?([A-Za-z_]\w*)")
_TRUE = frozenset({"true", "yes", "on", "y"})
_FALSE = frozenset({"false", "no", "off", "n"})


def scalar_text(node: Node) -> str:
    """A scalar as its author wrote it: `1.10`, `yes`; where the place is unknown, as JSON has it."""
    value = node.value
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    span = node.span
    written = span.source.line(span.line)[span.column - 1 : span.end - 1] if span.line else ""
    return written or str(value).lower()


def unset_hint(node: Node, usual: str) -> str:
    """The way out of a value that makes no sense: the variables that left it empty, else the usual one."""
    span = node.span
    written = span.source.line(span.line)[span.column - 1 : span.end - 1] if span.line else ""
    names = [] if node.value else _VARIABLE.findall(written)
    return f"it is empty: set {', '.join(dict.fromkeys(names))}, in .env or for this run" if names else usual


class Entries:
    """The entries of one table, by key: values of the type that the format gives them, and their places.

    A value of another type is told as an error and counts as not there. `null` is the same as nothing.
    """

    def __init__(self, node: Node, problems: Diagnostics, path: str = "") -> None:
        self.node = node
        self.problems = problems
        self.path = path
        self.entries: dict[str, Node] = {}
        if isinstance(node.value, dict):
            self.entries = {key: item for key, item in node.value.items() if item.value is not None}
        elif node.value is not None:
            self._wrong(path.rpartition(".")[2], node, "a table")

    def __contains__(self, key: str) -> bool:
        return key in self.entries

    def __iter__(self) -> Iterator[tuple[str, Node]]:
        return iter(self.entries.items())

    def _wrong(self, key: str, node: Node, wanted: str) -> None:
        message = f"{key}: expected {wanted}, found {node.kind}"
        self.problems.error(node.span, message, code="wrong-type", hint=unset_hint(node, f"write {wanted}"))

    def node_of(self, key: str) -> Node | None:
        """The node itself."""
        return self.entries.get(key)

    def place(self, *keys: str) -> Span:
        """Where the first of the keys that is there stands; else the table's own key."""
        return next((self.entries[key].key for key in keys if key in self.entries), self.node.key)

    def text(self, key: str) -> str | None:
        """A scalar as text."""
        node = self.entries.get(key)
        if node is None:
            return None
        if isinstance(node.value, list | dict):
            self._wrong(key, node, "a text")
            return None
        return scalar_text(node)

    def flag(self, key: str, *, default: bool = False) -> bool:
        """A boolean, also as a word."""
        node = self.entries.get(key)
        if node is None:
            return default
        if isinstance(node.value, bool):
            return node.value
        word = node.value.lower() if isinstance(node.value, str) else ""
        if word in _TRUE or word in _FALSE:
            return word in _TRUE
        self._wrong(key, node, "true or false")
        return default

    def number(self, key: str) -> float | None:
        """A number, also in a text."""
        node = self.entries.get(key)
        if node is None:
            return None
        value = node.value
        if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e18:
            return value
        if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
            return float(value) if "." in value else int(value)
        self._wrong(key, node, "a number")
        return None

    def whole(self, key: str, low: int, high: int) -> int | None:
        """A whole number between bounds that belong to it."""
        number = self.number(key)
        if number is None:
            return None
        if number != int(number) or not low <= number <= high:
            node = self.entries[key]
            hint = f"a whole number from {low} to {high}"
            message = f"{key}: out of range: {scalar_text(node)}"
            self.problems.error(node.span, message, code="out-of-range", hint=hint)
            return None
        return int(number)

    def words(self, key: str) -> tuple[str, ...]:
        """A list of scalars as texts; a single one is a list of it."""
        return tuple(scalar_text(item) for item in self.items(key))

    def items(self, key: str) -> list[Node]:
        """The scalars of a list, as nodes; a single one is a list of it."""
        node = self.entries.get(key)
        if node is None:
            return []
        found = node.value if isinstance(node.value, list) else [node]
        for item in found:
            if isinstance(item.value, list | dict):
                self._wrong(key, item, "a text")
        return [item for item in found if not isinstance(item.value, list | dict)]

    def nodes(self, key: str) -> list[Node]:
        """The items of a list, whatever they are; a single value is a list of it."""
        node = self.entries.get(key)
        if node is None:
            return []
        return node.value if isinstance(node.value, list) else [node]

    def table(self, key: str) -> Entries:
        """The table below a key; an empty one where there is none."""
        node = self.entries.get(key, Node(None, self.node.span, self.node.key_span))
        return Entries(node, self.problems, f"{self.path}.{key}" if self.path else key)

    def named(self, key: str, what: str) -> Entries:
        """The table below a key, each of whose entries is a `what` with things to say; an error where one has none."""
        node = self.entries.get(key)
        for name, item in node.value.items() if node is not None and isinstance(node.value, dict) else ():
            if item.value is None:
                message, hint = f"the {what} {name!r} says nothing", "say what it runs, or take it out"
                self.problems.error(item.key, message, code="empty-entry", hint=hint)
        return self.table(key)


class FieldCheck:
    """Holds what a config says against the fields of its format.

    `walk` as often as there are tables of a section, then `tell` once: each field that nothing here does is told
    once, with all who have it; so is each that the format does not know.
    """

    def __init__(self, fields: Iterable[Field], title: str, code: str, *, extension: str = "x-") -> None:
        self._fields = tuple(fields)
        self._by_section: dict[str, dict[str, Field]] = {}
        for field in self._fields:
            self._by_section.setdefault(field.section, {})[field.name] = field
        self._title = title
        self._code = code
        self._extension = extension
        self._lost: _Met = {}
        self._unknown: _Met = {}

    def walk(self, node: Node, section: str = "", owner: str = "") -> None:
        """Take in one table of the section; `owner` is whose it is, in the words of its owner."""
        self._walk(node, "", self._by_section.get(section, {}), section, owner)

    def _walk(self, node: Node, path: str, known: dict[str, Field], section: str, owner: str) -> None:
        if isinstance(node.value, list):
            for item in node.value:
                if isinstance(item.value, dict):
                    self._walk(item, path, known, section, owner)
            return
        if not isinstance(node.value, dict):
            return
        prefix = f"{path}." if path else ""
        below = {name[len(prefix) :].partition(".")[0] for name in known if name.startswith(prefix)} - {""}
        if path and not below:
            return  # the field is known as a whole
        for key, item in node.value.items():
            name = f"{prefix}{key}"
            if self._extension and key.startswith(self._extension) and name not in known:
                continue
            if key not in below and "*" in below:
                name = f"{prefix}*"
            met = self._met(name, known, item)
            if met is None:
                self._walk(item, name, known, section, owner)
            else:
                met.setdefault((section, name), []).append((owner, item.key))

    def _met(self, name: str, known: dict[str, Field], item: Node) -> _Met | None:
        """Where a field belongs that becomes nothing; None where it is one that becomes something."""
        field = known.get(name)
        if field is None:
            return None if any(other.startswith(f"{name}.") for other in known) else self._unknown
        is_said = bool(item.value) or (item.value is not False and isinstance(item.value, int | float))
        return self._lost if not field.becomes and is_said else None

    def tell(self, problems: Diagnostics) -> None:
        """Add a diagnostic for each field that was met and becomes nothing, and for each that is unknown."""
        harmless: list[tuple[str, Span]] = []
        for (section, name), met in self._lost.items():
            field = self._by_section[section][name]
            if field.harmless:
                harmless.append((name, met[0][1]))
                continue
            message = f"{name}: {field.differs}{_owners(met)}"
            hint = field.instead or "take it out, so that nobody relies on it"
            problems.warning(met[0][1], message, code=f"{self._code}-lost", hint=hint, lost=True)
        if harmless:
            names = list(dict.fromkeys(name for name, _ in harmless))
            message = f"without a meaning here: {', '.join(names)}"
            hint = f"{self._title} needs {'it' if len(names) == 1 else 'them'}, systemd does not"
            problems.note(harmless[0][1], message, code=f"{self._code}-ignored", hint=hint, lost=True)
        for (section, name), met in self._unknown.items():
            names = [other for other in self._by_section.get(section, {}) if "*" not in other]
            close = get_close_matches(name, names, n=1, cutoff=0.75)
            hint = f"did you mean {close[0]!r}?" if close else "take it out; nothing here reads it"
            message = f"{self._title} has no field {name!r}{_owners(met)}"
            problems.warning(met[0][1], message, code=f"{self._code}-unknown-field", hint=hint, lost=True)


def _owners(met: list[tuple[str, Span]]) -> str:
    """Whose it is, where there are several."""
    owners = list(dict.fromkeys(owner for owner, _ in met if owner))
    if len(owners) < 2:
        return ""
    shown = ", ".join(owners[:_OWNERS_TOLD])
    return f" ({shown}{f' and {len(owners) - _OWNERS_TOLD} more' if len(owners) > _OWNERS_TOLD else ''})"
