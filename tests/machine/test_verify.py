"""What is compiled, against the systemd of each machine: nothing to complain about, and no directive unknown."""

from __future__ import annotations

from pathlib import Path

from pm_native.state.layout import system_layout, user_layout
from pm_native.unit.directive import SECTIONS, known_directives
from tests.compile.verify import verifiable_cases, verifiable_units, verify_words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tests.machine.harness import Machine


def test_systemd_analyze_is_silent_about_every_case(machine: Machine) -> None:
    told = {}
    for case in verifiable_cases(machine.version):
        folder = f"/root/verify/{case.path.stem}"
        for name, text in verifiable_units(case).items():
            machine.write(f"{folder}/{name}", text)
        run = machine.run(verify_words(case, folder), check=False, env={"XDG_RUNTIME_DIR": "/run"})
        told[case.path.stem] = (run.returncode, run.stdout + run.stderr)
    assert len(told) > 15
    assert {name: said for name, said in told.items() if said != (0, "")} == {}


def test_table_has_what_this_systemd_has(machine: Machine) -> None:
    text = machine.run(["/usr/lib/systemd/systemd", "--dump-configuration-items"]).stdout
    theirs: dict[str, set[str]] = {}
    section = ""
    for line in text.splitlines():
        if line.startswith("["):
            section = line[1:-1]
        elif line and not line.endswith("=NOTSUPPORTED"):
            theirs.setdefault(section, set()).add(line.partition("=")[0])
    unknown = {name: sorted(theirs[name] - known_directives(name).keys()) for name in SECTIONS}
    missing = {
        name: sorted(
            key
            for key, since in known_directives(name).items()
            if since <= machine.version and key not in theirs[name]
        )
        for name in SECTIONS
    }
    assert unknown == missing == {name: [] for name in SECTIONS}


def test_unit_files_are_looked_for_where_this_systemd_does_and_in_its_order(machine: Machine) -> None:
    environ = {"HOME": "/root", "XDG_RUNTIME_DIR": "/run/user/0"}
    for layout in (system_layout(), user_layout(environ)):
        words = ["systemd-analyze", f"--{layout.scope}", "unit-paths"]
        theirs = [Path(line) for line in machine.run(words, env=environ).stdout.splitlines()]
        assert len(theirs) > 10
        assert [path for path in layout.load_path if path in theirs] == theirs
