"""What kind of file it is, by what is in it: enough to tell the formats apart, before any parser runs."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

_KINDS = {
    ".yml": "yaml",
    ".yaml": "yaml",
    ".json": "json",
    ".json5": "json",
    ".conf": "ini",
    ".ini": "ini",
    ".cfg": "ini",
    ".toml": "toml",
    ".js": "javascript",
    ".cjs": "javascript",
    ".mjs": "javascript",
    ".ts": "javascript",
    ".mts": "javascript",
    ".cts": "javascript",
}
_READ_BYTES = 4 * 1024 * 1024
_YAML_KEY = re.compile(r"""^(?:-[ \t]+)?(["']?)([A-Za-z_][\w.-]*)\1[ \t]*:(?=\s|$)""", re.MULTILINE)
_YAML_ITEM = re.compile(r"^-\s", re.MULTILINE)
_YAML_ITEM_KEY = re.compile(r"^(?:-| )[ \t]+([A-Za-z_]\w*)[ \t]*:(?=\s|$)", re.MULTILINE)
_INI_SECTION = re.compile(r"^\[([^\]\n]+)\]", re.MULTILINE)


def is_program(path: Path) -> bool:
    """Whether what is read of the config is what Node makes of it, by the suffix."""
    return _KINDS.get(path.suffix) == "javascript"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What a file holds. `kind` is yaml, json, ini, toml, javascript (or TypeScript) or text, by the suffix.

    `keys` are those of its top level, or the names of its sections; of a list those of its items (`is_list`).
    """

    path: Path
    kind: str
    text: str
    keys: frozenset[str]
    is_list: bool = False


def contents_of(path: Path) -> Contents | None:
    """What the file at `path` holds; None where it cannot be read as text: the importer says so better."""
    from pm_native.syntax.read import open_file  # noqa: PLC0415 - the parsers load on first use

    try:
        with open_file(path) as file:
            data = file.read(_READ_BYTES + 1)
        text = data.decode("utf-8")
    except (OSError, ValueError):
        return None
    kind = _KINDS.get(path.suffix, "text")
    if len(data) > _READ_BYTES:  # what reads it says that it is too big: by its name it may be anybody's
        return Contents(path=path, kind=kind, text="", keys=frozenset())
    keys: set[str] = set()
    is_list = False
    match kind:
        case "yaml":
            is_list = _YAML_ITEM.search(text) is not None and not re.search(
                r"^[A-Za-z_]", text, re.MULTILINE
            )
            pattern = _YAML_ITEM_KEY if is_list else _YAML_KEY
            keys = {match[match.lastindex or 0] for match in pattern.finditer(text)}
        case "json":
            keys, is_list = _json_keys(path, text)
        case "ini":
            keys = set(_INI_SECTION.findall(text))
        case _:
            pass
    return Contents(path=path, kind=kind, text=text, keys=frozenset(keys), is_list=is_list)


def _json_keys(path: Path, text: str) -> tuple[set[str], bool]:
    """The keys of JSON, or of what lenient readers take for it; none where it is broken."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        from pm_native.errors import Diagnostics, Source  # noqa: PLC0415 - for the unhappy path
        from pm_native.syntax import parse_json5  # noqa: PLC0415 - for the unhappy path

        tree = parse_json5(Source(path.name, text), Diagnostics())
        value = tree.plain() if tree is not None else None
    if isinstance(value, list):
        return {key for item in value[:100] if isinstance(item, dict) for key in item}, True
    return (set(value) if isinstance(value, dict) else set()), False
