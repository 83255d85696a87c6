"""Directives in systemd's own words: checked against the table of known ones, they win over what was compiled."""

from __future__ import annotations

from pm_native.errors import did_you_mean
from pm_native.unit.directive import ADDITIVE, SECTIONS, find_directive, known_directives
from pm_native.unit.escape import WHITESPACE, parse_value
from pm_native.unit.file import Setting

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from pm_native.compile.options import CompileOptions
    from pm_native.errors import Diagnostics
    from pm_native.model.project import PassThrough, Process

Sections = dict[str, list[Setting]]


def pass_through(
    process: Process,
    sections: Sections,
    allowed: Iterable[str],
    options: CompileOptions,
    problems: Diagnostics,
) -> None:
    """Put the directives that `process` passes through into those of `sections` that are `allowed` here.

    As a drop-in would: a list (After=, Environment=) is added to, anything else takes the place of ours. No value at
    all takes ours away.
    """
    for item in process.systemd:
        if item.section in allowed:
            section = sections.setdefault(item.section, [])
            if not item.values or find_directive(item.section, item.name) not in ADDITIVE:
                section[:] = [setting for setting in section if setting.directive.name != item.name]
            section += _settings(item, options, problems)


def _settings(item: PassThrough, options: CompileOptions, problems: Diagnostics) -> list[Setting]:
    directive = find_directive(item.section, item.name)
    if directive is None:
        return []  # told by `check_pass_through`
    found: list[Setting] = []
    for value in item.values:
        try:
            prefix, words = parse_value(directive, value.strip(WHITESPACE))
        except ValueError as error:
            problems.error(item.span, f"{item.name}=: {error}", code="bad-directive-value")
            continue
        found.append(Setting(directive, words, prefix, origin=item.span, why="passed through"))
    if directive.since > options.systemd_version:
        message = (
            f"{item.name}= is known from systemd {directive.since} on; {options.systemd_version} ignores it"
        )
        problems.warning(
            item.span, message, code="directive-too-new", hint="leave it out, or upgrade systemd"
        )
    return found


def check_pass_through(process: Process, sections: Iterable[str], problems: Diagnostics) -> None:
    """Add a diagnostic for each section or directive that no unit of this process has."""
    for item in process.systemd:
        if item.section not in SECTIONS:
            hint = did_you_mean(item.section, [*SECTIONS]) or f"there are: {', '.join(SECTIONS)}"
            problems.error(
                item.span, f"no unit has a section [{item.section}]", code="unknown-section", hint=hint
            )
        elif item.section not in sections:
            message = f"{process.name!r} has no unit with a section [{item.section}]"
            hint = f"its units have: {', '.join(sections)}"
            problems.error(item.span, message, code="section-without-unit", hint=hint)
        elif find_directive(item.section, item.name) is None:
            hint = did_you_mean(item.name, [*known_directives(item.section)])
            elsewhere = [name for name in SECTIONS if find_directive(name, item.name)]
            if elsewhere:
                hint = f"it belongs in [{elsewhere[0]}]"
            message = f"[{item.section}] has no directive {item.name}="
            problems.error(item.span, message, code="unknown-directive", hint=hint)
