"""The .deb on booted, clean Debian 12 and 13, and the .rpm in a root: installed, used, upgraded, removed."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess

import pytest

from tests.machine.conftest import give_up
from tests.machine.harness import CHECKOUT, Machine, MachineUnavailableError, until

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RUNNING = ("shop-web.service", "shop-worker@1.service", "shop-worker@2.service")
OLDER = "0.0.1-1"
AUTOPKGTESTS = sorted(
    path for path in (CHECKOUT / "packaging/debian/tests").iterdir() if path.name != "control"
)


def built(kind: str, folder: Path) -> list[Path]:
    """The packages that `packaging/build.sh KIND` makes: once, whichever of the processes that test comes first."""
    folder.mkdir(exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / ".built").exists():
            run = subprocess.run(
                [CHECKOUT / "packaging/build.sh", kind, folder], capture_output=True, text=True, check=False
            )
            assert run.returncode == 0, run.stdout + run.stderr
            (folder / ".built").touch()
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def shared(factory: pytest.TempPathFactory) -> Path:
    """A folder of this run, the same for all processes that test."""
    own = factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


def packages_missing() -> bool:
    needed = {"dpkg-buildpackage", "dh", "dh_python3", "lintian", "rpmbuild", "rpmlint"}
    return any(shutil.which(tool) is None for tool in needed)


needs_tools = pytest.mark.skipif(
    packages_missing() and not os.environ.get("PM_NATIVE_REQUIRE_MACHINE"),
    reason="packaging/bootstrap.sh packages was not run",
)
pytestmark = needs_tools


@pytest.fixture(scope="session")
def debs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return built("deb", shared(tmp_path_factory) / "packages-deb")


@pytest.fixture(scope="session")
def rpms(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return built("rpm", shared(tmp_path_factory) / "packages-rpm")


@pytest.fixture(params=["bookworm", "trixie"])
def clean(request: pytest.FixtureRequest) -> Iterator[Machine]:
    """A Debian that has what the package depends on, and nothing of pm-native."""
    try:
        machine = Machine.boot(request.param, clean=True)
    except MachineUnavailableError as error:
        give_up(str(error))
    with machine:
        assert machine.run(["sh", "-c", "command -v pm-native"], check=False).returncode == 127
        yield machine


def the_one(paths: list[Path], ending: str) -> Path:
    (found,) = (path for path in paths if path.name.endswith(ending))
    return found


def put(machine: Machine, package: Path, name: str = "") -> str:
    """Copy a package into the machine, and give its path there."""
    inside = f"/root/{name or package.name}"
    shutil.copyfile(package, machine.path("/root") / (name or package.name))
    return inside


def older(package: Path, folder: Path) -> Path:
    """The same package under a lower version."""
    subprocess.run(["dpkg-deb", "-R", package, folder / "tree"], check=True)
    control = folder / "tree/DEBIAN/control"
    text = re.sub(r"(?m)^Version: .*$", f"Version: {OLDER}", control.read_text(encoding="utf-8"))
    control.write_text(text, encoding="utf-8")
    subprocess.run(
        ["dpkg-deb", "-b", folder / "tree", folder / "older.deb"], check=True, capture_output=True
    )
    return folder / "older.deb"


def open_shop(machine: Machine) -> None:
    """The example shop, applied from its folder."""
    machine.run(["useradd", "--system", "shop"])
    shutil.copytree(CHECKOUT / "examples/shop", machine.path("/srv") / "shop")
    for words in (("check",), ("generate",), ("apply", "--settle", "0.2")):
        machine.run(["pm-native", *words], cwd="/srv/shop")


# A project that has a process of each kind that pm-native itself runs.
HELPED = """
[project]
name = "seen"
ipc = true
monitor = "host"

[process.web]
command = ["sh", "-c", "cat app; exec sleep infinity"]
health = { file = "app" }
watch = "app"
"""
HELPERS = ("pm-native-ipc@seen.service", "pm-native-monitor@seen.service", "seen-web-watch.service")
NEEDING = ("pm-native-monitor@seen.service", "seen-web-watch.service", "seen-web.service")


def apply_helped(machine: Machine) -> None:
    machine.write("/srv/seen/pm-native.toml", HELPED)
    machine.write("/srv/seen/app", "one\n")
    machine.run(["pm-native", "apply", "-f", "pm-native.toml", "--settle", "0.2"], cwd="/srv/seen")
    machine.run(
        ["pm-native", "ipc", "peers", "--project", "seen"]
    )  # the broker starts with the first to call it


def check_that_files_are_watched(machine: Machine) -> None:
    """The library that watches is Debian's own, and the runtime is where the package has put it."""
    machine.write("/srv/seen/app", "two\n")
    told = {"two", "app changed: restarting seen-web.service"}
    unit = "seen-web.service"
    until(lambda: told <= set(machine.journal(unit)), what=lambda: "\n".join(machine.journal(unit)))


def runs(machine: Machine, *units: str) -> dict[str, str]:
    """The main process of each unit, of the shop where none is named."""
    return {unit: machine.show(unit, "MainPID")["MainPID"] for unit in units or RUNNING}


def lint(*words: str | Path) -> str:
    run = subprocess.run(list(map(str, words)), capture_output=True, text=True, check=False)
    return run.stdout + run.stderr


def test_deb_is_as_debian_wants_it(debs: list[Path]) -> None:
    options = ("--pedantic", "--display-info", "--allow-root", "--fail-on=none")
    assert lint("lintian", *options, the_one(debs, ".changes")) == ""


def test_deb_is_built_to_the_same_bytes_again(debs: list[Path], tmp_path: Path) -> None:
    environment = {**os.environ, "TZ": "Asia/Tokyo", "LC_ALL": "C"}
    tree = tmp_path / "elsewhere"
    subprocess.run([CHECKOUT / "packaging/tree.sh", tree], check=True)
    subprocess.run(
        [tree / "packaging/build.sh", "deb", tmp_path / "out"],
        env=environment,
        check=True,
        capture_output=True,
    )
    for ending in (".deb", ".dsc", ".orig.tar.gz"):
        first, second = the_one(debs, ending), the_one(list((tmp_path / "out").iterdir()), ending)
        assert (first.name, first.read_bytes() == second.read_bytes()) == (second.name, True)


def test_deb_installs_runs_upgrades_and_goes_and_the_projects_run_on(
    clean: Machine, debs: list[Path], tmp_path: Path
) -> None:
    deb = the_one(debs, ".deb")
    clean.run(["dpkg", "--install", put(clean, older(deb, tmp_path), "older.deb")])
    open_shop(clean)
    apply_helped(clean)
    programs = (*RUNNING, "seen-web.service")
    before, helpers = runs(clean, *programs), runs(clean, *HELPERS)
    assert "0" not in {*before.values(), *helpers.values()}

    upgraded = clean.run(["dpkg", "--install", put(clean, deb)])
    assert "restart" not in upgraded.stdout + upgraded.stderr
    assert clean.run(["dpkg-query", "--show", "--showformat", "${Version}", "pm-native"]).stdout != OLDER
    assert runs(clean, *programs) == before
    assert {"0", *helpers.values()}.isdisjoint(runs(clean, *HELPERS).values())
    assert clean.run(["pm-native", "plan"], cwd="/srv/shop").returncode == 0
    check_that_files_are_watched(clean)

    before = runs(clean, *programs)
    removed = clean.run(["dpkg", "--remove", "pm-native"])
    assert "stay in /etc/systemd/system and run on: seen shop\n" in removed.stdout
    needing = "".join(f"  {unit}\n" for unit in NEEDING)
    assert f"will not start again as they should without it:\n{needing}To take" in removed.stdout
    clean.run(["dpkg", "--purge", "pm-native"])
    assert clean.path("/var/lib/pm-native/shop/current.json").exists()
    assert runs(clean, *programs) == before
    assert clean.run(["sh", "-c", "command -v pm-native"], check=False).returncode == 127
    left = clean.run(["find", "/usr", "-path", "*pm[-_]native*", "-not", "-name", "*.pyc"]).stdout
    assert left == ""


def test_tests_of_the_package_pass_and_purge_leaves_nothing_where_no_project_is_left(
    clean: Machine, debs: list[Path]
) -> None:
    clean.run(["dpkg", "--install", put(clean, the_one(debs, ".deb"))])
    for script in AUTOPKGTESTS:
        clean.write(f"/root/{script.name}", script.read_text(encoding="utf-8"), mode=0o755)
        folder = f"/root/{script.name}.tmp"
        clean.run(["mkdir", folder])
        clean.run([f"/root/{script.name}"], env={"AUTOPKGTEST_TMP": folder})
    purged = clean.run(["dpkg", "--purge", "pm-native"])
    assert "stay" not in purged.stdout
    left = clean.run(
        ["find", "/usr", "/etc", "/var/lib", "-not", "-path", "/var/lib/dpkg/*", "-name", "*pm[-_]native*"]
    )
    assert left.stdout == ""


def test_rpm_is_as_rpmlint_wants_it(rpms: list[Path]) -> None:
    config = CHECKOUT / "packaging/rpm/rpmlint.toml"
    said = lint("rpmlint", "--config", config, *(path for path in rpms if path.suffix in {".rpm", ".spec"}))
    assert "0 errors, 0 warnings, 0 badness" in said, said


def test_rpm_installs_runs_upgrades_and_goes(clean: Machine, rpms: list[Path]) -> None:
    rpm = put(clean, the_one(rpms, ".noarch.rpm"))
    # The names of what it depends on are Fedora's; Debian's own are there.
    clean.run(["rpm", "--install", "--nodeps", rpm])
    open_shop(clean)
    apply_helped(clean)
    programs = (*RUNNING, "seen-web.service")
    before, helpers = runs(clean, *programs), runs(clean, *HELPERS)
    assert "0" not in {*before.values(), *helpers.values()}
    clean.run(["rpm", "--upgrade", "--force", "--nodeps", rpm])
    assert {"0", *helpers.values()}.isdisjoint(runs(clean, *HELPERS).values())
    erased = clean.run(["rpm", "--erase", "--nodeps", "pm-native"])
    assert "stay in /etc/systemd/system and run on: seen shop\n" in erased.stdout
    assert runs(clean, *programs) == before
    assert clean.run(["find", "/usr", "-path", "*pm[-_]native*"]).stdout == ""
