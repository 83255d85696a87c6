"""The environment of a process: each variable in exactly one place, so that no order of systemd's decides.

What the config says itself becomes Environment=. What came from environment files, or looks like a secret, is compiled
into one file of mode 0600, since every local user can read Environment= over D-Bus.
"""

from __future__ import annotations

import re

from pm_native.compile.command import ARGUMENT_MAX, instance_counters, search_path
from pm_native.compile.listen import port_variable
from pm_native.compile.names import instance_numbers, instances_word, prefix
from pm_native.compile.preload import preload_names, preload_variables
from pm_native.compile.secrets import secret_variables
from pm_native.model.names import INSTANCES_VARIABLE
from pm_native.unit.directive import ENVIRONMENT, ENVIRONMENT_FILE
from pm_native.unit.escape import UnrepresentableError, refuse_noncharacters
from pm_native.unit.file import CONFIGURATION_DIRECTORY, INSTANCE, Setting
from pm_native.unit.name import Scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pm_native.compile.options import CompileOptions
    from pm_native.errors import Diagnostics
    from pm_native.model.project import Process, Project, Variable

# Names that secrets go by, and values that carry one: a URL with a password in it.
_SECRET_NAME = re.compile(
    r"PASS(WORD|WD|PHRASE|CODE)?(_|$)|(^|_)(PW|PWD|PASSWD)$|SECRET|TOKEN|CREDENTIAL|PRIVATE|(^|_)(API_?|AUTH_?|ACCESS_?)?KEY(_|$)"
    r"|(^|_)(DSN|SALT)$",
    re.IGNORECASE,
)
_SECRET_VALUE = re.compile(r"://[^/\s:@]*:[^/\s@]+@")
ROOT_HOME = "/root"
INSTANCE_VARIABLE = "PM_NATIVE_INSTANCE"
# Within double quotes, EnvironmentFile= takes a backslash off these and nothing else (systemd.exec(5)).
_NEEDS_BACKSLASH = re.compile(r'(["\\`$])')


def environment_settings(
    project: Project, process: Process, extra_path: str, options: CompileOptions
) -> Iterator[Setting]:
    """Environment= for each variable of the config, EnvironmentFile= for those of environment files.

    By name, so that a config which says the same in another order, or once for all, restarts nothing.
    """
    if process.is_pool:
        words = ((f"{INSTANCE_VARIABLE}=", INSTANCE),)
        yield Setting(
            ENVIRONMENT, words, origin=process.origin("instances"), why="the number of the instance"
        )
        count = len(instance_numbers(process, options))
        why = "how many there are: another number restarts none of them"
        yield Setting(ENVIRONMENT, (instances_word(count),), origin=process.origin("instances"), why=why)
    if has_one_port(process):
        yield Setting(ENVIRONMENT, (f"PORT={port_variable(process)}",), origin=process.origin("listen"))
    for name, value in preload_variables(process, options).items():
        why = "the program takes the shared socket, unchanged"
        yield Setting(ENVIRONMENT, (f"{name}={value}",), origin=process.origin("listen.share"), why=why)
    if extra_path:
        value = f"PATH={extra_path}:{search_path(process, options)}"
        yield Setting(
            ENVIRONMENT, (value,), origin=process.origin("command"), why="where the program was found"
        )
    taken = computed_names(process, extra_path)
    for name, variable in sorted(process.environment.items()):
        if name not in taken and not is_secret(name, variable.value):
            yield Setting(ENVIRONMENT, (f"{name}={variable.value}",), origin=variable.span)
    if needs_home(process, options):
        yield Setting(ENVIRONMENT, (f"HOME={ROOT_HOME}",), why="systemd gives a home to named users only")
    folder = f"/pm-native/{project.name}"
    if in_file(process, extra_path):
        path = (CONFIGURATION_DIRECTORY, f"{folder}/{environment_file_name(project, process)}")
        place = process.origin("environment_files")
        yield Setting(
            ENVIRONMENT_FILE, (path,), origin=place, why="what may be secret, for root alone to read"
        )


def has_one_port(process: Process) -> bool:
    """Whether PORT is the same in all that runs of the process."""
    listen = process.listen
    return listen.share or (listen.port is not None and not process.is_pool)


def needs_home(process: Process, options: CompileOptions) -> bool:
    """Whether the program would run without HOME, which shells, npm and many more rely on: as root of the system."""
    given = "HOME" in process.environment or "HOME" in process.file_environment
    return options.scope is Scope.SYSTEM and process.user is None and not given


def is_secret(name: str, value: str) -> bool:
    """Whether a variable looks like a secret, by its name or by a password in its URL."""
    return _SECRET_NAME.search(name) is not None or _SECRET_VALUE.search(value) is not None


def computed_names(process: Process, extra_path: str) -> set[str]:
    """The variables whose value pm-native itself decides."""
    names = {counter.variable for counter in instance_counters(process)} | {*secret_variables(process)}
    if process.is_pool:
        names |= {INSTANCE_VARIABLE, INSTANCES_VARIABLE}
    if has_one_port(process):
        names.add("PORT")
    names |= preload_names(process)
    if extra_path:
        names.add("PATH")
    return names


def in_file(process: Process, extra_path: str) -> dict[str, Variable]:
    """The variables for the compiled file: secrets of the config, and those of environment files that it does not set."""
    taken = computed_names(process, extra_path)
    secret = {
        name: variable
        for name, variable in process.environment.items()
        if name not in taken and is_secret(name, variable.value)
    }
    taken |= process.environment.keys()
    return secret | {
        name: variable for name, variable in process.file_environment.items() if name not in taken
    }


def environment_file_name(project: Project, process: Process) -> str:
    """The name of the compiled environment file of a process."""
    return f"{prefix(project, process)}.env"


def environment_file_text(variables: dict[str, Variable]) -> str:
    """Lines that systemd reads back to exactly these values (systemd.exec(5), EnvironmentFile=).

    Without those that no program can be given: `check_environment` has told of them.
    """
    lines = ["# Compiled by pm-native: do not edit, change the source and generate again.\n"]
    for name, variable in sorted(variables.items()):
        if _why_not_text(variable.value):
            continue
        value = _NEEDS_BACKSLASH.sub(r"\\\1", variable.value)
        lines.append(f'{name}="{value}"\n')
    return "".join(lines)


def check_environment(process: Process, problems: Diagnostics) -> None:
    """Add a diagnostic for each value that no program could be given."""
    for environment in (process.environment, process.file_environment):
        for name, variable in environment.items():
            value = variable.value
            if "\0" in value:
                problems.error(variable.span, f"{name} holds a NUL character", code="nul-character")
            elif len(name) + len(value) > ARGUMENT_MAX // 4 and _size(name, value) > ARGUMENT_MAX:
                message = f"the value of {name} has {len(value)} characters"
                hint = f"the kernel takes {ARGUMENT_MAX} bytes at most, the name included"
                problems.error(variable.span, message, code="too-long", hint=hint)
            elif reason := _why_not_text(value):
                message = f"the value of {name}: {reason}"
                problems.error(variable.span, message, code="not-unicode")


def _size(name: str, value: str) -> int:
    return len(f"{name}={value}".encode(errors="replace"))


def _why_not_text(value: str) -> str:
    if value.isascii():
        return ""
    try:
        value.encode()
        refuse_noncharacters(value)
    except UnicodeEncodeError:
        return "not valid Unicode"
    except UnrepresentableError as error:
        return str(error)
    return ""
