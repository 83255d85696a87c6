"""The key table as JSON Schema (draft 2020-12), for editors and for whoever writes configs by program."""

from __future__ import annotations

from pm_native.config.keys import CONFIG
from pm_native.config.table import ListOfTables, MapOf, Table
from pm_native.model.names import NAME_PATTERN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pm_native.config.table import Key
    from pm_native.config.types import Schema, ValueType


def json_schema() -> Schema:
    """The schema of a whole config."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "pm-native.toml",
        **schema_of(CONFIG),
    }


def schema_of(value_type: ValueType | Table | MapOf | ListOfTables) -> Schema:
    """The schema of one type, table or map."""
    match value_type:
        case Table() as table:
            return _table_schema(table)
        case MapOf(value, names):
            any_entry: Schema = {"type": "object", "additionalProperties": schema_of(value)}
            if names != "a process":
                return any_entry
            return {**any_entry, "propertyNames": {"pattern": f"^{NAME_PATTERN}$"}}
        case ListOfTables(table, _):
            return {"type": "array", "items": schema_of(table)}
        case _:
            return value_type.schema()


def _table_schema(table: Table) -> Schema:
    keys = [key for key in table.keys if not key.planned]
    schema: Schema = {
        "type": "object",
        "additionalProperties": False,
        "properties": {key.name: _key_schema(key) for key in keys},
    }
    if required := [key.name for key in keys if key.required]:
        schema["required"] = required
    if table.shorthand:
        return {"anyOf": [schema_of(table.by_name[table.shorthand].type), schema]}
    return schema


def _key_schema(key: Key) -> Schema:
    schema = schema_of(key.type)
    if key.name == "depends_on":
        schema = {"anyOf": [schema, {"type": "array", "items": {"type": "string"}}, {"type": "string"}]}
    description = key.help + (f" Default: {key.default}." if key.default else "")
    return {"description": description, **schema}
