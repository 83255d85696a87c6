"""The fake manager with the properties that the table asks for, and a project for it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from pm_native.bus.fake import FakeManager, FakeUnit
from pm_native.compile.bundle import Bundle, BundleUnit
from pm_native.unit.name import Scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pm_native.bus.manager import Property, UnitDetails


@dataclass(slots=True)
class TableManager(FakeManager):
    """`FakeManager` with more properties: `extra` has them by "UNIT Interface.Name". `asked` is what was asked."""

    extra: dict[str, Property] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    exit_code: int = 1  # ExecMainCode of what failed: CLD_EXITED

    async def properties(self, name: str, interface: str, names: Iterable[str]) -> Mapping[str, Property]:
        keys = list(names)
        self.asked += [f"{name} {interface}.{key}" for key in keys]
        found = {
            key: self.extra[f"{name} {interface}.{key}"] for key in keys if self._has(name, interface, key)
        }
        rest = [key for key in keys if key not in found]
        return found | (dict(await FakeManager.properties(self, name, interface, rest)) if rest else {})

    def _has(self, name: str, interface: str, key: str) -> bool:
        return f"{name} {interface}.{key}" in self.extra

    async def details(self, names: Sequence[str]) -> dict[str, UnitDetails]:
        found = await FakeManager.details(self, names)
        return {name: replace(item, exec_main_code=self.exit_code) for name, item in found.items()}


def running(name: str, **more: object) -> FakeUnit:
    return FakeUnit(name=name, active_state="active", sub_state="running", **more)  # type: ignore[arg-type]


SHOP = Bundle(
    project="shop",
    scope=Scope.USER,
    systemd_version=252,
    units=(
        BundleUnit("shop.slice", "shop.slice", start=False),
        BundleUnit("shop-redis.service", "shop-redis.service", "redis", "pm-native.toml:4"),
        *(
            BundleUnit(
                f"shop-api@{number}.service",
                "shop-api@.service",
                "api",
                "pm-native.toml:7",
                after=("shop-redis.service",),
            )
            for number in (1, 2)
        ),
        BundleUnit(
            "shop-api.target",
            "shop-api.target",
            "api",
            "pm-native.toml:7",
            after=("shop-api@1.service", "shop-api@2.service"),
        ),
        BundleUnit("shop-debug.service", "shop-debug.service", "debug", "pm-native.toml:12", start=False),
        BundleUnit("shop-backup.service", "shop-backup.service", "backup", "pm-native.toml:15", start=False),
        BundleUnit("shop-backup.timer", "shop-backup.timer", "backup", "pm-native.toml:15"),
        BundleUnit(
            "shop.target",
            "shop.target",
            after=("shop-redis.service", "shop-api.target", "shop-backup.timer"),
        ),
    ),
)
