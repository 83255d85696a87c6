"""A migration that is killed or interrupted, and a process that turns ill: each runs in one manager, and the next run goes on."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.machine.behaviour import ACTOR, SERVERS, Supervisord, Systemd, trace, ups
from tests.machine.harness import until
from tests.machine.nspawn import SANE_PATH
from tests.machine.sites import Site

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.machine.harness import Machine

HOME = "home=SUPERVISOR_ENABLED"  # what it does not do under supervisord


class Migrated:
    """A project under a supervisord of its own, and what moves it."""

    def __init__(self, machine: Machine, name: str, programs: dict[str, str]) -> None:
        self.machine = machine
        self.site = Site(machine, name)
        self.old = Supervisord(machine, self.site.folder)
        self.new = Systemd(self.site)
        self.words = (
            "migrate",
            "supervisord",
            "--config",
            f"{self.site.folder}/supervisord.conf",
            "--project",
            name,
        )
        self.programs = list(programs)
        sections = [
            f"[program:{name}]\ncommand = python3 -S actor.py {name} {words}\ndirectory = %(here)s\nstartsecs = 0\nstopwaitsecs = 90\n"
            for name, words in programs.items()
        ]
        self.site.write("supervisord.conf", "\n".join([SERVERS, *sections]))
        self.site.write("actor.py", ACTOR)
        self.old.start()
        until(lambda: all(ups(self.old, name) for name in programs), timeout=60, what=self.log)

    def log(self) -> str:
        return self.machine.read(f"{self.site.folder}/supervisord.log")

    def begin(self, *words: str) -> subprocess.Popen[str]:
        """Start to migrate; it writes what it does to `said`."""
        command = self.machine.command([self.machine.python, "-m", "pm_native", *self.words, *words])
        with self.machine.path(f"{self.site.folder}/said").open("w") as said:
            return subprocess.Popen(
                command,
                env={"PATH": SANE_PATH},
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                text=True,
            )

    def said(self) -> str:
        return self.machine.read(f"{self.site.folder}/said")

    def signal(self, name: str) -> None:
        """Send a signal to the migration that runs."""
        (pid,) = self.machine.run(
            ["pgrep", "-f", f"^[^ ]*python[^ ]* -m pm_native {' '.join(self.words)}"]
        ).stdout.split()
        self.machine.run(["kill", f"-{name}", pid])

    def migrate(self, *words: str, code: int) -> dict[str, str]:
        """Migrate to the end; what became of each process."""
        done = self.machine.pm_native(*self.words, "--json", *words, check=False)
        assert done.returncode == code, f"{done.returncode}\n{done.stdout}{done.stderr}"
        moves = json.loads(done.stdout.splitlines()[-1])["data"]["moves"]
        return {item["process"]: f"{item['step']}{': ' * bool(item['why'])}{item['why']}" for item in moves}

    def homes(self) -> dict[str, str]:
        """The managers in which each program runs, or is between two runs."""
        lines = [line.split() for line in self.old.ctl("status").splitlines()]
        old = {words[0] for words in lines if words[1] in {"RUNNING", "STARTING", "BACKOFF"}}
        return {
            name: "supervisord" * (name in old) + "systemd" * (not self.new.is_at_rest(name))
            for name in self.programs
        }

    def end(self) -> None:
        self.site.remove()
        self.old.end()


@pytest.fixture
def cut(host_machine: Machine) -> Iterator[Migrated]:
    if host_machine.run(["sh", "-c", "command -v supervisord"], check=False).returncode:
        pytest.skip("there is no supervisord on this host")
    programs = {"loops": f"exit=3 after=1 {HOME}", "slow": "gate", "last": ""}
    migrated = Migrated(host_machine, "cutoff", programs)
    yield migrated
    migrated.end()


def test_migration_that_is_killed_is_gone_on_with(cut: Migrated) -> None:
    # Killed while it looks whether the unit stays up, which it does not.
    running = cut.begin("--settle", "90")
    until(lambda: len(ups(cut.new, "loops")) > 2, timeout=60, what=cut.said)
    cut.signal("KILL")
    running.wait(60)
    assert cut.homes() == {"loops": "systemd", "slow": "supervisord", "last": "supervisord"}

    # The next run finds that out, and is killed while the old manager stops a program.
    running = cut.begin("--settle", "5", "--keep-going")
    until(lambda: ["main", "SIGTERM"] in trace(cut.new, "slow"), timeout=90, what=cut.said)
    assert "✗ loops: went back" in cut.said()
    cut.signal("KILL")
    running.wait(60)
    assert cut.homes() == {"loops": "supervisord", "slow": "", "last": "supervisord"}

    cut.site.write("loops.well", "")
    # The one after it waits for that program's end, and is interrupted meanwhile: it goes back.
    running = cut.begin("--settle", "0.8", "--keep-going")
    until(lambda: "slow: stopped in supervisord" in cut.said(), timeout=90, what=cut.said)
    cut.signal("INT")
    cut.site.write("slow.gate", "")
    assert running.wait(60) == 130, cut.said()
    assert cut.homes() == {"loops": "systemd", "slow": "supervisord", "last": "supervisord"}

    assert cut.migrate("--settle", "0.8", code=0) == {
        "loops": "already moved",
        "slow": "moved",
        "last": "moved",
    }
    assert cut.homes() == dict.fromkeys(cut.programs, "systemd")
    # No start of one before the end of the other.
    told = [words[1] for words in trace(cut.new, "slow")]
    assert told == ["up", "SIGTERM", "gone"] * 2 + ["up"]


@pytest.fixture
def ill(host_machine: Machine) -> Iterator[Migrated]:
    if host_machine.run(["sh", "-c", "command -v supervisord"], check=False).returncode:
        pytest.skip("there is no supervisord on this host")
    migrated = Migrated(
        host_machine,
        "falls",
        {"told": f"after=1 lose=told.health {HOME}", "ended": f"after=1 lose=ended.health {HOME}"},
    )
    yield migrated
    migrated.end()


def test_what_turns_ill_within_its_settle_goes_back(ill: Migrated) -> None:
    config = ['[project]\nname = "falls"\n']
    for name, more in (("told", ', action = "status"'), ("ended", "")):
        ill.site.write(f"{name}.health", "")
        check = f'{{ exec = ["test", "-e", "{name}.health"], interval = "300ms", retries = 1{more} }}'
        command = f'"python3 -S actor.py {name} after=1 lose={name}.health {HOME}"'
        config.append(f"[process.{name}]\ncommand = {command}\nhealth = {{ alive = {check} }}\n")
    ill.site.write("pm-native.toml", "\n".join(config))
    steps = ill.migrate("-f", f"{ill.site.folder}/pm-native.toml", "--settle", "6", "--keep-going", code=4)
    assert steps["told"] == "went back: falls-told.service: it says that it is unhealthy: test exited with 1"
    assert steps["ended"].startswith("went back: falls-ended.service: it ")
    assert ill.homes() == dict.fromkeys(ill.programs, "supervisord")
