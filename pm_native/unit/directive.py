"""The directives of unit files: those that the compiler writes, and the table of all that systemd knows."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import cache
from pathlib import Path


class Escape(Enum):
    """How systemd reads the value of a directive, which decides how it has to be written."""

    EXEC = "exec"  # prefixes, then words in quotes where needed (systemd.service(5), COMMAND LINES)
    WORDS = "words"  # words in quotes where needed, with C escapes (systemd.syntax(7), QUOTING)
    PATHS = "paths"  # words in quotes where needed, in which nothing can be escaped
    NAMES = "names"  # words that cannot need quotes: unit names, where a backslash stands for itself
    TEXT = "text"  # the rest of the line, with specifiers
    RAW = "raw"  # the rest of the line as its author wrote it


@dataclass(frozen=True, slots=True)
class Directive:
    """One key of one section. `since` is the first systemd version that knows it (1: all of them)."""

    section: str
    name: str
    escape: Escape = Escape.RAW
    since: int = 1


def _unit(name: str, escape: Escape = Escape.NAMES) -> Directive:
    return Directive("Unit", name, escape)


def _service(name: str, escape: Escape = Escape.TEXT, since: int = 1) -> Directive:
    return Directive("Service", name, escape, since)


def _socket(name: str, escape: Escape = Escape.TEXT) -> Directive:
    return Directive("Socket", name, escape)


DESCRIPTION = _unit("Description", Escape.TEXT)
DOCUMENTATION = _unit("Documentation", Escape.RAW)
WANTS = _unit("Wants")
REQUIRES = _unit("Requires")
PART_OF = _unit("PartOf")
BINDS_TO = _unit("BindsTo")
AFTER = _unit("After")
BEFORE = _unit("Before")
START_LIMIT_INTERVAL_SEC = _unit("StartLimitIntervalSec", Escape.RAW)
START_LIMIT_BURST = _unit("StartLimitBurst", Escape.RAW)

TYPE = _service("Type", Escape.RAW)
NOTIFY_ACCESS = _service("NotifyAccess", Escape.RAW)
REMAIN_AFTER_EXIT = _service("RemainAfterExit", Escape.RAW)
USER = _service("User")
GROUP = _service("Group")
WORKING_DIRECTORY = _service("WorkingDirectory")
UMASK = _service("UMask", Escape.RAW)
ENVIRONMENT = _service("Environment", Escape.WORDS)
ENVIRONMENT_FILE = _service("EnvironmentFile")
EXEC_START_PRE = _service("ExecStartPre", Escape.EXEC)
EXEC_START = _service("ExecStart", Escape.EXEC)
EXEC_RELOAD = _service("ExecReload", Escape.EXEC)
RESTART = _service("Restart", Escape.RAW)
RESTART_SEC = _service("RestartSec", Escape.RAW)
RESTART_MODE = _service("RestartMode", Escape.RAW, since=254)
RESTART_STEPS = _service("RestartSteps", Escape.RAW, since=254)
RESTART_MAX_DELAY_SEC = _service("RestartMaxDelaySec", Escape.RAW, since=254)
RESTART_PREVENT_EXIT_STATUS = _service("RestartPreventExitStatus", Escape.RAW)
SUCCESS_EXIT_STATUS = _service("SuccessExitStatus", Escape.RAW)
TIMEOUT_START_SEC = _service("TimeoutStartSec", Escape.RAW)
TIMEOUT_STOP_SEC = _service("TimeoutStopSec", Escape.RAW)
WATCHDOG_SEC = _service("WatchdogSec", Escape.RAW)
WATCHDOG_SIGNAL = _service("WatchdogSignal", Escape.RAW)
EXEC_STOP_POST = _service("ExecStopPost", Escape.EXEC)
SUPPLEMENTARY_GROUPS = _service("SupplementaryGroups", Escape.NAMES)
KILL_SIGNAL = _service("KillSignal", Escape.RAW)
KILL_MODE = _service("KillMode", Escape.RAW)
OOM_SCORE_ADJUST = _service("OOMScoreAdjust", Escape.RAW)
LIMIT_NOFILE = _service("LimitNOFILE", Escape.RAW)
STANDARD_OUTPUT = _service("StandardOutput")
STANDARD_ERROR = _service("StandardError")
SYSLOG_IDENTIFIER = _service("SyslogIdentifier")
SLICE = _service("Slice", Escape.NAMES)
SOCKETS = _service("Sockets", Escape.NAMES)
NON_BLOCKING = _service("NonBlocking", Escape.RAW)
RUNTIME_DIRECTORY = _service("RuntimeDirectory")
RUNTIME_DIRECTORY_MODE = _service("RuntimeDirectoryMode", Escape.RAW)
EXEC_STOP = _service("ExecStop", Escape.EXEC)

LISTEN_STREAM = _socket("ListenStream")
BACKLOG = _socket("Backlog", Escape.RAW)
FREE_BIND = _socket("FreeBind", Escape.RAW)
REMOVE_ON_STOP = _socket("RemoveOnStop", Escape.RAW)
SOCKET_MODE = _socket("SocketMode", Escape.RAW)
SOCKET_USER = _socket("SocketUser")
SOCKET_GROUP = _socket("SocketGroup")
SOCKET_SERVICE = _socket("Service", Escape.NAMES)
TRIGGER_LIMIT_INTERVAL_SEC = _socket("TriggerLimitIntervalSec", Escape.RAW)
LOAD_CREDENTIAL = _service("LoadCredential")
LOAD_CREDENTIAL_ENCRYPTED = _service("LoadCredentialEncrypted", since=250)

# The sandbox (systemd.exec(5)): all of it is known to the oldest systemd that is compiled for.
NO_NEW_PRIVILEGES = _service("NoNewPrivileges", Escape.RAW)
CAPABILITY_BOUNDING_SET = _service("CapabilityBoundingSet", Escape.RAW)
AMBIENT_CAPABILITIES = _service("AmbientCapabilities", Escape.RAW)
PROTECT_SYSTEM = _service("ProtectSystem", Escape.RAW)
PROTECT_HOME = _service("ProtectHome", Escape.RAW)
READ_WRITE_PATHS = _service("ReadWritePaths", Escape.PATHS)
PRIVATE_TMP = _service("PrivateTmp", Escape.RAW)
PRIVATE_DEVICES = _service("PrivateDevices", Escape.RAW)
PRIVATE_MOUNTS = _service("PrivateMounts", Escape.RAW)
PRIVATE_USERS = _service("PrivateUsers", Escape.RAW)
PROTECT_HOSTNAME = _service("ProtectHostname", Escape.RAW)
PROTECT_CLOCK = _service("ProtectClock", Escape.RAW)
PROTECT_KERNEL_TUNABLES = _service("ProtectKernelTunables", Escape.RAW)
PROTECT_KERNEL_MODULES = _service("ProtectKernelModules", Escape.RAW)
PROTECT_KERNEL_LOGS = _service("ProtectKernelLogs", Escape.RAW)
PROTECT_CONTROL_GROUPS = _service("ProtectControlGroups", Escape.RAW)
PROTECT_PROC = _service("ProtectProc", Escape.RAW)
RESTRICT_ADDRESS_FAMILIES = _service("RestrictAddressFamilies", Escape.RAW)
RESTRICT_NAMESPACES = _service("RestrictNamespaces", Escape.RAW)
RESTRICT_REALTIME = _service("RestrictRealtime", Escape.RAW)
RESTRICT_SUIDSGID = _service("RestrictSUIDSGID", Escape.RAW)
LOCK_PERSONALITY = _service("LockPersonality", Escape.RAW)
REMOVE_IPC = _service("RemoveIPC", Escape.RAW)
SYSTEM_CALL_FILTER = _service("SystemCallFilter", Escape.RAW)
SYSTEM_CALL_ERROR_NUMBER = _service("SystemCallErrorNumber", Escape.RAW)
SYSTEM_CALL_ARCHITECTURES = _service("SystemCallArchitectures", Escape.RAW)

MEMORY_MAX = Directive("Slice", "MemoryMax")
CPU_QUOTA = Directive("Slice", "CPUQuota")
TASKS_MAX = Directive("Slice", "TasksMax")

ON_CALENDAR = Directive("Timer", "OnCalendar")
ACCURACY_SEC = Directive("Timer", "AccuracySec")
PERSISTENT = Directive("Timer", "Persistent")
TIMER_UNIT = Directive("Timer", "Unit", Escape.NAMES)

WANTED_BY = Directive("Install", "WantedBy", Escape.NAMES)

COMPILED = {
    (directive.section, directive.name): directive
    for directive in tuple(globals().values())
    if isinstance(directive, Directive)
}

# Those that hold a list, which grows with each setting; an empty one empties it (systemd.syntax(7)).
ADDITIVE = frozenset(
    {
        AFTER,
        BEFORE,
        BINDS_TO,
        SOCKETS,
        NON_BLOCKING,
        LISTEN_STREAM,
        RUNTIME_DIRECTORY,
        WANTS,
        REQUIRES,
        PART_OF,
        ENVIRONMENT,
        ENVIRONMENT_FILE,
        EXEC_START_PRE,
        EXEC_STOP_POST,
        SUPPLEMENTARY_GROUPS,
        SUCCESS_EXIT_STATUS,
        RESTART_PREVENT_EXIT_STATUS,
        LOAD_CREDENTIAL,
        LOAD_CREDENTIAL_ENCRYPTED,
        CAPABILITY_BOUNDING_SET,
        AMBIENT_CAPABILITIES,
        READ_WRITE_PATHS,
        RESTRICT_ADDRESS_FAMILIES,
        SYSTEM_CALL_FILTER,
    }
)

# systemd's parser tables share these contexts between sections (load-fragment-gperf.gperf.in).
_CONTEXTS = {
    "Unit": ("Unit",),
    "Service": ("Service", "exec", "kill", "cgroup"),
    "Socket": ("Socket", "exec", "kill", "cgroup"),
    "Slice": ("Slice", "cgroup"),
    "Timer": ("Timer",),
    "Path": ("Path",),
    "Install": ("Install",),
}
OLDEST_SYSTEMD = 249  # that pm-native supports
SECTIONS = tuple(_CONTEXTS)


@cache
def _table() -> dict[str, dict[str, int]]:
    text = Path(__file__).with_name("directives.tsv").read_text(encoding="ascii")
    table: dict[str, dict[str, int]] = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            context, name, since = line.split("\t")
            table.setdefault(context, {})[name] = int(since)
    return table


@cache
def known_directives(section: str) -> dict[str, int]:
    """Each directive that `section` may hold, with the first systemd version that knows it."""
    return {
        name: since for context in _CONTEXTS[section] for name, since in _table().get(context, {}).items()
    }


def is_resource_control(name: str) -> bool:
    """Whether the directive is one of systemd.resource-control(5), the same in each section that may hold it."""
    return name in _table()["cgroup"]


def find_directive(section: str, name: str) -> Directive | None:
    """The directive of this exact name, None where no systemd knows it in this section."""
    if (section, name) in COMPILED:
        return COMPILED[section, name]
    since = known_directives(section).get(name)
    return None if since is None else Directive(section, name, Escape.RAW, since)
