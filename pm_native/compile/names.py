"""Which units a process becomes, by name."""

from __future__ import annotations

from pm_native.model.project import ProcessKind
from pm_native.unit.name import UnitName, UnitType, escape_slice_part

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pm_native.compile.options import CompileOptions
    from pm_native.model.project import Process, Project


def project_target(project: Project) -> UnitName:
    """The target of everything."""
    return UnitName(project.name, UnitType.TARGET)


def project_slice(project: Project) -> UnitName:
    """The slice around everything."""
    return UnitName(escape_slice_part(project.name), UnitType.SLICE)


def process_slice(project: Project, process: Process) -> UnitName:
    """The slice around all instances of one process: its limits and its accounting are one number."""
    return UnitName(f"{escape_slice_part(project.name)}-{escape_slice_part(process.name)}", UnitType.SLICE)


def prefix(project: Project, process: Process) -> str:
    """What the names of all units of a process begin with."""
    return f"{project.name}-{process.name}"


def service_name(project: Project, process: Process) -> UnitName:
    """The service, or the template of the services of a pool."""
    return UnitName(prefix(project, process), UnitType.SERVICE, "" if process.is_pool else None)


def main_unit(project: Project, process: Process) -> UnitName:
    """The unit that stands for the process: the one to start, to depend on, and that the project's target wants."""
    return UnitName(prefix(project, process), UnitType.TARGET if process.is_pool else UnitType.SERVICE)


def wanted_unit(project: Project, process: Process) -> UnitName:
    """The unit that the project's target wants: the timer where there is a schedule."""
    if process.schedule:
        return UnitName(prefix(project, process), UnitType.TIMER)
    return main_unit(project, process)


def instance_numbers(process: Process, options: CompileOptions) -> range:
    """The numbers of the instances of a pool."""
    count = options.host.cpu_count if process.instances == "max" else int(process.instances or 0)
    return range(process.first_instance, process.first_instance + count)


def is_task(process: Process) -> bool:
    """Whether it runs to completion."""
    return process.kind is ProcessKind.TASK
