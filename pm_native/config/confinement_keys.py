"""The keys of sandboxes and secrets, a part of the key table."""

from __future__ import annotations

from pm_native.config.table import Key, MapOf, Table
from pm_native.config.types import Choice, Flag, ListOf, Text
from pm_native.model.confinement import Profile

SANDBOX_KEY = Key(
    name="sandbox",
    type=Choice(Profile),
    help='How far it is kept from the host. "basic" closes what no ordinary program uses; "strict" leaves it the network,'
    " its files for reading, and the folders of `writable`. docs/sandbox.md lists what each is made of.",
    default='"off"',
    directives=("ProtectSystem=", "CapabilityBoundingSet=", "SystemCallFilter=", "and many more"),
    example='"strict"',
)

WRITABLE_KEY = Key(
    name="writable",
    type=ListOf(Text("a path"), "a path or a list of paths"),
    help='Files and folders that stay writable in the sandbox. Log files of `logs` need no entry. "." is the folder that it'
    " runs in.",
    directives=("ReadWritePaths=",),
    example='["data", "/var/lib/shop"]',
)

SECRET = Table(
    (
        Key(
            name="file",
            type=Text("a path"),
            help="The file that holds it; systemd reads it each time the program starts.",
            directives=("LoadCredential=",),
            example='"/etc/shop/db-password"',
            required=True,
        ),
        Key(
            name="env",
            type=Flag(),
            help="Sets the environment variable of this name, too, when the program is executed: the text of the file"
            " without the line ends at its end.",
            default="false",
            directives=("ExecStart=",),
            example="true",
        ),
        Key(
            name="encrypted",
            type=Flag(),
            help="The file was made by `systemd-creds encrypt --name=NAME`, and systemd decrypts it. Needs systemd 250 and the"
            " system manager.",
            default="false",
            directives=("LoadCredentialEncrypted=",),
            example="true",
        ),
    ),
    shorthand="file",
)

SECRETS_KEY = Key(
    name="secrets",
    type=MapOf(SECRET, "a secret"),
    help="Secrets that only this process gets, as files in $CREDENTIALS_DIRECTORY. They are never in unit files, in plans or"
    " in logs.",
    directives=("LoadCredential=",),
    example='{ DB_PASSWORD = { file = "/etc/shop/db-password", env = true } }',
)
