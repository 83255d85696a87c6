"""A compiled project for the time until the next boot: what its units read is gone with them."""

from __future__ import annotations

import re
from dataclasses import replace

from pm_native.compile.bundle import FileKind
from pm_native.compile.unit_file import with_body
from pm_native.errors import UsageError
from pm_native.model.names import RUNTIME_ENVIRONMENTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pm_native.compile.bundle import Bundle, BundleFile

_ENVIRONMENT_FILE = re.compile(r"^(EnvironmentFile=-?)%E/pm-native/", re.MULTILINE)


def until_reboot(bundle: Bundle) -> Bundle:
    """The bundle with its environment files looked for below /run (a user's: $XDG_RUNTIME_DIR).

    UsageError where a unit of a package reads them, which looks for them in /etc alone.
    """
    here = {item.name for item in bundle.files}
    for unit in bundle.units:
        if unit.files and unit.file not in here:
            raise UsageError(
                f"{unit.file} is a package's, and reads its rules where they would outlive the project",
                hint="leave --runtime out for a project whose processes send messages (`ipc`)",
            )
    return replace(bundle, files=tuple(map(_moved, bundle.files)))


def _moved(item: BundleFile) -> BundleFile:
    if item.kind is not FileKind.UNIT:
        return item
    _, _, body = item.text.split("\n", 2)
    moved = _ENVIRONMENT_FILE.sub(rf"\1%t/{RUNTIME_ENVIRONMENTS}/", body)
    return item if moved == body else with_body(item, moved)
