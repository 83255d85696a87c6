"""One app of a config: its keys found under all their names and typed as PM2 types them."""

from __future__ import annotations

import re
from difflib import get_close_matches
from math import isinf, isnan

from pm_native.importers.pm2.keys import BY_NAME, KEYS, NEVER_HAD, WITHOUT_MEANING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pm_native.errors import Diagnostics, Span
    from pm_native.importers.pm2.keys import Key
    from pm_native.syntax.node import Node

ENV_KEY = re.compile(r"env_\S*")
_NUMBER = re.compile(r"\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\s*")
# How PM2 takes a string of arguments apart: at blanks, but for what stands in quotes. The quotes of `--name="a b"`
# stay part of the argument, those around a whole argument do not.
_ARGUMENT = re.compile(r"""(?<![\w-])([\w-]+="[^"]*")|(?<![\w-])([\w-]+='[^']*')|"([^"]*)"|'([^']*)'|(\s)""")


class App:
    """The keys of one app. Each is typed once; a wrong type is told once, and counts as not set."""

    def __init__(self, node: Node, entries: dict[str, Node], problems: Diagnostics) -> None:
        self.node = node
        self.entries = entries
        self.problems = problems
        self.places: dict[str, Span] = {}
        self.keys: dict[str, Span] = {}
        self.values: dict[str, object] = {}
        self.nodes: dict[str, Node] = {}
        for key in KEYS.values():
            self._take(key)

    def _take(self, key: Key) -> None:
        written = [(name, self.entries[name]) for name in key.names if name in self.entries]
        chosen = next(
            ((name, node) for name, node in written if not _is_falsy(node)), written[0] if written else None
        )
        if chosen is None or chosen[1].value is None:
            return
        name, node = chosen
        self.places[key.name], self.keys[key.name], self.nodes[key.name] = node.span, node.key, node
        if _is_falsy(node) and (key.is_multiword or node.value == ""):
            self._note_unset(key, name, node)
            return
        value = self._typed(key, name, node)
        if value is not None:
            self.values[key.name] = value

    def _note_unset(self, key: Key, name: str, node: Node) -> None:
        if node.value == 0 and node.value is not False and key.name not in {"cron_restart", "restart_delay"}:
            message = f"{name}: PM2 takes 0 for not set, and so its default counts"
            self.problems.note(
                node.span, message, code="pm2-zero", hint="leave it out, or write what you mean"
            )

    def _typed(self, key: Key, name: str, node: Node) -> object | None:
        value = node.value
        if "number" in key.types and not isinstance(value, bool) and (number := as_number(node)) is not None:
            return number
        if (
            (isinstance(value, bool) and "boolean" in key.types)
            or (isinstance(value, str) and ("string" in key.types or key.name == "instances"))
            or (isinstance(value, dict) and "object" in key.types)
        ):
            return value
        if isinstance(value, list) and "array" in key.types:
            return [scalar_text(item) for item in value]
        found = repr(value) if isinstance(value, str) else node.kind
        message = f"{name}: expected {key.expected}, found {found}"
        self.problems.error(
            node.span, message, code="wrong-type", hint="PM2 starts none of the apps with this value"
        )
        return None

    def text(self, key: str) -> str | None:
        """A string that is not empty."""
        value = self.values.get(key)
        return value if isinstance(value, str) and value else None

    def number(self, key: str) -> float | None:
        """A number; what was written as a string of digits is one."""
        value = self.values.get(key)
        return value if isinstance(value, int | float) and not isinstance(value, bool) else None

    def flag(self, key: str, *, default: bool) -> bool:
        """A boolean, `default` where it is not set."""
        value = self.values.get(key)
        return value if isinstance(value, bool) else default

    def words(self, key: str) -> tuple[str, ...]:
        """A list of strings; a string is split as PM2 splits it."""
        value = self.values.get(key)
        if isinstance(value, list):
            return tuple(str(item) for item in value)
        return split_arguments(value) if isinstance(value, str) else ()

    def has(self, key: str) -> bool:
        """Whether the key is set to something of its type."""
        return key in self.values

    def place(self, key: str) -> Span:
        """Where the value of a key stands; the app, where it is not set."""
        return self.places.get(key, self.node.span)

    def environments(self) -> dict[str, Node]:
        """The `env_<name>` tables by name."""
        return {
            name[4:]: node
            for name, node in self.entries.items()
            if ENV_KEY.fullmatch(name) and name != "env_file"
        }

    def tell_the_rest(self) -> None:
        """A note for each key that means something to PM2 alone, a warning for each that PM2 never had."""
        for name, node in self.entries.items():
            key = BY_NAME.get(name)
            if key is not None:
                if key.name in WITHOUT_MEANING and node.value is not None:
                    reason = WITHOUT_MEANING[key.name]
                    self.problems.note(
                        node.key,
                        f"{name} has no meaning here: {reason}",
                        code="pm2-ignored",
                        hint="it can go",
                    )
            elif name == "env_file" or not ENV_KEY.fullmatch(name):
                self.problems.warning(
                    node.key,
                    f"PM2 has no key {name!r} and ignores it",
                    code="pm2-unknown-key",
                    hint=_meant(name),
                )


def _meant(name: str) -> str:
    if name in NEVER_HAD:
        return NEVER_HAD[name]
    close = get_close_matches(name, BY_NAME, n=1, cutoff=0.7)
    return f"did you mean {close[0]!r}?" if close else "take it out; it does nothing"


def _is_falsy(node: Node) -> bool:
    return node.value in (None, False, 0, "") and not isinstance(node.value, list | dict)


def as_number(node: Node) -> float | None:
    """The number that PM2 reads; a string of digits counts as one, and "Infinity"."""
    value = node.value
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return None if isnan(value) else value
    if isinstance(value, str) and value.strip() == "Infinity":
        return float("inf")
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        number = float(value)  # "1e999" is infinite
        return int(number) if number.is_integer() else number
    return None


def scalar_text(node: Node) -> str:
    """A value as JavaScript makes a string of it; objects and lists as JSON, as PM2 does."""
    match node.value:
        case None:
            return "null"
        case bool(flag):
            return "true" if flag else "false"
        case float(number) if isinf(number) or isnan(number):
            return "NaN" if isnan(number) else "Infinity" if number > 0 else "-Infinity"
        case float(number) if number.is_integer():
            return str(int(number))
        case dict() | list():
            import json  # noqa: PLC0415 - for the rare value that is no scalar

            return json.dumps(node.plain(), separators=(",", ":"), ensure_ascii=False, default=str)
        case value:
            return str(value)


def split_arguments(text: str) -> tuple[str, ...]:
    """The arguments in a string, by PM2's rules, which are not a shell's."""
    return tuple(part for part in _ARGUMENT.split(text) if part and part.strip())
