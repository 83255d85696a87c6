"""The shared listener: a socket that systemd holds for all instances, and what programs need to take it.

Measured on systemd 252 and 257, and the reason for each setting here: the service that a socket is there to start is a
unit of its own that does nothing, else traffic would start an instance that somebody stopped by hand. An instance that
meets its start limit takes the socket down for all of them, so a pool has none. So does a burst of connections while
instances restart (TriggerLimitIntervalSec=).
"""

from __future__ import annotations

import posixpath

from pm_native.compile.names import instance_numbers, plain_path, socket_name, socket_service_name
from pm_native.compile.preload import runs_python_script
from pm_native.model.project import ProcessKind
from pm_native.unit import directive as d
from pm_native.unit.file import Setting
from pm_native.unit.name import Scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pm_native.compile.options import CompileOptions
    from pm_native.errors import Diagnostics
    from pm_native.model.project import Process, Project

PORT_MAX = 65535
# These start the program as a child, and Node hands no descriptor of its own on.
_IN_BETWEEN = frozenset({"npm", "npx", "yarn", "pnpm"})
_NEEDS_A_PATH = ("mode", "user", "group")
_NEEDS_SHARING = ("host", "backlog", *_NEEDS_A_PATH)


def listen_address(process: Process) -> str:
    """ListenStream=: the path, the port of all addresses, or the port of one."""
    listen = process.listen
    if listen.path is not None:
        return plain_path(listen.path)
    host = listen.host
    if host is None:
        return str(listen.port)
    return f"[{host}]:{listen.port}" if ":" in host else f"{host}:{listen.port}"


def port_variable(process: Process) -> str:
    """PORT of a process whose instances all have the same: the port, or the path of the Unix socket."""
    return plain_path(process.listen.path) if process.listen.path is not None else str(process.listen.port)


def socket_settings(project: Project, process: Process) -> Iterator[Setting]:
    """[Socket] of the shared listener."""
    listen = process.listen
    place = process.origin("listen")
    yield Setting(d.LISTEN_STREAM, (listen_address(process),), origin=place)
    if listen.backlog is not None:
        yield Setting(d.BACKLOG, (str(listen.backlog),), origin=process.origin("listen.backlog"))
    if listen.host not in {None, "0.0.0.0", "::"}:  # noqa: S104 - what the user wrote
        why = "the address may come up later than the socket"
        yield Setting(d.FREE_BIND, ("yes",), origin=process.origin("listen.host"), why=why)
    if listen.path is not None:
        yield Setting(d.REMOVE_ON_STOP, ("yes",), why="nobody connects to a socket that nobody holds")
    if listen.mode is not None:
        yield Setting(d.SOCKET_MODE, (f"{listen.mode:04o}",), origin=process.origin("listen.mode"))
    if listen.user is not None:
        yield Setting(d.SOCKET_USER, (listen.user,), origin=process.origin("listen.user"))
    if listen.group is not None:
        yield Setting(d.SOCKET_GROUP, (listen.group,), origin=process.origin("listen.group"))
    unit = str(socket_service_name(project, process))
    yield Setting(d.SOCKET_SERVICE, (unit,), why="a socket must name one: traffic starts nothing")
    yield Setting(
        d.TRIGGER_LIMIT_INTERVAL_SEC, ("0",), why="traffic while instances restart would close the socket"
    )


def socket_service_settings(project: Project, process: Process) -> dict[str, list[Setting]]:
    """The sections of the service that stands behind the socket and does nothing."""
    why = f"goes with {socket_name(project, process)}"
    return {
        "Unit": [Setting(d.BINDS_TO, (str(socket_name(project, process)),), why=why)],
        "Service": [
            Setting(d.TYPE, ("oneshot",)),
            Setting(d.REMAIN_AFTER_EXIT, ("yes",)),
            Setting(d.EXEC_START, ("/bin/true",), ":"),
        ],
    }


def check_listen(process: Process, options: CompileOptions, problems: Diagnostics) -> None:
    """Add a diagnostic for all that does not fit together in `listen`."""
    listen = process.listen
    if listen.port is not None and listen.path is not None:
        message = "a port and a path: there is one socket"
        problems.error(process.origin("listen.path"), message, code="listen-both", hint="take one out")
    if not listen.share:
        _check_unshared(process, options, problems)
    else:
        _check_shared(process, options, problems)
    if (own := process.environment.get("PORT")) is None or (listen.port is None and listen.path is None):
        return
    if own.value != port_variable(process):
        message = f"PORT is {port_variable(process)} by `listen`: this value is not used"
        problems.warning(own.span, message, code="variable-computed", hint="take one of the two out")


def _check_unshared(process: Process, options: CompileOptions, problems: Diagnostics) -> None:
    listen = process.listen
    if listen.path is not None:
        hint = "take `share = false` out, or give the path to the program in its own way"
        message = "a Unix socket that is not shared: only systemd opens one"
        problems.error(process.origin("listen.share"), message, code="listen-not-shared", hint=hint)
        return
    for key in _NEEDS_SHARING:
        if getattr(listen, key) is not None:
            message = f"{key!r} belongs to a socket that systemd holds"
            hint = "add share = true, or take it out"
            problems.error(process.origin(f"listen.{key}"), message, code="listen-not-shared", hint=hint)
    if listen.port is None:
        return
    last = listen.port + max(len(instance_numbers(process, options)) - 1, 0)
    if last > PORT_MAX:
        hint = f"a lower port or fewer instances: there are {PORT_MAX} ports"
        place = process.origin("listen.port")
        problems.error(place, f"the last instance would get port {last}", code="port-range", hint=hint)


def _check_shared(process: Process, options: CompileOptions, problems: Diagnostics) -> None:
    _check_address(process, problems)
    _check_owner(process, options, problems)
    if process.kind is ProcessKind.TASK:
        hint = "make it a service, or leave `share` out"
        message = "a task that runs to completion listens on nothing"
        problems.error(process.origin("listen.share"), message, code="task-listen", hint=hint)
    if process.is_pool and process.restart.limit is not None and "restart.limit" in process.origins:
        hint = "`delay` and `max_delay` space the restarts out; take `limit` out"
        message = (
            "instances that share a socket restart without a limit: one that gave up would close it for all"
        )
        problems.warning(process.origin("restart.limit"), message, code="listen-no-limit", hint=hint)
    program = posixpath.basename(process.command[0]) if process.command else ""
    if program in _IN_BETWEEN:
        hint = 'name what it starts, such as command = "node server.js"'
        message = f"{program} does not hand the shared socket on to the program that it starts"
        problems.warning(process.origin("command"), message, code="listen-in-between", hint=hint)
    if runs_python_script(process):
        hint = "where it calls uvicorn.run(), write python -m uvicorn, and it needs no change"
        message = "the script takes the shared socket itself, as descriptor 3: what serves in it is not known by its name"
        problems.note(process.origin("command"), message, code="listen-python", hint=hint)


def _check_address(process: Process, problems: Diagnostics) -> None:
    listen = process.listen
    if listen.port is None and listen.path is None:
        hint = 'give it: port = 3000, or path = "/run/shop/api.sock"'
        message = "a shared socket without port or path"
        problems.error(process.origin("listen.share"), message, code="listen-nothing", hint=hint)
    if listen.host is None:
        return
    place = process.origin("listen.host")
    if listen.path is not None:
        problems.error(place, "a Unix socket has no host", code="listen-both", hint="take it out")
    elif not _is_address(listen.host):
        hint = "127.0.0.1 or ::1 for this host alone, 0.0.0.0 for all of IPv4; without it, all addresses"
        problems.error(place, f"not an IP address: {listen.host!r}", code="bad-address", hint=hint)


def _check_owner(process: Process, options: CompileOptions, problems: Diagnostics) -> None:
    for key in _NEEDS_A_PATH:
        place = process.origin(f"listen.{key}")
        if getattr(process.listen, key) is None:
            continue
        if process.listen.path is None:
            hint = "give `path`, or take it out"
            problems.error(place, f"{key!r} belongs to a Unix socket", code="listen-no-path", hint=hint)
        elif options.scope is Scope.USER and key != "mode":
            message = "the user manager's sockets belong to its own user"
            problems.error(place, message, code="user-scope", hint=f"leave `{key}` out")


def _is_address(text: str) -> bool:
    from ipaddress import ip_address  # noqa: PLC0415 - only where a host is given

    try:
        ip_address(text)
    except ValueError:
        return False
    return True
