"""The importer itself: a file of PM2's to a project."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path, PurePosixPath

from pm_native.importers.common import are_too_many, source_file
from pm_native.importers.detect import is_program
from pm_native.importers.files import max_bytes
from pm_native.importers.pm2.keys import BY_NAME
from pm_native.importers.pm2.values import App
from pm_native.model.names import nearest_name
from pm_native.model.project import Project
from pm_native.model.record import SourceFile
from pm_native.syntax.node import Node

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pm_native.errors import Diagnostics, Source, Span
    from pm_native.importers.base import Field, ImportOptions
    from pm_native.importers.detect import Contents
    from pm_native.model.project import Process

_PROGRAM = re.compile(r"\.config\.[cm]?[jt]s")
_DATA = re.compile(
    r"(?:ecosystem|pm2)[\w.-]*\.(?:json|json5|ya?ml)|process(?:es)?(?:\.[\w-]+)*\.(?:json|ya?ml)"
)
_STEMS = ("ecosystem.config", "pm2.config")
_TOP_LEVEL = frozenset({"apps", "pm2", "deploy", "static"})


@dataclass(slots=True)
class _Loaded:
    """What a config that is a program has loaded: files of its own, and those of packages."""

    files: list[SourceFile] = field(default_factory=list)
    libraries: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Pm2Importer:
    """Reads what `pm2 start FILE` reads, and what `pm2 save` writes. A config that is a program gets `timeout_sec` seconds to run."""

    timeout_sec: float = 8.0
    name: str = "pm2"
    title: str = "PM2"
    file_names: tuple[str, ...] = (
        *(
            f"{stem}.{suffix}"
            for stem in _STEMS
            for suffix in ("js", "cjs", "mjs", "ts", "json", "yml", "yaml")
        ),
        *("ecosystem.json", "ecosystem.yml", "ecosystem.yaml", "pm2.json", "pm2.yml", "pm2.yaml"),
        *(
            "process.json",
            "process.yml",
            "process.yaml",
            "processes.json",
            "processes.yml",
            "process.config.js",
        ),
    )

    def recognises(self, path: Path) -> bool:
        """Whether the file is PM2's by its name: any `*.config.js`, and data files of the usual names."""
        name = path.name
        if _PROGRAM.search(name) or _DATA.fullmatch(name):
            return not name.startswith(
                ("process-compose", "vite.", "webpack.", "rollup.", "jest.", "babel.")
            )
        return name.endswith((".config.json", ".config.yml", ".config.yaml")) or name == "dump.pm2"

    def claims(self, contents: Contents) -> str:
        """Data files with `apps`, or with apps themselves: what has a `script` and no `command` beside it."""
        if contents.kind not in {"yaml", "json"}:
            return ""
        if "apps" in contents.keys or "pm2" in contents.keys:
            return f"it has `{'apps' if 'apps' in contents.keys else 'pm2'}`"
        return "it has a `script`" if "script" in contents.keys else ""

    def fields(self) -> tuple[Field, ...]:
        """Every key of an app, and those of the top level."""
        from pm_native.importers.pm2.fields import fields  # noqa: PLC0415 - for the docs

        return fields()

    def load(self, path: Path, name: str, options: ImportOptions, problems: Diagnostics) -> Project | None:
        """The project in the file at `path`, called `name` in diagnostics; None after adding an error."""
        from pm_native.syntax import read_source  # noqa: PLC0415 - the parsers load on first use

        source = read_source(path, name, problems, max_bytes=max_bytes(path))
        if source is None:
            return None
        loaded = _Loaded()
        root = self._tree(path, source, options, loaded, problems)
        if root is None:
            return None
        base = path.absolute().parent
        reader = ConfigReader(source, base, options, problems)
        if path.suffix == ".pm2":
            from pm_native.importers.pm2.dump import apps_of, project_place  # noqa: PLC0415 - for dumps only

            root = Node([app for app, _ in apps_of(root, options.environ, str(base), problems)], root.span)
            processes = reader.processes(root)
            folder, name = project_place(processes)
        else:
            processes = reader.processes(root)
            reader.tell_base()
            folder, name = PurePosixPath(base), nearest_name(base.name)
        from pm_native.importers.pm2.cron import restart_tasks  # noqa: PLC0415 - after the syntax is known good

        project = options.project_name or name
        return Project(
            name=project,
            source_path=str(path.absolute()),
            directory=folder,
            processes=(*processes, *restart_tasks(processes, reader.timed, project)),
            sources=(source_file(path, source), *loaded.files),
            libraries=tuple(loaded.libraries),
            span=source.whole(),
        )

    def _tree(
        self,
        path: Path,
        source: Source,
        options: ImportOptions,
        loaded: _Loaded,
        problems: Diagnostics,
    ) -> Node | None:
        """What the config says; `loaded` gets what else was read for it."""
        from pm_native.syntax import parse_json5, parse_yaml  # noqa: PLC0415 - the parsers load on first use

        if is_program(path):
            return self._evaluated(path, source, options, loaded, problems)
        if path.suffix in {".yml", ".yaml"}:
            from pm_native.importers.yaml_1_2 import as_yaml_1_2  # noqa: PLC0415 - for YAML only

            tree = parse_yaml(source, problems)
            return as_yaml_1_2(tree) if tree else None
        if ".json" in path.name or path.suffix == ".pm2":
            return parse_json5(source, problems)
        hint = "configs of PM2 are called .config.js, .cjs, .mjs or .ts, .json, .yml and .yaml, or dump.pm2"
        message = f"cannot tell the format by the suffix {path.suffix!r}"
        problems.error(source.whole(), message, code="unknown-format", hint=hint)
        return None

    def _evaluated(
        self,
        path: Path,
        source: Source,
        options: ImportOptions,
        loaded: _Loaded,
        problems: Diagnostics,
    ) -> Node | None:
        from pm_native.importers.pm2.evaluate import evaluate  # noqa: PLC0415 - for programs only
        from pm_native.importers.pm2.locate import locate  # noqa: PLC0415 - for programs only

        evaluated = evaluate(path, source, options.environ, self.timeout_sec, problems)
        if evaluated is None:
            return None
        for file in sorted(evaluated.files):
            other = Path(file)
            if other == path.resolve() or not other.is_file():
                continue
            if "node_modules" in other.parts:
                loaded.libraries.append(file)
            else:
                digest = sha256(other.read_bytes()).hexdigest()
                loaded.files.append(SourceFile(path=file, sha256=digest))
        _tell_dropped(evaluated.dropped, source, problems)
        return locate(evaluated.value, source)


def _tell_dropped(dropped: tuple[tuple[str, str], ...], source: Source, problems: Diagnostics) -> None:
    for kind, hint in (
        (
            "undefined",
            "a variable read from process.env is not set here: set it for this run if it is needed",
        ),
        ("function", "a config is plain data: PM2 drops functions, too"),
        ("symbol", "a config is plain data"),
    ):
        paths = [path for path, found in dropped if found == kind]
        if paths:
            shown = ", ".join(paths[:6]) + (f" and {len(paths) - 6} more" if len(paths) > 6 else "")
            verb = "is" if len(paths) == 1 else "are"
            article = "undefined" if kind == "undefined" else f"a {kind}" if len(paths) == 1 else f"{kind}s"
            problems.note(
                source.whole(), f"{shown} {verb} {article} and left out", code="pm2-dropped", hint=hint
            )


class ConfigReader:
    """Reads the tree of one config."""

    def __init__(self, source: Source, base: Path, options: ImportOptions, problems: Diagnostics) -> None:
        self.source = source
        self.base = base
        self.options = options
        self.problems = problems
        self.deploy: Node | None = None
        self.timed: dict[str, tuple[tuple[str, ...], Span]] = {}  # when cron_restart restarts an app

    def processes(self, root: Node) -> list[Process]:
        """All apps that can be read."""
        found: list[Process] = []
        first: dict[str, Process] = {}
        variants: set[str] = set()
        apps = self.apps(root)
        if are_too_many(len(apps), root.span, self.problems):
            return []
        for node in apps:
            process = self.process(node, variants)
            if process is None:
                continue
            if process.name in first:
                hint = f"the first is at {first[process.name].span.where}; `pm2 restart FILE` doubles such apps: rename one"
                self.problems.error(
                    process.span, f"a second app named {process.name!r}", code="duplicate-name", hint=hint
                )
                continue
            first[process.name] = process
            found.append(process)
        self.tell_all(found, variants)
        return found

    def apps(self, root: Node) -> list[Node]:
        """The apps, in whichever of PM2's four shapes; none after adding an error."""
        value = root.value
        if isinstance(value, dict):
            self.top_level(value)
            listed = next((value[key] for key in ("apps", "pm2") if key in value and value[key].value), None)
            if listed is None and not _TOP_LEVEL & value.keys():
                return [root] if value else self.nothing(root)
            root = listed or root
            if listed is not None and isinstance(listed.value, dict):
                return [listed]
        if isinstance(root.value, list):
            return root.value or self.nothing(root)
        return self.nothing(root)

    def nothing(self, root: Node) -> list[Node]:
        """No apps, and the error that says so."""
        hint = (
            "{ apps: [{ name: 'web', script: './server.js' }] }; a JavaScript config needs module.exports ="
        )
        self.problems.error(root.span, "the config has no apps", code="pm2-no-apps", hint=hint)
        return []

    def top_level(self, entries: dict[str, Node]) -> None:
        """What stands beside the apps."""
        if not _TOP_LEVEL & entries.keys():
            return
        self.deploy = entries.get("deploy")
        if self.deploy is not None and self.deploy.value:
            hint = "deploy with what you have, then: pm-native apply"
            message = "deploy is PM2's tool for copying over ssh; nothing here does that"
            self.problems.note(self.deploy.key, message, code="pm2-deploy", hint=hint)
        static = entries.get("static")
        if static is not None and static.value:
            hint = "serve the folder by nginx, or by an app of its own: script: 'npx', args: 'serve --listen 8080 public'"
            message = "static: the web server inside PM2 is not there without PM2"
            self.problems.warning(static.key, message, code="pm2-static", hint=hint)
        for key, node in entries.items():
            if key not in _TOP_LEVEL:
                hint = "PM2 reads apps, deploy and static here; the keys of an app stand inside apps"
                message = f"PM2 has no key {key!r} at the top and ignores it"
                # A key of an app is in the wrong place; anything else may well hold what apps are made of.
                tell = self.problems.warning if key in BY_NAME else self.problems.note
                tell(node.key, message, code="pm2-unknown-key", hint=hint)

    def process(self, node: Node, variants: set[str]) -> Process | None:
        """One app."""
        from pm_native.importers.pm2.process import ProcessReader  # noqa: PLC0415 - after the syntax is known good

        if not isinstance(node.value, dict):
            if node.value in (None, False):
                hint = "filter such entries out: apps: [...].filter(Boolean)"
                message = f"an app that is {node.kind}: PM2 fails on it, here it is left out"
                self.problems.warning(node.span, message, code="pm2-empty-app", hint=hint)
            else:
                hint = "{ name: 'web', script: './server.js' }"
                message = f"expected an app, an object, found {node.kind}"
                self.problems.error(node.span, message, code="wrong-type", hint=hint)
            return None
        app = App(node, node.value, self.problems)
        variants.update(app.environments())
        reader = ProcessReader(app, self.base, self.options, self.deploy_environment(), self.problems)
        process = reader.read()
        if process is not None and reader.restarts_at:
            self.timed[process.name] = (reader.restarts_at, app.place("cron_restart"))
        return process

    def deploy_environment(self) -> Node | None:
        """`deploy.<variant>.env`, over which `env` goes."""
        variant = self.options.variant
        node = self.deploy
        for key in (variant, "env"):
            node = node.value.get(key) if node is not None and key and isinstance(node.value, dict) else None
        return node

    def tell_all(self, processes: list[Process], variants: set[str]) -> None:
        """What holds for every app: told once."""
        if not processes:
            return
        whole = self.source.whole()
        message = "systemd starts programs with a clean environment; PM2 hands on that of the shell, and pm_id, name and more"
        hint = "put what a program reads into env; NODE_APP_INSTANCE is set"
        self.problems.note(whole, message, code="pm2-environment", hint=hint)
        if any(
            process.restart.limit is not None and process.restart.policy != "no" for process in processes
        ):
            message = "PM2 stops counting restarts once an app is up for a while; here max_restarts counts at any time"
            hint = "an app that gave up shows as failed: systemctl reset-failed, then start; or raise max_restarts"
            self.problems.note(whole, message, code="pm2-restart-limit", hint=hint)
        chosen = self.options.variant
        if chosen is not None and chosen not in variants:
            known = ", ".join(f"env_{name}" for name in sorted(variants)) or "no env_<name> at all"
            message = f"no app has env_{chosen}: env alone counts"
            hint = f"there is {known}"
            self.problems.warning(self.source.whole(), message, code="pm2-no-variant", hint=hint)
        if variants and self.options.variant is None:
            names = ", ".join(f"env_{name}" for name in sorted(variants))
            hint = f"choose one: --env {min(variants)}"
            self.problems.note(whole, f"not used: {names}", code="pm2-variants", hint=hint)

    def tell_base(self) -> None:
        """Where relative paths start, where PM2 would take them from elsewhere."""
        if (here := _caller_directory()) not in {None, self.base}:
            message = f"relative paths start at {self.base}, the folder of the config"
            hint = f"PM2 started here takes them from {here}"
            self.problems.note(self.source.whole(), message, code="pm2-base", hint=hint)


def _caller_directory() -> Path | None:
    """Where the caller is; None where that folder is gone."""
    try:
        return Path(os.getcwd())  # noqa: PTH109 - Path.cwd is the same call
    except OSError:
        return None


IMPORTER = Pm2Importer()
