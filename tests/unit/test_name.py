"""Unit names: which are valid, how they are written, read and escaped."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from pm_native.unit.name import UnitName, UnitType, escape_slice_part, parse_unit_name


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (UnitName("shop-web", UnitType.SERVICE), "shop-web.service"),
        (UnitName("shop-web", UnitType.SERVICE, ""), "shop-web@.service"),
        (UnitName("shop-web", UnitType.SERVICE, "3"), "shop-web@3.service"),
        (UnitName("shop\\x2dx-web", UnitType.SLICE), "shop\\x2dx-web.slice"),
        (UnitName("a.b", UnitType.TARGET), "a.b.target"),
    ],
)
def test_names_are_written_and_read(name: UnitName, text: str) -> None:
    assert str(name) == text
    assert parse_unit_name(text) == name


def test_template_and_its_instances() -> None:
    template = UnitName("shop-web", UnitType.SERVICE, "")
    instance = UnitName("shop-web", UnitType.SERVICE, "3")
    plain = UnitName("shop-web", UnitType.SERVICE)
    assert [item.is_template for item in (template, instance, plain)] == [True, False, False]
    assert template.instantiate("3") == instance
    assert [item.template for item in (template, instance, plain)] == [template, template, plain]
    with pytest.raises(ValueError, match=r"^shop-web\.service is not a template$"):
        plain.instantiate("3")


@pytest.mark.parametrize("prefix", ["", "a b", "a/b", "a@b", "café", "a\n", "a%i"])
def test_what_systemd_takes_in_no_name_is_refused(prefix: str) -> None:
    with pytest.raises(ValueError, match="not valid in a unit name"):
        UnitName(prefix, UnitType.SERVICE)


def test_names_are_as_long_as_systemd_lets_them() -> None:
    assert len(str(UnitName("a" * 247, UnitType.SERVICE))) == 255
    with pytest.raises(ValueError, match="at most 255 characters"):
        UnitName("a" * 248, UnitType.SERVICE)


@pytest.mark.parametrize("text", ["web", "web.mount", ".service", "@.service", "web.", "a b.service"])
def test_other_texts_are_no_unit_names(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a unit name|not valid in a unit name"):
        parse_unit_name(text)


@pytest.mark.parametrize(
    ("name", "escaped"), [("web", "web"), ("api-v2", "api\\x2dv2"), ("a.b_c", "a.b_c"), ("a\\b", "a\\x5cb")]
)
def test_dashes_of_a_slice_level_are_escaped(name: str, escaped: str) -> None:
    assert escape_slice_part(name) == escaped


@pytest.mark.skipif(shutil.which("systemd-escape") is None, reason="no systemd-escape on this machine")
@pytest.mark.parametrize("name", ["web", "api-v2", "a.b_c", "a--b"])
def test_slice_levels_are_escaped_as_systemd_does(name: str) -> None:
    theirs = subprocess.check_output(["systemd-escape", "--", name], text=True).rstrip("\n")
    assert escape_slice_part(name) == theirs
