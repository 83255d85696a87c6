"""PM2's keys: their types and other names, which have no meaning without PM2, and which it never had."""

from __future__ import annotations

import re
from dataclasses import dataclass

_WORDS = {
    "string": "a string",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "an object",
}
_EXAMPLES = {
    "string": "'text'",
    "number": "1000",
    "boolean": "true",
    "array": "['a', 'b']",
    "object": "{ key: 'value' }",
}


@dataclass(frozen=True, slots=True)
class Key:
    """One key: the types that PM2 accepts, the first one preferred, and its other names."""

    name: str
    types: tuple[str, ...]
    aliases: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """All names in the order in which PM2 looks for them; each key has a camelCase name, too."""
        camel = re.sub(r"_(\w)", lambda match: match[1].upper(), self.name)
        return tuple(dict.fromkeys((self.name, *self.aliases, camel)))

    @property
    def is_multiword(self) -> bool:
        """Whether PM2 takes 0, false and "" for not set: it does so for keys of two words and more."""
        return "_" in self.name

    @property
    def expected(self) -> str:
        """The types in the words of an error message."""
        return " or ".join(_WORDS[name] for name in self.types)

    @property
    def example(self) -> str:
        """What to write, for the hint of a wrong type."""
        return f"write {self.name}: {_EXAMPLES[self.types[0]]}"


def _keys(*keys: Key) -> dict[str, Key]:
    return {key.name: key for key in keys}


_STRING, _NUMBER, _FLAG = ("string",), ("number",), ("boolean",)
_LIST, _OBJECT = ("array", "string"), ("object",)

KEYS = _keys(
    Key("script", _STRING, ("cmd", "command", "exec")),
    Key("name", _STRING),
    Key("name_prefix", _STRING),
    Key("append_env_to_name", _FLAG),
    Key("namespace", _STRING),
    Key("cwd", _STRING),
    Key("args", _LIST),
    Key("exec_interpreter", _STRING, ("interpreter",)),
    Key("node_args", _LIST, ("interpreter_args", "interpreterArgs")),
    Key("env", _OBJECT),
    Key("filter_env", ("boolean", "array", "string")),
    Key("port", _NUMBER),
    Key("instances", _NUMBER),
    Key("exec_mode", _STRING),
    Key("instance_var", _STRING),
    Key("increment_var", _STRING),
    Key("uid", ("number", "string"), ("user",)),
    Key("gid", ("number", "string")),
    Key("autostart", _FLAG),
    Key("autorestart", _FLAG),
    Key("stop_exit_codes", ("array", "number")),
    Key("restart_delay", _NUMBER),
    Key("exp_backoff_restart_delay", _NUMBER),
    Key("min_uptime", ("number", "string")),
    Key("max_restarts", _NUMBER),
    Key("max_memory_restart", ("string", "number")),
    Key("cron_restart", ("string", "number"), ("cron",)),
    Key("kill_timeout", _NUMBER),
    Key("treekill", _FLAG),
    Key("shutdown_with_message", _FLAG),
    Key("wait_ready", _FLAG),
    Key("listen_timeout", _NUMBER),
    Key("watch", ("boolean", "array", "string")),
    Key("ignore_watch", _LIST),
    Key("watch_delay", _NUMBER),
    Key("watch_options", _OBJECT),
    Key("out_file", _STRING, ("out_log", "output", "out")),
    Key("error_file", _STRING, ("err_log", "err_file", "err", "error")),
    Key("log_file", ("boolean", "string"), ("log",)),
    Key("disable_logs", _FLAG),
    Key("log_type", _STRING),
    Key("log_date_format", _STRING),
    Key("time", _FLAG),
    Key("merge_logs", _FLAG, ("combine_logs",)),
    Key("pid_file", _STRING, ("pid",)),
    Key("source_map_support", _FLAG),
    Key("disable_source_map_support", _FLAG),
    Key("execute_command", _FLAG),
    Key("vizion", _FLAG),
    Key("post_update", ("array",)),
    Key("pmx", ("boolean", "string")),
    Key("automation", _FLAG),
    Key("io", _OBJECT),
    Key("trace", _FLAG),
    Key("disable_trace", _FLAG),
    Key("v8", _FLAG),
    Key("event_loop_inspector", _FLAG),
    Key("deep_monitoring", _FLAG),
    Key("force", _FLAG),
    Key("install_url", _STRING),
    Key("username", _STRING),
    Key("write", _FLAG),
    Key("windowsHide", _FLAG),
    Key("kill_retry_time", _NUMBER),
)

BY_NAME = {name: key for key in KEYS.values() for name in key.names}

_AGENT = "it speaks to the pm2.io agent"
# What the key does, for the note that says that it has nothing to do here.
WITHOUT_MEANING = {
    "vizion": "it reads the version control data for `pm2 list`",
    "post_update": "it belongs to `pm2 pull`",
    "pmx": _AGENT,
    "automation": _AGENT,
    "io": _AGENT,
    "trace": _AGENT,
    "disable_trace": _AGENT,
    "v8": _AGENT,
    "event_loop_inspector": _AGENT,
    "deep_monitoring": _AGENT,
    "force": "it lets `pm2 start` start a script twice",
    "install_url": "PM2 sets it itself",
    "username": "PM2 sets it itself",
    "write": "it belongs to `pm2 init`",
    "windowsHide": "it hides a window on Windows",
    "kill_retry_time": "it is how often PM2 looks whether the program has ended; systemd is told by the kernel",
    "execute_command": "it makes PM2 use fork mode",
    "filter_env": "it keeps variables of the shell out; systemd starts with a clean environment",
}

# Keys that people write and PM2 never had: what they are probably meant for.
NEVER_HAD = {
    "env_file": "PM2 takes it for the environment of `--env file`: read the file in the program, "
    "or with node_args: '--env-file=.env' (Node 20.6)",
    "health_check_grace_period": "PM2 has no health checks",
    "health_check_url": "PM2 has no health checks",
    "health_check": "PM2 has no health checks",
    "max_cpu_restart": "PM2 has no CPU limit; systemd has one: CPUQuota=",
    "max_pmem_restart": "PM2 has max_memory_restart, in bytes or with K, M, G",
    "max_memory": "PM2 has max_memory_restart, in bytes or with K, M, G",
    "memory_limit": "PM2 has max_memory_restart, in bytes or with K, M, G",
    "monitoring": "PM2 has no such switch",
    "instance": "did you mean 'instances'?",
    "params": "did you mean 'args'?",
    "arguments": "did you mean 'args'?",
    "environment": "did you mean 'env'?",
    "description": "systemd has one: Description=",
    "depends_on": "PM2 has no dependencies; the native config has depends_on",
    "restart": "did you mean 'autorestart'?",
    "auto_restart": "did you mean 'autorestart'?",
    "group": "did you mean 'gid'?",
    "log_rotate": "PM2 rotates with a module of its own; the journal rotates by itself",
    "timezone": "set TZ in `env`",
    "tz": "set TZ in `env`",
}
