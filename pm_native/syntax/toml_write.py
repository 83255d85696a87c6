"""Tables to TOML as a person would write it: short tables in line, long ones under a heading of their own."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    Value = str | int | bool | Sequence["Value"] | Mapping[str, "Value"]
    Table = Mapping[str, Value]

WIDTH = 109
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r", "\b": "\\b", "\f": "\\f"}
_SPECIAL = re.compile(r'["\\\x00-\x1f\x7f]')
_PLAIN = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")  # what a text in single quotes can hold
_PLAIN_LINES = re.compile(r"[^\x00-\x08\x0b-\x1f\x7f]*")  # on several lines


def key_text(name: str) -> str:
    """A key, in quotes where it needs them."""
    return name if _BARE.fullmatch(name) else _on_one_line(name)


def string_text(text: str) -> str:
    """A string: in double quotes, or in single ones where that needs no backslash; several lines as they are."""
    if "\n" in text.rstrip("\n") and "'''" not in text and _PLAIN_LINES.fullmatch(text):
        return f"'''\n{text}'''"
    if ('"' in text or "\\" in text) and "'" not in text and _PLAIN.fullmatch(text):
        return f"'{text}'"
    return f'"{_SPECIAL.sub(_escaped, text)}"'


def _escaped(match: re.Match[str]) -> str:
    return _ESCAPES.get(match[0]) or f"\\u{ord(match[0]):04x}"


def value_text(value: Value, *, column: int = 0) -> str:
    """A value on one line; a long list on several, if it begins at `column`."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return string_text(value)
    parts = _parts(value)
    if not isinstance(value, dict):
        line = f"[{', '.join(parts)}]"
        if column + len(line) > WIDTH and len(parts) > 1:
            return "[\n" + "".join(f"    {part},\n" for part in parts) + "]"
        return line
    return f"{{ {', '.join(parts)} }}" if parts else "{}"


def _parts(value: Sequence[Value] | Mapping[str, Value]) -> list[str]:
    # No text of several lines within a line: TOML 1.0 has no line ends in a table on one line.
    if isinstance(value, dict):
        return [f"{key_text(name)} = {_on_one_line(item)}" for name, item in value.items()]
    return [_on_one_line(item) for item in value if not isinstance(value, str)]


def _on_one_line(value: Value) -> str:
    if isinstance(value, str):
        return string_text(value) if "\n" not in value else f'"{_SPECIAL.sub(_escaped, value)}"'
    return value_text(value)


def table_lines(path: tuple[str, ...], table: Table, comments: Sequence[str] = ()) -> Iterator[str]:
    """The lines of the table at `path`: what fits on a line first, then tables of their own below it."""
    yield from (f"# {comment}" for comment in comments)
    below: list[tuple[str, Table]] = []
    lines: list[str] = []
    for name, value in table.items():
        start = f"{key_text(name)} = "
        if isinstance(value, dict) and not _fits(start, value):
            below.append((name, value))
        else:
            lines += (start + value_text(value, column=len(start))).split("\n")
    has_heading = bool(lines or comments or not below)
    if has_heading:
        yield f"[{'.'.join(map(key_text, path))}]"
        yield from lines
    for number, (name, inner) in enumerate(below):
        if has_heading or number:
            yield ""
        yield from table_lines((*path, name), inner)


def _fits(start: str, table: Table) -> bool:
    """Whether a table reads well on one line."""
    line = start + value_text(table)
    has_tables = any(isinstance(value, dict) for value in table.values())
    is_deep = has_tables and any(
        isinstance(inner, dict)
        for value in table.values()
        if isinstance(value, dict)
        for inner in value.values()
    )
    return "\n" not in line and len(line) <= WIDTH and not is_deep
