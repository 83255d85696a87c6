"""Every field of circus.ini: what becomes of it. The keys that the importer knows are read off this table."""

from __future__ import annotations

from pm_native.importers.base import Field

DAEMON, WATCHER, SOCKET = "[circus]", "[watcher:x]", "[socket:x]"
ENV, PLUGIN = "[env], [env:x,y]", "[plugin:x]"
RESOURCES = "[plugin:x] of ResourceWatcher"

_OWN = "it is circus's own, and there is no circusd"
_ROTATED = "a file that is appended to is not rotated"
_ROTATE = "leave the stream out: the journal keeps its size by itself; or logrotate with copytruncate"
_HOOK = "a hook is a Python function of circusd's"
_STREAMS = ("stdout_stream", "stderr_stream")
_TELL = "`pm-native status`, systemctl, systemd's D-Bus interface"

_DAEMON = (
    Field("include", "the files are read as one config"),
    Field("include_dir", "its *.ini are read as one config"),
    Field("umask", "`UMask=`"),
    Field("warmup_delay", "", "watchers start together", "depends_on in the native config orders starts"),
    Field("httpd", "", "the web console goes away", _TELL),
    Field("httpd_host", "", "the web console goes away", _TELL),
    Field("httpd_port", "", "the web console goes away", _TELL),
    Field("statsd", "", "nothing publishes statistics", _TELL),
    *(
        Field(name, "", _OWN, harmless=True)
        for name in (
            *("check_delay", "endpoint", "endpoint_owner", "pubsub_endpoint", "multicast_endpoint"),
            *(
                "stats_endpoint",
                "statsd_close_outputs",
                "debug",
                "debug_gc",
                "pidfile",
                "loglevel",
                "logoutput",
            ),
            *("loggerconfig", "fqdn_prefix", "proc_name", "ssh_server", "stream_backend", "papa_endpoint"),
        )
    ),
)
_WATCHER = (
    Field("cmd", "`ExecStart=`", "found on PATH when compiling, not at start"),
    Field("args", "`ExecStart=`"),
    Field("shell", "`/bin/sh -c`", "with each word in quotes, as circus has it"),
    Field("shell_args", "arguments of that shell"),
    Field("executable", "the program of `ExecStart=`", "the program sees its own name, not that of cmd"),
    Field("numprocesses", "a pool", "0 is a process that is not started"),
    Field("singleton", "a single process"),
    Field("warmup_delay", "", "instances start together", "ExecStartPre=/bin/sleep in a drop-in"),
    Field("working_dir", "`WorkingDirectory=`", "without it the folder of the config"),
    Field("uid", "`User=`", "HOME, USER and SHELL are the user's own"),
    Field("gid", "`Group=`"),
    Field(
        "copy_env", "", "the environment of circusd is not there", "put what a program reads into [env:x]"
    ),
    Field("copy_path", "", "circusd's sys.path is not there", "PYTHONPATH in [env:x]"),
    Field(
        "virtualenv",
        "`PATH=` and `PYTHONPATH=`",
        "PYTHONPATH has the site-packages folder alone, no .pth files",
    ),
    Field("virtualenv_py_ver", "the site-packages folder"),
    Field("env", "", "circus sets it from [env:x]", harmless=True),
    Field("rlimit_*", "`Limit...=`", "of the same name; an empty one is infinity"),
    Field("respawn", "`Restart=always` or `no`", "after 1 s"),
    Field(
        "max_retry",
        "",
        "it counts failures to start the program at all, which end a unit at once",
        harmless=True,
    ),
    Field("stop_signal", "`KillSignal=`"),
    Field("stop_children", "`KillMode=control-group`", "`mixed` without it"),
    Field("graceful_timeout", "`TimeoutStopSec=`"),
    Field("send_hup", "`ExecReload=` that sends SIGHUP"),
    Field("max_age", "`RuntimeMaxSec=`", "the end by age counts as a failure, and is restarted"),
    Field("max_age_variance", "`RuntimeRandomizedExtraSec=`", "from systemd 250 on"),
    Field(
        "priority",
        "`Wants=` and `After=` on all of the priority before",
        "the highest starts first, without waiting",
    ),
    Field("autostart", "wanted by the target, or not"),
    Field(
        "use_sockets",
        "`Sockets=`",
        "one socket, that which cmd or args name",
        "a unit of your own for a second one",
    ),
    Field("stdin_socket", "`StandardInput=socket`"),
    Field(
        "on_demand",
        "",
        "it is started with the others",
        "Accept=no socket units of your own start on traffic",
    ),
    Field("close_child_stdin", "`StandardInput=null`", "false, too: circusd's own is not there"),
    Field("close_child_stdout", "`StandardOutput=null`"),
    Field("close_child_stderr", "`StandardError=null`"),
    *(
        item
        for stream in _STREAMS
        for item in (
            Field(
                f"{stream}.class",
                "a file, or the journal",
                "your own classes write nothing here",
                "read the journal",
            ),
            Field(f"{stream}.filename", "`append:` the file"),
            Field(
                f"{stream}.time_format",
                "",
                "lines of a file get no time stamps",
                "the journal stamps each line",
            ),
            Field(f"{stream}.max_bytes", "", _ROTATED, _ROTATE),
            Field(f"{stream}.backup_count", "", _ROTATED, _ROTATE),
            Field(f"{stream}.rotate_when", "", _ROTATED, _ROTATE),
            Field(f"{stream}.rotate_interval", "", _ROTATED, _ROTATE),
            Field(f"{stream}.utc", "", _ROTATED, _ROTATE),
            Field(f"{stream}.color", "", "the journal has no colours of its own", harmless=True),
            Field(f"{stream}.refresh_time", "", _OWN, harmless=True),
        )
    ),
    Field(
        "hooks.*",
        "",
        _HOOK,
        "a command: ExecStartPre=, ExecStartPost=, ExecStop=, ExecStopPost=, ExecCondition=",
    ),
    Field("flapping.*", "the watcher's own values of [plugin:flapping]"),
    Field("check_flapping", "", "a key of old versions", harmless=True),
    Field("prereload_fn", "", _HOOK, "a command: ExecReload="),
)
_SOCKET = (
    Field("host", "`ListenStream=`"),
    Field("port", "`ListenStream=`"),
    Field("path", "`ListenStream=`"),
    Field("family", "by the address"),
    Field("type", "`ListenStream=` for SOCK_STREAM", "", "a socket unit of your own: ListenDatagram="),
    Field("proto", "", "TCP alone", "a socket unit of your own"),
    Field("umask", "`SocketMode=`"),
    Field("backlog", "`Backlog=`"),
    Field("blocking", "`NonBlocking=`"),
    Field("interface", "", "the socket is on all interfaces", "BindToDevice= in a drop-in: systemctl edit"),
    Field("so_reuseport", "", "all instances have one socket", harmless=True),
    Field("replace", "", "systemd replaces a socket that is left over", harmless=True),
    Field("use_papa", "", _OWN, harmless=True),
)
_PLUGIN = (
    Field(
        "use",
        "of flapping: `StartLimitBurst=`, `StartLimitIntervalSec=`; of CommandReloader: `watch` of each program that is given by a path",
        "",
        "others: see what they say of themselves",
    ),
    Field("attempts", "`StartLimitBurst=`, times max_retry"),
    Field("window", "`StartLimitIntervalSec=`"),
    Field(
        "retry_in",
        "",
        "there is no longer wait between the tries",
        "delay and max_delay in the native config",
    ),
    Field("max_retry", "`StartLimitBurst=`, times attempts", "-1 is no limit"),
    Field("active", "no limit where it is false"),
    Field("priority", "", _OWN, harmless=True),
)
_RESOURCES = (
    Field("use", "the plugin"),
    Field("watcher", "the process"),
    Field("service", "an old name of `watcher`"),
    Field(
        "max_mem",
        "`health.alive`: `memory`",
        "children count, files that are only cached do not; a percentage is that of the host where it is imported",
    ),
    Field("loop_rate", "`interval`"),
    Field("max_count", "`retries`"),
    Field("max_cpu", "", "nothing looks at it", "`limits.cpu` keeps a program below it"),
    Field("min_cpu", "", "nothing looks at it", "a health check of your own"),
    Field("min_mem", "", "nothing looks at it", "a health check of your own"),
    Field("health_threshold", "", "it is about memory and CPU together", "max_mem"),
    Field("process_children", "", "children count in any case", harmless=True),
    Field("active", "", _OWN, harmless=True),
    Field("priority", "", _OWN, harmless=True),
)

FIELDS = tuple(
    Field(item.name, item.becomes, item.differs, item.instead, section, item.harmless)
    for section, items in (
        (DAEMON, _DAEMON),
        (WATCHER, _WATCHER),
        (SOCKET, _SOCKET),
        (ENV, (Field("*", "`Environment=`, or an environment file for what looks secret"),)),
        (PLUGIN, _PLUGIN),
        (RESOURCES, _RESOURCES),
    )
    for item in items
)


def _keys(section: str) -> frozenset[str]:
    return frozenset(item.name for item in FIELDS if item.section == section)


DAEMON_KEYS, WATCHER_KEYS, SOCKET_KEYS, PLUGIN_KEYS, RESOURCE_KEYS = map(
    _keys, (DAEMON, WATCHER, SOCKET, PLUGIN, RESOURCES)
)
DAEMON_OWN_KEYS = frozenset(item.name for item in FIELDS if item.section == DAEMON and item.harmless)
OPEN_KEYS = tuple(name.removesuffix("*") for name in WATCHER_KEYS if name.endswith("*"))
