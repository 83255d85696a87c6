"""The layout of unit files, and the guard that lets nothing through that was not escaped."""

from __future__ import annotations

import pytest
from jinja2 import UndefinedError

from pm_native.unit import directive as d
from pm_native.unit.escape import Rendered, UnrepresentableError
from pm_native.unit.file import INSTANCE, Setting, UnitFile
from pm_native.unit.render import layout, only_rendered, render_unit

UNIT = UnitFile(
    ("Made by hand", "second line"),
    (
        ("Unit", (Setting(d.DESCRIPTION, ("100% café",)), Setting(d.AFTER, ("a.service", "b.service")))),
        ("Service", (Setting(d.EXEC_START, ("/bin/echo", "a b", (INSTANCE,)), ":"),)),
        ("Install", ()),
    ),
)


def test_layout_of_a_unit_file() -> None:
    assert render_unit(UNIT) == (
        "# Made by hand\n"
        "# second line\n"
        "\n"
        "[Unit]\n"
        "Description=100%% café\n"
        "After=a.service b.service\n"
        "\n"
        "[Service]\n"
        'ExecStart=:/bin/echo "a b" "%i"\n'
        "\n"
        "[Install]\n"
    )


def test_value_that_no_unit_can_hold_stops_the_rendering() -> None:
    unit = UnitFile((), (("Unit", (Setting(d.DESCRIPTION, ("a\nExecStart=/bin/evil",)),)),))
    with pytest.raises(UnrepresentableError):
        render_unit(unit)


@pytest.mark.parametrize("value", ["plain", 1, None, ("a",)])
def test_only_escaped_text_can_be_printed(value: object) -> None:
    with pytest.raises(TypeError) as caught:
        only_rendered(value)
    assert str(caught.value) == f"unescaped {type(value).__name__} reached a unit template: {value!r}"
    with pytest.raises(TypeError, match="reached a unit template"):
        layout("unit.j2").render(header=[value], sections=[])


def test_layout_refuses_what_it_was_not_given() -> None:
    with pytest.raises(UndefinedError):
        layout("unit.j2").render(header=[Rendered("x")])
