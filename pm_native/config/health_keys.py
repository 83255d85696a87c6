"""The keys of health checks, a part of the key table."""

from __future__ import annotations

from pm_native.config.table import Key, ListOfTables, MapOf, Table
from pm_native.config.types import (
    PERIOD,
    POSITIVE_PERIOD,
    SHARE,
    SIGNAL,
    SIZE,
    Choice,
    Command,
    Either,
    Flag,
    HttpStatus,
    Integer,
    ListOf,
    Pattern,
    Text,
)
from pm_native.model.health import Does

_PORT = Integer(1, 65535)
_OWN_PORT = Either(((bool, Flag()), (int, _PORT)), "a port, or true for the process's own")
_COUNT = Integer(1, 1000)
_STATUS = ListOf(
    Either(
        ((int, Integer(100, 599)), (str, HttpStatus())), 'a status such as 204, or a range such as "200-299"'
    ),
    "a status, a range or a list of them",
)
_METHODS = "a method of HTTP"

HTTP = Table(
    (
        Key(
            name="url",
            type=Text('a path such as "/healthz", or a URL'),
            help="What is asked for: a path on the process's own port (an instance's own in a pool), or a whole URL"
            " of http or https.",
            default='"/"',
            example='"/healthz"',
        ),
        Key(
            name="unix",
            type=Text("the path of a socket"),
            help="Asks over this Unix socket; `@` before the name: an abstract one.",
            example='"/run/shop/api.sock"',
        ),
        Key(
            name="tls",
            type=Flag(),
            help="Speaks TLS where `url` is but a path.",
            default="true for https",
            example="true",
        ),
        Key(name="method", type=Text(_METHODS), help="The method.", default='"GET"', example='"HEAD"'),
        Key(
            name="headers",
            type=MapOf(Text("the value of a header", may_be_empty=True), "a header"),
            help="Further header fields. Every local user can read them.",
            example='{ Host = "shop.example" }',
        ),
        Key(
            name="status",
            type=_STATUS,
            help="The statuses that are good, single ones or ranges. A redirection is not followed.",
            default='"200-399"',
            example='[200, 204, "300-399"]',
        ),
        Key(
            name="body",
            type=Pattern(),
            help="A regular expression that must be found in the first 64 KiB of the body.",
            example='\'"status": *"ok"\'',
        ),
        Key(
            name="ca",
            type=Text("a path"),
            help="A file of certificates (PEM) that are trusted instead of the host's.",
            example='"/etc/shop/ca.pem"',
        ),
        Key(
            name="verify",
            type=Flag(),
            help="Whether the certificate must be valid and of this host.",
            default="true",
            example="false",
        ),
    ),
    shorthand="url",
)

TCP = Table(
    (
        Key(
            name="port",
            type=_OWN_PORT,
            help="The port; true: the process's own (an instance's own in a pool).",
            default="true",
            example="5432",
        ),
        Key(name="host", type=Text("a host"), help="The host.", default='"127.0.0.1"', example='"::1"'),
    ),
    shorthand="port",
)

FILE = Table(
    (
        Key(name="path", type=Text("a path"), help="The file.", example='"run/heartbeat"', required=True),
        Key(
            name="max_age",
            type=POSITIVE_PERIOD,
            help="How long ago it may have been changed.",
            default="it has to be there",
            example='"1min"',
        ),
    ),
    shorthand="path",
)

ACTION = Table(
    (
        Key(
            name="does",
            type=Choice(Does),
            help='"restart" ends it gracefully and starts it anew; "stop" ends it and leaves it failed; "status" only'
            " tells.",
            default='"restart"; "status" for ready',
            directives=("WatchdogSignal=", "ExecStopPost="),
            example='"status"',
        ),
        Key(name="signal", type=SIGNAL, help="Sends this signal to the program.", example='"SIGUSR1"'),
        Key(
            name="exec",
            type=Command(),
            help="Runs this command, as the user of the program; PM_NATIVE_HEALTH says what was found.",
            example='["/usr/local/bin/page", "shop"]',
        ),
    ),
    shorthand="does",
)

PROBES = (
    Key(name="http", type=HTTP, help="An HTTP request.", example='"/healthz"'),
    Key(name="tcp", type=TCP, help="A connection to a TCP port.", example="5432"),
    Key(
        name="unix",
        type=Text("the path of a socket"),
        help="A connection to a Unix socket; `@` before the name: an abstract one.",
        example='"/run/shop/api.sock"',
    ),
    Key(
        name="exec",
        type=Command(),
        help="A command that exits with 0. It runs as the program does: user, folder, environment, sandbox. The last"
        " line that it prints is shown.",
        example='"pg_isready -q"',
    ),
    Key(
        name="output",
        type=Pattern(),
        help="A regular expression that is found in a line the program writes, to the journal or to its log file."
        " For startup and ready.",
        example='"listening on"',
    ),
    Key(
        name="file",
        type=FILE,
        help="A file that is there.",
        example='{ path = "run/beat", max_age = "1min" }',
    ),
    Key(
        name="memory",
        type=SIZE,
        help="Memory of all processes of the instance, without cached files, that is not above this. For alive: a"
        " program that is above it is restarted gracefully.",
        example='"400M"',
    ),
    Key(
        name="notify",
        type=Flag(),
        help="The program says it itself (sd_notify(3)): READY=1 for ready, WATCHDOG=1 at least every `interval` for"
        " alive. Alone in its check.",
        directives=("WatchdogSec=",),
        example="true",
    ),
)
PROBE_NAMES = tuple(key.name for key in PROBES)

_TIMING = (
    Key(
        name="interval",
        type=POSITIVE_PERIOD,
        help="The time between two probes.",
        default='"10s"',
        example='"10s"',
    ),
    Key(
        name="start_interval",
        type=POSITIVE_PERIOD,
        help="The longest time between two probes until the first one passes. They begin at 50 ms and double.",
        default='"1s"',
        example='"500ms"',
    ),
    Key(
        name="timeout",
        type=POSITIVE_PERIOD,
        help="How long the answer may take.",
        default='"3s"',
        example='"3s"',
    ),
    Key(
        name="retries",
        type=_COUNT,
        help="So many failures in a row make it unhealthy.",
        default="3",
        example="3",
    ),
    Key(
        name="success",
        type=_COUNT,
        help="So many passes in a row make it healthy.",
        default="1",
        example="1",
    ),
    Key(
        name="start_period",
        type=PERIOD,
        help="How long after its start failures do not count. It ends with the first pass.",
        default="0",
        example='"30s"',
    ),
    Key(
        name="jitter",
        type=SHARE,
        help="How much of each interval is random, so that many instances are not probed at once.",
        default='"10%"',
        example='"20%"',
    ),
    Key(name="action", type=ACTION, help="What is done when it is unhealthy.", example='"status"'),
)

CHECK = Table(
    (
        *PROBES,
        Key(
            name="all",
            type=ListOfTables(Table(PROBES), "a list of probes"),
            help="Several probes that must all pass.",
            example='[{ http = "/healthz" }, { unix = "/run/shop/db.sock" }]',
        ),
        Key(
            name="any",
            type=ListOfTables(Table(PROBES), "a list of probes"),
            help="Several probes, one of which must pass.",
            example="[{ tcp = 5432 }, { tcp = 5433 }]",
        ),
        *_TIMING,
    ),
    shorthand="http",
)

HEALTH = Table(
    (
        *CHECK.keys,
        Key(
            name="startup",
            type=CHECK,
            help="A check that must pass once before the others begin: for programs that take long to start. When it"
            " fails the start has failed.",
            example='{ tcp = 3000, start_period = "2min" }',
        ),
        Key(
            name="ready",
            type=CHECK,
            help="A check that makes the unit active when it passes: what depends on the process starts then. Later"
            " failures show in its status and restart nothing.",
            example='{ http = "/ready" }',
        ),
        Key(
            name="alive",
            type=CHECK,
            help="A check for as long as the program runs; when it fails the program is restarted, or `action`.",
            example='{ http = "/healthz", interval = "30s" }',
        ),
        Key(
            name="strict",
            type=Flag(),
            help="Ends the program also when its monitor is gone, which cannot tell any more whether it is alive.",
            default="false",
            directives=("WatchdogSec=",),
            example="true",
        ),
    ),
    shorthand="http",
)
