"""What of a process can be started and stopped, and what makes each do so: the units of a bundle."""

from __future__ import annotations

from dataclasses import replace

from pm_native.compile.bundle import BundleUnit
from pm_native.compile.names import (
    instance_numbers,
    main_unit,
    plain_path,
    process_slice,
    service_name,
    socket_name,
    wanted_unit,
    watch_name,
)
from pm_native.model.project import Condition

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pm_native.compile.bundle import BundleFile
    from pm_native.compile.options import CompileOptions
    from pm_native.model.project import Process, Project


def instance_units(project: Project, process: Process, options: CompileOptions) -> list[str]:
    """The services of a pool, in the order of their numbers."""
    template = service_name(project, process)
    return [str(template.instantiate(str(number))) for number in instance_numbers(process, options)]


def process_runs(
    project: Project,
    process: Process,
    options: CompileOptions,
    main_units: Mapping[str, str],
    environment_file: BundleFile | None,
) -> Iterator[BundleUnit]:
    """The units of the process itself that can be started or stopped, dependencies first.

    `main_units` are those by which other processes of the project depend on one, by its name.
    """
    slice_name = str(process_slice(project, process))
    yield BundleUnit(slice_name, slice_name, process.name, start=False)
    name, file = str(main_unit(project, process)), str(service_name(project, process))
    after = tuple(main_units[item.name] for item in process.depends_on if item.name in main_units)
    requires = tuple(
        main_units[item.name]
        for item in process.depends_on
        if item.condition is Condition.COMPLETED and item.name in main_units
    )
    if process.listen.share:
        socket = str(socket_name(project, process))
        yield BundleUnit(
            socket,
            socket,
            process.name,
            process.span.where,
            process.autostart,
            protect=process.protect,
        )
        after = (socket, *after)
    main = BundleUnit(
        name,
        file,
        process.name,
        process.span.where,
        process.autostart,
        on_change=process.on_change,
        protect=process.protect,
        at_once=process.max_unavailable,
        after=after,
        requires=requires,
        files=(environment_file.name,) if environment_file is not None else (),
        contents=tuple(_contents(process)),
    )
    if process.schedule:
        timer = str(wanted_unit(project, process))
        yield replace(main, start=False)
        yield BundleUnit(timer, timer, process.name, process.span.where, process.autostart)
    elif process.is_pool:
        instances = instance_units(project, process, options)
        yield from (replace(main, name=instance) for instance in instances)
        yield BundleUnit(
            name, name, process.name, process.span.where, process.autostart, after=tuple(instances)
        )
    else:
        yield main


def watcher_run(project: Project, process: Process) -> Iterator[BundleUnit]:
    """The service that restarts the process when its files change, where there is one."""
    if process.watch is not None:
        name = str(watch_name(project, process))
        where = process.origin("watch").where
        yield BundleUnit(name, name, process.name, where, process.autostart, helper="watch")


def _contents(process: Process) -> Iterator[str]:
    """What the process reads beside its units: what it says itself, secrets, environment files passed through."""
    yield from map(plain_path, process.restart_on)
    yield from (plain_path(secret.path) for secret in process.secrets)
    for item in process.systemd:
        if (item.section, item.name) == ("Service", "EnvironmentFile"):
            for value in item.values:
                path = value.removeprefix("-")
                if path.startswith("/") and "%" not in path:
                    yield plain_path(path)
