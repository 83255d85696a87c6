"""`pm-native check --security`: the table, the same for programs, and the limit that fails."""

from __future__ import annotations

import json

import pytest

from pm_native.apply import exposure
from pm_native.apply.exposure import Cost, Exposure
from tests.cli.shop import Ran

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pm_native.compile.bundle import BundleFile
    from pm_native.unit.name import Scope
    from tests.cli.shop import Shop

COSTS = (
    Cost("User=", 0.4, "root"),
    Cost("Caps=~A", 0.3, "a"),
    Cost("Caps=~B", 0.2, "b"),
    Cost("Tmp=", 0.2, "tmp"),
)
TABLE = """\
UNIT                  EXPOSURE    SANDBOX  COSTS MOST                      WOULD LOWER IT
shop-worker@.service  9.0 unsafe  off      Caps= 0.5, User= 0.4, Tmp= 0.2  sandbox = "basic" (5.0), sandbox = "strict" (1.0), a `user` (8.0)
shop-web.service      1.0 ok      strict   Caps= 0.5, User= 0.4, Tmp= 0.2  -
shop: 2 processes, 5 files for systemd 252: no errors
"""


def judged(item: BundleFile) -> Exposure:
    """A figure by what the unit has: enough to see that each variant is judged as it would be."""
    if "ProtectSystem=strict" in item.text:
        return Exposure(1.0, "ok")
    if "ProtectSystem=full" in item.text:
        return Exposure(5.0, "medium")
    return Exposure(8.0, "exposed") if "User=" in item.text else Exposure(9.0, "unsafe")


@pytest.fixture
def boxed(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """The shop, with `web` in a sandbox, and a systemd-analyze that judges by a rule of its own."""

    def overall(files: Sequence[BundleFile], scope: Scope) -> list[Exposure]:  # noqa: ARG001 - as the real one
        return [judged(item) for item in files]

    def costs(files: Sequence[BundleFile], scope: Scope) -> list[tuple[Cost, ...]]:  # noqa: ARG001 - as the real one
        return [COSTS for _ in files]

    monkeypatch.setattr(exposure, "overall_exposures", overall)
    monkeypatch.setattr(exposure, "exposure_costs", costs)
    text = (shop.folder / "pm-native.toml").read_text(encoding="utf-8")
    shop.write(text.replace("[process.worker]", 'sandbox = "strict"\n[process.worker]'))
    return shop


def check(shop: Shop, *words: str) -> Ran:
    return shop.run("check", "-f", "pm-native.toml", "--systemd-version", "252", *words)


def test_table_tells_the_worst_first_and_what_would_lower_it(boxed: Shop) -> None:
    assert check(boxed, "--security") == Ran(0, TABLE, "")


def test_limit_fails_and_names_the_units_above_it(boxed: Shop) -> None:
    assert check(boxed, "--max-exposure", "1") == Ran(1, TABLE, "above 1: shop-worker@.service\n")
    assert check(boxed, "--max-exposure", "9").code == 0


def test_programs_get_the_figures_and_all_that_they_are_made_of(boxed: Shop) -> None:
    done = check(boxed, "--security", "--json")
    (worker, web) = json.loads(done.out)["data"]["security"]
    assert web["would_lower"] == []
    assert worker == {
        "unit": "shop-worker@.service",
        "process": "worker",
        "sandbox": "off",
        "exposure": 9.0,
        "word": "unsafe",
        "costs": [
            {"directive": cost.directive, "exposure": cost.exposure, "description": cost.description}
            for cost in COSTS
        ],
        "would_lower": [
            {"change": 'sandbox = "basic"', "exposure": 5.0},
            {"change": 'sandbox = "strict"', "exposure": 1.0},
            {"change": "a `user`", "exposure": 8.0},
        ],
    }


def test_users_services_are_not_told_to_name_a_user(boxed: Shop) -> None:
    out = check(boxed, "--security", "--user").out
    assert "a `user`" not in out
    assert "systemd-analyze takes a user's services for root's: their figures are too high.\n" in out


def test_without_the_option_nothing_is_asked(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(exposure, "overall_exposures")
    assert check(shop) == Ran(0, "shop: 2 processes, 5 files for systemd 252: no errors\n", "")


def test_host_without_systemd_analyze_is_told(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    done = check(shop, "--security")
    assert done == Ran(69, "", "error: there is no systemd-analyze on this host\n  hint: install systemd\n")
