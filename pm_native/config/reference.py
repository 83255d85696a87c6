"""The key table as the reference page of the documentation."""

from __future__ import annotations

from dataclasses import dataclass

from pm_native.config.keys import CONFIG
from pm_native.config.table import ListOfTables, MapOf, Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pm_native.config.table import Key

_INTRODUCTION = """\
# The config: every key

Made from the table that pm-native itself reads by (`pm_native/config/keys.py`). The same keys serve in TOML
(`pm-native.toml`), YAML (`pm-native.yaml`) and JSON (`pm-native.json`). `pm-native schema` prints them as JSON Schema.

Durations and sizes are systemd's own: `"30s"`, `"1min 30s"`, `"500ms"`; `"512M"`, `"2G"` (powers of 1024). A bare
number is seconds, or bytes.
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """One key with its whole path, or a table at the top (`is_section`), which its keys follow.

    `same_as` is the path of the key with the same table, where the keys of this one have been told.
    """

    path: str
    key: Key
    is_section: bool = False
    same_as: str = ""


def entries() -> Iterator[Entry]:
    """Every key that is supported, each behind the one it belongs to, in the order of the table."""
    told: dict[int, str] = {}
    for key in CONFIG.keys:
        match key.type:
            case MapOf(Table() as table, _):
                path = f"{key.name}.NAME"
            case Table() as table:
                path = key.name
            case _:
                raise TypeError(f"a key at the top that is no table: {key.name}")
        yield Entry(path, key, is_section=True)
        yield from _entries(table, path, told)


def _entries(table: Table, path: str, told: dict[int, str]) -> Iterator[Entry]:
    for key in table.keys:
        if key.planned:
            continue
        inner = key.type.table if isinstance(key.type, ListOfTables) else key.type
        if not isinstance(inner, Table):
            yield Entry(f"{path}.{key.name}", key)
            continue
        # Some tables are there several times over (the checks of `health`): their keys are told once.
        same_as = told.setdefault(id(inner.keys[0]), f"{path}.{key.name}")
        if same_as != f"{path}.{key.name}":
            yield Entry(f"{path}.{key.name}", key, same_as=same_as)
        else:
            yield Entry(f"{path}.{key.name}", key)
            yield from _entries(inner, f"{path}.{key.name}", told)


def reference_page() -> str:
    """The whole page, in Markdown."""
    return "\n".join([_INTRODUCTION, *(line for entry in entries() for line in _lines(entry))])


def _lines(entry: Entry) -> Iterator[str]:
    key = entry.key
    if entry.is_section:
        yield f"## [{entry.path}]\n\n{key.help}\n"
        return
    yield f"### {entry.path}\n\n{key.help}\n"
    if facts := " ".join(key_facts(key)):
        yield facts + "\n"
    if key.example:
        yield f"```toml\n{key.name} = {key.example}\n```\n"
    if entry.same_as:
        yield f"Its keys: those of [{entry.same_as}](#{_anchor(entry.same_as)}).\n"


def _anchor(heading: str) -> str:
    return heading.lower().replace(".", "")


def key_facts(key: Key) -> Iterator[str]:
    """What there is to know of a key beside its help: sentences of Markdown."""
    if key.required:
        yield "Required."
    match key.type:
        case Table(_, shorthand):
            yield f"A table, or just the value of `{shorthand}`." if shorthand else "A table."
        case MapOf():
            pass
        case ListOfTables(_, words):
            yield f"{words[0].upper()}{words[1:]}."
        case value_type:
            yield f"{value_type.words[0].upper()}{value_type.words[1:]}."
    if key.default:
        yield f"Default: {key.default}."
    if key.directives:
        yield f"Becomes {', '.join(f'`{name}`' for name in key.directives)}."
