"""A record that cannot be read, made anew: from the last generation where it is what is installed, else from headers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pm_native.apply.headers import bundle_by_headers, installed_files
from pm_native.compile.bundle import Installed, recorded
from pm_native.errors import StateError, TooNewError, UsageError
from pm_native.state.generations import Generations

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pm_native.compile.bundle import BundleFile, BundleUnit
    from pm_native.state.layout import Layout
    from pm_native.state.store import Store

_ENDED = frozenset({"done", "failed"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """What a repair came to; `installed` None: the record is fine, and nothing was done.

    `generation` is the one that the record was made from; 0: from the headers of unit files. `saved_as` is where the
    damaged one is now, "" where there was none.
    """

    installed: Installed | None = None
    generation: int = 0
    saved_as: str = ""


def repair(layout: Layout, store: Store, project: str) -> Repair:
    """Make the record of a project anew where it is damaged or gone. The caller holds the lock.

    TooNewError where it is of a newer version, UsageError where nothing of such a project is installed.
    """
    try:
        if store.load() is not None:
            return Repair()
    except TooNewError:
        raise
    except StateError:
        pass  # what this is for
    generations = Generations(store.directory)
    files = list(installed_files(layout, project))
    if not files:
        raise UsageError(
            f"no file of a project {project!r} is installed in the {layout.scope} manager",
            hint="see the headers of the unit files: # Made by pm-native: project=NAME",
        )
    installed, generation = _of_generation(generations, files), 0
    if installed is not None:
        generation = installed.generation
    else:
        installed = _of_headers(layout, project, files, generations)
    return Repair(installed=installed, generation=generation, saved_as=store.replace_damaged(installed))


def _of_generation(generations: Generations, files: Sequence[BundleFile]) -> Installed | None:
    """The last generation, where its run came to its end and these are its files, of the same text but for edits."""
    numbers = generations.numbers()
    try:
        if not numbers or generations.record(numbers[-1]).result not in _ENDED:
            return None
        bundle = generations.bundle(numbers[-1])
    except TooNewError:
        raise
    except StateError:
        return None  # damaged, too
    if {item.name for item in bundle.files} != {item.name for item in files}:
        return None
    return Installed(generation=numbers[-1], bundle=recorded(bundle))


def _of_headers(
    layout: Layout, project: str, files: Sequence[BundleFile], generations: Generations
) -> Installed:
    """What the files themselves say, with what generations know of the units; the next apply sees to all of it."""
    known: dict[str, BundleUnit] = {}
    for number in generations.numbers():
        try:
            known |= {unit.name: unit for unit in generations.bundle(number).units}
        except StateError:
            continue  # an older or a newer one may tell
    numbers = generations.numbers()
    last = max([*numbers, *(item.number for item in generations.history())], default=0)
    bundle = bundle_by_headers(layout, project, files, known)
    return Installed(generation=last, bundle=recorded(bundle), complete=False)
