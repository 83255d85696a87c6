"""Runs docs/tutorial.md on a throwaway machine, and writes into it what was printed: run it when the output changes.

In blocks of `console`, each line that begins with "$ " is run; the rest of the block is replaced by what it prints. A block
after a line that ends with `NAME`: is written to the file NAME first.

    sudo python3 examples/tutorial.py
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
PAGE = CHECKOUT / "docs" / "tutorial.md"
PLACE = "/srv/hello"
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
FILE = re.compile(r"`([\w-]+\.[\w.]+)`:\n\n\Z")


def main() -> int:
    """Run the page from its first line to its last."""
    sys.path.insert(0, str(CHECKOUT))
    from tests.machine.harness import Machine, MachineUnavailableError

    text = PAGE.read_text(encoding="utf-8")
    try:
        machine = Machine.boot()
    except MachineUnavailableError as error:
        print(f"no machine: {error}", file=sys.stderr)
        return 69
    with machine:
        machine.run(["mkdir", "-p", PLACE])

        def run(line: str) -> str:
            words = machine.command(["sh", "-c", line], cwd=PLACE)
            done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", check=False)
            if "\nTraceback " in f"\n{done.stdout}":  # that of a program in the journal is indented
                sys.exit(f"{line}: {done.stdout}")
            return f"$ {line}\n{done.stdout}".replace(machine.name, "host")

        def block(match: re.Match[str]) -> str:
            language, body = match.groups()
            if file := FILE.search(text, 0, match.start()):
                machine.write(f"{PLACE}/{file[1]}", body)
            if language != "console":
                return match[0]
            lines = [line[2:] for line in body.splitlines() if line.startswith("$ ")]
            return f"```console\n{''.join(map(run, lines))}```"

        PAGE.write_text(FENCE.sub(block, text), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
