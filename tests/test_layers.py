"""The import ladder: what each part of pm_native may import, read from the source."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(__file__).parent.parent / "pm_native"
FILES = sorted(PACKAGE.rglob("*.py"))

# Each part with the parts it may import, or single modules of them. A part may always import itself.
_WORDS = {"errors", "resources", "unit"}
_MODEL = _WORDS | {"model"}
_READING = _MODEL | {"syntax"}
_COMPILED = _MODEL | {"compile"}
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "resources": set(),
    "syntax": {"errors"},
    "unit": {"errors", "resources"},
    "model": {"errors"},
    "config": _READING,
    "importers": _READING | {"runtime.watch.patterns"},
    "compile": _MODEL | {"runtime.ipc.topics", "runtime.watch.patterns"},
    "state": _MODEL | {"compile.bundle"},
    "bus": {"errors", "unit"},
    "plan": _COMPILED | {"bus.manager"},
    "apply": _COMPILED | {"state", "bus", "plan"},
    "package": _COMPILED,
    "runtime": set(),
    "monitor": _COMPILED | {"state", "bus", "plan", "runtime"},
    "cli": _READING
    | {"config", "importers", "compile", "state", "bus", "plan", "apply", "package", "monitor", "runtime"},
    "__main__": {"cli"},
}
# The one file that knows the D-Bus library, so that another one can take its place.
DBUS_FILE = "bus/dbus.py"
# Where unit text is put together of pieces; everywhere else it goes through `rendered`.
TEXT_FILES = {"unit/escape.py", "unit/render.py"}
_SETTING_TEXT = re.compile(r"\[[A-Z][a-z]+\]\n|[A-Z][A-Za-z]*[a-z][A-Za-z]*=")


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def place(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_modules(path: Path) -> Iterator[tuple[int, str]]:
    """Each module that a file imports, also inside of functions and for annotations only, with its line."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}:{node.lineno}: a relative import"
            module = node.module or ""
            yield node.lineno, module
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)


def is_allowed(part: str, module: str) -> bool:
    target = module.removeprefix("pm_native.")
    return any(target == name or target.startswith(f"{name}.") for name in {part, *MAY_IMPORT[part]})


def test_imports_point_down_the_ladder() -> None:
    wrong = [
        f"{place(path)}:{line}: {module}"
        for path in FILES
        for line, module in imported_modules(path)
        if module.startswith("pm_native.") and not is_allowed(part_of(path), module)
    ]
    assert wrong == []


def circles(below: dict[str, set[str]]) -> dict[str, set[str]]:
    """What is left when that which stands on nothing is taken away, again and again: circles, and what is above them."""
    while bottom := {name for name, others in below.items() if not others & below.keys()}:
        below = {name: others for name, others in below.items() if name not in bottom}
    return {name: others & below.keys() for name, others in below.items()}


def test_ladder_has_no_circle() -> None:
    assert (
        circles({part: {name.partition(".")[0] for name in names} for part, names in MAY_IMPORT.items()})
        == {}
    )


def test_no_files_import_each_other_in_a_circle() -> None:
    """Not for annotations either: each file can be read with what is below it."""
    names = {
        path: ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
        for path in FILES
        if path.name != "__init__.py"
    }
    below = {name: {module for _, module in imported_modules(path)} for path, name in names.items()}
    assert circles(below) == {}


def test_every_part_stands_on_the_ladder() -> None:
    assert {part_of(path) for path in FILES} - {"__init__"} <= MAY_IMPORT.keys()


def test_package_itself_is_empty_so_that_the_runtime_stays_light() -> None:
    assert (PACKAGE / "__init__.py").read_text(encoding="utf-8") == ""


def test_one_file_knows_the_dbus_library() -> None:
    users = [
        place(path)
        for path in FILES
        if any(module.split(".")[0] in {"dbus_next", "dbus_fast"} for _, module in imported_modules(path))
    ]
    assert users == [DBUS_FILE]


def test_only_the_command_line_prints_or_exits() -> None:
    wrong = [
        f"{place(path)}:{node.lineno}: {ast.unparse(node.func)}"
        for path in FILES
        if part_of(path) not in {"cli", "runtime", "__main__"}
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func)
        in {"print", "exit", "quit", "sys.exit", "os._exit", "click.echo", "input"}
    ]
    wrong += [
        f"{place(path)}:{line}: {module}"
        for path in FILES
        if part_of(path) != "cli"
        for line, module in imported_modules(path)
        if module.split(".")[0] == "click"
    ]
    assert wrong == []


def test_async_lives_in_bus_apply_and_above() -> None:
    wrong = [
        f"{place(path)}:{node.lineno}"
        for path in FILES
        if part_of(path) not in {"bus", "apply", "monitor", "runtime", "cli"}
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.AsyncFunctionDef | ast.Await)
    ]
    assert wrong == []


def string_pieces(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """The beginning of each f-string, and each string that is formatted or joined by `+`, with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr) and node.values and isinstance(node.values[0], ast.Constant):
            yield node.lineno, str(node.values[0].value)
        elif isinstance(node, ast.BinOp) and isinstance(node.left, ast.Constant):
            yield node.lineno, str(node.left.value)
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "format"
            and isinstance(node.func.value, ast.Constant)
        ):
            yield node.lineno, str(node.func.value.value)


def test_settings_are_never_put_together_of_text() -> None:
    wrong = [
        f"{place(path)}:{line}: {text!r}"
        for path in FILES
        if part_of(path) in {"unit", "compile", "importers", "config"} and place(path) not in TEXT_FILES
        for line, text in string_pieces(tree_of(path))
        if _SETTING_TEXT.match(text)
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("text", "is_setting"),
    [("Restart=", True), ("[Service]\nType=", True), ("CPUQuota=", True), ("PORT=", False), ("a=", False)],
)
def test_setting_text_is_recognised(text: str, is_setting: bool) -> None:  # noqa: FBT001
    assert bool(_SETTING_TEXT.match(text)) == is_setting
