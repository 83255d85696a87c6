"""What PM2 keeps of its processes (`pm2 save`, or the daemon itself) back to apps, as an ecosystem file has them.

PM2 keeps every process resolved, one entry each, and in its `env` the whole environment of the shell that started it.
"""

from __future__ import annotations

import os
import re
from pathlib import PurePosixPath

from pm_native.importers.pm2.keys import KEYS
from pm_native.model.names import nearest_name
from pm_native.syntax.node import Node

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pm_native.errors import Diagnostics
    from pm_native.model.project import Process

# Variables of a login shell, of its terminal and of PM2 itself: not what the owner of a program set for it.
_OF_THE_SHELL = re.compile(
    r"PATH|HOME|PWD|OLDPWD|SHELL|SHLVL|TERM|TERM_\w+|COLORTERM|LANG|LANGUAGE|LC_\w+|LOGNAME|USER|USERNAME|MAIL|HOSTNAME"
    r"|XDG_\w+|DBUS_\w+|SSH_\w+|SUDO_\w+|LS_COLORS|LESS\w*|PAGER|EDITOR|VISUAL|HISTCONTROL|DEBIAN_FRONTEND|TMUX\w*|STY"
    r"|WINDOW|DISPLAY|INVOCATION_ID|JOURNAL_STREAM|NOTIFY_SOCKET|SYSTEMD_EXEC_PID|MANAGERPID|NVM_\w+|npm_\w+|PYENV_\w+|_"
    r"|PM2_\w+|pm_id|unique_id|NODE_APP_INSTANCE|NODE_CHANNEL_\w+|PYTHONUNBUFFERED"
)
# Keys that PM2 has filled in by itself for every process, or that say where it keeps things.
_FILLED_IN = frozenset(
    {
        *(
            "script",
            "cwd",
            "env",
            "pmx",
            "vizion",
            "automation",
            "username",
            "windowsHide",
            "kill_retry_time",
        ),
        *(
            "merge_logs",
            "instances",
            "namespace",
            "exec_interpreter",
            "args",
            "node_args",
            "out_file",
            "error_file",
        ),
        *("pid_file", "name", "exec_mode"),
    }
)
_KEPT = ("name", "namespace", "exec_interpreter", "exec_mode", "args", "node_args")
_RENAMED = {"pm_exec_path": "script", "pm_cwd": "cwd"}
_LOGS = {"pm_out_log_path": "out_file", "pm_err_log_path": "error_file"}
_DEFAULT_LOG = re.compile(r".*/\.?[^/]*/logs/[^/]*-(?:out|error)(?:-\d+)?\.log|.*/\.pm2/logs/.*")


def apps_of(
    root: Node, shell: Mapping[str, str], home: str, problems: Diagnostics
) -> list[tuple[Node, list[Node]]]:
    """The apps, each with the entries that are its processes; none after adding an error.

    `shell` is the environment that is not the programs' own, `home` PM2's folder.
    """
    entries = root.value
    if not isinstance(entries, list) or not all(isinstance(item.value, dict) for item in entries):
        hint = "a list of processes, as `pm2 save` writes it"
        problems.error(root.span, f"this is no dump of PM2: {root.kind}", code="pm2-dump", hint=hint)
        return []
    groups: dict[str, list[Node]] = {}
    for item in entries:
        fields = _fields(item)
        if _flag(fields.get("pmx_module")):
            name = _text(fields.get("name")) or "a module"
            message = f"{name} is a module of PM2's: it is left out"
            hint = (
                "the journal keeps its size by itself, `pm-native status` and systemd-cgtop show what runs"
            )
            problems.note(item.span, message, code="pm2-module", hint=hint, lost=True)
            continue
        namespace = _text(fields.get("namespace")) or "default"
        name = _text(fields.get("name")) or ""
        groups.setdefault(f"{namespace}\0{name}", []).append(item)
    return [(_app(items, shell, home), items) for items in groups.values()]


def _app(items: list[Node], shell: Mapping[str, str], home: str) -> Node:
    """One app of processes that have one name; the first of them says what they are."""
    first = items[0]
    fields = _fields(first)
    app = {key: fields[key] for key in _KEPT if key in fields and fields[key].value not in (None, "", [])}
    app |= {name: fields[key] for key, name in _RENAMED.items() if key in fields}
    app |= {name: fields[key] for key, name in _LOGS.items() if _is_own_log(fields.get(key), home)}
    app |= {
        name: fields[name]
        for name in KEYS
        if name not in _FILLED_IN and name in fields and fields[name].value is not None
    }
    codes = app.get("stop_exit_codes")
    if codes is not None and not isinstance(codes.value, list):
        # A lone 0 is kept as it is; read as a key of an app it would count as not set.
        app["stop_exit_codes"] = Node([Node(codes.value, codes.span)], codes.span, codes.key_span)
    if len(items) > 1:
        app["instances"] = Node(len(items), fields["name"].span if "name" in fields else first.span)
    env = fields.get("env")
    if env is not None and isinstance(env.value, dict):
        name = _text(fields.get("name"))
        own = {key: item for key, item in env.value.items() if _is_own(key, item, name, shell)}
        app |= {"env": Node(own, env.span, env.key_span)} if own else {}
    return Node(app, first.span)


def _is_own_log(node: Node | None, home: str) -> bool:
    """Whether it is a log file that somebody chose, not PM2's own place for it."""
    path = _text(node)
    return bool(path) and not str(path).startswith(f"{home}/logs/") and not _DEFAULT_LOG.fullmatch(str(path))


def _is_own(key: str, item: Node, name: str | None, shell: Mapping[str, str]) -> bool:
    """Whether the variable is one that somebody set for the program."""
    if _OF_THE_SHELL.fullmatch(key) or key == name:
        return False
    return shell.get(key) != item.value


def _fields(item: Node) -> dict[str, Node]:
    """The fields of a process: of `pm2 jlist` and the daemon they are one level down."""
    fields = item.value if isinstance(item.value, dict) else {}
    below = fields.get("pm2_env")
    return below.value if below is not None and isinstance(below.value, dict) else fields


def _text(node: Node | None) -> str | None:
    return node.value if node is not None and isinstance(node.value, str) else None


def _flag(node: Node | None) -> bool:
    return node is not None and node.value is True


def project_place(processes: Sequence[Process]) -> tuple[PurePosixPath, str]:
    """The folder that all of them run in or below, and the name of a project there."""
    folder = PurePosixPath(os.path.commonpath([str(process.directory) for process in processes] or ["/"]))
    # Not "pm2": PM2 has a unit of its own, pm2-USER.service.
    return folder, nearest_name(folder.name) if len(folder.parts) > 2 else "apps"
