"""Tables to TOML: what is written is read back as it was, and reads as a person would write it."""

from __future__ import annotations

import tomllib

from hypothesis import given
from hypothesis import strategies as st

from pm_native.syntax.toml_write import table_lines

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
SCALARS = TEXTS | st.booleans() | st.integers(-(2**62), 2**62)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


def written(table: dict[str, object]) -> str:
    return "\n".join(table_lines(("a",), table)) + "\n"  # type: ignore[arg-type]  # any table


@given(table=st.dictionaries(TEXTS, VALUES, max_size=5))
def test_what_is_written_is_read_back(table: dict[str, object]) -> None:
    assert tomllib.loads(written(table))["a"] == table


def test_table_reads_as_a_person_writes_it() -> None:
    table = {
        "command": 'say "hello"',
        "script": "cd /srv\nexec run 'it'\n",
        "path": "C:\\shop",
        "both": 'it\'s "both"',
        "list": ["a", "b"],
        "long": [f"--option-{number}=value" for number in range(6)],
        "restart": {"policy": "always", "limit": 3},
        "environment": {f"VARIABLE_{number}": "a value of some length" for number in range(4)},
        "a.b": True,
    }
    assert (
        written(table)
        == """\
[a]
command = 'say "hello"'
script = '''
cd /srv
exec run 'it'
'''
path = 'C:\\shop'
both = "it's \\"both\\""
list = ["a", "b"]
long = [
    "--option-0=value",
    "--option-1=value",
    "--option-2=value",
    "--option-3=value",
    "--option-4=value",
    "--option-5=value",
]
restart = { policy = "always", limit = 3 }
"a.b" = true

[a.environment]
VARIABLE_0 = "a value of some length"
VARIABLE_1 = "a value of some length"
VARIABLE_2 = "a value of some length"
VARIABLE_3 = "a value of some length"
"""
    )
