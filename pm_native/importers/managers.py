"""The process managers that can be asked what they run."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pm_native.importers.running import RunningManager


def running_manager(name: str, environ: Mapping[str, str], config: str | None = None) -> RunningManager:
    """The manager called `name` (pm2 or supervisord) that runs on this host; RunningManagerError where none does.

    `config` is the config file of the supervisord that is meant, where several run.
    """
    if name == "pm2":
        from pm_native.importers.pm2.daemon import Pm2Daemon  # noqa: PLC0415 - one of the two

        return Pm2Daemon.find(environ)
    from pm_native.importers.supervisord.daemon import SupervisordDaemon  # noqa: PLC0415 - one of the two

    return SupervisordDaemon.find(environ, config)
