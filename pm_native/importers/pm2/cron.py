"""What cron_restart is here where PM2 restarts an app by it: a task of a timer that restarts the units of the app."""

from __future__ import annotations

from itertools import count
from pathlib import PurePosixPath

from pm_native.model.names import NAME_MAX
from pm_native.model.project import Process, ProcessKind, Restart, RestartPolicy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pm_native.errors import Span

# A service of a user's own manager has this variable, and one of the system manager has not.
_SCRIPT = 'exec systemctl ${XDG_RUNTIME_DIR:+--user} try-restart "$0"'
_ROOM = 12  # for what is put behind a name


def restart_tasks(
    processes: Sequence[Process], timed: Mapping[str, tuple[tuple[str, ...], Span]], project: str
) -> Iterator[Process]:
    """A task for each process that is restarted by the clock: `timed` has its calendar lines, and their place."""
    taken = {process.name for process in processes}
    for process in processes:
        if process.name not in timed:
            continue
        lines, span = timed[process.name]
        base = f"{process.name[: NAME_MAX - _ROOM]}-restart"
        name = (
            base if base not in taken else next(f"{base}{n}" for n in count(2) if f"{base}{n}" not in taken)
        )
        taken.add(name)
        unit = f"{project}-{process.name}{'@*' if process.is_pool else ''}.service"
        yield Process(
            name=name,
            command=("/bin/sh", "-c", _SCRIPT, unit),
            directory=PurePosixPath("/"),
            description=f"Restarts {process.name} by the clock",
            kind=ProcessKind.TASK,
            schedule=lines,
            restart=Restart(policy=RestartPolicy.NO),
            autostart=process.autostart,
            span=span,
            origins=dict.fromkeys(("command", "kind", "schedule"), span),
        )
