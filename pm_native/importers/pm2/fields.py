"""PM2's keys for the docs: what becomes of each."""

from __future__ import annotations

from pm_native.importers.base import Field
from pm_native.importers.pm2.keys import KEYS, WITHOUT_MEANING

TOP, APP = "the file", "an app"

_APP = {
    "script": ("`command`", "a script with blanks is a line of bash, as in PM2"),
    "name": ("the name", "two apps of one name are an error: PM2 doubles them at a restart"),
    "name_prefix": ("the beginning of the name", ""),
    "append_env_to_name": ("the end of the name, with `--env`", ""),
    "cwd": ("`directory`", "a relative one starts at the folder of the config, not at that of the shell"),
    "args": ("the arguments of `command`", ""),
    "exec_interpreter": ("the program before `script`", "a script of another language is run by its shebang"),
    "node_args": ("the arguments before `script`", ""),
    "env": ("`environment`", "the variables of your shell are not there"),
    "port": ("`PORT` in `environment`", ""),
    "instances": ("`instances`", "max and 0: one per CPU; instances count from 1, NODE_APP_INSTANCE from 0"),
    "instance_var": ("`counters`", ""),
    "increment_var": ("`counters`", ""),
    "exec_mode": ("cluster: a pool", "with `PORT` in env one listener for all, by `listen`"),
    "uid": ("`user`", ""),
    "gid": ("`group`", ""),
    "autostart": ("`autostart`", ""),
    "autorestart": ("`restart.policy`", ""),
    "stop_exit_codes": ("`restart.prevent_codes` and `stop.success_codes`", "a death by a signal is not code 0 here"),
    "restart_delay": ("`restart.delay`", ""),
    "exp_backoff_restart_delay": ("`restart.delay`, `max_delay` and `steps`", "it does not start over after 30 s of uptime"),
    "min_uptime": ("a part of `restart.window`", ""),
    "max_restarts": ("`restart.limit`", "it trips, as PM2's does only in the first seconds"),
    "max_memory_restart": ("`health.alive`: `memory`", "children count; of a job `limits.memory`"),
    "cron_restart": ("with `autorestart: false` a `schedule`; else a task NAME-restart, whose `schedule` restarts it", "what is stopped stays stopped"),
    "kill_timeout": ("`stop.timeout`", ""),
    "treekill": ("`stop.mode`", "what is left in the group is killed in the end in any case"),
    "out_file": ("`logs.stdout`", ""),
    "error_file": ("`logs.stderr`", ""),
    "shutdown_with_message": ("`channel.shutdown`", "the message 'shutdown', then SIGINT"),
    "wait_ready": ("`channel.ready`", "process.send('ready') makes the unit active"),
    "listen_timeout": ("`channel.ready_timeout`", "taken as ready without the message, as PM2 does"),
    "watch": ("`watch`", "what tools and editors write by themselves is always ignored; a program that writes there is slowed down"),
    "ignore_watch": ("`watch.ignore`", ""),
    "watch_delay": ("`watch.delay`", "a time without changes, by default 300 ms"),
    "watch_options": ("`watch.ignore`, by its `ignored`", "the rest is about how chokidar watches"),
    "disable_logs": ("`logs` that are `null`", ""),
    "merge_logs": ("one file for all instances", "the journal tells them apart"),
}  # fmt: skip
_NOTHING = {
    "namespace": ("a project is one group", "a config of its own for each group"),
    "log_file": ("nothing writes both streams to one file in addition", "journalctl -u UNIT shows both"),
    "log_type": ("the output stays as it is", "journalctl -o json"),
    "log_date_format": ("the journal stamps each line in its own way", "journalctl -o short-iso-precise"),
    "time": ("the journal stamps each line in its own way", "journalctl -o short-iso-precise"),
    "pid_file": ("nothing writes it", "systemctl show -P MainPID UNIT"),
    "source_map_support": ("PM2 loads source maps into Node", "node_args: '--enable-source-maps'"),
    "disable_source_map_support": ("source maps are not loaded in any case", ""),
}
_TOP = (
    Field("apps", "processes", section=TOP),
    Field("pm2", "as `apps`", section=TOP),
    Field(
        "deploy",
        "",
        "pm-native copies nothing to other hosts",
        "your deploy tool, then pm-native apply",
        TOP,
    ),
    Field("static", "", "there is no file server", "a web server, as a process", TOP),
)


def fields() -> tuple[Field, ...]:
    """Every key of the file and of an app, and the tables of `--env`."""
    found = [*_TOP]
    for key in KEYS.values():
        if key.name in _APP:
            becomes, differs = _APP[key.name]
            found.append(Field(key.name, becomes, differs, section=APP))
        elif key.name in _NOTHING:
            differs, instead = _NOTHING[key.name]
            found.append(Field(key.name, "", differs, instead, APP))
        else:
            found.append(Field(key.name, "", WITHOUT_MEANING[key.name], section=APP, harmless=True))
    found.append(Field("env_*", "`environment`, over `env`, with `--env NAME`", section=APP))
    return tuple(found)
