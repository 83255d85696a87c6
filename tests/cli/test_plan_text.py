"""A plan as people read it: what changes in a directive shows, however long its value is."""

from __future__ import annotations

import io

import pytest

from pm_native.cli.plan_text import plan_lines
from pm_native.cli.style import Style
from pm_native.plan.model import Action, Change, Plan, Step

LONG = "x" * 150


@pytest.mark.parametrize(
    ("old", "new", "shown"),
    [
        ("always", "no", "always -> no"),
        ("", "512M", "(none) -> 512M"),
        ("512M", "", "512M -> (none)"),
        ("A=1\nB=2\nC=3", "A=1\nB=4\nC=3", "B=2 -> B=4"),
        ("A=1", "A=1\nB=2\nC=3", "+ B=2, C=3"),
        ("A=1\nB=2\nC=3", "B=2", "- A=1, C=3"),
        ("A=1\nB=2", "B=2\nA=1", "A=1, B=2 -> B=2, A=1"),
        (f"{LONG} a", f"{LONG} b", f"...{'x' * 19} a -> ...{'x' * 19} b"),
        (f"{LONG}", f"y{LONG}", f"{'x' * 100}... -> y{'x' * 99}..."),
        ("a", f"a{LONG}", f"a -> a{'x' * 99}..."),
    ],
)
def test_old_and_new_value_show_what_differs(old: str, new: str, shown: str) -> None:
    step = Step(Action.WRITE, "a.service", "changed", changes=(Change("Service.Foo", old, new),))
    plan = Plan(project="shop", bundle=None, steps=(step,))
    assert plan_lines(plan, Style(io.StringIO()))[1] == f"    Foo: {shown}"
