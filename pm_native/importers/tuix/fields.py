"""TUIX's fields: what becomes of each."""

from __future__ import annotations

from pm_native.importers.base import Field

TOP = "`processManager`, or the file"
PROCESS = "a process"
GROUP = "a group"
DEPENDENCY = "a dependency"

_ADDS = "TUIX declares it and does nothing with it: here it works"
_STATE = "it is what TUIX last saw of the process"
_OWN = "it is where TUIX keeps its own files"


def _process(name: str, becomes: str, differs: str = "", instead: str = "") -> Field:
    return Field(name, becomes, differs, instead, PROCESS)


def _state(name: str) -> Field:
    return Field(name, "", _STATE, section=PROCESS, harmless=True)


FIELDS = (
    Field("processes", "processes", section=TOP),
    Field("services.*", "a process", section=TOP),
    Field("groups", "`After=` between the members of a group that start one after the other", section=TOP),
    Field("dependencies", "`depends_on`", section=TOP),
    Field("globalEnv.*", "`environment` of each process", section=TOP),
    Field("cwd", "the folder that relative paths start at", section=TOP),
    Field("enabled", "", "a config that is read is meant", section=TOP, harmless=True),
    Field("configFile", "", _OWN, section=TOP, harmless=True),
    Field("configPath", "", _OWN, section=TOP, harmless=True),
    Field("tuixDir", "", _OWN, section=TOP, harmless=True),
    Field("logDir", "", _OWN, section=TOP, harmless=True),
    Field("pidDir", "", _OWN, section=TOP, harmless=True),
    Field("maxLogSize", "", "the journal has a size of its own", "journald.conf(5)", TOP, harmless=True),
    Field("maxLogFiles", "", "the journal has a size of its own", "journald.conf(5)", TOP, harmless=True),
    Field("autoSave", "", _OWN, section=TOP, harmless=True),
    Field("autoRestart", "`restart.policy` of processes that do not say", section=TOP),
    Field("statsInterval", "", "pm-native status measures when it is asked", section=TOP, harmless=True),
    Field("skipShutdownHandlers", "", "it is for tests of TUIX", section=TOP, harmless=True),
    Field("orchestrator", "", _STATE, section=TOP, harmless=True),
    Field("timestamp", "", _STATE, section=TOP, harmless=True),
    _process("name", "the name"),
    _process("id", "the name, where there is none"),
    _process("command", "`command`, with `args`; without them it is split into words"),
    _process("args", "the arguments of `command`"),
    _process("interpreter", "the program before `command`; shell: `/bin/sh -c`", _ADDS),
    _process("cwd", "`directory`"),
    _process("env.*", "`environment`"),
    _process("autostart", "`autostart`"),
    _process("autorestart", "`restart.policy`; codes 0 and 143 end it"),
    _process("autoRestart", "as `autorestart`"),
    _process("restartDelay", "`restart.delay`", "TUIX waits a second more each time, whatever it says"),
    _process("maxRestarts", "`restart.limit`", "0 means 5, as in TUIX"),
    _process("maxMemory", "`health.alive`: `memory`, in megabytes; `limits.memory` where nothing restarts it", _ADDS),
    _process("maxCpu", "`limits.cpu`, in percent of one CPU", _ADDS),
    _process("uid", "`user`", _ADDS),
    _process("gid", "`group`", _ADDS),
    _process("logFile", "`logs.stdout`", _ADDS),
    _process("errorFile", "`logs.stderr`", _ADDS),
    _process("group", "", "a project is one group", "pm-native start and stop take several names"),
    _process("watch", "`watch`", _ADDS),
    _process("watchPaths", "the patterns of `watch`, by default the folder", _ADDS),
    _process("ignoreWatch", "`watch.ignore`", _ADDS),
    _process("watchDebounce", "`watch.delay`, in milliseconds", _ADDS),
    _process("healthCheck.type", "an http, tcp, exec or output probe of `health`", _ADDS),
    _process("healthCheck.url", "the host, port and path of the http probe"),
    _process("healthCheck.method", "the method of the http probe"),
    _process("healthCheck.expectedStatus", "the statuses that the http probe takes"),
    _process("healthCheck.host", "the host of the tcp probe"),
    _process("healthCheck.port", "the port of the tcp probe"),
    _process("healthCheck.script", "the command of the exec probe"),
    _process("healthCheck.outputPattern", "the pattern of the output probe"),
    _process("healthCheck.interval", "`interval`, in milliseconds"),
    _process("healthCheck.timeout", "`timeout`, in milliseconds"),
    _process("healthCheck.retries", "`retries`"),
    _process("healthCheck.startPeriod", "`start_period`, in milliseconds"),
    _process("healthCheck.startupDelay", "`start_period`, added to `startPeriod`"),
    Field("skipValidation", "", "programs are found when units are made: --allow-missing goes on without", section=PROCESS, harmless=True),
    Field("pty", "", "no program has a terminal", "most programs take their colours from an option", PROCESS),
    Field("ptyCols", "", "as `pty`", section=PROCESS),
    Field("ptyRows", "", "as `pty`", section=PROCESS),
    *(_state(name) for name in ("status", "pid", "startTime", "restarts", "lastError", "memory", "cpu", "logs", "stats", "health", "ipcConfig")),
    Field("name", "", "groups have no name here", section=GROUP, harmless=True),
    Field("processes", "the members", section=GROUP),
    Field("autostart", "`autostart` of the members", section=GROUP),
    Field("startOrder", "sequential: `After=` of the one before", section=GROUP),
    Field("stopOrder", "the reverse of the start order, as systemd has it", section=GROUP),
    Field("process", "the process that waits", section=DEPENDENCY),
    Field("dependsOn", "the processes it waits for", section=DEPENDENCY),
    Field("waitForReady", "ready, else started", _ADDS, section=DEPENDENCY),
    Field("readyTimeout", "`start_timeout` of what is waited for", _ADDS, section=DEPENDENCY),
)  # fmt: skip
