"""[process.NAME] to the model."""

from __future__ import annotations

import shlex

from pm_native.config.confinement import sandbox, secrets
from pm_native.config.decoder import TableDecoder, list_of, table_of
from pm_native.config.health import HealthDecoder
from pm_native.config.keys import PROCESS, Maximum
from pm_native.config.table import MapOf, Table
from pm_native.config.types import name_problem, wrong_type
from pm_native.model.names import is_name, is_variable
from pm_native.model.project import (
    JOURNAL,
    NULL,
    Channel,
    Condition,
    Counter,
    Dependency,
    Limits,
    Listen,
    Logs,
    PassThrough,
    Process,
    ProcessKind,
    Restart,
    RestartPolicy,
    Stop,
)
from pm_native.model.watch import Watch
from pm_native.syntax.node import Node

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import PurePosixPath

    from pm_native.config.decoder import Values
    from pm_native.errors import Diagnostics, Span
    from pm_native.model.project import Variable

    ReadEnvironmentFiles = Callable[[list[tuple[str, Span]]], dict[str, Variable]]

# Unquoted, these words mean something to a shell and nothing to a program.
_SHELL_WORDS = ("|", "||", "&", "&&", ";", ">", ">>", "<", "2>", "2>&1")


class Common:
    """What the processes of a project share."""

    def __init__(
        self,
        *,
        directory: PurePosixPath,
        values: Values,
        origins: Mapping[str, Span],
        file_environment: dict[str, Variable],
        read: ReadEnvironmentFiles,
    ) -> None:
        self.directory = directory
        self.values = values
        self.origins = origins
        self.file_environment = file_environment
        self.read = read

    def environment(self, own: object) -> dict[str, Variable]:
        """The project's variables, and over them the process's own."""
        merged: dict[str, Variable] = {}
        for layer in (self.values.get("environment"), own):
            if isinstance(layer, dict):
                merged |= layer
        return merged


def decode_process(name: str, node: Node, common: Common, problems: Diagnostics) -> Process:
    """One process; what it does not say comes from the project, then from the model's defaults."""
    if not is_name(name):
        name_problem(name, node.key, problems)
    decoder = TableDecoder(problems)
    values = decoder.decode(node, PROCESS)
    directory = common.directory / str(values.get("directory", ""))
    own_files = environment_files(values, decoder.origins.get("environment_files"), directory)
    schedule = values.get("schedule", ())
    lines = tuple(line for group in schedule for line in group) if isinstance(schedule, tuple) else ()
    kind = values.get("kind") or (ProcessKind.TASK if lines else ProcessKind.SERVICE)
    fields: Values = {
        "name": name,
        "command": _command(values, decoder, node, problems),
        "directory": directory,
        "kind": kind,
        "schedule": lines,
        "counters": _counters(values.get("counters"), decoder),
        "depends_on": _dependencies(values.get("depends_on"), decoder),
        "restart": _restart(table_of(values, "restart"), kind is ProcessKind.TASK),
        "stop": _stop(table_of(values, "stop")),
        "limits": _limits(table_of(values, "limits")),
        "logs": _logs(table_of(values, "logs"), common.directory),
        "restart_on": tuple(str(directory / str(path)) for path in list_of(values, "restart_on")),
        "listen": _listen(table_of(values, "listen"), decoder, directory),
        "channel": _channel(values.get("channel")),
        "umask": _mode(values.get("umask"), "umask", decoder),
        "environment": common.environment(values.get("environment")),
        "file_environment": {**common.file_environment, **common.read(own_files)},
        "sandbox": sandbox(values, common.values, directory),
        "secrets": secrets(values.get("secrets"), decoder, directory),
        "watch": _watch(table_of(values, "watch")),
        "systemd": _pass_through(values.get("systemd"), decoder),
        "span": node.key,
        "origins": {**common.origins, **decoder.origins},
    }
    for key in ("user", "group"):
        fields[key] = values.get(key, common.values.get(key))
    if isinstance(instances := values.get("instances"), Maximum):
        fields["instances"] = instances.value
    elif instances is not None:
        fields["instances"] = instances
    for key in (
        "description",
        "first_instance",
        "autostart",
        "notify",
        "on_change",
        "max_unavailable",
        "protect",
    ):
        if key in values:
            fields[key] = values[key]
    if "start_timeout" in values:
        fields["start_timeout_usec"] = values["start_timeout"]
    if "health" in values:
        health = HealthDecoder(decoder, str(directory))
        fields["health"] = health.health(table_of(values, "health"))
    return Process(**fields)  # type: ignore[arg-type]  # the key table gives each key the type of its field


def _command(values: Values, decoder: TableDecoder, node: Node, problems: Diagnostics) -> tuple[str, ...]:
    command = values.get("command", ())
    span = decoder.origins.get("command", node.key)
    if isinstance(command, tuple):
        if values.get("shell"):
            hint = "give `command` as one string, or leave `shell` out"
            problems.error(span, "a list of words needs no shell", code="shell-list", hint=hint)
        return command
    text = str(command)
    if values.get("shell"):
        return ("/bin/sh", "-c", text)
    try:
        words = shlex.split(text)
    except ValueError as error:
        hint = "close the quote, or give the command as a list of words"
        reason = str(error).lower()
        problems.error(span, f"cannot split the command into words: {reason}", code="bad-command", hint=hint)
        return ()
    if words and not words[0]:
        problems.error(span, "an empty command", code="empty-value")
        return ()
    if found := [word for word in words if word in _SHELL_WORDS]:
        hint = "shell = true runs it by /bin/sh -c; a list of words takes it literally"
        if found[0] == "&":
            hint = "take it out: systemd itself keeps the program in the background"
        problems.warning(
            span, f"{found[0]!r} means something to a shell only", code="needs-shell", hint=hint
        )
    return tuple(words)


def _dependencies(node: object, decoder: TableDecoder) -> tuple[Dependency, ...]:
    if not isinstance(node, Node):
        return ()
    if isinstance(node.value, list | str):
        items = node.value if isinstance(node.value, list) else [node]
        for item in items:
            if not isinstance(item.value, str):
                wrong_type(item, "the name of a process", decoder.problems)
        return tuple(
            Dependency(name=item.value, span=item.span) for item in items if isinstance(item.value, str)
        )
    value_type = PROCESS.by_name["depends_on"].type
    if not isinstance(value_type, MapOf) or isinstance(value_type.value, Table | MapOf):
        raise TypeError("depends_on maps names to conditions")
    found: list[Dependency] = []
    for name, item in decoder.entries(node, "a table of processes and conditions").items():
        condition = value_type.value.decode(item, decoder.problems)
        if isinstance(condition, Condition):
            found.append(Dependency(name=name, condition=condition, span=item.key))
    return tuple(found)


def _counters(node: object, decoder: TableDecoder) -> tuple[Counter, ...]:
    value_type = PROCESS.by_name["counters"].type
    if not isinstance(node, Node) or not isinstance(value_type, MapOf):
        return ()
    if isinstance(value_type.value, Table | MapOf):
        raise TypeError("counters map names to numbers")
    found: list[Counter] = []
    for name, item in decoder.entries(node, "a table of environment variables and numbers").items():
        base = value_type.value.decode(item, decoder.problems)
        if not is_variable(name):
            hint = 'letters, digits and "_", and no digit first'
            message = f"not a name of an environment variable: {name!r}"
            decoder.problems.error(item.key, message, code="bad-variable-name", hint=hint)
        elif isinstance(base, int):
            found.append(Counter(variable=name, base=base, span=item.span))
    return tuple(found)


def _restart(values: Values, is_task: bool) -> Restart:  # noqa: FBT001 - the one thing it depends on
    default = RestartPolicy.NO if is_task else RestartPolicy.ALWAYS
    fields: Values = {"policy": values.get("policy", default)}
    renamed = {"delay": "delay_usec", "max_delay": "max_delay_usec", "window": "window_usec"}
    for key, name in renamed.items():
        if key in values:
            fields[name] = values[key]
    if "limit" in values:
        fields["limit"] = values["limit"] or None
    for key in ("steps", "prevent_codes"):
        if key in values:
            fields[key] = values[key]
    return Restart(**fields)  # type: ignore[arg-type]  # as in decode_process


def _stop(values: Values) -> Stop:
    renamed = {"timeout": "timeout_usec"}
    return Stop(**{renamed.get(key, key): value for key, value in values.items()})  # type: ignore[arg-type]


def _limits(values: Values) -> Limits:
    renamed = {"memory": "memory_bytes", "cpu": "cpu_permyriad"}
    return Limits(**{renamed.get(key, key): value for key, value in values.items()})  # type: ignore[arg-type]


def _watch(values: Values) -> Watch | None:
    renamed = {"paths": "patterns", "delay": "delay_usec"}
    fields = {renamed.get(key, key): value for key, value in values.items()}
    return Watch(**fields) if fields.get("patterns") else None  # type: ignore[arg-type]  # as in decode_process


def _logs(values: Values, directory: PurePosixPath) -> Logs:
    def target(name: str, default: str) -> str:
        text = str(values.get(name, default))
        return text if text in {JOURNAL, NULL} else str(directory / text)

    stdout = target("stdout", JOURNAL)
    return Logs(stdout=stdout, stderr=target("stderr", stdout))


def _listen(values: Values, decoder: TableDecoder, directory: PurePosixPath) -> Listen:
    fields = {**values, "mode": _mode(values.get("mode"), "listen.mode", decoder)}
    if "path" in values:
        fields["path"] = str(directory / str(values["path"]))
        fields.setdefault("share", True)
    return Listen(**fields)  # type: ignore[arg-type]  # as in decode_process


def _channel(values: object) -> Channel | None:
    if not isinstance(values, dict):
        return None
    renamed = {"ready_timeout": "ready_timeout_usec"}
    return Channel(**{renamed.get(str(key), str(key)): value for key, value in values.items()})


def _mode(text: object, path: str, decoder: TableDecoder) -> int | None:
    """The permissions that `path` gives in octal."""
    if text is None:
        return None
    try:
        value = int(str(text), 8)
    except ValueError:
        value = -1
    if 0 <= value <= 0o777:
        return value
    decoder.problems.error(
        decoder.origins[path],
        f"not {'a umask' if path == 'umask' else 'permissions'}: {text!r}",
        code="bad-umask" if path == "umask" else "bad-mode",
        hint='an octal number such as "027"',
    )
    return None


def _pass_through(node: object, decoder: TableDecoder) -> tuple[PassThrough, ...]:
    if not isinstance(node, Node):
        return ()
    value_type = PROCESS.by_name["systemd"].type
    while isinstance(value_type, MapOf):
        value_type = value_type.value
    found: list[PassThrough] = []
    for section, table in decoder.entries(node, "tables of directives, by section").items():
        for name, item in decoder.entries(table, "a table of directives").items():
            values = value_type.decode(item, decoder.problems)  # type: ignore[union-attr]
            if isinstance(values, tuple):
                texts = tuple(_systemd_text(value) for value in values)
                found.append(PassThrough(section=section, name=name, values=texts, span=item.key))
    return tuple(found)


def _systemd_text(value: object) -> str:
    return ("no", "yes")[value] if isinstance(value, bool) else str(value)


def environment_files(values: Values, span: Span | None, directory: PurePosixPath) -> list[tuple[str, Span]]:
    """The paths of the files of variables, as systemd writes them, and the place that names them."""
    if span is None:
        return []
    paths: list[tuple[str, Span]] = []
    for item in list_of(values, "environment_files"):
        text = str(item)
        optional = "-" if text.startswith("-") else ""
        paths.append((optional + str(directory / text.removeprefix("-")), span))
    return paths
