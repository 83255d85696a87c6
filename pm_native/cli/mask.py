"""What looks like a secret, taken out of a line of a config before it is shown: terminals and logs of builds are kept."""

from __future__ import annotations

import re

# A name with what stands for its value in TOML, YAML, JSON, JavaScript, Procfiles and environment files.
_ASSIGNED = re.compile(
    r"""(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?P<between>["']?\s*[=:]\s*)(?P<value>
    "(?:[^"\\]|\\.)*"? | '[^']*'? | [\[{].* | [^\s,;}\]"']+)""",
    re.VERBOSE,
)
_PASSWORD_IN_URL = re.compile(r"(?<=://)(?P<user>[^/\s:@]*:)(?P<password>[^/\s@]+)(?=@)")
_BRACKETS = "\"'[]{} "  # what shows of a list or a table
_FOLDED = frozenset({"secrets"})  # a table of ours, of paths


def masked(text: str) -> str:
    """The text with a `*` for each character of a value that looks secret, so that every column stays where it is."""
    text = _PASSWORD_IN_URL.sub(lambda found: found["user"] + "*" * len(found["password"]), text)
    return _ASSIGNED.sub(_masked_value, text)


def _masked_value(found: re.Match[str]) -> str:
    from pm_native.compile.environment import is_secret  # noqa: PLC0415 - on the way to an error

    name, between, value = found["name"], found["between"], found["value"]
    begin = value[0] if value[0] in "[{\"'" else ""
    rest = value[len(begin) :]
    if name in _FOLDED or not is_secret(name, ""):
        return f"{name}{between}{begin}{masked(rest)}"  # another key may stand in it
    if begin and begin in "[{":
        return name + between + begin + "".join(char if char in _BRACKETS else "*" for char in rest)
    end = begin if begin and rest.endswith(begin) else ""
    return name + between + begin + "*" * (len(rest) - len(end)) + end
