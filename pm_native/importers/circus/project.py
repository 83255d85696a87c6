"""The sections of circus.ini to a project."""

from __future__ import annotations

from dataclasses import replace
from fnmatch import filter as filter_names
from fnmatch import fnmatch
from glob import has_magic
from pathlib import PurePosixPath

from pm_native.importers.circus.fields import DAEMON_KEYS, DAEMON_OWN_KEYS
from pm_native.importers.circus.plugins import PluginReader
from pm_native.importers.circus.sockets import read_socket
from pm_native.importers.circus.values import Values
from pm_native.importers.circus.watcher import Around, WatcherReader
from pm_native.importers.common import are_too_many, is_wrapper
from pm_native.importers.ini import and_more, tell_rotation
from pm_native.importers.pool import in_order
from pm_native.model.health import Health
from pm_native.model.names import nearest_name
from pm_native.model.project import Project
from pm_native.model.watch import Watch
from pm_native.runtime.watch.patterns import literal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from pm_native.errors import Diagnostics, Span
    from pm_native.importers.base import ImportOptions
    from pm_native.importers.circus.sockets import Socket
    from pm_native.importers.ini import IniConfig
    from pm_native.model.project import Process
    from pm_native.syntax import IniEntry, IniSection

_GENERAL_FOLDERS = frozenset({"etc", "circus", "circus.d", "conf.d", ""})


def _with_plugins(process: Process, name: str, plugins: PluginReader) -> Process:
    """The process of a watcher with what plugins ask of it."""
    check = plugins.memory.pop(name.lower(), None)
    if check is not None:
        origins = {**process.origins, "health": check.span}
        process = replace(process, health=Health(alive=check), origins=origins)
    program = process.command[0]
    # circus looks at the file that `cmd` names from its own folder on: a name alone is found on the PATH.
    if plugins.reloader is not None and "/" in program and not is_wrapper(program):
        origins = {**process.origins, "watch": plugins.reloader}
        process = replace(process, watch=Watch(patterns=(literal(program),)), origins=origins)
    return process


class _Environments:
    """The `[env:...]` sections, found by the names that they are for: most patterns are plain names."""

    def __init__(self, sections: Iterable[IniSection]) -> None:
        self.sections = [section for section in sections if section.name.startswith("env:")]
        self.by_name: dict[str, set[int]] = {}
        self.wild: list[tuple[int, str]] = []
        for number, section in enumerate(self.sections):
            for pattern in section.name.removeprefix("env:").split(","):
                word = pattern.strip()
                if has_magic(word):
                    self.wild.append((number, word))
                else:
                    self.by_name.setdefault(word, set()).add(number)

    def of(self, name: str) -> list[IniSection]:
        """Those for a watcher, in their order."""
        wild = {number for number, pattern in self.wild if fnmatch(name, pattern)}
        return [self.sections[number] for number in sorted(self.by_name.get(name, set()) | wild)]


class ProjectReader:
    """Reads the sections of one config."""

    def __init__(self, config: IniConfig, path: Path, options: ImportOptions, problems: Diagnostics) -> None:
        self.config = config
        self.path = path.absolute()
        self.options = options
        self.problems = problems
        shared = config.sections.get("env")
        self.environments = _Environments(config.sections.values())
        self.shared: dict[str, IniEntry] = dict(shared.entries) if shared else {}
        self.variables = {f"env.{key.lower()}": value for key, value in options.environ.items()}
        self.variables |= {f"env.{key.lower()}": entry.value for key, entry in self.shared.items()}

    def values(self, section: IniSection, own: dict[str, IniEntry] | None = None) -> Values:
        """A section with what its variables can name."""
        more = {f"env.{key.lower()}": entry.value for key, entry in (own or {}).items()}
        return Values(section, self.problems, {**self.variables, **more})

    def project(self) -> Project | None:
        """The project; None after adding an error that leaves nothing of it."""
        umask = self.daemon()
        plugins = self.plugins()
        sockets = self.sockets()
        self.tell_others()
        processes = self.watchers(umask, plugins, sockets)
        if not processes:
            if not self.problems.has_errors:
                hint = "a program is a section [watcher:NAME] with cmd; includes are read where they are"
                whole = self.config.source.whole()
                self.problems.error(
                    whole, "there is no watcher in this config", code="circus-empty", hint=hint
                )
            return None
        folder = self.path.parent.name
        name = folder if folder not in _GENERAL_FOLDERS else self.path.stem
        return Project(
            name=self.options.project_name or nearest_name(name),
            source_path=str(self.path),
            directory=PurePosixPath(self.path.parent),
            processes=processes,
            sources=tuple(self.config.files),
            span=self.config.source.whole(),
        )

    def daemon(self) -> int | None:
        """What `[circus]` says: the umask of all."""
        section = self.config.sections.get("circus")
        if section is None:
            return None
        values = self.values(section)
        values.tell_unknown(DAEMON_KEYS, (), "[circus]")
        own = [entry.key for entry in section.entries.values() if entry.key in DAEMON_OWN_KEYS]
        if own:
            message = f"circusd's own settings have no meaning here: {', '.join(own)}"
            self.problems.note(section.span, message, code="circus-ignored", hint="they can go")
        if values.flag("httpd", default=False):
            message = "httpd: the web console of circus goes away"
            hint = "pm-native status shows the processes, systemctl controls them"
            self.problems.warning(values.place("httpd"), message, code="circus-lost", hint=hint, lost=True)
        if values.flag("statsd", default=False):
            message = "statsd: nothing publishes statistics"
            hint = "pm-native status, systemd-cgtop"
            self.problems.note(values.place("statsd"), message, code="circus-lost", hint=hint, lost=True)
        if values.number("warmup_delay", 0):
            message = "warmup_delay: the watchers start together"
            hint = "priority orders them; depends_on in the native config waits for one"
            self.problems.note(
                values.place("warmup_delay"), message, code="circus-warmup", hint=hint, lost=True
            )
        return values.octal("umask") if values.entry("umask") else None

    def plugins(self) -> PluginReader:
        """What the plugins ask of the watchers; what is lost of them is told."""
        reader = PluginReader(self.problems)
        for section in self.config.sections.values():
            if section.name.startswith("plugin:"):
                reader.read(self.values(section))
        return reader

    def sockets(self) -> dict[str, Socket]:
        """The sockets by name, in small letters as circus has them."""
        found = {}
        for section in self.config.sections.values():
            if section.name.startswith("socket:"):
                socket = read_socket(self.values(section), self.problems)
                if socket is not None:
                    found[section.name.removeprefix("socket:").lower()] = socket
        return found

    def watchers(
        self, umask: int | None, plugins: PluginReader, sockets: dict[str, Socket]
    ) -> tuple[Process, ...]:
        """All watchers, in their order."""
        names = [name for name in self.config.sections if name.startswith("watcher:")]
        if are_too_many(len(names), self.config.source.whole(), self.problems):
            return ()
        found: list[tuple[Process, tuple[int, ...], Span]] = []
        readers: list[WatcherReader] = []
        for section in self.config.sections.values():
            if not section.name.startswith("watcher:"):
                continue
            name = section.name.partition(":")[2]
            own = self.environment(name)
            values = self.values(section, own)
            around = Around(
                directory=PurePosixPath(self.path.parent),
                environ=self.options.environ,
                shared=self.shared,
                own=own,
                sockets=sockets,
                flapping=plugins.flapping,
                umask=umask,
            )
            reader = WatcherReader(values, name, around, self.problems)
            process = reader.read()
            if process is None:
                continue
            readers.append(reader)
            process = _with_plugins(process, name, plugins)
            priority = -int(values.number("priority", 0, -(10**9)))
            found.append((process, (priority,), process.origins.get("depends_on", process.span)))
        self.check_together([process for process, _, _ in found], plugins)
        processes, place = in_order(found)
        if place is not None:
            message = (
                "priority: a watcher starts behind those of a higher one, and its own start asks for theirs"
            )
            hint = "leave priority out where the order does not matter"
            self.problems.note(place, message, code="circus-priority", hint=hint)
        if readers and not self.problems.has_errors:
            self.tell_all(readers)
        return tuple(processes)

    def check_together(self, processes: list[Process], plugins: PluginReader) -> None:
        """What cannot be with two watchers of a name or a socket, and with plugins that watch nobody."""
        names: dict[str, str] = {}
        addresses: dict[str, str] = {}
        for process in processes:
            if process.name in names:
                message = f"a second watcher is called {process.name!r} here"
                hint = f"rename one of them: the other is at {names[process.name]}"
                self.problems.error(process.span, message, code="duplicate-name", hint=hint)
            names.setdefault(process.name, str(process.span))
            address = f"{process.listen.path or process.listen.port}" if process.listen.share else ""
            if address in addresses:
                message = f"two watchers share the socket {address}: {addresses[address]} and {process.name}"
                hint = "one of them: a socket unit belongs to one process"
                self.problems.error(process.span, message, code="circus-socket", hint=hint)
            if address:
                addresses.setdefault(address, process.name)
        for name, check in plugins.memory.items():
            message, hint = f"there is no watcher {name!r}", "name one that is there"
            self.problems.warning(check.span, message, code="circus-plugin", hint=hint)

    def environment(self, name: str) -> dict[str, IniEntry]:
        """What the `[env:...]` sections say of a watcher, a later one over an earlier one."""
        found: dict[str, IniEntry] = {}
        for section in self.environments.of(name):
            found.update(section.entries)
        return found

    def tell_others(self) -> None:
        """Sections that circus does not have."""
        names = {name.partition(":")[2] for name in self.config.sections if name.startswith("watcher:")}
        for section in self.config.sections.values():
            kind, colon, rest = section.name.partition(":")
            if section.name in {"circus", "env"} or (kind in {"watcher", "socket", "plugin"} and colon):
                continue
            if kind == "env" and colon:
                patterns = [pattern.strip() for pattern in rest.split(",")]
                unused = [word for word in patterns if word not in names and not filter_names(names, word)]
                if unused:
                    message = f"there is no watcher {unused[0]!r}: its variables go nowhere"
                    hint = f"there are: {', '.join(sorted(names)) or 'none'}"
                    self.problems.warning(section.span, message, code="circus-env", hint=hint)
                continue
            message = f"circus has no section [{section.name}] and ignores it"
            hint = "[watcher:NAME], [socket:NAME], [env:NAME], [plugin:NAME], [env] and [circus]"
            self.problems.warning(section.span, message, code="circus-unknown-key", hint=hint)

    def tell_all(self, readers: list[WatcherReader]) -> None:
        """What holds for all watchers: told once."""
        whole = self.config.source.whole()
        copying = [reader.name for reader in readers if reader.copies_env]
        if copying:
            message = (
                f"copy_env: systemd starts {and_more(copying)} with a clean environment, without circusd's"
            )
            hint = "put what a program reads into [env:NAME]"
            self.problems.note(whole, message, code="circus-environment", hint=hint)
        rotated = (path for reader in readers for path in reader.rotates)
        tell_rotation(rotated, whole, self.problems, code="circus-rotation", keys="the stream")
        without = [reader.name for reader in readers if reader.values.section.get("working_dir") is None]
        if without:
            message = f"no working_dir, so {self.path.parent} is the working directory: {and_more(without)}"
            hint = "circus leaves a program in the folder that circusd was started in: write working_dir"
            self.problems.note(whole, message, code="circus-directory", hint=hint)
