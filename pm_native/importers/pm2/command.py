"""What an app runs: the script, its interpreter and the arguments to a command of words."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pm_native.syntax.read import open_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pm_native.errors import Diagnostics
    from pm_native.importers.pm2.values import App

_INTERPRETERS = {
    ".sh": "bash",
    ".py": "python",
    ".rb": "ruby",
    ".php": "php",
    ".pl": "perl",
    ".js": "node",
    ".mjs": "node",
    ".cjs": "node",
    ".coffee": "coffee",
    ".ls": "lsc",
    ".ts": "bun",
    ".tsx": "bun",
}
_WINDOWS_PATH = re.compile(r"[A-Za-z]:[\\/]|[^ ]*\.(?:exe|cmd|bat)$", re.IGNORECASE)
_NODE_VERSION = re.compile(r"node@(?P<version>.+)")
_SHEBANG = re.compile(rb"#![ \t]*([^\r\n]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """argv, and the name of the interpreter that PM2 would use ("": the program itself)."""

    words: tuple[str, ...]
    interpreter: str

    @property
    def is_node(self) -> bool:
        """Whether PM2's cluster mode can run it."""
        return self.interpreter.endswith(("node", "bun"))

    @property
    def is_python(self) -> bool:
        """Whether PM2 sets PYTHONUNBUFFERED for it."""
        return "python" in self.interpreter


@dataclass(frozen=True, slots=True)
class _File:
    """What the first bytes of a script say: `shebang` are the words after "#!"."""

    is_text: bool = False
    shebang: tuple[str, ...] = ()
    is_executable: bool = False


class CommandBuilder:
    """Makes the command of one app that runs in `directory`; `base` is the folder of the config."""

    def __init__(
        self,
        app: App,
        directory: PurePosixPath,
        base: Path,
        environ: Mapping[str, str],
        problems: Diagnostics,
    ) -> None:
        self.app = app
        self.directory = directory
        self.base = base
        self.environ = environ
        self.problems = problems

    def build(self) -> Command | None:
        """The command; None after adding an error."""
        script = self.app.text("script")
        if script is None:
            if "script" not in self.app.places or self.app.nodes["script"].value == "":
                hint = "add script: the file or the program to run"
                self.problems.error(
                    self.app.node.span, "an app without a script", code="pm2-no-script", hint=hint
                )
            return None
        if _WINDOWS_PATH.match(script):
            hint = "give the program as it is called on Linux"
            self.problems.error(
                self.app.place("script"), f"a program for Windows: {script!r}", code="pm2-windows", hint=hint
            )
            return None
        if script == "serve":
            hint = "run one: script: 'npx', args: 'serve --listen 8080 public', or serve the folder by nginx"
            message = "'serve' is the web server inside PM2: it is not there without PM2"
            self.problems.warning(self.app.place("script"), message, code="pm2-static", hint=hint)
        if " " in script:
            return self._shell(script)
        return self._command(script)

    def _shell(self, script: str) -> Command:
        """A script with a blank in it is a line for bash; PM2 then forgets `args`."""
        lost = [key for key in ("args", "node_args") if self.app.words(key)]
        if lost:
            message = f"PM2 ignores {lost[0]}: a script with a blank in it is run by bash -c"
            hint = "put the arguments into the script, or give the program alone as script"
            self.problems.warning(self.app.place(lost[0]), message, code="pm2-args-lost", hint=hint)
        interpreter = self.app.text("exec_interpreter") or "none"
        if interpreter not in {"none", "bash", "sh", "/bin/bash", "/bin/sh"}:
            message = f"the interpreter {interpreter!r} is left out: bash runs a script with a blank in it"
            hint = "put the interpreter into the script, or the arguments into args"
            self.problems.warning(
                self.app.place("exec_interpreter"), message, code="pm2-args-lost", hint=hint
            )
        shell = "bash" if self._which("bash") else "sh"
        return Command(words=(shell, "-c", script), interpreter="")

    def _command(self, script: str) -> Command:
        path, file = self._find(script)
        arguments = self.app.words("args")
        options = self.app.words("node_args")
        given = self.app.text("exec_interpreter")
        if given is None:
            before, name = self._default_interpreter(path, file)
        elif given == "none":
            before, name = (), ""
        else:
            before = (self._interpreter(given),)
            name = PurePosixPath(given).name if not _NODE_VERSION.search(given) else "node"
        if before and path == script:  # an interpreter looks for no program on PATH
            path = self._which(script) or script
            if path == script and "/" not in script and not script.startswith("-"):
                hint = "install it before `apply`, or write its path: PM2 starts no app whose script it does not find"
                message = f"there is no {script!r} in cwd or on PATH"
                self.problems.warning(
                    self.app.place("script"), message, code="pm2-script-missing", hint=hint
                )
        if options and not before:
            if name == "node":
                before, path = ("node",), self._which(path) or path
            else:
                message = f"node_args are lost: no interpreter runs {script!r}"
                hint = "put them into args, or name the interpreter"
                self.problems.warning(self.app.place("node_args"), message, code="pm2-args-lost", hint=hint)
                options = ()
        return Command(words=(*before, *options, path, *arguments), interpreter=name)

    def _find(self, script: str) -> tuple[str, _File | None]:
        """The absolute path of the script, or its bare name where it is a program on PATH; what is in the file."""
        path = os.path.normpath(self.directory / script)
        if Path(path).exists():
            return path, _look(path)
        if "/" not in script and PurePosixPath(script).suffix not in _INTERPRETERS:
            found = self._which(script)
            return script, _look(found) if found else None
        elsewhere = os.path.normpath(self.base / script)
        if elsewhere != path and Path(elsewhere).exists():
            message = f"there is no {path}: {elsewhere} is taken"
            hint = "PM2 looks for the script in cwd, not beside the config: write the path from cwd"
            self.problems.warning(self.app.place("script"), message, code="pm2-script-place", hint=hint)
            return elsewhere, _look(elsewhere)
        hint = "build or install it before `apply`; a relative script starts at cwd, cwd at the folder of the config"
        self.problems.warning(
            self.app.place("script"),
            f"there is no {path} on this host",
            code="pm2-script-missing",
            hint=hint,
        )
        return path, None

    def _default_interpreter(self, path: str, file: _File | None) -> tuple[tuple[str, ...], str]:
        """The words before the script, and the name of what runs it. PM2 goes by the extension alone."""
        if Path(path).is_dir():
            return ("node",), "node"  # which runs its index.js, or what its package.json says
        suffix = PurePosixPath(path).suffix
        name = _INTERPRETERS.get(suffix)
        if name == "python" and not self._which("python") and self._which("python3"):
            name = "python3"
        if name == "bun" and not self._which("bun") and self._which("node"):
            name = "node"
            hint = "Node runs it from 22.18 on; else give an interpreter, such as tsx, or install bun"
            message = f"there is no bun on PATH: node runs {PurePosixPath(path).name}"
            self.problems.warning(self.app.place("script"), message, code="pm2-typescript", hint=hint)
        if name is not None:
            return (name,), name
        if file is None:
            return (), "node"  # nobody can look: PM2 takes it for a text, once it is there
        if not file.is_text:
            return (), ""
        if not file.shebang:
            return ("node",), "node"
        runner = PurePosixPath(file.shebang[0]).name
        if runner == "env":
            rest = [word for word in file.shebang[1:] if not word.startswith("-") and "=" not in word]
            runner = PurePosixPath(rest[0]).name if rest else "env"
        if not runner.endswith(("node", "bun")):
            message = f"{PurePosixPath(path).name} is run by {runner}, as its first line says"
            hint = "PM2 runs a text file without a known extension by node"
            self.problems.note(self.app.place("script"), message, code="pm2-shebang", hint=hint)
        return (() if file.is_executable else file.shebang), runner

    def _interpreter(self, name: str) -> str:
        """The interpreter as a bare name or an absolute path."""
        if version := _NODE_VERSION.search(name):
            return self._node_version(version["version"])
        if "/" not in name:
            return name
        path = os.path.normpath(self.directory / name)
        elsewhere = os.path.normpath(self.base / name)
        if elsewhere != path and not Path(path).exists() and Path(elsewhere).exists():
            message = f"there is no {path}: {elsewhere} is taken"
            hint = "a relative interpreter starts at cwd: write the path from there"
            place = self.app.place("exec_interpreter")
            self.problems.warning(place, message, code="pm2-script-place", hint=hint)
            return elsewhere
        return path

    def _node_version(self, version: str) -> str:
        """The node that nvm installed for `node@version`; nothing is installed here."""
        place = self.app.place("exec_interpreter")
        home = self.environ.get("NVM_DIR")
        if not home:
            message = f"node@{version} is installed by nvm, and NVM_DIR is not set: `node` on PATH is taken"
            hint = "set NVM_DIR, or write the path of the node that is meant"
            self.problems.warning(place, message, code="pm2-node-version", hint=hint)
            return "node"
        path = f"{home.rstrip('/')}/versions/node/v{version.removeprefix('v')}/bin/node"
        if not Path(path).exists():
            hint = f"install it: nvm install {version} (PM2 does so by itself)"
            if not re.fullmatch(r"v?\d+\.\d+\.\d+", version):
                hint = (
                    f"write the whole version, such as node@20.11.1, and install it: nvm install {version}"
                )
            self.problems.error(place, f"there is no {path}", code="pm2-node-version", hint=hint)
        return path

    def _which(self, name: str) -> str | None:
        return shutil.which(name, path=self.environ.get("PATH", os.defpath))


def _look(path: str) -> _File | None:
    """What a file is, by its first bytes; None where it cannot be read."""
    try:
        with open_file(Path(path)) as file:
            head = file.read(512)
    except OSError:  # a folder, or not ours to read: nothing is known of it
        return None
    match = _SHEBANG.match(head)
    shebang = tuple(match[1].decode("utf-8", "replace").split()) if match else ()
    return _File(is_text=b"\0" not in head, shebang=shebang, is_executable=os.access(path, os.X_OK))
