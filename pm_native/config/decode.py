"""A tree of nodes to the model, by the key table: types, unknown and missing keys, places."""

from __future__ import annotations

import shlex
from pathlib import PurePosixPath

from pm_native.config.confinement import sandbox, secrets
from pm_native.config.health import HealthDecoder
from pm_native.config.keys import CONFIG, IPC_RULE, PROCESS, Maximum
from pm_native.config.package import PackageDecoder
from pm_native.config.table import ListOfTables, MapOf, Table
from pm_native.config.types import name_problem, wrong_type
from pm_native.errors import NOWHERE, did_you_mean
from pm_native.model.health import Monitor
from pm_native.model.names import is_name, is_variable
from pm_native.model.project import (
    JOURNAL,
    NULL,
    Channel,
    Condition,
    Counter,
    Dependency,
    Ipc,
    IpcRule,
    Limits,
    Listen,
    Logs,
    PassThrough,
    Process,
    ProcessKind,
    Project,
    Restart,
    RestartPolicy,
    Stop,
)
from pm_native.model.watch import Watch
from pm_native.syntax.node import Node

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pm_native.config.table import Key
    from pm_native.errors import Diagnostics, Span
    from pm_native.model.project import (
        Variable,
    )

    ReadEnvironmentFiles = Callable[[list[tuple[str, Span]]], dict[str, Variable]]

Values = dict[str, object]

# Unquoted, these words mean something to a shell and nothing to a program.
_SHELL_WORDS = ("|", "||", "&", "&&", ";", ">", ">>", "<", "2>", "2>&1")


class TableDecoder:
    """Decodes one table and those below it; `origins` gets the place of each key path that was given."""

    def __init__(self, problems: Diagnostics) -> None:
        self.problems = problems
        self.origins: dict[str, Span] = {}

    def decode(self, node: Node, table: Table, path: str = "") -> Values:
        """The values of the keys given, by name; what is wrong is added to the problems and left out."""
        if not isinstance(node.value, dict):
            if table.shorthand:
                node = Node({table.shorthand: Node(node.value, node.span, node.key_span)}, node.span)
            else:
                wrong_type(node, "a table", self.problems)
                return {}
        entries = node.value
        if not isinstance(entries, dict):
            raise TypeError("a table's node holds a dict")
        keys = table.by_name
        values: Values = {}
        for name, item in entries.items():
            key = keys.get(name)
            if key is None:
                self._unknown(name, item, [key.name for key in table.keys if not key.planned])
            elif key.planned:
                self.problems.error(
                    item.key,
                    f"{name!r} is not supported yet",
                    code="not-supported-yet",
                    hint="remove the key for now",
                )
            else:
                self._decode_key(key, item, f"{path}.{name}" if path else name, values)
        for name, key in keys.items():
            if key.required and name not in entries:
                self.problems.error(
                    node.key,
                    f"the key {name!r} is missing",
                    code="missing-key",
                    hint=f"{name} = {key.example}",
                )
        return values

    def _decode_key(self, key: Key, item: Node, path: str, values: Values) -> None:
        self.origins[path] = item.key
        match key.type:
            case Table() as table:
                values[key.name] = self.decode(item, table, path)
            case MapOf() | ListOfTables():
                values[key.name] = item  # the names are the user's: decoded by who knows what they mean
            case value_type:
                value = value_type.decode(item, self.problems)
                if value is not None:
                    values[key.name] = value

    def _unknown(self, name: str, item: Node, known: list[str]) -> None:
        hint = did_you_mean(name, known) or f"the keys here are {', '.join(known)}"
        self.problems.error(item.key, f"unknown key {name!r}", code="unknown-key", hint=hint)

    def entries(self, node: Node, what: str) -> dict[str, Node]:
        """The entries of a table whose names the user chose."""
        if isinstance(node.value, dict):
            return node.value
        wrong_type(node, what, self.problems)
        return {}

    def items(self, node: Node, what: str) -> list[Node]:
        """The items of a list."""
        if isinstance(node.value, list):
            return node.value
        wrong_type(node, what, self.problems)
        return []


def decode_project(
    root: Node, source_path: str, problems: Diagnostics, read_environment_files: ReadEnvironmentFiles
) -> Project:
    """The project in the config tree `root`; problems are added, and stand-ins take their place."""
    decoder = TableDecoder(problems)
    top = decoder.decode(root, CONFIG) if isinstance(root.value, dict) else {}
    if not isinstance(root.value, dict):
        wrong_type(root, "tables [project] and [process.NAME]", problems)
    shared = top.get("project", {})
    if not isinstance(shared, dict):
        raise TypeError("a decoded table is a dict")
    base = PurePosixPath(source_path).parent
    directory = base / str(shared.get("directory", ""))
    environment_files = _files(shared, decoder.origins.get("project.environment_files"), directory)
    common = _Common(
        directory=directory,
        values=shared,
        origins={path.removeprefix("project."): span for path, span in decoder.origins.items()},
        file_environment=read_environment_files(environment_files),
        read=read_environment_files,
    )
    processes = top.get("process")
    entries = decoder.entries(processes, "tables [process.NAME]") if isinstance(processes, Node) else {}
    if not entries and not problems.has_errors:
        hint = 'add one: [process.web] with command = "..."'
        problems.error(root.span.source.whole(), "there is no process", code="no-process", hint=hint)
    packaged = top.get("package")
    package_node = (
        root.value["package"] if isinstance(packaged, dict) and isinstance(root.value, dict) else root
    )
    return Project(
        name=_project_name(shared, base.name, root, problems),
        source_path=source_path,
        directory=directory,
        monitor=Monitor(shared.get("monitor", Monitor.INSTANCE)),
        monitor_span=decoder.origins.get("project.monitor", NOWHERE),
        ipc=_ipc(shared, decoder),
        processes=tuple(decode_process(name, node, common, problems) for name, node in entries.items()),
        package=PackageDecoder(decoder, base).decode(
            packaged if isinstance(packaged, dict) else {}, package_node
        ),
        span=root.span,
    )


def _project_name(shared: Values, folder: str, root: Node, problems: Diagnostics) -> str:
    name = str(shared.get("name", folder))
    if "name" not in shared and not is_name(name):
        hint = 'name it: [project] with name = "..."'
        message = f"the folder's name cannot be the project's: {folder!r}"
        problems.error(root.span.source.whole(), message, code="bad-name", hint=hint)
    return name


def _ipc(shared: Values, decoder: TableDecoder) -> Ipc | None:
    values = _table(shared, "ipc")
    if "ipc" not in shared or not values.get("enabled", True):
        return None
    access = values.get("access")
    rules: list[IpcRule] = []
    for who, node in decoder.entries(access, "a table of rules").items() if isinstance(access, Node) else ():
        rights = decoder.decode(node, IPC_RULE, f"project.ipc.access.{who}")
        rules.append(IpcRule(who=who, span=node.key, **rights))  # type: ignore[arg-type]  # as in decode_process
    return Ipc(rules=tuple(rules), span=decoder.origins["project.ipc"])


def _files(values: Values, span: Span | None, directory: PurePosixPath) -> list[tuple[str, Span]]:
    if span is None:
        return []
    paths: list[tuple[str, Span]] = []
    for item in _list(values, "environment_files"):
        text = str(item)
        optional = "-" if text.startswith("-") else ""
        paths.append((optional + str(directory / text.removeprefix("-")), span))
    return paths


class _Common:
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


def decode_process(name: str, node: Node, common: _Common, problems: Diagnostics) -> Process:
    """One process; what it does not say comes from the project, then from the model's defaults."""
    if not is_name(name):
        name_problem(name, node.key, problems)
    decoder = TableDecoder(problems)
    values = decoder.decode(node, PROCESS)
    directory = common.directory / str(values.get("directory", ""))
    own_files = _files(values, decoder.origins.get("environment_files"), directory)
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
        "restart": _restart(_table(values, "restart"), kind is ProcessKind.TASK),
        "stop": _stop(_table(values, "stop")),
        "limits": _limits(_table(values, "limits")),
        "logs": _logs(_table(values, "logs"), common.directory),
        "restart_on": tuple(str(directory / str(path)) for path in _list(values, "restart_on")),
        "listen": _listen(_table(values, "listen"), decoder, directory),
        "channel": _channel(values.get("channel")),
        "umask": _mode(values.get("umask"), "umask", decoder),
        "environment": common.environment(values.get("environment")),
        "file_environment": {**common.file_environment, **common.read(own_files)},
        "sandbox": sandbox(values, common.values, directory),
        "secrets": secrets(values.get("secrets"), decoder, directory),
        "watch": _watch(_table(values, "watch")),
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
        fields["health"] = health.health(_table(values, "health"))
    return Process(**fields)  # type: ignore[arg-type]  # the key table gives each key the type of its field


def _list(values: Values, name: str) -> tuple[object, ...]:
    given = values.get(name, ())
    return given if isinstance(given, tuple) else ()


def _table(values: Values, name: str) -> Values:
    table = values.get(name, {})
    return table if isinstance(table, dict) else {}


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
