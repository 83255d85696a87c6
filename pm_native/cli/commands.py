"""The commands by name, and the help above them. Imports nothing: `pm-native --help` must be quicker than click."""

from __future__ import annotations

# Set by the completion scripts: click's name for it.
COMPLETION_VARIABLE = "_PM_NATIVE_COMPLETE"

# Each command with its line of help; its module is `module_of` it, imported when it runs.
COMMANDS = {
    "init": "Write a commented pm-native.toml to start from.",
    "import": "Write the pm-native.toml that a foreign config amounts to.",
    "check": "Check a config and show every problem in it.",
    "generate": "Compile a config to systemd units, in a directory.",
    "explain": "Show each setting with the config line it came from.",
    "plan": "Show what apply would do, and why.",
    "apply": "Switch the running system to the generated units.",
    "migrate": "Move what runs under PM2 or supervisord to systemd.",
    "rollback": "Go back to a generation that was applied before.",
    "history": "Show every apply: who, when, what came of it.",
    "diff": "Show what differs between two generations.",
    "repair": "Make a damaged record anew, from what is installed.",
    "status": "Show state, memory and CPU of each process.",
    "logs": "Show what the processes wrote.",
    "start": "Start processes.",
    "stop": "Stop processes.",
    "restart": "Restart processes.",
    "reload": "Restart processes without an interruption.",
    "scale": "Change how many instances a pool has.",
    "ipc": "Send and watch the messages of a project.",
    "remove": "Stop a project and take its units away.",
    "package": "Make a .deb or an .rpm of a project.",
    "schema": "Print the JSON Schema of the native config.",
    "completion": "Print the completion script of a shell.",
}


def module_of(command: str) -> str:
    """The module of a command, and the command in it: Python keeps `import` for itself."""
    return {"import": "import_"}.get(command, command)


_WIDTH = max(map(len, COMMANDS))

HELP = f"""\
Usage: pm-native [OPTIONS] COMMAND [ARGS]...

  Turn process-manager configs into systemd units, and switch to them safely.

Commands:
{"".join(f"  {name:{_WIDTH}}  {text}{chr(10)}" for name, text in COMMANDS.items())}
Options:
  --version   Print the version.
  -h, --help  Show this message; after a command, its own.

Examples:
  pm-native init                          a config to start from
  pm-native generate && pm-native apply   compile, then switch
  pm-native import ecosystem.config.js    a config of ours from one of PM2's
  pm-native status --watch

Day to day, use systemctl and journalctl: the units are yours.

Exit codes: 0 done, 1 failed, 2 plan has changes, 4 units failed, 64 usage,
69 no systemd, 75 another run is at work, 77 not allowed, 78 bad config.
More: man pm-native, docs/commands.md.
"""
