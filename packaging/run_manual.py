"""What each option of pm-native-run says, for its manual page. The runtime itself carries no text that it does not need.

`tests/packaging/test_manual.py` holds this to the options that there are.
"""

from __future__ import annotations

SUMMARY = "start a program, and check its health, for a systemd unit"

DESCRIPTION = """
Units that pm-native compiles start a program through `pm-native-run` where systemd lacks what the config asks for: health
checks, secrets as variables, the message channel of Node, the port of an instance. It prepares the environment, forks twice,
and becomes the program by execve(2): the program is the main process of the unit, with its own exit code, signals and output,
and has no child that it does not know. What stays beside it, where there is something to watch, is a monitor that ends with
the program. `systemctl cat` shows all that it is told.

A phase begins a check, a kind of probe begins a probe, and what follows belongs to it. Durations are numbers of seconds with an
`s`: `10s`, `0.25s`.
"""

UNIT = {
    "unit": (
        "NAME",
        "The unit that the checks are for. Several, without a command, are what the monitor of a project is told.",
    ),
    "user": ("", "The unit belongs to a user's own service manager."),
    "port": (
        "NUMBER",
        "The port of the program, or an instance's, as a sum: `3000+2-1`. It is set as PORT.",
    ),
    "secret": ("NAME", "Set the variable NAME to what the credential of this name holds. May be repeated."),
    "start-timeout": ("SECONDS", "How long the program may take until it is ready."),
    "strict": ("", "A monitor that dies takes the program with it (WatchdogSec=)."),
    "notify": ("", "The program speaks sd_notify(3) itself: leave it the variables for that."),
    "listening": ("", "The program is ready once its Node server listens."),
    "announce": (
        "PATH",
        "Tell the monitor of the project, whose socket this is, that the program starts; it makes the checks.",
    ),
    "log-file": ("PATH", "Tell it where this log file ends at the start. May be repeated."),
    "oom-score": (
        "MONITOR:PROGRAM",
        "The OOM score of the monitor, which is the unit's (OOMScoreAdjust=), and that of the program.",
    ),
    "channel": (
        "PATH",
        "Offer the channel of process.send() to the program; PATH is the socket for messages from outside.",
    ),
    "ready-message": ("", "The message `ready` on the channel says that the program is ready."),
    "ready-after": ("SECONDS", "Take the program for ready after this time, message or not."),
    "default-sigpipe": ("", "Leave SIGPIPE as it is by default, instead of ignoring it as systemd does."),
}

PHASES = {
    "startup": "The check that has to pass before the others begin.",
    "ready": "The check that makes the unit active; later, its failure shows in the status and restarts nothing.",
    "alive": "The check whose failure calls for the action.",
}

CHECK = {
    "any": ("", "One probe that passes is enough; else all have to."),
    "interval": ("SECONDS", "The time between two rounds."),
    "start-interval": ("SECONDS", "The time between two rounds until the first that passes."),
    "timeout": ("SECONDS", "How long a probe may take."),
    "retries": ("N", "How many rounds in a row have to fail."),
    "success": ("N", "How many rounds in a row have to pass."),
    "start-period": ("SECONDS", "Failures within this time after the start do not count."),
    "jitter": (
        "PERCENT",
        "The share of the interval by which rounds are spread, so that a pool is not asked at one moment.",
    ),
    "on-failure": (
        "ACTION",
        "What a failed check leads to: `restart`, `status` (it shows, no more), `stop` or `signal:SIGNAME`.",
    ),
    "on-failure-run": ("PROGRAM", "Run a program instead; `--arg` adds its arguments."),
}

PROBES = {
    "http": ("URL|PATH", "Ask by HTTP: a path on the program's own port, or a URL."),
    "tcp": ("[HOST:PORT]", "Connect; without a value, to the program's own port."),
    "unix": ("PATH", "Connect to a Unix socket."),
    "exec": ("PROGRAM", "Run a program, which passes with exit code 0; `--arg` adds its arguments."),
    "output": ("REGEX", "Find the pattern in what the unit wrote to the journal, or to `--log`."),
    "file": ("PATH", "The file is there, and not older than `--max-age`."),
    "memory": ("SIZE", "The unit uses no more memory than this: `400M`."),
}

PROBE = {
    "socket": ("PATH", "Ask over this Unix socket."),
    "tls": ("", "Ask by HTTPS."),
    "no-verify": ("", "Take any certificate."),
    "ca": ("FILE", "The certificates that vouch for the server's."),
    "method": ("METHOD", "The method of the request (GET)."),
    "header": ("NAME: VALUE", "A header of the request. May be repeated."),
    "status": ("N[-N]", "A status, or a range of them, that passes (200-399). May be repeated."),
    "body": ("REGEX", "A pattern that the body has to contain."),
    "max-age": ("SECONDS", "How old the file may be."),
    "log": ("FILE", "The file that the program writes to, instead of the journal."),
    "arg": ("WORD", "An argument of the program of `--exec` or `--on-failure-run`. May be repeated."),
}
