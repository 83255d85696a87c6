"""What processes read beside their units: which of it has changed since they were started."""

from __future__ import annotations

from pm_native.plan.model import Drift

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pm_native.compile.bundle import Bundle
    from pm_native.plan.model import Snapshot


def changed_contents(snapshot: Snapshot) -> frozenset[str]:
    """The paths that hold something else than when they were last recorded; what was not is no change."""
    before = snapshot.contents_before or {}
    return frozenset(
        path
        for path, digest in snapshot.contents.items()
        if digest is not None and path in before and before[path] != digest
    )


def contents_to_record(bundle: Bundle | None, snapshot: Snapshot) -> dict[str, str]:
    """The digests to compare with next time, of all that the units of the bundle read."""
    before = snapshot.contents_before or {}
    found: dict[str, str] = {}
    for path in _paths(bundle):
        digest = snapshot.contents.get(path)
        if digest is None:
            digest = before.get(path)
        if digest is not None:
            found[path] = digest
    return found


def contents_drift(wanted: Bundle, snapshot: Snapshot) -> Iterator[Drift]:
    """What cannot be compared, each path once, by the first unit that reads it."""
    for path, unit in _paths(wanted).items():
        if snapshot.contents.get(path) is None or snapshot.contents_before is None:
            what = f"reads {path}, which you cannot compare: taken as unchanged"
            yield Drift(unit, what, "sudo pm-native plan", is_firm=False)
        elif not snapshot.contents[path]:
            yield Drift(unit, f"reads {path}, which is not there")


def _paths(bundle: Bundle | None) -> dict[str, str]:
    """All that is read, by the first unit that does."""
    found: dict[str, str] = {}
    for unit in bundle.units if bundle else ():
        for path in unit.contents:
            found.setdefault(path, unit.name)
    return found
