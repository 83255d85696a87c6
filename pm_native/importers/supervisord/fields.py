"""Every field of supervisord.conf: what becomes of it. The keys that the importer knows are read off this table."""

from __future__ import annotations

import re

from pm_native.importers.base import Field

PROGRAM, FCGI, LISTENER = "[program:x]", "[fcgi-program:x]", "[eventlistener:x]"
GROUP, DAEMON, INCLUDE = "[group:x]", "[supervisord]", "[include]"
UNIX, INET, CONTROL, RPC = "[unix_http_server]", "[inet_http_server]", "[supervisorctl]", "[rpcinterface:x]"

_OWN = "it is supervisord's own, and there is no supervisord"
_COMMANDS = "systemctl and `pm-native status` speak to systemd, which asks for no password of its own"
_ROTATED = "a file that is appended to is not rotated"
_ROTATE = "leave the log file out: the journal keeps its size by itself; or logrotate with copytruncate"

_PROGRAM = (
    Field("command", "`ExecStart=`", "found on PATH when compiling, not at start"),
    Field("process_name", "the name, where `numprocs` makes processes of their own"),
    Field("numprocs", "a pool", "several processes where directory or log files have the number in them"),
    Field("numprocs_start", "the number of the first instance"),
    Field(
        "priority",
        "`Wants=` and `After=` on all of the priority before",
        "starts go by it as with supervisord, without waiting; and the stop of all goes the other way",
    ),
    Field("autostart", "wanted by the target, or not"),
    Field(
        "startsecs",
        "a part of `StartLimitIntervalSec=`",
        "counts against startretries; a start is not held up by it, and an expected exit within it stays down",
    ),
    Field(
        "startretries", "`StartLimitBurst=`, one more", "a failed start is tried again after 1 s each time"
    ),
    Field(
        "autorestart",
        "`Restart=always` or `no`, with `RestartPreventExitStatus=` for `unexpected`",
        "after 1 s; `false` is never started again, where supervisord retries an exit within startsecs",
    ),
    Field(
        "exitcodes", "`RestartPreventExitStatus=` and `SuccessExitStatus=`", "with `autorestart=unexpected`"
    ),
    Field("stopsignal", "`KillSignal=`"),
    Field("stopwaitsecs", "`TimeoutStopSec=`"),
    Field("stopasgroup", "`KillMode=control-group`", "reaches children that left the process group, too"),
    Field(
        "killasgroup",
        "`KillMode=mixed`",
        "without it, too, nothing stays behind; a shell or npm before the program gets control-group",
    ),
    Field(
        "user", "`User=`", "HOME, USER and SHELL are the user's own, and the supplementary groups come along"
    ),
    Field("umask", "`UMask=`"),
    Field(
        "directory",
        "`WorkingDirectory=`",
        "without it, that of [supervisord], else the folder of the config",
    ),
    Field("environment", "`Environment=`, or an environment file for what looks secret"),
    Field("redirect_stderr", "both streams go to one place"),
    Field("stdout_logfile", "`StandardOutput=append:`", "AUTO and /dev/stdout are the journal"),
    Field("stdout_logfile_maxbytes", "", _ROTATED, _ROTATE),
    Field("stdout_logfile_backups", "", _ROTATED, _ROTATE),
    Field("stdout_capture_maxbytes", "", "there are no events", "read the journal"),
    Field("stdout_events_enabled", "", "there are no events", "read the journal"),
    Field("stdout_syslog", "the journal", "which syslog reads where one runs"),
    Field("stderr_logfile", "`StandardError=append:`", "AUTO and /dev/stderr are the journal"),
    Field("stderr_logfile_maxbytes", "", _ROTATED, _ROTATE),
    Field("stderr_logfile_backups", "", _ROTATED, _ROTATE),
    Field("stderr_capture_maxbytes", "", "there are no events", "read the journal"),
    Field("stderr_events_enabled", "", "there are no events", "read the journal"),
    Field("stderr_syslog", "the journal", "which syslog reads where one runs"),
    Field("serverurl", "", "there is no supervisord to call", "call systemctl, or systemd over D-Bus"),
)
_FCGI = (
    Field(
        "socket",
        "a socket unit, and `StandardInput=socket`",
        "open before the first start and after the last stop",
    ),
    Field("socket_backlog", "`Backlog=`"),
    Field("socket_owner", "`SocketUser=`, `SocketGroup=`"),
    Field("socket_mode", "`SocketMode=`"),
)
_LISTENER = (
    Field(
        "command",
        "memmon and httpok: `health.alive`; supervisor_stdout is the journal itself",
        "memory counts children, files that are only cached it does not",
        "crashmail and its kin: `OnFailure=` of a unit that sends mail; TICK: a schedule",
    ),
    Field("events", "", "systemd sends none on standard input", "see `command`"),
    Field("buffer_size", "", _OWN, harmless=True),
    Field("result_handler", "", _OWN, harmless=True),
)
_DAEMON = (
    Field("user", "`User=` of programs without one"),
    Field("umask", "`UMask=` of programs without one"),
    Field("directory", "`WorkingDirectory=` of programs without one"),
    Field("environment", "`Environment=` of all programs"),
    Field("minfds", "`LimitNOFILE=`", "where it is more than 1024, which systemd gives, too"),
    Field("minprocs", "", "systemd sets no lower limit than the kernel's", harmless=True),
    Field("identifier", "the name of the project"),
    Field(
        "strip_ansi",
        "",
        "the journal keeps escape sequences",
        "programs leave colours out where they see no terminal",
    ),
    *(
        Field(name, "", _OWN, harmless=True)
        for name in (
            "logfile",
            "logfile_maxbytes",
            "logfile_backups",
            "loglevel",
            "pidfile",
            "nodaemon",
            "silent",
            "childlogdir",
            "nocleanup",
        )
    ),
)
_SERVER = ("username", "password")

FIELDS = (
    *(
        Field(item.name, item.becomes, item.differs, item.instead, PROGRAM, item.harmless)
        for item in _PROGRAM
    ),
    *(Field(item.name, item.becomes, item.differs, item.instead, FCGI) for item in _FCGI),
    *(
        Field(item.name, item.becomes, item.differs, item.instead, LISTENER, item.harmless)
        for item in _LISTENER
    ),
    Field(
        "programs",
        "their processes are called GROUP-PROGRAM",
        "there is no unit of the group",
        "systemctl stop 'PROJECT-GROUP-*'",
        GROUP,
    ),
    Field("priority", "as that of a program", "", "", GROUP),
    *(Field(item.name, item.becomes, item.differs, item.instead, DAEMON, item.harmless) for item in _DAEMON),
    Field("files", "the files are read as one config", "", "", INCLUDE),
    *(Field(name, "", _COMMANDS, "", UNIX, harmless=True) for name in ("file", "chmod", "chown", *_SERVER)),
    *(
        Field(
            name,
            "",
            "the web page and XML-RPC go away",
            "`pm-native status`, systemctl, systemd's D-Bus interface",
            INET,
        )
        for name in ("port", *_SERVER)
    ),
    *(
        Field(name, "", _COMMANDS, "", CONTROL, harmless=True)
        for name in ("serverurl", "prompt", "history_file", *_SERVER)
    ),
    Field("supervisor.rpcinterface_factory", "", "XML-RPC goes away", "systemd's D-Bus interface", RPC),
)


def _keys(*sections: str) -> frozenset[str]:
    return frozenset(item.name for item in FIELDS if item.section in sections)


PROGRAM_KEYS = _keys(PROGRAM)
FCGI_KEYS = _keys(PROGRAM, FCGI)
LISTENER_KEYS = _keys(PROGRAM, LISTENER)
GROUP_KEYS = _keys(GROUP)
DAEMON_KEYS = _keys(DAEMON)
DAEMON_OWN_KEYS = frozenset(item.name for item in FIELDS if item.section == DAEMON and item.harmless)

_SECTION = re.compile(r"(?:program|fcgi-program|eventlistener|group|rpcinterface|ctlplugin):.*")
_SECTIONS = frozenset({"supervisord", "supervisorctl", "unix_http_server", "inet_http_server", "include"})


def is_section(name: str) -> bool:
    """Whether supervisord knows a section of this name."""
    return name in _SECTIONS or _SECTION.fullmatch(name) is not None
