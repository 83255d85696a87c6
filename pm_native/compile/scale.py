"""A compiled project with other numbers of instances: what `pm-native scale` asks for, over what the config says."""

from __future__ import annotations

from dataclasses import replace

from pm_native.compile.names import instances_word
from pm_native.compile.unit_file import with_body
from pm_native.model.names import INSTANCES_VARIABLE
from pm_native.unit import directive as d
from pm_native.unit.file import Setting, UnitFile
from pm_native.unit.parse import parse_unit
from pm_native.unit.render import render_unit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pm_native.compile.bundle import Bundle, BundleFile, BundleUnit
    from pm_native.unit.directive import Directive


def pool_sizes(bundle: Bundle) -> dict[str, int]:
    """The number of instances of each pool, by its process."""
    pools = {unit.process: 0 for unit in bundle.units if is_pool_target(unit)}
    for unit in bundle.units:
        if unit.process in pools and "@" in unit.name:
            pools[unit.process] += 1
    return pools


def is_pool_target(unit: BundleUnit) -> bool:
    """Whether the unit stands for all instances of a pool."""
    return bool(unit.process) and unit.name.endswith(".target")


def scaled(bundle: Bundle, counts: Mapping[str, int]) -> Bundle:
    """The bundle with so many instances of these pools; processes that are none of its pools are passed over."""
    for process, count in counts.items():
        size = pool_sizes(bundle).get(process)
        if size is not None and size != count:
            bundle = _scaled(bundle, process, count)
    return bundle


def _scaled(bundle: Bundle, process: str, count: int) -> Bundle:
    target = next(unit for unit in bundle.units if unit.process == process and is_pool_target(unit))
    stem = target.name.removesuffix(".target")
    template = f"{stem}@.service"
    old = [unit for unit in bundle.units if unit.file == template]
    first = min((int(_number(unit.name)) for unit in old), default=1)
    sample = old[0] if old else replace(target, file=template, after=())
    instances = [replace(sample, name=f"{stem}@{number}.service") for number in range(first, first + count)]
    others = tuple(unit for unit in bundle.units if unit.file != template and unit is not target)
    after = tuple(unit.name for unit in instances)
    return replace(
        bundle,
        units=(*others, *instances, replace(target, after=after)),
        files=tuple(_of_size(item, stem, after) for item in bundle.files),
    )


def _number(name: str) -> str:
    return name.partition("@")[2].removesuffix(".service")


def _of_size(item: BundleFile, stem: str, instances: tuple[str, ...]) -> BundleFile:
    """A file of the bundle, changed where it knows the instances: the pool's target, and the template of them all."""
    if item.name == f"{stem}.target":
        wants = tuple(Setting(d.WANTS, (instance,)) for instance in instances)
        return _rewritten(item, ("Unit", d.WANTS, f"{stem}@"), wants)
    if item.name == f"{stem}@.service":
        count = (Setting(d.ENVIRONMENT, (instances_word(len(instances)),)),)
        return _rewritten(item, ("Service", d.ENVIRONMENT, f"{INSTANCES_VARIABLE}="), count)
    return item


def _rewritten(item: BundleFile, old: tuple[str, Directive, str], new: tuple[Setting, ...]) -> BundleFile:
    """The file with these settings for those of the section and directive that begin so, under the header with its hash."""
    section, directive, begin = old
    sections = []
    for name, settings in parse_unit(item.text).sections:
        kept: list[Setting] = []
        given = False
        for setting in settings:
            if name == section and setting.directive is directive and _begins(setting, begin):
                kept += () if given else new
                given = True
            else:
                kept.append(setting)
        if name == section and not given:
            kept += new
        sections.append((name, tuple(kept)))
    return with_body(item, render_unit(UnitFile((), tuple(sections))))


def _begins(setting: Setting, text: str) -> bool:
    return isinstance(setting.words[0], str) and setting.words[0].startswith(text)
