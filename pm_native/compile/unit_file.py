"""One compiled unit, and the file that it becomes: its text below a header that says whose it is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256

from pm_native.compile.bundle import FileKind, bundle_file
from pm_native.errors import NOWHERE
from pm_native.unit.escape import UnrepresentableError, rendered
from pm_native.unit.file import UnitFile
from pm_native.unit.render import render_unit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pm_native.compile.bundle import BundleFile
    from pm_native.errors import Diagnostics, Span
    from pm_native.model.project import Project
    from pm_native.unit.file import Setting
    from pm_native.unit.name import UnitName

MADE_BY = "Made by pm-native"
DO_NOT_EDIT = "Do not edit: change the source and apply it again, or add a drop-in (systemctl edit)."
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class CompiledUnit:
    """One unit file before it is text, with the place in the source that it stands for."""

    name: UnitName
    sections: tuple[tuple[str, tuple[Setting, ...]], ...]
    span: Span


def render_compiled(project: Project, unit: CompiledUnit, problems: Diagnostics) -> BundleFile | None:
    """The text of the unit under its header; None after adding a diagnostic for what no unit file can hold."""
    try:
        body = render_unit(UnitFile((), unit.sections))
    except UnrepresentableError:
        _report_unrepresentable(unit, problems)
        return None
    digest = sha256(body.encode()).hexdigest()
    return bundle_file(FileKind.UNIT, str(unit.name), _header(project, unit, digest) + body)


def with_body(item: BundleFile, body: str) -> BundleFile:
    """A compiled unit file with another body below its header, which has the hash of that."""
    header, _, rest = item.text.partition("\n")
    source = header.rpartition(" sha256=")[0]
    note = rest.partition("\n")[0]
    digest = sha256(body.encode()).hexdigest()
    return bundle_file(item.kind, item.name, f"{source} sha256={digest}\n{note}\n{body}")


def _header(project: Project, unit: CompiledUnit, digest: str) -> str:
    """Two lines of comment: whose it is, the line that asked for it, the hash of what follows.

    No SourcePath=: systemd would call each edit of the config a change of the unit, on every command, until the
    manager is reloaded, which would not take the edit up.
    """
    line = f":{unit.span.line}" if unit.span.line else ""
    source = _CONTROL.sub("?", f"{project.source_path}{line}")
    return f"# {MADE_BY}: project={project.name} source={source} sha256={digest}\n# {DO_NOT_EDIT}\n"


def _report_unrepresentable(unit: CompiledUnit, problems: Diagnostics) -> None:
    for _, settings in unit.sections:
        for setting in settings:
            try:
                rendered(setting)
            except UnrepresentableError as error:
                place = setting.origin if setting.origin is not NOWHERE else unit.span
                message = f"{setting.directive.name}= cannot hold this value: {error}"
                problems.error(place, message, code="unrepresentable")
