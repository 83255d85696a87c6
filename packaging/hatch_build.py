"""What a wheel holds beside the package: manual pages and completions, made when it is built.

They go to build/share/, which the wheel installs as share/ of the environment (see pyproject.toml).
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SHARE = "build/share"


class ShareHook(BuildHookInterface):
    """Writes build/share/ anew before the wheel is put together."""

    def initialize(self, version: str, build_data: dict[str, object]) -> None:  # noqa: ARG002 - hatchling's signature
        """Make the files; raises where the package cannot be imported."""
        sys.path[:0] = [self.root, str(Path(self.root, "packaging"))]
        import completions  # noqa: PLC0415 - beside this file, which hatchling loads by its path
        import manual  # noqa: PLC0415 - as above

        share = Path(self.root, SHARE)
        shutil.rmtree(share, ignore_errors=True)
        manual.write_pages(share / "man")
        completions.write_completions(share)
