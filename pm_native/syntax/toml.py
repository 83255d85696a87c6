"""TOML texts to nodes: the values are tomllib's, the places our scanner's."""

from __future__ import annotations

import tomllib

from pm_native.syntax.node import Node
from pm_native.syntax.places import BOM, Places, add_too_deep, has_surrogate
from pm_native.syntax.toml_scan import Builder, Scanner, TooDeepError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pm_native.errors import Diagnostics, Source
    from pm_native.syntax.node import Scalar


def parse_toml(source: Source, problems: Diagnostics) -> Node | None:
    """The tree of a TOML text; None after adding an error.

    A table's span is its header, or its name where no header says it; the root's is the whole file.
    """
    places = Places(source)
    if has_surrogate(places, problems):
        return None
    text = source.text
    if text.startswith(BOM):
        text = " " + text[1:]  # tomllib takes none; a space keeps the columns
    scanner = Scanner(text)
    try:
        statements = scanner.scan()
        values = tomllib.loads(text)
    except TooDeepError as error:
        add_too_deep(problems, places.span(error.offset, error.offset + 1))
        return None
    except (ValueError, RecursionError) as error:
        from pm_native.syntax.toml_explain import Explainer  # noqa: PLC0415 - only for a wrong file

        Explainer(places, scanner, problems).explain(error)
        return None
    builder = Builder(places)
    for statement in statements:
        builder.add(statement)
    if _fill(builder.root, values):
        return builder.root
    return _placeless(values, source, "")


def _fill(node: Node, value: dict[str, object] | list[object]) -> bool:
    """Put tomllib's scalars into the tree of places; whether the two trees are of one shape."""
    children: list[tuple[Node, object]]
    if isinstance(value, dict):
        if not isinstance(node.value, dict) or node.value.keys() != value.keys():
            return False
        children = [(node.value[key], item) for key, item in value.items()]
    else:
        if not isinstance(node.value, list) or len(node.value) != len(value):
            return False
        children = list(zip(node.value, value, strict=True))
    for child, item in children:
        if isinstance(item, dict | list):
            if not _fill(child, item):
                return False
        elif child.value is None:
            child.value = _scalar(item)
        else:
            return False
    return True


def _scalar(value: object) -> Scalar:
    """The same value: tomllib makes no scalars but these."""
    scalar: Scalar = value  # type: ignore[assignment]
    return scalar


def _placeless(value: object, source: Source, path: str) -> Node:
    """The tree with key paths for places: should tomllib ever read what the scanner does not."""
    span = source.whole(path)
    if isinstance(value, dict):
        entries = {
            key: _placeless(item, source, f"{path}.{key}" if path else key) for key, item in value.items()
        }
        return Node(entries, span)
    if isinstance(value, list):
        return Node([_placeless(item, source, f"{path}[{at}]") for at, item in enumerate(value)], span)
    return Node(_scalar(value), span)
