"""How many instances were asked for by hand: kept beside the records of a project, over what its config says."""

from __future__ import annotations

import json

from pm_native.errors import AccessError, StateError, reason
from pm_native.state.files import PRIVATE, make_folder, remove, write_atomic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SCALE_NAME = "scale.json"


def load_scale(records: Path) -> dict[str, int]:
    """The numbers by process; StateError where the file is damaged."""
    path = records / SCALE_NAME
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return {str(name): _count(number) for name, number in data["instances"].items()}
    except FileNotFoundError:
        return {}
    except PermissionError as error:
        raise AccessError(
            f"cannot read {path}: permission denied", hint="use sudo", needs_root=True
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        hint = "remove it: the numbers of the config hold then"
        raise StateError(f"{path} is damaged: {reason(error)}", hint=hint) from error


def _count(value: object) -> int:
    if type(value) is not int or value < 0:
        raise TypeError(f"not a number of instances: {value!r}")
    return value


def save_scale(records: Path, counts: Mapping[str, int]) -> None:
    """Keep the numbers; none of them takes the file away."""
    path = records / SCALE_NAME
    if not counts:
        remove(path)
        return
    make_folder(records, PRIVATE)
    text = json.dumps({"format": 1, "instances": dict(sorted(counts.items()))}, indent=1)
    write_atomic(path, f"{text}\n".encode(), 0o600)
