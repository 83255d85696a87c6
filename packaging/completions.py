"""The completion scripts of bash, zsh and fish, each where its shell looks for them.

python packaging/completions.py DIRECTORY     writes below DIRECTORY, which is a share/
"""

from __future__ import annotations

import sys
from pathlib import Path

from pm_native.cli.completion import completion_script

PLACES = {
    "bash": "bash-completion/completions/pm-native",
    "zsh": "zsh/site-functions/_pm-native",
    "fish": "fish/vendor_completions.d/pm-native.fish",
}


def write_completions(share: Path) -> None:
    """Write the script of every shell below `share`."""
    for shell, place in PLACES.items():
        path = share / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(completion_script(shell), encoding="utf-8")


if __name__ == "__main__":
    write_completions(Path(sys.argv[1]))
