"""Messages between processes: the units of the broker, its rules, and what each process gets to find it.

The units are those of units/, as instances of the project's own: their files name this installation of pm-native. Where
a package has installed the templates, those serve, and only the rules are compiled.
"""

from __future__ import annotations

import json

from pm_native.compile.check import report_missing
from pm_native.compile.names import project_slice
from pm_native.compile.shipped import shipped_sections
from pm_native.errors import NOWHERE, did_you_mean
from pm_native.model.project import Variable
from pm_native.runtime.ipc.topics import is_pattern
from pm_native.unit import directive as d
from pm_native.unit.file import INSTANCE, Setting, Specifier
from pm_native.unit.name import Scope, UnitName, UnitType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pm_native.compile.options import CompileOptions
    from pm_native.errors import Diagnostics
    from pm_native.model.project import IpcRule, Process, Project
    from pm_native.unit.file import Text

PREFIX = "pm-native-ipc"
VARIABLE = "PM_NATIVE_IPC"
EVERYBODY, USER = "*", "user:"
# Debian's and everybody's: the broker runs as a user of its own, who may not enter a virtualenv below /root.
INTERPRETER = "/usr/bin/python3"
_RUNTIME_DIRECTORY = Specifier("t")
_VENDOR = {Scope.SYSTEM: "/usr/lib/systemd/system", Scope.USER: "/usr/lib/systemd/user"}
_HOMES = ("/home/", "/root/", "/run/user/")
# What the user manager cannot do, or has done already: other users, other views of the file system.
_OF_SYSTEM = frozenset(
    [
        "User",
        "DynamicUser",
        "CapabilityBoundingSet",
        "AmbientCapabilities",
        "ProtectSystem",
        "ProtectHome",
        "PrivateTmp",
        "PrivateDevices",
        "PrivateNetwork",
        "IPAddressDeny",
        "ProtectHostname",
        "ProtectClock",
        "ProtectKernelTunables",
        "ProtectKernelModules",
        "ProtectKernelLogs",
        "ProtectControlGroups",
        "OOMScoreAdjust",
        "RemoveIPC",
        "KeyringMode",
    ]
)


def socket_name(project: Project) -> UnitName:
    """The socket that processes connect to."""
    return UnitName(PREFIX, UnitType.SOCKET, project.name)


def broker_name(project: Project) -> UnitName:
    """The broker's service."""
    return UnitName(PREFIX, UnitType.SERVICE, project.name)


def rules_file_name(project: Project) -> str:
    """The environment file with the rules of the project."""
    return f"{project.name}.ipc.env"


def packaged_file(scope: Scope) -> str:
    """Where a package of pm-native's has the template of the broker."""
    return f"{_VENDOR[scope]}/{PREFIX}@.service"


def is_packaged(options: CompileOptions) -> bool:
    """Whether a package has installed the templates on the host."""
    return options.host.exists(packaged_file(options.scope))


def unit_settings(project: Project) -> Iterator[Setting]:
    """[Unit] of each process: the socket is there before it."""
    if project.ipc is not None:
        socket = str(socket_name(project))
        yield Setting(d.WANTS, (socket,), origin=project.ipc.span)
        yield Setting(d.AFTER, (socket,), origin=project.ipc.span)


def environment_settings(project: Project) -> Iterator[Setting]:
    """Environment= of each process: where the socket is."""
    if project.ipc is not None:
        words = ((f"{VARIABLE}=", _RUNTIME_DIRECTORY, f"/pm-native/ipc/{project.name}.sock"),)
        yield Setting(d.ENVIRONMENT, words, origin=project.ipc.span, why="where the socket of messages is")


def broker_sections(project: Project, name: UnitName, options: CompileOptions) -> dict[str, list[Setting]]:
    """The sections of the socket or the service, from units/, for this project and this installation."""

    def change(setting: Setting) -> tuple[Text, ...] | None:
        if options.scope is Scope.USER and setting.directive.name in _OF_SYSTEM:
            return None
        return _words(setting, options)

    span = project.ipc.span if project.ipc is not None else NOWHERE
    return shipped_sections(str(name.template), span, change)


def _program(options: CompileOptions) -> str:
    """The file that the interpreter runs as the broker."""
    return f"{options.runtime}/ipc/__main__.py"


def _words(setting: Setting, options: CompileOptions) -> tuple[Text, ...]:
    if setting.directive == d.EXEC_START:
        return (INTERPRETER, "-I", _program(options), (INSTANCE,))
    if setting.directive.name == "ProtectHome" and options.runtime.startswith(_HOMES):
        return ("read-only",)
    return setting.words


def rules(project: Project, options: CompileOptions) -> dict[str, Variable]:
    """The environment of the broker: whom it lets in, and what they may do."""
    ipc = project.ipc
    if ipc is None:
        return {}
    users = sorted({process.user or "root" for process in project.processes})
    access = {
        "users": users if options.scope is Scope.SYSTEM else [],
        "rules": {rule.who: _rights(rule) for rule in ipc.rules},
    }
    return {
        "PM_NATIVE_IPC_SCOPE": Variable(value=options.scope.value),
        "PM_NATIVE_IPC_SLICE": Variable(value=str(project_slice(project))),
        "PM_NATIVE_IPC_ACCESS": Variable(value=json.dumps(access, ensure_ascii=False)),
    }


def _rights(rule: IpcRule) -> dict[str, list[str]]:
    given = {"call": rule.call, "publish": rule.publish, "subscribe": rule.subscribe}
    return {verb: list(names) for verb, names in given.items() if names is not None}


def check_ipc(project: Project, options: CompileOptions, problems: Diagnostics) -> None:
    """Add a diagnostic for all that does not fit together."""
    ipc = project.ipc
    if ipc is None:
        return
    names = {process.name for process in project.processes}
    for rule in ipc.rules:
        _check_who(rule, names, options, problems)
        for name in rule.call or ():
            if name != EVERYBODY and name not in names:
                hint = did_you_mean(name, names) or f'"{EVERYBODY}", or one of {", ".join(sorted(names))}'
                problems.error(rule.span, f"there is no process {name!r}", code="unknown-process", hint=hint)
        for topic in (*(rule.publish or ()), *(rule.subscribe or ())):
            if not is_pattern(topic):
                hint = (
                    'words joined by dots: "cache.user", "cache.*" (any one word), "cache.**" (one or more)'
                )
                problems.error(rule.span, f"not a pattern of topics: {topic!r}", code="bad-topic", hint=hint)
    for process in project.processes:
        _check_variable(process, problems)
    main = _program(options)
    if options.scope is Scope.SYSTEM and not is_packaged(options) and not options.host.is_open(main):
        hint = "install pm-native where everybody may read it: from a package, or in a virtualenv in /opt"
        message = f"the broker has a user of its own, who may not read {main}"
        problems.error(ipc.span, message, code="broker-unreadable", hint=hint)


def _check_who(rule: IpcRule, names: set[str], options: CompileOptions, problems: Diagnostics) -> None:
    who = rule.who
    if who.startswith(USER):
        user = who.removeprefix(USER)
        if options.scope is Scope.SYSTEM and options.host.account(user) is None:
            report_missing(
                rule.span,
                f"there is no user {user!r} on this host",
                code="user-missing",
                hint="the rule is for programs of that user that are not of this project",
                options=options,
                problems=problems,
            )
    elif who != EVERYBODY and who not in names:
        hint = did_you_mean(who, names) or f'a process, "{EVERYBODY}", or "{USER}NAME"'
        problems.error(rule.span, f"there is no process {who!r}", code="unknown-process", hint=hint)


def _check_variable(process: Process, problems: Diagnostics) -> None:
    for environment in (process.environment, process.file_environment):
        if (own := environment.get(VARIABLE)) is not None:
            hint = "take it out, or turn `ipc` off"
            problems.error(
                own.span, f"{VARIABLE} is set by `ipc = true`", code="variable-computed", hint=hint
            )
