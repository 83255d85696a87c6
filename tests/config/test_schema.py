"""The JSON Schema says what the decoder says, as far as a schema can."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from pm_native.config.keys import CONFIG
from pm_native.config.load import parse_text
from pm_native.config.schema import json_schema
from pm_native.config.table import MapOf, Table
from pm_native.errors import Diagnostics, Severity, Source
from tests.cases.case import CASES, Case, decode_case, load_cases

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


CHECKOUT = Path(__file__).parent.parent.parent
EXAMPLES = sorted(CHECKOUT.glob("examples/**/pm-native.*"))
VALIDATOR = Draft202012Validator(json_schema())
ALL_CASES = [*load_cases("compile"), *load_cases("config"), *load_cases("config", ".yaml")]
# What is wrong with these cases is beyond a schema: references, quantities, what systemd knows.
BEYOND = {
    "bad-command",
    "bad-name",
    "bad-quantity",
    "bad-schedule",
    "bad-mode",
    "bad-umask",
    "duplicate-key",
    "environment-file-missing",
    "env-name",
    "env-syntax",
    "no-process",
    "nul-character",
    "out-of-range",
    "shell-list",
    "toml-syntax",
}


def plain(text: str, suffix: str) -> object:
    root = parse_text(Source("x", text), suffix, Diagnostics())
    return None if root is None else json.loads(json.dumps(root.plain(), default=str))


def decode_errors(case: Case) -> set[str]:
    problems = Diagnostics()
    decode_case(case, problems)
    return {item.code for item in problems if item.severity is Severity.ERROR}


def test_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(json_schema())


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.parent.name)
def test_schema_takes_the_examples(path: Path) -> None:
    tree = plain(path.read_text(encoding="utf-8"), path.suffix)
    assert [error.message for error in VALIDATOR.iter_errors(tree)] == []


@pytest.mark.parametrize(
    "case", [case for case in ALL_CASES if not decode_errors(case)], ids=lambda case: case.path.stem
)
def test_schema_takes_what_the_decoder_takes(case: Case) -> None:
    assert [error.message for error in VALIDATOR.iter_errors(plain(case.text, case.path.suffix))] == []


@pytest.mark.parametrize(
    "case", [case for case in ALL_CASES if decode_errors(case) - BEYOND], ids=lambda case: case.path.stem
)
def test_schema_refuses_what_the_decoder_refuses(case: Case) -> None:
    assert not VALIDATOR.is_valid(plain(case.text, case.path.suffix))


def keys_of(table: Table | MapOf, path: str = "") -> Iterator[tuple[str, str, str]]:
    """Each key that can be given, with its example and with the lines that have to stand beside it."""
    if isinstance(table, MapOf):
        if isinstance(table.value, Table):
            yield from keys_of(table.value, f"{path}.NAME")
        return
    for key in table.keys:
        if not key.planned:
            needed = [item for item in table.keys if item.required and item.name != "command"]
            beside = [item for item in needed if item is not key]
            lines = [f"{path}.{item.name} = {item.example}\n" for item in beside]
            yield f"{path}.{key.name}".lstrip("."), key.example, "".join(lines).lstrip(".")
            if isinstance(key.type, Table | MapOf):
                yield from keys_of(key.type, f"{path}.{key.name}")


@pytest.mark.parametrize(("path", "example", "beside"), [item for item in keys_of(CONFIG) if item[1]])
def test_example_of_each_key_is_taken(path: str, example: str, beside: str) -> None:
    """By the decoder and by the schema: the reference page shows them."""
    name = path.replace("NAME", "web")
    text = f"{name} = {example}\n" + beside.replace("NAME", "web")
    if not name.endswith(".command"):
        text += 'process.web.command = "true"\n'
    problems = Diagnostics()
    root = parse_text(Source("x.toml", text), ".toml", problems)
    assert root is not None
    case = Case(CASES / "x.toml", text)
    decode_case(case, problems)
    # An example stands alone: the probe that its check is for, the phase that it is meant for are not there.
    alone = {"environment-file-missing", "no-probe", "probe-phase"}
    assert [item.message for item in problems if item.code not in alone] == []
    assert VALIDATOR.is_valid(root.plain())
