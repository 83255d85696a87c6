"""Figures that need a running systemd: the jobs of apply, and status against pm2's list."""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

from tests.benchmarks.measure import CHECKOUT, Figure, milliseconds
from tests.machine.harness import Machine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

PM2_VERSION = "7.0.4"
PROCESSES = 50
ROUNDS = 21
PM_NATIVE = Path(sys.executable).parent / "pm-native"  # at the same place inside


def job_figures(_: Path) -> Iterator[Figure]:
    """The jobs of apply for 1,000 units against `systemctl start` and `stop` of the same units."""
    with Machine.boot("host") as machine:
        run = machine.run([machine.python, "-m", "tests.benchmarks.jobs"], cwd=str(CHECKOUT), timeout=900)
        version = machine.version
    seconds = {name: statistics.median(values) for name, values in json.loads(run.stdout).items()}
    for verb, bar in (("start", 1.15), ("stop", 0.75)):
        ours, peer = seconds[verb], seconds[f"systemctl {verb}"]
        yield Figure(
            f"the jobs of `apply`, 1,000 units, {verb}",
            milliseconds(ours),
            f"{milliseconds(peer)} (systemctl {verb}, {version})",
            f"{ours / peer:.2f}",
            f"{bar:.2f}",
            ours <= bar * peer,
        )


def status_figure(_: Path) -> Iterator[Figure]:
    """`pm-native status` of 50 processes against `pm2 list` of 50, in the same machine."""
    pm2 = install_pm2()
    with Machine.boot("host") as machine:
        start_ours(machine)
        if pm2 is not None:
            start_pm2(machine, pm2)
        ours: list[float] = []
        theirs: list[float] = []
        for _round in range(ROUNDS):
            ours.append(timed(machine, [str(PM_NATIVE), "status", "bench"]))
            if pm2 is not None:
                theirs.append(timed(machine, ["env", "PM2_HOME=/root/pm2", str(pm2), "list"]))
    own = statistics.median(ours)
    peer = statistics.median(theirs) if theirs else 0.0
    yield Figure(
        f"`status` of {PROCESSES}",
        milliseconds(own),
        f"{milliseconds(peer)} (pm2 {PM2_VERSION} list)" if theirs else "pm2 cannot be installed here",
        f"{own / peer:.2f}" if theirs else "-",
        "1.00",
        own < peer if theirs else None,
    )


def switch_figures(_: Path) -> Iterator[Figure]:
    """`apply` of a thousand processes of which none or one has changed, and the memory of `plan`."""
    words = ["-m", "tests.benchmarks.unchanged", str(PM_NATIVE), "1000"]
    with Machine.boot("host") as machine:
        env = {"PYTHONPATH": str(CHECKOUT)}
        run = machine.run([machine.python, *words], cwd=str(CHECKOUT), env=env, timeout=900)
    found = {name: statistics.median(values) for name, values in json.loads(run.stdout).items()}
    floor = found["imports"] + found["list-units"]
    yield Figure(
        "second `apply` of 1,000",
        milliseconds(found["unchanged"]),
        f"{milliseconds(floor)} (the same imports, and systemctl list-units)",
        f"{found['unchanged'] / floor:.2f}",
        "2.5",
        found["unchanged"] <= 2.5 * floor,
    )
    # Without what systemd itself took for the reload and the restart within that very apply.
    floor = found["reload"] + found["job"]
    yield Figure(
        "`apply` that changes 1 of 1,000, less its reload and its restart",
        milliseconds(found["changed"]),
        f"{milliseconds(found['unchanged'])} (a second apply; {milliseconds(floor)} are systemd's own)",
        f"{found['changed'] / found['unchanged']:.2f}",
        "2.0",
        found["changed"] <= 2 * found["unchanged"],
    )
    mebibytes = found["plan bytes"] / 2**20
    yield Figure(
        "`plan` for 1,000, peak memory", f"{mebibytes:.0f} MiB", "-", "-", "150 MiB", mebibytes < 150
    )


def restart_figure(_: Path) -> Iterator[Figure]:
    """`pm-native restart` of all of 50 against `pm2 restart all` of 50, in the same machine."""
    pm2 = install_pm2()
    if pm2 is None:
        return
    with Machine.boot("host") as machine:
        start_ours(machine)
        start_pm2(machine, pm2)
        ours: dict[str, list[float]] = {"0.5": [], "0": []}
        theirs: list[float] = []
        for _round in range(5):
            for settle, seconds in ours.items():
                before = machine.systemctl("show", "--property=InvocationID", "bench-*.service").stdout
                seconds.append(timed(machine, [str(PM_NATIVE), "restart", "bench", "--settle", settle]))
                after = machine.systemctl("show", "--property=InvocationID", "bench-*.service").stdout
                assert not set(before.split()) & set(after.split()), "not all were restarted"
            theirs.append(timed(machine, ["env", "PM2_HOME=/root/pm2", str(pm2), "restart", "all"]))
    peer = statistics.median(theirs)
    for settle, what in (
        ("0", "`restart --settle 0` of"),
        ("0.5", "`restart`, with its half second of watching, of"),
    ):
        own = statistics.median(ours[settle])
        yield Figure(
            f"{what} {PROCESSES}",
            milliseconds(own),
            f"{milliseconds(peer)} (pm2 {PM2_VERSION} restart all)",
            f"{own / peer:.2f}",
            "0.30",
            own <= 0.3 * peer,
        )


def install_pm2() -> Path | None:
    """pm2 from npm, kept in .cache/; None where there is no npm."""
    prefix = CHECKOUT / ".cache" / f"pm2-{PM2_VERSION}"
    program = prefix / "node_modules/.bin/pm2"
    if not program.exists():
        npm = shutil.which("npm")
        if npm is None:
            return None
        prefix.mkdir(parents=True, exist_ok=True)
        words = [
            npm,
            "install",
            "--silent",
            "--no-audit",
            "--no-fund",
            "--prefix",
            str(prefix),
            f"pm2@{PM2_VERSION}",
        ]
        subprocess.run(words, check=True)
    return program


def start_ours(machine: Machine) -> None:
    """Fifty processes, applied; AssertionError where not all of them run."""
    config = '[project]\nname = "bench"\n' + "".join(
        f'[process.p{number}]\ncommand = "sleep infinity"\n' for number in range(PROCESSES)
    )
    machine.write("/srv/bench/pm-native.toml", config)
    machine.pm_native("apply", "-f", "/srv/bench/pm-native.toml", "--settle", "0", timeout=120)
    for number in range(PROCESSES):
        machine.wait_until(f"bench-p{number}.service", ActiveState="active")


def start_pm2(machine: Machine, pm2: Path) -> None:
    """Fifty processes under pm2's daemon; AssertionError where not all of them run."""
    apps = [
        {"name": f"p{number}", "script": "/bin/sleep", "args": "infinity", "interpreter": "none"}
        for number in range(PROCESSES)
    ]
    machine.write("/srv/bench/pm2.json", json.dumps({"apps": apps}))
    environment = {"PM2_HOME": "/root/pm2", "PM2_DISCRETE_MODE": "1"}
    machine.run([str(pm2), "start", "/srv/bench/pm2.json"], env=environment, timeout=120)
    listed = json.loads(machine.run([str(pm2), "jlist"], env=environment).stdout)
    online = [item for item in listed if item["pm2_env"]["status"] == "online"]
    assert len(online) == PROCESSES, f"{len(online)} of {PROCESSES} are online in pm2"


def timed(machine: Machine, argv: list[str]) -> float:
    """Seconds of wall time of a command inside, measured inside: entering the machine is not its cost."""
    script = (
        "import subprocess, sys, time\n"
        "begin = time.perf_counter()\n"
        "run = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)\n"
        "print(time.perf_counter() - begin)\n"
        "sys.exit(run.stderr.decode() if run.returncode else 0)\n"
    )
    return float(machine.run([str(machine.python), "-c", script, *argv]).stdout)
