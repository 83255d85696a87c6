"""The corner shop under systemd: from a config to running units, changed once, and gone again.

    make demo                          on a throwaway machine: a systemd in a container, removed afterwards
    python examples/demo.py --here     on this host's own systemd, as root; what it makes, it takes away
    python examples/demo.py --offline  units and plans only: what is left where no machine can be booted

Needs nothing but the standard library and a checkout with its virtualenv. Exit status: 0 when all went as it should.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CHECKOUT = Path(__file__).resolve().parents[1]
SHOP = CHECKOUT / "examples" / "shop"
PLACE = "/srv/shop"
# What --here makes on a host, and so must not find there.
MADE = (PLACE, "/var/lib/shop", "/etc/systemd/system/shop.target", "/var/lib/pm-native/shop")
IN_COLOUR = bool(os.environ.get("FORCE_COLOR")) or (sys.stdout.isatty() and not os.environ.get("NO_COLOR"))


class DemoError(Exception):
    """Something did not go as it should; the message says what."""


class NoMachineError(Exception):
    """No throwaway machine can be booted here; the message says why."""


def paint(text: str, code: str) -> str:
    """The text in a colour, where there are colours."""
    return f"\x1b[{code}m{text}\x1b[0m" if IN_COLOUR else text


def say(text: str) -> None:
    """A heading over the next commands."""
    print(f"\n{paint(f'# {text}', '1;36')}", flush=True)


class Shell:
    """Runs command lines in one folder of one host; `wrap` makes the words that run a command there."""

    def __init__(self, wrap: Callable[[list[str]], list[str]]) -> None:
        self.wrap = wrap

    def run(self, line: str, *, expect: int = 0, says: str = "") -> None:
        """Show the command line, then what it prints; DemoError unless it ends with `expect` and `says` so."""
        print(f"{paint('$', '1;32')} {paint(line, '1')}", flush=True)
        printed = []
        with self._start(line) as process:
            for text in process.stdout or ():
                print(text, end="", flush=True)
                printed.append(text)
        if process.returncode != expect:
            raise DemoError(f"`{line}` ended with {process.returncode}, not {expect}")
        if says not in "".join(printed):
            raise DemoError(f"`{line}` did not say {says!r}")

    def ask(self, line: str) -> str:
        """What the command line prints, without showing it; its failure counts as no answer."""
        with self._start(line) as process:
            return process.stdout.read().strip() if process.stdout else ""

    def wait(self, line: str, wanted: str, *, seconds: float = 20) -> None:
        """Ask until `wanted` is part of the answer; DemoError after so many seconds."""
        deadline = time.monotonic() + seconds
        while wanted not in (answer := self.ask(line)):
            if time.monotonic() > deadline:
                raise DemoError(f"`{line}` still says {answer!r} after {seconds:g} s, not {wanted!r}")
            time.sleep(0.1)

    def _start(self, line: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.wrap(["sh", "-c", line]),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
        )


def environment() -> dict[str, str]:
    """What every command gets to know of the terminal."""
    return {"FORCE_COLOR": "1"} if IN_COLOUR else {"NO_COLOR": "1"}


def local_shell(directory: Path | str) -> Shell:
    """A shell on this host, with this virtualenv's pm-native first on PATH."""
    path = f"{CHECKOUT / '.venv/bin'}:{os.environ.get('PATH', os.defpath)}"
    variables = [f"{name}={value}" for name, value in {**environment(), "PATH": path}.items()]
    return Shell(lambda words: ["env", f"--chdir={directory}", *variables, *words])


@contextmanager
def machine_shell() -> Iterator[Shell]:
    """A shell in the shop's folder on a throwaway machine; NoMachineError where none can be booted."""
    sys.path.insert(0, str(CHECKOUT))
    from tests.machine.harness import Machine, MachineUnavailableError

    try:
        machine = Machine.boot()
    except MachineUnavailableError as error:
        raise NoMachineError(str(error)) from error
    with machine:
        print(f"a throwaway machine with systemd {machine.version}, booted in {machine.boot_sec:.1f} s")
        machine.run(["mkdir", PLACE])
        yield Shell(lambda words: machine.command(words, env=environment(), cwd=PLACE))


@contextmanager
def host_shell() -> Iterator[Shell]:
    """A shell in the shop's folder on this host; what the demo made is taken away at the end, come what may."""
    if os.geteuid() or not Path("/run/systemd/system").is_dir():
        raise DemoError("--here needs root, and systemd as PID 1")
    taken = [path for path in MADE if Path(path).exists()]
    if not subprocess.run(["id", "shop"], capture_output=True, check=False).returncode:
        taken.append("the user shop")
    if taken:
        raise DemoError(f"--here would meet what is yours: {', '.join(taken)}")
    Path(PLACE).mkdir(parents=True)
    shell = local_shell(PLACE)
    try:
        yield shell
    finally:
        if Path(MADE[-1]).exists():  # the demo broke off before it removed the project
            shell.ask("pm-native remove shop")
        subprocess.run(["userdel", "shop"], capture_output=True, check=False)
        for path in (PLACE, "/var/lib/shop"):
            shutil.rmtree(path, ignore_errors=True)


def show(shell: Shell) -> None:
    """The main job, on a running systemd."""
    say("a host for the shop: a user, and the programs")
    shell.run("useradd --system shop")
    shell.run(f"cp -r {shlex.quote(str(SHOP))}/. {PLACE} && ls")
    show_compiling(shell)
    say("switch the running system to the units")
    shell.run("pm-native apply")
    shell.run("pm-native status")
    show_business(shell)
    show_change(shell)
    say("and gone again: the config and the data stay")
    shell.run("pm-native remove shop")
    shell.run("systemctl list-units --all --no-legend 'shop*.service' 'shop*.timer'")
    if left := shell.ask("ls -d /etc/systemd/system/shop* /etc/pm-native/shop 2>/dev/null"):
        raise DemoError(f"something is left: {left}")


def show_compiling(shell: Shell, options: str = "") -> None:
    """A config, its mistakes, its units, and where each of their lines comes from."""
    say("a mistake in the config has a place, and a way out")
    shell.run('sed -i \'s/migrate = "completed"/migrate = "complete"/\' pm-native.toml')
    shell.run(f"pm-native check{options}", expect=78, says="completed")
    shell.run('sed -i \'s/migrate = "complete"/migrate = "completed"/\' pm-native.toml')
    say("mended: compile it to units, and ask where a setting comes from")
    shell.run(f"pm-native check{options}", says="no errors")
    shell.run(f"pm-native generate{options}")
    shell.run(f"pm-native explain worker{options}", says="pm-native.toml:")


def show_business(shell: Shell) -> None:
    """Orders go in at the counter and come out of the workers; the last line that each process wrote."""
    say("the shop is open")
    shell.run("python3 order.py tea 2", says="tea")
    shell.run("python3 order.py cake", says="cake")
    shell.wait("journalctl --quiet --output=cat -t shop-worker@1 -t shop-worker@2 | grep -c receipt", "2")
    shell.run("systemctl start shop-report.service    # or wait for its timer")
    for name in ("shop-migrate", "shop-web", "shop-worker@1", "shop-worker@2", "shop-report"):
        shell.run(f"journalctl --quiet --output=cat -t {name} -n 1")


def show_change(shell: Shell) -> None:
    """What an apply does when nothing changed, when a line did, and what systemd does when a worker dies."""
    say("apply again: nothing to do, nothing done")
    shell.run("pm-native apply", says="nothing to do")
    say("change one line: only the two workers restart")
    before = {name: pid(shell, name) for name in ("shop-web", "shop-worker@1", "shop-worker@2")}
    shell.run("""sed -i 's/PACK_SECONDS = "0.5"/PACK_SECONDS = "0.1"/' pm-native.toml""")
    shell.run("pm-native generate")
    shell.run("pm-native plan", expect=2, says="PACK_SECONDS=0.1")
    shell.run("pm-native apply")
    restarted = [name for name, number in before.items() if pid(shell, name) != number]
    if restarted != ["shop-worker@1", "shop-worker@2"]:
        raise DemoError(f"restarted: {', '.join(restarted) or 'nothing'}")
    say("kill a worker: systemd starts it again")
    shell.run("systemctl kill --signal=KILL shop-worker@1.service")
    shell.wait("systemctl show --value -p NRestarts -p SubState shop-worker@1.service", "1\nrunning")
    shell.run("pm-native status", says="shop")


def pid(shell: Shell, name: str) -> str:
    """The main process of a service."""
    return shell.ask(f"systemctl show --value -p MainPID {name}.service")


def show_offline(why: str) -> None:
    """All that needs no running systemd, in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="pm-native-demo-") as scratch:
        place, root = Path(scratch, "shop"), Path(scratch, "host")
        shutil.copytree(SHOP, place)
        root.mkdir()
        shell = local_shell(place)
        say("a host without the shop's user: here the programs would run as root")
        shell.run("sed -i '/^user = /d' pm-native.toml")
        show_compiling(shell, "" if shutil.which("node") else " --allow-missing")
        say("the files of a host that does not run, below a folder of its own")
        at = f"--root {shlex.quote(str(root))}"
        shell.run(f"pm-native plan {at}", expect=2)
        shell.run(f"pm-native apply {at}")
        shell.run(f"pm-native apply {at}", says="nothing to do")
        shell.run(f"cd {shlex.quote(str(root))} && find . -name 'shop*' | sort")
        shell.run(f"pm-native remove shop {at}")
    say("left out")
    print("starting, changing and stopping the shop on a running systemd, because", why)


def main() -> int:
    """Pick the host, run the demo, say how it went."""
    parser = argparse.ArgumentParser(description="Show pm-native at work on the example shop.")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--here", action="store_true", help="on this host's own systemd, as root")
    where.add_argument("--offline", action="store_true", help="without any systemd: units and plans only")
    arguments = parser.parse_args()
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, lambda number, _: sys.exit(128 + number))
    began = time.monotonic()
    try:
        if arguments.offline:
            show_offline("--offline was asked for")
        else:
            try:
                with host_shell() if arguments.here else machine_shell() as shell:
                    show(shell)
            except NoMachineError as error:
                print(f"no throwaway machine here: {error}")
                show_offline(str(error))
    except DemoError as error:
        print(f"\n{paint('FAILED', '1;31')}: {error}")
        return 1
    except KeyboardInterrupt:
        return 130
    print(f"\n{paint('OK', '1;32')}: all of it went as it should, in {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
