"""The key table as the reference page of the documentation."""

from __future__ import annotations

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


def reference_page() -> str:
    """The whole page, in Markdown."""
    return _INTRODUCTION + "\n" + "\n".join(_tables(CONFIG, "", {}))


def _tables(table: Table, path: str, told: dict[int, str]) -> Iterator[str]:
    """A heading for each table of keys, then each key."""
    for key in table.keys:
        match key.type:
            case MapOf(value, _) if isinstance(value, Table):
                yield from _section(f"[{key.name}.NAME]", key, value, f"{key.name}.NAME", told)
            case Table() as inner if not path:
                yield from _section(f"[{key.name}]", key, inner, key.name, told)
            case _:
                continue


def _section(title: str, key: Key, table: Table, path: str, told: dict[int, str]) -> Iterator[str]:
    yield f"## {title}\n\n{key.help}\n"
    for item in table.keys:
        if not item.planned:
            yield from _key(item, path, told)


def _key(key: Key, path: str, told: dict[int, str]) -> Iterator[str]:
    yield f"### {path}.{key.name}\n\n{key.help}\n"
    if facts := " ".join(key_facts(key)):
        yield facts + "\n"
    if key.example:
        yield f"```toml\n{key.name} = {key.example}\n```\n"
    inner = key.type.table if isinstance(key.type, ListOfTables) else key.type
    if not isinstance(inner, Table):
        return
    # Some tables are there several times over (the checks of `health`): their keys are told once.
    if (place := told.get(id(inner.keys[0]))) is not None:
        yield f"Its keys: those of [{place}](#{_anchor(place)}).\n"
        return
    told[id(inner.keys[0])] = f"{path}.{key.name}"
    for item in inner.keys:
        if not item.planned:
            yield from _key(item, f"{path}.{key.name}", told)


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
