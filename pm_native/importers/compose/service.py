"""One service of a compose project: its words in those of the model."""

from __future__ import annotations

import os
import re
import shlex
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pm_native.importers.common import tell_bad_variable
from pm_native.importers.compose.develop import Develop
from pm_native.importers.compose.extras import Extras
from pm_native.importers.compose.lifecycle import Lifecycle
from pm_native.importers.compose.resources import Resources
from pm_native.importers.tree import Entries, scalar_text
from pm_native.model.names import is_name, is_variable, nearest_name
from pm_native.model.project import (
    Condition,
    Dependency,
    PassThrough,
    Process,
    ProcessKind,
    Variable,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pm_native.errors import Diagnostics, Span
    from pm_native.importers.compose.project import Composed
    from pm_native.importers.files import Files
    from pm_native.syntax.node import Node

_INSTANCES_MAX = 10_000
_HOST_VARIABLE = re.compile(r"HOST|SERVER|ADDR|URL|NODE(?!_ENV)|ENDPOINT|BROKER|PEER", re.IGNORECASE)
_CONDITIONS = {
    "service_started": Condition.STARTED,
    "service_healthy": Condition.READY,
    "service_completed_successfully": Condition.COMPLETED,
}


def services_of(composed: Composed, project: str, files: Files, problems: Diagnostics) -> dict[str, Process]:
    """The processes of all services that have a command that runs on a host, by the service's own name."""
    readers = [
        Service(name, node, composed, project, files, problems) for name, node in composed.services.items()
    ]
    by_name = {reader.own_name: reader for reader in readers}
    taken: dict[str, str] = {}
    for reader in readers:
        if (other := taken.setdefault(reader.name, reader.own_name)) != reader.own_name:
            message = f"{reader.own_name!r} would be called {reader.name!r} here, as {other!r} is"
            problems.error(
                reader.entries.node.key, message, code="duplicate-name", hint="rename one of them"
            )
    awaited = _awaited(readers)
    found = {
        reader.own_name: reader.process(by_name, awaited.get(reader.own_name, {}))
        for reader in readers
        if reader.runs
    }
    _tell_missing(readers, problems)
    _tell_hosts([*found.values()], composed, problems)
    return found


def _awaited(readers: list[Service]) -> dict[str, dict[Condition, Span]]:
    """What services that run wait for in others, and the first place that says so."""
    found: dict[str, dict[Condition, Span]] = {}
    for reader in readers:
        for own, span, table in reader.dependencies() if reader.runs else ():
            condition = table.text("condition") if table is not None else None
            if condition in _CONDITIONS:
                found.setdefault(own, {}).setdefault(_CONDITIONS[condition], span)
    return found


def _tell_missing(readers: list[Service], problems: Diagnostics) -> None:
    """One warning for each service that others wait for and that does not run here."""
    met: dict[str, list[tuple[str, Span]]] = {}
    for reader in readers:
        for own, span in reader.missing:
            met.setdefault(own, []).append((reader.own_name, span))
    for own, waiting in met.items():
        names = [name for name, _ in waiting]
        shown = ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
        message = f"{own!r} does not run here, and is not waited for by {shown}"
        hint = f"in {own}, x-pm-native: {{ external: NAME.service }} names the unit to wait for"
        problems.warning(waiting[0][1], message, code="compose-dependency", hint=hint, lost=True)


def _tell_hosts(processes: list[Process], composed: Composed, problems: Diagnostics) -> None:
    """One warning of the variables that name other services as hosts."""
    names = "|".join(re.escape(name) for name in (*composed.services, *composed.inactive))
    address = re.compile(rf"(?:^|//|@|,)(?:{names})(?::[0-9]+|(?=/))|(?://|@)(?:{names})$")
    host = re.compile(names)
    met: list[tuple[str, Span]] = []
    for process in processes:
        for name, variable in process.environment.items():
            is_host = _HOST_VARIABLE.search(name) is not None and host.fullmatch(variable.value) is not None
            if is_host or (len(variable.value) < 4096 and address.search(variable.value)):
                met.append((f"{name} of {process.name}", variable.span))
    if met:
        shown = ", ".join(name for name, _ in met[:6]) + (
            f" and {len(met) - 6} more" if len(met) > 6 else ""
        )
        message = f"names of services are no hosts here: {shown}"
        hint = "write 127.0.0.1, or put the names into /etc/hosts"
        problems.warning(met[0][1], message, code="compose-host", hint=hint)


@dataclass(frozen=True, slots=True)
class _Argv:
    """What runs, and the place that says so; no words where nothing does."""

    words: tuple[str, ...]
    span: Span


class Service:
    """Reads one service."""

    def __init__(  # noqa: PLR0913, PLR0917 - the service, and what it belongs to
        self, name: str, node: Node, composed: Composed, project: str, files: Files, problems: Diagnostics
    ) -> None:
        self.own_name = name
        self.folder = composed.directories.get(name, files.directory)
        self.name = name if is_name(name) else nearest_name(name)
        self.composed = composed
        self.project = project
        self.files = files
        self.problems = problems
        self.entries = Entries(node, problems, name)
        self.ours = self.entries.table("x-pm-native")
        self.deploy = self.entries.table("deploy")
        self.origins: dict[str, Span] = {}
        self.missing: list[tuple[str, Span]] = []  # what it waits for elsewhere, and nothing here is
        self.external = self.ours.text("external")
        self.argv = self._argv()
        self.runs = bool(self.argv.words) and not self.external and not self.ours.flag("skip")
        self.instances = self._instances()

    @property
    def unit(self) -> str:
        """The unit that stands for the service."""
        suffix = "service" if self.instances is None else "target"
        return self.external or f"{self.project}-{self.name}.{suffix}"

    def _argv(self) -> _Argv:
        """What runs on this host: what is ours says, else entrypoint and command."""
        if self.external or self.ours.flag("skip"):
            return _Argv((), self.entries.node.key)
        if "command" in self.ours:
            return _Argv(self._words(self.ours, "command"), self.ours.place("command"))
        entrypoint = self._words(self.entries, "entrypoint")
        words = (*entrypoint, *self._words(self.entries, "command"))
        place = self.entries.place("command", "entrypoint")
        image = self.entries.text("image")
        what = (
            f"the image {image}"
            if image
            else "the image of its Dockerfile"
            if "build" in self.entries
            else ""
        )
        if not words and (self.entries.text("command") or self.entries.text("entrypoint")):
            return _Argv(("true",), place)  # what is wrong with it has been told
        if not words or words[0].startswith("-"):
            reason = "has no command" if not words else f"gives arguments alone ({words[0]} ...)"
            hint = "in the service, x-pm-native: { external: NAME.service } for one that this host runs already, "
            hint += "{ command: ... } or { skip: true }"
            message = f"{self.own_name} {reason}: what runs is in {what or 'its image'}, which nothing here can run"
            place = self.entries.place("image", "build")
            self.problems.warning(place, message, code="compose-image", hint=hint, lost=True)
            return _Argv((), place)
        if what:
            message = f"{self.own_name} runs on this host, not in {what}: {words[0]} and what it needs must be there"
            hint = "x-pm-native: { command: ..., directory: ..., user: ... } says what differs here"
            self.problems.warning(place, message, code="compose-image", hint=hint)
        return _Argv(words, place)

    def _words(self, table: Entries, key: str) -> tuple[str, ...]:
        node = table.node_of(key)
        if node is None:
            return ()
        if isinstance(node.value, list):
            return table.words(key)
        text = table.text(key) or ""
        try:
            return tuple(shlex.split(text))
        except ValueError as error:
            hint = "close the quote, or write a list of words"
            message = f"{key}: cannot split it into words: {str(error).lower()}"
            self.problems.error(node.span, message, code="bad-command", hint=hint)
            return ()

    def process(self, others: Mapping[str, Service], waiting: Mapping[Condition, Span]) -> Process:
        """The process, once all services are known, and what others wait for in it."""
        if Condition.COMPLETED in waiting:
            self.origins["kind"] = waiting[Condition.COMPLETED]
        kind = ProcessKind.TASK if Condition.COMPLETED in waiting else ProcessKind.SERVICE
        is_pool = self.instances is not None
        if kind is ProcessKind.TASK and is_pool:
            message = f"{self.own_name}: {self.instances} of what runs to completion: here it runs once"
            place = self.origins["instances"]
            hint = "take scale and replicas out, or write a service for each"
            self.problems.warning(place, message, code="compose-replicas", hint=hint, lost=True)
            is_pool = False
        self.origins["command"] = self.argv.span
        resources = Resources(self.entries, self.origins, self.problems, is_pool=is_pool)
        depends_on, around = self._depends_on(others)
        user, group = self._identity()
        extras = Extras(self.own_name, self.entries, self.composed, self.files, self.problems)
        extras.tell_ports()
        directory = self._directory()
        develop = Develop(self.own_name, self.entries, self.folder, self.problems)
        lifecycle = Lifecycle(self.own_name, self.entries, self.origins, self.problems)
        health, start_timeout = lifecycle.health(is_awaited=Condition.READY in waiting, kind=kind)
        return Process(
            name=self.name,
            command=self.argv.words,
            directory=directory,
            kind=kind,
            instances=self.instances if is_pool else None,
            depends_on=depends_on,
            restart=lifecycle.restart(kind),
            stop=lifecycle.stop(),
            limits=resources.limits(),
            health=health,
            start_timeout_usec=start_timeout,
            watch=develop.watch(directory, self.origins),
            user=user,
            group=group,
            environment=self._environment(),
            file_environment=self._file_environment(),
            systemd=(
                *around,
                *resources.directives(),
                *extras.hooks(self._words, directory),
                *extras.groups(),
            ),
            secrets=extras.secrets(),
            span=self.entries.node.key,
            origins=self.origins,
        )

    def _depends_on(
        self, others: Mapping[str, Service]
    ) -> tuple[tuple[Dependency, ...], tuple[PassThrough, ...]]:
        """What must be there first: processes of the project, and units of the host that stand for services."""
        found: list[Dependency] = []
        around: list[PassThrough] = []
        for own, span, table in self.dependencies():
            word = table.text("condition") if table is not None else None
            condition = _CONDITIONS.get(word or "service_started")
            if condition is None:
                hint = f"one of {', '.join(_CONDITIONS)}"
                message = f"unknown condition {word!r}"
                self.problems.error(span, message, code="unknown-value", hint=hint)
                continue
            other = others.get(own)
            if other is None or not other.runs:
                around += self._missing(own, other, span, table)
                continue
            found.append(Dependency(name=other.name, condition=condition, span=span))
            if table is not None and table.flag("restart"):
                around.append(
                    PassThrough(
                        section="Unit", name="PartOf", values=(other.unit,), span=table.place("restart")
                    )
                )
        return tuple(found), tuple(around)

    def dependencies(self) -> Iterator[tuple[str, Span, Entries | None]]:
        """What it depends on: the name, the place, and what is said of it."""
        node = self.entries.node_of("depends_on")
        if node is None:
            return
        if isinstance(node.value, dict):
            for own, item in node.value.items():
                yield own, item.key, Entries(item, self.problems, "depends_on")
        else:
            for item in self.entries.items("depends_on"):
                yield scalar_text(item), item.span, None

    def _missing(
        self, own: str, other: Service | None, span: Span, table: Entries | None
    ) -> Iterator[PassThrough]:
        """What stands in for a dependency that is no process here."""
        if other is not None and other.external:
            for name in ("Wants", "After"):
                yield PassThrough(section="Unit", name=name, values=(other.external,), span=span)
        elif table is not None and not table.flag("required", default=True):
            return
        elif other is not None or own in self.composed.inactive:
            self.missing.append((own, span))
        else:
            known = ", ".join(sorted(self.composed.services)) or "none"
            message = f"{self.own_name} depends on {own!r}, which is no service of this project"
            self.problems.error(span, message, code="unknown-dependency", hint=f"there are: {known}")

    def _directory(self) -> PurePosixPath:
        """Where it runs: what is ours says, else the host's side of working_dir, else the folder of its project."""
        base = self.folder
        if given := self.ours.text("directory"):
            self.origins["directory"] = self.ours.place("directory")
            return PurePosixPath(os.path.normpath(base / given))
        inside = self.entries.text("working_dir")
        if not inside:
            return PurePosixPath(base)
        self.origins["directory"] = self.entries.place("working_dir")
        for source, target in self._binds():
            if PurePosixPath(inside).is_relative_to(target):
                return PurePosixPath(
                    os.path.normpath(Path(source) / PurePosixPath(inside).relative_to(target))
                )
        return PurePosixPath(os.path.normpath(base / inside))

    def _binds(self) -> Iterator[tuple[str, str]]:
        """The folders of the host that the container sees, and where it sees them."""
        for item in self.entries.nodes("volumes"):
            if isinstance(item.value, dict):
                table = Entries(item, self.problems, "volumes")
                source, target = table.text("source"), table.text("target")
            else:
                parts = scalar_text(item).split(":")
                source, target = (parts[0], parts[1]) if len(parts) > 1 else (None, None)
            if source and target and source.startswith(("/", "~")):
                yield self._path(source), target

    def _path(self, text: str) -> str:
        """A path of the host: `~` is the home of whoever runs this, another one starts at the folder of the service."""
        home = self.composed.environ.get("HOME")
        if home and (text == "~" or text.startswith("~/")):
            text = f"{home}{text[1:]}"
        return os.path.normpath(self.folder / text)

    def _identity(self) -> tuple[str | None, str | None]:
        user, group = self.ours.text("user"), self.ours.text("group")
        given = self.entries.text("user") or ""
        if user is None and given:
            user, _, after = given.partition(":")
            group = group or after or None
            self.origins["user"] = self.origins["group"] = self.entries.place("user")
        for key in ("user", "group"):
            if key in self.ours:
                self.origins[key] = self.ours.place(key)
        is_root = user in {"root", "0"}
        return (None if is_root else user or None), (None if is_root and group in {"root", "0"} else group)

    def _instances(self) -> int | None:
        table, key = (self.deploy, "replicas") if "replicas" in self.deploy else (self.entries, "scale")
        count = table.whole(key, 0, _INSTANCES_MAX)
        if count is None or count == 1:
            return None
        self.origins["instances"] = table.place(key)
        return count

    def _environment(self) -> dict[str, Variable]:
        """The variables of the service; one without a value is taken from whoever runs this, where it is set."""
        node = self.entries.node_of("environment")
        found: dict[str, Variable] = {}
        pairs: list[tuple[str, str | None, Span]] = []
        if node is not None and isinstance(node.value, dict):
            for name, item in node.value.items():
                if isinstance(item.value, list | dict):
                    message, hint = f"environment: {name} is {item.kind}", "write a text"
                    self.problems.error(item.span, message, code="wrong-type", hint=hint)
                    continue
                pairs.append((name, None if item.value is None else scalar_text(item), item.span))
        else:
            for item in self.entries.items("environment"):
                name, equals, text = scalar_text(item).partition("=")
                pairs.append((name, text if equals else None, item.span))
        for name, value, span in pairs:
            given = value if value is not None else self.composed.environ.get(name)
            if not is_variable(name):
                tell_bad_variable(name, span, self.problems)
            elif given is not None:
                found[name] = Variable(value=given, span=span)
        return found

    def _file_environment(self) -> dict[str, Variable]:
        from pm_native.syntax import Dialect  # noqa: PLC0415 - loaded on first use

        found: dict[str, Variable] = {}
        environ: Mapping[str, str] | None
        for item in self.entries.nodes("env_file"):
            path, required, environ = item, True, self.composed.environ
            if isinstance(item.value, dict):
                table = Entries(item, self.problems, "env_file")
                path, required = table.node_of("path") or item, table.flag("required", default=True)
                environ = None if table.text("format") == "raw" else environ
            if isinstance(path.value, str):
                asked_at = path.span if required else None
                file = Path(self._path(path.value))
                found |= self.files.environment(file, Dialect.DOTENV, asked_at=asked_at, environ=environ)
        return found
