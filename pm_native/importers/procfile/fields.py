"""What a Procfile and its tools' settings can say, and what becomes of it."""

from __future__ import annotations

from pm_native.importers.base import Field

ENTRY, FOREMAN, OVERMIND = (
    "the Procfile and `.env`",
    "`.foreman`, with `--dialect foreman`",
    "`~/.overmind.env`, `.overmind.env` and `.env`, with `--dialect overmind`",
)
_SCREEN = "it is about the tool's own screen"
_TMUX = "overmind runs programs in tmux"


def _overmind(name: str, becomes: str = "", differs: str = "", instead: str = "") -> Field:
    is_harmless = not becomes and not instead
    return Field(f"OVERMIND_{name}", becomes, differs, instead, OVERMIND, harmless=is_harmless)


FIELDS = (
    Field("NAME: COMMAND", "a process", "a plain command runs without a shell, others by `/bin/sh -c`, which replaces itself with the program where it can", section=ENTRY),
    Field("release: COMMAND", "a task", "not started with the others: run it before you switch", section=ENTRY),
    Field("PORT in .env", "the port of the first entry; each further entry gets 100 more, each instance one more", "kept in Procfile.lock: a new entry moves no other", section=ENTRY),
    Field("NAME=VALUE in .env", "a compiled environment file of mode 0600", "read by the rules of the dialect; honcho's where none is named", section=ENTRY),
    Field("formation", "a formation: what it does not name runs 0 times, as under foreman", section=FOREMAN),
    Field("concurrency", "as `formation`", section=FOREMAN),
    Field("port", "the port of the first entry", section=FOREMAN),
    Field("timeout", "`stop.timeout`", section=FOREMAN),
    Field("env", "the environment files, instead of `.env`", section=FOREMAN),
    Field("root", "`directory`", section=FOREMAN),
    Field("procfile", "", "the Procfile that you give is read", section=FOREMAN, harmless=True),
    Field("color", "", _SCREEN, section=FOREMAN, harmless=True),
    Field("timestamp", "", _SCREEN, section=FOREMAN, harmless=True),
    _overmind("PORT", "the port of the first entry"),
    _overmind("PORT_STEP", "the step from entry to entry"),
    _overmind("NO_PORT", "no `PORT`"),
    _overmind("FORMATION", "a formation"),
    _overmind("FORMATION_PORT_STEP", "", "an instance has one port more than the one before", "1 is what there is"),
    _overmind("STOP_SIGNALS", "`stop.signal`"),
    _overmind("TIMEOUT", "`stop.timeout`"),
    _overmind("CAN_DIE", '`restart = "no"`', "what can die is not started again, as with overmind, also where AUTO_RESTART names it"),
    _overmind("ANY_CAN_DIE", '`restart = "no"` for all'),
    _overmind("AUTO_RESTART", "`restart.policy` always", "all are, unless they can die"),
    _overmind("IGNORED_PROCESSES", "`autostart = false`"),
    _overmind("PROCESSES", "`autostart = false` for all others"),
    _overmind("ROOT", "`directory`"),
    _overmind("SHELL", "", "commands run by /bin/sh", "begin the command with the shell: bash -c '...'"),
    _overmind("ENV", "environment files behind `.env`"),
    _overmind("DAEMONIZE", "", "systemd is in the background anyway"),
    _overmind("PROCFILE", "", "the Procfile that you give is read"),
    _overmind("TITLE", "", _TMUX),
    _overmind("SOCKET", "", "it is overmind's own socket"),
    _overmind("NETWORK", "", "it is overmind's own socket"),
    _overmind("TMUX_CONFIG", "", _TMUX),
    _overmind("COLORS", "", _SCREEN),
    _overmind("SHOW_TIMESTAMPS", "", _SCREEN),
    _overmind("SKIP_ENV", "`.env` is not read"),
)  # fmt: skip
