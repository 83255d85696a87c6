"""The key table: every key of the native config, declared once.

Validation, the JSON Schema, the reference page and `explain` are all made from it.
"""

from __future__ import annotations

from enum import StrEnum

from pm_native.config.confinement_keys import SANDBOX_KEY, SECRETS_KEY, WRITABLE_KEY
from pm_native.config.health_keys import HEALTH
from pm_native.config.package_keys import PACKAGE
from pm_native.config.table import Key, MapOf, Table
from pm_native.config.types import (
    DURATION,
    LIMITED,
    PERCENT,
    SIGNAL,
    SIZE,
    Calendar,
    Choice,
    Command,
    Either,
    Environment,
    Flag,
    Integer,
    ListOf,
    Name,
    Text,
)
from pm_native.config.watch_keys import WATCH_KEY
from pm_native.model.health import Monitor
from pm_native.model.project import Condition, ProcessKind, RestartPolicy, StopMode
from pm_native.model.record import OnChange


class Maximum(StrEnum):
    """The pool size that follows the number of CPUs."""

    MAX = "max"


ENVIRONMENT_KEYS = (
    Key(
        name="environment",
        type=Environment(),
        help="Environment variables. They win over environment files.",
        directives=("Environment=",),
        example='{ NODE_ENV = "production" }',
    ),
    Key(
        name="environment_files",
        type=ListOf(Text("a path"), "a list of paths"),
        help="Files of NAME=value lines. They are read when units are generated and compiled into a file of mode"
        ' 0600 that systemd reads exactly; "-" before a path: the file may be missing.',
        directives=("EnvironmentFile=",),
        example='["/etc/shop/shop.env"]',
    ),
)

IDENTITY_KEYS = (
    Key(
        name="user",
        type=Text("the name of a user"),
        help="The user that runs the program. Not for the user manager, which runs everything as its own user.",
        default="root in the system manager",
        directives=("User=",),
        example='"shop"',
    ),
    Key(
        name="group",
        type=Text("the name of a group"),
        help="The group that runs the program.",
        default="the user's own group",
        directives=("Group=",),
        example='"www-data"',
    ),
)

_TOPICS = ListOf(Text("a topic, or a pattern of topics"), "a list of topics")
IPC_RULE = Table(
    (
        Key(
            name="call",
            type=ListOf(Text("the name of a process"), "a list of processes"),
            help='The processes that it may call and send to; "*" for all.',
            default="all of them",
            example='["worker"]',
        ),
        Key(
            name="publish",
            type=_TOPICS,
            help="The topics that it may publish on.",
            default="all of them",
            example='["cache.*"]',
        ),
        Key(
            name="subscribe",
            type=_TOPICS,
            help="The topics that it may subscribe to.",
            default="all of them",
            example='["progress.**"]',
        ),
    )
)

IPC = Table(
    (
        Key(
            name="enabled",
            type=Flag(),
            help="Whether there is a broker. `ipc = true` is the same.",
            default="true, where there is a table",
            example="true",
        ),
        Key(
            name="access",
            type=MapOf(IPC_RULE, 'a process, "*" for every other one, or "user:NAME"'),
            help="Who may do what. A user's rule also lets that user's programs connect that are not of the project.",
            default="every process of the project may do everything",
            example='{ web = { call = ["worker"], publish = [] } }',
        ),
    ),
    shorthand="enabled",
)

PROJECT = Table(
    (
        Key(
            name="name",
            type=Name(),
            help="The name of the project: the first part of each unit name.",
            default="the name of the folder that holds the config",
            directives=("NAME.target", "NAME.slice"),
            example='"shop"',
        ),
        Key(
            name="directory",
            type=Text("a path"),
            help="The folder that the programs run in. Relative paths start here.",
            default="the folder that holds the config",
            directives=("WorkingDirectory=",),
            example='"/srv/shop"',
        ),
        *IDENTITY_KEYS,
        *ENVIRONMENT_KEYS,
        SANDBOX_KEY,
        Key(
            name="monitor",
            type=Choice(Monitor),
            help="Who makes the health checks: a monitor beside each instance, or one of root's for the whole project,"
            " which takes much less memory where there are many. For the system manager.",
            default='"instance"',
            directives=("pm-native-monitor@NAME.socket", "pm-native-monitor@NAME.service"),
            example='"host"',
        ),
        Key(
            name="ipc",
            type=IPC,
            help="Messages between the processes, over a Unix socket whose path they find in PM_NATIVE_IPC.",
            default="false",
            directives=("pm-native-ipc@NAME.socket", "pm-native-ipc@NAME.service"),
            example="true",
        ),
    )
)

LISTEN = Table(
    (
        Key(
            name="port",
            type=Integer(1, 65535),
            help="The port, told to the program in the variable PORT. The instances of a pool get consecutive"
            " ports, the first this one, the next one more; with `share` they all have this one.",
            directives=("Environment=", "ListenStream="),
            example="3000",
        ),
        Key(
            name="share",
            type=Flag(),
            help="systemd opens the socket, holds it, and hands it to every instance as file descriptor 3"
            " (LISTEN_FDS). Programs of Node need no change; what others need is in shared-listeners.md.",
            default="false; true with `path`",
            directives=("NAME.socket", "Sockets="),
            example="true",
        ),
        Key(
            name="host",
            type=Text("an IP address"),
            help="The address of the shared socket.",
            default="all addresses",
            directives=("ListenStream=", "FreeBind="),
            example='"127.0.0.1"',
        ),
        Key(
            name="path",
            type=Text("a path"),
            help="A Unix socket in place of a port, held by systemd; its path is told in PORT.",
            directives=("ListenStream=", "RemoveOnStop="),
            example='"/run/shop/api.sock"',
        ),
        Key(
            name="backlog",
            type=Integer(1),
            help="How many connections may wait in the shared socket; net.core.somaxconn bounds it.",
            default="as many as the kernel allows",
            directives=("Backlog=",),
            example="1024",
        ),
        Key(
            name="mode",
            type=Text('an octal number in a string, such as "0660"'),
            help="The permissions of the Unix socket.",
            default='"0666"',
            directives=("SocketMode=",),
            example='"0660"',
        ),
        Key(
            name="user",
            type=Text("the name of a user"),
            help="The owner of the Unix socket.",
            default="root",
            directives=("SocketUser=",),
            example='"shop"',
        ),
        Key(
            name="group",
            type=Text("the name of a group"),
            help="The group of the Unix socket.",
            default="the group of `user`",
            directives=("SocketGroup=",),
            example='"www-data"',
        ),
    ),
    shorthand="port",
)

CHANNEL = Table(
    (
        Key(
            name="ready",
            type=Flag(),
            help='The program says by the message "ready" that it is ready: `process.send("ready")` in Node.',
            default="false",
            directives=("Type=", "NotifyAccess="),
            example="true",
        ),
        Key(
            name="ready_timeout",
            type=LIMITED,
            help="After so long it is taken as ready without the message.",
            default="never: `start_timeout` ends the start",
            directives=("ExecStart=",),
            example='"3s"',
        ),
        Key(
            name="shutdown",
            type=Flag(),
            help='It is asked to end by the message "shutdown", and gets the stop signal `stop.timeout` later.',
            default="false",
            directives=("ExecStop=",),
            example="true",
        ),
    )
)

RESTART = Table(
    (
        Key(
            name="policy",
            type=Choice(RestartPolicy),
            help="When a program that ended is started again.",
            default='"always"; "no" for a task',
            directives=("Restart=",),
            example='"on-failure"',
        ),
        Key(
            name="delay",
            type=DURATION,
            help="The wait before a restart.",
            default='"1s"',
            directives=("RestartSec=",),
            example='"500ms"',
        ),
        Key(
            name="max_delay",
            type=DURATION,
            help="Lets the delay double with each restart, up to this. Needs systemd 254; before, the delay is fixed.",
            default="the delay stays as it is",
            directives=("RestartMaxDelaySec=", "RestartSteps="),
            example='"30s"',
        ),
        Key(
            name="steps",
            type=Integer(1, 1000),
            help="In how many restarts the delay grows to `max_delay`.",
            default="by doubling",
            directives=("RestartSteps=",),
            example="12",
        ),
        Key(
            name="limit",
            type=Integer(0, 1_000_000),
            help="How many restarts are allowed within the window before it stays failed. 0: no limit.",
            default="10",
            directives=("StartLimitBurst=",),
            example="10",
        ),
        Key(
            name="window",
            type=LIMITED,
            help="The window of `limit`.",
            default='"1min"',
            directives=("StartLimitIntervalSec=",),
            example='"1min"',
        ),
        Key(
            name="prevent_codes",
            type=ListOf(Integer(0, 255), "a list of exit codes"),
            help="Exit codes after which it is left stopped.",
            directives=("RestartPreventExitStatus=",),
            example="[2, 78]",
        ),
    ),
    shorthand="policy",
)

STOP = Table(
    (
        Key(
            name="signal",
            type=SIGNAL,
            help="The signal that asks the program to end.",
            default='"SIGTERM"',
            directives=("KillSignal=",),
            example='"SIGINT"',
        ),
        Key(
            name="timeout",
            type=DURATION,
            help="How long it may take to end; then SIGKILL.",
            default='"10s"',
            directives=("TimeoutStopSec=",),
            example='"20s"',
        ),
        Key(
            name="mode",
            type=Choice(StopMode),
            help="Whom the signal reaches: every process of the unit, the main one (and SIGKILL the rest), or the"
            " main one alone.",
            default='"control-group"',
            directives=("KillMode=",),
            example='"mixed"',
        ),
        Key(
            name="success_codes",
            type=ListOf(Integer(0, 255), "a list of exit codes"),
            help="Exit codes that count as a clean end.",
            default="128 plus the number of the stop signal",
            directives=("SuccessExitStatus=",),
            example="[143]",
        ),
    ),
    shorthand="signal",
)

LIMITS = Table(
    (
        Key(
            name="memory",
            type=SIZE,
            help="Memory of all instances together; beyond it the kernel kills.",
            directives=("MemoryMax=",),
            example='"512M"',
        ),
        Key(
            name="cpu",
            type=PERCENT,
            help="CPU time of all instances together, as a share of one CPU.",
            directives=("CPUQuota=",),
            example='"150%"',
        ),
        Key(
            name="tasks",
            type=Integer(1),
            help="Processes and threads of all instances together.",
            directives=("TasksMax=",),
            example="256",
        ),
        Key(
            name="open_files",
            type=Integer(1),
            help="Open files of each program.",
            directives=("LimitNOFILE=",),
            example="65536",
        ),
    )
)

_LOG = Text('"journal", "null" or a path')
LOGS = Table(
    (
        Key(
            name="stdout",
            type=_LOG,
            help='Where standard output goes: "journal", "null" or a file that is appended to.',
            default='"journal"',
            directives=("StandardOutput=",),
            example='"/var/log/shop/api.log"',
        ),
        Key(
            name="stderr",
            type=_LOG,
            help="Where standard error goes.",
            default="where standard output goes",
            directives=("StandardError=",),
            example='"journal"',
        ),
    )
)

SYSTEMD_VALUE = ListOf(
    Either(
        (
            (bool, Flag()),
            (str, Text(may_be_empty=True)),
            (int, Integer(-(2**63), 2**63 - 1)),
        ),
        "a string, a number or a boolean",
    ),
    "a value or a list of values",
)

_POOL_SIZE = 'a whole number or "max"'

PROCESS = Table(
    (
        Key(
            name="command",
            type=Command(),
            help="The program and its arguments. A string is split into words, without a shell; a list is taken as it"
            " is. The program is found on the PATH of the user who runs it.",
            directives=("ExecStart=",),
            example='["node", "server.js"]',
            required=True,
        ),
        Key(
            name="shell",
            type=Flag(),
            help="Runs `command`, a string, by /bin/sh -c.",
            default="false",
            directives=("ExecStart=",),
            example="true",
        ),
        Key(
            name="description",
            type=Text(),
            help="What it is, for `systemctl status`.",
            default="made from the names",
            directives=("Description=",),
            example='"The public API"',
        ),
        Key(
            name="kind",
            type=Choice(ProcessKind),
            help="A service runs until it is stopped, a task runs to completion.",
            default='"service"; "task" where there is a schedule',
            directives=("Type=", "RemainAfterExit="),
            example='"task"',
        ),
        Key(
            name="instances",
            type=Either(((int, Integer(0, 10_000)), (str, Choice(Maximum, _POOL_SIZE))), _POOL_SIZE),
            help='Makes it a pool of so many instances, numbered from 1. "max": one per CPU.',
            default="a single process",
            directives=("NAME@.service", "NAME.target"),
            example="4",
        ),
        Key(
            name="first_instance",
            type=Integer(0, 1_000_000),
            help="The number of the first instance of a pool.",
            default="1",
            directives=("NAME.target",),
            example="0",
        ),
        Key(
            name="counters",
            type=MapOf(Integer(-(2**31), 2**31 - 1), "an environment variable"),
            help="Environment variables that count the instances of a pool: each has this value in the first one, and"
            " one more in each after it.",
            directives=("Environment=",),
            example="{ NODE_APP_INSTANCE = 0 }",
        ),
        Key(
            name="listen",
            type=LISTEN,
            help="What it listens on.",
            example="{ port = 3000, share = true }",
        ),
        Key(
            name="channel",
            type=CHANNEL,
            help="Messages to and from the program, as Node has them with its child processes: a JSON value a line, on the"
            " descriptor in NODE_CHANNEL_FD. Others take part by the Unix socket /run/pm-native/UNIT/channel.",
            directives=("ExecStart=", "RuntimeDirectory="),
            example="{ ready = true, shutdown = true }",
        ),
        Key(
            name="depends_on",
            type=MapOf(Choice(Condition), "a process"),
            help='What must be there before it starts: "started", "ready" (the program said so itself, see `notify`) or'
            ' "completed" (a task ended well). A list of names means "started".',
            directives=("Wants=", "Requires=", "After="),
            example='{ migrate = "completed", redis = "ready" }',
        ),
        Key(
            name="autostart",
            type=Flag(),
            help="Whether it starts with the project, at boot and at apply.",
            default="true",
            directives=("Wants= of the target",),
            example="false",
        ),
        Key(
            name="notify",
            type=Flag(),
            help="The program says by itself when it is ready (sd_notify(3)).",
            default="false",
            directives=("Type=", "NotifyAccess="),
            example="true",
        ),
        Key(
            name="start_timeout",
            type=LIMITED,
            help="How long it may take until it is ready, or until a task ends.",
            default='"1min 30s"; "infinity" for a task',
            directives=("TimeoutStartSec=",),
            example='"5min"',
        ),
        Key(
            name="schedule",
            type=ListOf(Calendar(), "a schedule or a list of them"),
            help="When it runs: OnCalendar= of systemd.timer(5), or five-field cron, translated exactly.",
            directives=("OnCalendar=",),
            example='"*-*-* 03:00:00"',
        ),
        Key(
            name="restart", type=RESTART, help="What happens when the program ends.", example='"on-failure"'
        ),
        Key(name="stop", type=STOP, help="How the program is stopped.", example='{ timeout = "20s" }'),
        Key(name="limits", type=LIMITS, help="What it may use.", example='{ memory = "512M" }'),
        Key(
            name="logs",
            type=LOGS,
            help="Where its output goes.",
            example='{ stdout = "/var/log/shop/api.log" }',
        ),
        Key(
            name="on_change",
            type=Choice(OnChange),
            help='What apply does when its units have changed. "reload" has a pool restart one instance after the other,'
            " each when the one before is ready, and goes back when one fails; other processes need an ExecReload=.",
            default='"restart"',
            example='"keep"',
        ),
        Key(
            name="max_unavailable",
            type=Integer(1, 10_000),
            help="How many instances of a pool a rolling reload restarts at a time.",
            default="1",
            example="2",
        ),
        Key(
            name="restart_on",
            type=ListOf(Text("a path"), "a list of paths"),
            help="Files and folders that count as part of it, relative to its directory: when apply finds that what they"
            " hold has changed, it does what on_change says. Files of a passed-through EnvironmentFile= always count, unless it has a specifier.",
            example='["config/app.yml", "dist"]',
        ),
        Key(
            name="protect",
            type=Flag(),
            help="Keeps it when it is no longer in the config, and from `pm-native remove`: it is stopped and taken"
            " away with --force alone.",
            default="false",
            example="true",
        ),
        Key(
            name="directory",
            type=Text("a path"),
            help="The folder that it runs in; relative to the project's.",
            default="the project's",
            directives=("WorkingDirectory=",),
            example='"api"',
        ),
        *IDENTITY_KEYS,
        Key(
            name="umask",
            type=Text('an octal number in a string, such as "027"'),
            help="The permissions that new files do not get.",
            default='"0022"',
            directives=("UMask=",),
            example='"027"',
        ),
        *ENVIRONMENT_KEYS,
        SECRETS_KEY,
        SANDBOX_KEY,
        WRITABLE_KEY,
        WATCH_KEY,
        Key(
            name="systemd",
            type=MapOf(MapOf(SYSTEMD_VALUE, "a directive"), "a section"),
            help="Any directive at all, in systemd's own words, by section. It wins over what pm-native would write;"
            " lists such as After= and Environment= are added to, as a drop-in would, and an empty list takes ours away.",
            directives=("the directive",),
            example='{ Service = { LimitCORE = "infinity" } }',
        ),
        Key(
            name="health",
            type=HEALTH,
            help="What is asked of the running program: whether it has started, is ready for work, is alive. A bare path"
            " is asked for by HTTP on the port of `listen`. Keys of a check that stand here are for ready and alive.",
            directives=("ExecStart=", "Type=", "NotifyAccess=", "TimeoutStartSec="),
            example='{ http = "/healthz", interval = "10s", timeout = "3s", retries = 3, start_period = "30s" }',
        ),
        Key(name="scale", type=Text(), help="Bounds for automatic scaling.", planned=True),
    )
)

CONFIG = Table(
    (
        Key(name="project", type=PROJECT, help="What all processes share."),
        Key(name="process", type=MapOf(PROCESS, "a process"), help="The processes, by name."),
        Key(
            name="package",
            type=PACKAGE,
            help="What `pm-native package` makes of the project: a .deb or an .rpm.",
        ),
    )
)
