"""A bundle for the time until the next boot: other paths of environment files, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pm_native.apply.ownership import is_pristine
from pm_native.compile.bundle import BundleUnit, FileKind, bundle_file
from pm_native.compile.runtime import until_reboot
from pm_native.errors import UsageError
from tests.apply.hosts import compiled

WEB, RULES = "shop-web.service", "shop.ipc.env"
TEXT = """\
[Service]
EnvironmentFile=/srv/%%E/pm-native/own.env
EnvironmentFile=%E/pm-native/shop/shop-web.env
EnvironmentFile=-%E/pm-native/%i/%i.ipc.env
Environment=A=EnvironmentFile=%E/pm-native/
"""


def test_environment_files_are_looked_for_below_run_and_the_header_says_so() -> None:
    env = {"shop-web.env": "EnvironmentFile=%E/pm-native/x\n"}
    bundle = compiled(BundleUnit(WEB, WEB, files=("shop-web.env",)), texts={WEB: TEXT}, env=env)
    moved = until_reboot(bundle)
    (unit,) = (item for item in moved.files if item.name == WEB)
    assert unit.text.partition("[Service]\n")[2] == (
        "EnvironmentFile=/srv/%%E/pm-native/own.env\n"
        "EnvironmentFile=%t/pm-native-environment/shop/shop-web.env\n"
        "EnvironmentFile=-%t/pm-native-environment/%i/%i.ipc.env\n"
        "Environment=A=EnvironmentFile=%E/pm-native/\n"
    )
    assert is_pristine(unit.text, "shop")
    assert unit.is_of(unit.text.encode())
    assert [item for item in moved.files if item is not unit] == [
        item for item in bundle.files if item.name != WEB
    ]
    assert replace(moved, files=()) == replace(bundle, files=())
    assert until_reboot(moved) == moved


def test_rules_that_a_packaged_unit_reads_are_refused() -> None:
    bundle = compiled(BundleUnit(WEB, WEB))
    broker = BundleUnit("pm-native-ipc@shop.service", "pm-native-ipc@.service", files=(RULES,))
    rules = bundle_file(FileKind.ENVIRONMENT, RULES, "")
    packaged = replace(bundle, units=(*bundle.units, broker), files=(*bundle.files, rules))
    with pytest.raises(UsageError, match=r"^pm-native-ipc@\.service is a package's, and reads its rules"):
        until_reboot(packaged)
