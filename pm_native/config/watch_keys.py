"""The keys of watched files, a part of the key table."""

from __future__ import annotations

from pm_native.config.table import Key, Table
from pm_native.config.types import DURATION, ListOf, Text

_PATTERNS = ListOf(Text("a pattern"), "a pattern or a list of patterns")

WATCH = Table(
    (
        Key(
            name="paths",
            type=_PATTERNS,
            help="What is watched, from the process's folder on: a file, a folder with all below it, or a pattern (`*`, `?`,"
            " `[...]` within a name, `**` for folders, `{a,b}` for either).",
            example='["src/**", "config/*.yaml"]',
            required=True,
        ),
        Key(
            name="ignore",
            type=_PATTERNS,
            help="What of that is not. Without a slash it is a name in whatever folder. `.git`, `node_modules`,"
            " `__pycache__`, `*.log`, what editors leave behind, log files of `logs` and the folders of `writable` never"
            " count.",
            example='["dist", "src/generated/**"]',
        ),
        Key(
            name="delay",
            type=DURATION,
            help="How long nothing must have changed before the restart.",
            default='"300ms"',
            example='"1s"',
        ),
    ),
    shorthand="paths",
)

WATCH_KEY = Key(
    name="watch",
    type=WATCH,
    help="Restarts the process when files change. For development: a deploy is better done by `pm-native apply`.",
    directives=("NAME-watch.service",),
    example='["src/**"]',
)
