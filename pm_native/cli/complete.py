"""What a shell may offer for an argument: names of what is installed. A shell completes, it does not explain: no errors."""

from __future__ import annotations

from pm_native.errors import PmNativeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    import click

    from pm_native.compile.bundle import Bundle
    from pm_native.state.layout import Layout


def complete_words(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """The projects, processes and instances that are installed and that the caller may see."""
    bundles = _bundles(ctx)
    words = {bundle.project for bundle in bundles}
    return _offered({*words, *_processes(bundles), *_instances(bundles)}, incomplete)


def complete_peers(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """The processes and instances."""
    bundles = _bundles(ctx)
    return _offered({*_processes(bundles), *_instances(bundles)}, incomplete)


def complete_processes(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """The processes."""
    return _offered(set(_processes(_bundles(ctx))), incomplete)


def complete_pools(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """The pools, each with the sign that the number of instances follows."""
    pools = {name.partition("@")[0] for name in _instances(_bundles(ctx))}
    return _offered({f"{name}=" for name in pools}, incomplete)


def complete_projects(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """The projects, those with a damaged record, too."""
    return _offered(set(_places(ctx)), incomplete)


def complete_generations(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """The numbers of the generations to go back to, the newest first."""
    from pm_native.state.generations import Generations  # noqa: PLC0415 - not for --help
    from pm_native.state.store import Store  # noqa: PLC0415 - as above

    asked = ctx.params.get("project")
    places = {name: place for name, place in _places(ctx).items() if asked in {None, name}}
    try:
        found = {
            number
            for name, place in places.items()
            for number in Generations(Store(place, name).directory).numbers()
        }
    except (PmNativeError, PermissionError):
        return []
    return [str(number) for number in sorted(found, reverse=True) if str(number).startswith(incomplete)]


def _layout(ctx: click.Context) -> Layout:
    from pm_native.cli.options import layout_of  # noqa: PLC0415 - not for --help
    from pm_native.cli.target import scope_of  # noqa: PLC0415 - as above

    return layout_of(scope_of(bool(ctx.params.get("user"))), ctx.params.get("root"))


def _places(ctx: click.Context) -> dict[str, Layout]:
    from pm_native.cli.target import installed_places  # noqa: PLC0415 - not for --help

    try:
        return installed_places(_layout(ctx))
    except PmNativeError:
        return {}


def _bundles(ctx: click.Context) -> list[Bundle]:
    from pm_native.cli.target import installed_bundles  # noqa: PLC0415 - not for --help

    try:
        return installed_bundles(_layout(ctx))
    except PmNativeError:
        return []


def _processes(bundles: list[Bundle]) -> Iterator[str]:
    return (unit.process for bundle in bundles for unit in bundle.units if unit.process)


def _instances(bundles: list[Bundle]) -> Iterator[str]:
    for bundle in bundles:
        for unit in bundle.units:
            stem, at, number = unit.name.rpartition(".")[0].partition("@")
            if unit.process and at and stem:
                yield f"{unit.process}@{number}"


def _offered(words: set[str], incomplete: str) -> list[str]:
    return sorted(word for word in words if word.startswith(incomplete))
