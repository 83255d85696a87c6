"""Sandbox profiles: the directives of systemd.exec(5) that each is made of, tried with real programs.

`basic` closes what no ordinary program uses: the kernel's knobs, devices, writing to /usr and /etc. `strict` leaves a
program the network, its own files for reading, and the folders that it is given for writing.
"""

from __future__ import annotations

from dataclasses import dataclass

from pm_native.compile.check import report_missing
from pm_native.compile.names import plain_path
from pm_native.model.confinement import Profile
from pm_native.unit import directive as d
from pm_native.unit.file import Setting
from pm_native.unit.name import Scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pm_native.compile.options import CompileOptions
    from pm_native.errors import Diagnostics
    from pm_native.model.project import Process
    from pm_native.unit.directive import Directive

# Below this, only root or CAP_NET_BIND_SERVICE opens a port (ip_unprivileged_port_start of the kernel).
FIRST_FREE_PORT = 1024
BIND_SERVICE = "CAP_NET_BIND_SERVICE"
HOMES = ("/home", "/root", "/run/user")
# What systems are run with, not programs: also root's programs go without, whatever identity they change to.
_SYSTEM_CAPABILITIES = (
    "CAP_AUDIT_CONTROL CAP_BLOCK_SUSPEND CAP_BPF CAP_LINUX_IMMUTABLE CAP_MAC_ADMIN CAP_MAC_OVERRIDE CAP_PERFMON"
    " CAP_SYSLOG CAP_SYS_ADMIN CAP_SYS_BOOT CAP_SYS_MODULE CAP_SYS_RAWIO CAP_SYS_TIME CAP_WAKE_ALARM"
)
_SYSTEM_CALLS = "@clock @cpu-emulation @module @obsolete @raw-io @reboot @swap"


@dataclass(frozen=True, slots=True)
class Rule:
    """One directive of a profile, and what it closes. `in_user`: whether a user's own manager can do it, too."""

    directive: Directive
    value: str
    why: str
    in_user: bool = True


_KERNEL = (
    Rule(d.NO_NEW_PRIVILEGES, "yes", "no sudo, no other setuid program"),
    Rule(d.PRIVATE_DEVICES, "yes", "no disks, no hardware; /dev/null, /dev/urandom and their like remain"),
    Rule(d.PROTECT_CLOCK, "yes", "the system clock"),
    Rule(d.PROTECT_HOSTNAME, "yes", "the host's name"),
    Rule(d.PROTECT_KERNEL_TUNABLES, "yes", "/proc/sys and /sys are read-only"),
    Rule(d.PROTECT_KERNEL_MODULES, "yes", "no modules are loaded"),
    # A user's manager has no access to it anyway, and fails to hide it (226/NAMESPACE, both of 252 and 257).
    Rule(d.PROTECT_KERNEL_LOGS, "yes", "the kernel's log", in_user=False),
    Rule(d.PROTECT_CONTROL_GROUPS, "yes", "/sys/fs/cgroup is read-only"),
    Rule(d.RESTRICT_REALTIME, "yes", "nothing that takes a CPU for itself"),
    Rule(d.LOCK_PERSONALITY, "yes", "no other personality of the kernel"),
    Rule(d.SYSTEM_CALL_ERROR_NUMBER, "EPERM", "a call that is not allowed fails; the program lives"),
)
BASIC = (
    *_KERNEL,
    Rule(d.CAPABILITY_BOUNDING_SET, f"~{_SYSTEM_CAPABILITIES}", "what systems are run with, not programs"),
    Rule(d.PROTECT_SYSTEM, "full", "/usr, /boot and /etc are read-only"),
    Rule(d.SYSTEM_CALL_FILTER, f"~{_SYSTEM_CALLS}", "what systems are run with, not programs"),
)
STRICT = (
    *_KERNEL,
    Rule(d.CAPABILITY_BOUNDING_SET, "", "no privilege of root's, even as root"),
    Rule(d.PROTECT_SYSTEM, "strict", "all is read-only but `writable`, /dev, /proc, /sys"),
    Rule(d.PRIVATE_TMP, "yes", "a /tmp and /var/tmp of its own"),
    Rule(d.PRIVATE_MOUNTS, "yes", "what it mounts stays its own"),
    # No effect in a user's manager, where all processes are of one user.
    Rule(d.PROTECT_PROC, "invisible", "the processes of other users", in_user=False),
    Rule(d.REMOVE_IPC, "yes", "nothing stays in shared memory", in_user=False),
    # Netlink is how programs are told the addresses of this host (getifaddrs).
    Rule(
        d.RESTRICT_ADDRESS_FAMILIES, "AF_UNIX AF_INET AF_INET6 AF_NETLINK", "TCP, UDP and Unix sockets only"
    ),
    Rule(d.RESTRICT_NAMESPACES, "yes", "no containers within"),
    Rule(d.RESTRICT_SUIDSGID, "yes", "no setuid file is made"),
    Rule(d.SYSTEM_CALL_ARCHITECTURES, "native", "no calls by another door"),
    Rule(d.SYSTEM_CALL_FILTER, "@system-service", "the calls that services make"),
    Rule(d.SYSTEM_CALL_FILTER, "~@privileged @resources", "not those that need privileges"),
    Rule(d.SYSTEM_CALL_FILTER, "@chown", "its own files may change their group: archives and npm do so"),
)
PROFILES = {Profile.OFF: (), Profile.BASIC: BASIC, Profile.STRICT: STRICT}


def sandbox_settings(
    process: Process, words: Iterable[object], options: CompileOptions
) -> Iterator[Setting]:
    """The profile of a process whose ExecStart= has these words."""
    profile = process.sandbox.profile
    if profile is Profile.OFF:
        return
    place = process.origin("sandbox")
    if options.scope is Scope.USER:
        # Without, systemd before 254 leaves out whatever needs a mount, and says nothing (systemd.exec(5)).
        yield Setting(d.PRIVATE_USERS, ("yes",), origin=place, why="lets a user's manager do the rest")
    for rule in PROFILES[profile]:
        if rule.in_user or options.scope is Scope.SYSTEM:
            value = (rule.value,) if rule.value else ()
            yield Setting(rule.directive, value, origin=place, why=rule.why)
    if profile is Profile.STRICT:
        closed = not in_home(process, words, options)
        why = "homes are empty" if closed else "homes are read-only: it runs from one"
        yield Setting(d.PROTECT_HOME, ("yes" if closed else "read-only",), origin=place, why=why)
    yield from _port_settings(process, options)
    for path in writable_paths(process):
        yield Setting(d.READ_WRITE_PATHS, (path,), origin=process.origin("writable"))


def _port_settings(process: Process, options: CompileOptions) -> Iterator[Setting]:
    """The one capability that a low port needs: NoNewPrivileges= takes a program's own away (setcap(8))."""
    port = process.listen.port
    if port is None or process.listen.share or port >= FIRST_FREE_PORT or options.scope is Scope.USER:
        return
    place, why = process.origin("listen.port"), f"a port below {FIRST_FREE_PORT}"
    if process.sandbox.profile is Profile.STRICT:
        yield Setting(d.CAPABILITY_BOUNDING_SET, (BIND_SERVICE,), origin=place, why=why)
    if process.user is not None:
        yield Setting(d.AMBIENT_CAPABILITIES, (BIND_SERVICE,), origin=place, why=why)


def in_home(process: Process, words: Iterable[object], options: CompileOptions) -> bool:
    """Whether anything that it runs, reads first or writes lies in somebody's home."""
    named = [word for word in words if isinstance(word, str) and word.startswith("/")]
    paths = [str(process.directory), *process.sandbox.writable, *named]
    real = [options.host.real_path(path) for path in paths]
    return any(f"{path}/".startswith(f"{home}/") for path in (*paths, *real) for home in HOMES)


def writable_paths(process: Process) -> tuple[str, ...]:
    """ReadWritePaths=: each once, in the order of the config."""
    return tuple(dict.fromkeys(plain_path(path) for path in process.sandbox.writable))


def check_sandbox(process: Process, options: CompileOptions, problems: Diagnostics) -> None:
    """Add a diagnostic for what the sandbox cannot be given."""
    sandbox = process.sandbox
    place = process.origin("writable")
    if sandbox.profile is Profile.OFF:
        if sandbox.writable:
            message = "without a sandbox everything that its user may write is writable"
            hint = 'set sandbox = "strict", or leave `writable` out'
            problems.warning(place, message, code="writable-without-sandbox", hint=hint)
        return
    for path in writable_paths(process):
        if not options.host.exists(path):
            report_missing(
                place,
                f"there is no {path} on this host, which is to be writable",
                code="writable-missing",
                hint="make it; or let systemd make it, below /var/lib: StateDirectory= under `systemd`",
                options=options,
                problems=problems,
            )
