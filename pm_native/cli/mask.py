"""What looks like a secret, taken out of a line of a config before it is shown: terminals and logs of builds are kept."""

from __future__ import annotations

import re

# A name with what stands for its value in TOML, YAML, JSON, JavaScript, Procfiles and environment files.
_ASSIGNED = re.compile(
    r"""(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?P<between>["']?\s*[=:]\s*)(?P<value>
    "(?:[^"\\]|\\.)*"? | '[^']*'? | [\[{] | [^\s,;}\]"']+)""",
    re.VERBOSE,
)
_PASSWORD_IN_URL = re.compile(r"(?<=://)(?P<user>[^/\s:@]*:)(?P<password>[^/\s@]+)(?=@)")
_BRACKETS = "\"'[]{} "  # what shows of a list or a table
_FOLDED = frozenset({"secrets"})  # a table of ours, of paths


def masked(text: str) -> str:
    """The text with a `*` for each character of a value that looks secret, so that every column stays where it is."""
    from pm_native.compile.environment import is_secret  # noqa: PLC0415 - on the way to an error

    text = _PASSWORD_IN_URL.sub(lambda found: found["user"] + "*" * len(found["password"]), text)
    parts: list[str] = []
    position = 0
    while found := _ASSIGNED.search(text, position):
        value = found["value"]
        begin = value[0] if value[0] in "[{\"'" else ""
        start = found.start("value") + len(begin)
        parts.append(text[position:start])
        position = start
        if found["name"] in _FOLDED or not is_secret(found["name"], ""):
            continue  # another key may stand in the value
        if begin and begin in "[{":
            parts.append("".join(char if char in _BRACKETS else "*" for char in text[start:]))
            return "".join(parts)
        end = begin if begin and value[len(begin) :].endswith(begin) else ""
        position = found.end() - len(end)
        parts.append("*" * (position - start))
    return "".join([*parts, text[position:]])
