"""One process of process-compose's: its words in those of the model."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pm_native.importers.common import tell_bad_variable
from pm_native.importers.process_compose.lifecycle import Lifecycle
from pm_native.importers.process_compose.probes import health_of
from pm_native.importers.shell import read_shell_line
from pm_native.importers.tree import Entries, scalar_text
from pm_native.model.names import is_name, is_variable, nearest_name
from pm_native.model.project import (
    SECOND,
    Condition,
    Counter,
    Dependency,
    Logs,
    PassThrough,
    Process,
    ProcessKind,
    Restart,
    RestartPolicy,
    Variable,
)
from pm_native.unit.escape import quote_word

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pm_native.errors import Diagnostics, Span
    from pm_native.importers.files import Files
    from pm_native.syntax.node import Node

# `{{.NAME}}`, and `{{ "text" }}`, which is how braces for another program are written.
_TEMPLATE = re.compile(
    r"""\{\{-?\s*(?:\.(?P<name>[A-Za-z_]\w*)|"(?P<text>(?:[^"\\]|\\.)*)"|`(?P<raw>[^`]*)`)\s*-?\}\}"""
)
_GO_ESCAPE = re.compile(r"\\(.)")
_INSTANCES_MAX = 10_000
_COMPLETED = frozenset({"process_completed", "process_completed_successfully"})
_CONDITIONS = {
    "process_started": Condition.STARTED,
    "process_healthy": Condition.READY,
    "process_log_ready": Condition.READY,
    "process_completed": Condition.STARTED,  # of a task: After= waits for its end, well or not
    "process_completed_successfully": Condition.COMPLETED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Common:
    """What the processes of a file share."""

    project: str
    files: Files
    dotenv: Mapping[str, Variable]
    environment: Mapping[str, Variable]
    variables: Mapping[str, Node]
    shell_words: tuple[str, str]

    @property
    def exit_name(self) -> str:
        """The unit that stops the project."""
        return f"{self.project}-exit.service"

    def exit_process(self) -> Process:
        """The task that stops the project when it is started: it conflicts with its target."""
        return Process(
            name="exit",
            command=("true",),
            directory=PurePosixPath(self.files.directory),
            description="Stops the project when one of its processes asks for it",
            kind=ProcessKind.TASK,
            restart=Restart(policy=RestartPolicy.NO),
            autostart=False,
            systemd=(
                PassThrough(section="Unit", name="Conflicts", values=(f"{self.project}.target",)),
                PassThrough(section="Unit", name="PartOf", values=()),
                PassThrough(section="Service", name="RemainAfterExit", values=("no",)),
            ),
        )


def names_of(listed: Entries, problems: Diagnostics) -> dict[str, str]:
    """The names that the processes have here, by their own."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    for own, node in listed:
        name = own if is_name(own) else nearest_name(own)
        if name in taken or (name == "exit" and own != "exit"):
            hint = "rename one of them: unit names take letters, digits, '_', '.' and '-'"
            message = f"{own!r} would be called {name!r} here, as another one is"
            problems.error(node.key, message, code="duplicate-name", hint=hint)
            continue
        if name != own:
            hint = "unit names take letters, digits, '_', '.' and '-', and begin with a letter or digit"
            problems.note(
                node.key, f"{own!r} is called {name!r} here", code="process-compose-name", hint=hint
            )
        names[own] = name
        taken.add(name)
    return names


def variables_of(entries: Entries, key: str, problems: Diagnostics) -> dict[str, Variable]:
    """The variables of a list of `NAME=value`, or of a table."""
    node = entries.node_of(key)
    found: dict[str, Variable] = {}
    if node is not None and isinstance(node.value, dict):
        pairs = [(name, scalar_text(item), item.span) for name, item in Entries(node, problems, key)]
    else:
        texts = [(scalar_text(item), item.span) for item in entries.items(key)]
        pairs = [(name, value, span) for text, span in texts for name, _, value in [text.partition("=")]]
    for name, value, span in pairs:
        if is_variable(name):
            found[name] = Variable(value=value, span=span)
        else:
            tell_bad_variable(name, span, problems)
    return found


def _unescaped(match: re.Match[str]) -> str:
    return {"n": "\n", "t": "\t"}.get(match[1], match[1])


class Reader:
    """Reads one process; `exits` is whether its end can be the end of the project."""

    def __init__(
        self, own_name: str, node: Node, names: Mapping[str, str], common: Common, problems: Diagnostics
    ) -> None:
        self.own_name = own_name
        self.name = names[own_name]
        self.names = names
        self.common = common
        self.problems = problems
        self.entries = Entries(node, problems, own_name)
        self.origins: dict[str, Span] = {}
        self.lifecycle = Lifecycle(own_name, self.entries, self.origins, problems)
        self.exits = False
        self.dependencies = self.entries.table("depends_on")
        self.variables = {**common.variables, **dict(self.entries.table("vars"))}

    def process(self, awaited: Mapping[str, Span]) -> Process:
        """The process; `awaited` are those for whose end others wait."""
        kind, schedule, timer = self._shape(awaited)
        instances = self._instances(kind)
        codes = self.lifecycle.success_codes()
        restart = self.lifecycle.restart(kind, codes)
        is_restarted = restart.policy is not RestartPolicy.NO
        health, start_timeout = health_of(
            self.entries, self.expand, self.shell_words, self.origins, is_restarted=is_restarted
        )
        if kind is ProcessKind.TASK and health is not None:
            message = "a probe of what runs to completion: what depends on it waits for its end"
            place = self.entries.place("readiness_probe", "liveness_probe", "ready_log_line")
            hint = "take the probe out, or let the program stay in the foreground"
            self.problems.warning(place, message, code="process-compose-task-probe", hint=hint, lost=True)
            health, start_timeout = None, None
        if self.entries.flag("is_daemon"):
            seconds = self.entries.number("launch_timeout_seconds")
            start_timeout = int((5 if seconds is None else max(seconds, 1)) * SECOND)
        environment = self._environment(is_pool=instances is not None)
        systemd = (*self._hooks(), *timer)
        counters = () if instances is None else (Counter(variable="PC_REPLICA_NUM", base=0),)
        return Process(
            name=self.name,
            command=self._command(),
            directory=self._directory(),
            description=self.expand("description").replace("\n", " ").strip(),
            kind=kind,
            instances=instances,
            first_instance=1 if instances is None else 0,
            counters=counters,
            depends_on=self._depends_on(),
            restart=restart,
            stop=self.lifecycle.stop(codes),
            logs=self._logs(is_pool=instances is not None),
            health=health,
            schedule=schedule,
            autostart=not (self.entries.flag("disabled") or self.entries.flag("is_disabled")),
            start_timeout_usec=start_timeout,
            watch=self.lifecycle.watch(is_scheduled=bool(schedule)),
            environment=environment,
            file_environment=self._file_environment(),
            systemd=systemd,
            span=self.entries.node.key,
            origins=self.origins,
        )

    def _origin(self, path: str, key: str) -> Span:
        """The place of a key, kept as that of `path` where it is there."""
        if key in self.entries:
            self.origins[path] = self.entries.place(key)
        return self.entries.place(key)

    def expand(self, key: str, entries: Entries | None = None) -> str:
        """A text with `{{.NAME}}` and `{{ "text" }}` replaced; "" where there is none."""
        entries = entries or self.entries
        text = entries.text(key) or ""
        if "{{" not in text or (key == "command" and self.entries.flag("is_template_disabled")):
            return text
        place = entries.nodes(key)[0].span

        def value(match: re.Match[str]) -> str:
            name = match["name"]
            if name is None:
                return match["raw"] or _GO_ESCAPE.sub(_unescaped, match["text"] or "")
            if name == "PC_REPLICA_NUM" and name not in self.variables:
                return self._replica(key, place)
            if name in self.variables:
                return scalar_text(self.variables[name])
            hint = "set it below `vars:`"
            self.problems.error(place, f"{match[0]} is not set", code="process-compose-template", hint=hint)
            return ""

        expanded = _TEMPLATE.sub(value, text)
        if "{{" in _TEMPLATE.sub("", text):
            hint = "write out what it stands for; is_template_disabled: true keeps {{ as it is"
            message = "a template of more than a name is not read"
            self.problems.error(place, message, code="process-compose-template", hint=hint)
        return expanded

    def _replica(self, key: str, place: Span) -> str:
        """What stands for the number of the replica: the shell's variable, where there are several."""
        if (self.entries.whole("replicas", 0, _INSTANCES_MAX) or 1) == 1:
            return "0"
        if key == "command" and "'" not in (self.entries.text("command") or ""):
            return "${PC_REPLICA_NUM}"
        hint = "the command knows $PC_REPLICA_NUM, outside of single quotes; give each replica a process of its own"
        message = "the number of the replica is not known when units are made"
        self.problems.error(place, message, code="process-compose-template", hint=hint)
        return "0"

    def shell_words(self, text: str) -> tuple[str, ...]:
        """The command line by the shell; a plain command needs none."""
        line = read_shell_line(text)
        is_plain = line.words[0] != "/bin/sh" and self.common.shell_words[1:] == ("-c",) and "\n" not in text
        return line.words if is_plain else (*self.common.shell_words, text)

    def _command(self) -> tuple[str, ...]:
        text = self.expand("command").strip()
        if text:
            self._origin("command", "command")
            line = read_shell_line(text)
            is_plain = (
                line.words[0] != "/bin/sh" and self.common.shell_words[1:] == ("-c",) and "\n" not in text
            )
            return line.words if is_plain else self.shell_words(text)
        words = self.entries.words("entrypoint")
        self._origin("command", "entrypoint")
        if not words or not words[0]:
            hint = "command: PROGRAM, or entrypoint: [PROGRAM, ARGUMENT]"
            message = f"{self.own_name}: there is no command"
            self.problems.error(self.entries.node.key, message, code="missing-key", hint=hint)
            return ("true",)
        return words

    def _directory(self) -> PurePosixPath:
        self._origin("directory", "working_dir")
        given = self.expand("working_dir")
        return PurePosixPath(os.path.normpath(self.common.files.directory / given))

    def _shape(
        self, awaited: Mapping[str, Span]
    ) -> tuple[ProcessKind, tuple[str, ...], tuple[PassThrough, ...]]:
        """Whether it runs to completion, when, and what its timer says besides."""
        schedule, timer = self.lifecycle.schedule()
        if schedule:
            return ProcessKind.TASK, schedule, timer
        if self.entries.flag("is_daemon"):
            self._origin("kind", "is_daemon")
            message = f"{self.own_name}: its processes are not watched once the command has returned"
            hint = "let the program run in the foreground, and take is_daemon out"
            place = self.entries.place("is_daemon")
            self.problems.warning(place, message, code="process-compose-daemon", hint=hint)
            return ProcessKind.TASK, (), ()
        if self.own_name in awaited:
            self.origins["kind"] = awaited[self.own_name]
            return ProcessKind.TASK, (), ()
        return ProcessKind.SERVICE, (), ()

    def _instances(self, kind: ProcessKind) -> int | None:
        count = self.entries.whole("replicas", 0, _INSTANCES_MAX)
        if count is None or count == 1:
            return None
        self._origin("instances", "replicas")
        if kind is ProcessKind.TASK:
            message = f"{self.own_name}: {count} replicas of what runs to completion: here it runs once"
            hint = "give each a process of its own"
            place = self.entries.place("replicas")
            self.problems.warning(place, message, code="process-compose-replicas", hint=hint, lost=True)
            return None
        return count

    def _hooks(self) -> tuple[PassThrough, ...]:
        """ExecStop=, and what the end of this process means to the project."""
        found: list[PassThrough] = []
        shutdown = self.entries.table("shutdown")
        if command := self.expand("command", shutdown):
            program, *arguments = self.shell_words(command)
            program = os.path.normpath(self._directory() / program) if "/" in program else program
            words = " ".join(quote_word(word) for word in (program, *arguments))
            place = shutdown.place("command")
            found.append(PassThrough(section="Service", name="ExecStop", values=(f":{words}",), span=place))
        availability = self.entries.table("availability")
        at_failure = availability.text("restart") == "exit_on_failure"
        at_end, at_skip = availability.flag("exit_on_end"), availability.flag("exit_on_skipped")
        if at_skip and not (at_end or at_failure):
            message = (
                f"{self.own_name}: a failure of its own ends the project, too, not only that it is skipped"
            )
            hint = "take exit_on_skipped out where it may fail, and look after the project another way"
            place = availability.place("exit_on_skipped")
            self.problems.note(place, message, code="process-compose-skipped", hint=hint)
        for directive, asked in (("OnSuccess", at_end), ("OnFailure", at_end or at_failure or at_skip)):
            if asked:
                self.exits = True
                key = "exit_on_end" if at_end else "restart" if at_failure else "exit_on_skipped"
                place = availability.place(key)
                unit = self.common.exit_name
                found.append(PassThrough(section="Unit", name=directive, values=(unit,), span=place))
        return tuple(found)

    def _depends_on(self) -> tuple[Dependency, ...]:
        found: list[Dependency] = []
        for own, node in self.dependencies:
            word = _condition(node)
            if word is None:
                message = f"depends on {own!r} without a condition: process-compose then waits for its end"
                hint = (
                    "state it: condition: process_started, process_healthy or process_completed_successfully"
                )
                self.problems.error(node.key, message, code="process-compose-condition", hint=hint)
            elif word not in _CONDITIONS:
                hint = f"one of {', '.join(_CONDITIONS)}"
                message = f"unknown condition {word!r}"
                self.problems.error(node.key, message, code="unknown-value", hint=hint)
            else:
                name = self.names.get(own, own)
                found.append(Dependency(name=name, condition=_CONDITIONS[word], span=node.key))
        return tuple(found)

    def _logs(self, *, is_pool: bool) -> Logs:
        path = self.expand("log_location")
        if not path:
            return Logs()
        place = self._origin("logs", "log_location")
        if "{PC_REPLICA_NUM}" in path and not is_pool:
            path = path.replace("{PC_REPLICA_NUM}", "0")
        elif "{PC_REPLICA_NUM}" in path:
            message = "all replicas write to one file: there is no number in its name"
            hint = "leave log_location out: the journal tells the instances apart"
            self.problems.note(place, message, code="process-compose-log-merged", hint=hint)
            path = re.sub(r"[._-]?\{PC_REPLICA_NUM\}", "", path)
        target = os.path.normpath(self.common.files.directory / path)
        return Logs(stdout=target, stderr=target)

    def _environment(self, *, is_pool: bool) -> dict[str, Variable]:
        """The variables of the file, those of the process over them, and the names that it is told."""
        own = variables_of(self.entries, "environment", self.problems)
        from_files = self._own_files()
        shared = {name: item for name, item in self.common.environment.items() if name not in from_files}
        told = {"PC_PROC_NAME": self.own_name} if is_pool else {
            "PC_PROC_NAME": self.own_name, "PC_REPLICA_NUM": "0"
        }  # fmt: skip
        span = self.entries.node.key
        return {
            **{name: Variable(value=value, span=span) for name, value in told.items()},
            **shared,
            **own,
        }

    def _file_environment(self) -> dict[str, Variable]:
        dotenv = {} if self.entries.flag("is_dotenv_disabled") else self.common.dotenv
        return {**dotenv, **self._own_files()}

    def _own_files(self) -> dict[str, Variable]:
        from pm_native.syntax import Dialect  # noqa: PLC0415 - loaded on first use

        found: dict[str, Variable] = {}
        for item in self.entries.nodes("env_file"):
            path, required = item, True
            if isinstance(item.value, dict):
                inner = Entries(item, self.problems, "env_file")
                path, required = inner.node_of("path") or item, inner.flag("required", default=True)
            if isinstance(path.value, str):
                file = Path(os.path.normpath(self.common.files.directory / path.value))
                asked_at = path.span if required else None
                found |= self.common.files.environment(file, Dialect.OVERMIND, asked_at=asked_at)
        return found


def awaited_ends(readers: Iterable[Reader]) -> dict[str, Span]:
    """The processes for whose end others wait, by their own names, and the first place that says so."""
    found: dict[str, Span] = {}
    for reader in readers:
        for own, node in reader.dependencies:
            if _condition(node) in _COMPLETED:
                found.setdefault(own, node.key)
    return found


def _condition(node: Node) -> str | None:
    """The condition of a dependency as it is written; None where there is none."""
    if not isinstance(node.value, dict) or "condition" not in node.value:
        return None
    value = node.value["condition"].value
    return value if isinstance(value, str) and value else None
