"""The files of a compose project to its services: variables, includes, overrides, extends, profiles."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

from pm_native.importers.compose.merge import TAGS, merged, with_files_of, with_paths_of, without_resets
from pm_native.importers.expand import Expander, expand_tree
from pm_native.importers.tree import Entries, scalar_text
from pm_native.syntax.node import Node

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pm_native.errors import Diagnostics, Span
    from pm_native.importers.base import ImportOptions
    from pm_native.importers.files import Files

_FILES_MAX = 64  # of one project, what is included counted in
_EXTENDS_MAX = 32
_DEFAULT_STEMS = frozenset({"compose", "docker-compose"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Composed:
    """A project as compose sees it: the tree of all its files, and the services that are switched on.

    `directories` are where the paths of each service start: what an `include` brings in has a folder of its own.
    """

    root: Node
    directories: Mapping[str, Path]
    services: Mapping[str, Node]
    inactive: Mapping[str, tuple[str, ...]]  # the profiles of those that are not
    environ: Mapping[str, str]


class Composer:
    """Reads the files of one project."""

    def __init__(self, files: Files, options: ImportOptions, problems: Diagnostics) -> None:
        self.files = files
        self.options = options
        self.problems = problems
        self._read = 0
        self._directories: dict[str, Path] = {}

    def compose(self) -> Composed | None:
        """All of the project; None after adding an error."""
        environ = {**self._dotenv(self.files.directory), **self.options.environ}
        paths = [self.files.path, *self._more(environ)]
        root: Node | None = None
        for path in paths:
            layer = self._file(path, self.files.directory, environ, (), None)
            if layer is not None:
                root = layer if root is None else merged(root, layer)
        if root is None or not isinstance(root.value, dict):
            return None
        root = without_resets(root)
        top = Entries(root, self.problems)
        wanted = set(self.options.profiles)
        if not wanted:
            wanted = {name for name in environ.get("COMPOSE_PROFILES", "").split(",") if name}
        services: dict[str, Node] = {}
        inactive: dict[str, tuple[str, ...]] = {}
        for name, node in top.named("services", "service"):
            profiles = Entries(node, self.problems, name).words("profiles")
            if profiles and "*" not in wanted and not wanted & set(profiles):
                inactive[name] = profiles
            else:
                services[name] = node
        return Composed(
            root=root,
            directories=self._directories,
            services=services,
            inactive=inactive,
            environ=environ,
        )

    def _dotenv(self, directory: Path) -> dict[str, str]:
        from pm_native.syntax import Dialect  # noqa: PLC0415 - loaded on first use

        environ = self.options.environ
        found = self.files.environment(directory / ".env", Dialect.DOTENV, environ=environ)
        return {name: variable.value for name, variable in found.items()}

    def _more(self, environ: Mapping[str, str]) -> list[Path]:
        """The files that are laid over the first: those asked for, those of COMPOSE_FILE, or the override beside it."""
        own = self.files.path
        if self.options.more_files:
            return [Path(os.path.abspath(path)) for path in self.options.more_files]  # noqa: PTH100 - Path keeps ".."
        if listed := environ.get("COMPOSE_FILE"):
            separator = environ.get("COMPOSE_PATH_SEPARATOR") or os.pathsep
            paths = [Path(os.path.normpath(self.files.directory / part)) for part in listed.split(separator)]
            if paths[0] == own:
                return paths[1:]
        if own.stem in _DEFAULT_STEMS:
            for suffix in (".yaml", ".yml"):
                beside = own.with_name(f"{own.stem}.override{suffix}")
                if beside.exists():
                    return [beside]
        return []

    def _file(
        self,
        path: Path,
        directory: Path,
        environ: Mapping[str, str],
        seen: tuple[Path, ...],
        asked_at: Span | None,
    ) -> Node | None:
        """One file with its variables put in, what it includes below it, what its services extend in them.

        Of several documents in it each is laid over those before.
        """
        self._read += 1
        if self._read > _FILES_MAX:
            if self._read == _FILES_MAX + 1:
                message = f"this project has more than {_FILES_MAX} files"
                hint = "`docker compose config` puts them into one"
                whole = self._whole(path)
                self.problems.error(whole.span, message, code="compose-files", hint=hint)
            return None
        expander = Expander(environ.get, is_strict=True)
        documents = [
            expand_tree(document, expander, self.problems, "compose")
            for document in self.files.documents(path, asked_at=asked_at, tags=TAGS)
        ]
        if not documents:
            return None
        tree = reduce(merged, documents)
        top = Entries(tree, self.problems)
        if not isinstance(tree.value, dict):
            return None
        root = dict(tree.value)
        if "services" in top:
            listed = top.entries["services"].value
            services = dict(listed) if isinstance(listed, dict) else {}
            for name, node in top.table("services"):
                self._directories.setdefault(name, directory)
                services[name] = with_paths_of(self._extended(name, node, top, path, environ, ()), directory)
            root["services"] = top.entries["services"].with_value(services)
        if "secrets" in top:
            root["secrets"] = with_files_of(root["secrets"], directory)
        tree = tree.with_value(root)
        for item in top.nodes("include"):
            if (below := self._included(item, path, environ, (*seen, path))) is not None:
                tree = merged(below, tree)
        return tree

    def _whole(self, path: Path) -> Node:
        from pm_native.errors import Source  # noqa: PLC0415 - for the unhappy path

        return Node(None, Source(self.files.name_of(path), "").whole())

    def _included(
        self, item: Node, by: Path, environ: Mapping[str, str], seen: tuple[Path, ...]
    ) -> Node | None:
        """What an entry of `include` brings in."""
        entry = Entries(item, self.problems, "include") if isinstance(item.value, dict) else None
        texts = entry.words("path") if entry is not None else (scalar_text(item),)
        found: Node | None = None
        directory: Path | None = None
        for text in texts:
            path = Path(os.path.normpath(by.parent / text))
            if path in seen:
                message, hint = f"{path.name} includes itself in the end", "take one `include` out"
                self.problems.error(item.span, message, code="include-cycle", hint=hint)
                return None
            given = entry.text("project_directory") if entry is not None else None
            directory = directory or (Path(os.path.normpath(by.parent / given)) if given else path.parent)
            defaults = (
                self._defaults(entry, by.parent) if entry is not None and "env_file" in entry else None
            )
            below = self._dotenv(directory) if defaults is None else defaults
            layer = self._file(path, directory, {**below, **environ}, seen, item.span)
            if layer is not None:
                found = layer if found is None else merged(found, layer)
        return found

    def _defaults(self, entry: Entries, directory: Path) -> dict[str, str]:
        """The variables of an include's own `env_file`."""
        from pm_native.syntax import Dialect  # noqa: PLC0415 - loaded on first use

        found: dict[str, str] = {}
        for item in entry.items("env_file"):
            path = Path(os.path.normpath(directory / scalar_text(item)))
            read = self.files.environment(
                path, Dialect.DOTENV, asked_at=item.span, environ=self.options.environ
            )
            found |= {name: variable.value for name, variable in read.items()}
        return found

    def _extended(  # noqa: PLR0913, PLR0917 - the service, and where it stands
        self,
        name: str,
        node: Node,
        top: Entries,
        path: Path,
        environ: Mapping[str, str],
        chain: tuple[tuple[Path, str], ...],
    ) -> Node:
        """The service laid over the one that it extends."""
        entries = Entries(node, self.problems, name)
        extends = entries.node_of("extends")
        if extends is None or not isinstance(node.value, dict):
            return node
        inner = Entries(extends, self.problems, "extends") if isinstance(extends.value, dict) else None
        other = (inner.text("service") if inner is not None else scalar_text(extends)) or name
        file = inner.text("file") if inner is not None else None
        chain = (*chain, (path, name))
        there = Path(os.path.normpath(path.parent / file)) if file else path
        if (there, other) in chain or len(chain) > _EXTENDS_MAX:
            message, hint = f"{name} extends itself in the end", "take one `extends` out"
            self.problems.error(extends.key, message, code="extends-cycle", hint=hint)
            return node
        if there != path:
            place = inner.place("file") if inner is not None else extends.span
            documents = self.files.documents(there, asked_at=place, tags=TAGS)
            if not documents:
                return node
            expander = Expander(environ.get, is_strict=True)
            tree = reduce(
                merged, (expand_tree(tree, expander, self.problems, "compose") for tree in documents)
            )
            top = Entries(tree, self.problems)
        base = top.table("services").node_of(other)
        if base is None:
            message = f"{name} extends {other!r}, which is no service of {self.files.name_of(there)}"
            hint = "name a service that is there"
            self.problems.error(extends.key, message, code="compose-extends", hint=hint)
            return node
        base = self._extended(other, base, top, there, environ, chain)
        if there != path:
            base = with_paths_of(base, there.parent)
        own = {key: item for key, item in node.value.items() if key != "extends"}
        return merged(base, node.with_value(own))
