"""The sandbox and the secrets of a process, from decoded tables to the model."""

from __future__ import annotations

from pm_native.config.confinement_keys import SECRET
from pm_native.model.confinement import Profile, Sandbox, Secret
from pm_native.model.names import is_secret, is_variable
from pm_native.syntax.node import Node

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import PurePosixPath

    from pm_native.config.decoder import TableDecoder, Values
    from pm_native.errors import Span


def sandbox(values: Values, common: Values, directory: PurePosixPath) -> Sandbox:
    """The sandbox that `values` ask for, or else those that all processes share; relative paths start at `directory`."""
    profile = values.get("sandbox", common.get("sandbox", Profile.OFF))
    writable = values.get("writable", ())
    paths = writable if isinstance(writable, tuple) else ()
    return Sandbox(
        profile=Profile(str(profile)), writable=tuple(str(directory / str(path)) for path in paths)
    )


def secrets(node: object, decoder: TableDecoder, directory: PurePosixPath) -> tuple[Secret, ...]:
    """The secrets of a process; relative paths start at `directory`."""
    if not isinstance(node, Node):
        return ()
    found: list[Secret] = []
    for name, item in decoder.entries(node, "a table of secrets").items():
        values = decoder.decode(item, SECRET, f"secrets.{name}")
        if "file" not in values or not _is_name(name, item.key, decoder, is_env=bool(values.get("env"))):
            continue
        path = str(directory / str(values["file"]))
        flags = {key: bool(values[key]) for key in ("env", "encrypted") if key in values}
        found.append(Secret(name=name, path=path, span=item.key, **flags))
    return tuple(found)


def _is_name(name: str, span: Span, decoder: TableDecoder, *, is_env: bool) -> bool:
    if not is_secret(name):
        hint = 'letters, digits, "_", "." and "-"'
        decoder.problems.error(span, f"not a name of a secret: {name!r}", code="bad-secret-name", hint=hint)
        return False
    if is_env and not is_variable(name):
        hint = 'letters, digits and "_", and no digit first; or leave `env` out'
        message = f"not a name of an environment variable: {name!r}"
        decoder.problems.error(span, message, code="bad-variable-name", hint=hint)
        return False
    return True
