"""What systemd-analyze says of staged unit files: ours at their config lines, others' not at all."""

from __future__ import annotations

import pytest

from pm_native.apply.outcome import RunOptions
from pm_native.compile.bundle import BundleUnit
from pm_native.errors import ConfigError
from tests.apply.hosts import compiled
from tests.plan.hosts import service_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tests.apply.hosts import Host

UNITS = (
    BundleUnit("shop-web.service", "shop-web.service", "web", "/srv/shop.toml:7"),
    BundleUnit("shop-api@1.service", "shop-api@.service", "api", "/srv/shop.toml:9"),
    BundleUnit("shop-api.slice", "shop-api.slice", "api", start=False),
)
SHOP = compiled(*UNITS, texts={"shop-api.slice": "[Slice]\nMemoryMax=1G\n"})
# The first argument that is a file gives the folder.
SAYS = """
echo "$SYSTEMD_UNIT_PATH" "$@" >"$0.calls"
folder=${SYSTEMD_UNIT_PATH%%:*}
ls "$folder" >"$0.files"
cat >&2 <<END
/usr/lib/systemd/system/other.service:3: Unknown key 'X' in section [Service], ignoring.
other.service: Command /x is not executable: No such file or directory
a line about nothing
$folder/shop-api.slice:5: Invalid memory limit '1Q', ignoring: Invalid argument
$folder/shop-api@.service:12: Failed to parse sec value, ignoring: abc
$folder/shop-api@.service:12: Failed to parse sec value, ignoring: abc
shop-api@i.service: Service has no ExecStart=, ExecStop=, or SuccessAction=. Refusing.
Unit shop-api@i.service has a bad unit file setting.
shop-web.service: Command /gone is not executable: No such file or directory
END
exit 1
"""


def complaints(caught: pytest.ExceptionInfo[ConfigError]) -> list[str]:
    assert {item.code for item in caught.value.diagnostics} == {"systemd-verify"}
    return [f"{item.span}: {item.message}" for item in caught.value.diagnostics]


MINE = [
    "/srv/shop.toml:9:1: shop-api.slice, line 5: Invalid memory limit '1Q', ignoring: Invalid argument",
    "/srv/shop.toml:9:1: shop-api@.service, line 12: Failed to parse sec value, ignoring: abc",
    "/srv/shop.toml:9:1: shop-api@.service: Service has no ExecStart=, ExecStop=, or SuccessAction=. Refusing.",
]
GONE = "/srv/shop.toml:7:1: shop-web.service: Command /gone is not executable: No such file or directory"


def test_complaints_about_our_files_end_the_run_before_anything_happens(host: Host) -> None:
    host.program("systemd-analyze", SAYS)
    with pytest.raises(ConfigError) as caught:
        host.apply(SHOP)
    assert complaints(caught) == [*MINE, GONE]
    assert (host.manager.calls, host.tree()) == ([], [])


def test_program_that_is_missing_is_let_pass_on_request(host: Host) -> None:
    host.program("systemd-analyze", SAYS)
    with pytest.raises(ConfigError) as caught:
        host.apply(SHOP, options=RunOptions(allow_missing=True))
    assert complaints(caught) == MINE


def test_files_that_differ_are_staged_together_and_asked_about_in_one_call(host: Host) -> None:
    host.apply(SHOP)
    host.program("systemd-analyze", SAYS.replace("exit 1", "").replace("$folder/", "/elsewhere/"))
    new = {"shop-api.slice": "[Slice]\nMemoryMax=2G\n", "shop-web.service": service_text("run2")}
    with pytest.raises(ConfigError):
        host.apply(compiled(*UNITS, texts=new))
    folder, *words = (host.programs / "systemd-analyze.calls").read_text().split()
    stage = folder.removesuffix(":")
    assert folder == f"{stage}:"
    assert words == [
        "--system",
        "verify",
        "--man=no",
        "--recursive-errors=no",
        f"{stage}/shop-web.service",
        f"{stage}/shop-api.slice",
    ]
    assert (host.programs / "systemd-analyze.files").read_text().split() == [
        "shop-api.slice",
        "shop-web.service",
    ]


def test_directive_newer_than_the_host_was_told_by_the_compiler(host: Host) -> None:
    says = "echo \"${SYSTEMD_UNIT_PATH%:}/shop-web.service:4: Unknown key 'RestartSteps' in section [Service], ignoring.\" >&2"
    host.program("systemd-analyze", says)
    assert host.apply(SHOP).failures == []


def test_set_compiled_for_a_newer_systemd_is_refused_where_that_matters(host: Host) -> None:
    says = "echo \"${SYSTEMD_UNIT_PATH%:}/shop-web.service:4: Unknown key 'RestartSteps' in section [Service], ignoring.\" >&2"
    host.program("systemd-analyze", says)
    host.manager.systemd_version = 251
    with pytest.raises(ConfigError) as caught:
        host.apply(SHOP)
    assert complaints(caught) == [
        "/srv/shop.toml:7:1: shop-web.service, line 4: Unknown key 'RestartSteps' in section [Service], ignoring."
    ]


def test_nothing_is_asked_where_no_unit_file_differs_or_nothing_runs(host: Host) -> None:
    host.apply(SHOP)
    host.program("systemd-analyze", SAYS)
    host.apply(SHOP)
    host.apply(None, offline=True)
    host.apply(SHOP, offline=True)
    host.apply(None)
    assert not (host.programs / "systemd-analyze.calls").exists()
