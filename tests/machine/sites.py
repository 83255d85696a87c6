"""A project on a machine: its folder, its config, the switch to it, and what runs of it."""

from __future__ import annotations

import json
import re
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count

from tests.machine.harness import until

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from subprocess import CompletedProcess

    from tests.machine.harness import Machine

SETTLE = "0.6"
NUMBERS = count(1)
# pm-native, one job at a time: the next one is asked for when the one before it has ended.
NARROW = """
import sys
from pm_native.bus.scheduler import run_jobs
from pm_native.cli.main import run
run_jobs.__kwdefaults__["window"] = 1
sys.exit(run(sys.argv[1:]))
"""


@dataclass(frozen=True, slots=True)
class Site:
    """A project called `name` in /srv/`name`; with `user`, of that user's own manager, in its home."""

    machine: Machine
    name: str
    user: str | None = None

    @property
    def folder(self) -> str:
        return f"/home/{self.user}/{self.name}" if self.user else f"/srv/{self.name}"

    @property
    def units(self) -> str:
        return f"/home/{self.user}/.config/systemd/user" if self.user else "/etc/systemd/system"

    def write(self, name: str, text: str, mode: int = 0o644) -> None:
        """Write a file of the project."""
        self.machine.write(f"{self.folder}/{name}", text, mode=mode)

    def config(self, text: str) -> None:
        """Write the processes of the native config."""
        head = f'[project]\nname = "{self.name}"\n'
        self.write("pm-native.toml", head + text)

    def pm_native(self, *words: str, code: int = 0) -> CompletedProcess[str]:
        """Run pm-native in the folder of the project, and hold it to an exit code."""
        scope = ["--user"] if self.user else []
        done = self.machine.pm_native(*words, *scope, check=False, user=self.user, cwd=self.folder)
        assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def apply(self, *words: str, code: int = 0) -> CompletedProcess[str]:
        """Apply the config of the folder."""
        source = () if "-f" in words or "--from" in words else ("-f", "pm-native.toml")
        return self.pm_native("apply", "--settle", SETTLE, *source, *words, code=code)

    @contextmanager
    def in_background(
        self, *words: str, env: Mapping[str, str] | None = None, narrow: bool = False
    ) -> Iterator[subprocess.Popen[str]]:
        """Run pm-native in the folder of the project beside the test, to the end of the block at most.

        `narrow`: one job at a time, as `narrow.py` in the folder.
        """
        program = ["narrow.py"] if narrow else ["-m", "pm_native"]
        if narrow:
            self.write("narrow.py", NARROW)
        command = [str(self.machine.python), *program, *words]
        with subprocess.Popen(
            self.machine.command(command, cwd=self.folder, env=env),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as run:
            try:
                yield run
            finally:
                run.kill()

    def applied(self, *words: str, code: int = 0) -> Applied:
        """Apply the config of the folder, and give what the envelope says."""
        # The events of the run, a line each, and then the envelope.
        data = json.loads(self.apply("--json", *words, code=code).stdout.splitlines()[-1])["data"]
        return Applied(
            steps=[f"{step['action']} {step['subject']}" for step in data["steps"]],
            reasons=[step["reason"] for step in data["steps"]],
            drift=[f"{item['subject']} {item['what']}" for item in data["drift"]],
            failures={item["unit"]: item for item in data["failures"]},
        )

    def reasons(self, *words: str, code: int = 0) -> dict[str, str]:
        """Apply the config of the folder, and give each step with its reason."""
        return self.applied(*words, code=code).why

    def remove(self) -> None:
        """Take the project away, if it is there."""
        scope = ["--user"] if self.user else []
        self.machine.pm_native("remove", self.name, *scope, check=False, user=self.user, cwd="/")

    def runs(self) -> dict[str, str]:
        """Each unit of the project that runs, with the id of its run, without what a timer starts when it will."""
        shown = self.machine.systemctl(
            "show", "--property=Id,ActiveState,InvocationID", f"{self.name}*", user=self.user
        ).stdout
        found = {}
        for block in shown.split("\n\n"):
            values = dict(line.split("=", 1) for line in block.splitlines())
            if values.get("ActiveState") in {"active", "activating"}:
                found[values["Id"]] = values["InvocationID"]
        timers = [name.removesuffix(".timer") for name in found if name.endswith(".timer")]
        timed = {f"{name}.{kind}" for name in timers for kind in ("service", "slice")}
        return {name: run for name, run in found.items() if name not in timed}

    def shows(self, unit: str, pattern: str) -> str:
        """Wait until the status of a unit is of the pattern; the text."""

        def text() -> str:
            return self.machine.show(unit, "StatusText", user=self.user)["StatusText"]

        until(lambda: re.fullmatch(pattern, text()) is not None, what=lambda: f"{unit}: {text()!r}")
        return text()

    def environment(self, unit: str) -> dict[str, str]:
        """The environment of the main process of a unit, as the kernel has it."""
        pid = self.machine.show(unit, "MainPID", user=self.user)["MainPID"]
        lines = self.machine.read(f"/proc/{pid}/environ").split("\0")
        return dict(line.split("=", 1) for line in lines if line)

    def files(self) -> dict[str, int]:
        """Every file and link that apply made, with the time of its last change in nanoseconds."""
        home = f"/home/{self.user}" if self.user else None
        places = (
            [f"{home}/.config", f"{home}/.local/state", "/run/user"]
            if home
            else [
                "/etc/systemd",
                "/etc/pm-native",
                "/var/lib/pm-native",
                "/run/systemd/transient",
                "/run/systemd/system",
                "/run/pm-native-environment",
                "/run/pm-native-projects",
            ]
        )
        words = ["find", *places, "(", "-name", f"*{self.name}*", "-o", "-path", f"*/{self.name}/*", ")"]
        lines = self.machine.run([*words, "-printf", "%p %T@\\n"], check=False).stdout.splitlines()
        return {
            path: int(stamp.replace(".", "")) for path, _, stamp in (line.rpartition(" ") for line in lines)
        }


@dataclass(frozen=True, slots=True)
class Applied:
    """What an apply did."""

    steps: list[str]
    reasons: list[str]
    drift: list[str]
    failures: dict[str, dict[str, object]]

    @property
    def why(self) -> dict[str, str]:
        """Each step with its reason."""
        return dict(zip(self.steps, self.reasons, strict=True))


def new_site(machine: Machine) -> Iterator[Site]:
    """A site of a name that no other has; its project goes with the test."""
    made = Site(machine, f"site{next(NUMBERS)}")
    machine.run(["mkdir", "-p", made.folder])
    yield made
    made.remove()


def processes(machine: Machine, words: str) -> list[str]:
    """The processes whose command line has these words."""
    return machine.run(["pgrep", "-f", "--", words], check=False).stdout.split()
