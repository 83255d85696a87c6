"""`environment=`: NAME=value pairs between commas, taken apart as supervisord does, which is not as a shell does."""

from __future__ import annotations

import re

from pm_native.importers.common import tell_bad_variable
from pm_native.model.names import is_variable
from pm_native.model.project import Variable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pm_native.errors import Diagnostics, Span
    from pm_native.syntax import IniEntry

# The tokens of Python's shlex, not in POSIX mode, with supervisord's own word characters.
_TOKEN = re.compile(
    r"""(?P<skip>\s+|\#[^\n]*)|(?P<quoted>"[^"]*"|'[^']*')|(?P<word>[\w/.+\-():][\w/.+\-():"']*)|(?P<other>[\s\S])""",
    re.ASCII,
)
_HINT = 'NAME="value",NAME2="value": quotes around what has more than letters, digits and /.+-_():'


def parse_environment(entry: IniEntry, text: str, problems: Diagnostics) -> dict[str, Variable]:
    """The variables of an expanded value; a wrong pair is an error that ends it."""
    found: dict[str, Variable] = {}
    tokens = [match for match in _TOKEN.finditer(text) if match.lastgroup != "skip"]
    for at in range(0, len(tokens), 4):
        name, *pair = tokens[at : at + 3]
        place = _place(entry, name[0])
        if (wrong := _why_no_pair(name[0], pair)) is not None:
            problems.error(place, wrong, code="supervisord-environment", hint=_HINT)
            return found
        value = pair[1]
        behind = tokens[at + 3] if at + 3 < len(tokens) else None
        if behind is not None and behind[0] != ",":
            message = (
                f"environment: supervisord reads no further than {value[0]!r} in the value of {name[0]}"
            )
            rest = tokens[at + 4 : at + 7]
            if rest and _why_no_pair(rest[0][0], rest[1:]) is not None:  # with one token left out it goes on
                message += ", and does not start with what follows"
                problems.error(place, message, code="supervisord-environment", hint=_cut_hint(value[0]))
                return found
            problems.warning(place, message, code="supervisord-environment", hint=_cut_hint(value[0]))
        _tell_difference(name[0], value[0], place, problems)
        if is_variable(name[0]):
            found[name[0]] = Variable(value=value[0].strip("'\""), span=place)
        else:
            tell_bad_variable(name[0], place, problems)
    return found


def _why_no_pair(name: str, pair: list[re.Match[str]]) -> str | None:
    """What is wrong with three tokens that should be NAME=value."""
    if len(pair) < 2 or pair[0][0] != "=":
        return f"environment: no NAME=value at {name!r}: supervisord does not start with this value"
    return "environment: a quote is not closed" if pair[1][0] in {"'", '"'} else None


def _cut_hint(value: str) -> str:
    """The way out of a value that ends too soon."""
    if value == "$":
        return "supervisord fills in no $NAME: %(ENV_NAME)s is a variable of its own environment"
    return _HINT


def _tell_difference(name: str, value: str, place: Span, problems: Diagnostics) -> None:
    if "\\" in value:
        message = f"environment: a backslash in the value of {name} stays as it is"
        hint = "supervisord before 4.4 keeps it, from 4.4 on it takes it for an escape: leave it out where you can"
        problems.note(place, message, code="supervisord-environment", hint=hint)


def _place(entry: IniEntry, name: str) -> Span:
    """Where the name stands: in the text before expansion, so it is looked for."""
    match = re.search(rf"(?<![\w.-]){re.escape(name)}\s*=", entry.value)
    return entry.part(match.start(), match.start() + len(name)) if match else entry.span
