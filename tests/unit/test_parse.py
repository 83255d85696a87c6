"""Unit text to the IR: continuations, comments, sections, and the lines that systemd would not read."""

from __future__ import annotations

import pytest

from pm_native.unit import directive as d
from pm_native.unit.directive import Directive
from pm_native.unit.file import INSTANCE, Setting, UnitFile
from pm_native.unit.parse import UnitSyntaxError, parse_unit


def test_everything_that_systemd_reads_is_read() -> None:
    text = (
        "# first line\n"
        "#second line\n"
        "\n"
        "; third line\n"
        "[Unit]\n"
        "# a comment\n"
        "  Description = two \\\n"
        "    lines  \n"
        "After=a.service \\\n"
        "# a comment within\n"
        "; and another\n"
        "  b.service\n"
        "X-Foreign=kept as it is %%\n"
        "\n"
        "[Service]\r\n"
        'ExecStart=-/bin/echo "a b" \\\\ %i\r\n'
        "ExecStart=\n"
        "Environment=A=1 'B=2 3'\n"
        "[X-Own]\n"
        "Key=value\n"
        "[Install]\n"
        "WantedBy=multi-user.target \\"
    )
    assert parse_unit(text) == UnitFile(
        ("first line", "second line", "third line"),
        (
            (
                "Unit",
                (
                    Setting(d.DESCRIPTION, ("two  lines",)),
                    Setting(d.AFTER, ("a.service", "b.service")),
                    Setting(Directive("Unit", "X-Foreign"), ("kept as it is %%",)),
                ),
            ),
            (
                "Service",
                (
                    Setting(d.EXEC_START, ("/bin/echo", "a b", "\\", (INSTANCE,)), "-"),
                    Setting(d.EXEC_START, ()),
                    Setting(d.ENVIRONMENT, ("A=1", "B=2 3")),
                ),
            ),
            ("X-Own", (Setting(Directive("X-Own", "Key"), ("value",)),)),
            ("Install", (Setting(d.WANTED_BY, ("multi-user.target",)),)),
        ),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Key=value\n", "line 1: outside of any section: 'Key=value'"),
        ("[Unit\n", "line 1: a section without its bracket: '[Unit'"),
        ("\n[Unit]\nno setting\n", "line 3: neither a section nor a setting: 'no setting'"),
        (
            "[Service]\nExecStart=/bin/x \\\n  'open\n",
            'line 2: ExecStart=: a quote or escape that does not end: "\'open"',
        ),
        (
            "[Unit]\nDescription=50%\n",
            "line 2: Description=: not a specifier: '%'; a percent sign is written %%",
        ),
    ],
)
def test_what_systemd_would_not_read_is_told_with_its_line(text: str, message: str) -> None:
    with pytest.raises(UnitSyntaxError) as caught:
        parse_unit(text)
    assert str(caught.value) == message
