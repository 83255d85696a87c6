"""The unit IR to text, through the layouts of templates/, which print what was escaped and nothing else."""

from __future__ import annotations

from functools import cache

from pm_native.resources import data_directory
from pm_native.unit.escape import Rendered, rendered

TYPE_CHECKING = False
if TYPE_CHECKING:
    from jinja2 import Template

    from pm_native.unit.file import UnitFile


def only_rendered(value: object) -> Rendered:
    """The value itself when it is escaped; a TypeError, never text, where it is not."""
    if isinstance(value, Rendered):
        return value
    raise TypeError(f"unescaped {type(value).__name__} reached a unit template: {value!r}")


@cache
def layout(name: str) -> Template:
    """The template `name` of templates/, compiled once."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415 - half of the start-up time

    return Environment(  # noqa: S701 - unit files are no HTML; `only_rendered` guards what is printed
        loader=FileSystemLoader(data_directory("templates")),
        undefined=StrictUndefined,
        finalize=only_rendered,
        trim_blocks=True,
        keep_trailing_newline=True,
    ).get_template(name)


def render_unit(unit: UnitFile) -> str:
    """The text of the unit file; UnrepresentableError where a value has none."""
    return layout("unit.j2").render(
        header=[Rendered(line) for line in unit.header],
        sections=[
            (Rendered(name), [(Rendered(item.directive.name), rendered(item)) for item in settings])
            for name, settings in unit.sections
        ],
    )
