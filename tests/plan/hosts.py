"""Bundles and hosts by hand: what a plan is made from, and a host that does what a plan says."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from pm_native.bus.manager import UnitState
from pm_native.compile.bundle import Bundle, BundleUnit, FileKind, Installed, bundle_file, recorded
from pm_native.plan.make import link_name
from pm_native.plan.model import Action, Snapshot
from pm_native.unit.name import Scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pm_native.compile.bundle import BundleFile, LogDirectory
    from pm_native.plan.model import Plan

ACTIVE = ("active", "running")
INACTIVE = ("inactive", "dead")
FAILED = ("failed", "failed")
AGAIN = ("activating", "auto-restart")
TARGET_TEXT = "[Unit]\nDescription=shop\n\n[Install]\nWantedBy=multi-user.target\n"


def service_text(command: str = "run", *, user: str = "shop", unit: str = "", service: str = "") -> str:
    return (
        f"# Made by pm-native: a header\n[Unit]\nDescription=one\n{unit}\n[Service]\nType=exec\n"
        f"ExecStart=:/srv/shop/{command}\nUser={user}\nRestart=always\n{service}"
    )


def make_bundle(
    *units: BundleUnit,
    texts: Mapping[str, str],
    env: Mapping[str, str] | None = None,
    directories: tuple[LogDirectory, ...] = (),
    scope: Scope = Scope.SYSTEM,
) -> Bundle:
    """A bundle of project `shop` with its target in front."""
    target = BundleUnit("shop.target", "shop.target")
    files = [bundle_file(FileKind.ENVIRONMENT, name, text) for name, text in (env or {}).items()]
    files += [
        bundle_file(FileKind.UNIT, name, text)
        for name, text in {"shop.target": TARGET_TEXT, **texts}.items()
    ]
    return Bundle(
        project="shop",
        scope=scope,
        systemd_version=252,
        files=tuple(files),
        units=(target, *units),
        directories=directories,
        wanted_by={"shop.target": "multi-user.target"},
    )


def one(text: str | None = None, name: str = "shop-web.service", **fields: object) -> Bundle:
    """A bundle with a single service."""
    unit = BundleUnit(name, name, "web", "shop.toml:3", **fields)  # type: ignore[arg-type]
    return make_bundle(unit, texts={name: service_text() if text is None else text})


def pool(count: int, text: str | None = None, **fields: object) -> Bundle:
    """A bundle with a pool of `count` instances."""
    names = [f"shop-api@{number}.service" for number in range(1, count + 1)]
    units = [BundleUnit(name, "shop-api@.service", "api", "shop.toml:9", **fields) for name in names]  # type: ignore[arg-type]
    target = BundleUnit("shop-api.target", "shop-api.target", "api", "shop.toml:9", after=tuple(names))
    wants = "".join(f"Wants={name}\n" for name in names)
    return make_bundle(
        *units,
        target,
        texts={
            "shop-api@.service": service_text() if text is None else text,
            "shop-api.target": f"[Unit]\n{wants}",
        },
    )


def state(name: str, how: tuple[str, str] = ACTIVE, load: str = "loaded", job: str = "") -> UnitState:
    return UnitState(name=name, load_state=load, active_state=how[0], sub_state=how[1], job_type=job)


def after_apply(bundle: Bundle, **how: tuple[str, str]) -> Snapshot:
    """The host after an apply of `bundle`, its units as they should be, or as `how` says by prefix of the name."""
    states = {}
    for unit in bundle.units:
        usual = ACTIVE if unit.start else INACTIVE
        found = next((value for key, value in how.items() if unit.name.startswith(f"shop-{key}")), usual)
        states[unit.name] = state(unit.name, found)
    return Snapshot(
        installed=Installed(generation=1, bundle=recorded(bundle)),
        files={item.name: item.text for item in bundle.files},
        links={link_name(*pair): f"/etc/systemd/system/{pair[0]}" for pair in bundle.wanted_by.items()},
        directories=frozenset(item.path for item in bundle.directories),
        states=states,
    )


def with_states(snapshot: Snapshot, *states: UnitState) -> Snapshot:
    """The host with these units in these states, too."""
    return replace(snapshot, states={**(snapshot.states or {}), **{item.name: item for item in states}})


def seen(snapshot: Snapshot, bundle: Bundle) -> Snapshot:
    """The host as it is looked at for `bundle`: systemd says `inactive` of units that it does not know."""
    unknown = [unit.name for unit in bundle.units if unit.name not in (snapshot.states or {})]
    return with_states(snapshot, *(state(name, INACTIVE, "not-found") for name in unknown))


def steps(plan: Plan) -> list[str]:
    """All of the plan's steps, a line each."""
    return [f"{step.action} {step.subject}: {step.reason}" for step in plan.steps]


def drift(plan: Plan) -> list[str]:
    """All that the plan leaves alone, a line each."""
    return [f"{item.subject} {item.what}{f' ({item.hint})' if item.hint else ''}" for item in plan.drift]


@dataclass(slots=True)
class SimulatedHost:
    """A host in memory on which every step succeeds."""

    installed: Installed | None = None
    files: dict[str, str] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    directories: set[str] = field(default_factory=set)
    active: set[str] = field(default_factory=set)

    def snapshot(self, *bundles: Bundle) -> Snapshot:
        """What a plan would be made from."""
        known = [*bundles, *([self.installed.bundle] if self.installed else [])]
        names = {unit.name for bundle in known for unit in bundle.units} | self.active
        return Snapshot(
            installed=self.installed,
            files=dict(self.files),
            links=dict(self.links),
            directories=frozenset(self.directories),
            states={name: state(name, ACTIVE if name in self.active else INACTIVE) for name in names},
        )

    def run(self, plan: Plan) -> None:
        """Do what the plan says."""
        texts = _texts(plan.bundle)
        for step in plan.steps:
            match step.action:
                case Action.WRITE:
                    self.files[step.subject] = texts[step.subject].text
                case Action.DELETE:
                    del self.files[step.subject]
                case Action.LINK:
                    self.links[step.subject] = "there"
                case Action.UNLINK:
                    del self.links[step.subject]
                case Action.MAKE_DIRECTORY:
                    self.directories.add(step.subject)
                case Action.STOP:
                    assert step.subject in self.active
                    self.active.discard(step.subject)
                case Action.START | Action.RESTART | Action.RELOAD:
                    self.active.add(step.subject)
                case _:
                    continue
        bundle = plan.bundle
        self.installed = None if bundle is None else Installed(generation=1, bundle=recorded(bundle))


def _texts(bundle: Bundle | None) -> dict[str, BundleFile]:
    return {item.name: item for item in bundle.files} if bundle else {}
