"""The cases of tests/cases/config/: what is said about wrong configs, word by word."""

from __future__ import annotations

import pytest

from tests.cases.case import check_case, load_cases

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tests.cases.case import Case


@pytest.mark.parametrize(
    "case", load_cases("config") + load_cases("config", ".yaml"), ids=lambda case: case.path.name
)
def test_case_is_told_exactly_what_it_states(case: Case) -> None:
    check_case(case)
