"""How the key table is built: keys, tables of them, and tables and lists whose entries are alike."""

from __future__ import annotations

from dataclasses import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pm_native.config.types import ValueType


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key. `type` is a value type, or a `Table` of further keys.

    `default` is told, not used: the model holds the defaults. `directives` are what it becomes in unit files.
    A `planned` key is known and refused, with a word that it comes in a later release.
    """

    name: str
    type: ValueType | Table | MapOf | ListOfTables
    help: str
    default: str = ""
    directives: tuple[str, ...] = ()
    example: str = ""
    required: bool = False
    planned: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A table of keys; `shorthand` names the key that a bare value stands for."""

    keys: tuple[Key, ...]
    shorthand: str = ""

    @property
    def by_name(self) -> dict[str, Key]:
        """The keys by their names."""
        return {key.name: key for key in self.keys}


@dataclass(frozen=True, slots=True)
class MapOf:
    """A table whose keys are names that the user chooses, and whose values are all alike."""

    value: ValueType | Table | MapOf
    names: str  # what the names are: "a process"


@dataclass(frozen=True, slots=True)
class ListOfTables:
    """A list of tables with the same keys."""

    table: Table
    words: str
