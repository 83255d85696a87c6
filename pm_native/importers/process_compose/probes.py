"""Probes of process-compose's as health checks."""

from __future__ import annotations

from urllib.parse import quote

from pm_native.importers.common import literal_pattern
from pm_native.model.health import Action, Check, Does, ExecProbe, Health, HttpProbe, OutputProbe
from pm_native.model.project import SECOND
from pm_native.model.quantity import INFINITY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pm_native.errors import Span
    from pm_native.importers.tree import Entries
    from pm_native.model.health import Probe

    Expand = Callable[[str, Entries], str]
    Shell = Callable[[str], tuple[str, ...]]

TELL = Action(does=Does.STATUS)
_PERIOD, _TIMEOUT, _FAILURES = 10, 1, 3  # process-compose's defaults


def health_of(
    entries: Entries,
    expand: Callable[..., str],
    shell: Shell,
    origins: dict[str, Span],
    *,
    is_restarted: bool,
) -> tuple[Health | None, int | None]:
    """The health checks of a process, and how long it may take until it is ready.

    A readiness probe that fails too often kills the process, before it was ready and after, and its restart policy
    decides whether it `is_restarted`. A liveness probe begins when it is ready.
    """
    end = Action() if is_restarted else Action(does=Does.STOP)
    readiness, liveness = entries.table("readiness_probe"), entries.table("liveness_probe")
    line = expand("ready_log_line", entries)
    ready = _check(readiness, expand, shell, end)
    alive = _check(liveness, expand, shell, end)
    if line and ready is None:
        origins["health"] = entries.place("ready_log_line")
        place = entries.place("ready_log_line")
        ready = Check(probes=(OutputProbe(pattern=literal_pattern(line)),), action=TELL, span=place)
        return Health(ready=ready, alive=alive), INFINITY
    if ready is None and alive is None:
        return None, None
    origins["health"] = entries.place("readiness_probe", "liveness_probe")
    return Health(startup=ready, alive=alive or ready), None


def _check(entries: Entries, expand: Callable[..., str], shell: Shell, end: Action) -> Check | None:
    probe = _probe(entries, expand, shell)
    if probe is None:
        return None

    def seconds(key: str, default: float, least: float) -> int:
        number = entries.number(key)
        return int(max(default if number is None else min(number, 1e9), least) * SECOND)

    interval = seconds("period_seconds", _PERIOD, 1)
    return Check(
        probes=(probe,),
        interval_usec=interval,
        start_interval_usec=interval,
        timeout_usec=seconds("timeout_seconds", _TIMEOUT, 1),
        retries=max(int(min(entries.number("failure_threshold") or _FAILURES, 1000)), 1),
        start_period_usec=seconds("initial_delay_seconds", 0, 0),
        action=end,
        span=entries.node.key,
    )


def _probe(entries: Entries, expand: Callable[..., str], shell: Shell) -> Probe | None:
    command, request = entries.table("exec"), entries.table("http_get")
    if text := expand("command", command).strip():
        if folder := expand("working_dir", command):
            import shlex  # noqa: PLC0415 - rarely used

            text = f"cd {shlex.quote(folder)} && {text}"
        return ExecProbe(command=shell(text))
    if not request.entries:
        return None
    status = request.whole("status_code", 0, 999) or 200
    status = 200 if status >= 400 else status  # as process-compose has it
    is_tls = expand("scheme", request) == "https"
    return HttpProbe(
        path=quote(expand("path", request) or "/", safe="/?&=%:@!$'()*+,;~-._"),
        host=expand("host", request) or "127.0.0.1",
        port=_port(request, expand) or (443 if is_tls else 80),
        tls=is_tls,
        headers=tuple((key, str(node.value)) for key, node in request.table("headers")),
        status=((status, status),),
    )


def _port(request: Entries, expand: Callable[..., str]) -> int | None:
    """The port, which may be a template."""
    text = expand("port", request)
    if text.isdecimal() and 0 < int(text[:6]) <= 65535:
        return int(text)
    return request.whole("port", 1, 65535)
