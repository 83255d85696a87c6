"""The order of jobs: dependencies first, the order of the source where it is free."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def dependencies_first(names: Iterable[str], after: Mapping[str, tuple[str, ...]]) -> list[str]:
    """The names, each behind those that `after` says it comes after. A cycle is broken where it is met."""
    wanted = dict.fromkeys(names)
    ordered: dict[str, None] = {}
    entered: set[str] = set()
    for name in wanted:
        stack = [(name, iter(after.get(name, ())))]
        entered.add(name)
        while stack:
            current, dependencies = stack[-1]
            following = next((item for item in dependencies if item not in entered), None)
            if following is not None:
                entered.add(following)
                stack.append((following, iter(after.get(following, ()))))
                continue
            stack.pop()
            if current in wanted:
                ordered[current] = None
    return list(ordered)
