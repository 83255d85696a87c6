"""Names of projects, processes and environment variables: which are valid, and the nearest valid one."""

from __future__ import annotations

import re

# What systemd takes in a unit name, less ":" and "\" which only escaping needs, and "@" which marks an instance.
NAME_PATTERN = r"[A-Za-z0-9][A-Za-z0-9_.-]*"
INSTANCES_VARIABLE = "PM_NATIVE_INSTANCES"  # in which a pool is told of how many instances it has
RUNTIME_ENVIRONMENTS = (
    "pm-native-environment"  # below /run, with a folder for each project that is gone at the next boot
)
NAME_MAX = 100  # the longest unit name is 255, and shop-NAME@INSTANCE.service must fit
NAME_RULE = f'a name is up to {NAME_MAX} letters (a to z), digits, "_", "." and "-", and begins with a letter or digit'
_NAME = re.compile(NAME_PATTERN)
# A file's name that means nothing else to systemd (credential_name_valid, which takes more).
_SECRET = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]+")


def is_name(text: str) -> bool:
    """Whether a project or process can have this name."""
    return len(text) <= NAME_MAX and _NAME.fullmatch(text) is not None


def nearest_name(text: str) -> str:
    """The valid name most like `text`: letters lose their accents, what cannot stay becomes "-".

    Where nothing is left it is the punycode of it, which is another one for another name; else `unnamed`.
    """
    if text.isascii():
        return _cleaned(text) or "unnamed"
    import unicodedata  # noqa: PLC0415 - most names need none

    bare = "".join(char for char in unicodedata.normalize("NFKD", text) if not unicodedata.combining(char))
    return _cleaned(bare) or _cleaned(text.encode("punycode", "replace").decode()) or "unnamed"


def _cleaned(text: str) -> str:
    return _UNSAFE.sub("-", text).strip("-_.")[:NAME_MAX].rstrip("-_.")


def is_secret(text: str) -> bool:
    """Whether a secret can have this name, which is that of its file."""
    return _SECRET.fullmatch(text) is not None


def is_variable(text: str) -> bool:
    """Whether systemd lets an environment variable have this name."""
    return _VARIABLE.fullmatch(text) is not None
