"""The console script. Answers `pm-native --help` by itself, before the import of click, which costs four times that."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line of this process, and exit with its code."""
    if sys.argv[1:] in ([], ["--help"], ["-h"]):
        from pm_native.cli.commands import HELP  # noqa: PLC0415 - either this or click

        sys.stdout.write(HELP)
        return
    from pm_native.cli.main import run_process  # noqa: PLC0415 - either this or the help

    run_process()
