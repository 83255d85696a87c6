"""Drop-ins of the administrator that set what our unit files set, too, and all of `set-property`: told, and left alone."""

from __future__ import annotations

from pm_native.plan.model import Drift
from pm_native.unit.directive import ADDITIVE, ENVIRONMENT
from pm_native.unit.parse import UnitSyntaxError, parse_unit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pm_native.compile.bundle import Bundle
    from pm_native.plan.model import DropIn, Snapshot
    from pm_native.unit.directive import Directive
    from pm_native.unit.file import Setting


def overrides(wanted: Bundle, snapshot: Snapshot) -> Iterator[tuple[DropIn, Drift]]:
    """Each drop-in that changes a setting of ours, and the words; what it adds to ours is the administrator's own.

    What `systemctl set-property` made is told whatever it sets: it was meant for the unit as it runs.
    """
    if not snapshot.drop_ins:
        return
    texts = {item.name: item.text for item in wanted.files}
    file_of = {unit.name: unit.file for unit in wanted.units}
    for item in snapshot.drop_ins:
        units = [
            name for name in item.units if name in file_of and (item.is_property or file_of[name] in texts)
        ]
        if not units:
            continue
        more = f" (and {len(units) - 1} more)" if len(units) > 1 else ""
        if what := _what(item, texts.get(file_of[units[0]], "")):
            hint = (
                "--reconcile takes it back" if item.is_property else "a drop-in counts more than the config"
            )
            yield item, Drift(f"{units[0]}{more}", what, hint, is_firm=item.text is not None)


def _what(item: DropIn, ours: str) -> str:
    if item.text is None:
        return f"has a drop-in that cannot be read by you: {item.path}"
    try:
        theirs = parse_unit(item.text)
    except UnitSyntaxError as error:
        return f"has a drop-in that systemd cannot read: {item.path}, {error}"
    mine: dict[Directive, list[Setting]] = {}
    for setting in parse_unit(ours).settings():
        mine.setdefault(setting.directive, []).append(setting)
    found = [
        f"{setting.directive.name}="
        for setting in theirs.settings()
        if setting.directive in mine and _is_override(setting, mine[setting.directive])
    ]
    if found:
        return f"has another {', '.join(dict.fromkeys(found))} by {item.path}"
    if item.is_property and (added := [f"{setting.directive.name}=" for setting in theirs.settings()]):
        return f"has {', '.join(dict.fromkeys(added))} by {item.path}"
    return ""


def _is_override(setting: Setting, ours: list[Setting]) -> bool:
    """Whether it takes ours away: of a list only what is empty does, else both count; of variables the same name."""
    if setting.directive is ENVIRONMENT:
        names = {_variable(word) for item in ours for word in item.words}
        return not setting.words or any(_variable(word) in names for word in setting.words)
    return setting.directive not in ADDITIVE or not setting.words


def _variable(word: object) -> str:
    return str(word).partition("=")[0]
