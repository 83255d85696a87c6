"""A plan in a file: what was shown is what is applied, or nothing is.

The file holds the texts of all files, environment files too: mode 0600.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from pm_native.cli.options import caller_trust
from pm_native.cli.plan_text import plan_data
from pm_native.cli.switch import Wanted
from pm_native.compile.bundle import bundle_from_json, bundle_to_json
from pm_native.errors import (
    AccessError,
    Diagnostics,
    StaleError,
    StateError,
    UnavailableError,
    UsageError,
    reason,
)
from pm_native.state.files import write_atomic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from pm_native.cli.options import SourceOptions
    from pm_native.cli.switch import Switch
    from pm_native.compile.bundle import Bundle
    from pm_native.plan.model import Plan
    from pm_native.state.layout import Layout

FORMAT = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedPlan:
    """A plan that was saved: what it leads to, its steps as they were shown, and what the host was like."""

    wanted: Wanted
    shown: object
    drift: Collection[str]
    facts: Mapping[str, str | None]


def save_plan(switch: Switch, bundle: Bundle, path: Path) -> None:
    """Write the plan to `bundle` to a file of its own, which takes the place of a file of that name."""
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise UnavailableError(f"cannot write {path}: it is there, and no file")
    data = {
        "format": FORMAT,
        "runtime": switch.layout.is_runtime,
        "plan": plan_data(switch.plan),
        "drift": _firm_drift(switch.plan),
        "facts": dict(switch.facts),
        "bundle": bundle_to_json(bundle),
        "texts": {item.name: item.text for item in bundle.files},
    }
    try:
        # Not into a file that is there: it may be somebody else's, who reads then what is in it.
        write_atomic(path, f"{json.dumps(data, ensure_ascii=False)}\n".encode(), 0o600)
    except PermissionError as error:
        raise AccessError(f"cannot write {path}: permission denied") from error
    except OSError as error:
        raise UnavailableError(f"cannot write {path}: {error.strerror}") from error


def wanted_by_plan(path: Path, source: SourceOptions, generated: Path | None, layout: Layout) -> SavedPlan:
    """The saved plan at `path`; it says what to apply, so that nothing else may.

    AccessError where root would act on what others can write.
    """
    if source.file is not None or generated is not None:
        raise UsageError("a saved plan says what to apply", hint="leave --file and --from out")
    try:
        data = json.loads(caller_trust().read(path))
        if data["format"] != FORMAT:
            age = "a newer" if data["format"] > FORMAT else "an older"
            raise StateError(f"{path} is from {age} pm-native", hint="run `pm-native plan` again")
        shown = data["plan"]
        texts = {str(name): str(text) for name, text in data["texts"].items()}
        drift, facts = [*map(str, data["drift"])], dict(data["facts"])
    except FileNotFoundError:
        raise UsageError(f"there is no plan {path}", hint=f"pm-native plan -o {path} saves one") from None
    except PermissionError:
        raise AccessError(f"cannot read {path}: permission denied") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StateError(f"{path} is no saved plan: {reason(error)}") from error
    bundle = bundle_from_json(data.get("bundle"), texts)
    for item in bundle.files:
        if not item.is_of(item.text.encode()):
            raise StaleError(f"{item.name} in the plan {path} has changed since it was saved")
    if bundle.scope is not layout.scope:
        raise UsageError(f"the plan is for the {bundle.scope} manager")
    if bool(data.get("runtime")) is not layout.is_runtime:
        until = "to stay" if layout.is_runtime else "until the next boot"
        way = "leave --runtime out" if layout.is_runtime else "give --runtime"
        raise UsageError(f"the plan is for a project that is installed {until}", hint=way)
    wanted = Wanted(bundle=bundle, problems=Diagnostics())
    return SavedPlan(wanted=wanted, shown=shown, drift=drift, facts=facts)


def check_saved(saved: SavedPlan, switch: Switch) -> None:
    """StaleError where something else would be done now than was saved, or to another host than was looked at.

    What the one who planned could not see is left out: root sees more.
    """
    # Through JSON, since that is where the saved one has been.
    now = json.loads(json.dumps(plan_data(switch.plan)))
    shown = saved.shown if isinstance(saved.shown, dict) else {}
    if any(now[key] != shown.get(key) for key in ("project", "steps", "options")):
        why = "what would be done now differs"
    else:
        why = _other_drift(saved.drift, _firm_drift(switch.plan)) or _other_facts(saved.facts, switch.facts)
    if why:
        raise StaleError(
            f"the host is not as it was when the plan was saved: {why}",
            hint="run `pm-native plan` again and look at it",
        )


def _firm_drift(plan: Plan) -> list[str]:
    return [f"{item.subject} {item.what}" for item in plan.drift if item.is_firm]


def _other_drift(saved: Collection[str], now: Collection[str]) -> str:
    """The first difference in words, "" where there is none."""
    come = next((line for line in now if line not in saved), "")
    gone = next((line for line in saved if line not in now), "")
    return come or (f"{gone}, which is so no longer" if gone else "")


def _other_facts(saved: Mapping[str, str | None], now: Mapping[str, str | None]) -> str:
    for name in sorted({*saved, *now}):
        before, after = saved.get(name, ""), now.get(name, "")
        if before is not None and after is not None and before != after:
            return f"{name} is another"
    return ""
