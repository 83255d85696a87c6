"""Which units a process becomes, by name."""

from __future__ import annotations

from posixpath import normpath

from pm_native.model.names import INSTANCES_VARIABLE
from pm_native.model.project import ProcessKind
from pm_native.unit.name import Scope, UnitName, UnitType, escape_slice_part

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pm_native.compile.options import CompileOptions
    from pm_native.model.project import Process, Project

# The targets and slices that systemd ships (systemd.special(7)): a project's own would take their place.
_TARGETS = """
basic bluetooth boot-complete cryptsetup cryptsetup-pre ctrl-alt-del default emergency exit factory-reset final
first-boot-complete getty getty-pre graphical graphical-session graphical-session-pre halt hibernate
hybrid-sleep init initrd initrd-fs initrd-root-device initrd-root-fs initrd-switch-root initrd-usr-fs
integritysetup integritysetup-pre kbrequest kexec local-fs local-fs-pre machine machines multi-user network
network-online network-pre nss-lookup nss-user-lookup paths poweroff printer reboot remote-cryptsetup remote-fs
remote-fs-pre remote-integritysetup remote-veritysetup rescue rpcbind runlevel0 runlevel1 runlevel2 runlevel3
runlevel4 runlevel5 runlevel6 session shutdown sigpwr sleep slices smartcard sockets soft-reboot sound ssh-access
storage-target-mode suspend suspend-then-hibernate swap sysinit syslog system system-update system-update-pre
systemd time-set time-sync timers tpm2 umount usb-gadget user veritysetup veritysetup-pre xdg-desktop-autostart
"""
SOCKET_SERVICE_SUFFIX = "-listen"
WATCH_SUFFIX = "-watch"
_RESERVED = {
    Scope.SYSTEM: frozenset(_TARGETS.split()),
    Scope.USER: frozenset([*_TARGETS.split(), "app", "background"]),
}


def is_reserved(name: str, scope: Scope) -> bool:
    """Whether the units of a project of this name would take the place of systemd's own."""
    return name in _RESERVED[scope]


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


def socket_name(project: Project, process: Process) -> UnitName:
    """The socket that all instances share."""
    return UnitName(prefix(project, process), UnitType.SOCKET)


def socket_service_name(project: Project, process: Process) -> UnitName:
    """The service that the socket names, since it has to name one."""
    return UnitName(f"{prefix(project, process)}{SOCKET_SERVICE_SUFFIX}", UnitType.SERVICE)


def watch_name(project: Project, process: Process) -> UnitName:
    """The service that restarts the process when its files change."""
    return UnitName(f"{prefix(project, process)}{WATCH_SUFFIX}", UnitType.SERVICE)


def wanted_unit(project: Project, process: Process) -> UnitName:
    """The unit that the project's target wants: the timer where there is a schedule."""
    if process.schedule:
        return UnitName(prefix(project, process), UnitType.TIMER)
    return main_unit(project, process)


def instance_numbers(process: Process, options: CompileOptions) -> range:
    """The numbers of the instances of a pool."""
    count = options.host.cpu_count if process.instances == "max" else int(process.instances or 0)
    return range(process.first_instance, process.first_instance + count)


def plain_path(path: object) -> str:
    """An absolute path without "." and "..": systemd refuses a unit that has them in a path."""
    return "/" + normpath(str(path)).lstrip("/")


def is_task(process: Process) -> bool:
    """Whether it runs to completion."""
    return process.kind is ProcessKind.TASK


def instances_word(count: int) -> str:
    """What the instances of a pool are told of how many they are."""
    return f"{INSTANCES_VARIABLE}={count}"
