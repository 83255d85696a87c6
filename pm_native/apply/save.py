"""What somebody else wrote, kept beside the file that takes its place."""

from __future__ import annotations

import os

from pm_native.errors import OwnershipError
from pm_native.state.files import sync_directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path


def save_beside(path: Path, copy: Path) -> None:
    """Give the file a second name, so that it outlives the first; no byte of it is copied, nor can one be torn.

    A copy that a killed run made of the same text already serves. OwnershipError where another file has that name.
    """
    try:
        os.link(path, copy, follow_symlinks=False)
    except FileExistsError:
        if copy.is_symlink() or copy.read_bytes() != path.read_bytes():
            raise OwnershipError(
                f"{path} cannot be saved: {copy} is there", hint="move it away, and apply again"
            ) from None
    sync_directory(path.parent)
