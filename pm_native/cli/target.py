"""What the day-to-day commands are about: the installed project, and the units that the words after them name."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import click

from pm_native.cli.options import layout_of
from pm_native.errors import AccessError, UnavailableError, UsageError, did_you_mean
from pm_native.unit.name import Scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from pm_native.compile.bundle import Bundle, BundleUnit, Installed
    from pm_native.state.layout import Layout


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The units of one project that a command is about, and where it is installed; `is_whole`: nothing narrows it down."""

    bundle: Bundle
    layout: Layout
    units: tuple[BundleUnit, ...]
    is_whole: bool

    @property
    def target(self) -> str:
        """The unit that stands for the whole project."""
        return f"{self.bundle.project}.target"

    @property
    def services(self) -> tuple[BundleUnit, ...]:
        """The selected units that run programs."""
        return tuple(unit for unit in self.units if unit.name.endswith(".service"))


def with_manager(function: Callable[..., int]) -> Callable[..., int]:
    """`--user` and `--system`; the command gets them as `user`."""
    return click.option(
        "--user/--system", "user", default=False, help="Your own service manager, or the system's."
    )(function)


def scope_of(user: bool) -> Scope:  # noqa: FBT001 - the value of an option
    """The scope that `--user` means."""
    return Scope.USER if user else Scope.SYSTEM


def manager_words(scope: Scope) -> str:
    """What systemctl and journalctl need before their arguments to speak to the manager of `scope`."""
    return "--user " if scope is Scope.USER else ""


def nothing_installed(layout: Layout) -> UnavailableError:
    """The error that no project is installed here; it says where else there are some."""
    command = "pm-native apply --user" if layout.scope is Scope.USER else "pm-native apply"
    hint = f"`{command}` installs one"
    if layout.scope is not Scope.USER and installed_projects_of_user():
        hint = "you have some of your own: add --user"
    return UnavailableError(f"no project is installed in the {layout.scope} manager", hint=hint)


def select(layout: Layout, words: Sequence[str], *, need_one: bool) -> list[Selection]:
    """The units that `words` name, project by project; all of the default projects where there are no words.

    Default are: the only project there is, else those that a config in the current folder made, else all.
    A word is a project, a process, `PROCESS@N`, or a unit's full name; `PROJECT/WORD` says of which project.
    `need_one`: several projects are too many where no word says which. UsageError for a word that names nothing,
    UnavailableError where nothing is installed.
    """
    places = installed_places(layout)
    bundles = _bundles(places)
    if not bundles:
        raise nothing_installed(layout)
    near = _default_bundles(bundles)
    if not words:
        if need_one and len(near) > 1:
            names = ", ".join(bundle.project for bundle in near)
            raise UsageError(f"several projects are installed: {names}", hint="name one of them")
        return [
            Selection(bundle=bundle, layout=places[bundle.project], units=bundle.units, is_whole=True)
            for bundle in near
        ]
    chosen: dict[str, dict[str, BundleUnit]] = {}
    whole: set[str] = set()
    for word in words:
        bundle, units = _resolve(word, bundles, near)
        chosen.setdefault(bundle.project, {}).update((unit.name, unit) for unit in units)
        if units is bundle.units:
            whole.add(bundle.project)
    return [
        Selection(
            bundle=bundle,
            layout=places[bundle.project],
            # In the order of the bundle, whatever the order of the words: dependencies come first.
            units=tuple(unit for unit in bundle.units if unit.name in chosen[bundle.project]),
            is_whole=bundle.project in whole,
        )
        for bundle in bundles
        if bundle.project in chosen
    ]


def installed_places(layout: Layout) -> dict[str, Layout]:
    """Where each project is installed: to stay, in `layout`, or until the next boot; by name."""
    from pm_native.state.store import known_projects  # noqa: PLC0415 - not for --help

    places = [layout.until_reboot(), layout]  # what is to stay wins, as its files do
    found = {project: place for place in places for project in known_projects(place.projects)}
    return dict(sorted(found.items()))


def place_of(scope: Scope, root: Path | None, project: str) -> Layout:
    """Where a project is installed; where one would be to stay, if it is not."""
    layout = layout_of(scope, root)
    return installed_places(layout).get(project, layout)


def installed_bundles(layout: Layout) -> list[Bundle]:
    """What is installed, by project; of records that the caller may not read, what the unit files say."""
    return _bundles(installed_places(layout))


def _bundles(places: Mapping[str, Layout]) -> list[Bundle]:
    found = (_installed(layout, project) for project, layout in places.items())
    return [installed.bundle for installed in found if installed is not None]


def _installed(layout: Layout, project: str) -> Installed | None:
    from pm_native.state.store import Store  # noqa: PLC0415 - not for --help

    try:
        return Store(layout, project).load()
    except AccessError:
        from pm_native.apply.headers import installed_as_seen  # noqa: PLC0415 - it loads much, and root needs none

        return installed_as_seen(layout, project)[0]


def installed_projects_of_user() -> list[str]:
    """The projects in the caller's own manager."""
    from pm_native.state.layout import user_layout  # noqa: PLC0415 - on the way to an error
    from pm_native.state.store import known_projects  # noqa: PLC0415 - as above

    return known_projects(user_layout(os.environ).projects)


def _default_bundles(bundles: list[Bundle]) -> list[Bundle]:
    here = Path.cwd()
    near = [
        bundle for bundle in bundles if any(Path(source.path).parent == here for source in bundle.sources)
    ]
    return near or bundles


def _resolve(
    word: str, bundles: Sequence[Bundle], near: Sequence[Bundle]
) -> tuple[Bundle, tuple[BundleUnit, ...]]:
    project, slash, name = word.partition("/")
    if slash:
        within = [bundle for bundle in bundles if bundle.project == project]
        if not within:
            raise UsageError(
                f"no project {project!r} is installed", hint=_nearest(project, (x.project for x in bundles))
            )
        found = [(within[0], units) for units in [_units_of(within[0], name)] if units]
        places = within
    else:
        # What is near wins: a process here may have the name of a process or a project elsewhere.
        places = list(near)
        found = list(_matches(word, near)) or list(_matches(word, bundles))
    if len(found) > 1:
        choices = " or ".join(f"{bundle.project}/{word}" for bundle, _ in found)
        raise UsageError(f"several projects have {word!r}", hint=f"say {choices}")
    if not found:
        of = f"{places[0].project} has" if len(places) == 1 else "no project has"
        no = "no " if len(places) == 1 else ""
        raise UsageError(
            f"{of} {no}process or unit {name or word!r}",
            hint=_nearest(name or word, (x for b in places for x in _names(b))),
        )
    return found[0]


def _matches(word: str, bundles: Iterable[Bundle]) -> Iterator[tuple[Bundle, tuple[BundleUnit, ...]]]:
    for bundle in bundles:
        if units := _units_of(bundle, word):
            yield bundle, units


def _units_of(bundle: Bundle, word: str) -> tuple[BundleUnit, ...]:
    exact = tuple(unit for unit in bundle.units if word in {unit.name, unit.name.removesuffix(".service")})
    if word == f"{bundle.project}.target":
        return bundle.units
    process, at, instance = word.partition("@")
    of_process = tuple(
        unit
        for unit in bundle.units
        if unit.process == process and process and (not at or unit.name.endswith(f"@{instance}.service"))
    )
    if of_process or exact:
        return of_process or exact
    return bundle.units if word == bundle.project else ()


def _names(bundle: Bundle) -> list[str]:
    from pm_native.monitor.table import label_of  # noqa: PLC0415 - on the way to an error

    services = [unit for unit in bundle.units if unit.name.endswith(".service")]
    return list(
        dict.fromkeys([*(unit.process for unit in services), *map(label_of, services), bundle.project])
    )


def _nearest(word: str, candidates: Iterable[str]) -> str:
    known = list(candidates)
    return did_you_mean(word, known) or f"there are: {', '.join(known)}"
