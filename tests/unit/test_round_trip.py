"""What is rendered is read back unchanged, whatever it is."""

from __future__ import annotations

from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings

from pm_native.unit import directive as d
from pm_native.unit.escape import parse_value, rendered
from pm_native.unit.file import Setting, UnitFile
from pm_native.unit.parse import parse_unit
from pm_native.unit.render import render_unit
from tests.unit import strategies

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pm_native.unit.file import Text

many = hypothesis_settings(
    max_examples=100,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


@many
@given(unit=strategies.unit_files())
@example(unit=UnitFile((), ()))
@example(unit=UnitFile((), (("Unit", ()), ("Service", (Setting(d.EXEC_START, ()),)))))
def test_parse_is_the_inverse_of_render(unit: UnitFile) -> None:
    text = render_unit(unit)
    assert parse_unit(text) == unit
    assert render_unit(parse_unit(text)) == text


@hypothesis_settings(many, max_examples=500)
@given(command=strategies.COMMANDS)
def test_commands_come_back(command: tuple[Text, ...]) -> None:
    text = rendered(Setting(d.EXEC_START, command, ":"))
    assert "\n" not in text
    assert parse_value(d.EXEC_START, text) == (":", command)
