"""What a process runs: its program found, its instance variables counted."""

from __future__ import annotations

import re

from pm_native.compile.check import report_missing
from pm_native.compile.host import SYSTEM_PATH, is_version_manager_path
from pm_native.compile.preload import is_node
from pm_native.model.project import Counter
from pm_native.unit.file import INSTANCE
from pm_native.unit.name import Scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pm_native.compile.options import CompileOptions
    from pm_native.errors import Diagnostics, Span
    from pm_native.model.project import Process
    from pm_native.unit.file import Text

# What one argument or variable may have (MAX_ARG_STRLEN of the kernel, its NUL included).
ARGUMENT_MAX = 128 * 1024 - 1
NODE_INSTANCE = "NODE_APP_INSTANCE"
# systemd's string_is_safe(): it refuses a program with these in its path.
_UNSAFE_IN_PATH = re.compile(r"""["'\\\x00-\x1f\x7f]""")


def search_path(process: Process, options: CompileOptions) -> str:
    """The PATH of the running program: what the config sets, else what its service manager gives."""
    for environment in (process.environment, process.file_environment):
        if "PATH" in environment:
            return environment["PATH"].value
    if options.scope is Scope.USER and options.caller_path:
        return options.caller_path
    return SYSTEM_PATH


def resolved_command(
    process: Process, options: CompileOptions, problems: Diagnostics
) -> tuple[tuple[str, ...], str]:
    """The argv with an absolute program, and the folder that PATH must be led by ("": none)."""
    if not process.command:
        return (), ""
    span = process.origin("command")
    name, *arguments = process.command
    _check_words(process, span, problems)
    search = search_path(process, options)
    directory = str(process.directory)
    found = options.host.find_program(name, search, directory, process.user)
    extra = ""
    if found.problem and "/" not in name and options.caller_path not in {"", search}:
        elsewhere = options.host.find_program(name, options.caller_path, directory, process.user)
        if not elsewhere.problem:
            found = elsewhere
            extra = elsewhere.path.rpartition("/")[0]
            message = f"{name!r} is on your own PATH only: {elsewhere.path}"
            hint = "the unit gets this path, and its folder in front of PATH"
            problems.note(span, message, code="caller-path", hint=hint)
    if found.problem:
        report_missing(
            span,
            f"cannot run {name!r}: {found.problem}",
            code="program-missing",
            hint=_missing_hint(name, process),
            options=options,
            problems=problems,
        )
    if _UNSAFE_IN_PATH.search(found.path):
        hint = "rename it, or run it through a shell: shell = true"
        problems.error(
            span, f"systemd runs no program of this name: {found.path!r}", code="program-name", hint=hint
        )
    if manager := is_version_manager_path(found.path):
        message = f"{found.path} belongs to {manager}: it goes away when {manager} changes the version"
        hint = f"run `pm-native generate && pm-native apply` after each {manager} upgrade, or install it for all"
        problems.warning(span, message, code="version-manager", hint=hint)
    return (found.path, *arguments), extra


def _missing_hint(name: str, process: Process) -> str:
    if "/" in name:
        return f"the path starts at {process.directory}" if not name.startswith("/") else "check the path"
    whom = f"user {process.user}" if process.user else "the service manager"
    return f"install it where {whom} finds it, write its absolute path, or set PATH in its environment"


def _check_words(process: Process, span: Span, problems: Diagnostics) -> None:
    for word in process.command:
        if len(word) > ARGUMENT_MAX // 4 and len(word.encode(errors="replace")) > ARGUMENT_MAX:
            message = f"an argument of {len(word)} characters"
            problems.error(
                span, message, code="too-long", hint=f"the kernel takes {ARGUMENT_MAX} bytes at most"
            )


def instance_counters(process: Process) -> tuple[Counter, ...]:
    """The variables that count the instances of a pool, PORT among them."""
    if not process.is_pool:
        return ()
    port = (
        ()
        if process.listen.port is None or process.listen.share
        else (Counter(variable="PORT", base=process.listen.port, span=process.origin("listen")),)
    )
    return (*process.counters, *_of_node(process), *port)


def _of_node(process: Process) -> tuple[Counter, ...]:
    """NODE_APP_INSTANCE for programs of Node, as PM2 counts, unless the config counts in a way of its own."""
    given = process.environment.keys() | process.file_environment.keys()
    if process.counters or NODE_INSTANCE in given or not is_node(process):
        return ()
    return (Counter(variable=NODE_INSTANCE, base=0, span=process.origin("instances")),)


def counted_command(process: Process, command: tuple[str, ...]) -> tuple[Text, ...]:
    """The command of a pool's template: behind a shell that sets what counts, since specifiers cannot add.

    The shell replaces itself with the program, so that the program is systemd's own main process.
    """
    counters = instance_counters(process)
    if not counters:
        return command
    exports = "".join(
        f"{counter.variable}=$(({counter.base - process.first_instance}+$0)); export {counter.variable}; "
        for counter in counters
    )
    return ("/bin/sh", "-c", f'{exports}exec "$@"', (INSTANCE,), *command)
