"""What several importers know: templates that nobody has filled in, log targets, programs that stand before others."""

from __future__ import annotations

import glob
import os
import re
from itertools import islice
from pathlib import PurePosixPath

from pm_native.errors import Span
from pm_native.model.names import NAME_MAX, is_name, nearest_name
from pm_native.model.project import JOURNAL, NULL
from pm_native.model.record import SourceFile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

    from pm_native.errors import Diagnostics, Source
    from pm_native.syntax import IniEntry

# Jinja, Django, ERB, Mustache; not Go's `{{.Name}}`, which programs take as an argument.
TEMPLATE_TAG = re.compile(r"<%.*?%>|\{%.*?%\}|\{\{[#/^>!&{]?\s*[A-Za-z_][\w.-]*(?:\s*\|[^}]*)?\s*\}\}")
# Programs that stand in front of another one and do not always hand a signal on.
WRAPPERS = frozenset({"sh", "bash", "dash", "ksh", "zsh", "npm", "npx", "yarn", "pnpm", "make"})
_PROCESSES_MAX = 10_000
_FILES_MAX = 1000
_WILD_FOLDERS_MAX = 2  # a pattern with more is a walk over the whole disk
_JOURNAL_PATHS = frozenset(
    f"{folder}/{name}"
    for folder, names in (
        ("/dev", ("stdout", "stderr", "fd/1", "fd/2")),
        ("/proc/self/fd", ("1", "2")),
        ("/proc/1/fd", ("1", "2")),
    )
    for name in names
)


def refuse_template(source: Source, problems: Diagnostics, *, what: str) -> bool:
    """Whether the text is a template for `what` that nobody has filled in, which is added as an error."""
    for number, line in enumerate(source.text.split("\n"), 1):
        if line.lstrip()[:1] in {"#", ";"}:
            continue
        if tag := TEMPLATE_TAG.search(line):
            span = Span(source, number, tag.start() + 1, tag.end() + 1)
            message = f"this is a template for {what}: {tag[0]}"
            hint = "fill it in first, and give the result"
            problems.error(span, message, code="template", hint=hint)
            return True
    return False


def are_too_many(count: int, span: Span, problems: Diagnostics) -> bool:
    """Whether nobody means so many processes, which is added as an error."""
    if count <= _PROCESSES_MAX:
        return False
    message = f"more than {_PROCESSES_MAX:,} processes"
    problems.error(span, message, code="too-many-processes", hint="is that the right file?")
    return True


def literal_pattern(text: str) -> str:
    """A regular expression that finds the text itself, with no more backslashes than it needs."""
    return re.sub(r"([.^$*+?{}\[\]\\|()])", r"\\\1", text)


def valid_name(name: str, place: Span, problems: Diagnostics, *, code: str) -> str:
    """The name itself, or the nearest that units can have, which is told."""
    if is_name(name):
        return name
    valid = nearest_name(name)
    hint = f"unit names take letters, digits, '_', '.' and '-', up to {NAME_MAX}: give it such a name"
    problems.note(place, f"{name!r} is called {valid!r} here", code=code, hint=hint)
    return valid


def tell_bad_variable(name: str, place: Span, problems: Diagnostics) -> None:
    """The warning of a variable that the manager sets and systemd does not (env_name_is_valid in its sources)."""
    hint = 'letters, digits and "_", and no digit first: give the program another name for it, or the variable by env(1), '
    hint += "in front of its command"
    message = f"systemd sets no environment variable of this name: {name!r}"
    problems.warning(place, message, code="bad-variable-name", hint=hint, lost=True)


def log_target(path: str) -> str:
    """Where output for this path goes: what stands for the manager's own output is the journal."""
    if path in _JOURNAL_PATHS:
        return JOURNAL
    return NULL if path == "/dev/null" else path


def is_wrapper(word: str) -> bool:
    """Whether the program of this name or path runs another one and may not hand a signal on to it."""
    return word.rpartition("/")[2] in WRAPPERS


def source_file(path: Path, source: Source) -> SourceFile:
    """The record of a file, of which `source` is what was read."""
    return SourceFile(path=str(path.absolute()), sha256=source.sha256)


def find_includes(pattern: str, entry: IniEntry, problems: Diagnostics, *, code: str) -> list[str]:
    """The files that a pattern of an absolute path fits, sorted; none after telling why.

    A walk over the whole disk is refused.
    """
    folders = [part for part in pattern.split("/")[:-1] if glob.has_magic(part)]
    if len(folders) > _WILD_FOLDERS_MAX:
        message = f"{pattern} has wild cards in {len(folders)} folders"
        hint = f"name the folders: up to {_WILD_FOLDERS_MAX} may have one"
        problems.error(entry.span, message, code=code, hint=hint)
        return []
    found = sorted(islice(glob.iglob(pattern), _FILES_MAX + 1))  # noqa: PTH207 - the tools' own patterns
    if not found:
        hint = "what it would include on the host that it is for is not here: run pm-native there"
        problems.warning(entry.span, f"no file fits {pattern}", code=code, hint=hint)
    if len(found) > _FILES_MAX:
        message = f"{pattern} fits more than {_FILES_MAX} files"
        problems.error(entry.span, message, code=code, hint="is that the right folder?")
        return []
    return found


def shown_name(path: Path, folder: str, name: str) -> str:
    """What an included file is called in diagnostics: as its owner would write it, where the main file is `name`."""
    shown = os.path.relpath(path, folder)
    return str(path) if shown.startswith("..") else str(PurePosixPath(name).parent / shown)
