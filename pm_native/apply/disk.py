"""The steps of a plan that touch the disk: files, links, folders for logs."""

from __future__ import annotations

import os
from pathlib import Path

from pm_native.apply.ownership import file_path
from pm_native.apply.save import save_beside
from pm_native.compile.bundle import FileKind
from pm_native.errors import AccessError
from pm_native.plan.make import link_name
from pm_native.plan.model import Action
from pm_native.state.files import (
    PRIVATE,
    link_atomic,
    make_folder,
    remove,
    remove_empty,
    sweep_scratch,
    write_atomic,
)
from pm_native.state.trust import Trust

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pm_native.compile.bundle import Bundle
    from pm_native.plan.model import Plan, Step
    from pm_native.state.layout import Layout

_ON_DISK = (Action.MAKE_DIRECTORY, Action.WRITE, Action.DELETE, Action.REVERT, Action.LINK, Action.UNLINK)


class Disk:
    """The disk side of one run."""

    def __init__(self, plan: Plan, layout: Layout) -> None:
        self.plan = plan
        self.layout = layout
        bundle = plan.bundle
        self._files = {item.name: item for item in bundle.files} if bundle else {}

    def check_access(self) -> None:
        """AccessError where a step could not be done, before any is: nothing is stopped for nothing."""
        folders = {self._path(step).parent: step.action for step in self.plan.of(*_ON_DISK)}
        folders.setdefault(self.layout.records(self.plan.project), Action.WRITE)
        self.layout.check_within(*folders)
        trust = Trust.of_caller(os.environ, os.geteuid())
        for folder, action in sorted(folders.items()):
            existing = next(path for path in (folder, *folder.parents) if path.exists())
            if action is not Action.MAKE_DIRECTORY:  # whose folders logs are in, the config says
                trust.check(existing)
            if not os.access(existing, os.W_OK | os.X_OK):
                why = "read-only file system" if _is_read_only(existing) else "permission denied"
                hint = "use sudo for the system manager, or --user for your own"
                message = f"cannot write to {existing}: {why}"
                raise AccessError(
                    message, hint=hint if os.geteuid() else "", needs_root=not _is_read_only(existing)
                )

    def sweep(self, installed: Bundle) -> None:
        """Remove what a killed run left of this project: scratch files, and folders of links with nothing in them."""
        names: dict[Path, set[str]] = {}
        for bundle in (installed, self.plan.bundle or installed):
            paths = [file_path(self.layout, bundle.project, item.kind, item.name) for item in bundle.files]
            paths += [self.layout.units / link_name(*pair) for pair in bundle.wanted_by.items()]
            for path in paths:
                names.setdefault(path.parent, set()).add(path.name)
        for folder, wanted in names.items():
            sweep_scratch(folder, wanted)
            if folder.suffix == ".wants":
                remove_empty(folder)

    def run(self, done: Callable[[Step], None]) -> None:
        """Do the steps, in the order of the plan, and tell of each; OSError names the path."""
        for step in self.plan.of(*_ON_DISK):
            self._run(step, self._path(step))
            done(step)

    def forget(self) -> None:
        """Remove the folders of the project's environment files, where nothing else is in them."""
        environment = self.layout.environment(self.plan.project)
        remove_empty(environment)
        remove_empty(environment.parent)

    def _path(self, step: Step) -> Path:
        if step.action is Action.MAKE_DIRECTORY:
            return self.layout.root / step.subject.lstrip("/")
        if step.action is Action.REVERT:
            return Path(step.subject)
        return file_path(self.layout, self.plan.project, step.kind, step.subject)

    def _run(self, step: Step, path: Path) -> None:
        if step.saved_as:
            save_beside(path, path.with_name(step.saved_as))
        match step.action:
            case Action.MAKE_DIRECTORY:
                # Root's own: who can write there can put a link in place of a log that systemd opens as root.
                make_folder(path)
            case Action.WRITE:
                item = self._files[step.subject]
                secret = step.kind is FileKind.ENVIRONMENT
                make_folder(path.parent, PRIVATE if secret else 0o755)
                write_atomic(path, item.text.encode(), item.mode)
            case Action.LINK:
                make_folder(path.parent)
                link_atomic(path, str(self._installed_path(path.name)))
            case _:
                remove(path)
                if path.parent != self.layout.units and step.kind is not FileKind.ENVIRONMENT:
                    remove_empty(path.parent)  # TARGET.wants/, as systemctl disable does

    def _installed_path(self, unit: str) -> Path:
        """The path of a unit file as the host itself sees it, whatever our root."""
        return Path("/") / self.layout.units.relative_to(self.layout.root) / unit


def _is_read_only(path: Path) -> bool:
    return bool(os.statvfs(path).f_flag & os.ST_RDONLY)
