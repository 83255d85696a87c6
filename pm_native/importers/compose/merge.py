"""How compose lays one file, or one service, over another."""

from __future__ import annotations

import os

from pm_native.importers.tree import scalar_text
from pm_native.syntax.node import Node

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

# Tables that may also be written as lists of `NAME=value`, or of names.
_PAIRS = frozenset({"environment", "labels", "annotations", "sysctls", "extra_hosts", "args"})
_REPLACED = frozenset({"command", "entrypoint", "test"})
RESET, OVERRIDE = "!reset", "!override"
TAGS = frozenset({RESET, OVERRIDE})
_SINGLE_OR_LIST = frozenset({"env_file", "dns", "dns_search", "tmpfs", "profiles"})


def merged(below: Node, over: Node, key: str = "") -> Node:
    """One tree laid over another: tables are joined, lists are added to, single values and commands are replaced.

    What is tagged !override replaces all that is below it, what is tagged !reset takes it away (`without_resets`).
    """
    if over.tag:
        return over
    if over.value is None:
        return below
    if key == "depends_on" or key in _PAIRS:
        below, over = _as_table(below, key), _as_table(over, key)
    if isinstance(below.value, dict) and isinstance(over.value, dict):
        entries = dict(below.value)
        for name, node in over.value.items():
            entries[name] = merged(entries[name], node, name) if name in entries else node
        return over.with_value(entries)
    if key in _SINGLE_OR_LIST:
        below, over = _as_list(below), _as_list(over)
    if isinstance(below.value, list) and isinstance(over.value, list) and key not in _REPLACED:
        written = {_identity(item) for item in over.value}
        kept = [item for item in below.value if _identity(item) not in written]
        return over.with_value([*kept, *over.value])
    return over


def without_resets(node: Node) -> Node:
    """The tree without what is tagged !reset: it is as if it had never been said."""
    match node.value:
        case dict() as entries:
            return node.with_value(
                {key: without_resets(item) for key, item in entries.items() if item.tag != RESET}
            )
        case list() as items:
            return node.with_value([without_resets(item) for item in items if item.tag != RESET])
        case _:
            return node


def _as_list(node: Node) -> Node:
    return node.with_value(_items(node))


def _items(node: Node) -> list[Node]:
    return node.value if isinstance(node.value, list) else [node]


def _as_table(node: Node, key: str) -> Node:
    if not isinstance(node.value, list):
        return node
    entries: dict[str, Node] = {}
    for item in node.value:
        text = scalar_text(item) if not isinstance(item.value, list | dict) else ""
        if key == "depends_on":
            condition = Node(
                {"condition": Node("service_started", item.span, item.span)}, item.span, item.span
            )
            entries[text] = condition
        else:
            name, equals, value = text.partition("=")
            entries[name] = Node(value if equals else None, item.span, item.span)
    return node.with_value(entries)


def _identity(item: Node) -> str:
    """What makes an item of a list the same as another: the folder of a volume, else all of it."""
    if isinstance(item.value, dict):
        target = item.value.get("target") or item.value.get("path") or item.value.get("source")
        return str(target.plain()) if target is not None else str(item.plain())
    return str(item.value)


def with_paths_of(service: Node, directory: Path) -> Node:
    """The service with its relative paths made absolute: they start at the folder of the file that says them."""
    if not isinstance(service.value, dict):
        return service
    entries = dict(service.value)
    for key in ("env_file", "volumes"):
        if key in entries:
            node = entries[key]
            items = [_with_path(item, directory, key) for item in _items(node)]
            entries[key] = node.with_value(list(items))
    return service.with_value(entries)


def with_files_of(secrets: Node, directory: Path) -> Node:
    """The table of secrets with their files made absolute: they start at the folder of the file that says them."""
    if not isinstance(secrets.value, dict):
        return secrets
    entries = dict(secrets.value)
    for name, item in entries.items():
        said = item.value if isinstance(item.value, dict) else {}
        if (file := said.get("file")) is not None and isinstance(file.value, str):
            entries[name] = item.with_value({**said, "file": _absolute(file, directory)})
    return secrets.with_value(entries)


def _with_path(item: Node, directory: Path, key: str) -> Node:
    if isinstance(item.value, dict):
        name = "path" if key == "env_file" else "source"
        node = item.value.get(name)
        is_volume = (
            key == "volumes" and item.value.get("type") is not None and item.value["type"].value != "bind"
        )
        if node is None or not isinstance(node.value, str) or is_volume:
            return item
        return item.with_value({**item.value, name: _absolute(node, directory)})
    if key == "volumes" and not (isinstance(item.value, str) and item.value.startswith((".", "/", "~"))):
        return item
    return _absolute(item, directory)


def _absolute(node: Node, directory: Path) -> Node:
    text = str(node.value)
    if text.startswith("~"):  # of whoever runs this: `Service` knows
        return node
    return node.with_value(os.path.normpath(directory / text))
