"""YAML as Node and Go tools read it, whatever stands before a scalar."""

from __future__ import annotations

from pm_native.errors import Diagnostics, Source
from pm_native.importers.yaml_1_2 import as_yaml_1_2
from pm_native.syntax import parse_yaml


def test_words_and_numbers_of_yaml_1_1_are_what_they_look_like() -> None:
    text = (
        "a: &no no\nb: *no\nc: 0755\nd: 12:30\ne: 0o17\nf: '0755'\ng: True\nh: &n 010\ni: 1e3\nj: [off, y]\n"
    )
    node = parse_yaml(Source("shop.yaml", text), Diagnostics())
    assert node is not None
    assert as_yaml_1_2(node).plain() == {
        "a": "no", "b": "no", "c": 755, "d": "12:30", "e": 15, "f": "0755", "g": True, "h": 10, "i": 1000.0,
        "j": ["off", "y"],
    }  # fmt: skip
