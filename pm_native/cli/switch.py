"""What plan, apply and remove share: the wanted bundle, the host as it is, the plan between them."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path

from pm_native.apply.headers import installed_as_seen, installed_files
from pm_native.apply.snapshot import take_snapshot
from pm_native.cli.options import DEFAULT_OUTPUT, caller_trust, layout_of
from pm_native.cli.report import Messages
from pm_native.cli.target import installed_places, nothing_installed, place_of
from pm_native.compile.scale import pool_sizes, scaled
from pm_native.errors import Diagnostics, OwnershipError, UsageError
from pm_native.plan.make import FOLLOW, make_plan, make_removal
from pm_native.plan.model import Drift
from pm_native.state.generations import user_name
from pm_native.state.output import check_sources, read_set
from pm_native.state.scale import load_scale
from pm_native.state.store import Store, known_projects
from pm_native.unit.name import Scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

    from pm_native.bus.manager import Manager
    from pm_native.cli.options import SourceOptions
    from pm_native.compile.bundle import Bundle, Installed
    from pm_native.plan.model import Plan, PlanOptions, Snapshot
    from pm_native.state.layout import Layout


LINGER = Path("/var/lib/systemd/linger")  # logind's, with a file for each user that does (loginctl(1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What should be installed, and what the compiler had to say of it."""

    bundle: Bundle
    problems: Diagnostics


def wanted_bundle(source: SourceOptions, generated: Path | None, scope: Scope, root: Path | None) -> Wanted:
    """The bundle of `-f FILE`, compiled now; else the generated set, unless its source has changed since.

    AccessError where root would act on what others can write.
    """
    trust = caller_trust()
    layout_of(scope, root)  # a root that is not there is told first: all programs would be missing below it
    problems = Diagnostics(strict=source.strict)
    if source.file is not None:
        if generated is not None:
            raise UsageError(
                "--from and --file exclude each other", hint="a set is generated, or compiled now"
            )
        from pm_native.cli.source import compile_options, load_source  # noqa: PLC0415 - not for a generated set
        from pm_native.compile.project import compile_project  # noqa: PLC0415 - as above

        project = load_source(source, Messages(), problems, trust)
        bundle = compile_project(project, compile_options(source, scope, root), problems)
        # What was compiled is what the files hold that were looked at; they may have been read through names before.
        check_sources(bundle, trust, "while it was read", "run the command again")
        return Wanted(bundle=bundle, problems=problems)
    bundle = read_set(generated or Path(DEFAULT_OUTPUT), trust)
    if bundle.scope is not scope:
        command = "pm-native generate --user" if scope is Scope.USER else "pm-native generate"
        raise UsageError(
            f"the set was generated for the {bundle.scope} manager",
            hint=f"give --{bundle.scope}, or run `{command}` first",
        )
    return Wanted(bundle=bundle, problems=problems)


@asynccontextmanager
async def manager_of(scope: Scope, root: Path | None) -> AsyncIterator[Manager | None]:
    """The manager of the scope; None below another root, where nothing runs."""
    if root is not None:
        yield None
        return
    from pm_native.cli.jobs import connected  # noqa: PLC0415 - not for --root

    async with connected(scope) as manager:
        yield manager


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """A plan with what it was made from. `facts` are what it rests on beside its steps, None what the caller may not see."""

    plan: Plan
    layout: Layout
    store: Store
    installed: Installed | None
    facts: Mapping[str, str | None] = field(default_factory=dict)


async def plan_switch(  # noqa: PLR0913 - what a plan is made from
    bundle: Bundle,
    layout: Layout,
    manager: Manager | None,
    options: PlanOptions = FOLLOW,
    *,
    counts: Mapping[str, int] | None = None,
    only_look: bool = False,
) -> Switch:
    """The plan from the host as it is to `bundle`, its pools as large as `scale` has asked for, or as `counts` says.

    `only_look`: it will not be run, so that who may not read the project's records can see it, too. OwnershipError
    where the project is installed to stay and should be gone at the next boot, or the other way round.
    """
    _check_lifetime(bundle.project, layout)
    if layout.is_runtime:
        from pm_native.compile.runtime import until_reboot  # noqa: PLC0415 - for the few that are to go

        bundle = until_reboot(bundle)
    store = Store(layout, bundle.project)
    installed, is_readable = installed_as_seen(layout, bundle.project) if only_look else (store.load(), True)
    kept = counts if counts is not None else load_scale(store.directory) if is_readable else {}
    wanted = scaled(bundle, kept)
    snapshot = await take_snapshot(layout, bundle.project, wanted, installed, manager)
    plan = make_plan(wanted, snapshot, options)
    plan = replace(
        plan, drift=(*plan.drift, *_renamed_drift(bundle, layout), *_linger_drift(bundle, layout))
    )
    if not is_readable:
        what = (
            "has records that you may not read: taken as its unit files say, without what `scale` asked for"
        )
        plan = replace(
            plan, drift=(*plan.drift, Drift(bundle.project, what, "sudo pm-native plan", is_firm=False))
        )
    if counts is None:
        plan = replace(plan, drift=(*plan.drift, *_scale_drift(bundle, kept, layout.scope)))
    facts = _facts(snapshot) | {
        "the last apply": str(installed.generation if installed else 0) if is_readable else None
    }
    return Switch(plan=plan, layout=layout, store=store, installed=installed, facts=facts)


def _facts(snapshot: Snapshot) -> dict[str, str | None]:
    """What the units run on that no step and no drift needs to tell of: drop-ins, and what is read by path."""
    drop_ins = {
        item.path: None if item.text is None else sha256(item.text.encode(errors="replace")).hexdigest()
        for item in snapshot.drop_ins
    }
    return {**snapshot.contents, **drop_ins}


def _check_lifetime(project: str, layout: Layout) -> None:
    """A project is installed to stay, or until the next boot: systemd would take the files of the former."""
    other = layout_of(layout.scope, None) if layout.is_runtime else layout.until_reboot()
    if project not in known_projects(other.projects):
        return
    option = "--user " if layout.scope is Scope.USER else ""
    way = "leave --runtime out" if layout.is_runtime else "give --runtime"
    how = "to stay" if layout.is_runtime else "until the next boot"
    raise OwnershipError(
        f"{project} is installed {how}, in {other.units}",
        hint=f"{way}, or take it away first: pm-native remove {option}{project}",
    )


def _scale_drift(bundle: Bundle, counts: Mapping[str, int], scope: Scope) -> Iterator[Drift]:
    """One line for each pool that has another size than the bundle says."""
    sizes = pool_sizes(bundle)
    for process, count in counts.items():
        if sizes.get(process, count) != count:
            what = f"has {count} instances, as `pm-native scale` asked for, in place of {sizes[process]}"
            option = "--user " if scope is Scope.USER else ""
            yield Drift(process, what, f"pm-native scale {option}{process}=config", is_firm=False)


def _renamed_drift(bundle: Bundle, layout: Layout) -> Iterator[Drift]:
    """One line for each other project that the same config made: under its old name it runs on."""
    if not bundle.sources:
        return
    config = bundle.sources[0].path  # the others, such as environment files, may be those of many
    option = "--user " if layout.scope is Scope.USER else ""
    for project in known_projects(layout.projects):
        if project == bundle.project:
            continue
        sources = Store(layout, project).sources()
        if sources and sources[0] == config:
            what = "was made by the same config under another name, and stays installed"
            yield Drift(project, what, f"pm-native remove {option}{project}", is_firm=False)


def _linger_drift(bundle: Bundle, layout: Layout) -> Iterator[Drift]:
    """One line where the caller's manager, and all that it runs, ends with the caller's last session."""
    if layout.scope is not Scope.USER or layout.root != Path("/"):
        return
    name = user_name(os.geteuid())
    if not (LINGER / name).exists():
        what = "stops when you log out, and does not start at boot: your service manager does not linger"
        yield Drift(f"{bundle.project}.target", what, f"loginctl enable-linger {name}")


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledProject:
    """A project that is installed, where it is, and its records."""

    layout: Layout
    store: Store
    installed: Installed


def installed_project(scope: Scope, root: Path | None, project: str | None) -> InstalledProject:
    """The project that is named, or the only one, be it until the next boot; UsageError where it is not that clear.

    UnavailableError where none is installed.
    """
    places = installed_places(layout_of(scope, root))
    if project is None and not places:
        raise nothing_installed(layout_of(scope, root))
    if project is None and len(places) != 1:
        raise UsageError(f"say which project: installed are {', '.join(places)}", hint="give its name")
    name = project if project is not None else next(iter(places))
    layout = place_of(scope, root, name)
    store = Store(layout, name)
    installed = store.load()
    if installed is None:
        hint = "pm-native status lists what is"
        raise UsageError(f"{name!r} is not installed in the {layout.scope} manager", hint=hint)
    return InstalledProject(layout=layout, store=store, installed=installed)


async def plan_removal(
    project: str, scope: Scope, root: Path | None, manager: Manager | None, options: PlanOptions = FOLLOW
) -> Switch:
    """The plan that takes an installed project away; UsageError where it is not installed.

    Of a first apply that was killed before it had recorded anything there is no more than a generation: that goes, too.
    """
    layout = place_of(scope, root, project)
    store = Store(layout, project)
    installed = None
    if store.load() is not None or not store.directory.exists() or any(installed_files(layout, project)):
        installed = installed_project(scope, root, project).installed
    snapshot = await take_snapshot(layout, project, None, installed, manager)
    return Switch(
        plan=make_removal(project, snapshot, options), layout=layout, store=store, installed=installed
    )
