"""`develop.watch` of a service: which changes of files restart its program."""

from __future__ import annotations

import os

from pm_native.importers.tree import Entries
from pm_native.model.watch import Watch
from pm_native.runtime.watch.patterns import literal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path, PurePosixPath

    from pm_native.errors import Diagnostics, Span

_SYNC = "sync"
_SYNC_AND_RUN = "sync+exec"
_REBUILD = "rebuild"
_ACTIONS = ("restart", "sync+restart", _REBUILD, _SYNC, _SYNC_AND_RUN)


class Develop:
    """Reads the watched files of one service. Paths begin at the folder of the project."""

    def __init__(self, own_name: str, service: Entries, folder: Path, problems: Diagnostics) -> None:
        self.own_name = own_name
        self.table = service.table("develop")
        self.folder = folder
        self.problems = problems

    def watch(self, directory: PurePosixPath, origins: dict[str, Span]) -> Watch | None:
        """The patterns, from the process's `directory` on; None where nothing restarts it."""
        patterns: list[str] = []
        ignore: list[str] = []
        met: dict[str, Span] = {}
        for item in self.table.nodes("watch"):
            entry = Entries(item, self.problems, "develop.watch")
            action, path = entry.text("action") or "", entry.text("path")
            if action not in _ACTIONS:
                hint = f"one of {', '.join(_ACTIONS)}"
                self.problems.error(
                    entry.place("action"), f"unknown action {action!r}", code="unknown-value", hint=hint
                )
                continue
            met.setdefault(action, entry.place("action"))
            if not path:
                message, hint = "develop.watch: there is no path", "path: ./src"
                self.problems.error(entry.node.span, message, code="missing-key", hint=hint)
            if not path or action in {_SYNC, _SYNC_AND_RUN}:
                continue
            base = self._pattern(path, directory)
            patterns += [f"{base}/{word}" for word in entry.words("include")] or [base]
            ignore += [f"{base}/{word}" for word in self._ignored(entry)]
        self._tell(met)
        if not patterns:
            return None
        origins["watch"] = place = self.table.place("watch")
        message = f"develop.watch: {self.own_name} restarts with its files at any time, as with `up --watch`"
        hint = "for production, take develop.watch out, or leave the file out that has it"
        self.problems.note(place, message, code="compose-watch", hint=hint)
        return Watch(patterns=tuple(dict.fromkeys(patterns)), ignore=tuple(dict.fromkeys(ignore)))

    def _pattern(self, path: str, directory: PurePosixPath) -> str:
        full = os.path.normpath(self.folder / path)
        near = os.path.relpath(full, directory)
        return literal(full if near.startswith("..") else near)

    def _ignored(self, entry: Entries) -> list[str]:
        words = entry.words("ignore")
        if exceptions := [word for word in words if word.startswith("!")]:
            message = (
                f"develop.watch: {self.own_name}: no pattern takes back another: {', '.join(exceptions)}"
            )
            hint = "ignore what is to be ignored, one by one"
            self.problems.warning(entry.place("ignore"), message, code="compose-watch", hint=hint, lost=True)
        return [word for word in words if word and not word.startswith("!")]

    def _tell(self, met: dict[str, Span]) -> None:
        """What an action does besides, and nothing here does."""
        if _REBUILD in met:
            message = f"develop.watch: {self.own_name}: nothing is built, the program is restarted"
            hint = "let the command build it first, or a task that watches the same files"
            self.problems.warning(met[_REBUILD], message, code="compose-watch", hint=hint)
        if _SYNC_AND_RUN in met:
            message = f"develop.watch: {self.own_name}: the command of {_SYNC_AND_RUN} is not run"
            hint = "a task with `watch` in the native config runs when files change"
            self.problems.warning(met[_SYNC_AND_RUN], message, code="compose-watch", hint=hint, lost=True)
        if _SYNC in met:
            message = f"develop.watch: {self.own_name}: nothing is copied, the program has its files in their place"
            self.problems.note(met[_SYNC], message, code="compose-ignored", hint="it can go")
