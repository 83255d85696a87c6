"""PM2's watched files: what chokidar, by which PM2 watches, makes of them, in patterns of `watch`."""

from __future__ import annotations

from pm_native.importers.pm2.values import scalar_text
from pm_native.model.watch import Watch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pm_native.errors import Diagnostics, Span
    from pm_native.importers.pm2.values import App
    from pm_native.syntax.node import Node

_OTHERS = ("ignore_watch", "watch_delay", "watch_options")
# PM2's default ignores names with a dot in front, and node_modules, which is always ignored here.
_DEFAULT_IGNORE = (".*",)
_LOST = ("depth", "disableGlobbing", "cwd")


def watch_of(
    app: App, origins: dict[str, Span], problems: Diagnostics, *, is_scheduled: bool
) -> Watch | None:
    """What of an app's files restarts it; None for nothing."""
    patterns = _patterns(app)
    if not patterns:
        for key in _OTHERS:
            if app.has(key):
                message = f"{key} has no meaning without watch"
                problems.note(app.place(key), message, code="pm2-ignored", hint="it can go")
        return None
    if is_scheduled:
        message = "watch: a job of a timer is not restarted when its files change"
        problems.warning(app.place("watch"), message, code="pm2-watch", hint="the next run has them")
        return None
    options = _options(app, problems)
    ignored = _listed(options["ignored"]) if "ignored" in options else app.words("ignore_watch")
    chosen = [item for item in patterns if not item.startswith("!")]
    left_out = [item[1:] for item in patterns if item.startswith("!")]
    has_default = "ignored" not in options and not app.has("ignore_watch")
    for path, key in (("watch", "watch"), ("watch.ignore", "ignore_watch"), ("watch.delay", "watch_delay")):
        if app.has(key):
            origins[path] = app.place(key)
    delay_msec = app.number("watch_delay") or 0
    return Watch(
        patterns=tuple(chosen) or (".",),
        ignore=(
            *(_DEFAULT_IGNORE if has_default else ()),
            *(_anchored(item) for item in (*ignored, *left_out) if item),
        ),
        delay_usec=int(min(delay_msec, 1e12) * 1000) if delay_msec > 0 else Watch(patterns=()).delay_usec,
    )


def _patterns(app: App) -> tuple[str, ...]:
    watched = app.values.get("watch")
    if isinstance(watched, list):
        # An empty list is the whole folder to PM2, as `true` is.
        return tuple(str(item) for item in watched if item) or (".",)
    if isinstance(watched, str):
        return (watched,) if watched else ()
    return (".",) if watched is True else ()


def _anchored(item: str) -> str:
    """A path from the folder of the app on, as chokidar has it: a name alone would be one in whatever folder here."""
    return item if "/" in item.removesuffix("/") else f"./{item}"


def _options(app: App, problems: Diagnostics) -> Mapping[str, Node]:
    """Chokidar's own options; what of them is not carried over is told."""
    value = app.values.get("watch_options")
    options: Mapping[str, Node] = value if isinstance(value, dict) else {}
    lost = [name for name in options if name in _LOST]
    if lost:
        message = f"watch_options: {', '.join(lost)} is not carried over"
        hint = "write patterns that say the same: *.js is the folder alone, **/*.js all below it"
        problems.warning(app.place("watch_options"), message, code="pm2-watch", hint=hint)
    if others := [name for name in options if name not in {*_LOST, "ignored"}]:
        message = f"watch_options: {', '.join(others)}: the kernel tells of changes, nothing is asked for"
        hint = "it can go; changes that another host makes on a network file system are not seen"
        problems.note(app.place("watch_options"), message, code="pm2-ignored", hint=hint)
    return options


def _listed(node: Node) -> Iterable[str]:
    items = node.value if isinstance(node.value, list) else [node]
    return [scalar_text(item) for item in items if not isinstance(item.value, dict | list)]
