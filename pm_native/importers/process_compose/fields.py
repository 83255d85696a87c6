"""process-compose's fields: what becomes of each."""

from __future__ import annotations

from pm_native.importers.base import Field

TOP = "the file"
PROCESS = "a process"

_SCREEN = "it is about process-compose's own screen and server"
_LOG_FORMAT = (
    "it shapes process-compose's own log files; the output of programs goes to the journal as it is"
)
_PROBE = "a check of `health.startup` and of `health.alive`"


def _probe(name: str, becomes: str, differs: str = "") -> tuple[Field, ...]:
    return (
        Field(f"{name}.exec.command", becomes, differs, section=PROCESS),
        Field(f"{name}.exec.working_dir", "`cd` before the command of the probe", section=PROCESS),
        Field(f"{name}.http_get.host", "the `host` of an http probe", section=PROCESS),
        Field(f"{name}.http_get.scheme", "the scheme of an http probe", section=PROCESS),
        Field(f"{name}.http_get.path", "the path of an http probe", section=PROCESS),
        Field(f"{name}.http_get.port", "the port of an http probe", section=PROCESS),
        Field(f"{name}.http_get.headers.*", "a header of an http probe", section=PROCESS),
        Field(f"{name}.http_get.status_code", "the status that an http probe wants", section=PROCESS),
        Field(f"{name}.initial_delay_seconds", "`start_period`", "probes begin at once, and do not count until then", section=PROCESS),
        Field(f"{name}.period_seconds", "`interval`", section=PROCESS),
        Field(f"{name}.timeout_seconds", "`timeout`", section=PROCESS),
        Field(f"{name}.success_threshold", "`success`", "process-compose ignores it", section=PROCESS),
        Field(f"{name}.failure_threshold", "`retries`", section=PROCESS),
    )  # fmt: skip


FIELDS = (
    Field("version", differs="it says which process-compose the file is for", section=TOP, harmless=True),
    Field("name", "the name of the project", section=TOP),
    Field("processes.*", "a process", section=TOP),
    Field("environment", "`environment` of each process", section=TOP),
    Field("vars.*", "what stands for `{{.NAME}}`", "other templates than plain names are errors", section=TOP),
    Field("shell.shell_command", "the shell of each `command`", section=TOP),
    Field("shell.shell_argument", "the argument before each `command`", section=TOP),
    Field("shell.elevated_shell_command", differs="nothing asks for a password: the system manager is root", instead="leave `user` out to run as root", section=TOP, harmless=True),
    Field("shell.elevated_shell_argument", differs="as `shell.elevated_shell_command`", section=TOP, harmless=True),
    Field("extends", "the file that this one is laid over", section=TOP),
    Field("disable_env_expansion", "`$NAME` stays as it is", section=TOP),
    Field("env_cmds.*", differs="no command runs while a config is read", instead="put its output into an environment file: env_file", section=TOP),
    Field("log_location", differs="there is no log of all processes in one file", instead="journalctl -u 'PROJECT-*' shows all of them", section=TOP),
    Field("is_strict", "unknown fields are told in any case", section=TOP),
    Field("ordered_shutdown", "processes always stop in the reverse order of their dependencies", section=TOP),
    Field("log_level", differs=_SCREEN, section=TOP, harmless=True),
    Field("log_length", differs=_SCREEN, section=TOP, harmless=True),
    Field("log_no_color", differs=_SCREEN, section=TOP, harmless=True),
    Field("log_format", differs=_LOG_FORMAT, section=TOP, harmless=True),
    Field("log_configuration", differs=_LOG_FORMAT, instead="journald.conf(5) says how much the journal keeps", section=TOP, harmless=True),
    Field("disable_json", differs=_LOG_FORMAT, section=TOP, harmless=True),
    Field("is_tui_disabled", differs=_SCREEN, section=TOP, harmless=True),
    Field("is_dotenv_disabled", "`.env` is not read", section=TOP),
    Field("mcp_server", differs=_SCREEN, section=TOP, harmless=True),
    Field("port", differs=_SCREEN, section=TOP, harmless=True),
    Field("command", "the program, by the shell", section=PROCESS),
    Field("entrypoint", "`command`, as a list", "`command` wins where both are given", section=PROCESS),
    Field("description", "`description`", section=PROCESS),
    Field("working_dir", "`directory`", section=PROCESS),
    Field("environment", "`environment`", section=PROCESS),
    Field("env_file", "an environment file, read when units are made", section=PROCESS),
    Field("env_file.path", "an environment file", section=PROCESS),
    Field("env_file.required", "whether the environment file must be there", section=PROCESS),
    Field("is_dotenv_disabled", "`.env` is left out", section=PROCESS),
    Field("vars.*", "what stands for `{{.NAME}}`", section=PROCESS),
    Field("is_template_disabled", "`{{.NAME}}` in the command stays as it is", section=PROCESS),
    Field("availability.restart", "`restart.policy`, and `restart.prevent_codes` for exit codes that are no failure", "a death by a signal is a failure", section=PROCESS),
    Field("availability.backoff_seconds", "`restart.delay`", section=PROCESS),
    Field("availability.max_restarts", "`restart.limit`", "a count over the life of the unit; a start by hand begins it anew", section=PROCESS),
    Field("availability.exit_on_end", "`OnSuccess=` and `OnFailure=` stop the project", "the exit code is not handed on", section=PROCESS),
    Field("availability.exit_on_skipped", "`OnFailure=` stops the project", "a failure of the process itself stops it, too", section=PROCESS),
    Field("success_exit_codes", "`stop.success_codes` and `restart.prevent_codes`", section=PROCESS),
    Field("depends_on.*.condition", "`depends_on`: started, ready or completed", "without a condition process-compose waits for the end of the dependency: state it", section=PROCESS),
    *_probe("readiness_probe", _PROBE),
    *_probe("liveness_probe", "a check of `health.alive`; a program that fails it is ended, and `availability` decides", "process-compose does so with daemons alone"),
    Field("ready_log_line", "an output probe of `health.ready`", section=PROCESS),
    Field("shutdown.command", "`ExecStop=`", "what it leaves running gets the signal then, and is killed in the end; process-compose waits and kills", section=PROCESS),
    Field("shutdown.timeout_seconds", "`stop.timeout`", "without one process-compose waits for ever after a signal: here 10 s", section=PROCESS),
    Field("shutdown.signal", "`stop.signal`", section=PROCESS),
    Field("shutdown.parent_only", '`stop.mode = "mixed"`', "what is left of the group is killed in the end", section=PROCESS),
    Field("shutdown.send_keys", differs="nothing types keys into a program", instead="shutdown.signal, or shutdown.command", section=PROCESS),
    Field("is_daemon", "a task whose processes stay, with `ExecStop=`", "a daemon that runs in front of its unit is watched and restarted; this is not", instead="let the program run in the foreground", section=PROCESS),
    Field("launch_timeout_seconds", "`start_timeout`", section=PROCESS),
    Field("disabled", "`autostart = false`", section=PROCESS),
    Field("is_disabled", "`autostart = false`", section=PROCESS),
    Field("replicas", "`instances`", section=PROCESS),
    Field("namespace", differs="there are no groups of processes within a project", instead="pm-native start and stop take several names", section=PROCESS),
    Field("log_location", "`logs`", "plain lines, not JSON", section=PROCESS),
    Field("log_configuration", differs="a log file is not rotated", instead="leave log_location out: the journal keeps its size, or logrotate(8) with copytruncate", section=PROCESS),
    Field("is_foreground", differs="no program has the terminal", instead="run it by hand", section=PROCESS),
    Field("is_tty", differs="no program has a terminal", instead="most programs take their colours from an option or FORCE_COLOR", section=PROCESS),
    Field("is_interactive", differs="no program has the terminal", instead="run it by hand", section=PROCESS),
    Field("is_elevated", "no `user`", "runs as the user of the manager: root in the system manager", section=PROCESS),
    Field("schedule.cron", "`schedule`", section=PROCESS),
    Field("schedule.timezone", "the time zone of `schedule`", section=PROCESS),
    Field("schedule.interval", "`schedule`, by the clock: 5m is each full five minutes", "an interval that divides no minute, hour or day is an error", section=PROCESS),
    Field("schedule.run_on_start", "`OnActiveSec=0` of the timer", section=PROCESS),
    Field("schedule.max_concurrent", differs="a timer starts nothing that still runs", section=PROCESS),
    Field("watch.paths", "`watch`", section=PROCESS),
    Field("watch.debounce", "`watch.delay`", section=PROCESS),
    Field("watch.cascade", differs="what depends on a process stays as it is when the process restarts", instead="watch the same files there", section=PROCESS),
    Field("disable_ansi_colors", differs=_SCREEN, section=PROCESS, harmless=True),
    Field("mcp", differs=_SCREEN, section=PROCESS, harmless=True),
    Field("extensions", differs="it is for other programs", section=PROCESS, harmless=True),
)  # fmt: skip
