"""Secrets: systemd reads each file when the process starts, and puts it where that process alone can read it.

No text of a secret is ever read here: units hold the path of the file, the process gets $CREDENTIALS_DIRECTORY/NAME
(systemd.exec(5), CREDENTIALS), and what is asked for as a variable is set by the process that becomes the program.
"""

from __future__ import annotations

from pm_native.compile.check import report_missing
from pm_native.compile.names import plain_path
from pm_native.unit import directive as d
from pm_native.unit.file import Setting
from pm_native.unit.name import Scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pm_native.compile.options import CompileOptions
    from pm_native.errors import Diagnostics
    from pm_native.model.confinement import Secret
    from pm_native.model.project import Process

ENCRYPTED_SINCE = d.LOAD_CREDENTIAL_ENCRYPTED.since


def secret_settings(process: Process) -> Iterator[Setting]:
    """LoadCredential= or LoadCredentialEncrypted= for each secret."""
    for secret in process.secrets:
        directive = d.LOAD_CREDENTIAL_ENCRYPTED if secret.encrypted else d.LOAD_CREDENTIAL
        yield Setting(directive, (f"{secret.name}:{plain_path(secret.path)}",), origin=secret.span)


def secret_variables(process: Process) -> tuple[str, ...]:
    """The secrets that the program gets as environment variables, too."""
    return tuple(secret.name for secret in process.secrets if secret.env)


def check_secrets(process: Process, options: CompileOptions, problems: Diagnostics) -> None:
    """Add a diagnostic for each secret that cannot be had, or that is none."""
    for secret in process.secrets:
        _check_file(secret, options, problems)
        if secret.encrypted:
            _check_encrypted(secret, options, problems)
        for environment in (process.environment, process.file_environment):
            if secret.env and (other := environment.get(secret.name)) is not None:
                message = f"{secret.name} is a secret of this process: this value is not used"
                problems.warning(
                    other.span, message, code="variable-computed", hint="take one of the two out"
                )


def _check_file(secret: Secret, options: CompileOptions, problems: Diagnostics) -> None:
    path = plain_path(secret.path)
    if not options.host.exists(path):
        report_missing(
            secret.span,
            f"there is no {path} on this host, the file of the secret {secret.name}",
            code="secret-missing",
            hint="make it, for root alone to read: install -m 600 /dev/null FILE, then write to it",
            options=options,
            problems=problems,
        )
    elif not secret.encrypted and options.host.is_open(path):
        message = f"everybody on this host can read {path}"
        hint = "chmod o-r: systemd reads it as root, the program gets a copy of its own"
        problems.warning(secret.span, message, code="secret-open", hint=hint)


def _check_encrypted(secret: Secret, options: CompileOptions, problems: Diagnostics) -> None:
    if options.scope is Scope.USER:
        message = "a user's own service manager cannot decrypt: the key is root's"
        hint = "use the system manager, or a file that only you can read, without `encrypted`"
        problems.error(secret.span, message, code="user-scope", hint=hint)
    elif options.systemd_version < ENCRYPTED_SINCE:
        message = f"systemd {options.systemd_version} cannot decrypt credentials"
        hint = (
            f"systemd {ENCRYPTED_SINCE} can; until then a file that only root can read, without `encrypted`"
        )
        problems.error(secret.span, message, code="directive-too-new", hint=hint)
