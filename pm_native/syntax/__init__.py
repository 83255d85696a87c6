"""Texts to trees that know where each value stands: TOML, YAML, JSON, JSON5, INI, .env.

The parsers are loaded on first use: importing this package loads neither PyYAML nor tomllib.
"""

from __future__ import annotations

from importlib import import_module

from pm_native.syntax.node import Node, Scalar

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pm_native.syntax.dotenv import Dialect, parse_dotenv
    from pm_native.syntax.ini import IniDialect, IniEntry, IniSection, parse_ini
    from pm_native.syntax.json import parse_json, parse_json5
    from pm_native.syntax.read import read_source
    from pm_native.syntax.toml import parse_toml
    from pm_native.syntax.yaml import parse_yaml, parse_yaml_documents

__all__ = [
    "Dialect",
    "IniDialect",
    "IniEntry",
    "IniSection",
    "Node",
    "Scalar",
    "parse_dotenv",
    "parse_ini",
    "parse_json",
    "parse_json5",
    "parse_toml",
    "parse_yaml",
    "parse_yaml_documents",
    "read_source",
]

_HOMES = {
    "Dialect": "dotenv",
    "IniDialect": "ini",
    "IniEntry": "ini",
    "IniSection": "ini",
    "parse_dotenv": "dotenv",
    "parse_ini": "ini",
    "parse_json": "json",
    "parse_json5": "json",
    "parse_toml": "toml",
    "parse_yaml": "yaml",
    "parse_yaml_documents": "yaml",
    "read_source": "read",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
