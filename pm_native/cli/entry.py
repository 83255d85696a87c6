"""The console script. Answers `pm-native --help` by itself, before the import of click, which costs four times that."""

from __future__ import annotations

import gc
import os
import sys

from pm_native.cli.commands import COMPLETION_VARIABLE, HELP


def main() -> None:
    """Run the command line of this process, and exit with its code."""
    # Completion asks through the environment, and runs the bare command.
    if sys.argv[1:] in ([], ["--help"], ["-h"]) and COMPLETION_VARIABLE not in os.environ:
        sys.stdout.write(HELP)
        return
    # A command ends before anything is worth collecting, and looking for it, from the imports on, is a tenth of its time.
    gc.disable()
    from pm_native.cli.main import run_process  # noqa: PLC0415 - either this or the help

    run_process()
