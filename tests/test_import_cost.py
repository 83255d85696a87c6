"""What a command line loads: heavy packages stay out of the commands that do without them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pm_native.cli.commands import COMMANDS

CHECKOUT = Path(__file__).parent.parent
# Each costs 10 to 60 ms of start-up time.
HEAVY = {"asyncio", "dbus_next", "jinja2", "psutil", "yaml"}
RUN = """
import sys
from pm_native.cli.main import run
code = run(sys.argv[1:])
print("loaded:", *sys.modules)
sys.exit(code)
"""


def loaded(code: str, *arguments: str, cwd: Path = CHECKOUT) -> set[str]:
    """The modules that a Python program has loaded at its end; it prints them in its last line."""
    run = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=cwd,
        env={"PYTHONPATH": str(CHECKOUT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return set(run.stdout.splitlines()[-1].split())


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], []], ids=["help", "version", "bare"])
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    modules = loaded(RUN, *arguments)
    assert HEAVY & modules == set()
    ours = {name for name in modules if name.startswith("pm_native.")}
    assert {name for name in ours if not name.startswith("pm_native.cli")} == {"pm_native.errors"}
    assert not ours & {f"pm_native.cli.{name}" for name in COMMANDS}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    text = '[project]\nname = "shop"\n[process.web]\ncommand = ["sh", "-c", "exec sleep 9"]\n'
    (tmp_path / "pm-native.toml").write_text(text, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("command", ["check", "generate", "explain"])
def test_compiling_loads_no_bus(command: str, config: Path) -> None:
    modules = loaded(RUN, command, "-f", "pm-native.toml", cwd=config)
    # The layouts of units are printed by jinja2, `explain` prints none; TOML needs no YAML.
    assert HEAVY & modules <= {"jinja2"}


def test_manager_types_load_no_bus_library() -> None:
    modules = loaded("import sys, pm_native.bus.manager; print(*sys.modules)")
    assert HEAVY & modules == set()


def test_planning_loads_no_bus_library() -> None:
    modules = loaded("import sys, pm_native.plan.make; print(*sys.modules)")
    assert HEAVY & modules == set()


INSTALLED = """
import sys
from pathlib import Path
from pm_native.cli.target import installed_bundles
from pm_native.compile.bundle import Bundle, Installed
from pm_native.state.layout import system_layout
from pm_native.state.store import Store
from pm_native.unit.name import Scope
layout = system_layout(Path(sys.argv[1]))
bundle = Bundle(project="shop", scope=Scope.SYSTEM, systemd_version=252)
Store(layout, "shop").save(Installed(generation=1, bundle=bundle))
assert installed_bundles(layout) == [bundle]
print("loaded:", *sys.modules)
"""


def test_what_is_installed_is_read_without_the_compiler(tmp_path: Path) -> None:
    modules = loaded(INSTALLED, str(tmp_path))
    assert HEAVY & modules == set()
    assert {name for name in modules if name.startswith(("pm_native.compile.", "pm_native.apply"))} == {
        "pm_native.compile.bundle"
    }


def test_what_is_installed_is_switched_without_configs_and_their_compiler() -> None:
    modules = loaded("import sys, pm_native.cli.rollback, pm_native.cli.switch; print(*sys.modules)")
    assert {name for name in modules if name.startswith(("pm_native.compile.", "pm_native.config"))} == {
        "pm_native.compile.bundle",
        "pm_native.compile.names",
        "pm_native.compile.scale",
        "pm_native.compile.unit_file",
    }


BROKER = """
import runpy, sys
from pathlib import Path
main = Path("pm_native/runtime/ipc/__main__.py")
try:
    runpy.run_path(str(main), run_name="__main__")
except SystemExit:
    pass
assert "__file__" not in sys.modules["inspect"].__dict__
assert not {"ast", "dis"} & sys.modules.keys()
import inspect
assert inspect.getsource(main.open).lstrip().startswith("def open(")
print(*sys.modules)
"""


def test_broker_loads_no_tls_and_inspect_only_when_asked() -> None:
    modules = loaded(BROKER)
    assert "_ssl" not in modules
    assert {"ast", "dis"} <= modules
