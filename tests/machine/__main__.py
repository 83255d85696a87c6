"""Boot a throwaway machine and run one command in it, or a shell.

    python tests/machine/__main__.py [--root host|trixie|bookworm] [--user NAME] [-- COMMAND...]
    python tests/machine/__main__.py --mop-up

The exit status is the command's. It needs root and nothing but the standard library.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from pathlib import Path


def main() -> int:
    """Parse the command line, boot, run; 69 (EX_UNAVAILABLE) where no machine can be booted."""
    sys.path[:0] = [
        str(Path(__file__).resolve().parents[2])
    ]  # run as a file, this finds only its own directory
    from tests.machine import nspawn
    from tests.machine.harness import CHECKOUT, Machine, MachineUnavailableError
    from tests.machine.roots import SUITES

    parser = argparse.ArgumentParser(
        prog="python tests/machine/__main__.py", description="Run a command on a throwaway systemd machine."
    )
    parser.add_argument("--root", choices=("host", *SUITES), default="host", help="what to boot")
    parser.add_argument(
        "--user", help="make this user, with a systemd of its own, and run the command as it"
    )
    parser.add_argument("command", nargs="*", metavar="COMMAND", help="a login shell if there is none")
    parser.add_argument("--mop-up", action="store_true", help="only remove machines whose owner is dead")
    arguments = parser.parse_args()
    if arguments.mop_up:
        nspawn.mop_up(CHECKOUT / ".machine")
        return 0
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, lambda number, _: sys.exit(128 + number))
    try:
        with Machine.boot(arguments.root) as machine:
            if not arguments.command:
                sys.stderr.write(
                    f"systemd {machine.version}, up in {machine.boot_sec:.1f} s; exit ends it\n"
                )
            user = machine.user_session(arguments.user) if arguments.user else None
            words = machine.command(arguments.command or ["sh", "-l"], user=user, env=terminal())
            return subprocess.call(words, env={"PATH": nspawn.SANE_PATH})
    except MachineUnavailableError as error:
        sys.stderr.write(f"no machine: {error}\n")
        return 69


def terminal() -> dict[str, str]:
    """What a shell inside has to know of the terminal it is on."""

    return {"TERM": os.environ["TERM"]} if "TERM" in os.environ else {}


if __name__ == "__main__":
    sys.exit(main())
