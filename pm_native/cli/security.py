"""`pm-native check --security`: how far each service is kept from the host, and what would change that."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace

from pm_native.cli.style import Style
from pm_native.model.confinement import Profile
from pm_native.unit.name import Scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pm_native.apply.exposure import Exposure
    from pm_native.compile.bundle import Bundle, BundleFile
    from pm_native.compile.options import CompileOptions
    from pm_native.model.project import Process, Project

COSTS_SHOWN = 3
# What nobody has to be: the user that stands for "any but root" while it is asked what that would change.
SOMEBODY = "nobody"
_HEADER = ("UNIT", "EXPOSURE", "SANDBOX", "COSTS MOST", "WOULD LOWER IT")
_COLOURS = {"unsafe": "red", "exposed": "red", "medium": "yellow", "ok": "green"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One service unit; `lower` are changes of the config with the figures that they would lead to."""

    unit: str
    process: str
    profile: Profile
    exposure: Exposure
    lower: tuple[tuple[str, float], ...] = ()


def security_rows(project: Project, bundle: Bundle, options: CompileOptions) -> list[Row]:
    """The service units of the project; UnavailableError where systemd-analyze cannot judge them.

    What would lower a figure is not guessed: the project is compiled so, and judged.
    """
    from pm_native.apply.exposure import exposure_costs, overall_exposures  # noqa: PLC0415 - not for --help

    services = _services(bundle)
    variants = {name: _services(compiled) for name, compiled in _variants(project, options)}
    batch = [*services, *(item for files in variants.values() for item in files)]
    figures = iter(overall_exposures(batch, options.scope))
    exposures = {item.name: next(figures) for item in services}
    others = {name: {item.name: next(figures).overall for item in files} for name, files in variants.items()}
    costs = dict(zip((item.name for item in services), exposure_costs(services, options.scope), strict=True))
    processes = {unit.file: unit.process for unit in bundle.units}
    profiles = {process.name: process.sandbox.profile for process in project.processes}
    rows: list[Row] = []
    for item in services:
        process, exposure = processes.get(item.name, ""), exposures[item.name]
        lower = tuple(
            (name, found[item.name])
            for name, found in others.items()
            if found.get(item.name, exposure.overall) < exposure.overall
        )
        rows.append(
            Row(
                unit=item.name,
                process=process,
                profile=profiles.get(process, Profile.OFF),
                exposure=replace(exposure, costs=costs[item.name]),
                lower=lower,
            )
        )
    return sorted(rows, key=lambda row: (-row.exposure.overall, row.unit))


def _services(bundle: Bundle) -> list[BundleFile]:
    return [item for item in bundle.files if item.name.endswith(".service")]


def _variants(project: Project, options: CompileOptions) -> Iterator[tuple[str, Bundle]]:
    """The project as it would be, by the words that say how."""
    from pm_native.compile.project import compile_project  # noqa: PLC0415 - not for --help
    from pm_native.errors import Diagnostics  # noqa: PLC0415 - not for --help

    def compiled(change: Sequence[Process]) -> Bundle:
        changed = replace(project, processes=tuple(change))
        return compile_project(changed, replace(options, allow_missing=True), Diagnostics())

    for profile in (Profile.BASIC, Profile.STRICT):
        boxed = [
            replace(process, sandbox=replace(process.sandbox, profile=profile))
            for process in project.processes
        ]
        yield f'sandbox = "{profile}"', compiled(boxed)
    if options.scope is Scope.SYSTEM:
        named = [replace(process, user=process.user or SOMEBODY) for process in project.processes]
        yield "a `user`", compiled(named)


def too_exposed(rows: Sequence[Row], limit: float | None) -> list[Row]:
    """The rows above the limit."""
    return [row for row in rows if limit is not None and row.exposure.overall > limit]


def security_text(rows: Sequence[Row], scope: Scope) -> str:
    """The table for people."""
    style = Style(sys.stdout)
    cells = [_cells(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(_HEADER, *cells, strict=True)]
    lines = [style(_line(_HEADER, widths), "bold")]
    for row, line in zip(rows, cells, strict=True):
        text = _line(line, widths)
        start = widths[0] + 2
        figure = text[start : start + widths[1]]
        lines.append(
            text[:start] + style(figure, _COLOURS.get(row.exposure.word, "dim")) + text[start + widths[1] :]
        )
    if scope is Scope.USER:
        lines.append("systemd-analyze takes a user's services for root's: their figures are too high.")
    return "\n".join(lines)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def _cells(row: Row) -> tuple[str, ...]:
    costs = ", ".join(f"{name}= {figure:.1f}" for name, figure in _by_directive(row)[:COSTS_SHOWN])
    lower = ", ".join(f"{words} ({figure:.1f})" for words, figure in row.lower)
    return (
        row.unit,
        f"{row.exposure.overall:.1f} {row.exposure.word}",
        row.profile.value,
        costs or "-",
        lower or "-",
    )


def _by_directive(row: Row) -> list[tuple[str, float]]:
    """What each directive could take off the figure, the most first: some are counted in many parts."""
    sums: dict[str, float] = {}
    for cost in row.exposure.costs:
        name = cost.directive.partition("=")[0]
        sums[name] = sums.get(name, 0) + cost.exposure
    return sorted(sums.items(), key=lambda item: -round(item[1], 1))


def security_data(rows: Sequence[Row]) -> list[dict[str, object]]:
    """The table for programs, with all that the figures are made of."""
    return [
        {
            "unit": row.unit,
            "process": row.process,
            "sandbox": row.profile.value,
            "exposure": row.exposure.overall,
            "word": row.exposure.word,
            "costs": [
                {"directive": cost.directive, "exposure": cost.exposure, "description": cost.description}
                for cost in row.exposure.costs
            ],
            "would_lower": [{"change": words, "exposure": figure} for words, figure in row.lower],
        }
        for row in rows
    ]
