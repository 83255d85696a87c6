"""The cases of tests/cases/compile/: configs, the units that they become, and what is said about them."""

from __future__ import annotations

import pytest

from tests.cases.case import check_case, load_cases

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tests.cases.case import Case


@pytest.mark.parametrize("case", load_cases("compile"), ids=lambda case: case.path.stem)
def test_case_becomes_exactly_what_it_states(case: Case) -> None:
    check_case(case)
